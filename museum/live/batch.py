"""One batch of live messages: judged, staged and stored in one transaction, offsets included.

In come messages of claimed partitions in the order of their offsets, out go reviews, incidents, rejects and the moved
offsets, together or not at all. A re-read is safe: a press is unique by (partition, offset), as is a reject.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import psycopg2

from etlkit.copying import copy_blocks, store_or_halve
from etlkit.postgres import Connection, Cursor, commit, rolled_back_on_error, run_file, server_words
from etlkit.rejects import Reject, create_staging, fill_rejected_records, stage_rejects
from museum.binary_copy import StagedPress, press_blocks, pressed_at
from museum.database import read_reference
from museum.kiosk import INCIDENT_VAL, Reference, Rules
from museum.live.claims import Claim, claim_row, store_offsets
from museum.live.live_summary import Kept, LiveSummary
from museum.live.message import GoodPress, KnownMessages, judge_message
from museum.live.topic_identity import LiveMessage
from museum.settings import SQL

Claims = Mapping[int, Claim]


@dataclass
class JudgedBatch:
    """A batch's presses and rejects, and how far it brings each partition; `source_ids` are the ledger's numbers."""

    source_ids: Mapping[int, int]
    ratings: list[StagedPress] = field(default_factory=list)
    incidents: list[StagedPress] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    last: dict[int, LiveMessage] = field(default_factory=dict)
    fresh: Counter[int] = field(default_factory=Counter)
    is_reread: bool = False


@dataclass(frozen=True)
class BatchInDoubt:
    """A batch whose commit had no answer: what it would add, and where its partitions would stand."""

    summary: LiveSummary
    ends: Mapping[int, int]


@dataclass(frozen=True)
class LiveRules:
    """What judges a message beside the database: rules, the present, and whether CreateTime stands in for `at`."""

    rules: Rules
    latest_at: Callable[[], datetime]
    takes_create_time: bool = False


@dataclass
class BatchLoad:
    """Stores batches over one connection; a dry run rolls them back."""

    connection: Connection
    run_id: UUID
    rules: LiveRules
    log: logging.Logger
    dry_run: bool = False
    known: KnownMessages | None = None
    in_doubt: BatchInDoubt | None = None

    def __post_init__(self) -> None:
        """Create the session's staging tables."""
        create_staging_tables(self.connection)

    def store(
        self, messages: Sequence[LiveMessage], claims: Claims, summary: LiveSummary, confirm: Callable[[], None]
    ) -> None:
        """Store messages and add what became of them to the summary; what the database refuses becomes a reject.

        `confirm` is called right before the commit and may raise; a commit without an answer leaves us `in_doubt`.
        Raises Fenced when a partition is not ours any more, DataError when the sum is wrong, and the driver's errors;
        what the summary does not hold then is not stored.
        """

        def refuse(message: LiveMessage, error: psycopg2.Error) -> None:
            self.log.warning("the database refuses a message: %s", server_words(error))
            summary.add(self._store([message], claims, confirm, refused=True))

        store_or_halve(messages, lambda part: summary.add(self._store(part, claims, confirm)), refuse)

    def _store(
        self, messages: Sequence[LiveMessage], claims: Claims, confirm: Callable[[], None], *, refused: bool = False
    ) -> LiveSummary:
        """Run one transaction and return what it did."""
        summary = LiveSummary(consumed=len(messages), batches=1)
        with rolled_back_on_error(self.connection), self.connection.cursor() as cursor:
            batch = self._judge(cursor, messages, claims, refused=refused)
            stage_presses(cursor, [*batch.ratings, *batch.incidents])
            if batch.rejects:
                stage_rejects(cursor, batch.rejects)
            archived = 0
            if batch.is_reread or self.dry_run:
                stored, archived = remove_stored(cursor)
                summary.already_there = stored + archived
            summary.reviews_stored, summary.incidents_stored = fill_presses(
                cursor, has_ratings=bool(batch.ratings), has_incidents=bool(batch.incidents)
            )
            if batch.rejects:
                counts = fill_rejected_records(cursor, self.run_id)
                summary.rejected, summary.rejected_earlier = counts.new, counts.open_before
                run_file(cursor, SQL / "reject" / "list_new_reasons.sql", {"run_id": str(self.run_id)})
                summary.by_reason.update(dict(cursor.fetchall()))
            run_file(cursor, SQL / "message" / "count_kept.sql", _spans(messages, batch.source_ids))
            presses, rejects = cursor.fetchone() or (0, 0)
            kept = Kept(presses + archived, rejects)
            if self.dry_run:  # consumers at work may have stored the same after it was looked for
                summary.already_there = kept.presses - summary.stored
            summary.check(kept)
            if self.dry_run:
                self.connection.rollback()
            else:
                confirm()
                self._commit(cursor, batch, claims, summary)
        for partition, last in batch.last.items():
            claims[partition].move_behind(last, is_stored=not self.dry_run)
        if not batch.is_reread and not self.dry_run:
            pressed = np.array([press[0] for press in (*batch.ratings, *batch.incidents)], dtype=np.int64)
            summary.latencies.add((pressed_at(datetime.now(UTC)) - pressed) / 1e6)
        return summary

    def _commit(self, cursor: Cursor, batch: JudgedBatch, claims: Claims, summary: LiveSummary) -> None:
        """Move the offsets and commit."""
        counts = {"run_id": str(self.run_id), "processed": summary.consumed, "created": summary.stored}
        store_offsets(cursor, claims, batch.last, batch.fresh, counts)
        self.in_doubt = BatchInDoubt(summary, {partition: last.offset + 1 for partition, last in batch.last.items()})
        commit(self.connection)
        self.in_doubt = None

    def _judge(self, cursor: Cursor, messages: Sequence[LiveMessage], claims: Claims, *, refused: bool) -> JudgedBatch:
        """Judge every message; a partition that a dry run misses in the ledger has a number until the rollback."""
        reference = read_reference(cursor, self.rules.latest_at())
        source_ids = {
            partition: claim.source_id or claim_row(cursor, claim.place, claim.stored, None, self.run_id)[0]
            for partition, claim in claims.items()
        }
        batch = JudgedBatch(source_ids)
        self.known = known = self.known.follow(reference) if self.known else KnownMessages(self.rules.rules, reference)
        for message in messages:
            partition, offset = message.partition, message.offset
            batch.last[partition] = message
            if offset < claims[partition].stored:
                batch.is_reread = True
            else:
                batch.fresh[partition] += 1
            press = None if refused else known.read(message.raw)
            if press is None:
                press, reasons = self._judge_slowly(message, reference)
                if press is None or refused:
                    source = claims[partition].place.source
                    batch.rejects.append(Reject(source, str(offset), message.raw or b"", reasons or ("refused",)))
                    continue
            presses = batch.incidents if press[2] == INCIDENT_VAL else batch.ratings
            presses.append((*press, source_ids[partition], offset))
        return batch

    def _judge_slowly(self, message: LiveMessage, reference: Reference) -> tuple[GoodPress | None, tuple[str, ...]]:
        """Let the rules see a message; return its press when it is good, and the reasons against it."""
        created = None
        if self.rules.takes_create_time and message.created_ms is not None:
            created = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=message.created_ms)
        verdict = judge_message(message.raw, self.rules.rules, reference, created)
        event = verdict.event if verdict.is_good else None
        return (pressed_at(event.at), event.site, event.val, event.type) if event else None, verdict.reasons


