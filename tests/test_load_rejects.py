"""Rejects of a load: kept with their bytes and reasons, judged again by each run, and resolved when they are good."""

from __future__ import annotations

import pytest
from loaded_museum import DAY, first_load, rows
from museum_case import HEADER

pytestmark = pytest.mark.database


@pytest.fixture
def loaded(museum):
    """Two exhibitions and three objects, loaded."""
    return first_load(museum)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty_file"), (b"\x00\x01\x02", "not_text"), (b"2023-03-06 10:00:00,1,3,\n", "bad_header"),
     (b"\xff\xfea\x00t\x00", "not_text"), (b"at,site,value\n", "bad_header"), (b"\x89PNG\r\n\x1a\n", "not_text")],
)  # fmt: skip
def test_an_unreadable_object_is_rejected_and_its_earlier_rows_stay(loaded, content, reason):
    before = loaded.tables_with_ids()
    original = (loaded.bucket_dir / "lmnh_hist_data_0.csv").read_bytes()
    loaded.write("lmnh_hist_data_0.csv", content)
    result = loaded.push()
    assert result.exit_code == 3
    assert result.load["objects_rejected"] == ["lmnh_hist_data_0.csv"]
    assert loaded.rejects() == {("lmnh_hist_data_0.csv", "file"): (content, [reason])}
    assert loaded.tables_with_ids() == before
    again = loaded.push()
    assert again.exit_code == 0
    assert "1 earlier rejects are still open" in again.last_line
    loaded.write("lmnh_hist_data_0.csv", original)
    assert loaded.push().exit_code == 0
    assert loaded.rejects() == {}
    assert loaded.tables_with_ids() == before


def test_rejects_keep_original_bytes_all_reasons_and_row_numbers(loaded):
    text = HEADER.encode() + b"x,9,\xc3\xa9,\r\n\n" + rows(1)[0].encode() + b"\n2023-03-06 10:00:00,9,-1,7\n\xff,1,1,"
    loaded.write("lmnh_hist_data_7.csv", text)
    result = loaded.push()
    assert result.exit_code == 3
    assert loaded.rejects() == {
        ("lmnh_hist_data_7.csv", "1"): (b"x,9,\xc3\xa9,", ["bad_at", "unknown_site", "bad_val"]),
        ("lmnh_hist_data_7.csv", "3"): (b"2023-03-06 10:00:00,9,-1,7", ["unknown_site", "bad_type"]),
        ("lmnh_hist_data_7.csv", "4"): (b"\xff,1,1,", ["bad_encoding"]),
    }
    assert result.load["rejected_by_reason"] == {
        "bad_at": 1, "bad_encoding": 1, "bad_type": 1, "bad_val": 1, "unknown_site": 2,
    }  # fmt: skip


def test_reasons_are_the_database_s_where_it_knows_more_or_less(loaded):
    loaded.query("insert into rating_desc values (7, 'Sublime')")
    loaded.query("insert into incident_type values (5, 'lost child')")
    loaded.query("delete from rating_desc where rating_id = 0")
    loaded.kiosk(
        8,
        f"{DAY} 10:00:00,1,7,",
        f"{DAY} 10:00:01,1,-1,5",
        f"{DAY} 10:00:02,1,0,",
        f"{DAY} 10:00:03,1,7,1.0",
        f"{DAY} 10:00:04,1,0,1.0",
        "x,1,0,",
    )
    result = loaded.push()
    assert result.load["rows_stored"] == 2
    assert {place[1]: reasons for place, (_, reasons) in loaded.rejects().items()} == {
        "3": ["bad_val"],
        "4": ["bad_type"],
        "5": ["bad_val"],
        "6": ["bad_at", "bad_val"],
    }


def test_a_button_added_later_brings_its_rejected_rows_back(loaded):
    loaded.kiosk(8, f"{DAY} 10:00:00,1,7,", f"{DAY} 10:00:01,1,-1,5", f"{DAY} 10:00:02,1,8,")
    assert loaded.push().exit_code == 3
    loaded.query("insert into rating_desc values (7, 'Sublime')")
    loaded.query("insert into incident_type values (5, 'lost child')")
    result = loaded.push()
    assert result.exit_code == 0
    assert result.load["rows_recovered"] == 2
    assert result.load["rows_already_rejected"] == 1
    assert list(loaded.rejects()) == [("lmnh_hist_data_8.csv", "3")]
    assert loaded.push().load["rows_recovered"] == 0


def test_a_future_row_is_loaded_when_its_time_has_come(loaded):
    loaded.kiosk(8, "2023-06-06 10:00:00,1,3,")
    early, late = "2023-06-06T08:59:54+00:00", "2023-06-06T08:59:56+00:00"
    assert loaded.push("--now", early).exit_code == 3
    assert loaded.rejects()["lmnh_hist_data_8.csv", "1"][1] == ["future_at"]
    assert loaded.push("--now", early).exit_code == 0
    result = loaded.push("--now", late)
    assert (result.exit_code, result.load["rows_recovered"]) == (0, 1)
    assert loaded.rejects() == {}


