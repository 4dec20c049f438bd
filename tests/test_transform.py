"""The transform on real files: every trap of the kiosk and exhibition files."""

from __future__ import annotations

import csv
import json
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from museum_case import HEADER, exhibition_json

from museum.batch.judging import FileToJudge
from museum.batch.rejects import read_rejected_rows
from museum.kiosk import Rules

DAY = "2023-03-06"


def combined(museum) -> list[dict[str, str]]:
    with (museum.combined_dir / "combined_museum_data.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def combined_exhibitions(museum) -> list[dict[str, str]]:
    with (museum.combined_dir / "combined_exhibition_data.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def rejected(museum) -> list[tuple[str, int, tuple[str, ...]]]:
    return [(row.object, row.row, row.reasons) for row in read_rejected_rows(museum.combined_dir)]


@pytest.fixture
def rooms(museum):
    for site in range(3):
        museum.exhibition(site)
    return museum


def test_the_combined_file_is_sorted_by_time_with_its_provenance(rooms):
    rooms.kiosk(0, f"{DAY} 12:00:00,1,3,", f"{DAY} 09:00:00,1,-1,1.0")
    rooms.kiosk(1, "2023-07-06 10:00:00,2,0,", f"{DAY} 12:00:00,0,4,")
    assert rooms.run("transform").exit_code == 0
    assert [list(row.values()) for row in combined(rooms)] == [
        ["2023-03-06 09:00:00+00:00", "1", "-1", "1", "lmnh_hist_data_0.csv", "2"],
        ["2023-03-06 12:00:00+00:00", "1", "3", "", "lmnh_hist_data_0.csv", "1"],
        ["2023-03-06 12:00:00+00:00", "0", "4", "", "lmnh_hist_data_1.csv", "2"],
        ["2023-07-06 10:00:00+01:00", "2", "0", "", "lmnh_hist_data_1.csv", "1"],
    ]
    assert list(combined(rooms)[0]) == ["at", "site", "val", "type", "object", "row"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("CRLF", "at,site,val,type\r\n2023-03-06 10:00:00,1,3,\r\n2023-03-06 10:00:01,1,3,\r\n"),
        ("CR", "at,site,val,type\r2023-03-06 10:00:00,1,3,\r2023-03-06 10:00:01,1,3,\r"),
        ("mixed ends", "at,site,val,type\n2023-03-06 10:00:00,1,3,\r\n2023-03-06 10:00:01,1,3,\r"),
        ("BOM", "\ufeffat,site,val,type\n2023-03-06 10:00:00,1,3,\n2023-03-06 10:00:01,1,3,\n"),
        ("all", '\ufeff"at","site","val","type"\r\n"2023-03-06 10:00:00","1","3",""\r\n06/03/2023 10:00:01,1,3,'),
        ("no final newline", "at,site,val,type\n2023-03-06 10:00:00,1,3,\n2023-03-06 10:00:01,1,3,"),
        ("quoted", 'at,site,val,type\n"2023-03-06 10:00:00","1","3",""\n2023-03-06 10:00:01,1,"3",\n'),
        ("blank lines", "at,site,val,type\n\n2023-03-06 10:00:00,1,3,\n\n\n2023-03-06 10:00:01,1,3,\n\n"),
        ("other order", "TYPE,Val,SITE, At \n,3,1,2023-03-06 10:00:00\n,3,1,2023-03-06 10:00:01\n"),
        ("floats", "at,site,val,type\n2023-03-06 10:00:00,1.0,3.0,\n2023-03-06 10:00:01,1,3.0,\n"),
        ("T and Z", "at,site,val,type\n2023-03-06T10:00:00,1,3,\n2023-03-06T10:00:01Z,1,3,\n"),
        ("day first", "at,site,val,type\n06/03/2023 10:00,1,3,\n06/03/2023 10:00:01,1,3,\n"),
    ],
)  # fmt: skip
def test_every_form_of_a_good_file_gives_the_same_rows(rooms, name, content):
    rooms.write("lmnh_hist_data_0.csv", content)
    result = rooms.run("transform")
    assert result.exit_code == 0, rejected(rooms)
    assert [(row["at"], row["site"], row["val"], row["type"], row["row"]) for row in combined(rooms)] == [
        ("2023-03-06 10:00:00+00:00", "1", "3", "", "1"),
        ("2023-03-06 10:00:01+00:00", "1", "3", "", "2"),
    ]


def test_a_stray_quote_spoils_one_row_and_not_the_rest(rooms):
    rooms.kiosk(0, f'"{DAY} 10:00:00,1,3,', f"{DAY} 10:00:01,1,3,", f'{DAY} 10:00:02,1,3,"')
    rooms.run("transform")
    assert [row["row"] for row in combined(rooms)] == ["2"]
    assert rejected(rooms) == [
        ("lmnh_hist_data_0.csv", 1, ("field_count",)),
        ("lmnh_hist_data_0.csv", 3, ("field_count",)),
    ]


def test_more_than_ten_files_in_natural_order(rooms):
    for number in (10, 9, 2, 11, 100):
        rooms.kiosk(number, f"{DAY} 10:00:00,1,3,")
    rooms.run("transform")
    assert [row["object"] for row in combined(rooms)] == [f"lmnh_hist_data_{n}.csv" for n in (2, 9, 10, 11, 100)]


def test_only_exact_names_are_data_and_the_others_are_named(rooms):
    rooms.kiosk(0, f"{DAY} 10:00:00,1,3,")
    for key in (
        "lmnh_exhibition",
        "lmnh_exhibition_dino.txt",
        "lmnh_hist_data_.csv",
        "lmnh_hist_data_1.csv.bak",
        "LMNH_hist_data_2.csv",
        "lms_hist_data_3.csv",
        "lmnh_exhibition_a.b.json",
        "xlmnh_hist_data_4.csv",
        "lmnh_hist_data_5_csv",
        "combined_museum_data.csv",
    ):
        rooms.write(key, HEADER + f"{DAY} 10:00:00,1,3,\n")
    result = rooms.run("transform")
    assert len(combined(rooms)) == 1
    assert len(result.figures["transform"]["ignored"]) == 10
    assert any("lmnh_exhibition_dino.txt" in line for line in result.lines)


def test_unchanged_input_leaves_the_combined_files_untouched(rooms):
    rooms.kiosk(0, f"{DAY} 10:00:00,1,3,", "x,1,3,")
    assert rooms.run("transform").exit_code == 3
    before = {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in rooms.combined_dir.iterdir()}
    second = rooms.run("transform")
    assert second.exit_code == 0
    assert second.last_line.startswith("Nothing new")
    assert {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in rooms.combined_dir.iterdir()} == before
    rooms.kiosk(0, f"{DAY} 10:00:00,1,4,")
    assert rooms.run("transform").exit_code == 0
    assert combined(rooms)[0]["val"] == "4"


def test_an_edited_combined_file_is_made_anew(rooms):
    rooms.kiosk(0, f"{DAY} 10:00:00,1,3,")
    rooms.run("transform")
    (rooms.combined_dir / "combined_museum_data.csv").write_text("rubbish")
    rooms.run("transform")
    assert combined(rooms)[0]["val"] == "3"


def test_without_a_database_the_exhibition_files_and_labels_stand_in(rooms):
    rooms.kiosk(0, f"{DAY} 10:00:00,2,4,", f"{DAY} 10:00:01,3,4,", f"{DAY} 10:00:02,2,5,", f"{DAY} 10:00:03,2,-1,2")
    rooms.run("transform")
    assert rejected(rooms) == [
        ("lmnh_hist_data_0.csv", 2, ("unknown_site",)),
        ("lmnh_hist_data_0.csv", 3, ("bad_val",)),
        ("lmnh_hist_data_0.csv", 4, ("bad_type",)),
    ]
    assert len(combined(rooms)) == 4, "a well-formed row stays in the combined file; the load asks the database"


def test_the_repeated_autumn_hour_is_counted_and_the_skipped_spring_hour_is_bad(rooms):
    rooms.kiosk(0, "2023-10-29 01:30:00,1,3,", "2023-03-26 01:30:00,1,3,", "2023-10-29 12:00:00,1,3,")
    result = rooms.run("transform")
    assert result.figures["transform"]["ambiguous_hour"] == 1
    assert rejected(rooms) == [("lmnh_hist_data_0.csv", 2, ("bad_at",))]
    assert [row["at"] for row in combined(rooms)] == ["2023-10-29 01:30:00+01:00", "2023-10-29 12:00:00+00:00"]


def test_times_with_an_offset_are_shown_in_museum_time_and_sorted_as_moments(rooms):
    rooms.kiosk(0, "2023-07-05T17:30:00Z,1,3,", "2023-07-05 18:29:00,1,2,", "2023-07-05T23:00:00.25+05:30,1,1,")
    rooms.run("transform")
    assert [(row["at"], row["val"]) for row in combined(rooms)] == [
        ("2023-07-05 18:29:00+01:00", "2"),
        ("2023-07-05 18:30:00+01:00", "3"),
        ("2023-07-05 18:30:00.25+01:00", "1"),
    ]


def test_a_header_alone_is_a_file_without_rows(rooms):
    rooms.write("lmnh_hist_data_0.csv", "at,site,val,type")
    result = rooms.run("transform")
    assert (result.exit_code, result.figures["transform"]["rows_in"]) == (0, 0)


def test_a_line_of_more_than_a_mebibyte_rejects_its_file(rooms):
    rooms.write("lmnh_hist_data_0.csv", HEADER + "x" * 3_000_000 + "\n")
    rooms.kiosk(1, f"{DAY} 10:00:00,1,3,", "y" * 900_000)
    result = rooms.run("transform")
    assert result.exit_code == 3
    assert rejected(rooms) == [
        ("lmnh_hist_data_0.csv", 0, ("overlong_line",)),
        ("lmnh_hist_data_1.csv", 2, ("field_count",)),
    ]
    assert len(combined(rooms)) == 1


def test_row_numbers_hold_over_many_blocks(rooms):
    good = f"{DAY} 10:00:00,1,3,\n"
    content = HEADER + (good * 99_999 + "x,1,3,\r\n") * 3 + good
    path = rooms.write("lmnh_hist_data_0.csv", content)
    assert path.stat().st_size > 6_000_000
    rooms.run("transform")
    assert rejected(rooms) == [("lmnh_hist_data_0.csv", number * 100_000, ("bad_at",)) for number in (1, 2, 3)]
    assert max(int(row["row"]) for row in combined(rooms)) == 300_001


def test_the_rejects_file_keeps_the_original_bytes(rooms):
    rooms.write("lmnh_hist_data_0.csv", HEADER.encode() + b'=1+1,"a""b",\xe2\x82\xac,\\.\n\xff\x00,1\n')
    rooms.run("transform")
    assert [row.raw for row in read_rejected_rows(rooms.combined_dir)] == [
        b'=1+1,"a""b",\xe2\x82\xac,\\.',
        b"\xff\x00,1",
    ]


def test_the_content_hash_names_the_bytes_and_the_rules(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(HEADER)
    found = FileToJudge.read("x.csv", path, Rules())
    assert found.content_hash.startswith(f"sha256:{found.file.sha256} under rules ")
    others = (Rules(reject_out_of_hours=True), Rules(earliest=date(1999, 1, 1)), Rules(ZoneInfo("Europe/Paris")))
    assert len({FileToJudge.read("x.csv", path, rules).content_hash for rules in (Rules(), *others)}) == 4


def test_exhibition_columns_are_lower_case_and_the_id_is_called_code(museum):
    museum.exhibition(3)
    museum.run("transform")
    assert combined_exhibitions(museum) == [
        {
            "exhibition_name": "Room 3",
            "exhibition_code": "EXH_03",
            "floor": "1",
            "department": "Zoology",
            "start_date": "2019-07-01",
            "description": 'A room, with "quotes", commas\nand lines',
            "object": "lmnh_exhibition_number3.json",
            "record": "1",
        }
    ]


@pytest.mark.parametrize(
    ("content", "reasons"),
    [
        (b"", ["not_json"]),
        (b'{"EXHIBITION_ID": ', ["not_json"]),
        (b"[" * 100_000, ["not_json"]),
        (b"\xff\xfe", ["bad_encoding"]),
        (b"3", ["not_an_object"]),
        (b'["EXH_01"]', ["not_an_object"]),
        (b"{}", ["missing_exhibition_id", "missing_exhibition_name"]),
        (exhibition_json(1, EXHIBITION_ID="EXH_1x").encode(), ["bad_exhibition_id"]),
        (exhibition_json(1, EXHIBITION_ID=1).encode(), ["bad_exhibition_id"]),
        (exhibition_json(1, EXHIBITION_ID="").encode(), ["missing_exhibition_id"]),
        (exhibition_json(1, EXHIBITION_NAME=None).encode(), ["missing_exhibition_name"]),
        (exhibition_json(1, EXHIBITION_NAME=["x"]).encode(), ["bad_exhibition_name"]),
        (exhibition_json(1, FLOOR={"a": 1}).encode(), ["bad_floor"]),
        (exhibition_json(1, FLOOR=["1", None]).encode(), ["bad_floor"]),
        (exhibition_json(1, START_DATE="2019-13-01").encode(), ["bad_start_date"]),
        (exhibition_json(1, START_DATE="13/13/19").encode(), ["bad_start_date"]),
        (exhibition_json(1, START_DATE=20190701).encode(), ["bad_start_date"]),
        (exhibition_json(1, DEPARTMENT="x\x00").encode(), ["bad_department"]),
        (exhibition_json(1, DESCRIPTION=3.5).encode(), ["bad_description"]),
        (b'{"EXHIBITION_ID": "EXH_01", "EXHIBITION_NAME": "\\ud800"}', ["bad_exhibition_name"]),
        (b'{"EXHIBITION_ID": NaN, "EXHIBITION_NAME": Infinity}', ["bad_exhibition_id", "bad_exhibition_name"]),
    ],
)  # fmt: skip
def test_a_bad_exhibition_is_rejected_and_the_others_stay(museum, content, reasons):
    museum.exhibition(2)
    museum.write("lmnh_exhibition_bad.json", content)
    assert museum.run("transform").exit_code == 3
    assert [list(row.reasons) for row in read_rejected_rows(museum.combined_dir)] == [reasons]
    assert [row["exhibition_code"] for row in combined_exhibitions(museum)] == ["EXH_02"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("23/08/21", "2021-08-23"),
        ("01/07/19", "2019-07-01"),
        ("01/02/2023", "2023-02-01"),
        ("2021-05-12", "2021-05-12"),
    ],
)
def test_start_dates_are_day_first(museum, written, meant):
    museum.exhibition(1, START_DATE=written)
    museum.run("transform")
    assert combined_exhibitions(museum)[0]["start_date"] == meant


def test_keys_come_in_any_order_and_case_and_unknown_ones_are_named(museum):
    museum.write(
        "lmnh_exhibition_x.json",
        json.dumps({"curator": "Ann", "Floor": 2, "exhibition_name": "Lower", "Exhibition_Id": "exh_07"}),
    )
    result = museum.run("transform")
    found = combined_exhibitions(museum)[0]
    assert (found["exhibition_name"], found["exhibition_code"], found["floor"]) == ("Lower", "EXH_07", "2")
    assert any("curator" in line for line in result.lines)


def test_described_twice_differently_the_last_in_natural_order_wins_and_is_reported(museum):
    museum.exhibition(1, "lmnh_exhibition_10.json", EXHIBITION_NAME="Ten")
    museum.exhibition(1, "lmnh_exhibition_9.json", EXHIBITION_NAME="Nine")
    museum.exhibition(1, "lmnh_exhibition_8.json", EXHIBITION_NAME="Nine")
    result = museum.run("transform")
    assert result.exit_code == 0
    assert [row["exhibition_name"] for row in combined_exhibitions(museum)] == ["Ten"]
    assert len(result.figures["transform"]["described_differently"]) == 1


def test_a_missing_folder_is_one_clear_line(museum):
    museum.bucket_dir.rmdir()
    result = museum.run("transform")
    assert result.exit_code == 1
    assert "bucket_data" in result.figures["error"]


def test_a_large_file_is_merged_in_little_memory(rooms):
    """DuckDB takes a CSV for a few rows; unless told otherwise it would hold all of it to join a small lookup."""
    rows = 3_000_000
    rooms.write("lmnh_hist_data_0.csv", HEADER + f"{DAY} 10:00:00,1,3,\n" * rows)
    result = rooms.run("transform")
    assert result.exit_code == 0, result.figures
    assert result.figures["transform"]["rows_in"] == rows


@pytest.mark.parametrize(
    ("at", "zone"),
    [("0001-01-01T00:00:00Z", "Europe/London"), ("9999-12-31T23:59:59Z", "Asia/Tokyo"), ("2023-03-06 24:00:00", "UTC")],
)
def test_a_time_at_the_edge_of_the_calendar_stops_nothing(rooms, monkeypatch, at, zone):
    monkeypatch.setenv("MUSEUM_TIMEZONE", zone)
    rooms.kiosk(0, f"{at},1,3,", f"{DAY} 10:00:00,1,3,")
    assert rooms.run("transform").exit_code == 3
    assert rejected(rooms) == [("lmnh_hist_data_0.csv", 1, ("bad_at",))]


@pytest.mark.parametrize(
    ("blocks", "reason"), [((1_000_000, 1_000_000), "overlong_line"), ((1_048_576,), "field_count")]
)
def test_a_long_line_is_found_wherever_it_begins(rooms, blocks, reason):
    filler = (f"{DAY} 10:00:00,1,3,\n" * 60_000)[:600_000].rsplit("\n", 1)[0] + "\n"
    rooms.write("lmnh_hist_data_0.csv", HEADER + filler + "x" * sum(blocks) + "\n")
    rooms.run("transform")
    assert [reasons for _, _, reasons in rejected(rooms)] == [(reason,)]


def test_millions_of_blank_lines_are_no_rows(rooms):
    rooms.write(
        "lmnh_hist_data_0.csv", HEADER + "\n" * 2_100_000 + f"{DAY} 10:00:00,1,3,\n" + "\r\n" * 3_000_000 + "x,1,3,"
    )
    rooms.run("transform")
    assert [row["row"] for row in combined(rooms)] == ["1"]
    assert rejected(rooms) == [("lmnh_hist_data_0.csv", 2, ("bad_at",))]


def test_a_fifth_field_is_one_field_too_many_whatever_it_holds(rooms):
    rooms.kiosk(0, *(f"{DAY} 10:00:00,1,3,,{byte}" for byte in ("\x1e", "", "NULL", "\\N")))
    rooms.run("transform")
    assert [reasons for _, _, reasons in rejected(rooms)] == [("field_count",)] * 4


def test_hostile_json_keys_do_not_reach_the_terminal(museum):
    museum.write(
        "lmnh_exhibition_x.json", json.dumps({"EXHIBITION_ID": "EXH_01", "EXHIBITION_NAME": "n", "\ud800\x1b[31m": 1})
    )
    result = museum.run("transform")
    assert result.exit_code == 0
    assert not [line for line in result.lines if "\x1b" in line or "Traceback" in line]


def test_an_earlier_now_judges_the_rows_anew(rooms):
    rooms.kiosk(0, f"{DAY} 10:00:00,1,3,")
    rooms.run("transform")
    result = rooms.run("transform", "--now", "2020-01-01T00:00:00+00:00")
    assert result.figures["transform"]["rejected_by_reason"] == {"future_at": 1}


def test_the_summary_says_what_was_counted(rooms):
    rooms.kiosk(0, f"{DAY} 08:00:00,1,3,", "2023-10-29 01:30:00,1,3,", "x,1,3,")
    lines = rooms.run("transform").lines
    assert any("out of hours, kept: 2; in the hour that occurs twice: 1" in line for line in lines)
    assert "rejected (bad_at 1)" in lines[-1]


@pytest.mark.parametrize("name", ["a[1]*.csv", "visits.csv.gz", "it's a file.csv"])
def test_a_plain_file_may_have_any_name(rooms, tmp_path, name):
    path = tmp_path / name
    path.write_text(HEADER + f"{DAY} 10:00:00,1,3,\n")
    rooms.push()
    result = rooms.run("load", "--kiosk-csv", str(path), *rooms.database_flags)
    assert (result.exit_code, result.load["rows_stored"]) == (0, 1)
