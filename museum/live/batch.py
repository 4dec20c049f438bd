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
from museum.binary_copy import BIGINT, BINARY_HEADER, BINARY_TRAILER, INTEGER, NULL, SMALLINT, TIMESTAMPTZ, records
from museum.kiosk import INCIDENT_VAL, Reference, Rules
from museum.live.claims import SQL as LIVE_SQL
from museum.live.claims import Claim, claim_row, store_offsets
from museum.live.fast_press import EPOCH, MICROSECOND, FastPresses, GoodPress
from museum.live.figures import Kept, LiveFigures
from museum.live.message import judge_message
from museum.live.topic import LiveMessage
from museum.reference import SQL, read_reference

StagedPress = tuple[int, int, int, int | None, int, int]
"""A row of staging_kiosk: `at` in microseconds since 2000, site, val, type, source id, offset."""


@dataclass
class JudgedBatch:
    """A batch's presses and rejects, and how far it brings each partition."""

    ratings: list[StagedPress] = field(default_factory=list)
    incidents: list[StagedPress] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    last: dict[int, LiveMessage] = field(default_factory=dict)
    fresh: Counter[int] = field(default_factory=Counter)
    is_reread: bool = False


@dataclass(frozen=True)
class BatchInDoubt:
    """A batch whose commit had no answer: what it would add, and where its partitions would stand."""

    figures: LiveFigures
    ends: Mapping[int, int]


@dataclass(frozen=True)
class LiveRules:
    """What judges a message beside the database: rules, the present, and whether CreateTime stands in for `at`."""

    rules: Rules
    latest_at: Callable[[], datetime]
    takes_create_time: bool = False


