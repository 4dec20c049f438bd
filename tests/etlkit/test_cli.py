"""python -m etlkit: run history, rejected records and the private server, as a user meets them."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from kit_database import META, emptied, made_database

import etlkit.__main__ as command_line
from etlkit.embedded import EmbeddedServer
from etlkit.logs import close_handlers
from etlkit.postgres import apply_schema, connect

PROJECT_DIR = Path(__file__).resolve().parents[2]
RUN = "5f2c1234-0000-4000-8000-000000000001"
SIBLING = "5f2c9999-0000-4000-8000-000000000002"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def table(self) -> list[list[str]]:
        """The rows of the table it printed, without the header."""
        return [re.split(r"\s{2,}", line.strip()) for line in self.out.splitlines()[2:]]


@pytest.fixture(scope="module")
def kit_database(postgres):
    """The database of this module's tests."""
    with made_database(postgres, "kit_cli") as made:
        yield made


@pytest.fixture
def database(kit_database):
    """The module's database, without anything of an earlier test."""
    return emptied(kit_database)


@pytest.fixture(autouse=True)
def _own_process(monkeypatch, tmp_path):
    """Keep the developer's .env out, and undo what the command does to its process."""
    monkeypatch.setattr(command_line, "PROJECT_DIR", tmp_path)
    yield
    close_handlers(logging.getLogger("etlkit"))


@pytest.fixture
def etl(capsys):
    """Return a function that runs the command in this process."""

    def run(*arguments):
        capsys.readouterr()
        code = command_line.main([str(argument) for argument in arguments])
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture
def cli(etl, monkeypatch, database):
    """The same, with the test's database in the environment."""
    for name, value in variables(database).items():
        monkeypatch.setenv(name, value)
    return etl


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


def variables(database):
    named = {f"DB_{name.upper()}": str(getattr(database, f"db_{name}")) for name in ("host", "port", "name", "user")}
    return {**named, "DB_PASSWORD": database.db_password.get_secret_value()}


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


