"""The worker: takes messages one after the other, has each scored in a thread, and keeps it invisible meanwhile.

In come the messages of a queue, out go scores; a message goes after the commit, so that a kill at any moment only makes
it come again, which changes nothing. A signal sets a flag: no further message is taken, the one under way is finished
within the grace, else given back and rolled back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillAtWork
from contextlib import suppress
from typing import Any, TypeVar

from django.db import close_old_connections, connections

from etlkit.errors import EtlError, RetryableError
from file_monitoring.logs import words_of
from file_monitoring.monitor_settings import QueueSettings
from file_monitoring.services.events import BadMessage, Ignored, ObjectRef, parse_message
from file_monitoring.services.ingestion import NeverScored, process_s3_file
from file_monitoring.services.queue import Message, Queue, ReceiptLost

SLICE_SECONDS = 0.2
"""How often the flag is looked at while something is waited for."""
LONGEST_WORK = 11.5 * 3600
"""Seconds for which a message is kept invisible; SQS ends it at twelve hours."""
LONGEST_CLOCK = 12 * 3600 - 60
"""Seconds from its receipt on for which SQS keeps a message invisible, less a minute."""
WORRYING_COUNT = 3
ONCE_POLL_SECONDS = 1
"""A poll without any wait asks a part of the queue's servers only."""
QUIET_SECONDS = (1, 60)
"""The first and the longest wait after the queue did not answer."""

logger = logging.getLogger("file_monitoring")
Result = TypeVar("Result")


class Worker:
    """Takes messages until it is told to stop."""

    def __init__(self, queue: Queue, settings: QueueSettings, stop: threading.Event) -> None:
        """Begin with nothing counted."""
        self._queue = queue
        self._settings = settings
        self._stop = stop
        self.counts: Counter[str] = Counter()
        """Objects and messages by what became of them."""

    def run(self, *, once: bool, max_messages: int | None) -> None:
        """Take messages: with `once` until none is left, else until the flag is set or so many were taken."""
        taken, wait = 0, QUIET_SECONDS[0]
        poll = self._settings.worker_poll_seconds
        poll = min(poll, ONCE_POLL_SECONDS) if once else poll
        while not self._stop.is_set() and (max_messages is None or taken < max_messages):
            self._show_life()
            try:
                message = self._while_waiting(lambda: self._queue.receive(poll))
            except _Stopped:
                return
            except RetryableError as error:
                logger.error("%s Tried again in %s s.", error, wait)
                if once:
                    raise
                self._stop.wait(wait)
                wait = min(2 * wait, QUIET_SECONDS[1])
                continue
            wait = QUIET_SECONDS[0]
            if message is None and once:
                return
            if message is not None:
                taken += 1
                self._take(message)

    def _take(self, message: Message) -> None:
        """Have a message worked on, and let it go in the way that fits what became of it."""
        about = {"message_id": message.message_id, "receive_count": message.receive_count}
        if message.receive_count >= WORRYING_COUNT:
            logger.warning("this message comes for the %sth time", message.receive_count, extra=about)
        try:
            self._while_kept(message, lambda: self._work(message))
            self._queue.delete(message)
        except (BadMessage, NeverScored) as error:
            self._bury(message, str(error), about)
        except _Stopped:
            self.counts["given back"] += 1
            logger.warning("not finished within the grace; the message is given back", extra=about)
            self._queue.give_back(message, 0)
        except ReceiptLost as error:
            logger.warning("%s; whoever has the message now finds the work done", error, extra=about)
        except Exception as error:  # noqa: BLE001 - whatever it is, no message is lost and the next has its turn
            self.counts["tried again later"] += 1
            logger.error("not scored: %s", words_of(error), extra=about)
            self._queue.give_back(message)

    def _bury(self, message: Message, reason: str, about: dict[str, Any]) -> None:
        """Let go of a message that can never succeed."""
        self.counts["never scored"] += 1
        try:
            has_grave = self._queue.bury(message, reason)
        except (EtlError, ReceiptLost) as error:
            logger.error("%s", error, extra=about)
            self._queue.give_back(message)
            return
        where = "moved to the dead-letter queue" if has_grave else f"acknowledged: {message.body[:500]!a}"
        logger.error("never scored: %s; %s", reason, where, extra=about)

    def _work(self, message: Message) -> None:
        """Score every object of a message, in its order."""
        refs = parse_message(message.body)
        if isinstance(refs, Ignored):
            self.counts["ignored"] += 1
            logger.info("%s", refs.why, extra={"message_id": message.message_id})
            return
        never: list[str] = []
        later: Exception | None = None
        for ref in refs:  # each has its turn, whatever becomes of its brothers
            try:
                self._score(message, ref)
            except NeverScored as error:
                never.append(f"{ref.key!r}: {error}")
            except Exception as error:  # noqa: BLE001 - it goes up after its brothers
                later = later or error
        if later:
            raise later
        if never:
            raise NeverScored("; ".join(never))

    def _score(self, message: Message, ref: ObjectRef) -> None:
        """Score one object and say what became of it."""
        started = time.monotonic()
        close_old_connections()
        try:
            done = process_s3_file(ref.bucket, ref.key, ref=ref)
        finally:
            close_old_connections()
        self.counts[done.status] += 1
        told = {
            "message_id": message.message_id,
            "bucket": done.bucket,
            "key": done.key,
            "status": done.status,
            "monitoring_file_id": done.monitoring_file_id,
            "run_id": done.run_id,
            "milliseconds": round((time.monotonic() - started) * 1000),
        }
        if done.score:
            told |= {"score": done.score.score, "passed": done.score.passed}
        logger.info("%s", done.status, extra=told)

    def _while_kept(self, message: Message, work: Callable[[], None]) -> None:
        """Wait for work and keep its message invisible; raises what the work raises, or _Stopped after the grace."""
        timeout = self._settings.visibility_timeout
        beats = _Beats(self._queue, message, timeout)
        future = _in_thread(work)
        stopped_at: float | None = None
        while not _is_done(future):
            self._show_life()
            beats.beat_when_due()
            if self._stop.is_set():
                stopped_at = stopped_at or time.monotonic()
                if time.monotonic() - stopped_at >= self._settings.shutdown_grace:
                    raise _Stopped
        future.result()
        if beats.is_lost:
            raise ReceiptLost("the message was not kept invisible")

    def _while_waiting(self, work: Callable[[], Result]) -> Result:
        """Wait for work in a thread; raises _Stopped as soon as the flag is set."""
        future = _in_thread(work)
        while not _is_done(future):
            self._show_life()
            if self._stop.is_set():
                raise _Stopped
        return future.result()

    def _show_life(self) -> None:
        """Touch the file by whose age a probe sees that the loop turns."""
        if self._settings.worker_health_file:
            with suppress(OSError):  # a full disk stops no work; the probe sees it
                self._settings.worker_health_file.touch()


