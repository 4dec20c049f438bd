"""python -m etlkit on the private server: asked, opened in psql, and stopped."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from cli_case import Said, assert_one_line, command
from kit_database import META

import etlkit.__main__ as command_line
from etlkit.embedded import EmbeddedServer
from etlkit.postgres import apply_schema, connect


@pytest.fixture
def etl(monkeypatch, tmp_path, capsys):
    """Return a function that runs the command in this process."""
    with command(monkeypatch, tmp_path, capsys) as run:
        yield run


@pytest.fixture(scope="module")
def private_server():
    """A private server that stands in the default place of a project."""
    home = Path(tempfile.mkdtemp(prefix="etl-test-cli-"))
    home.chmod(0o755)
    server = EmbeddedServer(home, settings=("fsync = off",))
    yield server
    server.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def private(etl, monkeypatch, private_server):
    """The command, of a project whose private server is that one."""
    monkeypatch.setattr(command_line, "default_home", lambda _project_dir: private_server.home)
    return etl


def test_the_private_server_is_enough_for_the_commands(private, private_server):
    for name in private_server.databases():
        private_server.drop_database(name)
    assert_one_line(private("runs", "list", "--embedded"), 2, "has no database yet")
    with closing(connect(private_server.ensure_database("first"), "test")) as connection:
        apply_schema(connection, META)
    assert private("runs", "list", "--embedded") == Said(0, "no runs yet\n", "")
    private_server.ensure_database("second")
    assert_one_line(private("runs", "list", "--embedded"), 2, "the databases first, second. Name one with --db-name")


def test_the_private_server_can_be_asked_for_in_the_environment(private, private_server, monkeypatch):
    with closing(connect(private_server.ensure_database("other"), "test")) as connection:
        apply_schema(connection, META)
    monkeypatch.setenv("DB_HOST", "embedded")
    assert private("rejects", "list", "--db-name", "other").out == "no rejected records\n"


def test_the_printed_command_opens_psql_without_showing_the_password(private, private_server):
    password = private_server.ensure_database("first").db_password.get_secret_value()
    said = private("server", "psql", "--db-name", "first")
    assert said.code == 0
    assert password not in said.out
    variable, *command = shlex.split(said.out)
    name, _equals, path = variable.partition("=")
    answer = subprocess.run(
        [*command, "-w", "-At", "-c", "select current_database()"],
        env={**os.environ, name: path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.stdout == "first\n"


def test_psql_can_be_asked_for_another_database(private, private_server):
    private_server.ensure_running()
    assert private("server", "psql", "--db-name", "people_hub").out.endswith(" people_hub\n")


def test_the_private_server_is_stopped_once_and_its_data_stays(private, private_server):
    with closing(connect(private_server.ensure_database("kept"), "test")) as connection, connection:
        connection.cursor().execute("create table if not exists note ()")
    assert private("server", "stop").out == "the private server is stopped; its data stays\n"
    assert not private_server.is_running()
    assert private("server", "stop").out == "the private server was not running\n"
    with closing(connect(private_server.ensure_database("kept"), "test")) as connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass('note') is not null")
        assert cursor.fetchone() == (True,)


def test_stopping_a_server_that_never_was_makes_none(etl, monkeypatch, tmp_path):
    monkeypatch.setattr(command_line, "default_home", lambda _project_dir: tmp_path / "never")
    assert etl("server", "stop").out == "the private server was not running\n"
    assert not (tmp_path / "never").exists()
