"""Partitions and their owners: who may store a partition's messages, and from which offset on.

The ledger (`event_source`) has one row a partition of a cluster's topic. Whoever reads it holds the partition's
advisory lock and the row's fencing token; the offset moves only in the transaction of the rows, and only under that
token. So a consumer that lost its partition without knowing it rolls back, and a re-read adds nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import psycopg2

from etlkit.errors import DataError, EtlError
from etlkit.locks import lock_key, release_advisory_lock, try_advisory_lock
from etlkit.postgres import Connection, Cursor, load_errors, only_value, run_file
from museum.live.topic import KafkaTopic, Watermarks
from museum.live.topic_identity import REQUEST_SECONDS, LiveMessage
from museum.settings import SQL

STATEMENTS = SQL / "partition"
SILENCE = "30 seconds"
"""How long a lock's holder may be silent; a living consumer says something every HEARTBEAT_SECONDS."""
HEARTBEAT_SECONDS = 5.0


class Place(NamedTuple):
    """A partition's natural key."""

    cluster: str
    topic: str
    partition: int

    @property
    def source(self) -> str:
        """Return the partition's name in the rejects."""
        return f"kafka://{self.cluster}/{self.topic}/{self.partition}"

    @property
    def lock_name(self) -> str:
        """Return the name of the partition's lock."""
        return f"museum:live:{self.cluster}/{self.topic}/{self.partition}"


@dataclass
class Claim:
    """A partition that we own: its row of the ledger, our token, and how far it has come.

    `found` is the ledger's offset as it was found, `first` the first one that the partition still has; `position` is
    where reading goes on, before `stored` for a while in a re-read. A dry run has no token and may lack a source id.
    """

    place: Place
    first: int
    source_id: int | None
    token: int
    found: int
    stored: int
    last_message: str | None
    topic_id: str | None
    position: int

    @property
    def deleted(self) -> int:
        """Return how many offsets retention took before anybody read them."""
        return max(0, self.first - self.found)

    def move_behind(self, message: LiveMessage, *, is_stored: bool) -> None:
        """Read on behind a message; what is stored of it is known again."""
        self.position = message.offset + 1
        if is_stored and self.position > self.stored:
            self.stored, self.last_message = self.position, message.fingerprint


class Fenced(Exception):  # noqa: N818 - the field's word; not an error but a state
    """Another consumer has taken over a partition of this batch; the batch was rolled back."""


