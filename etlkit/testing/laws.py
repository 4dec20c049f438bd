"""The laws that every system keeps, as one suite of tests: a system's tests inherit `Laws` and bring a `System`.

    class TestLaws(Laws):
        @pytest.fixture
        def system(self, ...): return MySystem(...)

The numbers are those of the design's section on laws. A new system begins by passing them.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg2 import sql
from pydantic import SecretStr

from etlkit.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_LOCKED, EXIT_REJECTS
from etlkit.locks import advisory_lock, try_advisory_lock
from etlkit.postgres import connect
from etlkit.process import SIGNAL_EXIT_BASE
from etlkit.settings import DatabaseSettings

PROCESS_SECONDS = 60
OPEN_REJECTS = (
    "select source, position, raw, reasons from meta.rejected_records where resolved_at is null order by 1, 2"
)
RUNNING = "insert into meta.ingestion_runs (run_id, source_system, entity_type) values (gen_random_uuid(), %s, %s)"
RUNS = "select status, error_message from meta.ingestion_runs order by started_at"
LENT_RIGHTS = """
    select p.oid::regprocedure::text, case when p.prosecdef then 'works as its owner' else 'may be called by PUBLIC' end
    from pg_proc p
    join pg_namespace n on n.oid = p.pronamespace
    where n.nspname !~ '^(pg_|information_schema$)'
      and (p.prosecdef
           or exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0))
    union all
    select c.oid::regclass::text, 'gives PUBLIC ' || a.privilege_type
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    cross join aclexplode(c.relacl) a
    where n.nspname !~ '^(pg_|information_schema$)'
      and a.grantee = 0
    union all
    select n.nspname, 'gives PUBLIC ' || a.privilege_type
    from pg_namespace n
    cross join aclexplode(n.nspacl) a
    where n.nspname !~ '^(pg_|information_schema$|public$)'
      and a.grantee = 0
"""
WRONG_PASSWORD = "a-secret-that-is-wrong"


@dataclass(frozen=True)
class Fed:
    """What a system's standard input holds: how many records, and of each bad one a text and its reason."""

    records: int
    bad: Mapping[str, str]


@dataclass(frozen=True)
class Sum:
    """Where a run's records went."""

    records_in: int
    stored: int
    already_there: int
    rejected: int


@dataclass(frozen=True)
class Ended:
    """How a run ended: exit code, its one JSON object, and what a person saw."""

    exit_code: int
    figures: Mapping[str, Any]
    text: str


