"""python -m etlkit: where its settings come from, and how it ends as a process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cli_case import RUN, add_reject, add_run, assert_one_line, command, name_database, variables
from kit_database import emptied, made_database

PROJECT_DIR = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def kit_database(postgres):
    """The database of this module's tests."""
    with made_database(postgres, "kit_cli") as made:
        yield made


@pytest.fixture
def database(kit_database):
    """The module's database, without anything of an earlier test."""
    return emptied(kit_database)


@pytest.fixture
def etl(monkeypatch, tmp_path, capsys):
    """Return a function that runs the command in this process."""
    with command(monkeypatch, tmp_path, capsys) as run:
        yield run


@pytest.fixture
def cli(etl, monkeypatch, database):
    """The same, with the test's database in the environment."""
    name_database(monkeypatch, database)
    return etl


def process(*arguments, **environment):
    """Run the command as a process of its own; a file that is not there stands for .env."""
    return subprocess.run(
        [sys.executable, "-m", "etlkit", *arguments],
        cwd=PROJECT_DIR,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# Settings


def test_missing_settings_are_named_in_one_line(etl):
    said = etl("runs", "list")
    assert_one_line(said, 2, "missing settings: DB_HOST, DB_NAME, DB_USER, DB_PASSWORD", "Nothing was touched")


def test_the_projects_env_file_is_read_wherever_one_stands(etl, database, tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables(database).items()))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert etl("runs", "list").out == "no runs yet\n"


def test_an_env_file_that_everybody_reads_is_warned_of(etl, database, tmp_path):
    path = tmp_path / ".env"
    path.write_text("".join(f"{name}={value}\n" for name, value in variables(database).items()))
    path.chmod(0o644)
    said = etl("runs", "list")
    assert (said.code, said.out) == (0, "no runs yet\n")
    assert said.err.startswith(f"warning: others on this machine may read or change {path}")
    assert said.err.count("chmod 600") == 1
    path.chmod(0o600)
    assert etl("runs", "list").err == ""


def test_another_env_file_can_be_named(etl, database, tmp_path):
    path = tmp_path / "production.env"
    path.write_text("".join(f"{name}={value}\n" for name, value in variables(database).items()))
    assert etl("runs", "list", "--env-file", path).out == "no runs yet\n"


def test_a_flag_beats_the_environment(cli, connection, empty_database, monkeypatch):
    add_run(connection, RUN)
    monkeypatch.setenv("DB_NAME", empty_database.db_name)
    assert "5f2c1234" in cli("runs", "list", "--db-name", connection.info.dbname).out


def test_a_wrong_password_is_refused_without_showing_it(cli, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "hunter22-is-wrong")
    said = cli("runs", "list")
    assert_one_line(said, 2, "password authentication failed")
    assert "hunter22" not in said.err


def test_an_unknown_database_is_refused(cli):
    assert_one_line(cli("runs", "list", "--db-name", "atlantis"), 2, 'database "atlantis" does not exist')


def test_a_server_that_is_down_is_a_failure(cli):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        said = cli("rejects", "list", "--db-port", bound.getsockname()[1])
    assert_one_line(said, 1, "cannot reach etl@127.0.0.1", "Check DB_HOST, DB_PORT")


def test_a_database_without_schema_is_an_error_in_one_line(cli, empty_database):
    said = cli("runs", "list", "--db-name", empty_database.db_name)
    assert said.code in {1, 2}
    assert_one_line(said, said.code)


def url(database):
    word = database.db_password.get_secret_value()
    return f"postgresql://{database.db_user}:{word}@{database.db_host}:{database.db_port}/{database.db_name}"


@pytest.mark.parametrize("command", [("runs", "list"), ("rejects", "list")])
def test_the_database_may_stand_in_one_url(etl, database, connection, monkeypatch, command):
    add_run(connection, RUN)
    add_reject(connection)
    monkeypatch.setenv("DATABASE_URL", url(database))
    said = etl(*command)
    assert (said.code, said.err) == (0, "")
    assert "5f2c1234" in said.out or "s3://b/k" in said.out


