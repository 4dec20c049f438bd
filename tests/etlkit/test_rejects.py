"""Rejected records: one row each, kept with its bytes, resolved and never deleted."""

from __future__ import annotations

from contextlib import closing
from uuid import uuid4

import pytest
from kit_database import emptied, made_database

from etlkit.postgres import connect
from etlkit.rejects import (
    Reject,
    RejectCount,
    create_rejudged_staging,
    create_staging,
    fill_rejected_records,
    resolve_files,
    resolve_missing,
    stage_rejects,
    stage_rejudged,
    update_rejudged,
)

pytestmark = pytest.mark.database

SOURCE = "s3://bucket/lmnh_hist_data_0.csv"


@pytest.fixture(scope="module")
def kit_database(postgres):
    """The database of this module's tests."""
    with made_database(postgres, "kit_rejects") as made:
        yield made


@pytest.fixture
def database(kit_database):
    """The module's database, without anything of an earlier test."""
    return emptied(kit_database)


@pytest.fixture
def worker(database):
    """The connection of the code under test."""
    with closing(connect(database, "worker")) as opened:
        yield opened


def bad(position="1", raw=b"2023-03-06,99,0,", reasons=("unknown_site",), source=SOURCE):
    return Reject(source, position, raw, reasons)


def fill(worker, *rejects, run_id=None):
    """Stage and merge rejects in a transaction of their own."""
    with worker, worker.cursor() as cursor:
        create_staging(cursor)
        assert stage_rejects(cursor, iter(rejects)) == len(rejects)
        return fill_rejected_records(cursor, run_id or uuid4())


def resolve_all_but(worker, *rejects, sources=(SOURCE,)):
    """Say that sources were judged wholly and only these rejects were found."""
    with worker, worker.cursor() as cursor:
        create_staging(cursor)
        stage_rejects(cursor, rejects)
        return resolve_missing(cursor, sources)


def rejudge(worker, *judged):
    with worker, worker.cursor() as cursor:
        create_rejudged_staging(cursor)
        assert stage_rejudged(cursor, iter(judged)) == len(judged)
        return update_rejudged(cursor)


def row(connection, position="1", source=SOURCE):
    with connection.cursor() as cursor:
        cursor.execute("select * from meta.rejected_records where (source, position) = (%s, %s)", (source, position))
        names = [column.name for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))


def open_positions(connection):
    with connection.cursor() as cursor:
        cursor.execute("select position from meta.rejected_records where resolved_at is null order by 1")
        return [position for (position,) in cursor.fetchall()]


def count(connection):
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from meta.rejected_records")
        return cursor.fetchone()[0]


def test_a_bad_record_is_kept_with_all_that_is_known(connection, worker):
    run_id = uuid4()
    assert fill(worker, bad(reasons=("bad_at", "unknown_site")), run_id=run_id) == RejectCount(new=1, open_before=0)
    found = row(connection)
    assert bytes(found["raw"]) == b"2023-03-06,99,0,"
    assert found["reasons"] == ["bad_at", "unknown_site"]
    assert found["run_id"] == str(run_id)
    assert found["first_seen"] == found["last_seen"]
    assert found["resolved_at"] is None


def test_a_bad_record_met_again_is_not_new(connection, worker):
    run_id = uuid4()
    fill(worker, bad(), run_id=run_id)
    before = row(connection)
    assert fill(worker, bad()) == RejectCount(new=0, open_before=1)
    after = row(connection)
    assert count(connection) == 1
    assert (after["run_id"], after["first_seen"]) == (str(run_id), before["first_seen"])
    assert after["last_seen"] > before["last_seen"]


def test_new_and_open_records_are_counted_apart(worker):
    fill(worker, bad("1"), bad("2"))
    assert fill(worker, bad("1"), bad("2"), bad("3")) == RejectCount(new=1, open_before=2)


def test_a_record_with_another_text_is_new(connection, worker):
    fill(worker, bad(raw=b"before"))
    run_id = uuid4()
    assert fill(worker, bad(raw=b"after"), run_id=run_id) == RejectCount(new=1, open_before=0)
    found = row(connection)
    assert (bytes(found["raw"]), found["run_id"], count(connection)) == (b"after", str(run_id), 1)


def test_a_record_with_other_reasons_is_the_same_and_shows_them(connection, worker):
    fill(worker, bad(reasons=("unknown_site",)))
    assert fill(worker, bad(reasons=("future_at",))) == RejectCount(new=0, open_before=1)
    assert row(connection)["reasons"] == ["future_at"]


def test_a_resolved_record_that_is_bad_again_is_new_and_open(connection, worker):
    fill(worker, bad())
    first_seen = row(connection)["first_seen"]
    assert resolve_all_but(worker) == 1
    run_id = uuid4()
    assert fill(worker, bad(), run_id=run_id) == RejectCount(new=1, open_before=0)
    found = row(connection)
    assert found["resolved_at"] is None
    assert (found["run_id"], found["first_seen"]) == (str(run_id), first_seen)


