"""The edges of the rules for presses: the last good value, the first bad one, and what is kept of a row."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, time, timedelta

import pytest

from museum.kiosk import (
    BAD,
    INCIDENT_LABELS,
    KIOSK_COLUMNS,
    RATING_LABELS,
    Event,
    Reference,
    Rules,
    Verdict,
    default_reference,
    judge_line,
    parse_at,
    split_line,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
AT = datetime(2023, 3, 6, 10, tzinfo=UTC)
TWICE = datetime(2023, 10, 29, 0, 30, tzinfo=UTC)
RULES = Rules()
REFERENCE = Reference(
    sites=frozenset({0, 999_999_999}),
    ratings=frozenset({0, 3, 32_767, 32_768}),
    incident_types=frozenset({0, 1, -32_767, -32_768}),
    latest_at=NOW,
)


def judged(line: str) -> Verdict:
    return judge_line(line.encode(), KIOSK_COLUMNS, RULES, REFERENCE)


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ("0,3,", ()),
        ("999999999,3,", ()),
        ("0,32767,", ()),
        ("0,32768,", ("bad_val",)),
        ("0,-1,-32767", ()),
        ("0,-1,-32768", ("bad_type",)),
        ("\x0b0,3,", ("unknown_site",)),
        ("\t0 ,3,", ()),
    ],
)
def test_the_last_value_of_a_field_is_good(fields, reasons):
    assert judged(f"2023-03-06 10:00:00,{fields}").reasons == reasons


def test_an_empty_line_has_no_fields():
    assert split_line("") == []
    assert judged("").reasons == ("field_count",)


def test_the_latest_believable_moment_itself_is_believed():
    assert judged("2026-01-31 12:00:00,0,3,").reasons == ()
    assert judged("2026-01-31 12:00:00.000001,0,3,").reasons == ("future_at",)


@pytest.mark.parametrize(
    ("line", "event", "is_good"),
    [
        ("2023-03-06 10:00:00,0,3,", Event(AT, 0, 3, None), True),
        ("2023-03-06 10:00:00,0,-1,1", Event(AT, 0, -1, 1), True),
        ("2023-03-06 10:00:00,7,3,", Event(AT, 7, 3, None), False),
        ("2023-03-06 10:00:00,0,-1,7", Event(AT, 0, -1, 7), False),
        ("2023-03-06 10:00:00,0,3,1", None, False),
        ("2023-03-06 10:00:00,0,77,x", None, False),
        ("2023-03-06 10:00:00,x,3,", None, False),
        ("2023-03-06 10:00:00,-1,3,", None, False),
        ("2023-03-06 10:00:00,0,x,", None, False),
        ("x,0,3,", None, False),
        ("2023-10-29 01:30:00,0,-1,1", Event(TWICE, 0, -1, 1, is_ambiguous=True), True),
        ("2023-10-29 01:30:00,7,3,", Event(TWICE, 7, 3, None, is_ambiguous=True), False),
    ],
)
def test_a_well_formed_row_keeps_its_press_whatever_the_reference_says(line, event, is_good):
    verdict = judged(line)
    assert (verdict.event, verdict.is_good) == (event, is_good)


def test_a_time_that_occurs_once_is_not_ambiguous():
    assert judged("2023-03-06 10:00:00,0,3,").event.is_ambiguous is False


@pytest.mark.parametrize(
    ("text", "ahead"),
    [
        ("Z", 0),
        ("+00", 0),
        ("+01", 60),
        ("-01", -60),
        ("+01:30", 90),
        ("-0130", -90),
        ("+23:59", 1439),
        ("+10:07", 607),
    ],
)
def test_an_offset_is_hours_and_minutes(text, ahead):
    moment, is_ambiguous = parse_at(f"2023-10-29 01:30:00{text}", RULES)
    assert moment == datetime(2023, 10, 29, 1, 30, tzinfo=UTC) - timedelta(minutes=ahead)
    assert (moment.tzinfo, is_ambiguous) == (UTC, False)


@pytest.mark.parametrize("text", ["+24:00", "+24", "-24:00", "+10:60", "+99"])
def test_an_offset_of_a_day_or_of_sixty_minutes_is_bad(text):
    assert parse_at(f"2023-03-06 10:00:00{text}", RULES) == (BAD, False)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023-03-06 10:00:00.5", AT + timedelta(microseconds=500_000)),
        ("2023-03-06 10:00:00.000001", AT + timedelta(microseconds=1)),
        ("2023-03-06 10:00:00.1234567", AT + timedelta(microseconds=123_456)),
        ("2023-03-06T10:01:02", AT + timedelta(seconds=62)),
        ("06/03/2023 10:01:02", AT + timedelta(seconds=62)),
        ("06/03/2023 10:01", AT + timedelta(seconds=60)),
        ("2023-03-06 10:01", AT + timedelta(seconds=60)),
    ],
)
def test_a_time_is_read_to_the_microsecond(text, moment):
    read, is_ambiguous = parse_at(text, RULES)
    assert (read, read.tzinfo, is_ambiguous) == (moment, UTC, False)


@pytest.mark.parametrize("text", ["2023-02-30 10:00:00", "30/02/2023 10:00", "no time"])
def test_a_bad_time_is_no_ambiguous_one(text):
    assert parse_at(text, RULES) == (BAD, False)


def test_the_reference_that_stands_in_is_the_brief_s():
    reference = default_reference(frozenset({3}), NOW)
    assert reference == Reference(frozenset({3}), frozenset(RATING_LABELS), frozenset(INCIDENT_LABELS), NOW)
    assert RATING_LABELS == {0: "Terrible", 1: "Bad", 2: "Neutral", 3: "Good", 4: "Amazing"}
    assert INCIDENT_LABELS == {0: "assistance", 1: "emergency"}


def test_rows_are_judged_anew_when_rules_change_that_count():
    strict = Rules(reject_out_of_hours=True)
    assert (
        len({RULES.fingerprint, strict.fingerprint, Rules(closing=time(18), reject_out_of_hours=True).fingerprint}) == 3
    )
    assert Rules(closing=time(18)).fingerprint == RULES.fingerprint


@pytest.mark.parametrize("value", [RULES, REFERENCE, Event(AT, 0, 3, None), Verdict(None, ())])
def test_a_verdict_and_what_it_rests_on_do_not_change(value):
    with pytest.raises(FrozenInstanceError):
        setattr(value, value.__slots__[0], None)
