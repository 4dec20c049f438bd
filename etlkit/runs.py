"""Run history in `meta.ingestion_runs`.

A run's row says `running` in a transaction of its own and becomes `completed` in the transaction of its data; a run
that rolled back becomes `failed`. A process that was killed leaves `running` behind, which the next holder of the
target's lock repairs, so a row never says `running` for longer than until the next run.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2

from etlkit.errors import EtlError
from etlkit.locks import advisory_lock
from etlkit.logs import redact
from etlkit.postgres import Connection, Cursor, Schema, load_errors, require_schema, run_file
from etlkit.signals import cancelled_by_signals, stopping_signal

SQL = Path(__file__).parent / "sql"
LOST_SESSION_TIMEOUT = "5s"


@dataclass(frozen=True)
class Run:
    """One run of one target; a dry run leaves no row."""

    run_id: UUID
    source_system: str
    entity_type: str
    dry_run: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)
    covers: Sequence[str] = ()
    """Other entity types whose targets' locks it holds too, so that a run of theirs that says `running` is dead."""


@dataclass(frozen=True)
class RunFigures:
    """What a run's row tells of its end beside its status."""

    processed: int | None = None
    created: int | None = None
    updated: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """Return them as the statements' parameters; None leaves what the row says already."""
        counts = {f"records_{name}": getattr(self, name) for name in ("processed", "created", "updated")}
        return {**counts, "metadata": json.dumps(self.metadata, default=str)}


UNKNOWN = RunFigures()


@contextmanager
def open_run(
    run: Run,
    schema: Schema,
    lock_names: Sequence[str],
    connect: Callable[[], Connection],
    logger: logging.Logger,
    *,
    secrets: Sequence[str] = (),
    figures_so_far: Callable[[], RunFigures] = lambda: UNKNOWN,
) -> Iterator[Connection]:
    """Connect, require the schema, hold the target's locks and record the run; whatever fails inside marks it failed.

    A signal cancels the statement under way. Whoever is inside completes the run, in the transaction of its data.
    Raises ConfigError for an absent or older schema, LockedError when another run holds one of the locks.
    """
    with closing(connect()) as connection:
        require_schema(connection, schema)
        with ExitStack() as locks:
            for name in lock_names:
                locks.enter_context(advisory_lock(connection, name))
            try:
                with cancelled_by_signals(connection):
                    if orphans := start_run(connection, run):
                        logger.warning("%s earlier run(s) ended without a word; marked failed", orphans)
                    yield connection
            except BaseException as error:
                message = redact(_reason(error), secrets)
                figures = figures_so_far()
                if not (fail_run(connection, run, message, figures) or _fail_anew(connect, run, message, figures)):
                    logger.warning("the run's history could not be closed; the next run does it")
                raise


def _reason(error: BaseException) -> str:
    """Return what ended a run, for its history."""
    if name := stopping_signal():
        return f"stopped by {name.name}"
    return str(error) if isinstance(error, EtlError) else f"{type(error).__name__} {error}".strip()


def _fail_anew(connect: Callable[[], Connection], run: Run, message: str, figures: RunFigures) -> bool:
    """Mark a run failed whose own connection is gone, if the server is still there; a signal waits for nothing."""
    if stopping_signal():
        return False
    try:
        with closing(connect()) as another, cancelled_by_signals(another):
            with another, another.cursor() as cursor:  # the lost session may hold the row until the server notices
                cursor.execute("select set_config('lock_timeout', %s, false)", (LOST_SESSION_TIMEOUT,))
            return fail_run(another, run, message, figures)
    except (EtlError, psycopg2.Error):
        return False


def start_run(connection: Connection, run: Run, *, is_alone: bool = True) -> int:
    """Write the running row and commit; return how many orphaned runs were repaired. Hold the target's lock.

    Where runs of the same target work side by side (`is_alone=False`), their rows are left alone.
    """
    if run.dry_run:
        return 0
    with load_errors("starting the run's history"), connection, connection.cursor() as cursor:
        targets = [{"source_system": run.source_system, "entity_type": one} for one in (run.entity_type, *run.covers)]
        orphans = sum(run_file(cursor, SQL / "fail_orphaned_runs.sql", one) for one in targets if is_alone)
        run_file(
            cursor,
            SQL / "start_run.sql",
            {"run_id": str(run.run_id), "metadata": json.dumps(run.metadata, default=str), **targets[0]},
        )
    return orphans


def complete_run(cursor: Cursor, run: Run, figures: RunFigures) -> None:
    """Complete the run in the caller's transaction, so that its data and its row appear together."""
    if run.dry_run:
        return
    run_file(cursor, SQL / "complete_run.sql", {"run_id": str(run.run_id), **figures.values()})


def fail_run(connection: Connection, run: Run, message: str, figures: RunFigures = UNKNOWN) -> bool:
    """Mark the run failed after its rollback; return False when the connection is gone."""
    if run.dry_run:
        return True
    storable = message.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    try:
        connection.rollback()
        with connection, connection.cursor() as cursor:
            values = {"run_id": str(run.run_id), "error_message": storable, **figures.values()}
            run_file(cursor, SQL / "fail_run.sql", values)
    except psycopg2.Error:
        return False
    return True
