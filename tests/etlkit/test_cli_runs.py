"""python -m etlkit runs: the history is listed, shown and pruned, as a user meets it."""

from __future__ import annotations

import re

import pytest
from cli_case import RUN, Said, add_reject, add_run, assert_one_line, command, name_database
from kit_database import emptied, made_database

SIBLING = "5f2c9999-0000-4000-8000-000000000002"


@pytest.fixture(scope="module")
def kit_database(postgres):
    """The database of this module's tests."""
    with made_database(postgres, "kit_cli_runs") as made:
        yield made


@pytest.fixture
def database(kit_database):
    """The module's database, without anything of an earlier test."""
    return emptied(kit_database)


@pytest.fixture
def cli(monkeypatch, tmp_path, capsys, database):
    """Return a function that runs the command in this process, with the test's database in the environment."""
    with command(monkeypatch, tmp_path, capsys) as run:
        name_database(monkeypatch, database)
        yield run


def run_ids(connection):
    with connection.cursor() as cursor:
        cursor.execute("select run_id from meta.ingestion_runs")
        return {run_id for (run_id,) in cursor.fetchall()}


# runs list


def test_a_history_without_runs_says_so(cli):
    assert cli("runs", "list") == Said(0, "no runs yet\n", "")


def test_the_latest_run_comes_first(cli, connection):
    for age, name in (("2 days", "second"), ("3 days", "third"), ("1 day", "first")):
        add_run(connection, system=name, age=age)
    assert [row[1] for row in cli("runs", "list").table] == ["first", "second", "third"]


def test_a_line_of_the_list_shows_what_matters(cli, connection):
    add_run(connection, "abcd1234-0000-4000-8000-000000000001", status="failed", error="it shrank")
    said = cli("runs", "list")
    [row] = said.table
    assert row[:3] == ["abcd1234", "museum", "batch"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row[3])
    assert row[4:7] == ["90.0", "failed", "1,234,567"]
    assert row[-1] == "it shrank"
    assert said.err == ""


def test_a_running_run_is_listed_without_an_end(cli, connection):
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into meta.ingestion_runs (run_id, source_system, entity_type) values (%s, 'museum', 'batch')",
            (RUN,),
        )
    assert cli("runs", "list").table[0][4] == "running"


@pytest.mark.database
def test_only_one_systems_runs_are_listed_on_request(cli, connection):
    add_run(connection, system="museum")
    add_run(connection, system="people_hub")
    assert [row[1] for row in cli("runs", "list", "--system", "people_hub").table] == ["people_hub"]
    assert_one_line(cli("runs", "list", "--system", "' or true --"), 2, "Known are: museum, people_hub.")


def test_the_list_is_as_long_as_is_asked_for(cli, connection):
    for _number in range(25):
        add_run(connection)
    assert len(cli("runs", "list").table) == 20
    assert len(cli("runs", "list", "--limit", "3").table) == 3


def test_a_long_error_is_shortened_in_the_list_and_whole_in_the_detail(cli, connection):
    add_run(connection, RUN, status="failed", error="x" * 500)
    assert "x" * 77 + "...\n" in cli("runs", "list").out
    assert "x" * 500 in cli("runs", "show", "5f2c1234").out


# runs show


@pytest.mark.database
def test_a_run_is_shown_with_all_that_is_known(cli, connection):
    add_run(connection, RUN, metadata={"bucket": "museum", "load": {"rows": 3}})
    said = cli("runs", "show", RUN)
    assert said.code == 0
    for part in (RUN, "museum", "completed", "1234567", '"bucket": "museum"', '"rows": 3'):
        assert part in said.out


@pytest.mark.parametrize("shortened", ["5f2c", "5F2C", "5f2c1234", "5f2c1234-0000-4000", RUN.upper()])
def test_the_beginning_of_an_id_is_enough(cli, connection, shortened):
    add_run(connection, RUN)
    add_run(connection)
    assert RUN in cli("runs", "show", shortened).out


def test_a_beginning_that_two_runs_share_is_refused(cli, connection):
    add_run(connection, RUN)
    add_run(connection, SIBLING)
    assert_one_line(cli("runs", "show", "5f2c"), 2, "more than one run begins with '5f2c'", "runs list")
    assert RUN in cli("runs", "show", "5f2c1").out


@pytest.mark.parametrize("shortened", ["", "5", "5f2"])
def test_too_short_a_beginning_is_refused(cli, connection, shortened):
    add_run(connection, RUN)
    assert_one_line(cli("runs", "show", shortened), 2, f"{shortened!r} is too short", "at least 4 characters")


@pytest.mark.parametrize("unknown", ["0000", "%%%%", "____", "5f2c%", "' or true --", "1234-0000"])
def test_an_unknown_run_is_refused(cli, connection, unknown):
    add_run(connection, RUN)
    assert_one_line(cli("runs", "show", unknown), 2, "no run begins with", "python -m etlkit runs list")


# runs prune


@pytest.mark.database
def test_old_runs_are_pruned_and_running_ones_and_rejects_stay(cli, connection):
    add_run(connection, age="91 days")
    add_run(connection, age="91 days", status="failed")
    add_run(connection, RUN, age="91 days", status="running")
    add_run(connection, SIBLING, age="89 days")
    add_reject(connection)
    assert cli("runs", "prune", "--older-than", "90d").out == "pruned 2 runs older than 90d\n"
    assert run_ids(connection) == {RUN, SIBLING}
    assert "bad_at" in cli("rejects", "list").out
    assert cli("runs", "prune", "--older-than", "90d").out == "pruned 0 runs older than 90d\n"


@pytest.mark.parametrize(("age", "older", "younger"), [("5h", "6 hours", "4 hours"), ("2w", "15 days", "13 days")])
def test_an_age_is_given_in_hours_days_or_weeks(cli, connection, age, older, younger):
    add_run(connection, RUN, age=older)
    add_run(connection, SIBLING, age=younger)
    cli("runs", "prune", "--older-than", age)
    assert run_ids(connection) == {SIBLING}


@pytest.mark.parametrize("age", ["", "90", "d", "90 d", "90days", "-1d", "1.5d", "1m", "1d; drop table x", "1d\n"])
def test_a_bad_age_is_refused_and_prunes_nothing(cli, connection, age):
    add_run(connection, RUN, age="100 days")
    said = cli("runs", "prune", f"--older-than={age}")
    assert said.code == 2
    assert f"--older-than is {age!r}, expected up to five digits and h, d or w, e.g. 90d." in said.err
    assert run_ids(connection) == {RUN}


def test_pruning_asks_for_an_age(cli, connection, capsys):
    add_run(connection, RUN, age="100 days")
    with pytest.raises(SystemExit, match="2"):
        cli("runs", "prune")
    assert "--older-than" in capsys.readouterr().err
    assert run_ids(connection) == {RUN}


def test_a_system_that_never_ran_is_a_slip_and_the_known_ones_are_named(cli, connection):
    assert cli("runs", "list", "--system", "musem").out == "no runs yet\n", "nothing is known yet"
    add_run(connection, system="museum")
    assert_one_line(cli("runs", "list", "--system", "musem"), 2, "--system musem is not known here", "museum.")
