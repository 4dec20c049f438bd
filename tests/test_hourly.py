"""The hourly counts that dashboards read are those of the presses, whoever adds, changes or removes presses."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest
from museum_case import PROJECT_DIR, miscounted_hours

from dashboard.state import read_pulse
from etlkit.postgres import Connection, connect
from museum.hourly import MiscountedHours, compare_hours, fold_hours, fold_in_passing, rebuild_hours

pytestmark = pytest.mark.database

try:
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st
except ImportError:
    pytest.skip("hypothesis is not installed: pip install -r requirements-dev.txt", allow_module_level=True)

INSERT = """
    insert into review (exhibition_id, at, rating_id, source_id, position)
    select %(exhibition)s, timestamptz '2026-03-29 00:30+00' + n * interval '25 minutes', %(rating)s, 1,
           (select coalesce(max(position), 0) from review) + n
    from generate_series(1, %(count)s) n
"""
INCIDENT = """
    insert into incident (exhibition_id, at, incident_type_id, source_id, position)
    values (%(exhibition)s, '2026-03-29 12:59:59.999999+00', %(rating)s %% 2, 1,
            (select coalesce(max(position), 0) + 1 from incident))
"""
UPDATE = (
    "update review set rating_id = %(rating)s, at = at + interval '59 minutes' where position %% 3 = %(exhibition)s"
)
DELETE = "delete from review where position %% 4 = %(rating)s"
DELETE_INCIDENT = "delete from incident where exhibition_id = %(exhibition)s"
TRUNCATE_ALL = "truncate review, review_hour, review_hour_change, incident, incident_hour, incident_hour_change"
STATEMENTS = [INSERT, INCIDENT, UPDATE, DELETE, DELETE_INCIDENT]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from([*STATEMENTS, "fold", "truncate review", TRUNCATE_ALL, "rollback"]),
        st.fixed_dictionaries(
            {"exhibition": st.integers(1, 3), "rating": st.integers(0, 4), "count": st.integers(1, 9)}
        ),
    ),
    max_size=12,
)


NOW = datetime(2026, 3, 30, tzinfo=UTC)
SOURCE = """
    insert into event_source (kind, bucket, key, content_hash, run_id) values ('file', 'b', 'k', 'h', gen_random_uuid())
"""


def run_alone(database, statement: str) -> None:
    with closing(connect(database, "alone")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


def wait_for_lock(connection: Connection) -> None:
    """Wait until some session waits for a lock."""
    deadline = time.monotonic() + 20
    while total(connection, "select count(*) from pg_locks where not granted") == 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def presses(connection: Connection) -> Connection:
    """A connection to a museum of three exhibitions without presses."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into exhibition (exhibition_id, exhibition_code, exhibition_name) "
            "select n, 'EXH_0' || n - 1, 'Room ' || n from generate_series(1, 3) n"
        )
        cursor.execute(SOURCE)
    return connection


