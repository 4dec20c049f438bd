"""A large first load: the constraints go and come back in one transaction, and nobody notices."""

from __future__ import annotations

from contextlib import closing

import pytest

import museum.batch.judged_rows
from etlkit.postgres import connect
from museum.batch.combined_csv import CombinedWriter

pytestmark = pytest.mark.database

DAY = "2023-03-06"
DEFINITIONS = """
    select conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated
    from pg_constraint
    where conrelid in ('review'::regclass, 'incident'::regclass)
    union all
    select tablename, indexname, indexdef, true
    from pg_indexes
    where tablename in ('review', 'incident')
    order by 1, 2, 3
"""


@pytest.fixture
def small_bulk(museum, monkeypatch):
    """A museum whose bulk path begins at ten rows."""
    monkeypatch.setattr("museum.batch.judged_rows.BULK_ROWS", 10)
    for site in range(2):
        museum.exhibition(site)
    museum.kiosk(0, *(f"{DAY} 10:{n:02}:00,{n % 2},{n % 5}," for n in range(40)), f"{DAY} 11:00:00,1,-1,1.0", "x,1,1,")
    museum.kiosk(1, *(f"{DAY} 12:{n:02}:00,{n % 2},{n % 5}," for n in range(20)))
    return museum


def test_constraints_and_indexes_are_afterwards_as_the_schema_has_them(small_bulk):
    before = small_bulk.query(DEFINITIONS)
    assert len(before) > 15
    assert small_bulk.push().exit_code == 3
    assert small_bulk.query(DEFINITIONS) == before
    assert (small_bulk.count("review"), small_bulk.count("incident")) == (60, 1)


def test_the_planner_knows_the_new_rows_at_once(small_bulk):
    """Until it knows how their times lie, it reads 100 million presses to find those of a day."""
    small_bulk.push()
    known = small_bulk.query("select distinct tablename from pg_stats where schemaname = 'public' order by 1")
    assert {"review", "incident", "review_hour", "incident_hour"} <= {name for (name,) in known}


def test_the_tables_are_those_of_the_row_by_row_way(small_bulk, monkeypatch):
    small_bulk.push()
    bulk = small_bulk.tables()
    small_bulk.query("truncate review, incident, event_source cascade")
    monkeypatch.setattr("museum.batch.judged_rows.BULK_ROWS", 1_000)
    small_bulk.push()
    assert small_bulk.tables() == bulk


def test_a_second_run_changes_nothing(small_bulk):
    small_bulk.push()
    before = small_bulk.tables_with_ids()
    assert small_bulk.push().exit_code == 0
    assert small_bulk.tables_with_ids() == before


def test_a_dry_run_leaves_constraints_and_rows_alone(small_bulk):
    before = small_bulk.query(DEFINITIONS)
    assert small_bulk.push("--dry-run").load["rows_stored"] == 61
    assert small_bulk.query(DEFINITIONS) == before
    assert small_bulk.count("review") == 0


def used_bulk(museum, monkeypatch) -> bool:
    """Run the pipeline and tell whether it dropped the constraints."""
    ran: list[str] = []
    real = museum_bulk_run_file

    def note(cursor, path, parameters=None):
        ran.append(path.stem)
        return real(cursor, path, parameters)

    monkeypatch.setattr("museum.batch.judged_rows.run_file", note)
    assert museum.push().exit_code in (0, 3)
    return "drop_constraints" in ran


museum_bulk_run_file = museum.batch.judged_rows.run_file


def test_an_empty_table_is_filled_in_bulk(small_bulk, monkeypatch):
    assert used_bulk(small_bulk, monkeypatch)


def test_a_table_with_rows_keeps_its_constraints(small_bulk, monkeypatch):
    small_bulk.push()
    small_bulk.kiosk(2, *(f"{DAY} 13:{n:02}:00,1,1," for n in range(30)))
    assert not used_bulk(small_bulk, monkeypatch)
    assert small_bulk.count("review") == 90


def test_a_file_that_had_no_rows_is_filled(small_bulk, monkeypatch):
    small_bulk.kiosk(0)
    small_bulk.kiosk(1)
    assert small_bulk.push().exit_code == 0
    small_bulk.kiosk(0, *(f"{DAY} 10:{n:02}:00,{n % 2},{n % 5}," for n in range(40)))
    assert used_bulk(small_bulk, monkeypatch)
    assert small_bulk.count("review") == 40
    assert small_bulk.push().load["rows_already_there"] == 40


