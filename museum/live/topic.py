"""The topic as one member of a consumer group sees it.

The group says which partitions are ours; what is read, and from where, is the ledger's word alone (`read_from`), so
that a partition without a claim in the database is never fetched. Rebalances and errors are noted here and acted upon
by the consumer between two polls.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from etlkit.errors import ConfigError, RetryableError, SourceError
from museum.live.broker_errors import BrokerErrors
from museum.live.topic_identity import REQUEST_SECONDS, LiveMessage, TopicIdentity, live_message

CONNECT_SECONDS = 10.0
RETRY_SECONDS = 0.5
LOOK_SECONDS = 1.0
GONE_SECONDS = 5.0
"""Brokers may disagree for a moment on what there is."""
FIRST_PIECE, LARGEST_PIECE = 20, 500
"""Messages are taken in pieces, sized by the ones before, so that huge ones are noticed before memory is full."""
PIECE_BYTES = 1_000_000
LARGEST_BATCH_BYTES = 8_000_000


class Watermarks(NamedTuple):
    """The first offset that a partition still has, and the one that its next message will get."""

    low: int
    high: int


class KafkaTopic:
    """A connection to the brokers; use it from one thread and close it."""

    def __init__(self, name: str, configuration: Mapping[str, Any], log: logging.Logger) -> None:
        """Make the client; nothing is sent before `connect`."""
        self.name = name
        self.cluster = ""
        self.partitions: list[int] = []
        self.assigned: frozenset[int] | None = None
        self.was_rebalanced = False
        self.out_of_range: set[int] = set()
        self.errors = BrokerErrors(name, log)
        self._log = log
        self._configuration = {
            **configuration,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "queued.min.messages": 20_000,
            "queued.max.messages.kbytes": 16_384,
            "fetch.queue.backoff.ms": 50,
            "reconnect.backoff.ms": 500,
            "error_cb": self.errors.note_trouble,
        }
        self._next_look = 0.0
        self._piece = FIRST_PIECE
        self._ends: dict[int, int] = {}
        self._advertised = ""
        try:
            self._consumer = Consumer(self._configuration, logger=self.errors.librdkafka_logger())
            self.identity = TopicIdentity(name, self._configuration, self.errors)
        except KafkaException as error:
            problem = f"the Kafka client refuses its settings: {error.args[0].str()}."
            raise ConfigError(problem, "Check KAFKA_CA_FILE and the login. Nothing was touched.") from error

    def connect(self, is_stopping: Callable[[], bool]) -> None:
        """Find cluster and topic in CONNECT_SECONDS; raises ConfigError for a wrong login, SourceError for the rest."""
        deadline = time.monotonic() + CONNECT_SECONDS
        is_told = False
        while not self.errors.is_connected:
            try:
                self._find_topic()
                self.errors.is_connected = True
            except RetryableError as error:
                self.errors.refuse_login(self._configuration)
                if time.monotonic() > deadline or is_stopping():
                    raise
                if not is_told:
                    self._log.warning("%s Waiting for it.", error.problem)
                    is_told = True
                time.sleep(RETRY_SECONDS)

    def _find_topic(self) -> None:
        """Ask the brokers once; raises RetryableError for what may still come."""
        try:
            metadata = self._consumer.list_topics(self.name, timeout=1.0)
        except KafkaException as error:
            raise self._no_answer(error) from error
        self._advertised = ", ".join(f"{broker.host}:{broker.port}" for broker in metadata.brokers.values())
        self.errors.trouble = None
        found = metadata.topics[self.name]
        if found.error is not None:
            self.errors.refuse(found.error)
            shown = ""
            with suppress(KafkaException):
                shown = ", ".join(sorted(self._consumer.list_topics(timeout=REQUEST_SECONDS).topics))
            problem = f"topic {self.name}: {found.error.str()}. The cluster shows these topics: {shown or 'none'}."
            raise RetryableError(problem, "Create it, or correct KAFKA_TOPIC or --topic. Nothing was loaded.")
        if not metadata.cluster_id:
            raise ConfigError("the brokers name no cluster id, by which messages are known again. Nothing was touched.")
        self.cluster = metadata.cluster_id
        self.partitions = sorted(found.partitions)
        try:
            self.identity.read_topic_id(self.cluster)
        except (KafkaException, TimeoutError) as error:
            raise self._no_answer(error) from error

    def _no_answer(self, error: Exception) -> RetryableError:
        """Return the error for brokers that do not answer, or for those that the one who answers sends us on to."""
        self._consumer.poll(0)
        where = self._configuration["bootstrap.servers"]
        words = self.errors.words or (error.args[0].str() if isinstance(error, KafkaException) else "no answer in time")
        problem = f"no broker of {where} answers"
        advice = "Check BOOTSTRAP_SERVERS and SECURITY_PROTOCOL and that the brokers are up."
        if self._advertised:
            problem = f"a broker of {where} answered and sent us on to {self._advertised} (advertised.listeners)"
            advice = "Check that those are up and that this machine can reach them by that name."
        return RetryableError(f"{problem}: {words}.", f"{advice} Nothing was loaded.")

    def join(self) -> None:
        """Become a member of the group, which then shares out the partitions; lost ones count as revoked."""
        self._consumer.subscribe([self.name], on_assign=self._on_assign, on_revoke=self._on_revoke)

    def read_from(self, positions: Mapping[int, int]) -> None:
        """Fetch these partitions from these offsets on, and no others; a rebalance ends that."""
        self._ends.clear()
        with self.errors.asking("taking up the partitions"):
            self._consumer.assign([TopicPartition(self.name, *place) for place in sorted(positions.items())])
        self.was_rebalanced = False

    def poll(self, limit: int, seconds: float) -> list[LiveMessage]:
        """Return what comes within some seconds, at most `limit` messages or about 8 MB.

        Raises LockedError when another static member took our place, SourceError when nothing can come any more.
        """
        deadline = time.monotonic() + seconds
        taken: list[LiveMessage] = []
        size = 0
        while len(taken) < limit and size < LARGEST_BATCH_BYTES:
            wanted = min(self._piece, limit - len(taken))
            try:
                found = self._consumer.consume(wanted, max(0.0, deadline - time.monotonic()))
            except KafkaException as error:
                self.errors.note(error.args[0])
                break
            size_before = size
            for message in found:
                if (problem := message.error()) is not None:
                    self._note(problem, message)
                else:
                    taken.append(live_message(message))
                    size += len(message)
            if found:
                self._piece = max(1, min(LARGEST_PIECE, PIECE_BYTES * len(found) // max(1, size - size_before)))
            if len(found) < wanted:
                break
        self.errors.raise_fatal(self._configuration)
        self.identity.hear()
        if taken:
            self.errors.forget()
        else:
            self._look_around()
        return taken

    def watermarks(self, partition: int, seconds: float = REQUEST_SECONDS) -> Watermarks:
        """Ask the broker where a partition begins and ends; raises RetryableError when it does not answer."""
        with self.errors.asking(f"asking for the offsets of {self.name}[{partition}]"):
            found = self._consumer.get_watermark_offsets(TopicPartition(self.name, partition), timeout=seconds)
            if found is None:
                raise TimeoutError
        return Watermarks(*found)

    def reached(self, partition: int, position: int) -> int:
        """Return how far a partition has been read; a transaction's marker behind the last message counts, too."""
        return max(position, self._ends.get(partition, 0))

    def behind(self, partition: int, position: int) -> int | None:
        """Return how many offsets lie before a partition's end as far as its fetches told, None when they have not."""
        found = None
        with suppress(KafkaException):
            found = self._consumer.get_watermark_offsets(TopicPartition(self.name, partition), cached=True)
        return max(0, found[1] - self.reached(partition, position)) if found and found[1] >= 0 else None

    def commit(self, positions: Mapping[int, int]) -> None:
        """Tell the group how far we are, for lag tools, without waiting; a failure matters to nobody else."""
        if positions:
            places = [TopicPartition(self.name, *place) for place in positions.items()]
            try:
                self._consumer.commit(offsets=places, asynchronous=True)
            except KafkaException as error:
                self._log.debug("the group's offsets were not committed: %s", error)

    def close(self) -> None:
        """Leave the group, once the last commit is through."""
        self.identity.close()
        self._consumer.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Note what the group gives us; it is fetched once the ledger agrees."""
        self.assigned, self.was_rebalanced = frozenset(place.partition for place in partitions), True
        consumer.assign([])

    def _on_revoke(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        """Note that the group takes everything back."""
        self.assigned, self.was_rebalanced = None, True
        consumer.unassign()

    def _note(self, error: KafkaError, message: Message) -> None:
        """Take an error that came in a message's place: a partition's end, an offset that is gone, or a trouble."""
        code, partition = error.code(), message.partition()
        if code == KafkaError._PARTITION_EOF and partition is not None:
            self._ends[partition] = message.offset() or 0
        elif code == KafkaError._AUTO_OFFSET_RESET and partition is not None:
            self.out_of_range.add(partition)
        else:
            self.errors.note(error)

    def _look_around(self) -> None:
        """Find out, now and then, whether brokers and topic are back; raises SourceError when the topic is not."""
        now, gone_since = time.monotonic(), self.errors.gone_since
        is_gone = gone_since is not None and now > gone_since + GONE_SECONDS
        if now < self._next_look or not (is_gone or self.errors.is_down):
            return
        self._next_look = now + LOOK_SECONDS
        try:
            found = self._consumer.list_topics(self.name, timeout=0.5).topics[self.name]
        except KafkaException:
            return
        if self.errors.is_down:
            self.errors.is_down = False
            self._log.info("the brokers are back")
        elif found.error is not None:
            raise SourceError(f"topic {self.name} is gone: {found.error.str()}. What was stored stays; start again.")
        else:
            self.errors.gone_since = None