def total(connection: Connection, statement: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return int((cursor.fetchone() or (0,))[0] or 0)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
def test_whatever_happens_to_the_presses_the_hours_follow(presses, database, changes):
    with presses.cursor() as cursor:
        for statement, values in changes:
            cursor.execute("begin")
            if statement == "fold":
                fold_hours(cursor)
            elif statement == "rollback":
                cursor.execute(INSERT, values)
            else:
                cursor.execute(statement, values)
            cursor.execute("rollback" if statement == "rollback" else "commit")
        cursor.execute("select greatest((select max(at) from review), (select max(at) from incident))")
        latest = cursor.fetchone()
        assert latest == (read_pulse(cursor, NOW).latest_press,)
    assert miscounted_hours(database) == []


def test_the_latest_press_is_found_below_hours_that_were_emptied(presses):
    """The hourly counts only say where to look, so an hour without presses, folded or not, hides no earlier one."""
    with presses.cursor() as cursor:
        for folded in (False, True):
            cursor.execute(INSERT, {"exhibition": 1, "rating": 3, "count": 9})
            cursor.execute("begin")
            fold_hours(cursor)
            cursor.execute("commit")
            cursor.execute("delete from review where at >= '2026-03-29 02:00+00'")
            if folded:
                cursor.execute("begin")
                fold_hours(cursor)
                cursor.execute("commit")
            assert read_pulse(cursor, NOW).latest_press == datetime(2026, 3, 29, 1, 45, tzinfo=UTC)
            cursor.execute("delete from review")
            assert read_pulse(cursor, NOW).latest_press is None


def test_folding_empties_the_list_and_changes_no_figure(presses):
    with presses.cursor() as cursor:
        for exhibition in (1, 2, 1):
            cursor.execute(INSERT, {"exhibition": exhibition, "rating": 3, "count": 5})
        cursor.execute(INCIDENT, {"exhibition": 1, "rating": 1})
        cursor.execute("select * from exhibition_rating order by 1")
        before = cursor.fetchall()
        cursor.execute("begin")
        fold_hours(cursor)
        cursor.execute("commit")
        cursor.execute("select * from exhibition_rating order by 1")
        assert cursor.fetchall() == before
    assert total(presses, "select count(*) from review_hour_change") == 0
    assert total(presses, "select count(*) from incident_hour_change") == 0
    assert total(presses, "select sum(reviews) from review_hour") == 15


def test_a_press_that_arrives_after_its_hour_was_folded_is_counted_at_once(presses):
    with presses.cursor() as cursor:
        cursor.execute(INSERT, {"exhibition": 1, "rating": 0, "count": 1})
        cursor.execute("begin")
        fold_hours(cursor)
        cursor.execute("commit")
        cursor.execute(INSERT, {"exhibition": 1, "rating": 4, "count": 1})
        cursor.execute("select reviews, average_rating from exhibition_rating where exhibition_id = 1")
        assert cursor.fetchone() == (2, 2)


def test_nobody_waits_for_a_fold_or_folds_twice(presses, database):
    with presses.cursor() as cursor:
        cursor.execute(INSERT, {"exhibition": 1, "rating": 3, "count": 5})
    with closing(connect(database, "first fold")) as first, first.cursor() as folding:
        fold_hours(folding)
        with presses.cursor() as cursor:
            cursor.execute("set lock_timeout = '200ms'")
            cursor.execute("begin")
            fold_hours(cursor)  # finds the lock taken and leaves it to the other one
            cursor.execute("commit")
            cursor.execute(INSERT, {"exhibition": 1, "rating": 3, "count": 5})
            cursor.execute("select sum(reviews) from review_tally")
            assert cursor.fetchone() == (10,)
        first.commit()
    assert total(presses, "select sum(reviews) from review_tally") == 10
    assert total(presses, "select sum(reviews) from review_hour_change") == 5


def test_a_load_folds_and_a_dry_run_does_not(museum):
    museum.exhibition(0)
    museum.kiosk(0, "2023-03-06 10:00:00,0,3,", "2023-03-06 10:59:59,0,4,", "2023-03-06 11:00:00,0,-1,1")
    museum.push("--dry-run")
    assert (museum.count("review_hour"), museum.count("review_hour_change")) == (0, 0)
    museum.push()
    assert (museum.count("review_hour"), museum.count("review_hour_change")) == (2, 0)
    assert museum.query("select incidents from incident_hour") == [(1,)]


def test_a_changed_object_takes_its_old_counts_back(museum):
    museum.exhibition(0)
    museum.kiosk(0, *(f"2023-03-06 10:00:{second:02},0,3," for second in range(10)))
    museum.push()
    museum.kiosk(0, *(f"2023-03-06 10:00:{second:02},0,{1 if second < 5 else 3}," for second in range(10)))
    museum.push()
    assert museum.query("select rating_id, reviews from rating_distribution where reviews > 0 order by 1") == [
        (1, 5), (3, 5),
    ]  # fmt: skip


def test_hours_are_local_in_the_views_across_the_spring_change(presses):
    with presses.cursor() as cursor:
        for moment in ("2026-03-29 00:59:59+00", "2026-03-29 01:00:00+00"):
            cursor.execute(
                "insert into review (exhibition_id, at, rating_id, source_id, position) "
                "values (1, %s, 3, 1, (select count(*) from review))",
                (moment,),
            )
        cursor.execute("select local_hour::text, reviews from rating_over_time order by 1")
        assert cursor.fetchall() == [("2026-03-29 00:00:00", 1), ("2026-03-29 02:00:00", 1)]
        cursor.execute("select hour, reviews from hourly_activity order by 1")
        assert cursor.fetchall() == [(0, 1), (2, 1)]


def test_a_bulk_load_counts_anew_after_everything_was_deleted(museum, monkeypatch):
    monkeypatch.setattr("museum.batch.judged_rows.BULK_ROWS", 10)
    museum.exhibition(0)
    museum.kiosk(0, *(f"2023-03-06 10:00:{second:02},0,3," for second in range(30)), "2023-03-06 10:00:30,0,-1,0")
    museum.push()
    for table in ("review", "incident", "event_source"):
        museum.query(f"delete from {table}")
    assert museum.query("select sum(reviews) from review_hour_change") == [(-30,)]
    assert museum.push().load["rows_stored"] == 31
    assert museum.count("review_hour_change") == 0, "a row by row load would have noted them"
    assert museum.query("select count(*), sum(reviews) from review_tally") == [(1, 30)]
    assert museum.query("select count(*), sum(incidents) from incident_tally") == [(1, 1)]
    triggers = "select distinct tgenabled from pg_trigger where tgname ~ '_hour_'"
    assert museum.query(triggers) == [("O",)]
    museum.kiosk(1, "2023-03-06 10:00:00,0,3,")
    museum.push()
    assert museum.query("select sum(reviews) from review_tally") == [(31,)]


def test_an_empty_table_and_a_fold_meet(presses, database):
    """A truncation, or a bulk load, waits for the fold under way and leaves no ghost of what it moved."""
    with presses.cursor() as cursor:
        cursor.execute(INSERT, {"exhibition": 1, "rating": 3, "count": 5})
    with closing(connect(database, "fold")) as first, first.cursor() as folding:
        fold_hours(folding)
        truncating = threading.Thread(target=run_alone, args=(database, "truncate review"))
        truncating.start()
        wait_for_lock(presses)
        first.commit()
        truncating.join(timeout=20)
    assert total(presses, "select count(*) from review_hour") == 0
    assert miscounted_hours(database) == []


def test_a_fold_in_passing_waits_for_nobody_and_fails_in_silence(presses, database):
    with presses.cursor() as cursor:
        cursor.execute(INSERT, {"exhibition": 1, "rating": 3, "count": 5})
    with closing(connect(database, "passing")) as consumer:
        with closing(connect(database, "reindex")) as other, other.cursor() as holding:
            holding.execute("lock table review_hour in share mode")
            began = time.monotonic()
            fold_in_passing(consumer, 5)
            assert time.monotonic() - began < 2
            with consumer, consumer.cursor() as cursor:
                cursor.execute("select count(*) from review_hour_change")
                assert cursor.fetchone()[0] > 0
        fold_in_passing(consumer, 5)
    assert total(presses, "select count(*) from review_hour_change") == 0
    assert total(presses, "select sum(reviews) from review_hour") == 5


def test_hours_whose_presses_have_gone_go_too(presses):
    with presses.cursor() as cursor:
        cursor.execute(INSERT, {"exhibition": 1, "rating": 3, "count": 5})
        for statement in ("select", "delete from review"):
            cursor.execute(statement)
            cursor.execute("begin")
            fold_hours(cursor)
            cursor.execute("commit")
    assert total(presses, "select count(*) from review_hour") == 0


def test_an_upgrade_counts_what_writers_bring_meanwhile(empty_database):
    """From version 2, with a press that is committed while the upgrade waits, whatever the default isolation."""
    text = (PROJECT_DIR / "schema.sql").read_text()
    later = text.index("-- Presses by hour")
    before = text[:later] + text[text.index("-- Views: the questions") : text.index("-- How well each")] + "commit;"
    run_alone(empty_database, before)
    run_alone(empty_database, "insert into exhibition values (1, 'EXH_00', 'Room')")
    run_alone(empty_database, SOURCE)
    one = {"exhibition": 1, "rating": 3, "count": 1}
    with closing(connect(empty_database, "writer")) as writer, closing(connect(empty_database, "look")) as look:
        look.autocommit = True
        with writer.cursor() as cursor:
            cursor.execute(INSERT, one)
            strict = "set default_transaction_isolation = 'repeatable read'; commit; "
            upgrade = threading.Thread(target=run_alone, args=(empty_database, strict + text))
            upgrade.start()
            wait_for_lock(look)
            cursor.execute("select count(*) from event_source")
            with look.cursor() as reading:
                reading.execute("set lock_timeout = '500ms'")
                reading.execute("select count(*) from review, event_source")
            writer.commit()
        upgrade.join(timeout=20)
    assert miscounted_hours(empty_database) == []
    with closing(connect(empty_database, "look")) as look:
        assert total(look, "select sum(reviews) from review_hour") == 1


FORGERIES = {
    "update review_hour set reviews = reviews + 5 where rating_id = 3": (5, 0),
    "insert into review_hour_change values (3, '2020-01-01 00:00+00', 4, 7)": (7, 0),
    "insert into review_hour values (77, '2999-01-01 00:00+00', 4, 9)": (9, 0),
    "delete from review_hour": (6, 0),
    "update review_hour set rating_id = 4 where rating_id = 3": (12, 0),
    "update incident_hour set hour = hour - interval '1 day'": (0, 2),
}


@pytest.fixture
def counted(museum):
    """A museum of six reviews and one call for help, loaded."""
    museum.exhibition(1)
    museum.kiosk(1, *(f"2024-03-05 10:00:0{n},1,3," for n in range(6)), "2024-03-05 11:00:00,1,-1,1")
    museum.push()
    return museum


@pytest.mark.parametrize("forgery", FORGERIES)
def test_counts_that_somebody_changed_are_named_by_the_next_load_and_counted_anew(counted, forgery):
    reviews, incidents = FORGERIES[forgery]
    counted.query(forgery)
    named = counted.push()
    assert named.exit_code == 0
    (warning,) = [line for line in named.lines if "--rebuild-hours" in line]
    assert f"differ from the presses, by {reviews} reviews and {incidents} incidents" in warning
    rebuild = ("load", "--rebuild-hours", *counted.database_flags)
    would = counted.run(*rebuild, "--dry-run")
    assert "would be counted anew" in would.last_line
    assert miscounted_hours(counted.database) != []
    assert "were counted anew" in counted.run(*rebuild).last_line
    assert miscounted_hours(counted.database) == []
    again = counted.run(*rebuild)
    assert (again.exit_code, again.last_line.split(".")[0]) == (0, "The hourly counts agree with the presses")
    assert not any("--rebuild-hours" in line for line in counted.push().lines)


def test_hours_are_counted_anew_beside_writers_and_folds(presses, database):
    """What is committed or folded while it runs, before and after its snapshot, is counted once."""
    one = {"exhibition": 1, "rating": 3, "count": 1}
    with presses.cursor() as cursor:
        cursor.execute(INSERT, {**one, "count": 5})
        cursor.execute("update review_hour_change set reviews = reviews + 2")
        cursor.execute("commit")
    with (
        closing(connect(database, "open")) as still_open,
        closing(connect(database, "rebuild")) as rebuilding,
        still_open.cursor() as writer,
        rebuilding.cursor() as cursor,
    ):
        writer.execute(INSERT, one)
        found = rebuild_hours(cursor)
        still_open.commit()
        writer.execute(INSERT, {**one, "exhibition": 2})
        assert not fold_hours(writer), "nobody folds meanwhile"
        still_open.commit()
        rebuilding.commit()
    assert found == MiscountedHours(3, 6, 0)
    assert miscounted_hours(database) == []


def test_two_that_count_anew_do_so_one_after_the_other(presses, database):
    run_alone(database, "insert into review_hour_change values (1, '2020-01-01 00:00+00', 3, 7)")

    def rebuild() -> None:
        with closing(connect(database, "second")) as connection, connection, connection.cursor() as cursor:
            rebuild_hours(cursor)

    with closing(connect(database, "first")) as first, closing(connect(database, "look")) as look:
        look.autocommit = True
        with first.cursor() as cursor:
            rebuild_hours(cursor)
            second = threading.Thread(target=rebuild)
            second.start()
            wait_for_lock(look)
        first.commit()
        second.join(timeout=20)
    assert miscounted_hours(database) == []


def test_a_large_museum_is_compared_span_by_span(presses, database, monkeypatch):
    """Each load compares one span, so that none takes long; a number of loads has seen all, whatever was pruned."""
    monkeypatch.setattr("museum.hourly.COMPARED_PRESSES", 40)
    run = """
        insert into meta.ingestion_runs (run_id, source_system, entity_type, status, metadata)
        values (gen_random_uuid(), 'museum', 'batch', 'completed', jsonb_build_object('load', %s::jsonb))
    """
    with presses.cursor() as cursor:
        cursor.execute(INSERT, {"exhibition": 1, "rating": 3, "count": 200})
        cursor.execute(
            "insert into review_hour_change values (2, '2026-03-30 00:00+00', 3, 1), (2, '1999-01-01', 3, 1)"
        )
        cursor.execute("insert into review_hour_change values (2, '2999-01-01 00:00+00', 3, 1)")
        found = []
        for _load in range(14):
            cursor.execute("begin")
            wrong = compare_hours(cursor)
            found.append(wrong.reviews)
            cursor.execute("rollback")
            cursor.execute("delete from meta.ingestion_runs")
            cursor.execute(run, (json.dumps({"hours_span": wrong.span}),))
        cursor.execute("delete from review_hour_change where exhibition_id = 2")
    assert sum(found[:7]) == sum(found[7:]) == 3, "two pages of presses are 7 spans"
    assert max(found) < 3
