"""What a server, or what stands in its place, says to who logs in: its own words, who said them, and what to do."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from museum_case import PROJECT_DIR
from pgbouncer import NO_PGBOUNCER, find_pgbouncer, pgbouncer
from sham_servers import answering, french, garbage

from etlkit.errors import ConfigError, LoadError
from etlkit.locks import try_advisory_lock
from etlkit.postgres import apply_schema, connect
from etlkit.testing import make_server_home
from museum.batch.kiosk_files import inspect_file

pytestmark = pytest.mark.database

PASSWORD = "a login's own"


@pytest.fixture
def role(database):
    """A login that may load; its name."""
    name = f"{database.db_name}_somebody"
    with closing(connect(database, "owner")) as connection:
        apply_schema(connection, PROJECT_DIR / "roles.sql")
        with connection, connection.cursor() as cursor:
            cursor.execute(f"create role {name} login password %s in role museum_loader", (PASSWORD,))
    yield name
    with closing(connect(database, "owner")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(f"drop owned by {name}")
        cursor.execute(f"drop role {name}")


@pytest.fixture
def login(database, role, museum, monkeypatch):
    """The museum under that login."""
    monkeypatch.setenv("DB_PASSWORD", PASSWORD)
    museum.database = database.model_copy(update={"db_user": role, "db_password": type(database.db_password)(PASSWORD)})
    museum.exhibition(1)
    museum.kiosk(1, "2024-03-05 10:00:00,1,3,")
    return museum


def as_owner(database, statement: str) -> None:
    with closing(connect(database, "owner")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


REFUSALS = {
    "alter role {role} connection limit 0": (1, "answers and lets nobody in: too many connections for role", ""),
    "alter role {role} nologin": (2, "is not permitted to log in", "Check DB_NAME, DB_USER and DB_PASSWORD"),
    "revoke connect on database {name} from public, museum_loader": (
        2,
        "User does not have CONNECT privilege",
        "Check DB_NAME, DB_USER and DB_PASSWORD",
    ),
    "alter role {role} valid until '2001-01-01'": (2, "password authentication failed", "Check DB_NAME"),
}


@pytest.mark.parametrize("statement", REFUSALS)
def test_a_server_that_answered_is_not_said_to_be_down(login, database, role, statement):
    code, words, advice = REFUSALS[statement]
    as_owner(database, statement.format(role=role, name=database.db_name))
    result = login.push()
    assert (result.exit_code, words in result.figures["error"]) == (code, True), result.figures["error"]
    assert "is up" not in result.figures["error"]
    assert advice in result.figures["error"]


def test_a_server_that_takes_no_more_sessions_is_told_so(login, database):
    as_owner(database, f"alter database {database.db_name} connection limit 0")
    assert "too many connections for database" in login.push().figures["error"]


@pytest.mark.parametrize("sslmode", ["disable", "require"])
def test_a_port_of_something_else_is_a_wrong_setting(database, sslmode):
    with (
        answering(garbage) as port,
        pytest.raises(ConfigError, match=r"is no Postgres with this TLS mode: .*Check DB_HOST, DB_PORT"),
    ):
        connect(database.model_copy(update={"db_port": port, "db_sslmode": sslmode}), "test")


def test_a_refusal_in_another_language_is_a_refusal(database):
    with (
        answering(french) as port,
        pytest.raises(LoadError, match=r"answers and lets nobody in: (.*FATAL : +)?trop de connexions\. Nothing"),
    ):
        connect(database.model_copy(update={"db_port": port, "db_sslmode": "disable"}), "test")


def test_tables_that_the_search_path_hides_are_named(login, database, role):
    as_owner(database, f"alter role {role} set search_path = nowhere")
    result = login.push()
    assert result.exit_code == 2
    assert "the table review is not seen with the search_path 'nowhere'" in result.figures["error"]
    assert "Let it name the schema public" in result.figures["error"]


# ---------------------------------------------------------------------------------------------------------------------
# Sessions that end while the source is read
# ---------------------------------------------------------------------------------------------------------------------


def test_idleness_ends_no_run(login, database, role, monkeypatch):
    as_owner(database, f"alter role {role} set idle_session_timeout = '300ms'")

    def slowly(path):
        time.sleep(0.8)
        return inspect_file(path)

    monkeypatch.setattr("museum.batch.judging.inspect_file", slowly)
    result = login.push()
    assert (result.exit_code, login.count("review")) == (0, 1)
    assert not any("connecting again" in line for line in result.lines)


@pytest.fixture
def sessions_end(database, role, monkeypatch):
    """Let the server end the role's sessions while a file is read; what is added to it is called after that."""
    then = []

    def end(path):
        as_owner(database, f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'")
        time.sleep(0.2)
        for function in then:
            function()
        return inspect_file(path)

    monkeypatch.setattr("museum.batch.judging.inspect_file", end)
    return then


@pytest.mark.usefixtures("sessions_end")
def test_a_session_that_was_ended_during_the_extract_is_opened_again(login):
    """Nothing was under way on it, so nothing is lost."""
    result = login.push()
    assert (result.exit_code, login.count("review")) == (0, 1)
    (warning,) = [line for line in result.lines if "connecting again" in line]
    assert "terminating connection" in warning or "closed the connection" in warning
    assert login.query("select status from meta.ingestion_runs") == [("completed",)]


def test_a_run_that_came_in_between_keeps_the_lock(login, database, sessions_end):
    with closing(connect(database, "another run")) as other:
        sessions_end.append(lambda: try_advisory_lock(other, "museum:batch"))
        result = login.push()
    assert (result.exit_code, "is locked by another run" in result.figures["error"]) == (4, True)
    assert login.count("review") == 0
    assert login.query("select status from meta.ingestion_runs") == [("failed",)]


# ---------------------------------------------------------------------------------------------------------------------
# Poolers
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pooler(database):
    """PgBouncer in session mode before the test's database; its port."""
    program = find_pgbouncer()
    if program is None:
        pytest.skip(NO_PGBOUNCER)
    with pgbouncer(program, make_server_home("pgbouncer"), database) as port:
        yield port


def test_the_pipeline_works_through_a_pooler_in_session_mode(museum, pooler):
    """It refuses options at start-up, so the session is prepared after the login."""
    museum.exhibition(1)
    museum.kiosk(1, "05/03/2024 10:00:00,1,3,", "2024-07-05 10:00:00,1,-1,1")
    direct = museum.database
    museum.database = direct.model_copy(update={"db_port": pooler})
    assert museum.push().exit_code == 0
    assert museum.push().load["rows_already_there"] == 2
    museum.database = direct
    assert museum.count("review") == museum.count("incident") == 1


def test_a_pooler_that_knows_no_such_database_is_a_wrong_setting(museum, pooler):
    museum.database = museum.database.model_copy(update={"db_port": pooler, "db_name": "atlantis"})
    result = museum.push()
    assert (result.exit_code, "no such database" in result.figures["error"]) == (2, True), result.figures["error"]


# ---------------------------------------------------------------------------------------------------------------------
# Tables of another shape
# ---------------------------------------------------------------------------------------------------------------------

FOUNDING_SHAPE = """
    create table department (department_id smallint generated always as identity primary key, department_name text);
    create table floor (floor_id serial primary key, floor_name text not null);
    create table exhibition (exhibition_id serial primary key, exhibition_name varchar(100), exhibition_code char(6));
    create table review (review_id serial primary key, exhibition_id integer, at timestamp, rating_id smallint);
    create table incident (incident_id serial primary key, exhibition_id integer, at timestamp);
"""


def test_tables_of_the_founding_shape_are_refused_naming_what_differs(museum, empty_database):
    museum.database = empty_database
    as_owner(empty_database, FOUNDING_SHAPE)
    result = museum.run("load", "--apply-schema", *museum.database_flags)
    assert result.exit_code == 1
    error = result.figures["error"]
    assert "review lacks review_id bigint, at timestamp with time zone, source_id integer, position bigint" in error
    assert "department lacks department_id integer" in error
    assert "floor lacks" not in error
    assert "Nothing was changed" in error
    assert museum.query("select to_regclass('event_source'), to_regclass('meta.ingestion_runs')") == [(None, None)]


def test_other_tables_in_a_schema_meta_are_refused_too(museum, empty_database):
    museum.database = empty_database
    as_owner(empty_database, "create schema meta; create table meta.ingestion_runs (run_id serial, started timestamp)")
    result = museum.run("load", "--apply-schema", *museum.database_flags)
    assert (result.exit_code, "meta.ingestion_runs lacks run_id uuid" in result.figures["error"]) == (1, True)