def test_a_reject_of_a_file_with_other_column_order_is_judged_again_by_name(loaded):
    loaded.write("lmnh_hist_data_8.csv", f"val,type,site,at\n4,,6,{DAY} 10:00:00\n")
    assert loaded.push().exit_code == 3
    loaded.exhibition(6)
    assert loaded.push().load["rows_recovered"] == 1
    assert loaded.query("select exhibition_id, rating_id from review where exhibition_id = 7") == [(7, 4)]


def test_rejects_of_a_changed_object_follow_its_rows(loaded):
    loaded.kiosk(8, "bad,1,3,", f"{DAY} 10:00:00,9,3,", *rows(8))
    loaded.push()
    loaded.kiosk(8, f"{DAY} 10:00:00,1,3,", "worse,1,3,", *rows(8))
    result = loaded.push()
    assert result.exit_code == 3
    assert loaded.rejects() == {("lmnh_hist_data_8.csv", "2"): (b"worse,1,3,", ["bad_at"])}


@pytest.mark.parametrize(("limit", "exit_code"), [("2", 3), ("1", 1), ("18.2%", 3), ("18.1%", 1), ("0", 1)])
def test_over_the_limit_of_rejects_nothing_is_loaded(museum, limit, exit_code):
    museum.exhibition(1)
    museum.kiosk(0, *rows(8), "x,1,1,", f"{DAY} 10:00:00,9,3,")
    result = museum.push("--max-rejects", limit)
    assert result.exit_code == exit_code
    assert museum.count("review") == (8 if exit_code == 3 else 0)
    assert len((museum.combined_dir / "rejected_rows.jsonl").read_text().splitlines()) == 2
    if exit_code == 1:
        assert "rejected_rows.jsonl" in result.figures["error"]
        assert museum.query("select status from meta.ingestion_runs") == [("failed",)]


def test_a_row_that_only_the_database_rejects_keeps_its_original_text(loaded):
    loaded.query("delete from rating_desc where rating_id = 4")
    loaded.write("lmnh_hist_data_8.csv", f"type,val,site,at\n,4.0,1,06/03/2023 10:00\n,3,1,{DAY} 10:00:00\n")
    assert loaded.push().exit_code == 3
    assert loaded.rejects() == {("lmnh_hist_data_8.csv", "1"): (b",4.0,1,06/03/2023 10:00", ["bad_val"])}
    loaded.query("insert into rating_desc values (4, 'Amazing')")
    assert loaded.push().load["rows_recovered"] == 1
    assert loaded.rejects() == {}


def test_a_text_that_cannot_be_kept_refuses_the_load(loaded):
    loaded.query("delete from rating_desc where rating_id = 4")
    path = loaded.kiosk(8, f"{DAY} 10:00:00,1,4,")
    loaded.run("transform")
    path.unlink()
    result = loaded.run("load", *loaded.database_flags)
    assert result.exit_code == 1
    assert "lmnh_hist_data_8.csv" in result.figures["error"]
    assert loaded.rejects() == {}


def test_reasons_that_have_passed_go_even_where_others_stay(loaded):
    loaded.kiosk(8, "x,2,3,")
    loaded.push()
    assert loaded.rejects()["lmnh_hist_data_8.csv", "1"][1] == ["bad_at", "unknown_site"]
    loaded.exhibition(2)
    assert loaded.push().exit_code == 0
    assert loaded.rejects()["lmnh_hist_data_8.csv", "1"][1] == ["bad_at"]


def test_rejects_of_files_and_exhibitions_that_vanished_are_resolved(loaded):
    loaded.write("lmnh_exhibition_broken.json", "{")
    loaded.write("lmnh_hist_data_8.csv", "")
    loaded.kiosk(9, "x,1,3,")
    loaded.push()
    assert len(loaded.rejects()) == 3
    for name in ("lmnh_exhibition_broken.json", "lmnh_hist_data_8.csv", "lmnh_hist_data_9.csv"):
        (loaded.bucket_dir / name).unlink()
    loaded.push()
    assert list(loaded.rejects()) == [("lmnh_hist_data_9.csv", "1")]


def test_recovering_rows_of_a_file_that_is_unreadable_now_adds_up(loaded):
    loaded.kiosk(8, *rows(2, site=2))
    loaded.push()
    loaded.write("lmnh_hist_data_8.csv", "")
    loaded.exhibition(2)
    result = loaded.push()
    assert result.exit_code == 3
    assert (result.load["rows_recovered"], result.load["rows_stored"]) == (2, 2)
    assert min(value for name, value in result.load.items() if name.startswith("rows_")) >= 0


def test_a_broken_exhibition_alone_is_no_reason_to_refuse_for_ever(loaded):
    loaded.write("lmnh_exhibition_broken.json", "{")
    assert loaded.push("--max-rejects", "50%").exit_code == 3