def test_exhibitions_that_arrive_with_a_changed_file_after_its_rows_were_rejected(museum, monkeypatch):
    monkeypatch.setattr("museum.batch.judged_rows.BULK_ROWS", 10)
    rows = [f"{DAY} 10:{n:02}:00,{n % 2},{n % 5}," for n in range(40)]
    museum.kiosk(0, *rows)
    assert museum.push().load["rows_rejected"] == 40
    for site in range(2):
        museum.exhibition(site)
    museum.kiosk(0, *rows, f"{DAY} 11:00:00,1,-1,1.0")
    assert used_bulk(museum, monkeypatch)
    assert (museum.count("review"), museum.count("incident"), museum.rejects()) == (40, 1, {})


def test_rows_that_somebody_truncated_come_back_with_a_changed_file(small_bulk, monkeypatch):
    small_bulk.push()
    small_bulk.query("truncate review, incident")
    small_bulk.kiosk(0, *(f"{DAY} 10:{n:02}:00,{n % 2},{n % 5}," for n in range(42)))
    assert used_bulk(small_bulk, monkeypatch)
    assert small_bulk.count("review") == 42


def test_a_site_whose_exhibition_has_another_id_is_rejected_in_bulk_too(small_bulk, monkeypatch):
    small_bulk.query(
        "insert into exhibition (exhibition_id, exhibition_code, exhibition_name) values (99, 'EXH_05', 'x')"
    )
    small_bulk.kiosk(2, f"{DAY} 13:00:00,5,3,")
    assert used_bulk(small_bulk, monkeypatch)
    assert small_bulk.rejects()["lmnh_hist_data_2.csv", "1"] == (f"{DAY} 13:00:00,5,3,".encode(), ["unknown_site"])
    assert small_bulk.count("review") == 60


def test_a_reader_of_a_table_that_is_referred_to_is_not_waited_for_either(small_bulk, monkeypatch):
    with closing(connect(small_bulk.database, "reader")) as reader, reader.cursor() as cursor:
        cursor.execute("select count(*) from rating_desc")
        assert not used_bulk(small_bulk, monkeypatch)
        cursor.execute("select count(*) from review")
        assert cursor.fetchone() == (60,)
        reader.rollback()


def test_a_table_in_somebody_s_view_keeps_its_constraints(small_bulk, monkeypatch):
    small_bulk.query("create view by_id as select review_id, at, rating_id from review group by review_id")
    assert used_bulk(small_bulk, monkeypatch), "it began to"
    assert small_bulk.count("review") == 60
    assert small_bulk.query(DEFINITIONS)
    assert any("loading row by row" in line for line in small_bulk.log_file.read_text().splitlines())


def test_an_owner_who_may_not_create_in_the_schema_loads_row_by_row(small_bulk, monkeypatch):
    owner = small_bulk.database
    tables = [name for (name,) in small_bulk.query("select tablename from pg_tables where schemaname = 'public'")]
    small_bulk.query("drop role if exists museum_owner")
    small_bulk.query("create role museum_owner login password 'own'")
    small_bulk.query("grant usage on schema public, meta to museum_owner")
    small_bulk.query("grant select, insert, update, delete on all tables in schema meta to museum_owner")
    small_bulk.query("grant execute on all functions in schema public to museum_owner")
    small_bulk.query("revoke create on schema public from public")
    small_bulk.query("; ".join(f"alter table {name} owner to museum_owner" for name in tables))
    monkeypatch.setenv("DB_PASSWORD", "own")
    small_bulk.database = owner.model_copy(update={"db_user": "museum_owner"})
    try:
        assert not used_bulk(small_bulk, monkeypatch)
    finally:
        small_bulk.database = owner
        monkeypatch.setenv("DB_PASSWORD", owner.db_password.get_secret_value())
        small_bulk.query("reassign owned by museum_owner to current_user")
        small_bulk.query("drop owned by museum_owner")
        small_bulk.query("drop role museum_owner")
    assert small_bulk.count("review") == 60


