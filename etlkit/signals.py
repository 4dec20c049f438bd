"""Stopping signals: raised in Python so that open transactions roll back, and passed on to a statement under way."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psycopg2

from etlkit.postgres import Connection
from etlkit.process import STOPPING_SIGNALS, heard_signals

_received: list[int] = []


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived; raised in the main thread so that open transactions roll back."""


@contextmanager
def raised_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt or Terminated for the first stopping signal inside; the later ones are ignored.

    A signal that was ignored when the process began stays so, as nohup asks for SIGHUP.
    """
    _received.clear()

    def stop(number: int, _frame: FrameType | None) -> None:
        _received.append(number)
        if len(_received) > 1:
            return  # the first one is being obeyed
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    previous = {number: signal.signal(number, stop) for number in heard_signals()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def stopping_signal() -> signal.Signals | None:
    """Return the signal that is ending the command, None when there was none."""
    return signal.Signals(_received[0]) if _received else None


@contextmanager
def cancelled_by_signals(connection: Connection) -> Iterator[None]:
    """Cancel the statement under way when a signal arrives, so that its Python handler runs at once.

    The driver waits in C, where no Python handler runs; a thread that the signal wakes sends the cancel request.
    Works in the main thread only, where signals are delivered; elsewhere it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def cancel_on_wakeup(line: socket.socket) -> None:
        while data := line.recv(64):
            if any(number in STOPPING_SIGNALS for number in data) and not connection.closed:
                with suppress(psycopg2.Error):
                    connection.cancel()

    with woken_by_signals("cancel-on-signal", cancel_on_wakeup):
        yield


@contextmanager
def woken_by_signals(name: str, watch: Callable[[socket.socket], None]) -> Iterator[None]:
    """Run a thread that hears of every signal while inside, by its number as a byte on a socket that ends with it."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    previous = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=watch, args=(ours,), name=name, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        theirs.close()
        watcher.join(timeout=5)
        ours.close()
