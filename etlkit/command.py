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
    except EtlError as error:
        code, message = error.exit_code, " ".join(str(error).split())
    except KeyboardInterrupt:
        code, message = SIGNAL_EXIT_BASE + signal.SIGINT, "interrupted; everything open was rolled back"
    except Terminated:
        code, message = SIGNAL_EXIT_BASE + signal.SIGTERM, "terminated by SIGTERM; everything open was rolled back"
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        code = EXIT_FAILED
        message = f"{error.strerror or error}{where}. Nothing was loaded; free space or mend access, then run again."
    except Exception as error:  # noqa: BLE001 - the last boundary: a user gets a line, the log file the traceback
        code = EXIT_FAILED
        message = f"unexpected {type(error).__name__}: {' '.join(str(error).split())}. Nothing was loaded; see the log file."
    logger.debug("traceback of exit %s", code, exc_info=True)
    report(code, message)
    return code
