"""Consumer: Kafka kiosk events -> TEMP staging -> the museum's tables, in small batches, until SIGTERM.

In come the messages of one topic, out go reviews, incidents, rejected records and the run's history. The offsets are
stored in Postgres in the transaction of the rows, so a consumer that was killed, cut off or overtaken by a rebalance
stored either all of a batch or nothing of it, and the next one goes on exactly there. Messages that are read again
count as already there.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import psycopg2
from pydantic import SecretStr

from etlkit.command import exit_process
from etlkit.errors import ConfigError, EtlError, LoadError, RetryableError
from etlkit.logs import redact
from museum.console import Outcome, run_stage
from museum.live.batch import LiveRules
from museum.live.claims import Claim, Fenced
from museum.live.figures import LiveFigures
from museum.live.replay import replay_rejects
from museum.live.session import LiveSession, is_permanent
from museum.live.settings import KafkaCredentials, KafkaSettings, sasl_credentials
from museum.live.stopping import Stop, orderly_stop
from museum.live.topic import KafkaTopic, LiveMessage
from museum.settings import ENV_FILE, Command, argument_parser

EXAMPLES = """\
  python consumer.py                              # until SIGTERM or Ctrl-C
  python consumer.py --idle-exit 10               # what is there, then end
  python consumer.py --dry-run --idle-exit 5      # the same, rolled back; joins no group
  python consumer.py --replay-rejects --reason unknown_site"""
EXIT_CODES = (
    "exit codes: 0 stopped by SIGTERM, or no new rejects; 1 failed, what was stored stays; 2 usage or settings;\n"
    "3 an end with new rejects; 4 another consumer took the instance id, or another replay is at work; 130 Ctrl-C"
)
REPORT_SECONDS = 60.0
CLAIM_SECONDS = 0.5
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0


class LiveStream:
    """One consumer at work: follows the group, claims partitions, stores batches, and outlasts broken connections."""

    def __init__(self, command: Command, topic: KafkaTopic, kafka: KafkaSettings, log: logging.Logger) -> None:
        """Open the database; raises what `LiveSession` raises."""
        self.figures = LiveFigures()
        self.claims: dict[int, Claim] = {}
        self.session: LiveSession | None = None
        self.open_rejects = 0
        self._command = command
        self._flags = command.flags
        self._topic = topic
        self._kafka = kafka
        self._log = log
        self._rules = _live_rules(command)
        self._minute = LiveFigures()
        self._reached: dict[int, int] = {}
        self._holders: dict[int, str] = {}
        self._deleted_told: set[tuple[int, int]] = set()
        self._pause = FIRST_PAUSE
        now = time.monotonic()
        self._next_claim = self._next_session = now
        self._last_activity = now
        self._next_report = now + REPORT_SECONDS
        self.session = LiveSession(command, topic, self._rules, log)
        self.session.start_history(topic)

    def run(self, stop: Stop) -> None:
        """Consume until a signal, --max-messages or --idle-exit ends it."""
        if self._command.dry_run:
            self._topic.take_all()
        else:
            self._topic.join()
        while not stop.is_wanted and not self._is_done():
            self._follow_group()
            messages = self._topic.poll(self._limit(), self._kafka.museum_linger_ms / 1000)
            self._store([message for message in messages if self._is_next(message)])
            if time.monotonic() >= self._next_report:
                self._report()

    def end(self) -> None:
        """Write the run's last word."""
        if self.session is not None:
            with suppress(EtlError, psycopg2.Error):  # what was stored is stored; the next consumer repairs the row
                self.open_rejects = self.session.complete_history(self.figures)

    def fail(self, message: str) -> None:
        """Mark the run failed."""
        if self.session is not None:
            self.session.fail_history(message)

    def close(self) -> None:
        """Give everything back, locks first, so that a new owner need not wait."""
        if self.session is not None:
            self.session.close()
        self._topic.close()

    def cancel(self) -> None:
        """Break off the statement under way."""
        if self.session is not None:
            self.session.cancel()

    def lag(self) -> int | None:
        """Return how many messages of our partitions are still to come, as far as the fetches told."""
        behind = [
            max(0, high - claim.position)
            for partition, claim in self.claims.items()
            if (high := self._topic.known_high(partition)) is not None
        ]
        return sum(behind) if behind else None

    def _is_done(self) -> bool:
        """Tell whether --max-messages or --idle-exit is reached; while something is broken nobody idles."""
        flags = self._flags
        if flags.max_messages is not None and self.figures.consumed >= flags.max_messages:
            return True
        is_settled = self._topic.assigned is not None and self._topic.assigned == self.claims.keys()
        if not is_settled or self.session is None or self._topic.is_down:
            self._last_activity = time.monotonic()
        return flags.idle_exit is not None and time.monotonic() - self._last_activity >= flags.idle_exit

    def _limit(self) -> int:
        """Return how many messages the next batch may have."""
        largest: int = self._kafka.museum_batch_size
        most: int | None = self._flags.max_messages
        return largest if most is None else min(largest, most - self.figures.consumed)

    def _is_next(self, message: LiveMessage) -> bool:
        """Tell whether a message is of a partition that we own, and not behind it."""
        claim = self.claims.get(message.partition)
        return claim is not None and message.offset >= claim.position

    def _follow_group(self) -> None:
        """Give back what the group took, claim what it gave, and hold on to the database."""
        try:
            self._hold_session()
            if self.session is None:
                return
            assigned = self._topic.assigned or frozenset()
            lost = (self.claims.keys() - assigned) | (self._topic.out_of_range & self.claims.keys())
            self._topic.out_of_range.clear()
            has_changed = bool(lost) or self._topic.was_rebalanced
            for partition in lost:
                del self.claims[partition]
            if not self._command.dry_run:
                self.session.ledger.release(lost)
            if time.monotonic() >= self._next_claim:
                has_changed |= self._claim(self.session, sorted(assigned - self.claims.keys()))
            if has_changed:
                self._topic.read_from({partition: claim.position for partition, claim in self.claims.items()})
            self.session.keep_alive()
        except RetryableError as error:
            self._log.warning("%s; trying again", error)
            self._next_claim = time.monotonic() + CLAIM_SECONDS
        except (psycopg2.Error, LoadError) as error:
            self._lose_session(error)

    def _hold_session(self) -> None:
        """Open the database again when it was lost and it is time to try."""
        if self.session is None and time.monotonic() >= self._next_session:
            self.session = LiveSession(self._command, self._topic, self._rules, self._log)
            self.session.update_history(self.figures)
            self._log.info("the database is back")

    def _claim(self, session: LiveSession, partitions: Iterable[int]) -> bool:
        """Try to claim partitions; return whether any is ours now."""
        has_claimed = False
        for partition in partitions:
            self._next_claim = time.monotonic() + CLAIM_SECONDS
            found: Claim | str
            if self._command.dry_run:
                found = session.ledger.look_at(partition)
            else:
                found = session.ledger.claim(partition, accept_new_topic=self._flags.accept_new_topic)
            if isinstance(found, Claim):
                self._begin(partition, found)
                has_claimed = True
            elif self._holders.get(partition) != found:
                self._holders[partition] = found
                self._log.info("%s[%s] is still held by %s; waiting", self._topic.name, partition, found)
        return has_claimed

    def _begin(self, partition: int, claim: Claim) -> None:
        """Decide where reading a claimed partition begins."""
        self._holders.pop(partition, None)
        name = f"{self._topic.name}[{partition}]"
        if claim.deleted and (partition, claim.first) not in self._deleted_told:
            self._deleted_told.add((partition, claim.first))
            self._minute.deleted_by_retention += claim.deleted
            self.figures.deleted_by_retention += claim.deleted
            self._log.warning(
                "%s: a gap: retention deleted %s messages, offsets %s to %s, before they were read",
                name, f"{claim.deleted:,}", f"{claim.stored:,}", f"{claim.first - 1:,}",
            )  # fmt: skip
        if self._flags.from_beginning or self._command.dry_run:
            start = claim.first if self._flags.from_beginning else claim.position
            claim.position = max(claim.first, min(claim.position, self._reached.get(partition, start)))
            if self._command.dry_run:
                claim.position = max(claim.position, self._reached.get(partition, 0))
        self.claims[partition] = claim
        self._last_activity = time.monotonic()
        self._log.debug("%s is ours from offset %s on", name, claim.position)

    def _store(self, messages: list[LiveMessage]) -> None:
        """Store a batch; whatever the database did not commit is read again later."""
        if not messages or self.session is None:
            return
        batch = LiveFigures()
        try:
            self.session.batches.store(messages, self.claims, batch)
            self._pause = FIRST_PAUSE
        except Fenced:
            self._log.warning("another consumer took over; the batch was rolled back")
            self._give_up_claims()
        except (psycopg2.Error, LoadError) as error:
            self._lose_session(error)
        finally:
            self._minute.add(batch)
            self.figures.add(batch)
        self._last_activity = time.monotonic()
        self._reached.update({partition: claim.position for partition, claim in self.claims.items()})
        self._tell_group()

    def _tell_group(self) -> None:
        """Let the group's offsets follow the stored ones."""
        if not self._command.dry_run:
            stored = {partition: claim.stored for partition, claim in self.claims.items()}
            self._topic.commit(stored)

    def _give_up_claims(self) -> None:
        """Stop reading, give back the locks, and claim anew from what the ledger says."""
        given_up = list(self.claims)
        self.claims.clear()
        self._topic.read_from({})
        if self.session is not None and not self._command.dry_run:
            with suppress(psycopg2.Error):
                self.session.ledger.release(given_up)

    def _lose_session(self, error: Exception) -> None:
        """Stop reading and come back later; raises LoadError when no waiting helps."""
        message = " ".join(str(error).split())
        if is_permanent(error):
            raise LoadError(
                f"the database refuses: {message} What was committed stays; the rest is read again."
            ) from error
        if self.session is not None:
            self.session.close()
            self.session = None
        self.claims.clear()
        self._topic.read_from({})
        self._log.warning("database: %s Trying again in %.1f s; nothing is lost", message, self._pause)
        self._next_session = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _report(self) -> None:
        """Print the minute's line and keep the run's figures."""
        self._log.info("live  %s", self._minute.line(self.lag(), _would(self._command)))
        self._minute = LiveFigures()
        self._next_report = time.monotonic() + REPORT_SECONDS
        try:
            if self.session is not None:
                self.session.update_history(self.figures)
        except (psycopg2.Error, LoadError) as error:
            self._lose_session(error)


