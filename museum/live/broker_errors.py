"""What the Kafka client says is wrong: noted when it says so, told once, and raised when no waiting helps."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from etlkit.errors import ConfigError, LockedError, RetryableError, SourceError

QUIET_SECONDS = 60.0
_REFUSALS = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)
_GONE = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
_LOGIN_FAILURES = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL)


class BrokerErrors:
    """One client's errors; the client goes on trying by itself unless one is fatal."""

    def __init__(self, topic: str, log: logging.Logger) -> None:
        self.trouble: KafkaError | None = None
        self.is_connected = False
        self.is_down = False
        self.gone_since: float | None = None
        self._topic = topic
        self._log = log
        self._fatal: KafkaError | None = None
        self._told: set[int] = set()
        self._logged: dict[str, float] = {}

    @property
    def words(self) -> str:
        """Return what the client last said of a broker, without what changes each time; nothing where all is well."""
        return re.sub(r" \(after \d+ms in state [^)]*\)$", "", self.trouble.str()) if self.trouble else ""

    def note_trouble(self, error: KafkaError) -> None:
        """Take the client's own word on what is wrong, as its error callback."""
        if error.fatal():
            self._fatal = error
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.trouble = error
            self.chatter(f"{error.name()}: {error.str()}")
            self._note_gone(error)
        elif self.is_connected and not self.is_down:
            self.is_down = True
            self._log.warning("no broker answers: %s; waiting for one", self.words or error.str())

    def note(self, error: KafkaError) -> None:
        """Sort an error that came in a message's place; raises what `refuse` does."""
        code = error.code()
        if error.fatal() or code == KafkaError._FATAL:
            self._fatal = self._fatal or error
            return
        self.refuse(error)
        self._note_gone(error)
        if code not in self._told:
            self._told.add(code)
            self._log.warning("Kafka: %s; going on", error.str())

    def forget(self) -> None:
        """Note that messages come again."""
        self._told.clear()
        self.is_down = False
        self.trouble = self.gone_since = None

    def _note_gone(self, error: KafkaError) -> None:
        """Note when the brokers first did not know the topic any more."""
        if self.is_connected and self.gone_since is None and error.code() in _GONE:
            self.gone_since = time.monotonic()

    def chatter(self, text: str) -> None:
        """Write what the client says into the log file; the same thing once a minute."""
        kind = re.sub(r"\d+", "", text)[-60:]
        if time.monotonic() - self._logged.get(kind, -QUIET_SECONDS) >= QUIET_SECONDS:
            self._logged[kind] = time.monotonic()
            self._log.debug("Kafka client: %s", text)

    def raise_fatal(self, configuration: Mapping[str, Any]) -> None:
        """Raise what the client cannot recover from."""
        if self._fatal is None:
            return
        if KafkaError(KafkaError.FENCED_INSTANCE_ID).str() in self._fatal.str():  # the client tells in words only
            raise LockedError(
                f"another consumer has joined the group as {configuration.get('group.instance.id')}; this one gave "
                "way. What it had stored stays. Give every consumer an instance id of its own, or none."
            )
        raise SourceError(f"the Kafka client gave up: {self._fatal.str()}. What was stored stays; start again.")

    def refuse_login(self, configuration: Mapping[str, Any]) -> None:
        """Raise ConfigError when the brokers do not let us in."""
        if self.trouble is not None and self.trouble.code() in _LOGIN_FAILURES:
            raise ConfigError(
                f"the brokers of {configuration['bootstrap.servers']} refuse us: {self.trouble.str()}. "
                "Check SECURITY_PROTOCOL, SASL_MECHANISM, user, password and KAFKA_CA_FILE. Nothing was touched."
            )

    def refuse(self, error: KafkaError) -> None:
        """Raise SourceError when a right is missing; RetryableError as long as we were never let in."""
        if error.code() in _REFUSALS:
            problem = f"topic {self._topic}: {error.str().rstrip('.')}."
            advice = "The user needs READ on topic and group. What was stored stays."
            raise SourceError(problem, advice) if self.is_connected else RetryableError(problem, advice)

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Turn a client's failure into RetryableError, which may pass, with what the client says of its brokers."""
        try:
            yield
        except KafkaException as error:
            words = f" ({self.words})" if self.words else ""
            raise RetryableError(f"{what}: {error.args[0].str()}{words}") from error
        except TimeoutError as error:
            raise RetryableError(f"{what}: no answer") from error

    def librdkafka_logger(self) -> logging.Logger:
        """Return a logger that gives us what the client says, and nobody else."""
        logger = logging.getLogger("librdkafka")
        logger.filters[:] = [self._take_record]
        return logger

    def _take_record(self, record: logging.LogRecord) -> bool:
        """Take a record's text; False keeps it from all handlers."""
        self.chatter(record.getMessage())
        return False