def create_staging_tables(connection: Connection) -> None:
    """Create the TEMP tables that messages pass through."""
    with connection, connection.cursor() as cursor:
        run_file(cursor, SQL / "press" / "create_staging_kiosk.sql")
        create_staging(cursor)


def stage_presses(cursor: Cursor, presses: Sequence[StagedPress]) -> None:
    """COPY presses into staging_kiosk."""
    if presses:
        copy_blocks(cursor, SQL / "press" / "copy_staging_kiosk.sql", press_blocks(presses))


def remove_stored(cursor: Cursor) -> tuple[int, int]:
    """Take what is stored already out of the staging tables; return how many the tables and the archive have."""
    run_file(cursor, SQL / "message" / "remove_stored.sql")
    stored, archived = cursor.fetchone() or (0, 0)
    return stored, archived


def fill_presses(cursor: Cursor, *, has_ratings: bool = True, has_incidents: bool = True) -> tuple[int, int]:
    """Bring the staged presses into the tables and announce the incidents; return how many reviews and incidents."""
    reviews = run_file(cursor, SQL / "press" / "fill_review.sql") if has_ratings else 0
    incidents = run_file(cursor, SQL / "press" / "fill_incident.sql") if has_incidents else 0
    if has_incidents:
        run_file(cursor, SQL / "message" / "notify_incident.sql")
    return reviews, incidents


def _spans(messages: Sequence[LiveMessage], source_ids: Mapping[int, int]) -> dict[str, list[int]]:
    """Return a batch as spans of consecutive offsets, usually one a partition."""
    spans: list[list[int]] = []
    newest: dict[int, list[int]] = {}
    for message in messages:
        partition, offset = message.partition, message.offset
        span = newest.get(partition)
        if span and span[2] == offset - 1:
            span[2] = offset
        else:
            newest[partition] = span = [source_ids[partition], offset, offset]
            spans.append(span)
    columns = (list(column) for column in zip(*spans, strict=True))
    return dict(zip(("source_ids", "firsts", "lasts"), columns, strict=True))