def consume(command: Command, log: logging.Logger) -> Outcome:
    """Consume the topic until something ends it, and return the outcome."""
    kafka, credentials = command.others
    topic = KafkaTopic(kafka.kafka_topic, client_configuration(command, kafka, credentials, log), log)
    stream: LiveStream | None = None

    def cancel() -> None:
        if stream is not None:
            stream.cancel()

    with orderly_stop(cancel, log) as stop:
        try:
            topic.connect()
            stream = LiveStream(command, topic, kafka, log)
            stream.run(stop)
            lag = stream.lag()
            stream.end()
        except BaseException as error:
            if stream is not None:
                stream.fail(redact(str(error) or type(error).__name__, command.secrets))
            raise
        finally:
            if stream is not None:
                stream.close()
            else:
                topic.close()
    log.info("total %s", stream.figures.line(lag, _would(command)))
    return _outcome(stream, lag, stop, command)


def client_configuration(
    command: Command, kafka: KafkaSettings, credentials: KafkaCredentials, log: logging.Logger
) -> dict[str, Any]:
    """Return the Kafka client's settings; raises ConfigError when the brokers ask for a login and there is none."""
    configuration: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "security.protocol": kafka.security_protocol,
        "group.id": kafka.kafka_group,
        "client.id": f"museum-consumer-{str(command.run_id)[:8]}",
        "session.timeout.ms": round(1000 * kafka.kafka_session_timeout_seconds),
        "heartbeat.interval.ms": round(1000 * kafka.kafka_session_timeout_seconds / 4),
    }
    if kafka.kafka_instance_id:
        configuration["group.instance.id"] = kafka.kafka_instance_id
    if kafka.kafka_ca_file:
        configuration["ssl.ca.location"] = str(kafka.kafka_ca_file)
    if kafka.uses_sasl:
        user, password, origin = sasl_credentials(kafka, credentials, ENV_FILE)
        if not user or not isinstance(password, SecretStr):
            raise ConfigError(
                f"{kafka.security_protocol} needs a user and a password. Set KAFKA_USERNAME and KAFKA_PASSWORD, or "
                f"USERNAME and PASSWORD in {ENV_FILE}. Nothing was touched."
            )
        log.info("%s", origin)
        if kafka.shows_password:
            log.warning("SASL_PLAINTEXT with PLAIN sends the password in clear text; use SASL_SSL")
        configuration |= {
            "sasl.mechanism": kafka.sasl_mechanism,
            "sasl.username": user,
            "sasl.password": password.get_secret_value(),
        }
    return configuration