class PartitionLedger:
    """One topic's partitions in the ledger, seen over one connection."""

    def __init__(self, connection: Connection, topic: KafkaTopic, run_id: UUID, log: logging.Logger) -> None:
        self._connection = connection
        self._topic = topic
        self._run_id = run_id
        self._log = log

    def claim(self, partition: int, seconds: float, *, accept_new_topic: bool) -> Claim | str:
        """Claim a partition, or return who holds its lock; raises DataError for a re-created topic, RetryableError."""
        place = Place(self._topic.cluster, self._topic.name, partition)
        if holder := try_advisory_lock(self._connection, place.lock_name):
            self._end_silent_holder(place)
            return holder
        try:
            marks = self._topic.watermarks(partition, seconds)
            claim = self._take_token(place, marks)
            if reason := self._strangeness(claim, marks, seconds):
                if not accept_new_topic:
                    raise _recreated(place, reason, "If that is right, start once with --accept-new-topic.")
                self._retire(place)
                claim = self._take_token(place, marks)
            if claim.deleted:  # the ledger moves behind the gap, so that it is told once
                values = {"source_id": claim.source_id, "token": claim.token, "first_offset": claim.first}
                with load_errors("skipping a gap"), self._connection, self._connection.cursor() as cursor:
                    run_file(cursor, STATEMENTS / "skip_deleted.sql", values)
                claim.stored, claim.last_message = claim.first, None
        except (EtlError, psycopg2.Error):
            with suppress(psycopg2.Error):
                self._connection.rollback()
                release_advisory_lock(self._connection, place.lock_name)
            raise
        return claim

    def look_at(self, partition: int) -> Claim:
        """Return a dry run's claim, which writes nothing; raises DataError for a re-created topic, RetryableError."""
        place = Place(self._topic.cluster, self._topic.name, partition)
        marks = self._topic.watermarks(partition)
        with load_errors("reading the ledger"), self._connection, self._connection.cursor() as cursor:
            cursor.execute(
                "select source_id, next_offset, last_message, topic_id from event_source "
                "where cluster = %(cluster)s and topic = %(topic)s and partition = %(partition)s",
                place._asdict(),
            )
            source_id, stored, last_message, topic_id = cursor.fetchone() or (None, marks.low, None, None)
        claim = Claim(place, marks.low, source_id, 0, stored, stored, last_message, topic_id, max(stored, marks.low))
        if reason := self._strangeness(claim, marks, REQUEST_SECONDS):
            raise _recreated(place, reason, "A dry run cannot accept that.")
        return claim

    def release(self, partitions: Iterable[int]) -> None:
        """Give back locks, so that the group's new owner may go on at once."""
        for partition in partitions:
            release_advisory_lock(self._connection, Place(self._topic.cluster, self._topic.name, partition).lock_name)

    def _take_token(self, place: Place, marks: Watermarks) -> Claim:
        """Make or take over the partition's row and return it with our token."""
        with load_errors("taking over a partition"), self._connection, self._connection.cursor() as cursor:
            row = claim_row(cursor, place, marks.low, self._topic.identity.topic_id, self._run_id)
        source_id, token, stored, last_message, topic_id = row
        return Claim(place, marks.low, source_id, token, stored, stored, last_message, topic_id, max(stored, marks.low))

    def _strangeness(self, claim: Claim, marks: Watermarks, seconds: float) -> str | None:
        """Return why a partition cannot be the one whose messages are stored, None when nothing speaks against it."""
        if claim.topic_id and self._topic.identity.topic_id and claim.topic_id != self._topic.identity.topic_id:
            return "the brokers know it by another id than the one of the stored messages."
        if claim.stored > marks.high:
            return f"offset {claim.stored:,} comes next, but the partition ends at {marks.high:,}."
        last = claim.stored - 1
        if claim.last_message is not None and last >= marks.low:
            found = self._topic.identity.message_at(claim.place.partition, last, seconds)
            if found is not None and found.fingerprint != claim.last_message:
                return f"offset {last:,} holds another message than the one that was stored."
        return None

    def _retire(self, place: Place) -> None:
        """Keep the old topic's rows and rejects under another name."""
        with load_errors("retiring a partition"), self._connection, self._connection.cursor() as cursor:
            run_file(cursor, STATEMENTS / "retire_partition.sql", place._asdict())
            retired = place._replace(topic=only_value(cursor))
        self._log.warning("%s was re-created; what is stored of the old one is now %s", place.source, retired.source)

    def _end_silent_holder(self, place: Place) -> None:
        """Let the server end a holder that hangs; its transaction, if any, is rolled back."""
        values = {"key": lock_key(place.lock_name), "silence": SILENCE}
        with load_errors("looking at a lock"), self._connection, self._connection.cursor() as cursor:
            if run_file(cursor, STATEMENTS / "end_silent_holder.sql", values):
                self._log.warning("%s: its holder was silent for %s; its session was ended", place.lock_name, SILENCE)


def claim_row(
    cursor: Cursor, place: Place, first_offset: int, topic_id: str | None, run_id: UUID
) -> tuple[int, int, int, str | None, str | None]:
    """Make the partition's row or take its next token; return source id, token, next offset, last message, topic id."""
    values = {**place._asdict(), "first_offset": first_offset, "topic_id": topic_id, "run_id": str(run_id)}
    run_file(cursor, STATEMENTS / "claim_partition.sql", values)
    source_id, token, stored, last_message, known_id = cursor.fetchone() or ()
    return source_id, token, stored, last_message, known_id


def store_offsets(
    cursor: Cursor,
    claims: Mapping[int, Claim],
    last: Mapping[int, LiveMessage],
    fresh: Mapping[int, int],
    counts: Mapping[str, object],
) -> None:
    """Move the offsets and the run's counts; raises Fenced when a partition is not ours any more."""
    values = {
        **counts,
        "source_ids": [claims[partition].source_id for partition in last],
        "tokens": [claims[partition].token for partition in last],
        "next_offsets": [message.offset + 1 for message in last.values()],
        "last_messages": [message.fingerprint for message in last.values()],
        "rows": [fresh[partition] for partition in last],  # messages that were not read before
    }
    run_file(cursor, STATEMENTS / "store_offsets.sql", values)
    if cursor.rowcount != len(last):
        raise Fenced


def _recreated(place: Place, reason: str, advice: str) -> DataError:
    """Return the error for a topic that is not the one of the ledger."""
    problem = f"{place.topic}[{place.partition}]: the topic was re-created: {reason} Nothing more was stored."
    return DataError(problem, advice)
