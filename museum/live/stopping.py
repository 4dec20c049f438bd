"""The consumer's end: SIGTERM, Ctrl-C and a closed terminal let the batch under way be finished, within a time.

The database driver and the Kafka client wait in C, where no Python handler runs; so a thread that the signal wakes
watches the clock. What was not committed by then is rolled back by the server and read again by the next consumer.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from etlkit.errors import EXIT_CLEAN
from etlkit.process import SIGNAL_EXIT_BASE, STOPPING_SIGNALS, heard_signals
from etlkit.signals import woken_by_signals

FINISH_SECONDS = 4.0
LEAVE_SECONDS = 4.0


@dataclass
class Stop:
    """The wish to end, and the signal that brought it."""

    signal: int | None = None

    @property
    def is_wanted(self) -> bool:
        """Tell whether a signal has arrived."""
        return self.signal is not None


@contextmanager
def orderly_stop(cancel: Callable[[], None], log: logging.Logger) -> Iterator[Stop]:
    """Note the first stopping signal instead of raising it; cancel after 4 seconds, end the process after 4 more."""
    stop = Stop()
    is_over = threading.Event()

    def note(number: int, _frame: FrameType | None) -> None:
        stop.signal = stop.signal or number

    def watch_the_clock(line: socket.socket) -> None:
        number = next((byte for byte in iter(lambda: line.recv(1), b"") if byte[0] in STOPPING_SIGNALS), None)
        if number is None or is_over.wait(FINISH_SECONDS):
            return
        with suppress(Exception):
            cancel()
        if not is_over.wait(LEAVE_SECONDS):
            log.error("the database or a broker does not answer; ending. What was not committed will be read again")
            _end_at_once(number[0])

    with ExitStack() as leaving:
        for number in heard_signals():
            leaving.callback(signal.signal, number, signal.signal(number, note))
        leaving.enter_context(woken_by_signals("orderly-stop", watch_the_clock))
        leaving.callback(is_over.set)
        yield stop


def _end_at_once(number: int) -> None:
    """End the process without waiting for anything that hangs."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(EXIT_CLEAN if number == signal.SIGTERM else SIGNAL_EXIT_BASE + number)
