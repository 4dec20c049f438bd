"""The edges of the rules for exhibitions: what is the last good value, what is kept, and where a record stands."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from datetime import date

import pytest

from museum.exhibitions import (
    Exhibition,
    ParsedExhibitions,
    RejectedExhibition,
    last_of_each,
    parse_date,
    parse_exhibition_file,
    site_of_code,
)

RECORD = {"exhibition_id": "EXH_01", "exhibition_name": "Room"}


def parsed(*records, alone=False):
    found = ParsedExhibitions()
    parse_exhibition_file("key", json.dumps(records[0] if alone else list(records)).encode(), found)
    return found


def exhibition(**changes):
    """Return the exhibition that a record becomes."""
    (found,) = parsed({**RECORD, **changes}).exhibitions
    return found


def test_records_are_counted_from_one_and_a_whole_file_is_none():
    found = parsed(RECORD, {}, 3, RECORD)
    assert [record.position for record in found.exhibitions] == [1, 4]
    assert [(reject.position, reject.raw) for reject in found.rejects] == [(2, b"{}"), (3, b"3")]
    parse_exhibition_file("bad", b"{", found)
    parse_exhibition_file("worse", b"\xff", found)
    assert found.rejects[2:] == [
        RejectedExhibition("bad", 0, b"{", ("not_json",)),
        RejectedExhibition("worse", 0, b"\xff", ("bad_encoding",)),
    ]


def test_a_reject_keeps_the_text_of_its_own_record():
    found = parsed({"exhibition_id": "é", "exhibition_name": "Room"}, RECORD)
    assert found.rejects[0].raw.decode() == '{"exhibition_id": "é", "exhibition_name": "Room"}'
    alone = parsed({"a": 1}, alone=True)
    assert alone.rejects[0].raw == b'{"a": 1}'
    assert alone.unknown_keys == {"key": {"a"}}


def test_the_parts_of_a_record_are_kept():
    record = {
        "exhibition_id": " exh_7 ", "exhibition_name": " Room ", "floor": ["1", 2, "1", " ", None][:4],
        "department": " Zoology ", "start_date": "01/07/19", "description": "",
    }  # fmt: skip
    found = exhibition(**record)
    assert found == Exhibition("EXH_7", "Room", ("1", "2"), "Zoology", date(2019, 7, 1), None, "", 0)
    assert (found.key, found.position, found.site) == ("key", 1, 7)
    assert exhibition(department="", floor=None) == Exhibition("EXH_01", "Room", (), None, None, None, "", 0)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"exhibition_id": None}, ("missing_exhibition_id",)),
        ({"exhibition_id": " "}, ("missing_exhibition_id",)),
        ({"exhibition_id": 7}, ("bad_exhibition_id",)),
        ({"exhibition_id": "EXH_1234567890"}, ("bad_exhibition_id",)),
        ({"exhibition_name": " "}, ("missing_exhibition_name",)),
        ({"exhibition_name": 7}, ("bad_exhibition_name",)),
        ({"floor": True}, ("bad_floor",)),
        ({"floor": 1.5}, ("bad_floor",)),
        ({"floor": "1;2"}, ("bad_floor",)),
        ({"start_date": "soon", "exhibition_id": "x"}, ("bad_exhibition_id", "bad_start_date")),
        ({"start_date": 3}, ("bad_start_date",)),
    ],
)
def test_a_field_that_cannot_be_used_is_a_reason(changes, reasons):
    assert parsed({**RECORD, **changes}).rejects[0].reasons == reasons


def test_the_largest_code_is_a_site():
    assert exhibition(exhibition_id="EXH_999999999").site == site_of_code("EXH_999999999") == 999_999_999
    with pytest.raises(ValueError, match="EXH_x"):
        site_of_code("EXH_x")


def test_of_different_descriptions_the_last_wins_and_each_loser_is_told():
    one, same, two, other = (
        exhibition(exhibition_name=name, exhibition_id=code)
        for name, code in (("One", "EXH_02"), ("One", "EXH_02"), ("Two", "EXH_02"), ("Other", "EXH_01"))
    )
    assert last_of_each([one, same, two, other]) == ([other, two], [(same, two)])


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1/7/19", date(2019, 7, 1)),
        ("1/7/9", None),
        ("2019-07-01x", None),
        ("31/12/1999", date(1999, 12, 31)),
        ("30/02/19", None),
        ("", None),
    ],
)
def test_a_date_is_written_day_first_or_iso(text, meant):
    assert parse_date(text) == meant


@pytest.mark.parametrize("record", [exhibition(), RejectedExhibition("key", 1, b"", ())])
def test_a_record_does_not_change(record):
    with pytest.raises(FrozenInstanceError):
        record.key = "another"


def test_line_ends_stay_in_a_description_and_nowhere_else():
    found = exhibition(exhibition_name="Room\nOne", department="Zoo\r\nlogy", description="first\r\nsecond\x0bthird")
    assert (found.name, found.department, found.description) == ("Room One", "Zoo logy", "first\nsecond\nthird")


def test_what_was_cleaned_is_told_by_field_and_the_rest_is_not():
    found = parsed({**RECORD, "description": "a\x07b", "floor": ["1\x07", "2"], "department": "Zoology"})
    assert found.cleaned == {"key": {"description", "floor"}}
    assert found.exhibitions[0].floors == ("1", "2")
    assert parsed({**RECORD, "floor": ["1", "2"]}).cleaned == {}


@pytest.mark.parametrize("character", ["\ufffe", "\uffff", "\U0001fffe", "\U0001ffff", "\U0010fffe", "\U0010ffff"])
def test_what_is_no_character_is_taken_out_on_every_plane(character):
    assert exhibition(exhibition_name=f"Ro{character}om").name == "Room"


@pytest.mark.parametrize("neighbour", ["\U0001fffd", "\U00020000", "\U0010fffd"])
def test_its_neighbours_stay(neighbour):
    assert exhibition(exhibition_name=f"Ro{neighbour}om").name == f"Ro{neighbour}om"


@pytest.mark.parametrize("field", ["exhibition_name", "department", "floor"])
def test_a_name_may_be_as_long_as_the_limit(field):
    assert parsed({**RECORD, field: "x" * 500}).rejects == []
    assert len(parsed({**RECORD, field: "x" * 501}).rejects) == 1


@pytest.mark.parametrize(("year", "meant"), [("49", 2049), ("50", 1950), ("51", 1951)])
def test_two_digits_of_a_year_turn_at_fifty(year, meant):
    assert parse_date(f"01/07/{year}") == date(meant, 7, 1)


@pytest.mark.parametrize(
    "twice", ['"FLOOR": "1", "floor": "2"', '"floor": "1", " floor ": "1"', '"floor": "1", "floor": "1"']
)
def test_a_field_that_is_there_twice_is_refused(twice):
    found = ParsedExhibitions()
    text = f'[{{"exhibition_id": "EXH_01", "exhibition_name": "Room", {twice}}}, {json.dumps(RECORD)}]'
    parse_exhibition_file("key", text.encode(), found)
    assert [reject.reasons for reject in found.rejects] == [("repeated_field",)]
    assert [record.position for record in found.exhibitions] == [2]
