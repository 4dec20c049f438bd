"""The book of rejects of one listing: which were open before, which came, and which of the open ones are settled.

In come the open rejects' positions and the judged pages, out go the rejects to keep and the positions to resolve. It
lives as long as the run: what is known of earlier ones is read from the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from etlkit.rejects import Reject
from people_hub.bronze.page import Page
from people_hub.bronze.replay import Replay


class RejectBook:
    """What a run knows of its rejects."""

    def __init__(self) -> None:
        """Know of none."""
        self.keyless = Counter[str]()
        """The rejects without a key, by their position."""
        self.digests: dict[str, str] = {}
        """The run's rejects by their position, each with a digest of its record."""
        self._open: dict[str, list[str]] = {}
        self._turned_good: set[str] = set()
        self._kept: set[str] = set()
        self._keys: set[str] = set()

    def note_open(self, positions: Iterable[str]) -> int:
        """Note the rejects that were open before the run; return how many."""
        noted = list(positions)
        for position in noted:
            self._open.setdefault(_key_of(position), []).append(position)
        return len(noted)

    def is_known(self, position: str) -> bool:
        """Tell whether a reject was open before."""
        return position in self._open.get(_key_of(position), ())

    def take(self, page: Page) -> list[Reject]:
        """Take in a page; return its rejects that the run has not kept yet."""
        self.keyless.update(page.rejects[place].position for place in page.keyless)
        self._keys.update(page.rejected_keys)
        fresh = [reject for reject in page.rejects.values() if reject.position not in self._kept]
        self._kept.update(reject.position for reject in fresh)
        if self._open:
            self._turned_good.update(key for key, _content in page.good.values() if key in self._open)
        return fresh

    def settled(self, replay: Replay | None) -> list[str]:
        """Return the open rejects that the run has settled: those of a key that came good and never bad."""
        if replay:
            return replay.settled(self._kept, self._keys)
        good = self._turned_good - self.digests.keys() - self._keys
        return [position for key in good for position in self._open[key] if position not in self.digests]

    def new_keyless(self, known: set[str]) -> int:
        """Return how many rejects without a key are none of the known positions, or one of several at the same."""
        return sum(count for position, count in self.keyless.items() if count > 1 or position not in known)


def _key_of(position: str) -> str:
    """Return the key at whose position a reject is kept, or one of several of that key."""
    return position.partition(" (another")[0]
