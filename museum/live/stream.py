"""The live stream: follows the consumer group, claims partitions, stores batches, and outlasts what breaks.

In come the messages of a topic's partitions, out go stored batches and the run's figures. What the database did not
commit is read again, so that a stream which ends at any point is safe to start once more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

import psycopg2

from etlkit.errors import ConfigError, DataError, EtlError, LoadError, RetryableError, SourceError
from etlkit.postgres import server_words
from museum.database import database_settings
from museum.live.batch import BatchInDoubt, LiveRules
from museum.live.claims import Claim, Fenced
from museum.live.figures import LiveFigures
from museum.live.session import LiveSession, is_permanent
from museum.live.settings import KafkaSettings
from museum.live.stopping import Stop
from museum.live.topic import BUSY_REQUEST_SECONDS, FIRST_REQUEST_SECONDS, KafkaTopic, LiveMessage, TopicChanged
from museum.settings import Command

REPORT_SECONDS = 60.0
CLAIM_SECONDS = 0.5
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
PATIENCE_SECONDS = 60.0
"""How long --idle-exit waits for a database, a broker or a lock before it gives up."""


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
        self._database = database_settings(command, log)
        self._minute = LiveFigures()
        self._reached: dict[int, int] = {}
        self._holders: dict[int, str] = {}
        self._claim_pauses: dict[int, float] = {}
        self._next_claims: dict[int, float] = {}
        self._in_doubt: BatchInDoubt | None = None
        self._pause = FIRST_PAUSE
        self._troubles: dict[str, None] = {}
        now = time.monotonic()
        self._next_session = now
        self._last_activity = now
        self._last_progress = now
        self._next_report = now + REPORT_SECONDS
        self.session = self._open_session()
        self.session.start_history()

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
        """Write the run's last word, over a new connection where the old one is lost."""
        for _attempt in range(2):
            try:
                self.session = self.session or self._open_session()
                self._settle_doubt(self.session)
                self.open_rejects = self.session.complete_history(self.figures, self.lag())
            except (EtlError, psycopg2.Error) as error:
                reason = _told(error)
                if self.session is not None:
                    self.session.close()
                    self.session = None
            else:
                return
        self._log.warning("what was stored stays, but the run's end could not be recorded: %s", reason)

    def fail(self, message: str) -> None:
        """Mark the run failed."""
        if self.session is not None:
            self.session.fail_history(message)

    def close(self) -> None:
        """Give everything back, locks first, so that a new owner need not wait."""
        if self.session is not None:
            self.session.close()
        self._topic.close()

    def break_off(self) -> None:
        """Break off the statement under way."""
        if self.session is not None:
            self.session.break_off()

    def lag(self) -> int | None:
        """Return how many offsets of our partitions are still to come, None while one is unknown or not yet ours."""
        if self._topic.assigned != self.claims.keys():
            return None
        behind = [self._topic.behind(partition, claim.position) for partition, claim in self.claims.items()]
        known = [count for count in behind if count is not None]
        return sum(known) if len(known) == len(behind) else None

    def _is_done(self) -> bool:
        """Tell whether --max-messages or --idle-exit is reached; while something is broken nobody idles.

        Raises SourceError when --idle-exit was given and what is broken stays so for long.
        """
        flags, now = self._flags, time.monotonic()
        if flags.max_messages is not None and self.figures.consumed >= flags.max_messages:
            return True
        is_settled = self._topic.assigned == self.claims.keys() and not self._topic.errors.is_down
        if self.session is None or not is_settled:
            self._last_activity = now
        if flags.idle_exit is None:
            return False
        if now - self._last_activity >= flags.idle_exit and self._has_reached_the_end():
            return True
        patience = flags.idle_exit + PATIENCE_SECONDS
        if now - self._last_progress >= patience:
            raise SourceError(
                f"gave up after {patience:.0f} s: {self._unsettled()}. What was stored stays; start again for the rest."
            )
        return False

    def _has_reached_the_end(self) -> bool:
        """Ask the brokers whether silence means that nothing is left, and not that they hang."""
        self._last_activity = time.monotonic()
        try:
            ends = self._topic.ends(self.claims)
        except RetryableError as error:
            self._topic.errors.is_down = True
            self._trouble(str(error))
            return False
        return all(self._topic.reached(place, claim.position) >= ends[place] for place, claim in self.claims.items())

    def _unsettled(self) -> str:
        """Return what keeps us from reading."""
        if self.session is None:
            return next(reversed(self._troubles), "the database is away")
        words = self._topic.errors.words
        if self._topic.errors.is_down:
            return f"no broker answers: {words}"
        if self._topic.assigned is None:
            return f"the group gives no partitions{': ' if words else ''}{words}"
        waiting = sorted(self._topic.assigned - self.claims.keys())
        held = [f"{self._topic.name}[{one}] is held by {self._holders[one]}" for one in waiting if one in self._holders]
        return "; ".join(held) or next(reversed(self._troubles), "nothing comes, but the end is not reached")

    def _limit(self) -> int:
        """Return how many messages the next batch may have."""
        largest: int = self._kafka.museum_batch_size
        most: int | None = self._flags.max_messages
        return largest if most is None else min(largest, most - self.figures.consumed)

    def _is_next(self, message: LiveMessage) -> bool:
        """Tell whether a message is of a partition that we own, and not behind it."""
        claim = self.claims.get(message.partition)
        return claim is not None and message.offset >= claim.position

    def _open_session(self) -> LiveSession:
        """Connect to the database of the start; a private server that was stopped since is not started again."""
        return LiveSession(self._command, self._database, self._topic, self._rules, self._log)

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
            claimed = self._claim(self.session, assigned - self.claims.keys())
            if has_changed or claimed:
                self._topic.read_from({partition: claim.position for partition, claim in self.claims.items()})
            if claimed:
                starts = ", ".join(f"[{one}] from {self.claims[one].position:,}" for one in claimed)
                self._log.info("reading %s%s", self._topic.name, starts)
            self.session.keep_alive()
        except RetryableError as error:
            self._trouble(str(error))
        except (psycopg2.Error, LoadError) as error:
            self._lose_session(error)

    def _hold_session(self) -> None:
        """Open the database again when it was lost and it is time to try."""
        if self.session is None and time.monotonic() >= self._next_session:
            try:
                self.session = self._open_session()
            except ConfigError as error:  # a password that was changed, say; a new start reads it
                raise DataError(f"the database does not let us in any more: {error} What was stored stays.") from error
            self._settle_doubt(self.session)
            self.session.update_history(self.figures, self.lag())
            self._log.info("the database is back")
            self._troubles.clear()

    def _settle_doubt(self, session: LiveSession) -> None:
        """Find out whether a commit without an answer went through: the run's counts were in the same transaction."""
        doubt = self._in_doubt
        if doubt is not None and session.processed() == self.figures.consumed + doubt.figures.consumed:
            self._minute.add(doubt.figures)
            self.figures.add(doubt.figures)
            self._reached.update(doubt.ends)
        self._in_doubt = None

    def _claim(self, session: LiveSession, partitions: Iterable[int]) -> list[int]:
        """Try to claim partitions, each by itself; return those that are ours now."""
        claimed = []
        for partition in sorted(partitions):
            if time.monotonic() < self._next_claims.get(partition, 0.0):
                continue
            self._next_claims[partition] = time.monotonic() + CLAIM_SECONDS
            found: Claim | str
            try:
                if self._command.dry_run:
                    found = session.ledger.look_at(partition)
                else:
                    seconds = BUSY_REQUEST_SECONDS if self.claims else FIRST_REQUEST_SECONDS
                    accepts = self._flags.accept_new_topic
                    found = session.ledger.claim(partition, seconds, accept_new_topic=accepts)
            except RetryableError as error:
                self._trouble(str(error))
                pause = min(2 * self._claim_pauses.get(partition, CLAIM_SECONDS), LONGEST_PAUSE)
                self._claim_pauses[partition] = pause
                self._next_claims[partition] = time.monotonic() + pause
                break  # the others are tried after the next poll
            if isinstance(found, Claim):
                self._begin(partition, found)
                claimed.append(partition)
            elif self._holders.get(partition) != found:
                self._holders[partition] = found
                self._log.info("%s[%s] is still held by %s; waiting", self._topic.name, partition, found)
        return claimed

    def _begin(self, partition: int, claim: Claim) -> None:
        """Take up a claimed partition."""
        self._holders.pop(partition, None)
        self._claim_pauses.pop(partition, None)
        if claim.deleted:
            self._minute.deleted_by_retention += claim.deleted
            self.figures.deleted_by_retention += claim.deleted
            self._log.warning(
                "%s[%s]: a gap: retention deleted up to %s messages, offsets %s to %s, before they were read",
                self._topic.name, partition, f"{claim.deleted:,}", f"{claim.found:,}", f"{claim.first - 1:,}",
            )  # fmt: skip
        claim.position = start_offset(
            claim,
            self._reached.get(partition),
            from_beginning=self._flags.from_beginning,
            dry_run=self._command.dry_run,
        )
        self.claims[partition] = claim
        self._last_activity = time.monotonic()

    def _store(self, messages: list[LiveMessage]) -> None:
        """Store a batch; whatever the database did not commit is read again later."""
        if not messages or self.session is None:
            return
        batch = LiveFigures()
        try:
            asked = self._topic.ask_identity()
            self.session.batches.store(messages, self.claims, batch, lambda: self._topic.confirm_identity(asked))
            self._pause = FIRST_PAUSE
            self._last_progress = time.monotonic()
            self._troubles.clear()
        except Fenced:
            self._log.warning("another consumer took over; the batch was rolled back")
            self._give_up_claims()
        except TopicChanged:
            self._log.warning("%s is another topic now; the batch was rolled back", self._topic.name)
            self._give_up_claims()
            self._reached.clear()
        except RetryableError as error:
            self._trouble(f"{error}; the batch was rolled back")
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
            self._topic.commit({partition: claim.stored for partition, claim in self.claims.items()})

    def _give_up_claims(self) -> None:
        """Stop reading, give back the locks, and claim anew from what the ledger says."""
        given_up = list(self.claims)
        self.claims.clear()
        with suppress(RetryableError):  # a client beyond repair says so at the next poll
            self._topic.read_from({})
        if self.session is not None and not self._command.dry_run:
            with suppress(psycopg2.Error):
                self.session.ledger.release(given_up)

    def _lose_session(self, error: Exception) -> None:
        """Stop reading and come back later; raises LoadError when no waiting helps."""
        if is_permanent(error):
            raise LoadError(f"the database refuses: {_told(error)}. What was committed stays.") from error
        if self.session is not None:
            self._in_doubt = self.session.batches.in_doubt or self._in_doubt
            self.session.close()
            self.session = None
        self.claims.clear()
        with suppress(RetryableError):
            self._topic.read_from({})
        self._trouble(f"database: {_told(error)}; waiting for it, nothing is lost")
        self._next_session = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _trouble(self, message: str) -> None:
        """Tell of a trouble that passes, once for as long as it lasts."""
        self._log.log(logging.DEBUG if message in self._troubles else logging.WARNING, "%s", message)
        self._troubles[message] = None

    def _report(self) -> None:
        """Print the minute's line and keep the run's figures."""
        self._log.info("live %s", self._minute.line(self.lag(), would(self._command)))
        self._minute = LiveFigures()
        self._next_report = time.monotonic() + REPORT_SECONDS
        try:
            if self.session is not None:
                self.session.update_history(self.figures, self.lag())
                self.session.fold_hours()
        except (psycopg2.Error, LoadError) as error:
            self._lose_session(error)


def start_offset(claim: Claim, reached: int | None, *, from_beginning: bool, dry_run: bool) -> int:
    """Return where reading a claimed partition begins, given how far this process has read it before."""
    if from_beginning:
        again = claim.first if reached is None else reached
        return max(claim.first, again if dry_run else min(again, claim.stored))
    return max(claim.position, reached or 0) if dry_run else claim.position


def _live_rules(command: Command) -> LiveRules:
    """Return the rules for messages; the present moves on unless --now holds it."""
    museum = command.museum
    if command.flags.now is not None:
        return LiveRules(museum.live_rules, lambda: command.latest_at, museum.museum_live_create_time)
    return LiveRules(museum.live_rules, lambda: command.latest_at_of(datetime.now(UTC)), museum.museum_live_create_time)


def _told(error: Exception) -> str:
    """Return the first sentence of what the driver said, else the error's own words."""
    cause = error if isinstance(error, psycopg2.Error) else error.__cause__
    return server_words(cause) if isinstance(cause, psycopg2.Error) else str(error).rstrip(".")


def would(command: Command) -> str:
    """Return how a dry run speaks of what it did."""
    return "would be " if command.dry_run else ""
