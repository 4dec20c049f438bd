"""The boundary of every command: errors become one line and an exit code, signals roll back first.

Tracebacks go to the log file at DEBUG and never to the console.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable

from etlkit.errors import EXIT_FAILED, EtlError
from etlkit.process import SIGNAL_EXIT_BASE
from etlkit.signals import raised_signals, stopping_signal


def run_command(body: Callable[[], int], logger: logging.Logger, *, report: Callable[[int, str], None]) -> int:
    """Run body and return the process's exit code.

    `report(exit_code, message)` prints the outcome when body did not come to its own end: once, as the last line.
    """
    with raised_signals():
        try:
            return body()
        except SystemExit:
            raise
        except BaseException as error:
            # a library that was waiting in C may have turned the signal's exception into one of its own
            number = stopping_signal()
            code, message = _explain_signal(number) if number else explain(error)
            logger.debug("traceback of exit %s", code, exc_info=error)
    report(code, message)
    return code


def explain(error: BaseException, became: str = "Nothing was loaded") -> tuple[int, str]:
    """Return the exit code of what stopped a command, and the line for its user; `became` is of what was under way."""
    if isinstance(error, EtlError):
        return error.exit_code, " ".join(str(error).split())
    if isinstance(error, KeyboardInterrupt):
        return _explain_signal(signal.SIGINT)
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        what = error.strerror or " ".join(str(error).split())
        return EXIT_FAILED, f"{what}{where}. {became}; free space or mend access, then run again."
    what = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return EXIT_FAILED, f"unexpected {what}. {became}; the traceback is in the log file."


def _explain_signal(number: signal.Signals) -> tuple[int, str]:
    """Return the exit code of a signal, and the line for the user."""
    return SIGNAL_EXIT_BASE + number, f"stopped by {number.name}; everything open was rolled back"
