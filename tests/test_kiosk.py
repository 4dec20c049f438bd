"""The rules for kiosk presses, case by case."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from museum.kiosk import BAD, KIOSK_COLUMNS, MISSING, ROW_REASONS, Rules, default_reference, judge_line, parse_at

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
REFERENCE = default_reference(frozenset(range(6)), NOW)
RULES = Rules()


def reasons(line: str | bytes, columns=KIOSK_COLUMNS, rules=RULES, reference=REFERENCE) -> tuple[str, ...]:
    return judge_line(line.encode() if isinstance(line, str) else line, columns, rules, reference).reasons


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2023-03-06 15:09:21,4,0,", ()),
        ("2023-03-06 15:09:21,4,-1,0.0", ()),
        ("2023-03-06 15:09:21,4,-1,1", ()),
        ("2023-03-06T15:09:21.123456789+01:00,4,3.0,", ()),
        ("06/03/2023 15:09,4,3,", ()),
        ('"2023-03-06 15:09:21","4","3",""', ()),
        (" 2023-03-06 15:09:21 , 4 ,3,", ()),
        (",4,3,", ("missing_at",)),
        ("06-03-2023 15:09:21,4,3,", ("bad_at",)),
        ("2023-03-06,4,3,", ("bad_at",)),
        ("2023-03-06 15:09,4,3,", ()),
        ("2023-03-06T15:09+01:00,4,3,", ()),
        ("2023-03-06 15:09.5,4,3,", ("bad_at",)),
        ("2023-03-06 15,4,3,", ("bad_at",)),
        ("1999-12-31 23:59:59,4,3,", ("too_old",)),
        ("2000-01-01T00:30+01:00,4,3,", ("too_old",)),
        ("2000-01-01 00:00,4,3,", ()),
        ("0024-03-06 12:00:00,9,3,", ("too_old", "unknown_site")),
        ('2023-03-06 15:09:00, "4", "3",', ()),
        ('"2023-03-06 15:09:00", "4",3, ""', ()),
        ("2023-02-29 10:00:00,4,3,", ("bad_at",)),
        ("03/13/2023 10:00,4,3,", ("bad_at",)),
        ("2023-03-06 24:00:00,4,3,", ("bad_at",)),
        ("2023-03-06 10:00:60,4,3,", ("bad_at",)),
        ("0001-01-01T00:00:00Z,4,3,", ("bad_at",)),
        ("9999-12-31T23:59:59-01:00,4,3,", ("bad_at",)),
        ("2023-03-06 10:00:00+25:00,4,3,", ("bad_at",)),
        ("0001-01-01 00:00:00+01:00,4,3,", ("bad_at",)),
        ("٢٠٢٣-03-06 10:00:00,4,3,", ("bad_at",)),
        ("2999-03-06 10:00:00,4,3,", ("future_at",)),
        ("2023-03-06 10:00:00,,3,", ("missing_site",)),
        ("2023-03-06 10:00:00,6,3,", ("unknown_site",)),
        ("2023-03-06 10:00:00,-1,3,", ("unknown_site",)),
        ("2023-03-06 10:00:00,ERR,3,", ("unknown_site",)),
        ("2023-03-06 10:00:00,None,3,", ("unknown_site",)),
        ("2023-03-06 10:00:00,1.5,3,", ("unknown_site",)),
        ("2023-03-06 10:00:00,99999999999999999999,3,", ("unknown_site",)),
        ("2023-03-06 10:00:00,4,,", ("missing_val",)),
        ("2023-03-06 10:00:00,4,,1.0", ("missing_val",)),
        ("2023-03-06 10:00:00,4,5,", ("bad_val",)),
        ("2023-03-06 10:00:00,4,-2,", ("bad_val",)),
        ("2023-03-06 10:00:00,4,NaN,", ("bad_val",)),
        ("2023-03-06 10:00:00,4,9,1.0", ("bad_val",)),
        ("2023-03-06 10:00:00,4,-1,", ("missing_type",)),
        ("2023-03-06 10:00:00,4,-1,2", ("bad_type",)),
        ("2023-03-06 10:00:00,4,-1,0.6", ("bad_type",)),
        ("2023-03-06 10:00:00,4,-1,INF", ("bad_type",)),
        ("2023-03-06 10:00:00,4,3,0.0", ("bad_type",)),
        ("2023-03-06 10:00:00,4,3,x", ("bad_type",)),
        ("2023-03-06 10:00:00,4,3", ("field_count",)),
        ("2023-03-06 10:00:00,4,3,,", ("field_count",)),
        ('"2023-03-06 10:00:00,4,3,', ("field_count",)),
        ('2023-03-06 10:00:00,4,3,"x"y', ("field_count",)),
        (" ", ("field_count",)),
        ("at,site,val,type", ("repeated_header",)),
        ("AT, Site ,val,type", ("repeated_header",)),
        ("\ufeffat,site,val,type", ("repeated_header",)),
        ('\ufeff"at","site","val","type"', ("repeated_header",)),
        (b"2023-03-06 10:00:00,\xff,3,", ("bad_encoding",)),
        ("2023-03-06 10:00:00,é,3,", ("unknown_site",)),
        ("2023-03-06 10:00:00,4\x00,3,", ("unknown_site",)),
        (r"\.", ("field_count",)),
        (r"\.,\.,\.,\.", ("bad_at", "unknown_site", "bad_val")),
        ("'); drop table review; --,=1+1,@x,", ("bad_at", "unknown_site", "bad_val")),
        (",,,", ("missing_at", "missing_site", "missing_val")),
        ("2999-01-01 10:00:00,9,-1,7", ("future_at", "unknown_site", "bad_type")),
    ],
)
def test_a_row_gets_all_its_reasons(line, expected):
    assert reasons(line) == expected


def test_reasons_are_known_codes_in_the_order_of_the_columns():
    given_reasons = reasons("x,x,x,x")
    assert list(given_reasons) == sorted(given_reasons, key=ROW_REASONS.index)


def test_naive_times_are_london_times_in_winter_and_summer():
    assert parse_at("2023-01-06 12:00:00", RULES) == (datetime(2023, 1, 6, 12, tzinfo=UTC), False)
    assert parse_at("2023-07-06 12:00:00", RULES) == (datetime(2023, 7, 6, 11, tzinfo=UTC), False)


def test_an_hour_that_occurs_twice_is_the_first_one_and_counted():
    assert parse_at("2023-10-29 01:30:00", RULES) == (datetime(2023, 10, 29, 0, 30, tzinfo=UTC), True)
    assert parse_at("2023-10-29 00:59:59", RULES) == (datetime(2023, 10, 28, 23, 59, 59, tzinfo=UTC), False)
    assert parse_at("2023-10-29 02:00:00", RULES) == (datetime(2023, 10, 29, 2, tzinfo=UTC), False)


def test_an_hour_that_spring_skips_is_bad():
    assert parse_at("2023-03-26 01:30:00", RULES) == (BAD, False)
    assert parse_at("2023-03-26 00:59:59", RULES)[0] == datetime(2023, 3, 26, 0, 59, 59, tzinfo=UTC)
    assert parse_at("2023-03-26 02:00:00", RULES)[0] == datetime(2023, 3, 26, 1, tzinfo=UTC)


def test_the_day_comes_first():
    assert parse_at("01/07/2019 10:00", RULES)[0] == datetime(2019, 7, 1, 9, tzinfo=UTC)


def test_an_empty_time_is_missing():
    assert parse_at("", RULES) == (MISSING, False)


@pytest.mark.parametrize(
    ("local", "is_closed"),
    [("08:44:59", True), ("08:45:00", False), ("18:15:00", False), ("18:15:01", True), ("12:00:00", False)],
)
@pytest.mark.parametrize("day", ["2023-01-09", "2023-07-10"])
def test_opening_hours_are_local_and_include_both_ends(day, local, is_closed):
    rules = Rules(reject_out_of_hours=True)
    assert (reasons(f"{day} {local},1,1,", rules=rules) == ("out_of_hours",)) is is_closed
    assert reasons(f"{day} {local},1,1,") == ()


def test_new_buttons_and_sites_are_data():
    known = default_reference(frozenset({41}), NOW)
    known = type(known)(known.sites, known.ratings | {7}, known.incident_types | {5}, NOW)
    assert reasons("2023-03-06 10:00:00,41,7,", reference=known) == ()
    assert reasons("2023-03-06 10:00:00,41,-1,5.0", reference=known) == ()
    assert reasons("2023-03-06 10:00:00,41,7,5", reference=known) == ("bad_type",)


def test_columns_are_taken_by_name():
    assert reasons("4,,2023-03-06 10:00:00,3", columns=("val", "type", "at", "site")) == ()


def test_other_hours_and_zones_are_settings():
    rules = Rules(ZoneInfo("America/New_York"), time(10, 45), time(16, 15), reject_out_of_hours=True)
    assert parse_at("2023-01-09 12:00:00", rules)[0] == datetime(2023, 1, 9, 17, tzinfo=UTC)
    assert reasons("2023-01-09 10:44:59,1,1,", rules=rules) == ("out_of_hours",)
    assert reasons("2023-01-09 10:45:00,1,1,", rules=rules) == ()
