"""The laws of a system that keeps its tables, its runs and its rejects in Postgres: see `laws`."""

from __future__ import annotations

import socket
import subprocess
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from psycopg2 import sql
from pydantic import SecretStr

from etlkit.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_LOCKED
from etlkit.locks import advisory_lock, try_advisory_lock
from etlkit.postgres import connect
from etlkit.settings import DatabaseSettings
from etlkit.testing.laws import HOLDER, PROCESS_SECONDS, Laws, Reject, System, finished

OPEN_REJECTS = (
    "select source, position, raw, reasons from meta.rejected_records where resolved_at is null order by 1, 2"
)
RUNNING = "insert into meta.ingestion_runs (run_id, source_system, entity_type) values (gen_random_uuid(), %s, %s)"
RUNS = "select status, error_message from meta.ingestion_runs order by started_at"
WAITING = "select 1 from pg_locks where not granted and database = (select oid from pg_database where datname = %s)"
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


class PostgresSystem(System):
    """A system over Postgres.

    A run blocks while somebody holds `blocked_table`, and is refused while somebody holds the lock `lock_name`.
    """

    database: DatabaseSettings
    lock_name: str
    run_target: tuple[str, str]
    """Source system and entity type of its runs."""
    blocked_table: tuple[str, ...]
    advice_when_away = "Check"

    @abstractmethod
    def point_at(self, database: DatabaseSettings) -> None:
        """Let the settings name this database."""

    def query(self, statement: str | sql.Composable, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        with closing(connect(self.database, "laws")) as connection, connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def rejects(self) -> list[Reject]:
        """Return the open rejects."""
        return [
            Reject(f"{source} {position}", bytes(raw), tuple(reasons))
            for source, position, raw, reasons in self.query(OPEN_REJECTS)
        ]

    def history(self) -> list[tuple[str, str | None]]:
        """Return the run history."""
        return [(status, message) for status, message in self.query(RUNS)]

    def traces(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return everything in the database, to the last bit."""
        tables = self.query(
            "select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
        )
        rows = sql.SQL("select t::text from {} t order by 1")
        return {".".join(table): self.query(rows.format(sql.Identifier(*table))) for table in tables}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the advisory lock; a history that names the holder's run has it."""
        with closing(connect(self.database, HOLDER)) as holder, advisory_lock(holder, self.lock_name):
            if self.exit_when_locked == EXIT_LOCKED:
                self.query(RUNNING, *self.run_target)
            yield

    def is_held(self) -> bool:
        """Tell whether the advisory lock is taken."""
        with closing(connect(self.database, "another")) as another:
            return bool(try_advisory_lock(another, self.lock_name))

    @contextmanager
    def blocked(self) -> Iterator[Callable[[subprocess.Popen[str]], None]]:
        """Lock the table that a run needs."""
        with closing(connect(self.database, "blocker")) as blocker, blocker.cursor() as cursor:
            cursor.execute(
                sql.SQL("lock table {} in access exclusive mode").format(sql.Identifier(*self.blocked_table))
            )
            yield self._wait_until_it_waits
            blocker.rollback()

    def _wait_until_it_waits(self, process: subprocess.Popen[str]) -> None:
        """Wait until some session of the database waits for a lock."""
        deadline = time.monotonic() + PROCESS_SECONDS
        while not self.query(WAITING, self.database.db_name):
            assert process.poll() is None, finished(process)
            assert time.monotonic() < deadline, "the run never waited for the table"
            time.sleep(0.02)

    @contextmanager
    def away(self) -> Iterator[str]:
        """Point at a port where nobody listens."""
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
            self.point_at(self.database.model_copy(update={"db_port": port}))
            yield f"127.0.0.1:{port}"
        self.point_at(self.database)

    def refusals(self) -> list[str]:
        """Ask for databases called like the secrets, which the server repeats, and give a wrong password."""
        shown: list[str] = []
        for secret in self.secrets:
            self.point_at(self.database.model_copy(update={"db_name": secret}))
            exit_code, *refused = self.finish("--log-level", "DEBUG")
            assert exit_code == EXIT_CONFIG
            assert 'database "***" does not exist' in "".join(refused)
            shown += refused
        self.secrets = (*self.secrets, WRONG_PASSWORD)
        self.point_at(self.database.model_copy(update={"db_password": SecretStr(WRONG_PASSWORD)}))
        exit_code, *refused = self.finish("--log-level", "DEBUG")
        assert exit_code in (EXIT_FAILED, EXIT_CONFIG)
        assert "authentication failed" in "".join(refused)
        self.point_at(self.database)
        return shown + refused


class PostgresLaws(Laws):
    """The suite, and what a database adds to it."""

    def test_law_9_no_right_is_lent_and_public_has_none(self, system: PostgresSystem) -> None:
        """No function does for a role what the role may not, and nothing is open to whoever logs in."""
        system.feed()
        system.run()
        assert system.query(LENT_RIGHTS) == []

    def test_law_11_an_unknown_database_is_named(self, system: PostgresSystem) -> None:
        """A wrong name is a wrong setting, in the server's words."""
        system.feed()
        system.point_at(system.database.model_copy(update={"db_name": "atlantis"}))
        refused = system.run()
        assert refused.exit_code == EXIT_CONFIG
        assert 'database "atlantis" does not exist' in refused.text
        assert (refused.figures["outcome"], refused.figures["exit_code"]) == ("failed", EXIT_CONFIG)
