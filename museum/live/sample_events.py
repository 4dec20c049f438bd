"""Events as the kiosks of the sample museum would send them: presses, calls for help, and every kind of bad message."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime

SITES = 6
WEIGHTS = ((1, 2, 4, 5, 3), (2, 2, 3, 4, 4), (5, 4, 3, 2, 1), (1, 1, 3, 5, 7), (6, 5, 3, 2, 1), (1, 2, 3, 4, 5))
BAD_SHARE, CALL_SHARE, EMERGENCY_SHARE = 0.06, 0.05, 0.15


def sample_event(chance: random.Random, at: datetime) -> bytes | None:
    """Return one message of a moment: nine of ten are presses, one of twenty a call for help, the rest is bad."""
    site = chance.randrange(SITES)
    event: dict[str, str | int] = {
        "at": at.isoformat(),
        "site": str(site),
        "val": chance.choices(range(5), WEIGHTS[site])[0],
    }
    share = chance.random()
    if share < BAD_SHARE:
        return chance.choice(list(_bad(event)))
    if share < BAD_SHARE + CALL_SHARE:
        event |= {"val": -1, "type": int(chance.random() < EMERGENCY_SHARE)}
    return json.dumps(event).encode()


def _bad(event: dict[str, str | int]) -> Iterator[bytes | None]:
    """Yield an event's bad relatives, one of each kind."""
    for name in ("at", "site", "val"):
        yield json.dumps({key: value for key, value in event.items() if key != name}).encode()
    for changes in (
        {"site": "ERR"}, {"site": "11"}, {"site": 3}, {"val": 9}, {"val": None}, {"val": True}, {"val": "3"},
        {"val": -1}, {"val": -1, "type": "INF"}, {"type": 1}, {"at": "yesterday"}, {"at": "2999-01-01T12:00:00+00:00"},
    ):  # fmt: skip
        yield json.dumps({**event, **changes}).encode()
    yield from (None, b"", b"\xff\xfe", b"[1, 2]", b'{"at": ', b'{"val": NaN}')