class System(ABC):
    """One system under the laws: how to run it, with what input, and how to read its tables.

    Its settings stand in the environment, the names of secrets and their values in `secrets`. A run blocks while
    somebody holds `blocked_table`, and is refused while somebody holds the advisory lock `lock_name`.
    """

    database: DatabaseSettings
    log_file: Path
    lock_name: str
    run_target: tuple[str, str]
    """Source system and entity type of its runs."""
    blocked_table: tuple[str, ...]
    secrets: Sequence[str]
    required_settings: Sequence[str]
    dry_run_word = "would"
    exit_when_locked = EXIT_LOCKED
    exit_on_sigterm = SIGNAL_EXIT_BASE + signal.SIGTERM
    status_on_sigterm = "failed"
    again: Sequence[str] = ()
    """Flags that make a second run see the same input again, where it would not by itself."""

    @abstractmethod
    def feed(self) -> Fed:
        """Put the standard input in place: good records and some bad ones."""

    @abstractmethod
    def point_at(self, database: DatabaseSettings) -> None:
        """Let the settings name this database."""

    @abstractmethod
    def forget_settings(self) -> None:
        """Take the required settings away."""

    @abstractmethod
    def run(self, *flags: str) -> Ended:
        """Run the main command in this process with --json."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the main command's script (or -m and module) and its flags, for a process of its own."""

    @abstractmethod
    def sum(self, figures: Mapping[str, Any]) -> Sum:
        """Read the sum from a run's JSON object."""

    @abstractmethod
    def tables(self) -> Mapping[str, list[tuple[Any, ...]]]:
        """Return what is stored, without what differs from run to run."""

    @abstractmethod
    def stored(self) -> int:
        """Count the stored records in the tables."""

    def query(self, statement: str | sql.Composable, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        with closing(connect(self.database, "laws")) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def traces(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return everything in the database, to the last bit."""
        tables = self.query(
            "select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
        )
        rows = sql.SQL("select t::text from {} t order by 1")
        return {".".join(table): self.query(rows.format(sql.Identifier(*table))) for table in tables}

    @contextmanager
    def started(self, *flags: str) -> Iterator[subprocess.Popen[str]]:
        """Run the main command as a process of its own, which does not outlive its law."""
        command = [sys.executable, *self.command(), *flags]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=dict(os.environ), stdout=pipe, stderr=pipe, text=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def finish(self, *flags: str) -> tuple[int, str, str]:
        """Run the main command as a process of its own; return its exit code, output and errors."""
        with self.started(*flags) as process:
            return finished(process)


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a process; return its exit code, output and errors."""
    out, err = process.communicate(timeout=PROCESS_SECONDS)
    return process.returncode, out, err


class Laws:
    """The suite; a subclass brings the fixture `system`."""

    def test_law_1_every_record_is_stored_rejected_or_there_already(self, system: System) -> None:
        """The sum is what lies in the tables, and a bad record is kept with its text and its own reason."""
        fed = system.feed()
        done = system.run()
        told = system.sum(done.figures)
        rejects = system.query(OPEN_REJECTS)
        assert told == Sum(fed.records, system.stored(), 0, len(rejects)), done.text
        assert told.records_in == told.stored + told.rejected
        assert len(rejects) == len(fed.bad) > 0
        for text, reason in fed.bad.items():
            kept = [reasons for _, _, raw, reasons in rejects if (text.encode() in bytes(raw) if text else not raw)]
            assert any(reason in told for reasons in kept for told in reasons), (text, reason, kept)

    def test_law_2_a_second_run_changes_nothing(self, system: System) -> None:
        """Identity is provenance, so the same input again adds and takes nothing."""
        fed = system.feed()
        first = system.run()
        before, rejects = system.tables(), system.query(OPEN_REJECTS)
        again = system.run(*system.again)
        assert (first.exit_code, again.exit_code) == (EXIT_REJECTS, 0), again.text
        assert system.tables() == before
        assert system.query(OPEN_REJECTS) == rejects
        told = system.sum(again.figures)
        assert told.stored == 0
        assert told.records_in in (fed.records, 0)
        assert told.already_there == told.records_in - (len(rejects) if told.records_in else 0)

    def test_law_5_the_target_of_another_is_not_touched(self, system: System) -> None:
        """Who finds the lock taken says by whom and leaves everything as it is."""
        system.feed()
        traces = system.traces if system.exit_when_locked == EXIT_LOCKED else system.tables
        with closing(connect(system.database, "the law's holder")) as holder, advisory_lock(holder, system.lock_name):
            if system.exit_when_locked == EXIT_LOCKED:
                system.query(RUNNING, *system.run_target)  # the holder's
            before = traces()
            refused = system.run()
            assert refused.exit_code == system.exit_when_locked, refused.text
            assert "the law's holder" in refused.text
            assert traces() == before
        assert system.run().exit_code == EXIT_REJECTS

    def test_law_6_the_last_line_and_the_exit_code_are_the_outcome(self, system: System) -> None:
        """A person and a program are told the same."""
        system.feed()
        exit_code, out, err = system.finish()
        assert exit_code == EXIT_REJECTS, out + err
        lines = (out + err).strip().splitlines()
        assert re.search(r"[Rr]un [0-9a-f]{8}-[0-9a-f-]{27}", lines[-1]), lines[-1]
        assert str(system.log_file) in lines[-1]
        assert lines.count(lines[-1]) == 1
        assert [status for status, _ in system.query(RUNS)] == ["completed"]
        exit_code, out, err = system.finish("--json", *system.again)
        document = json.loads(out)
        assert (exit_code, document["exit_code"], document["outcome"]) == (0, 0, "done")
        assert "rejects are still open" in err or "known one(s) are open" in err, err
        exit_code, out, err = system.finish("--no-such-flag")
        assert (exit_code, out) == (EXIT_CONFIG, "")
        assert "--no-such-flag" in err

    def test_law_6_a_signal_in_the_middle_rolls_back(self, system: System) -> None:
        """SIGTERM while a statement waits: the exit code says so, and the tables are as before."""
        system.feed()
        before = system.tables()
        with closing(connect(system.database, "blocker")) as blocker, blocker.cursor() as cursor:
            cursor.execute(
                sql.SQL("lock table {} in access exclusive mode").format(sql.Identifier(*system.blocked_table))
            )
            with system.started() as process:
                _wait_until_it_waits(system, process)
                with closing(connect(system.database, "another")) as another:
                    assert try_advisory_lock(another, system.lock_name), "the run holds its lock while it works"
                process.send_signal(signal.SIGTERM)
                exit_code, out, err = finished(process)
            blocker.rollback()
        assert exit_code == system.exit_on_sigterm, out + err
        assert "Traceback" not in out + err
        assert system.tables() == before
        ((status, message),) = system.query(RUNS)
        assert status == system.status_on_sigterm
        assert status == "completed" or message == "stopped by SIGTERM"
        assert system.run().exit_code == EXIT_REJECTS
        assert system.stored() > 0

    def test_law_9_no_secret_is_shown(self, system: System) -> None:
        """Neither console nor log nor tables hold a password, whatever happens."""
        system.feed()
        exit_code, *shown = system.finish("--log-level", "DEBUG")
        assert exit_code == EXIT_REJECTS
        for secret in system.secrets:  # a server that is asked for a database of that name repeats it
            system.point_at(system.database.model_copy(update={"db_name": secret}))
            exit_code, *refused = system.finish("--log-level", "DEBUG")
            assert exit_code == EXIT_CONFIG
            assert 'database "***" does not exist' in "".join(refused)
            shown += refused
        wrong = system.database.model_copy(update={"db_password": SecretStr(WRONG_PASSWORD)})
        system.point_at(wrong)
        exit_code, *refused = system.finish("--log-level", "DEBUG")
        assert exit_code in (EXIT_FAILED, EXIT_CONFIG)
        assert "authentication failed" in "".join(refused)
        shown += [*refused, system.log_file.read_text(encoding="utf-8")]
        system.point_at(system.database)
        shown += [str(rows) for rows in system.traces().values()]
        assert system.secrets
        for secret in (*system.secrets, WRONG_PASSWORD):
            forms = (secret, secret.encode().hex())  # a bytea is shown in hexadecimal
            assert not [text for text in shown if any(form in text for form in forms)], f"{secret[:3]}... is shown"

    def test_law_9_no_right_is_lent_and_public_has_none(self, system: System) -> None:
        """No function does for a role what the role may not, and nothing is open to whoever logs in."""
        system.feed()
        system.run()
        assert system.query(LENT_RIGHTS) == []

    def test_law_10_a_dry_run_leaves_no_trace_and_says_the_same(self, system: System) -> None:
        """The work is done, told with the same figures, and rolled back."""
        system.feed()
        before = system.traces()
        dry = system.run("--dry-run")
        assert system.traces() == before
        assert system.dry_run_word in dry.text
        wet = system.run()
        assert dry.exit_code == wet.exit_code == EXIT_REJECTS
        assert system.sum(dry.figures) == system.sum(wet.figures)
        assert system.stored() == system.sum(wet.figures).stored > 0

    def test_law_11_a_database_that_is_away_is_one_clear_line(self, system: System) -> None:
        """Where, why in the server's words, what next; the traceback is in the log file."""
        system.feed()
        with socket.socket() as bound:  # nobody listens on it
            bound.bind(("127.0.0.1", 0))
            system.point_at(system.database.model_copy(update={"db_port": bound.getsockname()[1]}))
            exit_code, out, err = system.finish()
            place = f"127.0.0.1:{bound.getsockname()[1]}"
        last = (out + err).strip().splitlines()[-1]
        assert exit_code == EXIT_FAILED, out + err
        for words in (place, "onnection refused", "Check", f"[exit {EXIT_FAILED}]"):
            assert words in last
        assert "Traceback" not in out + err
        assert "Traceback" in system.log_file.read_text(encoding="utf-8")
        system.point_at(system.database.model_copy(update={"db_name": "atlantis"}))
        refused = system.run()
        assert refused.exit_code == EXIT_CONFIG
        assert 'database "atlantis" does not exist' in refused.text
        assert (refused.figures["outcome"], refused.figures["exit_code"]) == ("failed", EXIT_CONFIG)

    def test_law_11_missing_settings_are_named_in_one_message(self, system: System) -> None:
        """Everything that is missing, at once, before anything is touched."""
        system.feed()
        before = system.traces()
        system.forget_settings()
        refused = system.run()
        assert refused.exit_code == EXIT_CONFIG
        assert (refused.figures["outcome"], refused.figures["exit_code"]) == ("failed", EXIT_CONFIG)
        told = [line for line in refused.text.splitlines() if "missing settings" in line]
        assert len(told) == 1, refused.text
        assert [name for name in system.required_settings if not re.search(rf"\b{name}\b", told[0])] == []
        assert system.traces() == before


def _wait_until_it_waits(system: System, process: subprocess.Popen[str]) -> None:
    """Wait until some session of the system's database waits for a lock."""
    deadline = time.monotonic() + PROCESS_SECONDS
    waiting = "select 1 from pg_locks where not granted and database = (select oid from pg_database where datname = %s)"
    while not system.query(waiting, system.database.db_name):
        assert process.poll() is None, finished(process)
        assert time.monotonic() < deadline, "the run never waited for the table"
        time.sleep(0.02)
