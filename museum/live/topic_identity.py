"""What is asked of the brokers beside the stream: whether the topic is still the same one, and where it ends.

The questions go through clients of their own, which do not wait behind the fetches of the messages. Three things tell
one topic from a later one of the same name: its id, its end, and the message at an offset that was stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import confluent_kafka as kafka
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # it does not say so itself

from etlkit.errors import RetryableError
from museum.live.broker_errors import BrokerErrors

REQUEST_SECONDS = 10.0
CONFIRM_SECONDS = 3.0
"""A batch waits so long for the brokers before it is rolled back; short enough for an orderly stop."""
MOCK_CLUSTER = "mockCluster"
"""What the client library's own broker, which knows no topic ids and does not say so, names its clusters."""
NO_TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAA"
_NOTHING_THERE = (kafka.KafkaError._PARTITION_EOF, kafka.KafkaError._AUTO_OFFSET_RESET)
ADMIN_SETTINGS = (
    "bootstrap.servers", "security.protocol", "sasl.mechanism", "sasl.username", "sasl.password", "ssl.ca.location",
    "client.id", "reconnect.backoff.ms", "error_cb",
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


class TopicIdentity:
    """Asks about one topic; `topic_id` is None where the brokers know no ids."""

    def __init__(self, name: str, configuration: Mapping[str, Any], errors: BrokerErrors) -> None:
        """Make the client that asks the cluster's controller; KafkaException for settings that it refuses."""
        self.topic_id: str | None = None
        self._name = name
        self._configuration = {**configuration, "error_cb": lambda _: None}
        self._errors = errors
        self._probe: kafka.Consumer | None = None
        self._admin = self._new_admin()

    def read_topic_id(self, cluster: str) -> None:
        """Find out which topic it is now. Raises KafkaException and TimeoutError."""
        self.topic_id = None
        if cluster.startswith(MOCK_CLUSTER):
            return
        try:
            found = str(self._ask().result(timeout=CONFIRM_SECONDS).topic_id)
        except kafka.KafkaException as error:
            if error.args[0].code() != kafka.KafkaError._UNSUPPORTED_FEATURE:
                raise
        else:
            self.topic_id = None if found == NO_TOPIC_ID else found

    def ask_identity(self) -> Callable[[], None]:
        """Ask, where topics have ids, whether this is still the one of `connect`; return what waits for the answer."""
        return partial(self._confirm_identity, self._ask()) if self.topic_id else lambda: None

    def _confirm_identity(self, asked: Future[Any]) -> None:
        """Wait for the answer; raises TopicChanged for another topic, RetryableError when there is no answer."""
        with self._asking("asking for the topic's id"):
            try:
                found = str(asked.result(timeout=CONFIRM_SECONDS).topic_id)
            except kafka.KafkaException as error:
                if error.args[0].code() == kafka.KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise TopicChanged from error
                raise
        if found != self.topic_id:
            self.topic_id = found
            raise TopicChanged

    def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Ask where partitions end, all at once; raises RetryableError when a broker does not answer."""
        latest = {kafka.TopicPartition(self._name, one): OffsetSpec.latest() for one in partitions}  # type: ignore[no-untyped-call]
        if not latest:
            return {}
        committed = kafka.IsolationLevel.READ_COMMITTED
        asked = self._admin.list_offsets(latest, isolation_level=committed, request_timeout=REQUEST_SECONDS)
        with self._asking(f"asking for the ends of {self._name}"):
            return {place.partition: answer.result(timeout=REQUEST_SECONDS).offset for place, answer in asked.items()}

    def message_at(self, partition: int, offset: int, seconds: float) -> LiveMessage | None:
        """Return the one message at an offset, if any; raises RetryableError, or SourceError for a missing right."""
        if self._probe is None:
            # the fetch of one partition must not hold up the next one's
            own = {"queued.max.messages.kbytes": 1_024, "fetch.wait.max.ms": 10, "fetch.queue.backoff.ms": 10}
            self._probe = kafka.Consumer({**self._configuration, **own}, logger=self._errors.librdkafka_logger())
        with self._errors.asking(f"reading offset {offset:,} of {self._name}[{partition}]"):
            self._probe.assign([kafka.TopicPartition(self._name, partition, offset)])
            found = self._probe.poll(seconds)
            self._probe.unassign()
            if found is None:
                raise TimeoutError
            problem = found.error()
            if problem is not None and problem.code() not in _NOTHING_THERE:
                self._errors.refuse(problem)
                raise kafka.KafkaException(problem)
        return live_message(found) if problem is None and found.offset() == offset else None

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Ask the controller; a client that lost a broker may wait for it for minutes, so the next one is a new one."""
        try:
            with self._errors.asking(what):
                yield
        except RetryableError:
            self._admin = self._new_admin()
            raise

    def hear(self) -> None:
        """Fetch the clients' own words, which would pile up."""
        self._admin.poll(0)
        if self._probe is not None:
            self._probe.poll(0)

    def close(self) -> None:
        """Give up the client that reads single messages."""
        if self._probe is not None:
            self._probe.close()

    def _ask(self) -> Future[Any]:
        """Ask for the topic's description."""
        topics = kafka.TopicCollection([self._name])
        return self._admin.describe_topics(topics, request_timeout=CONFIRM_SECONDS)[self._name]

    def _new_admin(self) -> AdminClient:
        """Return a client that asks the cluster's controller."""
        known = {key: value for key, value in self._configuration.items() if key in ADMIN_SETTINGS}
        return AdminClient(known, logger=self._errors.librdkafka_logger())


def live_message(message: Any) -> LiveMessage:
    """Return what we keep of a client's message."""
    kind, created = message.timestamp()
    created_ms = created if kind == kafka.TIMESTAMP_CREATE_TIME else None
    return LiveMessage(message.partition(), message.offset(), message.value(), created_ms)
