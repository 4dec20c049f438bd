"""The load: provenance, ledger, rejects and all-or-nothing, on a real Postgres."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from museum_case import HEADER

import load
from etlkit.locks import advisory_lock
from etlkit.postgres import connect

pytestmark = pytest.mark.database

DAY = "2023-03-06"


def rows(count: int, start: int = 0, site: int = 1, val: int = 3) -> list[str]:
    return [f"{DAY} 10:{(start + n) // 60 % 60:02}:{(start + n) % 60:02},{site},{val}," for n in range(count)]


@pytest.fixture
def loaded(museum):
    """Two exhibitions and three objects, loaded."""
    museum.exhibition(0)
    museum.exhibition(1)
    museum.kiosk(0, *rows(10))
    museum.kiosk(1, *rows(10, 100), f"{DAY} 11:00:00,0,-1,1.0")
    museum.kiosk(2, *rows(10, 200))
    assert museum.push().exit_code == 0
    return museum


def scratch(museum) -> dict:
    """Return the tables of a run over the same files into a database that knows nothing."""
    museum.query("truncate review, incident, event_source, floor_assignment, exhibition, floor, department cascade")
    museum.query("delete from meta.rejected_records")
    museum.push()
    return museum.tables()


def test_a_run_twice_is_a_run_once_to_the_last_bit(loaded):
    before = loaded.tables_with_ids()
    result = loaded.push()
    assert result.exit_code == 0
    assert (result.load["rows_stored"], result.load["rows_already_there"]) == (0, 31)
    assert loaded.tables_with_ids() == before


def test_one_changed_one_grown_one_new_one_gone_equals_from_scratch_but_for_the_gone(loaded, monkeypatch):
    changed = rows(10)
    changed[3] = f"{DAY} 10:00:03,1,-1,0.0"
    changed[4] = f"{DAY} 10:00:04,0,4,"
    loaded.kiosk(0, *changed)
    loaded.kiosk(1, *rows(10, 100), f"{DAY} 11:00:00,0,-1,1.0", *rows(5, 300))
    loaded.kiosk(3, *rows(4, 400))
    (loaded.bucket_dir / "lmnh_hist_data_2.csv").unlink()
    result = loaded.push()
    assert result.exit_code == 0
    assert result.load["objects_changed"] == ["lmnh_hist_data_0.csv", "lmnh_hist_data_1.csv"]
    assert result.load["objects_new"] == ["lmnh_hist_data_3.csv"]
    assert result.load["objects_gone"] == ["lmnh_hist_data_2.csv"]
    assert result.load["rows_stored"] == 2 + 5 + 4
    assert result.load["rows_already_there"] == 8 + 11
    assert result.load["rows_removed"] == 2
    assert any("lmnh_hist_data_2.csv" in line for line in result.lines)
    incremental = loaded.tables()
    from_scratch = scratch(loaded)
    for name in ("review", "incident", "event_source"):
        gone = [row for row in incremental[name] if "lmnh_hist_data_2.csv" in row]
        assert len(gone) == {"review": 10, "incident": 0, "event_source": 1}[name]
        assert [row for row in incremental[name] if row not in gone] == from_scratch[name]


def test_rows_that_stayed_keep_their_ids(loaded):
    before = dict(loaded.query("select (source_id, position)::text, review_id from review"))
    loaded.kiosk(0, *rows(9), f"{DAY} 12:00:00,1,0,", *rows(2, 500))
    loaded.push()
    after = dict(loaded.query("select (source_id, position)::text, review_id from review"))
    assert sum(after.get(place) == identity for place, identity in before.items()) == 29


def test_a_fresh_database_under_an_old_folder_gets_everything(loaded, monkeypatch):
    before = loaded.tables()
    assert scratch(loaded) == before


def test_a_fresh_folder_over_an_old_database_adds_nothing(loaded, tmp_path):
    before = loaded.tables_with_ids()
    shutil.rmtree(loaded.combined_dir)
    result = loaded.push()
    assert result.load["rows_stored"] == 0
    assert loaded.tables_with_ids() == before


@pytest.mark.parametrize(("kept", "exit_code"), [(8, 0), (7, 1)])
def test_an_object_that_loses_over_a_fifth_refuses_the_whole_run(loaded, kept, exit_code):
    before = loaded.tables_with_ids()
    loaded.kiosk(0, *rows(kept))
    loaded.kiosk(3, *rows(3, 900))
    result = loaded.push()
    assert result.exit_code == exit_code
    if exit_code:
        assert "lmnh_hist_data_0.csv (10 rows, now 7)" in result.figures["error"]
        assert "--accept-shrink" in result.figures["error"]
        assert loaded.tables_with_ids() == before
        accepted = loaded.push("--accept-shrink")
        assert accepted.exit_code == 0
    assert loaded.count("review") == 30 - 10 + kept + 3


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


def test_exhibitions_follow_their_data_and_keep_their_ids(loaded):
    loaded.exhibition(1, EXHIBITION_NAME="Renamed", FLOOR=["2", "Vault"], DEPARTMENT="Botany", START_DATE="2020-02-29")
    result = loaded.push()
    assert result.load["exhibition_rows_written"] > 0
    info = loaded.query(
        "select exhibition_name, floors, department_name, start_date::text from exhibition_info where exhibition_id = 2"
    )
    assert info == [("Renamed", "2, Vault", "Botany", "2020-02-29")]
    assert loaded.push().load["exhibition_rows_written"] == 0


def test_an_exhibition_whose_file_is_gone_stays(loaded):
    (loaded.bucket_dir / "lmnh_exhibition_number0.json").unlink()
    result = loaded.push()
    assert result.exit_code == 0
    assert loaded.count("exhibition") == 2


def test_no_identity_value_is_burnt_by_runs_that_add_nothing(loaded):
    for _number in range(3):
        loaded.push()
    loaded.exhibition(5, DEPARTMENT="Astronomy", FLOOR="Roof")
    loaded.push()
    assert loaded.query("select department_id from department where department_name = 'Astronomy'") == [(2,)]


def test_a_dry_run_says_the_same_figures_and_leaves_no_trace(museum):
    museum.exhibition(1)
    museum.kiosk(0, *rows(5), "x,1,1,")
    dry = museum.push("--dry-run")
    assert dry.exit_code == 3
    assert dry.last_line.startswith("Would load 5 rows")
    assert all(not found for found in museum.tables().values())
    assert museum.count("meta.ingestion_runs") == museum.count("meta.rejected_records") == 0
    real = museum.push()
    ignored = {"seconds"}
    assert {k: v for k, v in real.load.items() if k not in ignored} == {
        k: v for k, v in dry.load.items() if k not in ignored
    }


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


def test_hostile_cells_do_no_harm(museum):
    museum.exhibition(
        1,
        EXHIBITION_NAME="Robert'); drop table review; --",
        DEPARTMENT="\\.",
        FLOOR='=cmd|"/C calc"!A0',
        DESCRIPTION='line\n\\.\n"quoted", =1+1\t\\N',
    )
    museum.exhibition(2, DEPARTMENT="NUL \x00")
    museum.kiosk(
        0,
        r"\.",
        "'; drop table review; --,1,3,",
        "=1+1,1,3,",
        f"{DAY} 10:00:00,1,3,",
        "\x00,\x00,\x00,\x00",
        r"\N,\N,\N,\N",
    )
    result = museum.push()
    assert result.exit_code == 3
    assert museum.count("review") == 1
    assert museum.query("select exhibition_name, department_name, floors, description from exhibition_info") == [
        ("Robert'); drop table review; --", "\\.", '=cmd|"/C calc"!A0', 'line\n\\.\n"quoted", =1+1\t\\N')
    ]
    rejects = museum.rejects()
    assert rejects["lmnh_exhibition_number2.json", "record 1"][1] == ["bad_department"]
    assert rejects["lmnh_hist_data_0.csv", "1"][0] == rb"\."
    assert rejects["lmnh_hist_data_0.csv", "5"][0] == b"\x00,\x00,\x00,\x00"


def test_a_plain_four_column_file_is_judged_wholly_by_the_load(loaded, tmp_path):
    plain = tmp_path / "visits.csv"
    plain.write_text(f"at,site,val,type\n{DAY} 10:00:00,1,3,\n06/03/2023 10:01,1,4,\n{DAY} 10:00:00,9,3,\nx,1,,\n")
    result = loaded.run("load", "--kiosk-csv", str(plain), *loaded.database_flags)
    assert result.exit_code == 3
    assert result.load["rows_stored"] == 2
    assert loaded.query("select bucket, key from event_source where key like '%visits.csv'") == [("file:", str(plain))]
    assert {place: reasons for place, (_, reasons) in loaded.rejects().items()} == {
        ("visits.csv", "3"): ["unknown_site"],
        ("visits.csv", "4"): ["bad_at", "missing_val"],
    }
    again = loaded.run("load", "--kiosk-csv", str(plain), *loaded.database_flags)
    assert (again.exit_code, again.load["rows_stored"]) == (0, 0)


def test_a_plain_file_that_is_not_there_is_one_clear_line(loaded):
    result = loaded.run("load", "--kiosk-csv", "/nowhere/visits.csv", *loaded.database_flags)
    assert result.exit_code == 1
    assert "/nowhere/visits.csv" in result.figures["error"]


def test_combined_files_of_an_unfinished_transform_are_refused(loaded):
    (loaded.combined_dir / "combined_museum_data.csv").write_text("at,site,val,type\n")
    result = loaded.run("load", *loaded.database_flags)
    assert result.exit_code == 1
    assert "python transform.py" in result.figures["error"]


def test_the_schema_twice_is_harmless_and_brings_no_button_back(loaded):
    loaded.query("delete from rating_desc where rating_id = 0")
    before = loaded.tables_with_ids()
    result = loaded.run("load", "--apply-schema", *loaded.database_flags)
    assert result.exit_code == 0
    assert loaded.tables_with_ids() == before
    assert loaded.query("select count(*) from rating_desc") == [(4,)]


def test_a_database_without_the_schema_is_refused_with_the_command(museum, empty_database):
    museum.database = empty_database
    museum.exhibition(1)
    result = museum.push()
    assert result.exit_code == 2
    assert "python load.py --apply-schema" in result.figures["error"]
    assert museum.query("select count(*) from pg_tables where schemaname = 'public'") == [(0,)]


def test_an_older_schema_is_refused_with_the_command(loaded):
    loaded.query("update meta.schema_version set version = 0 where system = 'museum'")
    result = loaded.push()
    assert result.exit_code == 2
    assert "version 0" in result.figures["error"]
    assert loaded.run("load", "--apply-schema", *loaded.database_flags).exit_code == 0
    assert loaded.push().exit_code == 0


def test_two_runs_at_once_the_second_says_by_whom_and_exits_4(loaded):
    with closing(connect(loaded.database, "the other run")) as other, advisory_lock(other, "museum:batch"):
        result = loaded.push()
    assert result.exit_code == 4
    assert "the other run" in result.figures["error"]
    assert loaded.push().exit_code == 0


def test_a_run_that_was_killed_is_marked_failed_by_the_next(loaded):
    loaded.query(
        "insert into meta.ingestion_runs (run_id, source_system, entity_type) "
        "values (gen_random_uuid(), 'museum', 'batch')"
    )
    loaded.push()
    assert loaded.query("select status, count(*) from meta.ingestion_runs group by 1 order by 1") == [
        ("completed", 2),
        ("failed", 1),
    ]


def test_the_run_s_history_has_the_figures(loaded):
    found = loaded.query("select status, records_processed, records_created, metadata from meta.ingestion_runs")
    assert found[0][:3] == ("completed", 31, 31)
    metadata = found[0][3]
    assert metadata["transform"]["rows_in"] == 31
    assert metadata["load"]["reviews_stored"] == 30


def test_a_failure_in_the_middle_rolls_everything_back(loaded):
    before = loaded.tables_with_ids()
    loaded.query("alter table incident add constraint no_more check (at < '2023-03-06 12:00+00')")
    loaded.kiosk(8, *rows(5), f"{DAY} 13:00:00,1,-1,0.0")
    result = loaded.push()
    assert result.exit_code == 1
    assert "no_more" in result.figures["error"]
    assert loaded.tables_with_ids() == before
    status = loaded.query("select status, error_message from meta.ingestion_runs order by started_at desc limit 1")
    assert status[0][0] == "failed"
    assert "no_more" in status[0][1]


def test_stored_rules_that_change_judge_every_object_anew(loaded, monkeypatch):
    loaded.kiosk(8, f"{DAY} 08:44:59,1,3,", f"{DAY} 08:45:00,1,3,")
    loaded.push()
    assert loaded.count("review") == 32
    monkeypatch.setenv("MUSEUM_REJECT_OUT_OF_HOURS", "true")
    result = loaded.push()
    assert result.load["rejected_by_reason"] == {"out_of_hours": 1}
    assert loaded.count("review") == 31
    monkeypatch.delenv("MUSEUM_REJECT_OUT_OF_HOURS")
    loaded.push()
    assert loaded.count("review") == 32
    assert loaded.rejects() == {}


def test_execute_schema_is_called_by_no_run():
    """--apply-schema does, and the embedded server's new database gets it; nothing else does."""
    folder = Path(load.__file__).parent
    calls = {
        path.name: path.read_text().count("_schema(connection, SCHEMA_FILE")
        for path in [*folder.glob("*.py"), *folder.glob("museum/**/*.py")]
    }
    assert {name: count for name, count in calls.items() if count} == {"load.py": 1, "database.py": 1}


