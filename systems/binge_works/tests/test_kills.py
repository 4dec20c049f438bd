"""Two at once, kill -9 within and between tables, a server that is restarted: no table is ever half a day."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import closing, contextmanager

import pytest
from works_case import Works, movie, person, show

from binge_works.loading import lock_of
from etlkit.embedded import EmbeddedServer
from etlkit.postgres import apply_schema, connect
from etlkit.testing import full_count, seeded_random
from etlkit.testing.plugin import SERVER_SETTINGS

pytestmark = [pytest.mark.soak, pytest.mark.database]

DAY, NEXT = "2026-01-24", "2026-01-25"
KILLS = full_count("kills of a daily run", 4, 60)
WAITING = "select 1 from pg_locks where not granted and database = (select oid from pg_database where datname = %s)"
GHOSTS = (
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name ~ '^binge_works' and datname = %s"
)
LISTS = {
    "shows": ("staging.shows", "tmdb_data.dim_popular_shows", "tmdb_data.dim_shows_history",
              "tmdb_data.popularity_snapshot"),
    "people": ("staging.popular_people", "tmdb_data.dim_popular_people", "tmdb_data.dim_people_history",
               "tmdb_data.bridge_person_project", "tmdb_data.people_churn"),
    "movies": ("staging.popular_movies", "tmdb_data.popular_movies", "meta.ingestion_runs"),
}  # fmt: skip


def day_of_lists(works, change, size=60):
    """Give TMDB a day of all lists."""
    works.tmdb.set_lists(
        tv=[show(n, name=f"{n % 7} {change}" if n % 3 else f"Show {n}") for n in range(change, size + change)],
        movie=[movie(n, overview=f"{change}") for n in range(change, size + change)],
        person=[person(n, ("tv", n + change), profile_path=f"/{change}.jpg") for n in range(change, size + change)],
    )


@contextmanager
def blocked(works, table):
    """Let whoever writes a table wait inside."""
    with closing(connect(works.database, "blocker")) as blocker, blocker.cursor() as cursor:
        cursor.execute(f"lock table {table} in exclusive mode")
        yield
        blocker.rollback()


@contextmanager
def blocked_completion(works):
    """Let a run wait just before its commit: a trigger asks for a lock when its row says completed."""
    works.query(
        "create or replace function public.wait() returns trigger language plpgsql as "
        "$$ begin perform pg_advisory_xact_lock(4711); return new; end $$"
    )
    works.query(
        "create trigger wait before update on meta.ingestion_runs for each row "
        "when (new.status = 'completed') execute function public.wait()"
    )
    with closing(connect(works.database, "blocker")) as blocker, blocker.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(4711)")
        yield
    works.query("drop trigger wait on meta.ingestion_runs")


def wait_until_it_waits(works, process):
    deadline = time.monotonic() + 60
    while not works.query(WAITING, works.database.db_name):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill(works, process):
    process.kill()
    process.communicate()
    while works.query(GHOSTS, works.database.db_name):
        time.sleep(0.02)


@pytest.fixture
def reference(works, databases, schema_files):
    """A second database, whose runs nobody kills."""
    with databases.fresh(schema_files) as made:
        yield Works(made, works.tmdb, works.folder, works._monkeypatch, works._capsys)
    works.point_at(works.database)


def load(works, as_of):
    works.point_at(works.database)
    result = works.run("run", "--as-of", as_of)
    assert result.exit_code == 0, result.text
    return works.tables()


@pytest.mark.parametrize(("name", "table"), [(name, table) for name, tables in LISTS.items() for table in tables])
def test_a_kill_inside_a_list_leaves_all_its_tables_as_they_were(works, reference, name, table):
    day_of_lists(works, 1)
    before = load(works, DAY)
    assert load(reference, DAY) == before
    day_of_lists(works, 2)
    works.point_at(works.database)
    with blocked(works, table) if table != "meta.ingestion_runs" else blocked_completion(works):
        process = works.start("run", "--only", name, "--as-of", NEXT)
        wait_until_it_waits(works, process)
        kill(works, process)
    assert works.tables() == before
    after = load(works, NEXT)
    assert works.query("select count(*) from meta.ingestion_runs where status = 'running'") == [(0,)]
    assert load(reference, NEXT) == after


def test_any_kill_is_made_good_by_one_run(works, reference):
    rng = seeded_random("kills")
    day_of_lists(works, 0 + 1, size=400)
    load(works, "2026-01-01")
    load(reference, "2026-01-01")
    for number in range(1, KILLS + 1):
        as_of = f"2026-{1 + number // 28:02}-{1 + number % 28:02}"
        day_of_lists(works, 1 + number, size=400)
        works.point_at(works.database)
        process = works.start("run", "--as-of", as_of)
        time.sleep(rng.uniform(0.3, 1.6))
        kill(works, process)
        assert load(works, as_of) == load(reference, as_of)


def test_the_second_of_two_loaders_is_told_who_holds_the_lock(works):
    day_of_lists(works, 1)
    load(works, DAY)
    day_of_lists(works, 2)
    with blocked(works, "tmdb_data.dim_shows_history"):
        first = works.start("run", "--only", "shows", "--as-of", NEXT)
        wait_until_it_waits(works, first)
        second = works.run("run", "--only", "shows", "--as-of", NEXT)
        assert second.exit_code == 4, second.text
        assert f"{lock_of('staging.shows')} is locked by binge_works shows run" in second.text
        assert f"pid {first.pid}" in second.text
        others = works.run("run", "--only", "movies", "people", "--as-of", NEXT)
        assert others.exit_code == 0, others.text
    out, _ = first.communicate(timeout=60)
    assert first.returncode == 0, out
    before = works.tables()
    assert works.run("run", "--only", "shows", "--as-of", NEXT).exit_code == 0
    assert works.tables() == before


def started_job(works, name):
    return subprocess.Popen(
        [sys.executable, "-m", "dagster", "job", "execute", "-m", "binge_works.definitions", "-j", name],
        cwd=works.folder,  # where no .env of the developer's lies, which Dagster would put over the environment
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_kill_between_two_assets_leaves_each_table_of_one_day(works, reference, dagster_home):
    day_of_lists(works, 1)
    load(works, DAY)
    load(reference, DAY)
    day_of_lists(works, 2)
    works.point_at(works.database)
    with blocked(works, "tmdb_data.bridge_person_project"):
        process = started_job(works, "popular_people_job")
        wait_until_it_waits(works, process)
        kill(works, process)
    today = works.query("select max(as_of) from tmdb_data.loaded_day")[0][0]
    days = dict(
        works.query("select table_name, as_of::text from tmdb_data.loaded_day where table_name ~ 'people|bridge'")
    )
    assert days["staging.popular_people"] == str(today)
    assert days["tmdb_data.bridge_person_project"] == DAY
    bridge = works.query("select distinct project_id - person_id from tmdb_data.bridge_person_project")
    assert bridge == [(1,)], "not half a day"
    process = started_job(works, "popular_people_job")
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0, out
    finished = {table: rows for table, rows in works.tables().items() if "people" in table or "bridge" in table}
    reference.point_at(reference.database)
    reference.run("run", "--only", "people", "--as-of", str(today))
    finished.pop("tmdb_data.people_churn")
    assert finished == {table: rows for table, rows in reference.tables().items() if table in finished}


def test_a_step_that_died_is_closed_by_the_command_too(works):
    started = (
        "insert into meta.ingestion_runs (run_id, source_system, entity_type) values (gen_random_uuid(), 'tmdb', %s)"
    )
    for target in ("tmdb_data.dim_shows_history", "shows", "movies"):
        works.query(started, target)
    day_of_lists(works, 1)
    result = works.load("shows", DAY)
    assert result.exit_code == 0
    assert "2 earlier run(s) ended without a word; marked failed" in result.text
    assert works.query("select entity_type from meta.ingestion_runs where status = 'running'") == [("movies",)]


def test_a_server_that_is_restarted_ends_the_run_and_nothing_is_half(works, server_home, schema_files):
    server = EmbeddedServer(server_home, settings=SERVER_SETTINGS)
    server.ensure_running()
    try:
        database = server.ensure_database("works")
        with closing(connect(database, "test")) as connection:
            for path in schema_files:
                apply_schema(connection, path)
        works.database = database
        day_of_lists(works, 1)
        before = load(works, DAY)
        day_of_lists(works, 2)
        with closing(connect(database, "blocker")) as blocker, blocker.cursor() as cursor:
            cursor.execute("lock table tmdb_data.dim_shows_history in exclusive mode")
            process = works.start("run", "--only", "shows", "--as-of", NEXT)
            wait_until_it_waits(works, process)
            server.stop()
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 1, out
        assert "loading shows: server closed the connection unexpectedly" in out
        assert "nothing was loaded" in out
        server.ensure_running()
        assert works.tables() == before
        load(works, NEXT)
        assert works.query("select count(*) from meta.ingestion_runs where status = 'running'") == [(0,)]
    finally:
        server.stop()
