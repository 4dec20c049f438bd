"""Which expected file an object is, level by level; and the date and hour of its run."""

from __future__ import annotations

import time
from datetime import date, datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from file_monitoring.services.matching import Ambiguous, Candidate, match_file, run_of

FILES = [
    Candidate(1, "bucket/from_client/riverton/staff.csv", "other.csv", "demo"),
    Candidate(2, "", "staff.csv", "riverton"),
    Candidate(3, "", "staff.csv", "lakeside"),
    Candidate(4, "", "hours_{YYYY}{MM}{DD}.csv", "riverton"),
    Candidate(5, "", "log-%Y-%m-%d_%H.txt", "riverton"),
    Candidate(6, "", "export*.csv", "riverton"),
    Candidate(7, "", "daily_20250101.csv", "riverton"),
    Candidate(8, "", "stamp_2025-01-01T05.csv", "riverton"),
    Candidate(9, "s3://bucket/with/scheme.csv", "scheme", "riverton"),
    Candidate(10, "", "no.date", "Riverton"),
    Candidate(11, "", "moment_20250101123000.csv", "lakeside"),
]
CASES = [
    ("from_client/riverton/staff.csv", 1),  # the address wins, though slug and folder differ
    ("from_client/lakeside/staff.csv", 3),
    ("from_client/riverton/2026/staff.csv", 2),
    ("FROM_CLIENT/RIVERTON/STAFF.CSV", 1),  # in another case
    ("x/RIVERTON/Staff.CSV", 2),
    ("staff.csv", None),  # two agencies have it, and no folder says whose it is
    ("with/scheme.csv", 9),
    ("agency/riverton/files/staff.csv/2026-01-05/07/data.csv", 2),
    ("agency/riverton/files/staff.csv/2026-01-05/data.csv", None),
    ("x/riverton/hours_20260105.csv", 4),
    ("x/riverton/hours_2026010.csv", None),
    ("x/riverton/log-2026-01-05_23.txt", 5),
    ("x/riverton/export_of_may.csv", 6),
    ("x/lakeside/export_of_may.csv", None),
    ("x/riverton/daily_20260105.csv", 7),
    ("x/riverton/daily_20261305.csv", None),  # no month 13
    ("x/riverton/daily_20260230.csv", None),  # no such day
    ("x/riverton/daily_2026-01-05.csv", 7),
    ("x/riverton/daily_2026_01_05.csv", 7),
    ("x/riverton/daily_120260105.csv", None),  # part of a longer number
    ("x/riverton/stamp_2026-01-05T23.csv", 8),
    ("x/lakeside/moment_20260105235959.csv", 11),
    ("x/riverton/no.date", 10),
    ("riverton/", None),
    ("nothing/at/all.csv", None),
]


@pytest.mark.parametrize(("key", "number"), CASES)
def test_a_key_is_the_file_that_it_should_be(key, number):
    assert match_file("bucket", key, FILES) == number


def test_the_bucket_is_part_of_an_address():
    assert match_file("elsewhere", "from_client/riverton/staff.csv", FILES) == 2


def test_two_files_at_one_level_are_an_error_that_names_them():
    with pytest.raises(Ambiguous, match="more than one active file matches: 2, 12") as refused:
        match_file("bucket", "x/riverton/staff.csv", [*FILES[1:], Candidate(12, "", "staff.csv", "riverton")])
    assert refused.value.numbers == (2, 12)


def test_the_exact_case_comes_first():
    files = [Candidate(1, "", "F.csv", "riverton"), Candidate(2, "", "f.csv", "riverton")]
    assert match_file("b", "riverton/f.csv", files) == 2
    with pytest.raises(Ambiguous):
        match_file("b", "riverton/f.CSV", files)


@pytest.mark.parametrize("name", ["*" * 240, "a*" * 120, "{YYYY}" * 40, "(a+)+" * 40, "[" * 250, "20260101" * 30])
def test_no_name_takes_long(name):
    started = time.monotonic()
    match_file("b", "riverton/" + "a" * 900 + "!", [Candidate(1, "", name, "riverton")])
    match_file("b", "riverton/" + "20260101" * 110, [Candidate(1, "", name, "riverton")])
    assert time.monotonic() - started < 2


AT = datetime(2026, 7, 1, 23, 30, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("key", "zone", "run"),
    [
        ("a/f.csv", "UTC", (date(2026, 7, 1), 23)),
        ("a/f.csv", "Europe/London", (date(2026, 7, 2), 0)),
        ("agency/a/files/f.csv/2026-01-05/07/data.csv", "UTC", (date(2026, 1, 5), 7)),
        ("agency/a/files/f.csv/2026-02-30/07/data.csv", "UTC", (date(2026, 7, 1), 23)),
        ("agency/a/files/f.csv/2026-01-05/24/data.csv", "UTC", (date(2026, 7, 1), 23)),
    ],
)
def test_a_run_is_the_events_or_the_keys_and_never_the_clocks(key, zone, run):
    assert run_of(key, AT, ZoneInfo(zone)) == run
