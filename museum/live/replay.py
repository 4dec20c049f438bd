"""Rejected messages, judged again: what has become good since (an exhibition, a button, longer hours) is stored.

In come the open rejects of live messages with their raw bytes, out go their presses, or their new reasons, a batch a
transaction. A re-run is safe: a press is unique by (partition, offset), and what was resolved is not read again. No
broker is needed, and consumers may be at work meanwhile.
"""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import psycopg2

from etlkit.command import stopping_signal
from etlkit.errors import EtlError, LoadError
from etlkit.logs import redact
from etlkit.postgres import (
    Connection,
    Cursor,
    advisory_lock,
    cancelled_by_signals,
    commit,
    connect,
    copy_rows,
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
from museum.live.message import LONGEST_MESSAGE, judge_message
from museum.reference import SQL, read_reference
from museum.settings import SCHEMA_SYSTEM, SCHEMA_VERSION, Command

LOCK_NAME = "museum:replay"
BATCH_ROWS = 500


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

    def add(self, other: ReplayFigures) -> None:
        """Take in the figures of a batch."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True)
class OpenReject:
    """An open reject of a live message."""

    source: str
    position: str
    raw: bytes | None
    reasons: tuple[str, ...]
    source_id: int


def replay_rejects(command: Command, log: logging.Logger) -> Outcome:
    """Judge open live rejects again, batch by batch; a dry run rolls each back.

    Raises LockedError when another replay is at work, LoadError when the database fails; finished batches stay.
    """
    run = Run(command.run_id, "museum", "replay", command.dry_run)
    connection = connect(database_settings(command, log), process_name("museum replay", command.run_id))
    with closing(connection):
        require_schema(connection, SCHEMA_SYSTEM, SCHEMA_VERSION, "python load.py --apply-schema")
        with advisory_lock(connection, LOCK_NAME):
            start_run(connection, run, {"reason": command.flags.reason})
            try:
                with cancelled_by_signals(connection):
                    figures = Replay(connection, run, command, log).run()
            except psycopg2.Error as error:
                reason = (str(error).strip().splitlines() or ["no reason given"])[0]
                fail_run(connection, run, redact(reason, command.secrets))
                raise LoadError(f"replaying rejects: {reason}. Finished batches stay; run again.") from error
            except BaseException as error:
                message = str(error) if isinstance(error, EtlError) else f"{type(error).__name__} {error}".strip()
                if name := stopping_signal():
                    message = f"stopped by {name}"
                fail_run(connection, run, redact(message, command.secrets))
                raise
    verb = "Would store" if command.dry_run else "Stored"
    sentence = (
        f"{verb} {figures.stored:,} of {figures.judged:,} rejected messages; {figures.still_rejected:,} of them are "
        f"still rejected, {figures.open_rejects:,} live rejects are open."
    )
    return Outcome(sentence, {"replay": {**asdict(figures), "stored": figures.stored}})


class Replay:
    """One replay over one connection; each batch is a transaction."""

    def __init__(self, connection: Connection, run: Run, command: Command, log: logging.Logger) -> None:
        """Create the session's staging table."""
        self._connection = connection
        self._run = run
        self._command = command
        self._log = log
        with connection, connection.cursor() as cursor:
            run_file(cursor, SQL / "create_staging_kiosk.sql")

    def run(self) -> ReplayFigures:
        """Replay everything that is open, and complete the run."""
        figures = ReplayFigures()
        after = ("", "")
        while batch := self._next_batch(after):
            after = (batch[-1].source, batch[-1].position)
            self._replay(batch, figures)
        with self._connection, self._connection.cursor() as cursor:
            run_file(cursor, LIVE_SQL / "count_open_rejects.sql")
            figures.open_rejects = (cursor.fetchone() or (0,))[0]
            complete_run(
                cursor, self._run, processed=figures.judged, created=figures.stored, updated=0, metadata=asdict(figures)
            )
        return figures

    def _next_batch(self, after: tuple[str, str]) -> list[OpenReject]:
        """Begin a transaction with the next rejects locked in it."""
        values = {
            "reason": self._command.flags.reason,
            "longest": LONGEST_MESSAGE,
            "after_source": after[0],
            "after_position": after[1],
            "limit": BATCH_ROWS,
        }
        with self._connection.cursor() as cursor:
            run_file(cursor, LIVE_SQL / "list_replayable.sql", values)
            return [
                OpenReject(source, position, None if "no_value" in reasons else bytes(raw), tuple(reasons), source_id)
                for source, position, raw, reasons, source_id in cursor.fetchall()
            ]

    def _replay(self, batch: list[OpenReject], figures: ReplayFigures) -> None:
        """Judge and store a batch; what only the database refuses is found by halving and stays rejected for that."""
        try:
            figures.add(self._store(batch))
        except (psycopg2.DataError, psycopg2.IntegrityError) as error:
            if len(batch) == 1:
                self._log.warning("the database refuses a message: %s", str(error).splitlines()[0])
                figures.add(self._store(batch, refused=True))
                return
            middle = len(batch) // 2
            self._replay(batch[:middle], figures)
            self._replay(batch[middle:], figures)

    def _store(self, batch: list[OpenReject], *, refused: bool = False) -> ReplayFigures:
        """Run one transaction; a consumer that reads the same messages again locks their rejects first, too."""
        figures = ReplayFigures(judged=len(batch))
        with rolled_back_on_error(self._connection):
            with self._connection.cursor() as cursor:
                good = self._judge(cursor, batch, refused=refused)
                figures.still_rejected = figures.judged - good
                run_file(cursor, LIVE_SQL / "remove_stored_kiosk.sql")
                figures.reviews_stored = run_file(cursor, SQL / "fill_review.sql")
                figures.incidents_stored = run_file(cursor, SQL / "fill_incident.sql")
                figures.already_there = good - figures.stored
                run_file(cursor, LIVE_SQL / "notify_incident.sql")
            if self._command.dry_run:
                self._connection.rollback()
            else:
                commit(self._connection)
        return figures

    def _judge(self, cursor: Cursor, batch: list[OpenReject], *, refused: bool) -> int:
        """Judge a batch by today's rules, stage what is good, note other reasons; return how many are good."""
        present = self._command.now if self._command.flags.now else datetime.now(UTC)
        reference = read_reference(cursor, self._command.latest_at_of(present))
        presses: list[tuple[object, ...]] = []
        judged: list[tuple[str, str, tuple[str, ...]]] = []
        for reject in batch:
            verdict = judge_message(reject.raw, self._command.museum.live_rules, reference)
            reasons = verdict.reasons or (("refused",) if refused else ())
            if not reasons and (event := verdict.event):
                place = (reject.source_id, reject.position)
                presses.append((event.at.isoformat(), event.site, event.val, event.type, *place))
            if reasons != reject.reasons and not _lost_its_time(reasons, reject.reasons):
                judged.append((reject.source, reject.position, reasons))
        create_rejudged_staging(cursor)
        stage_rejudged(cursor, judged)
        update_rejudged(cursor)
        copy_rows(cursor, SQL / "copy_judged_kiosk.sql", presses)
        return len(presses)


def _lost_its_time(reasons: tuple[str, ...], before: tuple[str, ...]) -> bool:
    """Tell whether a message had Kafka's CreateTime for its `at`, which the reject does not keep."""
    return "missing_at" in reasons and "missing_at" not in before
