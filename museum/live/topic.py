"""The topic as one member of a consumer group sees it.

The group says which partitions are ours; what is read, and from where, is the ledger's word alone (`read_from`), so
that a partition without a claim in the database is never fetched. Rebalances and errors are noted here and acted upon
by the consumer between two polls. Offsets in Kafka are committed only for other people's lag tools.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import (
    TIMESTAMP_CREATE_TIME,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # it does not say so itself

from etlkit.errors import ConfigError, RetryableError, SourceError
from museum.live.broker_errors import BrokerErrors

CONNECT_SECONDS = 10.0
RETRY_SECONDS = 0.5
GONE_SECONDS = 5.0
"""Brokers may disagree for a moment on what there is."""
REQUEST_SECONDS = 10.0
FIRST_REQUEST_SECONDS = 3.0
BUSY_REQUEST_SECONDS = 1.0
"""How long a question about one partition may keep the others waiting."""
MOCK_CLUSTER = "mockCluster"
"""What the client library's own broker, which knows no topic ids and does not say so, names its clusters."""
CONFIRM_SECONDS = 3.0
"""A batch waits so long for the brokers before it is rolled back; short enough for an orderly stop."""
FIRST_PIECE, LARGEST_PIECE = 20, 500
"""Messages are taken in pieces, sized by the ones before, so that huge ones are noticed before memory is full."""
PIECE_BYTES = 1_000_000
LARGEST_BATCH_BYTES = 8_000_000
NO_TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAA"
_NOTHING_THERE = frozenset({KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET})
ADMIN_SETTINGS = frozenset(
    {
        "bootstrap.servers", "security.protocol", "sasl.mechanism", "sasl.username", "sasl.password", "ssl.ca.location",
        "client.id", "reconnect.backoff.ms",
    }
)  # fmt: skip


class LiveMessage(NamedTuple):
    """A message as it lies in the topic; created_ms is its CreateTime, None where the broker set the time."""

    partition: int
    offset: int
    raw: bytes | None
    created_ms: int | None

    @property
    def fingerprint(self) -> str:
        """Return a short text by which the message is known again."""
        content = b"-" if self.raw is None else b"+" + self.raw
        return hashlib.sha256(f"{self.created_ms}".encode() + content).hexdigest()[:16]


