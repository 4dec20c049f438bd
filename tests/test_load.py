"""The load: provenance, ledger and all-or-nothing, on a real Postgres."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from loaded_museum import DAY, first_load, rows

import load
from etlkit.locks import advisory_lock
from etlkit.postgres import connect

pytestmark = pytest.mark.database


@pytest.fixture
def loaded(museum):
    """Two exhibitions and three objects, loaded."""
    return first_load(museum)


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
        assert "lmnh_hist_data_0.csv (10 presses, now 7)" in result.figures["error"]
        assert "--accept-shrink" in result.figures["error"]
        assert loaded.tables_with_ids() == before
        accepted = loaded.push("--accept-shrink")
        assert accepted.exit_code == 0
    assert loaded.count("review") == 30 - 10 + kept + 3


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
    refused = loaded.push()
    assert refused.exit_code == 1, "rules that take half of an object's presses are held up by the same guard"
    assert "lmnh_hist_data_8.csv (2 presses, now 1)" in refused.last_line
    result = loaded.push("--accept-shrink")
    assert result.load["rejected_by_reason"] == {"out_of_hours": 1}
    assert loaded.count("review") == 31
    monkeypatch.delenv("MUSEUM_REJECT_OUT_OF_HOURS")
    loaded.push()
    assert loaded.count("review") == 32
    assert loaded.rejects() == {}


def test_what_an_older_version_of_the_program_loaded_in_between_is_taken_over(loaded):
    """It knows neither the rules in the hash nor how many presses are stored."""
    loaded.query("update event_source set content_hash = left(content_hash, 71), stored = null")
    before = loaded.tables_with_ids()["review"]
    result = loaded.push()
    assert (result.exit_code, result.load["rows_already_there"]) == (0, 31)
    assert loaded.tables_with_ids()["review"] == before
    assert loaded.query("select sum(stored), count(*) from event_source") == [(31, 3)]
    assert loaded.push().load["objects_unchanged"] == 3


def test_execute_schema_is_called_by_no_run():
    """--apply-schema does, and the embedded server's new database gets it; nothing else does."""
    folder = Path(load.__file__).parent
    calls = {
        path.name: path.read_text().count("_schema(connection, SCHEMA_FILE")
        for path in [*folder.glob("*.py"), *folder.glob("museum/**/*.py")]
        if path.parent.name != "demo"
    }
    assert {name: count for name, count in calls.items() if count} == {"load.py": 1, "database.py": 1}


def test_any_text_of_an_exhibition_reaches_the_database_as_it_is(museum):
    texts = ["a\nb", "\\.", '"', "NULL", "\\N", "\t", "x\n\\.\ny", "e\u0301 \U0001f469\u200d\U0001f52c \u0627"]
    for site, text in enumerate(texts):
        museum.exhibition(site, DESCRIPTION=f"<{text}>", FLOOR=None, START_DATE=None, DEPARTMENT=None)
    assert museum.push().exit_code == 0
    stored = museum.query(
        "select description, department_name, floors, start_date from exhibition_info order by exhibition_id"
    )
    assert stored == [(f"<{text}>", None, None, None) for text in texts]


def test_a_damaged_extract_manifest_is_no_manifest(loaded):
    for content in ("null", "[]", '{"fetched": null}', '{"bucket": 3, "fetched": {"x": 1}}', "\xff"):
        (loaded.bucket_dir / ".extract_manifest.json").write_text(content)
        assert loaded.push().exit_code == 0
