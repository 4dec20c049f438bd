"""A sample bucket of our own making, the same at every call: what a museum's bucket looks like, dirt included.

It has eleven kiosk files of seven months from winter to summer, six exhibitions, the distractors that share the
prefix, keys that must not be mirrored, and one dirty row of every kind that a file can show.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

SEED = 8_450_1815
ROWS_PER_FILE = 400
KIOSK_FILES = 11
OPENING_DAYS = [datetime(2025, 1, 6, 8, 45, tzinfo=UTC) + timedelta(days=number) for number in range(210)]
DAY_WEIGHTS = [(3, 2, 3, 3, 4, 8, 7)[day.weekday()] for day in OPENING_DAYS]
QUARTER_HOURS = range(38)
"""From 8:45 to 18:15; most visitors come before lunch and in the afternoon."""

QUARTER_WEIGHTS = [
    2,
    *(4, 6, 8, 9) * 2,
    9,
    9,
    8,
    7,
    6,
    5,
    5,
    6,
    8,
    9,
    10,
    10,
    9,
    8,
    7,
    7,
    6,
    6,
    6,
    5,
    5,
    4,
    4,
    3,
    3,
    2,
    2,
    1,
    1,
]
QUARTER_SECONDS = 900
HEADER = b"at,site,val,type\n"

_EXHIBITIONS = (
    ("EXH_00", "Under the Ice", "1", "Geology", "14/03/22", (1, 2, 4, 5, 3)),
    ("EXH_01", "A Thousand Wings", "Atrium", "Entomology", "01/07/20", (2, 2, 3, 4, 4)),
    ("EXH_02", "Letters from the Herbarium", "2", "Botany", "03/03/21", (5, 4, 3, 2, 1)),
    ("EXH_03", "Voices of the Estuary", ["1", "2"], "Zoology", "2019-07-01", (1, 1, 3, 5, 7)),
    ("EXH_04", "What the River Carries", "3", "Ecology", "12/05/2021", (6, 5, 3, 2, 1)),
    ("EXH_05", "Bones of the Mersey", "1", "Paleontology", "01/02/23", None),
)
_DIRTY_ROWS = (
    b",2,3,",
    b"2025-02-30 10:00:00,2,3,",
    b"2999-01-01 10:00:00,2,3,",
    b"0025-01-18 10:00:00,2,3,",
    b"2025-01-18 10:00:01,,3,",
    b"2025-01-18 10:00:02,ERR,3,",
    b"2025-01-18 10:00:03,11,3,",
    b"2025-01-18 10:00:04,2,,",
    b"2025-01-18 10:00:05,2,9,",
    b"2025-01-18 10:00:06,2,-1,",
    b"2025-01-18 10:00:07,2,-1,7.0",
    b"2025-01-18 10:00:08,2,3,1.0",
    b"2025-01-18 10:00:09,2,3",
    b"2025-01-18 10:00:10,\xff\xfe,3,",
    b"at,site,val,type",
    b"yesterday,INF,None,",
    b"=cmd|' /C calc'!A0,2,3,",
    b"'); drop table review; --,2,3,",
)
_UNUSUAL_ROWS = (
    b"18/01/2025 11:00,1,4,",
    b'"2025-01-18 11:00:01","1","4",""',
    b"2025-07-12T11:00:02.5+01:00,3,4,",
    b"2025-01-18 08:40:00,3,-1,0.0",
)


def sample_objects() -> dict[str, bytes]:
    """Return every object of the sample bucket by its key."""
    objects = dict(_exhibition_objects())
    chance = random.Random(SEED)
    for number in range(KIOSK_FILES):
        objects[f"lmnh_hist_data_{number}.csv"] = _kiosk_file(number, chance)
    objects |= {
        "lmnh_hist_data_11.csv": b"",
        "lmnh_exhibition": b"",
        "lmnh_exhibition_bones.txt": b"EXH_05, Bones",
        "lmnh_exhibition_broken.json": b'{"EXHIBITION_ID": "EXH_06", "EXHIBITION_NAME": ',
        "lmnh/../../escaped.csv": HEADER,
        "lms_exhibition_orbits.json": b"{}",
        "visitors.json": b"[]",
    }
    return objects


def _exhibition_objects() -> Iterator[tuple[str, bytes]]:
    """Yield one JSON file an exhibition, with the bucket's upper-case keys."""
    for code, name, floor, department, start_date, _ in _EXHIBITIONS:
        document = {
            "EXHIBITION_NAME": name,
            "EXHIBITION_ID": code,
            "FLOOR": floor,
            "DEPARTMENT": department,
            "START_DATE": start_date,
            "DESCRIPTION": f"{name}, an exhibition of the sample museum",
        }
        word = name.split()[-1].lower()
        yield f"lmnh_exhibition_{word}.json", json.dumps(document, indent=4).encode()


def _kiosk_file(number: int, chance: random.Random) -> bytes:
    """Return one kiosk file; some have CRLF, a BOM, or no final newline, two have dirty or unusual rows."""
    rows = [_press(chance) for _ in range(ROWS_PER_FILE)]
    if number == 3:
        rows[10:10] = _DIRTY_ROWS
    if number == 7:
        rows[20:20] = _UNUSUAL_ROWS
    end = b"\r\n" if number % 4 == 1 else b"\n"
    text = HEADER.replace(b"\n", end) + end.join(rows) + (b"" if number % 5 == 2 else end)
    return b"\xef\xbb\xbf" + text if number % 3 == 2 else text


def _press(chance: random.Random) -> bytes:
    """Return one good row."""
    day, quarter = chance.choices(OPENING_DAYS, DAY_WEIGHTS)[0], chance.choices(QUARTER_HOURS, QUARTER_WEIGHTS)[0]
    at = day + timedelta(seconds=quarter * QUARTER_SECONDS + chance.randrange(QUARTER_SECONDS))
    site = chance.randrange(len(_EXHIBITIONS) - 1)
    weights = _EXHIBITIONS[site][5]
    if chance.random() < 0.03:
        return f"{at:%Y-%m-%d %H:%M:%S},{site},-1,{0.0 if chance.random() < 0.95 else 1.0}".encode()
    return f"{at:%Y-%m-%d %H:%M:%S},{site},{chance.choices(range(5), weights)[0]},".encode()
