"""The command line around the loads: init and upgrades, checks, help, settings, what README and .env.example say."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from contextlib import closing

import psycopg2
import pytest
from works_case import person, show

from binge_works import binge_settings
from binge_works.__main__ import command_parser
from binge_works.binge_settings import EVERY_SETTING, PROJECT_DIR, BingeDatabase
from etlkit.postgres import connect

DAY = "2026-01-24"

pytestmark = pytest.mark.database


def test_init_makes_the_schemas_and_twice_is_harmless(works, empty_database):
    works.point_at(empty_database)
    works.database = empty_database
    refused = works.load("shows", DAY, [show(1)])
    assert (refused.exit_code, "Run once: python -m binge_works init" in refused.text) == (2, True)
    assert works.run("init").exit_code == 0
    assert works.load("shows", DAY).exit_code == 0
    before = works.tables()
    assert works.run("init").exit_code == 0
    assert works.tables() == before


def test_init_refuses_tables_of_somebody_else(works, empty_database):
    works.point_at(empty_database)
    works.database = empty_database
    works.query("create schema tmdb_data")
    works.query("create table tmdb_data.dim_popular_people (id bigint, name text)")
    works.query("create table tmdb_data.dim_popular_movies (id integer)")
    result = works.run("init")
    assert result.exit_code == 1
    lacks = "tmdb_data.dim_popular_people lacks id integer, insert_timestamp timestamp with time zone, last_update"
    assert lacks in result.text
    assert "tmdb_data.dim_popular_movies is no view" in result.text
    assert works.query("select count(*) from pg_tables where schemaname = 'staging'") == [(0,)]


def test_an_older_schema_is_refused_and_a_newer_one_does(works):
    works.query("update meta.schema_version set version = 0 where system = 'binge_works'")
    old = works.load("shows", DAY, [show(1)])
    assert (old.exit_code, "Upgrade it with: python -m binge_works init" in old.text) == (2, True)
    works.query("update meta.schema_version set version = 9 where system = 'binge_works'")
    assert "has the newer schema 9" in works.run("init").text
    assert works.load("shows", DAY).exit_code == 0


def test_check_tells_what_does_not_hold(works):
    works.load("people", DAY, [person(1, ("tv", 1)), person(2, ("tv", 2))])
    good = works.run("check")
    assert good.exit_code == 0, good.text
    told = {(check["what"], check["is_good"], check["is_warning"]) for check in good.figures["checks"]}
    assert ("tmdb_data.dim_popular_people: is_recent", False, True) in told
    works.query("delete from tmdb_data.dim_popular_people where id = 1")
    works.query("delete from tmdb_data.bridge_person_project where person_id = 2")
    works.query(
        "update tmdb_data.dim_people_history set is_current = false, expiration_date = '2026-02-01' where id = 1"
    )
    works.query("delete from staging.popular_people where id = 2")
    bad = works.run("check")
    assert bad.exit_code == 1
    wrong = {check["what"] for check in bad.figures["checks"] if not check["is_good"] and not check["is_warning"]}
    assert wrong == {
        "staging.popular_people: equals_extract",
        "tmdb_data.dim_popular_people: holds_staged",
        "tmdb_data.dim_people_history: one_current_version",
    }
    works.query("insert into tmdb_data.bridge_person_project values (1, 77, 'tv', 'x')")
    bad = works.run("check")
    assert "tmdb_data.bridge_person_project: bridge_holds_staged" in {
        check["what"] for check in bad.figures["checks"] if not check["is_good"]
    }


def test_check_tells_that_nothing_was_loaded(works):
    works.load("shows", DAY, [show(1)])
    result = works.run("check")
    told = {check["what"]: check["found"] for check in result.figures["checks"] if check["is_warning"]}
    assert told["tmdb_data.popular_movies"] == told["tmdb_data.dim_popular_people"] == "nothing was loaded yet"
    assert "tmdb_data.dim_popular_shows" not in told
    assert "Nothing is broken; 3 warning(s), marked with !." in result.text  # and the day is long ago


def test_a_run_that_finds_nothing_new_says_so(works):
    first = works.load("shows", DAY, [show(1)])
    assert "shows loaded as of 2026-01-24" in first.text
    assert "TMDB has no past: its lists of today are loaded as those of 2026-01-24" in first.text
    assert "nothing new in shows." in works.load("shows", DAY).text
    assert "shows loaded as of 2026-01-25" in works.load("shows", "2026-01-25").text  # its snapshot is new


def test_check_tells_of_a_day_on_which_too_much_changed(works):
    works.load("shows", DAY, [show(number) for number in range(1, 11)])
    works.load("shows", "2026-01-25", [show(number, name=f"{number > 3}") for number in range(1, 11)])
    checks = {check["what"]: check for check in works.run("check").figures["checks"]}
    assert checks["tmdb_data.dim_shows_history: little_churn"]["is_warning"]
    assert checks["tmdb_data.dim_shows_history: little_churn"]["found"].startswith(
        "known_before 10, changed 10 (no more than 30%"
    )


def test_gaps_and_overlaps_are_found(works):
    works.load("shows", DAY, [show(1, name="A"), show(2)])
    works.load("shows", "2026-01-26", [show(1, name="B"), show(2)])
    works.query("update tmdb_data.dim_shows_history set expiration_date = '2026-01-25' where id = 1 and not is_current")
    checks = {check["what"]: check for check in works.run("check").figures["checks"]}
    assert checks["tmdb_data.dim_shows_history: no_overlap"]["found"].startswith("versions 3, gaps 1, overlaps 0 (")
    assert not checks["tmdb_data.dim_shows_history: no_overlap"]["is_good"]


@pytest.mark.parametrize("fault", ["database", "tmdb"])
def test_check_goes_on_when_something_does_not_answer(works, fault):
    if fault == "database":
        works.point_at(works.database.model_copy(update={"db_name": "atlantis"}))
    else:
        works.tmdb.set_faults({"status": 401, "times": 9})
    result = works.run("check")
    assert result.exit_code == 1
    bad = [check["what"] for check in result.figures["checks"] if not (check["is_good"] or check["is_warning"])]
    assert bad == ["database" if fault == "database" else "TMDB"]


def test_every_command_has_help_and_the_readme_its_name():
    readme = (PROJECT_DIR / "README.md").read_text(encoding="utf-8")
    for name in ("init", "check", "run", "replay", "history"):
        done = subprocess.run(
            [sys.executable, "-m", "binge_works", name, "--help"], capture_output=True, text=True, check=True
        )
        assert "--json" in done.stdout
        assert f"python -m binge_works {name}" in readme
    assert "This product uses the TMDB API but is not endorsed or certified by TMDB" in " ".join(readme.split())
    assert "exit codes:" in command_parser().format_help()


def test_every_variable_is_in_the_example_with_a_sentence():
    lines = (PROJECT_DIR / ".env.example").read_text(encoding="utf-8").splitlines()
    documented = {
        line.split("=")[0] for before, line in itertools.pairwise(lines) if before.startswith("# ") and "=" in line
    }
    assert {name.upper() for group in EVERY_SETTING for name in group.model_fields} == documented


def test_a_name_that_nobody_knows_is_told(works):
    works.set(TMDB_APIKEY="x", BINGE_RAW_DIRECTORY="y")
    result = works.load("shows", DAY, [show(1)])
    assert result.exit_code == 0
    assert "unknown setting TMDB_APIKEY in the environment; did you mean TMDB_API_KEY?" in result.text
    assert "unknown setting BINGE_RAW_DIRECTORY" in result.text


def test_the_env_file_is_read_where_the_environment_says_nothing(works, tmp_path, monkeypatch):
    env_file = tmp_path / "settings.env"
    env_file.write_text(f"TMDB_BASE_URL={works.tmdb.url}\nTMDB_MAX_PAGES=1\n")
    env_file.chmod(0o600)
    monkeypatch.setattr(binge_settings, "ENV_FILE", env_file)
    works.unset("TMDB_BASE_URL")
    assert works.load("shows", DAY, [show(number) for number in range(1, 41)]).list["items_in"] == 20


def test_a_far_server_gets_tls():
    def mode(host):
        settings = {"db_host": host, "db_name": "x", "db_user": "x", "db_password": "x"}
        return BingeDatabase(**settings).sslmode

    assert mode("works.postgres.database.azure.com") == "require"
    assert mode("127.0.0.1") == "prefer"


def test_the_last_line_names_run_and_log(works):
    works.tmdb.set_lists(tv=[show(1)], person=[person(1)])
    process = works.start("run", "--as-of", DAY, "--only", "shows", "people")
    out, _ = process.communicate(timeout=60)
    last = out.strip().splitlines()[-1]
    assert process.returncode == 0, out
    pattern = rf"shows, people loaded as of {DAY}\. Run [0-9a-f-]{{36}}, [0-9a-f-]{{36}}\. Log: {works.log_file}"
    assert re.fullmatch(pattern, last), last


def test_a_role_that_may_only_load_can_load(works):
    """The rights that the README's loader needs, and no more."""
    works.query("create role loader login password 'loader-word' in role pg_monitor")
    try:
        for schema in ("meta", "staging", "tmdb_data"):
            works.query(f"grant usage on schema {schema} to loader")
            works.query(f"grant select, insert, update, delete on all tables in schema {schema} to loader")
        changes = {"db_user": "loader", "db_password": type(works.database.db_password)("loader-word")}
        works.point_at(works.database.model_copy(update=changes))
        works.tmdb.set_lists(tv=[show(1)], person=[person(1, ("tv", 1))])
        result = works.run("run", "--only", "shows", "people", "--as-of", DAY)
        assert result.exit_code == 0, result.text
        assert works.run("check").exit_code == 0
        with (
            closing(connect(works.database.model_copy(update=changes), "loader")) as connection,
            connection.cursor() as cursor,
            pytest.raises(psycopg2.errors.InsufficientPrivilege, match="must be owner"),
        ):
            cursor.execute("drop table tmdb_data.dim_shows_history")
    finally:
        works.query("drop owned by loader")
        works.query("drop role loader")
