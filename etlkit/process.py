"""How a process begins and ends: what happens to it before and after its own code is told in one line.

Needs nothing but the standard library, of an older Python than the rest too, since it says what is missing of the rest.
"""

from __future__ import annotations

import atexit
import os
import platform
import signal
import sys
from contextlib import suppress
from types import FrameType, TracebackType
from typing import NoReturn, TextIO

from etlkit.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_UNTOLD

SIGNAL_EXIT_BASE = 128
STOPPING_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
_STREAMS = 3


def begin(setup: str = "make setup") -> None:
    """Be ready for a signal, a missing module and a closed or full stream; `setup` is what brings the modules.

    The first call of a program, before the imports that take time or may fail.
    """

    def tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not isinstance(error, ImportError):
            sys.__excepthook__(kind, error, trace)
            return
        _say(missing(error, setup))
        os._exit(EXIT_CONFIG)

    _occupy_closed_streams()
    for number in heard_signals():
        signal.signal(number, _end_at_once)
    sys.excepthook = tell
    atexit.register(_flush)


def heard_signals() -> list[signal.Signals]:
    """Return the stopping signals that whoever started us does not want ignored, as nohup does."""
    return [number for number in STOPPING_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def missing(error: ImportError, setup: str) -> str:
    """Return the line for a module that this Python lacks."""
    where = f"Python {platform.python_version()}, {sys.executable}"
    return f"error: {error} ({where}). Run {setup}, then .venv/bin/python instead. Nothing was touched."


def exit_process(exit_code: int) -> NoReturn:
    """End the process; after a failure or a signal at once: threads of libraries may hang on a stalled peer."""
    if exit_code <= SIGNAL_EXIT_BASE and exit_code != EXIT_FAILED:
        for number in heard_signals():  # what was done is told; a signal only hastens the end
            signal.signal(number, lambda *_: os._exit(exit_code))
        sys.exit(exit_code)
    for stream in (sys.stdout, sys.stderr):
        flush(stream)
    os._exit(exit_code)


def flush(stream: TextIO) -> OSError | None:
    """Write out what a stream holds back; return why it takes no more, and lose what is still to come on it."""
    try:
        stream.flush()
    except OSError as error:
        point_at_nothing(stream)
        return error
    return None


def point_at_nothing(stream: TextIO) -> None:
    """Send what is still to come on a stream to the null device, so that the process's end does not fail on it."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)


def _end_at_once(number: int, _frame: FrameType | None) -> None:
    """End a process that has not begun its work, or has done it."""
    _say(f"stopped by {signal.Signals(number).name}")
    os._exit(SIGNAL_EXIT_BASE + number)


def _say(line: str) -> None:
    """Write a line on standard error, whatever became of the stream."""
    with suppress(OSError):
        os.write(2, f"{line}\n".encode())


def _occupy_closed_streams() -> None:
    """Let closed standard streams be some that refuse what is written, so that no file or socket takes their place."""
    for number in range(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)  # the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace")


def _flush() -> None:
    """Write out what plain prints have left, as --help does; without it Python ends with 120 for a full disk."""
    error = flush(sys.stdout)
    flush(sys.stderr)
    if error is not None and not isinstance(error, BrokenPipeError):
        _say(f"error: standard output could not be written: {error}")
        os._exit(EXIT_UNTOLD)
