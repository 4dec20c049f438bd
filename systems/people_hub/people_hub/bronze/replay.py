"""Which rejected records are judged again: those that are good by today's rules.

In come the open rejects of a stream, out go the records to bring in, and which reject each of them settles. Twice gives
the same, since nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from people_hub.bronze.canonical import BadRecordError, read_content
from people_hub.bronze.stream import Stream

AMBIGUOUS = "duplicate_key_in_run"
"""The reason of a record that had another's key: only its source can say which of the two is right."""


class KeptRecord(NamedTuple):
    """An open reject: where it stands, the record as it came, why it was rejected, and when it last came."""

    position: str
    raw: bytes
    reasons: list[str]
    last_seen: datetime


@dataclass
class Replay:
    """The records that a replay brings in.

    `settles` has the rejects that it may settle, each with the key of its record, None where a newer one has come
    since; `position_of` has the reject's position by the key of each record.
    """

    records: list[dict[str, Any]] = field(default_factory=list)
    settles: dict[str, str | None] = field(default_factory=dict)
    position_of: dict[str, str] = field(default_factory=dict)

    def settled(self, kept: set[str], rejected_keys: set[str]) -> list[str]:
        """Return the rejects whose record is stored, is outdated, or is kept under the key that it has now."""
        return [
            position
            for position, key in self.settles.items()
            if key is None or key not in rejected_keys or position not in kept
        ]


def plan_replay(
    stream: Stream, rejects: Iterable[KeptRecord], stored_at: Callable[[list[str]], Mapping[str, datetime]]
) -> Replay:
    """Choose what to bring in of rejects in the order in which they last came.

    Of those that have one key the newest; none where nothing says which that is, nor one that was rejected for having
    another's key. `stored_at` tells when the newest version of given keys was stored: what is older is outdated.
    """
    by_key: dict[str, list[tuple[KeptRecord, dict[str, Any]]]] = {}
    for reject in rejects:
        if AMBIGUOUS not in reject.reasons and (found := _replayable(stream, bytes(reject.raw))):
            by_key.setdefault(found[0], []).append((reject, found[1]))
    stored = stored_at(list(by_key))
    replay = Replay()
    for key, candidates in by_key.items():
        last_seen = candidates[-1][0].last_seen
        newest = [candidate for candidate in candidates if candidate[0].last_seen == last_seen]
        is_outdated = key in stored and stored[key] > last_seen
        for reject, _record in candidates:
            if is_outdated or reject.last_seen < last_seen:
                replay.settles[reject.position] = None
        if len(newest) == 1 and not is_outdated:
            ((reject, record),) = newest
            replay.settles[reject.position] = key
            replay.position_of[key] = reject.position
            replay.records.append(record)
    return replay


def _replayable(stream: Stream, original: bytes) -> tuple[str, dict[str, Any]] | None:
    """Return a kept record and its key when it has one and can be stored today, else None."""
    try:
        record: dict[str, Any] = json.loads(original)
        read_content(record, stream.volatile)
        return stream.external_id(record), record
    except (BadRecordError, ValueError, RecursionError):
        return None