class TopicChanged(Exception):  # noqa: N818 - not an error but news
    """The topic is not the one any more that was connected to; what was fetched last belongs to neither for sure."""


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
        self.topic_id: str | None = None
        self._advertised = ""
        self._probe: Consumer | None = None
        try:
            self._consumer = Consumer(
                {**self._configuration, "enable.partition.eof": True}, logger=self.errors.librdkafka_logger()
            )
            self._admin = self._new_admin()
        except KafkaException as error:
            raise ConfigError(
                f"the Kafka client refuses its settings: {error.args[0].str()}. Check KAFKA_CA_FILE and the login. "
                "Nothing was touched."
            ) from error

    def _new_admin(self) -> AdminClient:
        """Return a client that asks the cluster's controller."""
        return AdminClient(
            {key: value for key, value in self._configuration.items() if key in ADMIN_SETTINGS}
            | {"error_cb": lambda _: None},
            logger=self.errors.librdkafka_logger(),
        )

    def connect(self, is_stopping: Callable[[], bool] = lambda: False) -> None:
        """Find cluster, topic and partitions; what is not there may come within CONNECT_SECONDS.

        Raises ConfigError for a login or a topic's name that is wrong, SourceError for what may still come: a broker
        that answers, the topic, a right.
        """
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
            names = ", ".join(self._topic_names()) or "none"
            raise RetryableError(
                f"topic {self.name}: {found.error.str()}. The cluster shows these topics: {names}.",
                "Create it, or correct KAFKA_TOPIC or --topic. Nothing was loaded.",
            )
        if not metadata.cluster_id:
            raise ConfigError("the brokers name no cluster id, by which messages are known again. Nothing was touched.")
        self.cluster = metadata.cluster_id
        self.partitions = sorted(found.partitions)
        try:
            self.topic_id = self._read_topic_id()
        except (KafkaException, TimeoutError) as error:
            raise self._no_answer(error) from error

    def _no_answer(self, error: Exception) -> RetryableError:
        """Return the error for brokers that do not answer, or for those that the one who answers sends us on to."""
        self._consumer.poll(0)
        where = self._configuration["bootstrap.servers"]
        words = self.errors.words or (error.args[0].str() if isinstance(error, KafkaException) else "no answer in time")
        if self._advertised:
            return RetryableError(
                f"a broker of {where} answered and sent us on to {self._advertised} (advertised.listeners): {words}.",
                "Check that those are up and that this machine can reach them by that name. Nothing was loaded.",
            )
        return RetryableError(
            f"no broker of {where} answers: {words}.",
            "Check BOOTSTRAP_SERVERS and SECURITY_PROTOCOL and that the brokers are up. Nothing was loaded.",
        )

    def join(self) -> None:
        """Become a member of the group, which then shares out the partitions."""
        self._consumer.subscribe(
            [self.name], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def take_all(self) -> None:
        """Take every partition without joining the group, so that nobody else loses one."""
        self.assigned = frozenset(self.partitions)

    def read_from(self, positions: Mapping[int, int]) -> None:
        """Fetch these partitions from these offsets on, and no others; a rebalance ends that."""
        self._ends.clear()
        try:
            self._consumer.assign([TopicPartition(self.name, *place) for place in sorted(positions.items())])
        except KafkaException as error:
            raise self.errors.retryable("taking up the partitions", error) from error
        self.was_rebalanced = False

    def poll(self, limit: int, seconds: float) -> list[LiveMessage]:
        """Return the messages that arrive within some seconds, at most `limit` or about 8 MB.

        Raises LockedError when another static member took our place, SourceError when the client is beyond repair or
        the topic is gone.
        """
        deadline = time.monotonic() + seconds
        taken: list[LiveMessage] = []
        size = 0
        while len(taken) < limit and size < LARGEST_BATCH_BYTES:
            wanted = min(self._piece, limit - len(taken))
            left = max(0.0, deadline - time.monotonic())
            try:
                found = self._consumer.consume(wanted, left)
            except KafkaException as error:
                self.errors.note(error.args[0])
                break
            piece_size = 0
            for message in found:
                if (problem := message.error()) is not None:
                    self._note(problem, message)
                else:
                    taken.append(_live_message(message))
                    piece_size += len(message)
            size += piece_size
            if found:
                self._piece = max(1, min(LARGEST_PIECE, PIECE_BYTES * len(found) // max(1, piece_size)))
            if len(found) < wanted:
                break
        self.errors.raise_fatal(self._configuration)
        self._hear_others()
        if taken:
            self.errors.forget()
        elif self.errors.is_down:
            self._look_for_brokers()
        elif self.errors.gone_since is not None and time.monotonic() > self.errors.gone_since + GONE_SECONDS:
            self._look_for_topic()
        return taken

    def _hear_others(self) -> None:
        """Fetch the other clients' words, which would pile up."""
        self._admin.poll(0)
        if self._probe is not None:
            self._probe.poll(0)

    def watermarks(self, partition: int, seconds: float = REQUEST_SECONDS) -> Watermarks:
        """Ask the broker where a partition begins and ends; raises RetryableError when it does not answer."""
        place = TopicPartition(self.name, partition)
        try:
            found = self._consumer.get_watermark_offsets(place, timeout=seconds)
        except KafkaException as error:
            raise self.errors.retryable(f"asking for the offsets of {self.name}[{partition}]", error) from error
        if found is None:
            raise RetryableError(f"no answer on the offsets of {self.name}[{partition}]")
        return Watermarks(*found)

    def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Ask where partitions end, all at once; the client that asks does not wait behind our own fetches.

        Raises RetryableError when a broker does not answer.
        """
        latest = {TopicPartition(self.name, partition): OffsetSpec.latest() for partition in partitions}  # type: ignore[no-untyped-call]
        if not latest:
            return {}
        asked = self._admin.list_offsets(
            latest, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=REQUEST_SECONDS
        )
        try:
            return {place.partition: answer.result(timeout=REQUEST_SECONDS).offset for place, answer in asked.items()}
        except (KafkaException, TimeoutError) as error:
            self._admin = self._new_admin()  # one that lost a broker may wait for it for minutes
            if isinstance(error, KafkaException):
                raise self.errors.retryable(f"asking for the ends of {self.name}", error) from error
            raise RetryableError(f"no answer on the ends of {self.name}") from error

    def reached(self, partition: int, position: int) -> int:
        """Return how far a partition has been read; a transaction's marker behind the last message counts, too."""
        return max(position, self._ends.get(partition, 0))

    def behind(self, partition: int, position: int) -> int | None:
        """Return how many offsets lie before a partition's end as far as its fetches told, None when they have not."""
        place = TopicPartition(self.name, partition)
        try:
            found = self._consumer.get_watermark_offsets(place, cached=True)
        except KafkaException:
            return None
        if not found or found[1] < 0:
            return None
        return max(0, found[1] - self.reached(partition, position))

    def message_at(self, partition: int, offset: int, seconds: float = REQUEST_SECONDS) -> LiveMessage | None:
        """Read the one message at an offset, by a second client; None when that offset holds none.

        Raises RetryableError when the broker does not answer, ConfigError when a right is missing.
        """
        if self._probe is None:
            small = {
                "queued.max.messages.kbytes": 1_024,
                "fetch.wait.max.ms": 10,  # the fetch of one partition must not hold up the next one's
                "fetch.queue.backoff.ms": 10,
                "error_cb": lambda _: None,
            }
            self._probe = Consumer(
                {**self._configuration, **small, "enable.partition.eof": True}, logger=self.errors.librdkafka_logger()
            )
        try:
            self._probe.assign([TopicPartition(self.name, partition, offset)])
            found = self._probe.poll(seconds)
            self._probe.unassign()
        except KafkaException as error:
            raise self.errors.retryable(f"reading {self.name}[{partition}]", error) from error
        if found is None:
            raise RetryableError(f"no answer on offset {offset:,} of {self.name}[{partition}]")
        if (problem := found.error()) is not None:
            if problem.code() not in _NOTHING_THERE:
                self.errors.refuse(problem)
                raise RetryableError(f"reading offset {offset:,} of {self.name}[{partition}]: {problem.str()}")
            return None
        return _live_message(found) if found.offset() == offset else None

    def ask_identity(self) -> Future[Any] | None:
        """Ask whether the topic is still the one of `connect`; None where the brokers know no topic ids."""
        if self.topic_id is None:
            return None
        future: Future[Any] = self._admin.describe_topics(
            TopicCollection([self.name]), request_timeout=CONFIRM_SECONDS
        )[self.name]
        return future

    def confirm_identity(self, asked: Future[Any] | None) -> None:
        """Wait for the answer; raises TopicChanged for another topic, RetryableError when there is no answer."""
        if asked is None:
            return
        try:
            found = str(asked.result(timeout=CONFIRM_SECONDS).topic_id)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise TopicChanged from error
            self._admin = self._new_admin()  # one that lost the controller may wait for it for minutes
            raise self.errors.retryable("asking for the topic's id", error) from error
        except TimeoutError as error:
            self._admin = self._new_admin()
            raise RetryableError("no answer on the topic's id") from error
        if found != self.topic_id:
            self.topic_id = found
            raise TopicChanged

    def commit(self, positions: Mapping[int, int]) -> None:
        """Tell the group how far we are, for lag tools, without waiting; a failure matters to nobody else."""
        places = [TopicPartition(self.name, *place) for place in positions.items()]
        if not places:
            return
        try:
            self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            self._log.debug("the group's offsets were not committed: %s", error)

    def close(self) -> None:
        """Leave the group, once the last commit is through."""
        if self._probe is not None:
            self._probe.close()
        self._consumer.close()

    def _topic_names(self) -> list[str]:
        """Return the topics that the cluster shows us."""
        try:
            return sorted(self._consumer.list_topics(timeout=REQUEST_SECONDS).topics)
        except KafkaException:
            return []

    def _read_topic_id(self) -> str | None:
        """Return the topic's id; None where the brokers know none."""
        if self.cluster.startswith(MOCK_CLUSTER):
            return None
        asked = self._admin.describe_topics(TopicCollection([self.name]), request_timeout=CONFIRM_SECONDS)
        try:
            found = str(asked[self.name].result(timeout=CONFIRM_SECONDS).topic_id)
        except KafkaException as error:
            if error.args[0].code() == KafkaError._UNSUPPORTED_FEATURE:
                return None
            raise
        return None if found == NO_TOPIC_ID else found

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Note what the group gives us; it is fetched once the ledger agrees."""
        self.assigned = frozenset(place.partition for place in partitions)
        self.was_rebalanced = True
        consumer.assign([])

    def _on_revoke(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        """Note that the group takes everything back."""
        self.assigned = None
        self.was_rebalanced = True
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

    def _look_for_brokers(self) -> None:
        """Find out whether the brokers are back, now and then."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + 1.0
        try:
            self._consumer.list_topics(self.name, timeout=0.5)
        except KafkaException:
            return
        self.errors.is_down = False
        self._log.info("the brokers are back")

    def _look_for_topic(self) -> None:
        """Find out whether the topic is back; raises SourceError when it is not."""
        self.errors.gone_since = time.monotonic()
        try:
            found = self._consumer.list_topics(self.name, timeout=0.5).topics[self.name]
        except KafkaException:
            return
        if found.error is not None:
            raise SourceError(f"topic {self.name} is gone: {found.error.str()}. What was stored stays; start again.")
        self.errors.gone_since = None


def _live_message(message: Message) -> LiveMessage:
    """Return what we keep of a client's message."""
    kind, created = message.timestamp()
    partition: Any = message.partition()
    offset: Any = message.offset()
    value: Any = message.value()
    return LiveMessage(partition, offset, value, created if kind == TIMESTAMP_CREATE_TIME else None)
