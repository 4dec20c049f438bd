"""Rejected messages, judged again: what has become good since (an exhibition, a button, longer hours) is stored.

In come the open rejects of live messages with their raw bytes, out go their presses, or their new reasons, a batch a
transaction. A re-run is safe: a press is unique by (partition, offset), and what was resolved is not read again. No
broker is needed, and consumers may be at work meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple

import psycopg2

from etlkit.console import Outcome
from etlkit.copying import store_or_halve
from etlkit.postgres import Connection, Cursor, load_errors, run_file, server_words, unit_of_work
from etlkit.rejects import create_rejudged_staging, stage_rejudged, update_rejudged
from etlkit.runs import Run, RunFigures, complete_run
from museum.binary_copy import StagedPress, pressed_at
from museum.command import Command, outcome_of
from museum.database import open_museum_run, read_reference
from museum.live.batch import create_staging_tables, fill_presses, remove_stored, stage_presses
from museum.live.live_summary import Kept, StoringSummary, not_added_up
from museum.live.message import LONGEST_MESSAGE, judge_message
from museum.live.session import count_open_rejects
from museum.settings import SQL

BATCH_ROWS = 500


@dataclass
class ReplaySummary(StoringSummary):
    """What became of the rejects that were judged again."""

    stage: ClassVar[str] = "replay"
    counts = ("judged", "reviews_stored", "incidents_stored", "already_there", "still_rejected")
    judged: int = 0
    still_rejected: int = 0

    def check(self, kept: Kept) -> None:
        """Raise DataError unless every reject is accounted for, here and in the tables."""
        counted = Kept(self.stored + self.already_there, self.still_rejected)
        if sum(counted) != self.judged or counted != kept:
            raise not_added_up(self.lines()[0], kept)

    def lines(self) -> list[str]:
        """Return the law as a sum."""
        parts = (self.judged, self.stored, self.already_there, self.still_rejected)
        return ["{:,} judged = {:,} stored + {:,} already there + {:,} still rejected".format(*parts)]

    def sentence(self) -> str:
        """Return the outcome of a replay."""
        stored = f"{'Would store' if self.dry_run else 'Stored'} {self.stored:,} of {self.judged:,} rejected messages"
        still = f"{self.still_rejected:,} of them are still rejected"
        return f"{stored}; {still}, {self.open_rejects:,} live rejects are open."

    def figures(self) -> dict[str, Any]:
        """Return the figures for the JSON object and the run's history."""
        return {name: getattr(self, name) for name in (*self.counts, "open_rejects", "stored")}


class OpenReject(NamedTuple):
    """An open reject of a live message, as sql/message/list_replayable.sql lists it."""

    source: str
    position: str
    raw: bytes
    reasons: list[str]
    source_id: int


def replay_rejects(command: Command, log: logging.Logger) -> Outcome:
    """Judge open live rejects again, batch by batch; finished batches stay, but a dry run rolls each back.

    Raises LockedError when another replay is at work, LoadError when the database fails, DataError for a wrong sum.
    """
    with (
        open_museum_run(command, log, "replay", "museum replay", {"reason": command.flags.reason}) as running,
        load_errors("replaying rejects", "Finished batches stay; run again."),
    ):
        return outcome_of(Replay(running.connection, running.run, command, log).replay_all())


@dataclass
class Replay:
    """One replay over one connection; each batch is a transaction."""

    connection: Connection
    run: Run
    command: Command
    log: logging.Logger

    def replay_all(self) -> ReplaySummary:
        """Replay everything that is open, and complete the run; what only the database refuses stays rejected."""
        create_staging_tables(self.connection)
        summary = ReplaySummary(dry_run=self.command.dry_run)
        after = {"after_source": "", "after_position": ""}

        def refuse(reject: OpenReject, error: psycopg2.Error) -> None:
            self.log.warning("the database refuses a message: %s", server_words(error))
            summary.add(self._store([reject], refused=True))

        while batch := self._next_batch(after):
            after = {"after_source": batch[-1].source, "after_position": batch[-1].position}
            store_or_halve(batch, lambda part: summary.add(self._store(part)), refuse)
        with self.connection, self.connection.cursor() as cursor:
            summary.open_rejects = count_open_rejects(cursor)
            figures = {name: count for name, count in summary.figures().items() if name != "stored"}
            complete_run(cursor, self.run, RunFigures(summary.judged, summary.stored, 0, figures))
        return summary

    def _next_batch(self, after: dict[str, str]) -> list[OpenReject]:
        """Begin a transaction with the next rejects locked in it."""
        values = {"reason": self.command.flags.reason, "longest": LONGEST_MESSAGE, "limit": BATCH_ROWS, **after}
        with self.connection.cursor() as cursor:
            run_file(cursor, SQL / "message" / "list_replayable.sql", values)
            return [OpenReject(*row) for row in cursor.fetchall()]

    def _store(self, batch: Sequence[OpenReject], *, refused: bool = False) -> ReplaySummary:
        """Run one transaction; a consumer that reads the same messages again locks their rejects first, too."""
        summary = ReplaySummary(judged=len(batch))
        with unit_of_work(self.connection, dry_run=self.command.dry_run) as cursor:
            are_good = self._judge(cursor, batch, refused=refused)
            summary.still_rejected = are_good.count(False)
            summary.already_there, _archived = remove_stored(cursor)
            summary.reviews_stored, summary.incidents_stored = fill_presses(cursor)
            sources, positions, _, _, source_ids = (list(column) for column in zip(*batch, strict=True))
            values = {"sources": sources, "positions": positions, "source_ids": source_ids, "are_good": are_good}
            run_file(cursor, SQL / "message" / "count_replayed.sql", values)
            summary.check(Kept(*(cursor.fetchone() or (0, 0))))
        return summary

    def _judge(self, cursor: Cursor, batch: Sequence[OpenReject], *, refused: bool) -> list[bool]:
        """Judge a batch by today's rules, stage what is good, note other reasons; return which are good."""
        present = self.command.now if self.command.flags.now else datetime.now(UTC)
        reference = read_reference(cursor, self.command.latest_at_of(present))
        presses: list[StagedPress] = []
        judged: list[tuple[str, str, tuple[str, ...]]] = []
        are_good: list[bool] = []
        for reject in batch:
            raw = None if "no_value" in reject.reasons else bytes(reject.raw)
            verdict = judge_message(raw, self.command.museum.live_rules, reference)
            reasons = verdict.reasons or (("refused",) if refused else ())
            are_good.append(not reasons)
            if not reasons and (event := verdict.event):
                press = (pressed_at(event.at), event.site, event.val, event.type)
                presses.append((*press, reject.source_id, int(reject.position)))
            has_lost_its_time = "missing_at" in reasons and "missing_at" not in reject.reasons  # it was CreateTime
            if list(reasons) != reject.reasons and not has_lost_its_time:
                judged.append((reject.source, reject.position, reasons))
        create_rejudged_staging(cursor)
        stage_rejudged(cursor, judged)
        update_rejudged(cursor)
        stage_presses(cursor, presses)
        return are_good
