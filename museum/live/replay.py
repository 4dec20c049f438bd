"""Rejected messages, judged again: what has become good since (an exhibition, a button, longer hours) is stored.

In come the open rejects of live messages with their raw bytes, out go their presses, or their new reasons, a batch a
transaction. A re-run is safe: a press is unique by (partition, offset), and what was resolved is not read again. No
broker is needed, and consumers may be at work meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import psycopg2

from etlkit.console import Outcome
from etlkit.copying import copy_rows, store_or_halve
from etlkit.postgres import (
    Connection,
    Cursor,
    load_errors,
    run_file,
    server_words,
    unit_of_work,
)
from etlkit.rejects import create_rejudged_staging, stage_rejudged, update_rejudged
from etlkit.runs import Run, RunFigures, complete_run
from museum.database import open_museum_run
from museum.live.claims import SQL as LIVE_SQL
from museum.live.figures import Kept, not_added_up
from museum.live.message import LONGEST_MESSAGE, judge_message
from museum.reference import SQL, read_reference
from museum.settings import Command

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

    def check(self, kept: Kept) -> None:
        """Raise DataError unless every reject is accounted for, here and in the tables."""
        parts = (self.stored, self.already_there, self.still_rejected)
        if sum(parts) != self.judged or Kept(self.stored + self.already_there, self.still_rejected) != kept:
            line = "{:,} judged = {:,} stored + {:,} already there + {:,} still rejected".format(self.judged, *parts)
            raise not_added_up(line, kept)

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

    Raises LockedError when another replay is at work, LoadError when the database fails, DataError when the sum is
    wrong; finished batches stay.
    """
    with (
        open_museum_run(command, log, "replay", "museum replay", {"reason": command.flags.reason}) as running,
        load_errors("replaying rejects", "Finished batches stay; run again."),
    ):
        figures = Replay(running.connection, running.run, command, log).run()
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
            complete_run(cursor, self._run, RunFigures(figures.judged, figures.stored, 0, asdict(figures)))
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

        def refuse(reject: OpenReject, error: psycopg2.Error) -> None:
            self._log.warning("the database refuses a message: %s", server_words(error))
            figures.add(self._store([reject], refused=True))

        store_or_halve(batch, lambda part: figures.add(self._store(part)), refuse)

    def _store(self, batch: Sequence[OpenReject], *, refused: bool = False) -> ReplayFigures:
        """Run one transaction; a consumer that reads the same messages again locks their rejects first, too."""
        figures = ReplayFigures(judged=len(batch))
        with unit_of_work(self._connection, dry_run=self._command.dry_run) as cursor:
            are_good = self._judge(cursor, batch, refused=refused)
            figures.still_rejected = are_good.count(False)
            figures.already_there = run_file(cursor, LIVE_SQL / "remove_stored_kiosk.sql")
            figures.reviews_stored = run_file(cursor, SQL / "fill_review.sql")
            figures.incidents_stored = run_file(cursor, SQL / "fill_incident.sql")
            run_file(cursor, LIVE_SQL / "notify_incident.sql")
            run_file(
                cursor,
                LIVE_SQL / "count_replayed.sql",
                {
                    "sources": [reject.source for reject in batch],
                    "positions": [reject.position for reject in batch],
                    "source_ids": [reject.source_id for reject in batch],
                    "are_good": are_good,
                },
            )
            figures.check(Kept(*(cursor.fetchone() or (0, 0))))
        return figures

    def _judge(self, cursor: Cursor, batch: Sequence[OpenReject], *, refused: bool) -> list[bool]:
        """Judge a batch by today's rules, stage what is good, note other reasons; return which are good."""
        present = self._command.now if self._command.flags.now else datetime.now(UTC)
        reference = read_reference(cursor, self._command.latest_at_of(present))
        presses: list[tuple[object, ...]] = []
        judged: list[tuple[str, str, tuple[str, ...]]] = []
        are_good: list[bool] = []
        for reject in batch:
            verdict = judge_message(reject.raw, self._command.museum.live_rules, reference)
            reasons = verdict.reasons or (("refused",) if refused else ())
            are_good.append(not reasons)
            if not reasons and (event := verdict.event):
                place = (reject.source_id, reject.position)
                presses.append((event.at.isoformat(), event.site, event.val, event.type, *place))
            if reasons != reject.reasons and not _lost_its_time(reasons, reject.reasons):
                judged.append((reject.source, reject.position, reasons))
        create_rejudged_staging(cursor)
        stage_rejudged(cursor, judged)
        update_rejudged(cursor)
        copy_rows(cursor, SQL / "copy_judged_kiosk.sql", presses)
        return are_good


def _lost_its_time(reasons: tuple[str, ...], before: tuple[str, ...]) -> bool:
    """Tell whether a message had Kafka's CreateTime for its `at`, which the reject does not keep."""
    return "missing_at" in reasons and "missing_at" not in before
