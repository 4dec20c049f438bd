"""Rejected messages, judged again: what has become good since (an exhibition, a button, longer hours) is stored.

In come the open rejects of live messages with their raw bytes, out go their presses, or their new reasons, in one
transaction. A re-run is safe: a press is unique by (partition, offset), and what was resolved is not read again. No
broker is needed, and consumers may be at work meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from etlkit.command import stopping_signal
from etlkit.errors import EtlError
from etlkit.logs import redact
from etlkit.postgres import (
    Connection,
    Cursor,
    advisory_lock,
    cancelled_by_signals,
    commit,
    connect,
    copy_rows,
    load_errors,
    process_name,
    require_schema,
    rolled_back_on_error,
    run_file,
)
from etlkit.rejects import create_rejudged_staging, stage_rejudged, update_rejudged
from etlkit.runs import Run, complete_run, fail_run, start_run
from museum.console import Outcome
from museum.database import database_settings
from museum.live.claims import SQL as LIVE_SQL
from museum.live.message import judge_message
from museum.reference import SQL, read_reference
from museum.settings import SCHEMA_SYSTEM, SCHEMA_VERSION, Command

LOCK_NAME = "museum:replay"
BATCH_ROWS = 10_000


@dataclass
class ReplayFigures:
    """What became of the rejects that were judged again."""

    judged: int = 0
    reviews_stored: int = 0
    incidents_stored: int = 0
    already_there: int = 0
    still_rejected: int = 0
    open_rejects: int = 0

    @property
    def stored(self) -> int:
        """Return the presses that were added."""
        return self.reviews_stored + self.incidents_stored


def replay_rejects(command: Command, log: logging.Logger) -> Outcome:
    """Judge open live rejects again in one transaction, which a dry run rolls back.

    Raises LockedError when another replay is at work, LoadError when the database refuses; then nothing has changed.
    """
    run = Run(command.run_id, "museum", "replay", command.dry_run)
    connection = connect(database_settings(command, log), process_name("museum replay", command.run_id))
    with closing(connection):
        require_schema(connection, SCHEMA_SYSTEM, SCHEMA_VERSION, "python load.py --apply-schema")
        with advisory_lock(connection, LOCK_NAME):
            start_run(connection, run, {"reason": command.flags.reason})
            try:
                with cancelled_by_signals(connection), load_errors("replaying rejects"):
                    figures = _replay(connection, run, command)
            except BaseException as error:
                message = str(error) if isinstance(error, EtlError) else f"{type(error).__name__} {error}".strip()
                if name := stopping_signal():
                    message = f"stopped by {name}"
                fail_run(connection, run, redact(message, command.secrets))
                raise
    verb = "Would store" if command.dry_run else "Stored"
    sentence = (
        f"{verb} {figures.stored:,} of {figures.judged:,} rejected messages; {figures.still_rejected:,} are still "
        f"rejected, {figures.open_rejects:,} open in all."
    )
    return Outcome(sentence, {"replay": {**asdict(figures), "stored": figures.stored}})


def _replay(connection: Connection, run: Run, command: Command) -> ReplayFigures:
    """Run the one transaction."""
    figures = ReplayFigures()
    with rolled_back_on_error(connection):
        with connection.cursor() as cursor:
            run_file(cursor, SQL / "create_staging_kiosk.sql")
            create_rejudged_staging(cursor)
            good = 0
            for batch in _open_rejects(connection, command.flags.reason):
                figures.judged += len(batch)
                good += _judge(cursor, batch, command)
            figures.still_rejected = figures.judged - good
            run_file(cursor, LIVE_SQL / "remove_stored_kiosk.sql")
            figures.reviews_stored = run_file(cursor, SQL / "fill_review.sql")
            figures.incidents_stored = run_file(cursor, SQL / "fill_incident.sql")
            run_file(cursor, LIVE_SQL / "notify_incident.sql")
            figures.already_there = good - figures.stored
            update_rejudged(cursor)
            run_file(cursor, LIVE_SQL / "count_open_rejects.sql")
            figures.open_rejects = (cursor.fetchone() or (0,))[0]
            complete_run(
                cursor, run, processed=figures.judged, created=figures.stored, updated=0, metadata=asdict(figures)
            )
        if command.dry_run:
            connection.rollback()
        else:
            commit(connection)
    return figures


def _open_rejects(connection: Connection, reason: str | None) -> Iterator[list[tuple[Any, ...]]]:
    """Yield open rejects in batches, so that memory does not grow with them."""
    with connection.cursor(name="replayable") as rows:
        rows.execute((LIVE_SQL / "list_replayable.sql").read_text(encoding="utf-8"), {"reason": reason})
        while batch := rows.fetchmany(BATCH_ROWS):
            yield batch


def _judge(cursor: Cursor, batch: list[tuple[Any, ...]], command: Command) -> int:
    """Judge a batch by today's rules, stage what is good and what has other reasons; return how many are good."""
    present = command.now if command.flags.now else datetime.now(UTC)
    reference = read_reference(cursor, command.latest_at_of(present))
    presses: list[tuple[object, ...]] = []
    judged: list[tuple[str, str, tuple[str, ...]]] = []
    for source, position, raw, reasons, source_id in batch:
        verdict = judge_message(bytes(raw), command.museum.live_rules, reference)
        if verdict.is_good and (event := verdict.event):
            presses.append((event.at.isoformat(), event.site, event.val, event.type, source_id, position))
        if list(verdict.reasons) != reasons:
            judged.append((source, position, verdict.reasons))
    copy_rows(cursor, SQL / "copy_judged_kiosk.sql", presses)
    stage_rejudged(cursor, judged)
    return len(presses)