class BatchLoad:
    """Stores batches over one connection."""

    def __init__(
        self, connection: Connection, run_id: UUID, rules: LiveRules, log: logging.Logger, *, dry_run: bool = False
    ) -> None:
        """Create the session's staging tables."""
        self._connection = connection
        self._run_id = run_id
        self._rules = rules
        self._log = log
        self._dry_run = dry_run
        self._fast: FastPresses | None = None
        self.in_doubt: BatchInDoubt | None = None
        with connection, connection.cursor() as cursor:
            run_file(cursor, SQL / "create_staging_kiosk.sql")
            create_staging(cursor)

    def store(
        self,
        messages: Sequence[LiveMessage],
        claims: Mapping[int, Claim],
        figures: LiveFigures,
        confirm: Callable[[], None],
    ) -> None:
        """Store messages and add what became of them to the figures; in a dry run all of it is rolled back.

        `confirm` is called right before the commit and may raise. When the connection breaks during the commit, the
        batch is left `in_doubt`.

        A message that the database itself refuses is found by halving and kept as a reject, so that it stops nobody.
        Raises Fenced when a partition is not ours any more, DataError when the sum is wrong, and the driver's errors;
        what the figures do not hold then is not stored.
        """

        def refuse(message: LiveMessage, error: psycopg2.Error) -> None:
            self._log.warning("the database refuses a message: %s", server_words(error))
            figures.add(self._store([message], claims, confirm, refused=True))

        store_or_halve(messages, lambda part: figures.add(self._store(part, claims, confirm)), refuse)

    def _store(
        self,
        messages: Sequence[LiveMessage],
        claims: Mapping[int, Claim],
        confirm: Callable[[], None],
        *,
        refused: bool = False,
    ) -> LiveFigures:
        """Run one transaction and return its figures."""
        figures = LiveFigures(consumed=len(messages), batches=1)
        with rolled_back_on_error(self._connection), self._connection.cursor() as cursor:
            reference = read_reference(cursor, self._rules.latest_at())
            source_ids = self._source_ids(cursor, claims)
            batch = self._judge(messages, claims, source_ids, reference, refused=refused)
            self._stage(cursor, batch)
            if batch.is_reread or self._dry_run:
                run_file(cursor, LIVE_SQL / "resolve_stored_rejects.sql")
                figures.already_there = run_file(cursor, LIVE_SQL / "remove_stored_kiosk.sql")
                figures.already_there += run_file(cursor, LIVE_SQL / "remove_stored_rejects.sql")
            self._fill(cursor, batch, figures)
            run_file(cursor, LIVE_SQL / "count_kept.sql", _spans(messages, source_ids))
            kept = Kept(*(cursor.fetchone() or (0, 0)))
            if self._dry_run:  # consumers at work may have stored the same after it was looked for
                figures.already_there = kept.presses - figures.stored
            figures.check(kept)
            if not self._dry_run:
                confirm()
            self._end_transaction(cursor, batch, claims, figures)
        self._advance(batch, claims)
        if not batch.is_reread and not self._dry_run:
            pressed = np.array([press[0] for press in (*batch.ratings, *batch.incidents)], dtype=np.int64)
            figures.latencies.add(((datetime.now(UTC) - EPOCH) // MICROSECOND - pressed) / 1e6)
        return figures

    def _end_transaction(
        self, cursor: Cursor, batch: JudgedBatch, claims: Mapping[int, Claim], figures: LiveFigures
    ) -> None:
        """Move the offsets and commit; roll back in a dry run."""
        if self._dry_run:
            self._connection.rollback()
            return
        store_offsets(cursor, self._run_id, claims, batch.last, batch.fresh)
        counts = {"run_id": str(self._run_id), "processed": figures.consumed, "created": figures.stored}
        run_file(cursor, LIVE_SQL / "add_to_run.sql", counts)
        self.in_doubt = BatchInDoubt(
            figures,
            {partition: message.offset + 1 for partition, message in batch.last.items()},
        )
        commit(self._connection)
        self.in_doubt = None

    def _source_ids(self, cursor: Cursor, claims: Mapping[int, Claim]) -> dict[int, int]:
        """Return the partitions' numbers in the ledger; what a dry run misses there gets one until the rollback."""
        return {
            partition: claim.source_id or claim_row(cursor, claim.place, claim.stored, None, self._run_id)[0]
            for partition, claim in claims.items()
        }

    def _judge(
        self,
        messages: Sequence[LiveMessage],
        claims: Mapping[int, Claim],
        source_ids: Mapping[int, int],
        reference: Reference,
        *,
        refused: bool,
    ) -> JudgedBatch:
        """Judge every message."""
        batch = JudgedBatch()
        fast = self._fast.follow(reference) if self._fast else FastPresses(self._rules.rules, reference)
        self._fast = fast
        for message in messages:
            partition, offset = message.partition, message.offset
            batch.last[partition] = message
            if offset < claims[partition].stored:
                batch.is_reread = True
            else:
                batch.fresh[partition] += 1
            press = None if refused else fast.read(message.raw)
            if press is None:
                press = self._judge_slowly(message, claims[partition], batch, reference, refused=refused)
            if press is not None:
                presses = batch.incidents if press[2] == INCIDENT_VAL else batch.ratings
                presses.append((*press, source_ids[partition], offset))
        return batch

    def _judge_slowly(
        self, message: LiveMessage, claim: Claim, batch: JudgedBatch, reference: Reference, *, refused: bool
    ) -> GoodPress | None:
        """Let the rules see a message; return its press, or None when it has become one of the batch's rejects."""
        created = None
        if self._rules.takes_create_time and message.created_ms is not None:
            created = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=message.created_ms)
        verdict = judge_message(message.raw, self._rules.rules, reference, created)
        event = verdict.event
        if verdict.is_good and event and not refused:
            return (event.at - EPOCH) // MICROSECOND, event.site, event.val, event.type
        reasons = verdict.reasons or ("refused",)
        batch.rejects.append(Reject(claim.place.source, str(message.offset), message.raw or b"", reasons))
        return None

    def _stage(self, cursor: Cursor, batch: JudgedBatch) -> None:
        """COPY the batch into the staging tables."""
        if batch.ratings or batch.incidents:
            copy_blocks(cursor, SQL / "copy_staging_kiosk.sql", _staging_blocks(batch))
        if batch.rejects:
            stage_rejects(cursor, batch.rejects)

    def _fill(self, cursor: Cursor, batch: JudgedBatch, figures: LiveFigures) -> None:
        """Bring the staged rows into the tables."""
        if batch.ratings:
            figures.reviews_stored = run_file(cursor, SQL / "fill_review.sql")
        if batch.incidents:
            figures.incidents_stored = run_file(cursor, SQL / "fill_incident.sql")
            run_file(cursor, LIVE_SQL / "notify_incident.sql")
        if batch.rejects:
            counts = fill_rejected_records(cursor, self._run_id)
            figures.rejected, figures.rejected_earlier = counts.new, counts.open_before
            run_file(cursor, SQL / "list_new_reasons.sql", {"run_id": str(self._run_id)})
            figures.by_reason.update(dict(cursor.fetchall()))

    def _advance(self, batch: JudgedBatch, claims: Mapping[int, Claim]) -> None:
        """Move the claims on, now that the batch is stored."""
        for partition, last in batch.last.items():
            claim = claims[partition]
            claim.position = last.offset + 1
            if claim.position > claim.stored and not self._dry_run:
                claim.stored, claim.last_message = claim.position, last.fingerprint


def _staging_blocks(batch: JudgedBatch) -> list[bytes]:
    """Return a batch's presses in COPY's binary format; only an incident has a type."""
    blocks = [BINARY_HEADER]
    for presses in (batch.ratings, batch.incidents):
        if presses:
            at, site, val, type_, source_id, offset = zip(*presses, strict=True)
            typed = (NULL, None) if type_[0] is None else (SMALLINT, type_)
            blocks.append(
                records(
                    (TIMESTAMPTZ, at), (INTEGER, site), (SMALLINT, val), typed, (INTEGER, source_id), (BIGINT, offset)
                )
            )
    return [*blocks, BINARY_TRAILER]


def _spans(messages: Sequence[LiveMessage], source_ids: Mapping[int, int]) -> dict[str, list[int]]:
    """Return a batch as spans of consecutive offsets, usually one a partition."""
    spans: dict[str, list[int]] = {"source_ids": [], "firsts": [], "lasts": []}
    lasts = spans["lasts"]
    newest: dict[int, int] = {}
    for message in messages:
        number = newest.get(message.partition)
        if number is not None and lasts[number] + 1 == message.offset:
            lasts[number] = message.offset
            continue
        newest[message.partition] = len(lasts)
        spans["source_ids"].append(source_ids[message.partition])
        spans["firsts"].append(message.offset)
        lasts.append(message.offset)
    return spans
