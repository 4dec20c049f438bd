"""The beginning and the end of a process: signals, missing modules, streams that are closed, full or ignored."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from etlkit.testing import SLOW_MODULE

PROJECT_DIR = Path(__file__).resolve().parents[2]
SIGNALS = [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)]
PROGRAM = """
from etlkit.process import begin
begin()

import logging, socket, sys, time
from etlkit.console import Outcome, Session, run_session
from etlkit.logs import configure_logging
from etlkit.process import exit_process

words, log_file = sys.argv[1].split(), sys.argv[2]


def open_session():
    console = sys.stderr if "json" in words else sys.stdout
    return Session(configure_logging("program", None if log_file == "-" else __import__("pathlib").Path(log_file),
                   console=console), [], None, "log x")


def body(session):
    with socket.socket() as opened:
        session.figures["socket"] = opened.fileno()
    session.logger.info("a line")
    if "wait" in words:
        session.logger.info("ready")
        time.sleep(60)
    return Outcome("Loaded 2,137 rows.", {}, "rejects" in words)


exit_process(run_session(open_session, body, as_json="json" in words))
"""


@pytest.fixture
def slow(tmp_path):
    """The environment in which the driver takes a minute to load."""
    (tmp_path / "psycopg2.py").write_text(SLOW_MODULE)
    return {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT_DIR}"}


@pytest.fixture
def program(tmp_path):
    """Return a function that runs a small program in a shell, with what a shell does to its streams."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)

    def run(words="", streams="", log_file="-"):
        line = f"set -o pipefail; '{sys.executable}' '{path}' '{words}' '{log_file}' {streams}"
        environment = {**os.environ, "PYTHONPATH": str(PROJECT_DIR)}
        return subprocess.run(
            ["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=30, check=False
        )

    return run


def start(command, environment):
    """Start a process of its own."""
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=PROJECT_DIR, env=environment, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize(("number", "exit_code"), SIGNALS)
def test_a_signal_while_modules_load_is_one_line(slow, number, exit_code):
    with start([sys.executable, "-m", "etlkit", "runs", "list"], slow) as process:
        assert process.stdout.readline() == "loading\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (exit_code, "", f"stopped by {number.name}\n")


@pytest.mark.parametrize("words", ["wait", "wait json"])
def test_a_signal_that_is_ignored_from_the_beginning_stays_so(tmp_path, words):
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_DIR)}
    command = ["nohup", sys.executable, str(tmp_path / "program.py"), words, "-"]
    with start(command, environment) as process:
        stream = process.stderr if "json" in words else process.stdout
        assert [stream.readline() for _line in range(2)] == ["a line\n", "ready\n"]
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 143
    assert "stopped by SIGTERM; everything open was rolled back [exit 143]" in out + err


def test_a_module_that_is_missing_is_named_with_the_way_out():
    command = [sys.executable, "-S", "-m", "etlkit", "runs", "list"]
    done = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert done.stderr.startswith("error: No module named '")
    assert f"{sys.executable}). Run make setup, then .venv/bin/python instead. Nothing was touched." in done.stderr


def test_another_error_at_the_beginning_keeps_its_traceback(tmp_path):
    (tmp_path / "program.py").write_text("from etlkit.process import begin\nbegin()\n1 / 0\n")
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_DIR)}
    command = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    ("streams", "why"),
    [("> /dev/full", "[Errno 28] No space left on device"), (">&-", "[Errno 9] Bad file descriptor")],
)
@pytest.mark.parametrize("words", ["", "json", "rejects", "json rejects"])
def test_standard_output_that_takes_nothing_is_told_with_what_was_done(program, words, streams, why):
    done = program(words, streams)
    assert done.returncode == 5
    last = done.stderr.splitlines()[-1]
    assert last == f"error: Loaded 2,137 rows. But standard output could not be written: {why}. [exit 5] log x"
    assert done.stderr.count("a line\n") == 1
    assert "Nothing was loaded" not in done.stderr


@pytest.mark.parametrize("words", ["", "json"])
@pytest.mark.parametrize("streams", ["> /dev/full 2> /dev/full", ">&- 2>&- <&-", "> /dev/full 2>&-"])
def test_when_nobody_can_be_told_the_exit_code_still_tells(program, words, streams):
    done = program(words, streams)
    assert (done.returncode, done.stdout, done.stderr) == (5, "", "")


@pytest.mark.parametrize(("words", "exit_code"), [("json", 0), ("json rejects", 3), ("", 0), ("rejects", 3)])
@pytest.mark.parametrize("streams", ["2>&-", "2> /dev/full", "<&-"])
def test_standard_error_and_input_may_be_away(program, words, exit_code, streams):
    done = program(words, streams)
    assert done.returncode == exit_code, done.stderr
    assert done.stdout


def test_a_reader_that_has_gone_is_no_failure_unless_it_waited_for_the_json(program):
    assert program("", "| true").returncode == 0
    done = program("json", "| true")
    assert done.returncode == 5
    assert "Loaded 2,137 rows. But standard output could not be written: [Errno 32] Broken pipe" in done.stderr


def test_no_socket_takes_the_place_of_a_closed_stream(program):
    done = program("json", "<&- 2>&-")
    assert '"socket": 3' in done.stdout or '"socket": 4' in done.stdout, done.stdout


@pytest.mark.parametrize("streams", ["> /dev/full", ">&-"])
def test_help_that_cannot_be_shown_is_told(streams):
    line = f"PYTHONUNBUFFERED= '{sys.executable}' -m etlkit --help {streams}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=PROJECT_DIR, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 5
    assert done.stderr.startswith("error: standard output could not be written: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_log_file_on_a_full_disk_is_told_once_and_the_run_goes_on(program):
    done = program("", log_file="/dev/full")
    assert done.returncode == 0
    lost = "log file /dev/full takes no more lines ([Errno 28] No space left on device); the run goes on without them"
    assert done.stdout.splitlines() == ["a line", f"warning: {lost}", "Loaded 2,137 rows. log x"]


@pytest.mark.parametrize(
    "name", ["etlkit/__init__.py", "etlkit/errors.py", "etlkit/process.py", "pipeline.py", "consumer.py"]
)
def test_an_older_python_understands_enough_to_be_told_that_it_is_the_wrong_one(name):
    ast.parse((PROJECT_DIR / name).read_text(encoding="utf-8"), feature_version=(3, 9))
