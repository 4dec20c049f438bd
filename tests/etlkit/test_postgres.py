"""Connections, errors, SQL files and transactions, on a real server."""

from __future__ import annotations

import os
import socket

import psycopg2
import pytest
from kit_database import connections, emptied, kill, made_database, sql_writer, value
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from pydantic import SecretStr

from etlkit.errors import ConfigError, DataError, LoadError
from etlkit.postgres import commit, connect, load_errors, process_name, rolled_back_on_error, run_file

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def kit_database(postgres):
    """The database of this module's tests."""
    with made_database(postgres, "kit_postgres") as made:
        yield made


@pytest.fixture
def database(kit_database):
    """The module's database, without anything of an earlier test."""
    return emptied(kit_database)


@pytest.fixture
def sql_file(tmp_path):
    """Return a function that writes a SQL file."""
    return sql_writer(tmp_path)


@pytest.fixture
def opened(database):
    """Return a function that opens connections to the test's database, which are closed after the test."""
    with connections(database) as opened:
        yield opened


def refusal(error, database, **changes):
    """Return the message of the error with which a connection is refused."""
    with pytest.raises(error) as caught:
        connect(database.model_copy(update=changes), "test")
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Connections


def test_a_session_depends_on_no_setting_of_the_user_or_the_database(opened, database):
    with opened() as connection, connection.cursor() as cursor:
        cursor.execute(f"alter database {database.db_name} set default_transaction_isolation = 'serializable'")
        cursor.execute(f"alter database {database.db_name} set timezone = 'Asia/Tokyo'")
    connection = opened()
    for name, expected in (
        ("timezone", "UTC"), ("datestyle", "ISO, MDY"), ("client_encoding", "UTF8"),
        ("transaction_isolation", "read committed"),
    ):  # fmt: skip
        assert value(connection, f"show {name}") == expected


def test_a_session_can_be_found_by_its_name(connection, opened):
    pid = opened("museum pipeline run 5f2c").info.backend_pid
    name = value(connection, "select application_name from pg_stat_activity where pid = %s", (pid,))
    assert name == "museum pipeline run 5f2c"


def test_a_long_name_is_cut(opened):
    assert value(opened("x" * 100), "show application_name") == "x" * 63


def test_a_wrong_password_is_a_matter_of_configuration(database):
    message = refusal(ConfigError, database, db_password=SecretStr("hunter22"))
    assert f"etl@127.0.0.1:{database.db_port}/{database.db_name}" in message
    assert "password authentication failed" in message
    assert "Check DB_NAME, DB_USER and DB_PASSWORD. Nothing was touched." in message
    assert "hunter22" not in message


def test_an_absent_password_is_a_matter_of_configuration(database):
    assert "no password supplied" in refusal(ConfigError, database, db_password=SecretStr(""))


def test_an_unknown_database_is_a_matter_of_configuration(database):
    assert 'database "atlantis" does not exist' in refusal(ConfigError, database, db_name="atlantis")


def test_an_unknown_user_is_a_matter_of_configuration(database):
    assert 'for user "nobody-here"' in refusal(ConfigError, database, db_user="nobody-here")


def test_a_server_that_is_down_is_a_failure(database):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        message = refusal(LoadError, database, db_port=bound.getsockname()[1])
    assert "cannot reach etl@127.0.0.1" in message
    assert "Connection refused" in message
    assert "Check DB_HOST, DB_PORT, DB_SSLMODE and that the server is up. Nothing was loaded." in message


def test_a_socket_without_a_server_is_a_failure(database, tmp_path):
    assert "No such file or directory" in refusal(LoadError, database, db_host=str(tmp_path))


def test_a_server_without_tls_is_refused_where_tls_is_required(database):
    message = refusal(ConfigError, database, db_sslmode="require")
    assert "SSL was required" in message
    assert "Check DB_HOST, DB_PORT, DB_SSLMODE. Nothing was touched." in message


def test_a_process_name_leads_to_its_run():
    name = process_name("museum pipeline", "5f2c1234-0000-4000-8000-000000000000")
    assert name == f"museum pipeline run 5f2c1234 pid {os.getpid()}"


# Errors


def test_an_error_of_the_server_says_what_was_being_done(opened):
    connection = opened()
    with (
        pytest.raises(LoadError) as caught,
        load_errors("counting visitors"),
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select 1 / 0")
    assert str(caught.value) == (
        "counting visitors: division by zero (DIVISION_BY_ZERO). The transaction was rolled back, nothing was loaded."
    )
    assert isinstance(caught.value.__cause__, psycopg2.Error)


def test_an_error_with_a_code_of_its_own_is_told_too(opened):
    statement = "do $$ begin raise exception 'closed on Mondays' using errcode = 'MU001', hint = 'come back'; end $$"
    with pytest.raises(LoadError) as caught, load_errors("opening"), opened().cursor() as cursor:
        cursor.execute(statement)
    assert str(caught.value).startswith("opening: closed on Mondays. The transaction")


def test_a_connection_that_dies_is_a_failure_in_one_line(connection, opened):
    victim = opened()
    kill(connection, victim.info.backend_pid)
    with pytest.raises(LoadError) as caught, load_errors("loading"), victim.cursor() as cursor:
        cursor.execute("select 1")
    assert str(caught.value).startswith("loading: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [DataError("shrunk"), KeyboardInterrupt(), ValueError("else")])
def test_what_is_no_error_of_the_server_passes_unchanged(error):
    with pytest.raises(type(error)) as caught, load_errors("loading"):
        raise error
    assert caught.value is error


# SQL files


def test_a_file_returns_how_many_rows_it_touched(connection, sql_file):
    with connection.cursor() as cursor:
        assert run_file(cursor, sql_file("create table n as select generate_series(1, 5) as n")) == 5
        assert run_file(cursor, sql_file("update n set n = n where n > %(least)s"), {"least": 3}) == 2
        assert run_file(cursor, sql_file("delete from n where n > 10")) == 0


def test_a_file_may_contain_percent_signs_when_it_takes_no_parameters(connection, sql_file):
    with connection.cursor() as cursor:
        assert run_file(cursor, sql_file("select 1 where 'é 5 %' like '%5 %'")) == 1


def test_a_parameter_is_a_value_and_never_sql(connection, sql_file):
    with connection.cursor() as cursor:
        run_file(cursor, sql_file("select %(text)s"), {"text": "'; drop schema meta cascade; --"})
        assert cursor.fetchone() == ("'; drop schema meta cascade; --",)
    assert value(connection, "select to_regclass('meta.ingestion_runs') is not null")


# Transactions


def test_an_error_gives_the_transaction_up_at_once(opened):
    worker = opened()
    worker.cursor().execute("select 1")
    with pytest.raises(ValueError, match="x"), rolled_back_on_error(worker):
        int("x")
    assert worker.info.transaction_status == TRANSACTION_STATUS_IDLE


def test_a_commit_on_a_session_that_has_gone_promises_nothing(opened):
    worker, killer = opened(), opened("killer")
    with worker.cursor() as cursor:
        cursor.execute("select 1")
        killer.cursor().execute("select pg_terminate_backend(%s)", (worker.info.backend_pid,))
        with pytest.raises(LoadError, match="only the server knows"):
            commit(worker)


def test_a_commit_that_the_server_refuses_is_the_server_s_error(opened):
    worker = opened()
    with worker.cursor() as cursor:
        cursor.execute("create temporary table once (n integer unique deferrable initially deferred)")
        cursor.execute("insert into once values (1), (1)")
        with pytest.raises(psycopg2.errors.UniqueViolation):
            commit(worker)
