"""The graph: what it holds, that it loads without settings, that its jobs run for real and stop where they should."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from works_case import movie, person, show

from binge_works.asset_runs import key_of, raw_key
from binge_works.binge_settings import PROJECT_DIR
from binge_works.definitions import defs
from binge_works.loading import lock_of
from binge_works.popular_lists import LISTS, PEOPLE, SHOWS
from binge_works.sample_tmdb import server
from binge_works.schedules.schedules import popular_shows_schedule
from binge_works.sensors.people_sensors import people_churn_sensor
from etlkit.locks import advisory_lock
from etlkit.postgres import connect

DAY, NEXT = "2026-01-24", "2026-01-25"
JOBS = ("popular_shows_job", "popular_people_job", "popular_movies_job")
ASSETS = {  # asset: what it is made from, group, kinds, layer
    "raw/popular_shows": ((), "popular_shows", "bronze python", "source"),
    "staging/shows": (("raw/popular_shows",), "popular_shows", "postgres python silver", "staging"),
    "tmdb_data/dim_popular_shows": (("staging/shows",), "popular_shows", "gold postgres python", "prod"),
    "tmdb_data/dim_shows_history": (("staging/shows",), "popular_shows", "gold postgres python", "history"),
    "tmdb_data/popularity_snapshot_shows": (("staging/shows",), "popular_shows", "gold postgres python", "history"),
    "raw/popular_people": ((), "popular_people", "bronze python", "source"),
    "staging/popular_people": (("raw/popular_people",), "popular_people", "postgres python silver", "staging"),
    "tmdb_data/popularity_snapshot_people": (
        ("staging/popular_people",), "popular_people", "gold postgres python", "history",
    ),
    "tmdb_data/people_churn": (
        ("tmdb_data/popularity_snapshot_people",), "popular_people", "gold postgres sql", "history",
    ),
    "tmdb_data/dim_popular_people": (("staging/popular_people",), "dim_popular_people", "gold postgres sql", "prod"),
    "tmdb_data/dim_people_history": (
        ("staging/popular_people",), "dim_popular_people_history", "gold postgres sql", "history",
    ),
    "tmdb_data/bridge_person_project": (
        ("staging/popular_people",), "bridge_person_project", "gold postgres sql", "prod",
    ),
    "raw/popular_movies": ((), "popular_movies", "bronze python", "source"),
    "staging/popular_movies": (("raw/popular_movies",), "popular_movies", "postgres python silver", "staging"),
    "tmdb_data/popular_movies": (("staging/popular_movies",), "popular_movies", "gold postgres python", "prod"),
    "tmdb_data/popularity_snapshot_movies": (
        ("staging/popular_movies",), "popular_movies", "gold postgres python", "history",
    ),
}  # fmt: skip
BLOCKING = {
    "staging/shows:equals_extract", "staging/popular_people:equals_extract", "staging/popular_movies:equals_extract",
    "tmdb_data/dim_popular_shows:holds_staged", "tmdb_data/dim_popular_people:holds_staged",
    "tmdb_data/popular_movies:holds_staged", "tmdb_data/dim_shows_history:one_current_version",
    "tmdb_data/dim_shows_history:no_overlap", "tmdb_data/dim_people_history:one_current_version",
    "tmdb_data/dim_people_history:no_overlap", "tmdb_data/bridge_person_project:bridge_holds_staged",
}  # fmt: skip
WARNING = {
    "tmdb_data/dim_popular_shows:is_recent", "tmdb_data/dim_popular_people:is_recent",
    "tmdb_data/popular_movies:is_recent", "tmdb_data/dim_shows_history:little_churn",
    "tmdb_data/dim_people_history:little_churn",
}  # fmt: skip


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def lists(works):
    works.tmdb.set_lists(
        tv=[show(number) for number in range(1, 31)],
        movie=[movie(number) for number in range(1, 31)],
        person=[person(number, ("tv", number)) for number in range(1, 31)],
    )
    return works


def run_job(name, instance, *, as_of=DAY, **config):
    raw = "raw__popular_" + name.removeprefix("popular_").removesuffix("_job")
    run_config = {"ops": {raw: {"config": {"as_of": as_of, **config}}}}
    return defs.resolve_job_def(name).execute_in_process(instance=instance, run_config=run_config, raise_on_error=False)


def materialize(selection, instance, **run_config):
    resources = {"tmdb": defs.resources["tmdb"], "postgres": defs.resources["postgres"]}
    return dg.materialize(
        list(defs.assets),
        selection=selection,
        instance=instance,
        resources=resources,
        raise_on_error=False,
        **run_config,
    )


def failures(result):
    """The words of every step that failed."""
    told = [event.event_specific_data.user_failure_data for event in result.all_events if event.is_step_failure]
    return [words.description for words in told if words]


def test_the_graph_is_what_it_was():
    graph = defs.resolve_asset_graph()
    found = {
        key.to_user_string(): (
            tuple(sorted(parent.to_user_string() for parent in node.parent_keys)),
            node.group_name,
            " ".join(sorted(node.kinds)),
            node.tags.get("layer"),
        )
        for key, node in ((key, graph.get(key)) for key in graph.get_all_asset_keys())
    }
    assert found == ASSETS
    assert set(found) == {key_of(table).to_user_string() for each in LISTS for table in each.tables} | {
        raw_key(each).to_user_string() for each in LISTS
    }


def test_what_blocks_and_what_warns():
    graph = defs.resolve_asset_graph()
    keys = graph.asset_check_keys
    blocking = {f"{key.asset_key.to_user_string()}:{key.name}": graph.get(key).blocking for key in keys}
    assert {name for name, is_blocking in blocking.items() if is_blocking} == BLOCKING
    assert {name for name, is_blocking in blocking.items() if not is_blocking} == WARNING


def test_no_asset_is_in_two_jobs_and_the_sensor_s_one_is_in_none():
    held = {name: defs.resolve_job_def(name).asset_layer.executable_asset_keys for name in (*JOBS, "people_churn_job")}
    for one, other in itertools.combinations(held.values(), 2):
        assert not one & other
    assert {key.to_user_string() for keys in held.values() for key in keys} == set(ASSETS)
    assert held["people_churn_job"] == {key_of("tmdb_data.people_churn")}
    for name in JOBS:
        assert defs.resolve_job_def(name).executor_def is dg.in_process_executor


def test_every_day_has_its_schedule_and_nothing_starts_by_itself():
    found = {one.name: (one.cron_schedule, one.execution_timezone, one.job_name) for one in defs.schedules}
    assert found == {
        "popular_shows_schedule": ("0 13 * * *", "UTC", "popular_shows_job"),
        "popular_people_schedule": ("10 13 * * *", "UTC", "popular_people_job"),
        "popular_movies_schedule": ("20 13 * * *", "UTC", "popular_movies_job"),
    }


def empty_environment(tmp_path):
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DAGSTER_DISABLE_TELEMETRY": "1"}


@pytest.mark.parametrize("command", [["dagster", "definitions", "validate"], ["dg", "check", "defs"]])
def test_the_definitions_load_without_any_setting(tmp_path, command):
    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run(
        [program, *command[1:]],
        cwd=PROJECT_DIR,
        env=empty_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", JOBS)
def test_a_job_runs_for_real(lists, dagster_home, name):
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "binge_works.definitions", "-j", name]
    done = subprocess.run(command, cwd=lists.folder, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.TOKEN not in done.stdout + done.stderr
    popular = next(each for each in LISTS if f"popular_{each.name}_job" == name)
    loaded = lists.query("select table_name from tmdb_data.loaded_day")
    assert {table for (table,) in loaded} == set(popular.tables) - {"tmdb_data.people_churn"}
    runs = "select entity_type, status from meta.ingestion_runs order by started_at"
    assert sorted(lists.query(runs)) == sorted((table, "completed") for (table,) in loaded)
    with dg.DagsterInstance.get() as instance:
        everything = str(instance.all_logs(instance.get_runs()[0].run_id))
    assert server.TOKEN not in everything
    assert lists.database.db_password.get_secret_value() not in everything


@pytest.mark.database
def test_jobs_and_command_line_leave_the_same(lists, instance, databases, schema_files):
    for day, name in itertools.product((DAY, NEXT), JOBS):
        assert run_job(name, instance, as_of=day).success
    assert materialize([key_of(str(PEOPLE.churn))], instance).success
    by_jobs = lists.tables()
    with databases.fresh(schema_files) as other:
        lists.point_at(other)
        lists.database = other
        for day in (DAY, NEXT):
            assert lists.run("run", "--as-of", day).exit_code == 0
        by_command = lists.tables()
    by_command["tmdb_data.people_churn"] = by_command["tmdb_data.people_churn"][-1:]  # the sensor's job ran once
    assert by_jobs == by_command


def test_what_dagster_is_told_of_a_table(lists, instance):
    assert run_job("popular_shows_job", instance).success
    event = instance.get_latest_materialization_event(key_of("tmdb_data.dim_shows_history"))
    told = {name: entry.value for name, entry in event.asset_materialization.metadata.items()}
    assert (told["record_count"], told["dagster/row_count"], told["opened"], told["as_of"]) == (30, 30, 30, DAY)
    created = "select records_processed, records_created from meta.ingestion_runs where entity_type ~ 'history'"
    assert lists.query(created) == [(30, 30)]
    assert told["execution_time"] > 0
    assert told["dagster/table_name"] == f"{lists.database.db_name}.tmdb_data.dim_shows_history"
    columns = {column.name: column.type for column in told["dagster/column_schema"].columns}
    assert columns["effective_date"] == "date"
    assert list(columns)[:2] == ["id_sk", "id"]
    raw = instance.get_latest_materialization_event(raw_key(SHOWS)).asset_materialization.metadata
    assert (raw["record_count"].value, raw["pages_processed"].value) == (30, 2)
    assert Path(raw["path"].value).is_relative_to(lists.raw_dir)


@pytest.mark.database
def test_a_blocking_check_that_fails_keeps_its_dependents_from_being_filled(lists, instance):
    lists.query(
        "create function public.lose() returns trigger language plpgsql as "
        "$$ begin update meta.ingestion_runs set records_processed = 99 where run_id = new.run_id; return null; end $$"
    )
    lists.query(
        "create trigger lose after update on meta.ingestion_runs for each row "
        "when (new.status = 'completed' and new.entity_type = 'staging.shows' and new.records_processed <> 99) "
        "execute function public.lose()"
    )
    result = run_job("popular_shows_job", instance)
    assert not result.success
    evaluations = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert evaluations == {"equals_extract": False}
    begun = {event.step_key for event in result.all_events if event.is_step_start}
    assert begun == {"raw__popular_shows", "staging__shows", "staging__shows_equals_extract"}
    assert lists.count("tmdb_data.dim_popular_shows") == lists.count("tmdb_data.dim_shows_history") == 0
    assert lists.count("staging.shows") == 30


def test_a_check_that_warns_fails_nothing(lists, instance):
    result = run_job("popular_shows_job", instance)
    assert result.success
    found = {one.check_name: (one.passed, one.severity) for one in result.get_asset_check_evaluations()}
    assert found["is_recent"] == (False, dg.AssetCheckSeverity.WARN)
    assert found["little_churn"][0]
    assert set(found) == {
        "equals_extract",
        "holds_staged",
        "is_recent",
        "one_current_version",
        "no_overlap",
        "little_churn",
    }


@pytest.mark.parametrize("name", ["TMDB_API_KEY", "DB_HOST"])
def test_a_missing_setting_fails_the_run_by_its_name(lists, instance, name):
    lists.unset(name)
    result = run_job("popular_shows_job", instance)
    assert not result.success
    (words,) = failures(result)
    assert f"missing settings {name}" in words or f"missing settings: {name}" in words, words


def test_a_refusal_is_one_sentence_without_the_key(lists, instance):
    lists.tmdb.set_faults({"status": 401, "times": 9, "body": {"status_code": 7, "status_message": "Invalid API key"}})
    result = run_job("popular_shows_job", instance)
    (words,) = failures(result)
    assert words.startswith("TMDB: /tv/popular page 1 answers 401: Invalid API key. Check TMDB_API_KEY.")
    assert server.TOKEN not in str(instance.all_logs(result.run_id))


@pytest.mark.database
def test_another_load_of_staging_is_refused(lists, instance):
    assert run_job("popular_shows_job", instance).success
    before = lists.tables()
    history = key_of("tmdb_data.dim_shows_history")
    assert materialize([history], instance).success
    lists.query("update staging.shows set run_id = '00000000-0000-4000-8000-000000000000'")
    result = materialize([history], instance)
    assert not result.success
    assert "Another load came in between" in failures(result)[0]
    lists.query("delete from staging.shows")
    assert "staging.shows holds nothing" in failures(materialize([history], instance))[0]
    assert lists.tables()["tmdb_data.dim_shows_history"] == before["tmdb_data.dim_shows_history"]


@pytest.mark.database
def test_raw_pages_of_another_extraction_are_refused(lists, instance):
    assert run_job("popular_shows_job", instance).success
    assert lists.load("shows", DAY).exit_code == 0
    result = materialize([key_of("staging.shows")], instance)
    assert "holds another extraction than this run's" in failures(result)[0]


@pytest.mark.database
def test_churn_before_its_snapshot_is_refused(lists, instance):
    assert run_job("popular_people_job", instance).success
    raw_and_staging = [raw_key(PEOPLE), key_of(PEOPLE.staging)]
    config = {"ops": {"raw__popular_people": {"config": {"as_of": NEXT}}}}
    assert materialize(raw_and_staging, instance, run_config=config).success
    result = materialize([key_of(str(PEOPLE.churn))], instance)
    assert (
        "tmdb_data.popularity_snapshot/people holds 2026-01-24, staging the list of 2026-01-25" in failures(result)[0]
    )
    assert lists.count("tmdb_data.people_churn") == 0


@pytest.mark.database
def test_a_run_of_an_older_day_does_not_replace_what_a_replay_loads(lists, instance):
    assert run_job("popular_shows_job", instance).success
    assert run_job("popular_shows_job", instance, as_of=NEXT).success
    kept = (lists.raw_dir / DAY / "shows.jsonl.gz").read_bytes()
    assert not run_job("popular_shows_job", instance).success
    assert (lists.raw_dir / DAY / "shows.jsonl.gz").read_bytes() == kept


@pytest.mark.database
def test_staging_alone_is_made_again_from_the_pages_that_were_loaded(lists, instance):
    assert run_job("popular_shows_job", instance).success
    assert materialize([key_of("staging.shows")], instance).success
    assert materialize([key_of("tmdb_data.dim_shows_history")], instance).success
    shutil.rmtree(lists.raw_dir)
    assert "cannot be read" in failures(materialize([key_of("staging.shows")], instance))[0]


@pytest.mark.database
def test_checks_of_a_database_that_nothing_was_loaded_into_fail_nothing(works, instance):
    checks = list(defs.asset_checks)
    resources = {"postgres": defs.resources["postgres"]}
    selection = dg.AssetSelection.all_asset_checks()
    job = dg.Definitions(
        assets=defs.assets, asset_checks=checks, jobs=[dg.define_asset_job("checks", selection)],
        resources={**resources, "tmdb": defs.resources["tmdb"]},
    ).resolve_job_def("checks")  # fmt: skip
    result = job.execute_in_process(instance=instance)
    assert len(result.get_asset_check_evaluations()) == len(BLOCKING | WARNING)
    assert all(one.passed for one in result.get_asset_check_evaluations())


@pytest.mark.parametrize("key", ["a-wrong-api-key-0123456789", "wrongeyJ.tokenXXXX.signature"])
@pytest.mark.parametrize(
    "fault",
    [
        {"reset": True, "times": 99},
        {"status": 503, "times": 99},
        {"status": 403, "body": {"status_message": "what is KEY?"}},
    ],
    ids=str,
)
def test_dagster_s_log_holds_no_key(lists, dagster_home, key, fault):
    lists.set(TMDB_API_KEY=key)
    lists.tmdb.set_faults(json.loads(json.dumps(fault).replace("KEY", key)))
    with dg.DagsterInstance.get() as stored:
        result = run_job("popular_shows_job", stored)
        assert not result.success
        assert failures(result)
        everything = str(stored.all_logs(result.run_id))
    assert key not in everything


def test_a_table_before_its_staging_says_so(lists, instance):
    result = materialize([key_of("tmdb_data.dim_shows_history")], instance)
    (words,) = failures(result)
    assert words.startswith("staging/shows was never materialised in this instance of Dagster. Materialise it first")


@pytest.mark.database
def test_a_day_is_replayed_and_an_older_one_refused(lists, instance):
    assert run_job("popular_shows_job", instance, as_of=DAY).success
    lists.tmdb.calls(forget=True)
    assert run_job("popular_shows_job", instance, as_of=DAY, replay=True).success
    assert lists.tmdb.calls() == []
    assert (
        "no raw pages of shows for 2026-01-25"
        in failures(run_job("popular_shows_job", instance, as_of=NEXT, replay=True))[0]
    )
    assert run_job("popular_shows_job", instance, as_of=NEXT).success
    words = failures(run_job("popular_shows_job", instance, as_of=DAY))[0]
    assert words.startswith("2026-01-24 is an older day than what is loaded: staging.shows holds 2026-01-25")
    assert "ahead of today" in failures(run_job("popular_shows_job", instance, as_of="2999-01-01"))[0]


@pytest.mark.database
def test_a_table_that_another_fills_fails_the_step_and_names_them(lists, instance):
    with closing(connect(lists.database, "somebody else")) as holder, advisory_lock(holder, lock_of("staging.shows")):
        result = run_job("popular_shows_job", instance)
    (words,) = failures(result)
    assert words.startswith(f"{lock_of('staging.shows')} is locked by somebody else")
    assert lists.count("tmdb_data.dim_popular_shows") == 0


def test_a_schedule_skips_while_its_job_is_at_work(dagster_home):
    with dg.DagsterInstance.get() as instance:
        _assert_skips(instance)


def _assert_skips(instance):
    now = datetime.now(UTC)
    context = dg.build_schedule_context(
        instance=instance, repository_def=defs.get_repository_def(), scheduled_execution_time=now
    )
    (request,) = popular_shows_schedule.evaluate_tick(context).run_requests
    assert request.run_key == f"{now:%Y-%m-%d %H:%M}"
    instance.create_run_for_job(defs.resolve_job_def("popular_shows_job"), status=dg.DagsterRunStatus.STARTED)
    skipped = popular_shows_schedule.evaluate_tick(context)
    assert skipped.run_requests == []
    assert "popular_shows_job is at work already: run" in skipped.skip_message
    tomorrow = dg.build_schedule_context(
        instance=instance, repository_def=defs.get_repository_def(), scheduled_execution_time=now + timedelta(days=1)
    )
    assert len(popular_shows_schedule.evaluate_tick(tomorrow).run_requests) == 1  # a run of yesterday is dead


def test_the_sensor_asks_for_one_run_a_materialisation(lists, instance):
    assert run_job("popular_people_job", instance).success
    context = dg.build_sensor_context(instance=instance, repository_def=defs.get_repository_def())
    (request,) = people_churn_sensor.evaluate_tick(context).run_requests
    assert request.run_key
    context = dg.build_sensor_context(
        instance=instance,
        repository_def=defs.get_repository_def(),
        cursor=people_churn_sensor.evaluate_tick(context).cursor,
    )
    assert people_churn_sensor.evaluate_tick(context).run_requests == []
    assert defs.resolve_job_def("people_churn_job").execute_in_process(instance=instance).success
    assert lists.query("select listed, entered, gone from tmdb_data.people_churn") == [(30, 30, 0)]


def test_dagster_puts_env_files_over_the_environment(tmp_path):
    """A law of the house that Dagster breaks; the README warns of it."""
    (tmp_path / ".env").write_text("TMDB_BASE_URL=https://from.the.file\n")
    (tmp_path / "probe.py").write_text(
        "import os, pathlib, dagster as dg\n"
        "pathlib.Path('seen').write_text(os.environ['TMDB_BASE_URL'])\n"
        "defs = dg.Definitions()\n"
    )
    environment = {**empty_environment(tmp_path), "TMDB_BASE_URL": "https://from.the.environment"}
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-f", "probe.py"]
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert (tmp_path / "seen").read_text() == "https://from.the.file"


@pytest.mark.database
def test_runs_are_kept_in_postgres(lists, tmp_path, monkeypatch, empty_database):
    home = tmp_path / "production"
    home.mkdir()
    text = (PROJECT_DIR / "dagster.production.yaml").read_text(encoding="utf-8")
    (home / "dagster.yaml").write_text(text)
    found = empty_database
    word = found.db_password.get_secret_value()
    url = f"postgresql+psycopg2://{found.db_user}:{word}@{found.db_host}:{found.db_port}/{found.db_name}"
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "binge_works.definitions", "-j", JOBS[0]]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with closing(connect(found, "test")) as connection, connection, connection.cursor() as cursor:
        cursor.execute("select status from runs")
        assert cursor.fetchall() == [("SUCCESS",)]
    assert not list(home.glob("**/*.db"))


def test_every_module_is_found_where_the_founding_document_puts_it():
    for name in ("jobs.jobs", "schedules.schedules", "sensors.people_sensors", "resources.TMDBResource",
                 "resources.PostgreSQLResource", "constants", "checks.table_checks"):  # fmt: skip
        assert importlib.import_module(f"binge_works.{name}")
