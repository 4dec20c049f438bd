"""The boundary of every command: errors become one line and an exit code, signals roll back first.

Tracebacks go to the log file at DEBUG and never to the console.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from etlkit.errors import EXIT_FAILED, EtlError

SIGNAL_EXIT_BASE = 128
STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


_received: list[int] = []


class Terminated(BaseException):
    """SIGTERM arrived; raised in the main thread so that open transactions roll back."""


def run_command(body: Callable[[], int], logger: logging.Logger, *, report: Callable[[int, str], None]) -> int:
    """Run body and return the process's exit code.

    `report(exit_code, message)` prints the outcome when body did not come to its own end: once, as the last line.
    """
    received = _received
    received.clear()

    def stop(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            return  # the first one is being obeyed
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    previous = {number: signal.signal(number, stop) for number in STOPPING_SIGNALS}
    try:
        return body()
    except SystemExit:
        raise
    except BaseException as error:
        # a library that was waiting in C may have turned the signal's exception into one of its own
        code, message = _explain_signal(received[0]) if received else _explain(error)
        logger.debug("traceback of exit %s", code, exc_info=error)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    report(code, message)
    return code


def stopping_signal() -> str | None:
    """Return the name of the signal that is ending the command, None when there was none."""
    return signal.Signals(_received[0]).name if _received else None


def exit_process(exit_code: int) -> NoReturn:
    """End the process; after a signal at once, without waiting for library threads that may hang on a stalled peer."""
    if exit_code <= SIGNAL_EXIT_BASE:
        sys.exit(exit_code)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(exit_code)


def _explain_signal(number: int) -> tuple[int, str]:
    """Return the exit code of a signal, and the line for the user."""
    return SIGNAL_EXIT_BASE + number, f"stopped by {signal.Signals(number).name}; everything open was rolled back"


def _explain(error: BaseException) -> tuple[int, str]:
    """Return the exit code of what stopped a command, and the line for its user."""
    if isinstance(error, EtlError):
        return error.exit_code, " ".join(str(error).split())
    if isinstance(error, KeyboardInterrupt):
        return _explain_signal(signal.SIGINT)
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        what = error.strerror or " ".join(str(error).split())
        return EXIT_FAILED, f"{what}{where}. Nothing was loaded; free space or mend access, then run again."
    what = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return EXIT_FAILED, f"unexpected {what}. Nothing was loaded; the traceback is in the log file."
