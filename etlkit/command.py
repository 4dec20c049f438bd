"""The boundary of every command: errors become one line and an exit code, signals roll back first.

Tracebacks go to the log file at DEBUG and never to the console.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from etlkit.errors import EXIT_FAILED, EtlError

SIGNAL_EXIT_BASE = 128


class Terminated(BaseException):
    """SIGTERM arrived; raised in the main thread so that open transactions roll back."""


def run_command(body: Callable[[], int], logger: logging.Logger, *, report: Callable[[int, str], None]) -> int:
    """Run body and return the process's exit code.

    `report(exit_code, message)` prints the outcome when body did not come to its own end: once, as the last line.
    """

    def terminate(_number: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        return body()
    except SystemExit:
        raise
    except BaseException as error:
        code, message = _explain(error)
        logger.debug("traceback of exit %s", code, exc_info=error)
    report(code, message)
    return code


def _explain(error: BaseException) -> tuple[int, str]:
    """Return the exit code of what stopped a command, and the line for its user."""
    if isinstance(error, EtlError):
        return error.exit_code, " ".join(str(error).split())
    if isinstance(error, KeyboardInterrupt):
        return SIGNAL_EXIT_BASE + signal.SIGINT, "interrupted; everything open was rolled back"
    if isinstance(error, Terminated):
        return SIGNAL_EXIT_BASE + signal.SIGTERM, "terminated by SIGTERM; everything open was rolled back"
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        what = error.strerror or " ".join(str(error).split())
        return EXIT_FAILED, f"{what}{where}. Nothing was loaded; free space or mend access, then run again."
    what = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return EXIT_FAILED, f"unexpected {what}. Nothing was loaded; the traceback is in the log file."
