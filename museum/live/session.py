"""The database's side of one consumer: a connection, the run's history, the ledger and the batches.

A session lives as long as its connection; the consumer opens another one when it breaks. Its advisory locks go with it.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from contextlib import suppress
from uuid import UUID

import psycopg2

from etlkit.locks import release_advisory_lock, try_advisory_lock
from etlkit.postgres import Cursor, connect, load_errors, only_value, process_name, require_schema, run_file
from etlkit.runs import Run, RunFigures, complete_run, fail_run, start_run
from etlkit.settings import DatabaseSettings
from museum.command import Command
from museum.hourly import fold_in_passing
from museum.live.batch import BatchLoad, LiveRules
from museum.live.claims import HEARTBEAT_SECONDS, PartitionLedger
from museum.live.live_summary import LiveSummary
from museum.live.topic import KafkaTopic
from museum.settings import SCHEMA, SQL

STATEMENT_TIMEOUT = "60s"
"""Well below the five minutes after which the group gives a member's partitions away."""
MUTE_SECONDS = 20
FOLD_SECONDS = 0.3
DEAD_RUN = "its end was not recorded; what it had stored stays"
_PERMANENT = ("28", "3D", "42", "0A")
"""Classes of SQLSTATE that no waiting mends: login, database, missing or forbidden objects, unsupported features."""


def is_permanent(error: Exception) -> bool:
    """Tell whether waiting for the database is in vain."""
    cause = error if isinstance(error, psycopg2.Error) else error.__cause__
    return (getattr(cause, "pgcode", None) or "").startswith(_PERMANENT)


class LiveSession:
    """An open connection that knows its run; `ledger` and `batches` work over it."""

    def __init__(
        self, command: Command, database: DatabaseSettings, topic: KafkaTopic, rules: LiveRules, log: logging.Logger
    ) -> None:
        """Connect; raises ConfigError for a wrong login or an older schema, LoadError when no server answers."""
        place = {"cluster": topic.cluster, "topic": topic.name}
        self.run = Run(command.run_id, SCHEMA.system, "live", command.dry_run, place)
        self._log = log
        self._last_word = time.monotonic()
        self._has_run_lock = False
        self.connection = connect(database, process_name("museum consumer", command.run_id), mute_seconds=MUTE_SECONDS)
        try:
            require_schema(self.connection, SCHEMA)
            with load_errors("preparing the session"):
                with self.connection, self.connection.cursor() as cursor:
                    cursor.execute("select set_config('statement_timeout', %s, false)", (STATEMENT_TIMEOUT,))
                self._hold_run_lock()
                self.ledger = PartitionLedger(self.connection, topic, command.run_id, log)
                self.batches = BatchLoad(self.connection, command.run_id, rules, log, dry_run=command.dry_run)
        except BaseException:
            self.close()
            raise

    def start_history(self) -> None:
        """Write the run's row; runs of consumers that died are marked failed."""
        with load_errors("reading the run's history"), self.connection, self.connection.cursor() as cursor:
            run_file(cursor, SQL / "run" / "list_running_runs.sql", {"run_id": str(self.run.run_id)})
            running = [run_id for (run_id,) in cursor.fetchall()]
        for run_id in running if not self.run.dry_run else ():
            if try_advisory_lock(self.connection, _run_lock(run_id)) is None:
                fail_run(self.connection, Run(run_id, SCHEMA.system, "live"), DEAD_RUN)
                release_advisory_lock(self.connection, _run_lock(run_id))
                self._log.warning("the end of run %s was not recorded; marked failed", run_id)
        start_run(self.connection, self.run, is_alone=False)

    def update_history(self, summary: LiveSummary) -> None:
        """Write the figures so far into the run's row."""
        if self.run.dry_run:
            return
        values = {"run_id": str(self.run.run_id), "metadata": json.dumps({"live": summary.figures()})}
        with load_errors("writing the run's history"), self.connection, self.connection.cursor() as cursor:
            run_file(cursor, SQL / "run" / "update_run.sql", values)

    def fold_hours(self) -> None:
        """Fold the hourly counts for a moment; that it fails harms nobody."""
        if not self.run.dry_run:
            fold_in_passing(self.connection, FOLD_SECONDS)

    def complete_history(self, summary: LiveSummary) -> None:
        """Complete the run, and note in the summary how many live rejects are open."""
        self.update_history(summary)
        self.fold_hours()
        with load_errors("completing the run's history"), self.connection, self.connection.cursor() as cursor:
            complete_run(cursor, self.run, RunFigures(*read_run_counts(cursor, self.run.run_id), 0, {}))
            summary.open_rejects = count_open_rejects(cursor)

    def fail_history(self, message: str) -> None:
        """Mark the run failed, if the connection still lives; else the next consumer does it."""
        fail_run(self.connection, self.run, message)

    def keep_alive(self) -> None:
        """Say a word now and then: it tells others that we live, and us that the database does."""
        if time.monotonic() - self._last_word < HEARTBEAT_SECONDS:
            return
        with load_errors("asking the database"), self.connection, self.connection.cursor() as cursor:
            cursor.execute("select")
        self._last_word = time.monotonic()
        self._hold_run_lock()

    def processed(self) -> int:
        """Return how many messages the database has of this run, by what was committed."""
        with load_errors("reading the run's history"), self.connection, self.connection.cursor() as cursor:
            return read_run_counts(cursor, self.run.run_id)[0]

    def break_off(self) -> None:
        """Cut the line, from another thread: a cancel request would wait for a server that may not answer."""
        with suppress(OSError, psycopg2.Error), socket.socket(fileno=os.dup(self.connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    def _hold_run_lock(self) -> None:
        """Take the lock that says this run lives, which an earlier session of ours may still hold for a while."""
        if not self._has_run_lock:
            self._has_run_lock = try_advisory_lock(self.connection, _run_lock(self.run.run_id)) is None

    def close(self) -> None:
        """Give up the connection and its locks."""
        with suppress(psycopg2.Error):
            self.connection.close()


def _run_lock(run_id: object) -> str:
    """Return the name of the lock that says a run lives."""
    return f"museum:live run {run_id}"


def count_open_rejects(cursor: Cursor) -> int:
    """Return how many rejects of live messages are open."""
    cursor.execute("select count(*) from meta.rejected_records where resolved_at is null and source like 'kafka://%'")
    return int(only_value(cursor))


def read_run_counts(cursor: Cursor, run_id: UUID) -> tuple[int, int]:
    """Return how many messages a run has processed and stored, as far as it is committed."""
    statement = "select records_processed, records_created from meta.ingestion_runs where run_id = %s"
    cursor.execute(statement, (str(run_id),))
    processed, created = cursor.fetchone() or (0, 0)
    return processed, created