def test_the_same_position_of_two_sources_is_two_records(connection, worker):
    assert fill(worker, bad(source="s3://bucket/a"), bad(source="s3://bucket/b")) == RejectCount(new=2, open_before=0)
    assert count(connection) == 2


def test_a_record_staged_twice_is_kept_once(connection, worker):
    assert fill(worker, bad(), bad()) == RejectCount(new=1, open_before=0)
    assert count(connection) == 1


def test_nothing_staged_changes_nothing(connection, worker):
    fill(worker, bad())
    assert fill(worker) == RejectCount(new=0, open_before=0)
    assert open_positions(connection) == ["1"]


def test_rejects_roll_back_with_their_data(connection, worker):
    with worker.cursor() as cursor:
        create_staging(cursor)
        stage_rejects(cursor, [bad()])
        fill_rejected_records(cursor, uuid4())
    worker.rollback()
    assert count(connection) == 0


def test_staging_ends_with_its_transaction(worker):
    for _time in range(2):
        with worker, worker.cursor() as cursor:
            create_staging(cursor)
            stage_rejects(cursor, [bad()])


@pytest.mark.parametrize("raw", [b"", b"\0", b"\\x41", b"\\N", b"\\.", b"a\tb\r\n", b"\xff\xfe", bytes(range(256))])
def test_the_bytes_of_a_record_are_kept_exactly(connection, worker, raw):
    fill(worker, bad(raw=raw))
    assert bytes(row(connection)["raw"]) == raw
    assert fill(worker, bad(raw=raw)) == RejectCount(new=0, open_before=1)


@pytest.mark.parametrize("source", ["s3://bucket/a b'c\"d.csv", "s3://bucket/é\t\\N\n", "{}", "NULL", "%s", "\\."])
def test_a_source_may_have_any_name(connection, worker, source):
    fill(worker, bad(source=source))
    assert row(connection, source=source)["position"] == "1"
    assert resolve_all_but(worker, sources=[source]) == 1


def test_what_is_no_longer_bad_is_resolved_and_kept(connection, worker):
    fill(worker, bad("1"), bad("2"))
    assert resolve_all_but(worker, bad("2")) == 1
    assert open_positions(connection) == ["2"]
    assert count(connection) == 2
    assert bytes(row(connection, "1")["raw"]) == b"2023-03-06,99,0,"


def test_a_resolved_record_keeps_the_day_it_was_resolved(connection, worker):
    fill(worker, bad())
    resolve_all_but(worker)
    resolved_at = row(connection)["resolved_at"]
    assert resolve_all_but(worker) == 0
    assert row(connection)["resolved_at"] == resolved_at


def test_only_sources_that_were_judged_are_resolved(connection, worker):
    fill(worker, bad("1"), bad("2", source="s3://bucket/other"))
    assert resolve_all_but(worker) == 1
    assert open_positions(connection) == ["2"]


def test_the_same_position_of_another_source_does_not_keep_a_record_open(worker):
    fill(worker, bad("1"))
    assert resolve_all_but(worker, bad("1", source="s3://bucket/other")) == 1


def test_without_judged_sources_nothing_is_resolved(connection, worker):
    fill(worker, bad())
    assert resolve_all_but(worker, sources=[]) == 0
    assert open_positions(connection) == ["1"]


def test_a_file_that_can_be_read_again_is_resolved_and_its_rows_are_not(connection, worker):
    fill(worker, bad("file"), bad("1"), bad("file", source="s3://bucket/other"))
    with worker, worker.cursor() as cursor:
        assert resolve_files(cursor, [SOURCE]) == 1
        assert resolve_files(cursor, [SOURCE]) == 0
        assert resolve_files(cursor, []) == 0
    assert open_positions(connection) == ["1", "file"]
    assert row(connection, "file")["resolved_at"] is not None


def test_a_record_judged_good_is_resolved_and_keeps_its_reasons(connection, worker):
    fill(worker, bad("1"), bad("2"))
    assert rejudge(worker, (SOURCE, "1", ())) == 1
    assert open_positions(connection) == ["2"]
    assert row(connection, "1")["reasons"] == ["unknown_site"]


def test_a_record_judged_bad_for_other_reasons_shows_them(connection, worker):
    run_id = uuid4()
    fill(worker, bad(), run_id=run_id)
    before = row(connection)
    assert rejudge(worker, (SOURCE, "1", ("future_at", "bad_val"))) == 1
    after = row(connection)
    assert after["reasons"] == ["future_at", "bad_val"]
    assert after["resolved_at"] is None
    assert (after["run_id"], after["first_seen"]) == (str(run_id), before["first_seen"])
    assert after["last_seen"] > before["last_seen"]


def test_judging_leaves_resolved_and_unknown_records_alone(connection, worker):
    fill(worker, bad())
    resolve_all_but(worker)
    before = row(connection)
    assert rejudge(worker, (SOURCE, "1", ("future_at",)), (SOURCE, "99", ("future_at",))) == 0
    assert row(connection) == before
    assert count(connection) == 1