def test_any_text_of_an_exhibition_reaches_the_database_as_it_is(museum):
    texts = ["a\rb", "a\r\nb", "\\.", '"', "NULL", "\\N", "\t", "x\n\\.\ny"]
    for site, text in enumerate(texts):
        museum.exhibition(site, DESCRIPTION=f"<{text}>", FLOOR=None, START_DATE=None, DEPARTMENT=None)
    assert museum.push().exit_code == 0
    stored = museum.query(
        "select description, department_name, floors, start_date from exhibition_info order by exhibition_id"
    )
    assert stored == [(f"<{text}>", None, None, None) for text in texts]


def test_a_plain_file_is_the_same_by_whatever_path(loaded, tmp_path):
    (tmp_path / "sub").mkdir()
    plain = tmp_path / "visits.csv"
    plain.write_text(HEADER + rows(1)[0] + "\n")
    (tmp_path / "link.csv").symlink_to(plain)
    before = loaded.count("review")
    for path in (plain, tmp_path / "sub" / ".." / "visits.csv", tmp_path / "link.csv"):
        assert loaded.run("load", "--kiosk-csv", str(path), *loaded.database_flags).exit_code == 0
    assert loaded.count("review") == before + 1


def test_the_rejects_of_a_refused_plain_file_stay_readable(loaded, tmp_path):
    plain = tmp_path / "visits.csv"
    plain.write_text(HEADER + "x,1,3,\ny,1,3,\n")
    result = loaded.run("load", "--kiosk-csv", str(plain), "--max-rejects", "1", *loaded.database_flags)
    assert result.exit_code == 1
    rejects_file = Path(result.figures["error"].rsplit(" in ", 1)[1].removesuffix("."))
    assert len(rejects_file.read_text().splitlines()) == 2


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


def test_a_damaged_extract_manifest_is_no_manifest(loaded):
    for content in ("null", "[]", '{"fetched": null}', '{"bucket": 3, "fetched": {"x": 1}}', "\xff"):
        (loaded.bucket_dir / ".extract_manifest.json").write_text(content)
        assert loaded.push().exit_code == 0