def test_a_refused_load_holds_no_lock_while_the_combined_file_is_finished(small_bulk, monkeypatch):
    def finish(self):
        small_bulk.query("set lock_timeout = '200ms'; select count(*) from review")
        return real(self)

    real = CombinedWriter.finish
    monkeypatch.setattr("museum.batch.combined_csv.CombinedWriter.finish", finish)
    result = small_bulk.push("--max-rejects", "0")
    assert result.exit_code == 1
    assert "--max-rejects is 0" in result.figures["error"]
    assert (small_bulk.combined_dir / "manifest.json").exists()
    assert small_bulk.count("review") == 0


def test_a_reader_in_the_way_is_not_waited_for(small_bulk, monkeypatch):
    with closing(connect(small_bulk.database, "reader")) as reader, reader.cursor() as cursor:
        cursor.execute("select count(*) from review")
        assert not used_bulk(small_bulk, monkeypatch)
        cursor.execute("select count(*) from review")
        assert cursor.fetchone() == (60,)
        reader.rollback()


def test_a_table_of_somebody_else_keeps_its_constraints(small_bulk, monkeypatch):
    owner = small_bulk.database
    small_bulk.query("drop role if exists museum_loader")
    small_bulk.query("create role museum_loader login password 'load' ")
    small_bulk.query("grant usage on schema public, meta to museum_loader")
    small_bulk.query("grant select, insert, update, delete on all tables in schema public, meta to museum_loader")
    small_bulk.query("grant execute on all functions in schema public to museum_loader")
    small_bulk.query("grant temporary on database " + owner.db_name + " to museum_loader")
    monkeypatch.setenv("DB_PASSWORD", "load")
    small_bulk.database = owner.model_copy(update={"db_user": "museum_loader"})
    try:
        assert not used_bulk(small_bulk, monkeypatch)
    finally:
        small_bulk.database = owner
        small_bulk.query("drop owned by museum_loader")
        small_bulk.query("drop role museum_loader")
    assert small_bulk.count("review") == 60


def test_rows_that_break_a_constraint_roll_everything_back(small_bulk):
    before = small_bulk.query(DEFINITIONS)
    small_bulk.query("create function no_room() returns trigger language plpgsql as $$begin raise 'no room'; end$$")
    small_bulk.query("create trigger no_room before insert on incident for each row execute function no_room()")
    result = small_bulk.push()
    assert result.exit_code == 1
    assert "no room" in result.figures["error"]
    assert small_bulk.query(DEFINITIONS) == before
    assert small_bulk.count("review") == small_bulk.count("event_source") == 0


def test_a_database_that_knows_less_than_the_files_say_rejects_in_bulk_too(small_bulk, monkeypatch):
    small_bulk.query("delete from rating_desc where rating_id = 4")
    small_bulk.query("delete from incident_type where incident_type_id = 1")
    small_bulk.kiosk(2, f"{DAY} 13:00:00,9,3,", "2999-01-01 10:00:00,1,3,", f"{DAY} 13:00:01,1,3,")
    assert small_bulk.push().exit_code == 3
    bulk, rejects = small_bulk.tables(), small_bulk.rejects()
    assert sum(reasons == ["bad_val"] for _, reasons in rejects.values()) == 12
    assert rejects["lmnh_hist_data_0.csv", "41"] == (f"{DAY} 11:00:00,1,-1,1.0".encode(), ["bad_type"])
    assert rejects["lmnh_hist_data_2.csv", "1"][1] == ["unknown_site"]
    small_bulk.query("truncate review, incident, event_source, meta.rejected_records cascade")
    monkeypatch.setattr("museum.batch.judged_rows.BULK_ROWS", 1_000)
    assert small_bulk.push().exit_code == 3
    assert small_bulk.tables() == bulk
    assert small_bulk.rejects() == rejects


def test_ids_go_on_where_the_bulk_load_ended(small_bulk):
    small_bulk.push()
    ids = [number for (number,) in small_bulk.query("select review_id from review order by 1")]
    assert ids == list(range(ids[0], ids[0] + 60))
    assert small_bulk.query("select nextval(pg_get_serial_sequence('review', 'review_id'))") == [(ids[-1] + 1,)]
    assert small_bulk.query(
        "select nextval(pg_get_serial_sequence('incident', 'incident_id')) - max(incident_id) from incident"
    ) == [(1,)]
