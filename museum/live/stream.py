"""The live stream: follows the consumer group, claims partitions, stores batches, and outlasts what breaks.

In come the messages of a topic's partitions, out go stored batches and the run's figures. What the database did not
commit is read again, so that a stream which ends at any point is safe to start once more.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

import psycopg2

from etlkit.errors import ConfigError, DataError, EtlError, LoadError, RetryableError, SourceError
from museum.command import Command
from museum.database import database_settings
from museum.live.batch import BatchInDoubt, LiveRules
from museum.live.claims import Fenced
from museum.live.live_summary import LiveReport, LiveSummary, told
from museum.live.partitions import LONGEST_PAUSE, Partitions
from museum.live.session import LiveSession, is_permanent
from museum.live.stopping import Stop
from museum.live.topic import KafkaTopic
from museum.live.topic_identity import LiveMessage, TopicChanged
from museum.settings import KafkaSettings

FIRST_PAUSE = 0.5
PATIENCE_SECONDS = 60.0
"""How long --idle-exit waits for a database, a broker or a lock before it gives up."""


class LiveStream:
    """One consumer at work: follows the group, claims partitions, stores batches, and outlasts broken connections."""

    def __init__(self, command: Command, topic: KafkaTopic, kafka: KafkaSettings, log: logging.Logger) -> None:
        """Open the database; raises what `LiveSession` raises."""
        self.report = LiveReport(log, dry_run=command.dry_run)
        self._command = command
        self._topic = topic
        self._kafka = kafka
        self._log = log
        self._partitions = Partitions(topic, command.flags, self.report, log)
        self._database = database_settings(command, log)
        self._in_doubt: BatchInDoubt | None = None
        self._pause = FIRST_PAUSE
        self._next_session = self._last_activity = self._last_progress = time.monotonic()
        self._session: LiveSession | None = self._open_session()
        self._session.start_history()

    def run(self, stop: Stop) -> None:
        """Consume until a signal, --max-messages or --idle-exit ends it."""
        if self._command.dry_run:
            self._topic.assigned = frozenset(self._topic.partitions)  # joins no group, so nobody else loses one
        else:
            self._topic.join()
        largest, most = self._kafka.museum_batch_size, self._command.flags.max_messages
        while not stop.is_wanted and not self._is_done():
            self._follow_group()
            limit = largest if most is None else min(largest, most - self.report.total.consumed)
            messages = self._topic.poll(limit, self._kafka.museum_linger_ms / 1000)
            self._store([message for message in messages if self._partitions.is_next(message)])
            if self.report.is_due:
                self._tell_minute()

    def end(self) -> LiveSummary:
        """Write the run's last word, over a new connection where the old one is lost; return what the run did."""
        self.report.total.lag = self._partitions.lag
        for _attempt in range(2):
            try:
                self._session = self._session or self._open_session()
                self._settle_doubt(self._session)
                self._session.complete_history(self.report.total)
            except (EtlError, psycopg2.Error) as error:
                reason = told(error)
                if self._session is not None:
                    self._session.close()
                    self._session = None
            else:
                return self.report.total
        self._log.warning("what was stored stays, but the run's end could not be recorded: %s", reason)
        return self.report.total

    def fail(self, message: str) -> None:
        """Mark the run failed."""
        if self._session is not None:
            self._session.fail_history(message)

    def close(self) -> None:
        """Give everything back, locks first, so that a new owner need not wait."""
        if self._session is not None:
            self._session.close()
        self._topic.close()

    def break_off(self) -> None:
        """Break off the statement under way."""
        if self._session is not None:
            self._session.break_off()

    def _is_done(self) -> bool:
        """Tell whether --max-messages or --idle-exit is reached; raises SourceError when what is broken stays so."""
        flags, now = self._command.flags, time.monotonic()
        if flags.max_messages is not None and self.report.total.consumed >= flags.max_messages:
            return True
        if self._session is None or not self._partitions.are_all_ours or self._topic.errors.is_down:
            self._last_activity = now  # while something is broken nobody idles
        if flags.idle_exit is None:
            return False
        if now - self._last_activity >= flags.idle_exit and self._has_reached_the_end():
            return True
        patience = flags.idle_exit + PATIENCE_SECONDS
        if now - self._last_progress >= patience:
            problem = f"gave up after {patience:.0f} s: {self._unsettled()}."
            raise SourceError(problem, "What was stored stays; start again for the rest.")
        return False

    def _has_reached_the_end(self) -> bool:
        """Ask the brokers whether silence means that nothing is left, and not that they hang."""
        self._last_activity = time.monotonic()
        claims = self._partitions.claims
        try:
            ends = self._topic.identity.ends(claims)
        except RetryableError as error:
            self._topic.errors.is_down = True
            self.report.tell_trouble(str(error))
            return False
        return all(self._topic.reached(one, claim.position) >= ends[one] for one, claim in claims.items())

    def _unsettled(self) -> str:
        """Return what keeps us from reading."""
        if self._session is None:
            return self.report.last_trouble or "the database is away"
        words = self._topic.errors.words
        if self._topic.errors.is_down:
            return f"no broker answers: {words}"
        if self._topic.assigned is None:
            return f"the group gives no partitions{': ' if words else ''}{words}"
        reason = self._partitions.held_by_others or self.report.last_trouble
        return reason or "nothing comes, but the end is not reached"

    def _open_session(self) -> LiveSession:
        """Connect to the database of the start; a private server that was stopped since is not started again."""
        museum = self._command.museum
        rules = LiveRules(museum.live_rules, self._latest_at, museum.museum_live_create_time)
        return LiveSession(self._command, self._database, self._topic, rules, self._log)

    def _latest_at(self) -> datetime:
        """Return the latest moment that is not yet the future; the present moves on unless --now holds it."""
        return self._command.latest_at_of(datetime.now(UTC) if self._command.flags.now is None else self._command.now)

    def _follow_group(self) -> None:
        """Hold on to the database, and follow the group."""
        try:
            self._hold_session()
            if self._session is not None:
                if self._partitions.follow_group(self._session.ledger):
                    self._last_activity = time.monotonic()
                self._session.keep_alive()
        except RetryableError as error:
            self.report.tell_trouble(str(error))
        except (psycopg2.Error, LoadError) as error:
            self._lose_session(error)

    def _hold_session(self) -> None:
        """Open the database again when it was lost and it is time to try."""
        if self._session is None and time.monotonic() >= self._next_session:
            try:
                self._session = self._open_session()
            except ConfigError as error:  # a password that was changed, say; a new start reads it
                raise DataError(f"the database does not let us in any more: {error} What was stored stays.") from error
            self._settle_doubt(self._session)
            self.report.total.lag = self._partitions.lag
            self._session.update_history(self.report.total)
            self._log.info("the database is back")
            self.report.forget_troubles()

    def _settle_doubt(self, session: LiveSession) -> None:
        """Find out whether a commit without an answer went through: the run's counts were in the same transaction."""
        doubt = self._in_doubt
        if doubt is not None and session.processed() == self.report.total.consumed + doubt.summary.consumed:
            self.report.add(doubt.summary)
            self._partitions.reached.update(doubt.ends)
        self._in_doubt = None

    def _store(self, messages: list[LiveMessage]) -> None:
        """Store a batch; whatever the database did not commit is read again later."""
        if not messages or self._session is None:
            return
        session, partitions = self._session, self._partitions
        batch = LiveSummary()
        try:
            session.batches.store(messages, partitions.claims, batch, self._topic.identity.ask_identity())
            self._pause = FIRST_PAUSE
            self._last_progress = time.monotonic()
            self.report.forget_troubles()
        except Fenced:
            self._log.warning("another consumer took over; the batch was rolled back")
            partitions.give_up(session.ledger)
        except TopicChanged:
            self._log.warning("%s is another topic now; the batch was rolled back", self._topic.name)
            partitions.give_up(session.ledger)
            partitions.reached.clear()
        except RetryableError as error:
            self.report.tell_trouble(f"{error}; the batch was rolled back")
            partitions.give_up(session.ledger)
        except (psycopg2.Error, LoadError) as error:
            self._lose_session(error)
        finally:
            self.report.add(batch)
        self._last_activity = time.monotonic()
        partitions.note_stored()

    def _lose_session(self, error: Exception) -> None:
        """Stop reading and come back later; raises LoadError when no waiting helps."""
        if is_permanent(error):
            raise LoadError(f"the database refuses: {told(error)}. What was committed stays.") from error
        if self._session is not None:
            self._in_doubt = self._session.batches.in_doubt or self._in_doubt
            self._session.close()
            self._session = None
        self._partitions.give_up(None)
        self.report.tell_trouble(f"database: {told(error)}; waiting for it, nothing is lost")
        self._next_session = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _tell_minute(self) -> None:
        """Print the minute's line and keep the run's figures."""
        self.report.tell_minute(self._partitions.lag)
        try:
            if self._session is not None:
                self._session.update_history(self.report.total)
                self._session.fold_hours()
        except (psycopg2.Error, LoadError) as error:
            self._lose_session(error)
