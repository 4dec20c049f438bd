"""Run history: a row's life beside the data that it speaks of."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from uuid import uuid4

import pytest
from kit_database import emptied, made_database
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

import etlkit
from etlkit.errors import ConfigError, LoadError, LockedError
from etlkit.postgres import Schema, connect, load_errors, run_file
from etlkit.runs import Run, RunFigures, complete_run, fail_run, open_run, start_run

SQL = Path(etlkit.__file__).parent / "sql"
COUNTS = (10, 7, 2)


@pytest.fixture(scope="module")
def kit_database(postgres):
    """The database of this module's tests."""
    with made_database(postgres, "kit_runs") as made:
        yield made


@pytest.fixture
def database(kit_database):
    """The module's database, without anything of an earlier test."""
    return emptied(kit_database)


@pytest.fixture
def opened(database):
    """Return a function that opens connections to the test's database, which are closed after the test."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(connect(database, "worker")))


@pytest.fixture
def worker(opened, connection):
    """The connection of the run under test, and a table for its data."""
    with connection.cursor() as cursor:
        cursor.execute("create table data (n integer)")
    return opened()


def new_run(entity_type="batch", *, dry_run=False, **metadata):
    return Run(uuid4(), "museum", entity_type, dry_run, metadata)


def row(connection, run):
    with connection.cursor() as cursor:
        cursor.execute("select * from meta.ingestion_runs where run_id = %s", (str(run.run_id),))
        names = [column.name for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))


def status(connection, run):
    return row(connection, run)["status"]


def count(connection, table):
    with connection.cursor() as cursor:
        cursor.execute(f"select count(*) from {table}")
        return cursor.fetchone()[0]


def load(cursor, run, **metadata):
    """Store data and complete the run, in the transaction that is open."""
    cursor.execute("insert into data values (1)")
    complete_run(cursor, run, RunFigures(*COUNTS, metadata))


def test_a_run_is_seen_by_others_while_it_runs(connection, worker):
    run = new_run(bucket="b")
    assert start_run(worker, run) == 0
    found = row(connection, run)
    assert (found["source_system"], found["entity_type"], found["status"]) == ("museum", "batch", "running")
    assert found["metadata"] == {"bucket": "b"}
    assert found["started_at"] is not None
    assert found["completed_at"] is None
    assert worker.info.transaction_status == TRANSACTION_STATUS_IDLE


def test_a_run_is_completed_together_with_its_data(connection, worker):
    run = new_run()
    start_run(worker, run)
    with worker.cursor() as cursor:
        load(cursor, run)
        assert (status(connection, run), count(connection, "data")) == ("running", 0)
    worker.commit()
    assert (status(connection, run), count(connection, "data")) == ("completed", 1)


def test_a_run_that_rolls_back_is_not_completed_and_has_no_data(connection, worker):
    run = new_run()
    start_run(worker, run)
    with worker.cursor() as cursor:
        load(cursor, run)
    worker.rollback()
    assert (status(connection, run), count(connection, "data")) == ("running", 0)


def test_a_completed_run_says_what_it_did(connection, worker):
    run = new_run(bucket="b", seen=1)
    start_run(worker, run)
    with worker, worker.cursor() as cursor:
        load(cursor, run, seen=2, folder=Path("combined_data"))
    found = row(connection, run)
    assert tuple(found[f"records_{name}"] for name in ("processed", "created", "updated")) == COUNTS
    assert found["metadata"] == {"bucket": "b", "seen": 2, "folder": "combined_data"}
    assert found["completed_at"] >= found["started_at"]
    assert found["error_message"] is None


def test_a_run_that_fails_rolls_back_and_says_why(connection, worker):
    run = new_run()
    start_run(worker, run)
    with worker.cursor() as cursor:
        load(cursor, run)
    assert fail_run(worker, run, "lmnh_hist_data_2.csv: 100 % \"bad\" and 'worse'")
    found = row(connection, run)
    assert (found["status"], count(connection, "data")) == ("failed", 0)
    assert found["error_message"] == "lmnh_hist_data_2.csv: 100 % \"bad\" and 'worse'"
    assert found["completed_at"] >= found["started_at"]


def test_a_run_whose_transaction_failed_can_be_marked(connection, worker):
    run = new_run()
    start_run(worker, run)
    with pytest.raises(Exception, match="division by zero"), worker.cursor() as cursor:
        cursor.execute("select 1 / 0")
    assert fail_run(worker, run, "division by zero")
    assert status(connection, run) == "failed"


def test_a_run_whose_connection_is_gone_is_left_to_the_next(connection, worker, opened):
    run, following = new_run(), new_run()
    start_run(worker, run)
    with connection.cursor() as cursor:
        cursor.execute("select pg_terminate_backend(%s, 10000)", (worker.info.backend_pid,))
    assert not fail_run(worker, run, "the server went away")
    assert status(connection, run) == "running"
    assert start_run(opened(), following) == 1
    assert status(connection, run) == "failed"


def test_a_run_whose_connection_was_closed_cannot_be_marked(worker):
    run = new_run()
    start_run(worker, run)
    worker.close()
    assert not fail_run(worker, run, "closed")


def test_a_completed_run_does_not_fail_afterwards(connection, worker):
    run = new_run()
    start_run(worker, run)
    with worker, worker.cursor() as cursor:
        load(cursor, run)
    assert fail_run(worker, run, "too late")
    found = row(connection, run)
    assert (found["status"], found["error_message"]) == ("completed", None)


def test_a_failed_run_is_not_completed_afterwards(connection, worker):
    run = new_run()
    start_run(worker, run)
    fail_run(worker, run, "refused")
    with worker, worker.cursor() as cursor:
        load(cursor, run)
    assert status(connection, run) == "failed"


def test_a_run_cannot_start_twice(worker):
    run = new_run()
    start_run(worker, run)
    with pytest.raises(LoadError, match=r"^starting the run's history: duplicate key"):
        start_run(worker, run)


def test_what_a_killed_process_left_is_repaired_by_the_next_run(connection, worker):
    orphans, run = [new_run(), new_run()], new_run()
    with connection.cursor() as cursor:
        for orphan in orphans:
            cursor.execute(
                "insert into meta.ingestion_runs (run_id, source_system, entity_type) values (%s, 'museum', 'batch')",
                (str(orphan.run_id),),
            )
    assert start_run(worker, run) == 2
    for orphan in orphans:
        found = row(connection, orphan)
        assert found["status"] == "failed"
        assert found["error_message"] == "the process ended without a word; what it had not committed was rolled back"
        assert found["completed_at"] is not None
    assert status(connection, run) == "running"


def test_a_repaired_run_ended_when_it_was_last_heard_of(connection, worker):
    orphan = new_run()
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into meta.ingestion_runs (run_id, source_system, entity_type, started_at, metadata) "
            "values (%s, 'museum', 'batch', now() - interval '2 hours', "
            "jsonb_build_object('heartbeat_at', now() - interval '1 hour'))",
            (str(orphan.run_id),),
        )
    assert start_run(worker, new_run()) == 1
    found = row(connection, orphan)
    assert (found["completed_at"] - found["started_at"]).total_seconds() == 3600


def test_a_failed_run_keeps_its_figures(connection, worker):
    plain, told = new_run(host="a"), new_run(host="a")
    for run in (plain, told):
        start_run(worker, run, is_alone=False)
    assert fail_run(worker, plain, "refused")
    assert fail_run(worker, told, "refused", RunFigures(7, 3, 2, {"records_failed": 1}))
    names = ("records_processed", "records_created", "records_updated", "metadata")
    assert [row(connection, told)[name] for name in names] == [7, 3, 2, {"host": "a", "records_failed": 1}]
    assert [row(connection, plain)[name] for name in names] == [0, 0, 0, {"host": "a"}]


@pytest.mark.parametrize(("system", "entity_type"), [("museum", "live"), ("people_hub", "batch")])
def test_a_running_run_of_another_target_is_left_alone(connection, worker, system, entity_type):
    other = Run(uuid4(), system, entity_type)
    start_run(worker, other)
    assert start_run(worker, new_run()) == 0
    assert status(connection, other) == "running"


def test_finished_runs_are_not_repaired(connection, worker):
    done, failed = new_run(), new_run()
    start_run(worker, done)
    with worker, worker.cursor() as cursor:
        load(cursor, done)
    start_run(worker, failed)
    fail_run(worker, failed, "refused")
    assert start_run(worker, new_run()) == 0
    assert [status(connection, run) for run in (done, failed)] == ["completed", "failed"]
    assert row(connection, failed)["error_message"] == "refused"


def test_a_dry_run_leaves_nothing(connection, worker):
    run = new_run(dry_run=True)
    assert start_run(worker, run) == 0
    with worker, worker.cursor() as cursor:
        complete_run(cursor, run, RunFigures(*COUNTS, {}))
    assert fail_run(worker, run, "refused")
    assert count(connection, "meta.ingestion_runs") == 0


def test_a_dry_run_does_not_repair_what_it_found(connection, worker):
    orphan = new_run()
    start_run(worker, orphan)
    assert start_run(worker, new_run(dry_run=True)) == 0
    assert status(connection, orphan) == "running"


def test_counts_may_be_great(connection, worker):
    run = new_run()
    start_run(worker, run)
    with worker, worker.cursor() as cursor:
        complete_run(cursor, run, RunFigures(5_000_000_000, 7, 2, {}))
    assert row(connection, run)["records_processed"] == 5_000_000_000


def test_pruning_leaves_young_and_running_rows_rejects_and_data(connection, worker):
    old_done, old_running, young = new_run("a"), new_run("b"), new_run("c")
    for run in (old_done, old_running, young):
        start_run(worker, run)
    fail_run(worker, young, "refused")
    with worker, worker.cursor() as cursor:
        load(cursor, old_done)
        cursor.execute(
            "update meta.ingestion_runs set started_at = now() - interval '100 days' where entity_type <> 'c'"
        )
        cursor.execute(
            "insert into meta.rejected_records (source, position, raw, reasons, run_id) "
            "values ('s', '1', 'x', '{}', %s)",
            (str(old_done.run_id),),
        )
        assert run_file(cursor, SQL / "prune_runs.sql", {"older_than": "90 days"}) == 1
        assert run_file(cursor, SQL / "prune_runs.sql", {"older_than": "90 days"}) == 0
    assert [status(connection, run) for run in (old_running, young)] == ["running", "failed"]
    assert count(connection, "meta.ingestion_runs") == 2
    assert count(connection, "meta.rejected_records") == 1
    assert count(connection, "data") == 1


SCHEMA = Schema("kit", 1, "make schema")
LOST = "select pg_terminate_backend(%s, 10000)"


@pytest.fixture
def has_schema(connection):
    with connection.cursor() as cursor:
        cursor.execute("insert into meta.schema_version (system, version) values ('kit', 1)")


@pytest.fixture
def envelope(opened, has_schema, logger):
    """Return a function that opens a run of the kit."""
    return lambda run, **more: open_run(run, SCHEMA, ["kit:batch"], opened, logger, **more)


def lose_connection(opening, connection, *, ghost=None):
    """End a run's session from outside; a ghost holds the run's row, as a lost session does."""
    with opening as inside:
        if ghost is not None:
            with ghost.cursor() as cursor:
                cursor.execute("select 1 from meta.ingestion_runs for update")
        with connection.cursor() as cursor:
            cursor.execute(LOST, (inside.info.backend_pid,))
        with load_errors("storing"), inside.cursor() as cursor:
            cursor.execute("select 1")


def test_a_run_that_loses_its_connection_closes_its_history_over_another(envelope, connection, caplog):
    run = new_run()
    with pytest.raises(LoadError):
        lose_connection(envelope(run, figures_so_far=lambda: RunFigures(3, 2, 1)), connection)
    found = row(connection, run)
    assert (found["status"], found["records_processed"]) == ("failed", 3)
    assert found["error_message"].startswith("storing: ")
    assert "could not be closed" not in caplog.text


def test_a_lost_session_that_still_holds_the_row_holds_up_nothing(envelope, connection, opened, monkeypatch, caplog):
    monkeypatch.setattr("etlkit.runs.LOST_SESSION_TIMEOUT", "100ms")
    run = new_run()
    with pytest.raises(LoadError):
        lose_connection(envelope(run), connection, ghost=opened())
    assert status(connection, run) == "running"
    assert "the run's history could not be closed; the next run does it" in caplog.text


def test_a_run_holds_its_lock_and_gives_it_back(envelope, opened, connection):
    first, second = new_run(), new_run()
    with envelope(first) as inside, pytest.raises(LockedError, match="kit:batch is locked by worker"), envelope(second):
        pass
    assert inside.closed
    with envelope(second) as inside, inside, inside.cursor() as cursor:
        complete_run(cursor, second, RunFigures(1, 1, 0))
    assert [status(connection, run) for run in (first, second)] == ["failed", "completed"]


def test_a_run_holds_all_of_its_locks_or_none(has_schema, opened, logger, connection):
    first, second = new_run(), new_run()
    with open_run(first, SCHEMA, ["kit:b"], opened, logger):
        with (
            pytest.raises(LockedError, match="kit:b is locked by worker"),
            open_run(second, SCHEMA, ["kit:a", "kit:b"], opened, logger),
        ):
            pass
        assert status(connection, first) == "running"
        with open_run(new_run(), SCHEMA, ["kit:a"], opened, logger):
            pass
    assert count(connection, "meta.ingestion_runs") == 2  # nothing of the one that was refused


def test_a_run_does_not_begin_without_its_schema(opened, logger, connection):
    with (
        pytest.raises(ConfigError, match="no kit schema yet"),
        open_run(new_run(), SCHEMA, ["kit:batch"], opened, logger),
    ):
        pass
    assert count(connection, "meta.ingestion_runs") == 0
