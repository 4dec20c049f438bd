"""Samples of our own making: a museum's bucket, dirt included, and events as its kiosks would send them.

`bucket/` has eleven kiosk files of seven months from winter to summer, with one dirty row of every kind that a file can
show, six exhibitions, and the distractors that share the prefix.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from museum.batch.bucket_files import natural_order

BUCKET_FOLDER = Path(__file__).parent / "bucket"
UNSAFE_KEY = "lmnh/../../escaped.csv"
"""No file can lie under this one, and none must."""

WEIGHTS = ((1, 2, 4, 5, 3), (2, 2, 3, 4, 4), (5, 4, 3, 2, 1), (1, 1, 3, 5, 7), (6, 5, 3, 2, 1), (1, 2, 3, 4, 5))
BAD_SHARE, CALL_SHARE, EMERGENCY_SHARE = 0.06, 0.05, 0.15


def sample_objects() -> dict[str, bytes]:
    """Return every object of the sample bucket by its key."""
    objects = {path.name: path.read_bytes() for path in BUCKET_FOLDER.iterdir()}
    return {key: objects[key] for key in sorted(objects, key=natural_order)} | {UNSAFE_KEY: b"at,site,val,type\n"}


def sample_event(chance: random.Random, at: datetime) -> bytes | None:
    """Return one message of a moment: nine of ten are presses, one of twenty a call for help, the rest is bad."""
    site = chance.randrange(len(WEIGHTS))
    val = chance.choices(range(5), WEIGHTS[site])[0]
    event: dict[str, str | int] = {"at": at.isoformat(), "site": str(site), "val": val}
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