def _live_rules(command: Command) -> LiveRules:
    """Return the rules for messages; the present moves on unless --now holds it."""
    museum = command.museum
    if command.flags.now is not None:
        return LiveRules(museum.live_rules, lambda: command.latest_at, museum.museum_live_create_time)
    return LiveRules(museum.live_rules, lambda: command.latest_at_of(datetime.now(UTC)), museum.museum_live_create_time)


def _outcome(stream: LiveStream, lag: int | None, stop: Stop, command: Command) -> Outcome:
    """Return how a consumer ended."""
    figures = stream.figures
    earlier = stream.open_rejects - figures.rejected
    tail = f" {earlier:,} earlier rejects are still open." if earlier > 0 else ""
    verb = "Would store" if command.dry_run else "Stored"
    sentence = f"{verb} {figures.stored:,} of {figures.consumed:,} messages, {figures.rejected:,} rejected.{tail}"
    document = {"live": {**figures.document(), "lag": lag}}
    return Outcome(sentence, document, figures.rejected > 0, stop.signal)


def _would(command: Command) -> str:
    """Return how a dry run speaks of what it did."""
    return "would be " if command.dry_run else ""


def consumer_parser() -> argparse.ArgumentParser:
    """Return the parser of the consumer's command line."""
    parser = argument_parser(
        "consumer.py", "Live kiosk events: from Kafka to Postgres, exactly once.", EXAMPLES, ("database",), EXIT_CODES
    )
    parser.set_defaults(log_setting="museum_live_log_file")
    parser.add_argument("--topic", metavar="NAME", help="KAFKA_TOPIC (lmnh)")
    parser.add_argument("--group", metavar="NAME", help="KAFKA_GROUP, the consumer group (museum)")
    parser.add_argument("--instance-id", metavar="NAME", help="KAFKA_INSTANCE_ID: static membership in the group")
    parser.add_argument("--from-beginning", action="store_true", help="read all again; what is stored is already there")
    parser.add_argument("--accept-new-topic", action="store_true", help="go on although the topic was re-created")
    parser.add_argument("--max-messages", metavar="N", type=_count, help="end after so many messages")
    parser.add_argument("--idle-exit", metavar="SECONDS", type=_seconds, help="end after so long without a message")
    parser.add_argument("--batch-size", metavar="N", help="at most so many messages a transaction (5000)")
    parser.add_argument("--linger-ms", metavar="MS", help="wait at most so long for a batch, up to 250 (100)")
    parser.add_argument("--dry-run", action="store_true", help="do everything, then roll back; figures say would")
    parser.add_argument("--replay-rejects", action="store_true", help="judge open rejects of messages again, and end")
    parser.add_argument("--reason", metavar="NAME", help="with --replay-rejects: only those, e.g. unknown_site")
    return parser


def _count(text: str) -> int:
    """Read a number of at least one."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    """Read a positive number of seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def main(arguments: list[str] | None = None) -> int:
    """Run the consumer from the command line and return its exit code."""
    parser = consumer_parser()
    flags = parser.parse_args(arguments)
    if flags.reason and not flags.replay_rejects:
        parser.error("--reason goes with --replay-rejects")
    if flags.replay_rejects:
        return run_stage(flags, replay_rejects, with_database=True)
    return run_stage(flags, consume, with_database=True, others=(KafkaSettings, KafkaCredentials))


if __name__ == "__main__":
    exit_process(main())
