"""Files as people save, rename and copy them: taken where the meaning is sure, else named and refused as a whole."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from museum_case import HEADER, exhibition_json

from museum.batch.bucket_files import is_look_alike
from museum.exhibitions import parse_date

DAY = "2024-03-05"


def told(result, *words: str) -> list[str]:
    """Return the warnings that hold all these words."""
    return [line for line in result.lines if line.startswith("warning: ") and all(word in line for word in words)]


@pytest.fixture
def rooms(museum):
    """A museum that knows one exhibition, site 5."""
    museum.exhibition(5)
    return museum


# ---------------------------------------------------------------------------------------------------------------------
# Saved again
# ---------------------------------------------------------------------------------------------------------------------


def test_times_whose_seconds_a_spreadsheet_took_are_the_same_presses(rooms):
    rooms.kiosk(1, *(f"2024-03-{day:02} 15:00:00,5,3," for day in range(1, 29)))
    rooms.push()
    before = rooms.tables_with_ids()["review"]
    rooms.kiosk(1, *(f"2024-03-{day:02} 15:00,5,3," for day in range(1, 29)))
    result = rooms.push()
    assert (result.exit_code, result.load["rows_already_there"]) == (0, 28)
    assert rooms.tables_with_ids()["review"] == before


def test_a_re_save_that_spoils_the_presses_is_refused_and_removes_none(rooms):
    """As many lines as before, but none of them a press: the guard counts presses."""
    rooms.kiosk(1, *(f"2024-03-{day:02} 15:00:00,5,3," for day in range(1, 29)))
    rooms.push()
    rooms.kiosk(1, *(f"{day} Mar 2024,5,3," for day in range(1, 29)))
    refused = rooms.push()
    assert (refused.exit_code, rooms.count("review")) == (1, 28)
    assert "lmnh_hist_data_1.csv (28 presses, now 0)" in refused.last_line
    assert "--accept-shrink" in refused.last_line
    accepted = rooms.push("--accept-shrink")
    assert (accepted.exit_code, rooms.count("review")) == (3, 0)
    assert told(accepted, "lmnh_hist_data_1.csv was replaced: 28 of its presses removed, 0 stored")


def test_what_a_changed_file_removes_is_a_warning_with_counts(rooms):
    rooms.kiosk(1, *(f"{DAY} 10:00:0{n},5,3," for n in range(8)))
    rooms.push()
    rooms.kiosk(1, *(f"{DAY} 10:00:0{n},5,{4 if n < 2 else 3}," for n in range(7)))
    result = rooms.push("--log-level", "WARNING")
    assert told(result, "lmnh_hist_data_1.csv was replaced: 3 of its presses removed, 2 stored")
    rooms.kiosk(1, *(f"{DAY} 10:00:0{n},5,{4 if n < 2 else 3}," for n in range(9)))
    assert not told(rooms.push(), "was replaced")


# ---------------------------------------------------------------------------------------------------------------------
# Dates
# ---------------------------------------------------------------------------------------------------------------------


def slash_dates(form: str, days: range) -> list[str]:
    return [datetime(2023, 3, day, 12, tzinfo=UTC).strftime(form) + ",5,3," for day in days]


@pytest.mark.parametrize("form", ["%m/%d/%Y %H:%M", "%-m/%-d/%Y %H:%M:%S", '"%m/%d/%Y %H:%M"'])
def test_dates_that_prove_the_month_first_refuse_the_whole_object(rooms, form):
    """Never half of it on wrong days; rows of earlier runs stay."""
    rooms.kiosk(1, *slash_dates("%d/%m/%Y %H:%M", range(1, 29)))
    assert rooms.push().exit_code == 0
    rooms.kiosk(1, *slash_dates(form, range(1, 29)))
    result = rooms.push()
    assert (result.exit_code, rooms.count("review")) == (3, 28)
    assert rooms.rejects()["lmnh_hist_data_1.csv", "file"][1] == ["month_first"]
    assert told(result, "lmnh_hist_data_1.csv", "month first", "3/13/2023", "DD/MM/YYYY")
    assert rooms.query("select min(at), max(at) from review")[0][1] == datetime(2023, 3, 28, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    "rows",
    [
        slash_dates("%m/%d/%Y %H:%M", range(1, 13)),
        [*slash_dates("%m/%d/%Y %H:%M", range(1, 14)), "28/03/2023 12:00,5,3,"],
        [f'{DAY} 10:00:00,5,3,"a 03/13/2023"'],
        [f"{DAY} 10:00:00,5,3,03/13/20231"],
    ],
    ids=["none proves it", "one proves the day first", "within a text", "a longer number"],
)
def test_dates_that_do_not_prove_it_are_judged_row_by_row(rooms, rows):
    rooms.kiosk(1, *rows)
    rooms.push()
    assert ("lmnh_hist_data_1.csv", "file") not in rooms.rejects()


def test_a_date_that_lies_across_two_blocks_proves_it_too(rooms, monkeypatch):
    monkeypatch.setattr("museum.batch.kiosk_files.BLOCK_BYTES", 64)
    for shift in range(60):
        rooms.write("lmnh_hist_data_1.csv", HEADER + "x" * shift + ",,,\n03/28/2023 12:00,5,3,\n" + "y,,,\n" * 20)
        assert rooms.run("transform").figures["transform"]["rejected_by_reason"] == {"month_first": 1}, shift


def test_a_file_of_blank_beginnings_and_slash_dates_is_looked_through(rooms):
    """Rows keep their numbers whatever stands before the header."""
    rows = slash_dates("%d/%m/%Y %H:%M:%S", range(1, 29))
    for number, begin in enumerate(("", "\n", "\r\n\r\n", " \t\n", "\ufeff", "\ufeff\n \n")):
        rooms.write(f"lmnh_hist_data_{number}.csv", begin + HEADER + "\n".join([*rows[:5], "bad,5,3,", *rows[5:]]))
    assert rooms.push().exit_code == 3
    assert rooms.query("select key, rows, stored from event_source order by 1") == [
        (f"lmnh_hist_data_{number}.csv", 29, 28) for number in range(6)
    ]
    assert {(position, raw) for (_, position), (raw, _) in rooms.rejects().items()} == {("6", b"bad,5,3,")}


def test_times_of_another_age_are_rejected_and_the_first_day_is_a_setting(rooms, monkeypatch):
    rooms.kiosk(1, "0024-03-06 12:00:00,5,3,", "1999-12-31 23:59:59,5,3,", "2000-01-01 00:00:00,5,3,")
    result = rooms.push()
    assert (result.exit_code, rooms.count("review")) == (3, 1)
    assert result.load["rejected_by_reason"] == {"too_old": 2}
    monkeypatch.setenv("MUSEUM_EARLIEST_DATE", "1999-12-31")
    again = rooms.push()
    assert (again.exit_code, again.load["rows_stored"], rooms.count("review")) == (0, 1, 2)


@pytest.mark.parametrize("earliest", ["2000-01-01", "1900-01-01", "2024-03-31", "2024-10-27"])
def test_the_fast_way_and_the_rules_agree_about_what_is_too_old(rooms, monkeypatch, earliest):
    """The fast way knows the first form of each moment, only the rules the second."""
    monkeypatch.setenv("MUSEUM_EARLIEST_DATE", earliest)
    moments = [
        f"{day} {clock}"
        for day in ("1899-12-31", "1900-01-01", "1999-12-31", "2000-01-01", "2024-03-30", "2024-03-31", "2024-10-27")
        for clock in ("00:00:00", "00:30:00", "12:00:00", "23:59:59")
    ]
    rooms.kiosk(1, *(f"{moment},5,3," for moment in moments))
    rooms.kiosk(2, *(f"{moment}.0,5,3," for moment in moments))
    rooms.push()
    of_key = "select position from review join event_source using (source_id) where key = %s order by 1"
    fast, slow = (rooms.query(of_key, (f"lmnh_hist_data_{number}.csv",)) for number in (1, 2))
    assert fast == slow != []


# ---------------------------------------------------------------------------------------------------------------------
# Copies and near misses
# ---------------------------------------------------------------------------------------------------------------------

ROWS = (f"{DAY} 10:00:00,5,3,", f"{DAY} 10:00:01,5,-1,1", f"{DAY} 10:00:02,5,99,")


def test_the_same_bytes_under_another_key_are_loaded_with_a_warning(rooms):
    """Two kiosks may say the same; the warning comes when the copy is loaded, and names both."""
    rooms.kiosk(1, *ROWS)
    rooms.kiosk(2, *ROWS)
    result = rooms.push("--log-level", "WARNING")
    assert told(result, "lmnh_hist_data_2.csv holds the same bytes as lmnh_hist_data_1.csv", "--skip-copies")
    assert (rooms.count("review"), rooms.count("incident")) == (2, 2)
    assert not told(rooms.push(), "same bytes")


def test_skip_copies_takes_the_first_only(rooms):
    rooms.kiosk(9, *ROWS)
    rooms.kiosk(10, *ROWS)
    rooms.kiosk(11)
    rooms.kiosk(12)
    for _twice in range(2):
        result = rooms.push("--skip-copies")
        assert told(result, "lmnh_hist_data_10.csv holds the same bytes as", "lmnh_hist_data_9.csv: left out")
        assert list(result.load["copies"]) == ["lmnh_hist_data_10.csv"]
        assert (rooms.count("review"), rooms.count("incident"), rooms.count("event_source")) == (1, 1, 3)
        assert set(rooms.rejects()) == {("lmnh_hist_data_9.csv", "3")}
    assert result.load["rows_in"] == 3
    assert rooms.push().load["rows_stored"] == 2, "without the flag it is loaded after all"


def test_a_renamed_object_is_a_copy_of_the_one_that_is_gone(rooms):
    first = rooms.kiosk(1, *ROWS)
    rooms.push()
    first.rename(first.with_name("lmnh_hist_data_7.csv"))
    result = rooms.push("--skip-copies", "--bucket", "sigma-resources-museum")
    assert told(result, "lmnh_hist_data_7.csv holds the same bytes as", "lmnh_hist_data_1.csv: left out")
    assert rooms.count("review") == 1
    assert told(rooms.push(), "lmnh_hist_data_7.csv holds the same bytes as s3://", "its presses count too")
    assert rooms.count("review") == 2


def test_files_that_were_rotated_are_no_copies(rooms):
    """What was the first file's content is the second's now, and the first one has another."""
    rooms.kiosk(1, *ROWS)
    rooms.push()
    rooms.kiosk(2, *ROWS)
    rooms.kiosk(1, f"{DAY} 11:00:00,5,3,", f"{DAY} 11:00:01,5,-1,1")
    result = rooms.push("--skip-copies")
    assert not told(result, "same bytes")
    assert (rooms.count("review"), rooms.count("incident")) == (2, 2)


def test_a_plain_file_that_the_bucket_has_too_is_named(rooms, tmp_path):
    path = rooms.kiosk(1, *ROWS)
    rooms.push()
    plain = tmp_path / "visits.csv"
    plain.write_bytes(path.read_bytes())
    result = rooms.run("load", "--kiosk-csv", str(plain), *rooms.database_flags)
    assert told(result, "visits.csv holds the same bytes as s3://", "lmnh_hist_data_1.csv")


LOOK_ALIKES = [
    "lmnh_hist_data_2.CSV", "lmnh_hist_data_2024-01.csv", "lmnh_exhibition_deep_sea.json", "lmnh_hist_data_3.csv.gz",
    "lmnh_hist_data_3.csv/part-0", "lmnh/hist_data_4.csv", "lmnh_hist_data_5", "lmnh_hist_data_6.xlsx",
    "lmnh_kiosk.tsv", "lmnh_exhibition_dino.JSON", "lmnh_exhibition_dino.jsonl",
]  # fmt: skip


@pytest.mark.parametrize("key", LOOK_ALIKES)
def test_a_near_miss_is_named_with_the_pattern(museum, bucket, key):
    bucket.put("lmnh_exhibition_five.json", exhibition_json(5))
    bucket.put(key, HEADER)
    result = museum.run_all("--log-level", "WARNING")
    (warning,) = told(result, key, "is not taken")
    assert "lmnh_hist_data_N.csv or lmnh_exhibition_NAME.json" in warning


@pytest.mark.parametrize("key", ["lmnh_exhibition", "lmnh_exhibition_dino.txt", "lmnh_old_video.mp4", "lmnh_notes.txt"])
def test_what_nobody_takes_for_data_is_no_near_miss(key):
    assert not is_look_alike(key)


# ---------------------------------------------------------------------------------------------------------------------
# Exhibitions
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"EXHIBITION_ID": "EXH_05", "EXHIBITION_NAME": "A", "EXHIBITION_NAME": "B"}',
        '{"EXHIBITION_ID": "EXH_05", "EXHIBITION_NAME": "A", "exhibition_name": "A"}',
        '[{"EXHIBITION_ID": "EXH_06", "EXHIBITION_NAME": "C"}, {"EXHIBITION_ID": "EXH_05", "EXHIBITION_ID": "EXH_07"}]',
    ],
)
def test_a_field_that_is_there_twice_says_two_things(museum, text):
    museum.write("lmnh_exhibition_twice.json", text)
    result = museum.push()
    assert result.exit_code == 3
    assert [reasons for _, reasons in museum.rejects().values()] == [["repeated_field"]]
    assert told(result, "lmnh_exhibition_twice.json", "repeated_field")
    assert museum.count("exhibition") == text.count("EXH_06")


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("1/7/19", "2019-07-01"), ("01/07/68", "1968-07-01"), ("01/07/49", "2049-07-01"), ("1/7/1868", "1868-07-01"),
        ("01/07/50", "1950-07-01"), ("29/2/24", "2024-02-29"), ("2019-07-01", "2019-07-01"), ("31/02/2019", None),
        ("13/13/19", None), ("1/7/019", None), ("2019-7-1", None), ("1.7.19", None), ("01/07/0000", None),
    ],
)  # fmt: skip
def test_start_dates_are_read_day_first_with_or_without_zeros(text, iso):
    found = parse_date(text)
    assert (found.isoformat() if found else None) == iso


def test_texts_of_exhibitions_keep_no_control_character(museum):
    """A soft line break from a slide becomes a blank, what stands for no character goes, and both are told."""
    name = "Deep\x0bSea\x07 \ufdd0of \U0001fffeEels\u202e"
    texts = {"EXHIBITION_NAME": name, "DEPARTMENT": "A\u2028B", "DESCRIPTION": "a\x0bb\r\nc\td\x85"}
    museum.exhibition(1, FLOOR=["G\x0b1", "2"], **texts)
    result = museum.push()
    assert result.exit_code == 0
    info = museum.query("select exhibition_name, floors, department_name, description from exhibition_info")
    assert info == [("Deep Sea of Eels", "2, G 1", "A B", "a\nb\nc\td")]
    assert told(result, "control characters taken out of department, description, exhibition_name, floor")
    assert museum.push().load["exhibition_rows_written"] == 0


def test_a_name_of_control_characters_only_is_missing(museum):
    museum.exhibition(1, EXHIBITION_NAME="\x0b\x07\ufdd0")
    assert museum.push().exit_code == 3
    assert [reasons for _, reasons in museum.rejects().values()] == [["missing_exhibition_name"]]


def test_no_control_or_non_character_is_stored_whatever_the_text(museum):
    """Of every such code point, in each text field."""
    codes = [*range(1, 32), *range(127, 160), *range(0xFDD0, 0xFDF0), *range(0xFFFE, 0x110000, 0x10000)]
    points = [chr(code) for code in [*codes, *range(0xFFFF, 0x110000, 0x10000)]]
    assert len(points) == 31 + 33 + 66
    text = f"x{'x'.join(points)}x"
    museum.exhibition(1, EXHIBITION_NAME=text, FLOOR=text, DEPARTMENT=text, DESCRIPTION=text)
    assert museum.push().exit_code == 0
    (stored,) = museum.query("select exhibition_name, floors, department_name, description from exhibition_info")
    for kept in stored:
        assert set(kept) <= {"x", " ", "\n", "\t"}
        assert kept.count("x") == len(points) + 1


@pytest.mark.parametrize(
    ("field", "reason"),
    [("EXHIBITION_NAME", "bad_exhibition_name"), ("DEPARTMENT", "bad_department"), ("FLOOR", "bad_floor")],
)
def test_a_name_that_no_index_takes_is_rejected_and_stops_nobody(rooms, field, reason):
    rooms.kiosk(1, *ROWS)
    rooms.exhibition(6, **{field: "".join(chr(0x4E00 + n) for n in range(501))})
    result = rooms.push()
    assert (result.exit_code, rooms.count("exhibition"), rooms.count("review")) == (3, 1, 1)
    assert rooms.rejects()["lmnh_exhibition_number6.json", "record 1"][1] == [reason]
    rooms.exhibition(6, **{field: "".join(chr(0x1F300 + n) for n in range(500))})
    rooms.push()
    assert rooms.count("exhibition") == 2


# ---------------------------------------------------------------------------------------------------------------------
# What the commands say of it
# ---------------------------------------------------------------------------------------------------------------------


def test_a_plain_file_with_semicolons_is_told_what_is_wrong(rooms, tmp_path):
    path = tmp_path / "visits.csv"
    path.write_text("at;site;val;type\n2024-03-05 10:00:00;5;3;\n")
    result = rooms.run("load", "--kiosk-csv", str(path), *rooms.database_flags)
    assert result.exit_code == 3
    assert told(result, "visits.csv", "expected at, site, val, type", "separated by commas")