def add_run(connection, run_id=None, *, system="museum", status="completed", age="0 days", error=None, metadata=None):
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into meta.ingestion_runs (
                run_id, source_system, entity_type, started_at, completed_at, status, records_processed, error_message,
                metadata
            )
            values (
                %(run)s, %(system)s, 'batch', now() - %(age)s::interval, now() - %(age)s::interval + interval '90.04 s',
                %(status)s, 1234567, %(error)s, %(metadata)s
            )
            """,
            {
                "run": run_id or f"a{str(uuid4())[1:]}",
                "system": system,
                "age": age,
                "status": status,
                "error": error,
                "metadata": json.dumps(metadata or {}),
            },
        )


def add_reject(
    connection, position="1", raw=b"2023-03-06,99,0,", *, source="s3://b/k", reasons=("bad_at",), resolved=None
):
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into meta.rejected_records (source, position, raw, reasons, run_id, resolved_at) "
            "values (%s, %s, %s, %s, %s, %s)",
            (source, position, raw, list(reasons), RUN, resolved),
        )


def run_ids(connection):
    with connection.cursor() as cursor:
        cursor.execute("select run_id from meta.ingestion_runs")
        return {run_id for (run_id,) in cursor.fetchall()}


def records(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def assert_one_line(said, code, *parts):
    assert said.code == code
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("error: ")
    for part in parts:
        assert part in said.err


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


def test_only_one_systems_runs_are_listed_on_request(cli, connection):
    add_run(connection, system="museum")
    add_run(connection, system="people_hub")
    assert [row[1] for row in cli("runs", "list", "--system", "people_hub").table] == ["people_hub"]
    assert cli("runs", "list", "--system", "' or true --").out == "no runs yet\n"


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
    assert f"--older-than is {age!r}, expected a number of h, d or w, e.g. 90d." in said.err
    assert run_ids(connection) == {RUN}


def test_pruning_asks_for_an_age(cli, connection, capsys):
    add_run(connection, RUN, age="100 days")
    with pytest.raises(SystemExit, match="2"):
        cli("runs", "prune")
    assert "--older-than" in capsys.readouterr().err
    assert run_ids(connection) == {RUN}


# rejects list


def test_without_rejects_the_list_says_so(cli):
    assert cli("rejects", "list") == Said(0, "no rejected records\n", "")


def test_a_reject_is_listed_with_its_place_reasons_and_text(cli, connection):
    add_reject(connection, "7", b"2023-03-06,99", reasons=("bad_at", "unknown_site"))
    assert cli("rejects", "list").table == [["s3://b/k", "7", "bad_at, unknown_site", "2023-03-06,99"]]


def test_resolved_rejects_are_listed_on_request(cli, connection):
    add_reject(connection, "1")
    add_reject(connection, "2", resolved="2024-02-29 12:00+00")
    assert [row[1] for row in cli("rejects", "list").table] == ["1"]
    assert sorted((row[1], row[-1]) for row in cli("rejects", "list", "--all").table)[1] == ("2", "2024-02-29")
    assert len(cli("rejects", "list", "--all").table) == 2


def test_rejects_are_listed_by_reason_and_by_source(cli, connection):
    add_reject(connection, "1", reasons=("bad_at",))
    add_reject(connection, "2", reasons=("bad_val", "bad_type"))
    add_reject(connection, "3", source="s3://b/other")
    assert [row[1] for row in cli("rejects", "list", "--reason", "bad_type").table] == ["2"]
    assert [row[1] for row in cli("rejects", "list", "--source", "s3://b/other").table] == ["3"]
    assert cli("rejects", "list", "--reason", "bad_type", "--source", "s3://b/other").out == "no rejected records\n"


def test_rows_of_a_file_are_listed_in_their_order(cli, connection):
    with connection.cursor() as cursor:
        cursor.execute("begin")
    for position in ("10", "9", "100", "1"):
        add_reject(connection, position)
    with connection.cursor() as cursor:
        cursor.execute("commit")
    assert [row[1] for row in cli("rejects", "list").table] == ["1", "9", "10", "100"]


def test_the_list_of_rejects_is_limited_and_the_export_is_not(cli, connection):
    for position in range(60):
        add_reject(connection, str(position))
    listed = cli("rejects", "list")
    assert len(listed.table) == 50
    assert "more than these 50" in listed.err
    assert len(cli("rejects", "list", "--limit", "2").table) == 2
    assert len(records(cli("rejects", "export").out)) == 60


@pytest.mark.parametrize("action", ["list", "export"])
def test_hostile_bytes_are_printed_as_harmless_text(cli, connection, action):
    add_reject(connection, raw=b"\x1b[2J\x07\x00\x9b\xff\r\n\t" + "\u202e\u2028é".encode())
    said = cli("rejects", action)
    assert r"\x1b[2J\x07\x00\x9b\xff\r\n\t\u202e\u2028é" in said.out
    assert not {"\x1b", "\x07", "\x00", "\x9b", "\u202e", "\u2028"} & set(said.out)


def test_a_long_text_is_shortened_in_the_list_and_whole_in_the_export(cli, connection):
    add_reject(connection, raw=b"x" * 500)
    assert cli("rejects", "list").table[0][3] == "x" * 77 + "..."
    assert records(cli("rejects", "export").out)[0]["text"] == "x" * 500


def test_numbers_are_shown_as_they_were_sent(cli, connection):
    add_reject(connection, "0010", b"1e5")
    assert cli("rejects", "list").table == [["s3://b/k", "0010", "bad_at", "1e5"]]


# rejects export


def test_the_export_is_csv_with_all_columns(cli, connection):
    add_reject(connection, "7", b'2023-03-06,"99"', reasons=("bad_at", "bad_val"))
    [record] = records(cli("rejects", "export").out)
    assert list(record) == ["source", "position", "reasons", "text", "run_id", "first_seen", "last_seen", "resolved_at"]
    assert (record["source"], record["position"], record["run_id"]) == ("s3://b/k", "7", RUN)
    assert (record["reasons"], record["text"], record["resolved_at"]) == ("bad_at bad_val", '2023-03-06,"99"', "")


def test_an_export_of_nothing_has_its_header(cli):
    said = cli("rejects", "export")
    assert said.out.startswith("source,position,reasons,text,")
    assert records(said.out) == []


@pytest.mark.parametrize("start", ["=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "=1,2"])
def test_no_cell_of_the_export_is_a_formula(cli, connection, start):
    add_reject(connection, start, start.encode(), source=start, reasons=(start,))
    [record] = records(cli("rejects", "export").out)
    assert [cell for cell in record.values() if cell.startswith(FORMULA_STARTS)] == []
    assert record["source"] in (f"'{start}", start.replace("\t", "\\t").replace("\r", "\\r"))


def test_harmless_cells_of_the_export_are_not_changed(cli, connection):
    add_reject(connection, "7", b"2023-03-06 15:09:21,4,-1,0.0")
    assert records(cli("rejects", "export").out)[0]["text"] == "2023-03-06 15:09:21,4,-1,0.0"


def test_the_export_takes_the_filters_of_the_list(cli, connection):
    add_reject(connection, "1")
    add_reject(connection, "2", reasons=("bad_val",))
    add_reject(connection, "3", resolved="2024-02-29 12:00+00")
    for filters, expected in (
        ((), {"1", "2"}),
        (("--all",), {"1", "2", "3"}),
        (("--reason", "bad_val"), {"2"}),
        (("--source", "s3://b/none"), set()),
    ):
        assert {record["position"] for record in records(cli("rejects", "export", *filters).out)} == expected


def test_the_export_goes_to_a_file_on_request(cli, connection, tmp_path):
    add_reject(connection, raw="é\n".encode())
    path = tmp_path / "rejects.csv"
    said = cli("rejects", "export", "--output", path)
    assert said.out == f"wrote 1 rejected records to {path}\n"
    text = path.read_bytes().decode("utf-8")
    assert records(text)[0]["text"] == "é\\n"
    assert text.replace("\r\n", "").count("\r") == 0


def test_a_file_that_cannot_be_written_is_named(cli, tmp_path):
    said = cli("rejects", "export", "--output", tmp_path / "absent" / "rejects.csv")
    assert_one_line(said, 2, str(tmp_path / "absent" / "rejects.csv"), "No such file or directory", "--output")


# Settings


def test_missing_settings_are_named_in_one_line(etl):
    said = etl("runs", "list")
    assert_one_line(said, 2, "missing settings: DB_HOST, DB_NAME, DB_USER, DB_PASSWORD", "Nothing was touched")


def test_the_projects_env_file_is_read_wherever_one_stands(etl, database, tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables(database).items()))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert etl("runs", "list").out == "no runs yet\n"


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


# The private server


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


# As a process


def test_an_env_file_that_is_not_there_is_a_settings_error(tmp_path):
    ended = process("runs", "list", "--env-file", str(tmp_path / "absent.env"))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert str(tmp_path / "absent.env") in ended.stderr


def test_a_process_that_lacks_settings_ends_with_2_and_one_line(tmp_path):
    (tmp_path / "empty.env").touch()
    ended = process("runs", "list", "--env-file", str(tmp_path / "empty.env"))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("error: missing settings: DB_HOST, DB_NAME, DB_USER, DB_PASSWORD. ")
    assert str(tmp_path / "empty.env") in ended.stderr


def test_a_process_prints_data_on_standard_output_only(connection, database, tmp_path):
    add_run(connection, RUN)
    (tmp_path / "empty.env").touch()
    ended = process("runs", "show", "5f2c", "--env-file", str(tmp_path / "empty.env"), **variables(database))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert RUN in ended.stdout


@pytest.mark.parametrize(
    "arguments", [(), ("runs",), ("rejects", "resolve"), ("runs", "show"), ("runs", "list", "--limit", "x")]
)
def test_a_command_that_does_not_exist_is_answered_with_the_usage(etl, capsys, arguments):
    with pytest.raises(SystemExit, match="2"):
        etl(*arguments)
    assert capsys.readouterr().err.startswith("usage: python -m etlkit")


@pytest.mark.parametrize(
    "words",
    ["", "runs list", "runs show", "runs prune", "rejects list", "rejects export", "server stop", "server psql"],
)
def test_every_command_explains_itself(etl, capsys, words):
    with pytest.raises(SystemExit, match="0"):
        etl(*words.split(), "--help")
    assert capsys.readouterr().out.startswith(f"usage: python -m etlkit {words}".rstrip())