def test_the_url_may_stand_in_the_env_file_and_in_a_secret_file(etl, database, tmp_path, monkeypatch):
    (tmp_path / ".env").write_text(f"DATABASE_URL={url(database)}\n")
    assert etl("runs", "list").out == "no runs yet\n"
    (tmp_path / ".env").write_text("")
    (tmp_path / "secret").write_text(url(database))
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "secret"))
    assert etl("runs", "list").out == "no runs yet\n"


def test_a_flag_changes_a_part_of_the_url(etl, database, empty_database, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", url(empty_database))
    assert etl("runs", "list").code == 2  # it has no schema
    assert etl("runs", "list", "--db-name", database.db_name).out == "no runs yet\n"
    assert_one_line(etl("runs", "list", "--db-name", "atlantis"), 2, 'database "atlantis" does not exist')
    assert_one_line(etl("runs", "list", "--db-port", "x"), 2, "DB_PORT is 'x'")


def test_two_databases_at_once_are_refused(cli, database, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", url(database))
    assert_one_line(cli("runs", "list"), 2, "DATABASE_URL and DB_HOST are both set", "Nothing was touched")
    assert cli("runs", "list", "--db-host", database.db_host).out == "no runs yet\n"
    monkeypatch.setenv("DATABASE_URL", "")
    assert cli("runs", "list").out == "no runs yet\n"


def test_a_url_that_cannot_be_read_is_refused_without_its_password(etl, monkeypatch):
    for text in ("postgresql://u:hunter22@h:port/n", "mysql://u:hunter22@h/n", "postgresql://u:hunter22@h", "hunter22"):
        monkeypatch.setenv("DATABASE_URL", text)
        said = etl("runs", "list")
        assert_one_line(said, 2, "DATABASE_URL")
        assert "hunter22" not in said.err


def test_the_env_file_is_that_of_the_project_whose_environment_runs_it(etl, database, tmp_path, monkeypatch):
    own = tmp_path / "system"
    own.mkdir()
    (own / ".env").write_text(f"DATABASE_URL={url(database)}\n")
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://u:x@127.0.0.1:9/n\n")
    monkeypatch.setattr(sys, "prefix", str(own / ".venv"))
    assert etl("runs", "list").out == "no runs yet\n"


# As a process


def test_an_env_file_that_is_not_there_is_a_settings_error(tmp_path):
    ended = process("runs", "list", "--env-file", str(tmp_path / "absent.env"))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert str(tmp_path / "absent.env") in ended.stderr


def test_a_process_that_lacks_settings_ends_with_2_and_one_line(tmp_path):
    (tmp_path / "empty.env").touch(mode=0o600)
    ended = process("runs", "list", "--env-file", str(tmp_path / "empty.env"))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("error: missing settings: DB_HOST, DB_NAME, DB_USER, DB_PASSWORD. ")
    assert str(tmp_path / "empty.env") in ended.stderr


def test_a_process_prints_data_on_standard_output_only(connection, database, tmp_path):
    add_run(connection, RUN)
    (tmp_path / "empty.env").touch(mode=0o600)
    ended = process("runs", "show", "5f2c", "--env-file", str(tmp_path / "empty.env"), **variables(database))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert RUN in ended.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("runs",),
        ("rejects", "resolve"),
        ("runs", "show"),
        ("runs", "list", "--limit", "x"),
        ("runs", "list", "--embedded", "--db-host", "db.example.org"),
    ],
)
def test_a_command_that_cannot_be_meant_is_answered_with_the_usage(etl, capsys, arguments):
    with pytest.raises(SystemExit, match="2"):
        etl(*arguments)
    assert capsys.readouterr().err.startswith("usage: python -m etlkit")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "runs list",
        "runs show",
        "runs prune",
        "rejects list",
        "rejects export",
        "rejects prune",
        "server stop",
        "server psql",
    ],
)
def test_every_command_explains_itself(etl, capsys, words):
    with pytest.raises(SystemExit, match="0"):
        etl(*words.split(), "--help")
    assert capsys.readouterr().out.startswith(f"usage: python -m etlkit {words}".rstrip())