class _Stopped(Exception):
    """The flag was set and nothing is waited for any more."""


class _Beats:
    """Keeps a message invisible as long as it is worked on."""

    def __init__(self, queue: Queue, message: Message, timeout: int) -> None:
        """Begin with the clock that the message came with."""
        self._queue, self._message, self._timeout = queue, message, timeout
        self._started = self._last = time.monotonic()
        self.is_lost = False

    def beat_when_due(self) -> None:
        """Set the message's clock to twice the timeout, three times a timeout."""
        now = time.monotonic()
        if self.is_lost or now - self._last < self._timeout / 3 or now - self._started > LONGEST_WORK:
            return
        self._last = now
        try:
            age = now - self._started
            self._queue.keep_invisible(self._message, min(2 * self._timeout, int(LONGEST_CLOCK - age)))
        except ReceiptLost as error:
            self.is_lost = True
            logger.warning("%s", error, extra={"message_id": self._message.message_id})
        except EtlError as error:  # the next beat comes in time
            logger.warning("%s", error, extra={"message_id": self._message.message_id})


def _in_thread(work: Callable[[], Result]) -> Future[Result]:
    """Begin work in a thread that does not keep the process alive, with database connections of its own."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised where the future is waited for
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            connections.close_all()

    threading.Thread(target=run, daemon=True, name="work").start()
    return future


def _is_done(future: Future[Any]) -> bool:
    """Wait a moment; tell whether the work has ended."""
    try:
        future.exception(timeout=SLICE_SECONDS)
    except StillAtWork:
        return False
    return True
