"""The topic as one member of a consumer group sees it.

The group says which partitions are ours; what is read, and from where, is the ledger's word alone (`read_from`), so
that a partition without a claim in the database is never fetched. Rebalances and errors are noted here and acted upon
by the consumer between two polls. Offsets in Kafka are committed only for other people's lag tools.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from confluent_kafka import TIMESTAMP_CREATE_TIME, Consumer, KafkaError, KafkaException, Message, TopicPartition

from etlkit.errors import ConfigError, LockedError, RetryableError, SourceError

CONNECT_SECONDS = 10.0
REQUEST_SECONDS = 10.0
PIECE = 500
"""Messages are taken in pieces, so that a batch of huge ones is noticed before memory is full."""
LARGEST_BATCH_BYTES = 8_000_000
_REFUSALS = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
    }
)
_LOGIN_FAILURES = frozenset(
    {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL}  # noqa: SLF001 - their names
)


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
        self.is_down = False
        self._log = log
        self._configuration = {
            **configuration,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "queued.min.messages": 20_000,
            "queued.max.messages.kbytes": 16_384,
            "error_cb": self._note_trouble,
        }
        self._trouble: KafkaError | None = None
        self._fatal: KafkaError | None = None
        self._told: set[int] = set()
        self._next_look = 0.0
        self._consumer = Consumer(self._configuration, logger=_librdkafka_logger(log))

    def connect(self) -> None:
        """Find cluster, topic and partitions.

        Raises ConfigError when the login, the topic or a right is missing, SourceError when no broker answers.
        """
        deadline = time.monotonic() + CONNECT_SECONDS
        while True:
            try:
                metadata = self._consumer.list_topics(self.name, timeout=1.0)
                break
            except KafkaException as error:
                self._consumer.poll(0)
                self._refuse_login()
                if time.monotonic() > deadline:
                    where = self._configuration["bootstrap.servers"]
                    why = self._trouble or error.args[0]
                    raise SourceError(
                        f"no broker of {where} answers: {why.str()}. Check BOOTSTRAP_SERVERS and SECURITY_PROTOCOL "
                        "and that the brokers are up. Nothing was loaded."
                    ) from error
        found = metadata.topics[self.name]
        if found.error is not None:
            self._refuse(found.error)
            names = ", ".join(sorted(self._consumer.list_topics(timeout=REQUEST_SECONDS).topics)) or "none"
            raise ConfigError(
                f"topic {self.name}: {found.error.str()}. The cluster shows these topics: {names}. "
                "Set KAFKA_TOPIC or --topic. Nothing was touched."
            )
        self.cluster = metadata.cluster_id or ""
        self.partitions = sorted(found.partitions)

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
        self.was_rebalanced = False
        try:
            self._consumer.assign([TopicPartition(self.name, *place) for place in sorted(positions.items())])
        except KafkaException as error:
            raise _retryable("taking up the partitions", error) from error

    def poll(self, limit: int, seconds: float) -> list[LiveMessage]:
        """Return the messages that arrive within some seconds, at most `limit` or about 8 MB.

        Raises LockedError when another static member took our place, SourceError when the client is beyond repair.
        """
        deadline = time.monotonic() + seconds
        taken: list[LiveMessage] = []
        size = 0
        while len(taken) < limit and size < LARGEST_BATCH_BYTES:
            wanted = min(PIECE, limit - len(taken))
            left = max(0.0, deadline - time.monotonic())
            try:
                found = self._consumer.consume(wanted, left)
            except KafkaException as error:
                self._note(error.args[0])
                break
            for message in found:
                if (problem := message.error()) is not None:
                    self._note(problem, message.partition())
                else:
                    taken.append(_live_message(message))
                    size += len(message)
            if len(found) < wanted:
                break
        self._raise_fatal()
        if taken:
            self._told.clear()
            self.is_down = False
        elif self.is_down:
            self._look_for_brokers()
        return taken

    def watermarks(self, partition: int) -> Watermarks:
        """Ask the broker where a partition begins and ends; raises RetryableError when it does not answer."""
        place = TopicPartition(self.name, partition)
        try:
            found = self._consumer.get_watermark_offsets(place, timeout=REQUEST_SECONDS)
        except KafkaException as error:
            raise _retryable(f"asking for the offsets of {self.name}[{partition}]", error) from error
        if found is None:
            raise RetryableError(f"no answer on the offsets of {self.name}[{partition}]")
        return Watermarks(*found)

    def known_high(self, partition: int) -> int | None:
        """Return where a partition ends as far as its fetches told, without asking."""
        place = TopicPartition(self.name, partition)
        try:
            found = self._consumer.get_watermark_offsets(place, cached=True)
        except KafkaException:
            return None
        return found[1] if found and found[1] >= 0 else None

    def message_at(self, partition: int, offset: int) -> LiveMessage | None:
        """Read the one message at an offset, by a client of its own; None when that offset holds none.

        Raises RetryableError when the broker does not answer.
        """
        probe = Consumer(
            {**self._configuration, "enable.partition.eof": True, "error_cb": lambda _: None},
            logger=_librdkafka_logger(self._log),
        )
        try:
            probe.assign([TopicPartition(self.name, partition, offset)])
            found = probe.poll(REQUEST_SECONDS)
        finally:
            probe.close()
        if found is None:
            raise RetryableError(f"no answer on offset {offset:,} of {self.name}[{partition}]")
        if found.error() is not None or found.offset() != offset:
            return None
        return _live_message(found)

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
        self._consumer.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Note what the group gives us; it is fetched once the ledger agrees."""
        self.assigned = frozenset(place.partition for place in partitions)
        self.was_rebalanced = True
        consumer.assign([])

    def _on_revoke(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        """Note that the group takes everything back."""
        self.assigned = frozenset()
        self.was_rebalanced = True
        consumer.unassign()

    def _note_trouble(self, error: KafkaError) -> None:
        """Take the client's word on what is wrong; it goes on trying by itself unless that is fatal."""
        if error.fatal():
            self._fatal = error
        self._trouble = error
        if error.code() == KafkaError._ALL_BROKERS_DOWN and not self.is_down:  # noqa: SLF001
            self.is_down = True
            self._log.warning("no broker answers; waiting for one")
        else:
            self._log.debug("Kafka: %s", error)

    def _note(self, error: KafkaError, partition: int | None = None) -> None:
        """Sort an error that came in a message's place."""
        code = error.code()
        if error.fatal() or code == KafkaError._FATAL:  # noqa: SLF001
            self._fatal = self._fatal or error
        elif code == KafkaError._AUTO_OFFSET_RESET and partition is not None:  # noqa: SLF001
            self.out_of_range.add(partition)
        else:
            self._refuse(error)
            if code not in self._told:
                self._told.add(code)
                self._log.warning("Kafka: %s; going on", error.str())

    def _raise_fatal(self) -> None:
        """Raise what the client cannot recover from."""
        if self._fatal is None:
            return
        if KafkaError(KafkaError.FENCED_INSTANCE_ID).str() in self._fatal.str():  # the client tells in words only
            name = self._configuration.get("group.instance.id")
            raise LockedError(
                f"another consumer has joined the group as {name}; this one gave way. What it had stored stays. "
                "Give every consumer an instance id of its own, or none."
            )
        raise SourceError(f"the Kafka client gave up: {self._fatal.str()}. What was stored stays; start again.")

    def _refuse_login(self) -> None:
        """Raise ConfigError when the brokers do not let us in."""
        if self._trouble is not None and self._trouble.code() in _LOGIN_FAILURES:
            raise ConfigError(
                f"the brokers of {self._configuration['bootstrap.servers']} refuse us: {self._trouble.str()}. "
                "Check SECURITY_PROTOCOL, SASL_MECHANISM, user, password and KAFKA_CA_FILE. Nothing was touched."
            )

    def _refuse(self, error: KafkaError) -> None:
        """Raise ConfigError when a right is missing."""
        if error.code() in _REFUSALS:
            raise ConfigError(
                f"topic {self.name}: {error.str()}. The user needs READ on topic and group. What was stored stays."
            )

    def _look_for_brokers(self) -> None:
        """Find out whether the brokers are back, now and then."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + 1.0
        try:
            self._consumer.list_topics(self.name, timeout=0.5)
        except KafkaException:
            return
        self.is_down = False
        self._log.info("the brokers are back")


def _live_message(message: Message) -> LiveMessage:
    """Return what we keep of a client's message."""
    kind, created = message.timestamp()
    partition: Any = message.partition()
    offset: Any = message.offset()
    value: Any = message.value()
    return LiveMessage(partition, offset, value, created if kind == TIMESTAMP_CREATE_TIME else None)


def _retryable(what: str, error: KafkaException) -> RetryableError:
    """Return a client's failure as one that may pass."""
    return RetryableError(f"{what}: {error.args[0].str()}")


def _librdkafka_logger(log: logging.Logger) -> logging.Logger:
    """Return a logger that puts the client's chatter into the log file at DEBUG."""
    chatter = logging.getLogger("librdkafka")
    chatter.propagate = False
    chatter.handlers.clear()
    chatter.addHandler(_ToDebug(log))
    return chatter


class _ToDebug(logging.Handler):
    """Hands every record on at DEBUG."""

    def __init__(self, log: logging.Logger) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record to the log file."""
        self._log.debug("librdkafka: %s", record.getMessage())
