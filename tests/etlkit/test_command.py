"""The boundary of a command: what its user reads, and how the process ends."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest

from etlkit.command import run_command
from etlkit.errors import ConfigError, DataError, LoadError, LockedError, RetryableError, SourceError
from etlkit.signals import Terminated

PROJECT_DIR = Path(__file__).resolve().parents[2]
WAITER = """
import logging
import sys
import time

from etlkit.command import run_command


def body():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("rolled back")


sys.exit(run_command(body, logging.getLogger("waiter"), report=lambda code, text: print(code, text)))
"""


@pytest.fixture
def outcome(logger):
    """Return a function that runs a body and returns the exit code and what was reported."""

    def run(body):
        reported = []
        code = run_command(body, logger, report=lambda *said: reported.append(said))
        return code, reported

    return run


def raising(error):
    def body():
        raise error

    return body


@pytest.mark.parametrize("code", [0, 3])
def test_a_body_that_ends_well_says_so_itself(outcome, code):
    assert outcome(lambda: code) == (code, [])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("which port?"), 2),
        (SourceError("no bucket"), 1),
        (RetryableError("no answer"), 1),
        (DataError("it shrank"), 1),
        (LoadError("refused"), 1),
        (LockedError("taken"), 4),
    ],
)
def test_an_error_is_its_exit_code_and_its_message(outcome, error, code):
    assert outcome(raising(error)) == (code, [(code, str(error))])


def test_a_message_of_many_lines_becomes_one(outcome):
    assert outcome(raising(LoadError("refused:\n  LINE 1: select\n\t^\n"))) == (1, [(1, "refused: LINE 1: select ^")])


def test_an_unexpected_error_is_named_in_one_line(outcome):
    code, [(reported, message)] = outcome(raising(ZeroDivisionError("by\nzero")))
    assert (code, reported) == (1, 1)
    assert message.startswith("unexpected ZeroDivisionError: by zero.")
    assert "the traceback is in the log file" in message


def test_an_error_of_the_driver_that_nobody_explained_is_one_line(outcome):
    _code, [(_reported, message)] = outcome(raising(psycopg2.OperationalError("server closed\n\tthe connection\n")))
    assert message.startswith("unexpected OperationalError: server closed the connection.")


def test_an_error_of_the_disk_names_the_file(outcome, tmp_path):
    code, [(_reported, message)] = outcome((tmp_path / "absent.csv").read_text)
    assert code == 1
    assert message.startswith(f"No such file or directory ({tmp_path / 'absent.csv'}). ")


def test_an_error_of_the_system_without_a_file_is_told(outcome):
    _code, [(_reported, message)] = outcome(raising(TimeoutError("the read timed out")))
    assert message.startswith("the read timed out. ")


def test_control_c_is_130(outcome):
    code, [(reported, message)] = outcome(raising(KeyboardInterrupt()))
    assert (code, reported) == (130, 130)
    assert message == "stopped by SIGINT; everything open was rolled back"


def test_sigterm_is_143_and_rolls_back_before_it_is_reported(logger):
    order = []

    def body():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            order.append("rolled back")

    assert run_command(body, logger, report=lambda code, _text: order.append(code)) == 143
    assert order == ["rolled back", 143]


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_that_a_library_turned_into_its_own_error_is_still_a_signal(outcome, number, expected):
    def body():
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        except BaseException as error:
            raise LoadError("COPY from stdin failed") from error

    code, [(reported, message)] = outcome(body)
    assert (code, reported) == (expected, expected)
    assert message == f"stopped by {number.name}; everything open was rolled back"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("body", [lambda: 0, lambda: 1 / 0], ids=["well", "badly"])
def test_the_handlers_of_others_are_put_back_however_it_ends(outcome, number, body):
    before = signal.getsignal(number)
    outcome(body)
    assert signal.getsignal(number) is before


def test_no_stage_can_swallow_sigterm_by_catching_exceptions():
    assert not issubclass(Terminated, Exception)


def test_the_end_that_argparse_wants_is_left_alone(outcome):
    with pytest.raises(SystemExit, match="2"):
        outcome(raising(SystemExit(2)))


def test_the_traceback_goes_to_the_log_at_debug_only(outcome, caplog):
    outcome(raising(LoadError("refused")))
    assert [(line.levelno, line.message) for line in caplog.records] == [(logging.DEBUG, "traceback of exit 1")]
    assert "raise error\netlkit.errors.LoadError: refused" in caplog.text


def test_a_process_that_is_terminated_says_one_line():
    with subprocess.Popen(
        [sys.executable, "-c", WAITER], cwd=PROJECT_DIR, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        try:
            output, _nothing = process.communicate(timeout=20)
        finally:
            process.kill()
    assert output == "rolled back\n143 stopped by SIGTERM; everything open was rolled back\n"
    assert process.returncode == 143
