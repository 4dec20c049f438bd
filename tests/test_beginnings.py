"""Every program of the museum, before its own code is at work: signals, missing modules, no time zones, a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from museum_case import PROJECT_DIR

from etlkit.testing import SLOW_MODULE

PROGRAMS = (
    ("pipeline.py",), ("extract.py",), ("transform.py",), ("load.py",), ("consumer.py",), ("-m", "dashboard"),
    ("-m", "museum.demo"), ("-m", "museum.live.demo"), ("-m", "museum.login"), ("-m", "etlkit"),
)  # fmt: skip
BY_NAME = {"ids": lambda program: program[-1] if isinstance(program, tuple) else None}


@pytest.mark.parametrize("program", PROGRAMS, **BY_NAME)
def test_a_signal_while_modules_load_is_one_line(program, tmp_path):
    (tmp_path / "psycopg2.py").write_text(SLOW_MODULE)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, *program], cwd=PROJECT_DIR, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=pipe, stderr=pipe, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "stopped by SIGINT\n")


@pytest.mark.parametrize("program", PROGRAMS, **BY_NAME)
def test_outside_the_environment_one_line_names_what_is_missing_and_the_way_out(program):
    command = [sys.executable, "-S", *program]
    done = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert done.stderr.startswith("error: No module named ")
    assert "Run make setup, then .venv/bin/python instead. Nothing was touched." in done.stderr


def test_a_system_without_time_zones_has_those_of_the_requirements():
    environment = {**os.environ, "PYTHONTZPATH": ""}
    command = [sys.executable, "-c", "from museum.kiosk import LONDON; print(LONDON)"]
    done = subprocess.run(
        command, cwd=PROJECT_DIR, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr) == ("Europe/London\n", "")


@pytest.mark.parametrize("streams", ["--json > /dev/full", "--json >&-", "> /dev/full", "--json 2>&-", "--json | true"])
def test_what_was_committed_is_told_as_committed_whatever_the_streams_take(museum, streams):
    museum.exhibition(1)
    museum.kiosk(0, "2023-03-06 10:00:00,1,3,")
    flags = ["--push", "--skip-extract", "--data-dir", museum.data_dir, "--log-file", museum.log_file]
    words = [sys.executable, PROJECT_DIR / "pipeline.py", *flags, *museum.database_flags]
    line = f"set -o pipefail; {' '.join(map(str, words))} {streams}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert museum.count("review") == 1
    assert done.returncode == (0 if streams.endswith("2>&-") else 5), done.stderr
    if done.returncode:
        last = done.stderr.splitlines()[-1]
        assert last.startswith("error: Loaded 1 rows, 0 rejected. But standard output could not be written: [Errno ")
        assert last.endswith(f"log {museum.log_file}")


def test_a_setting_that_nobody_knows_is_told_with_the_near_one(museum, monkeypatch, tmp_path):
    path = tmp_path / "of-a-user.env"
    names = "MUSEUM_REJECT_OUT_OF_HOUR=true\nKAFKA_TOPIC=x\nMUSEUM_DASHBOARD_PORT=1\nUSERNAME=x\nAWS_REGION=x\n"
    path.write_text(names)
    monkeypatch.setattr("museum.settings.ENV_FILE", path)
    museum.exhibition(1)
    museum.kiosk(0, "2023-03-06 10:00:00,1,3,")
    told = [line for line in museum.push("--log-level", "WARNING").lines if "unknown setting" in line]
    hint = "did you mean MUSEUM_REJECT_OUT_OF_HOURS?"
    assert told == [f"warning: unknown setting MUSEUM_REJECT_OUT_OF_HOUR in of-a-user.env; {hint}"]
