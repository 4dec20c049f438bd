"""make demo, twice, in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from museum_case import PROJECT_DIR

from etlkit.embedded import default_home

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".local", "__pycache__", "bucket_data", "combined_data", "*.log", ".*_cache"
)

OF_THE_USER = {
    "HTTP_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "AWS_PROFILE": "nobody",
    "AWS_ACCESS_KEY": "half-a-login", "MUSEUM_REJECT_OUT_OF_HOURS": "true", "MUSEUM_KEY_PREFIX": "other",
    "MUSEUM_DATA_DIR": "/nowhere", "MUSEUM_EARLIEST_DATE": "2999-01-01", "DB_HOST": "nowhere.example",
    "DB_SECRET_ID": "a-secret", "BOOTSTRAP_SERVERS": "nowhere:9092", "KAFKA_TOPIC": "other",
}  # fmt: skip
"""Nothing of it reaches a demo, neither from the environment nor from .env."""


@pytest.fixture
def copy(tmp_path):
    """A copy of the project, whose private server is stopped and removed afterwards."""
    target = tmp_path / "clone"
    shutil.copytree(PROJECT_DIR, target, ignore=LEFT_OUT)
    yield target
    run(target, "-m", "etlkit", "server", "stop")
    shutil.rmtree(default_home(target), ignore_errors=True)


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def ratings(output: str) -> list[str]:
    lines = output.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("exhibition "))
    return lines[start : start + 8]


def test_the_demo_loads_the_sample_and_a_second_one_finds_nothing_new(copy):
    (copy / ".env").write_text("".join(f"{name}={value}\n" for name, value in OF_THE_USER.items()))
    (copy / ".env").chmod(0o600)
    first = run(copy, "-m", "museum.demo")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "exit code 3" in first.stdout
    assert "4,404 stored" in first.stdout
    assert len(ratings(first.stdout)) == 8
    assert "unknown setting" not in first.stdout + first.stderr
    (copy / ".env").unlink()
    second = run(copy, "-m", "museum.demo", **OF_THE_USER)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "Nothing new" in second.stdout
    assert "exit code 0" in second.stdout
    assert ratings(second.stdout) == ratings(first.stdout)
    listed = run(copy, "-m", "etlkit", "rejects", "list", "--embedded", "--db-name", "museum_demo")
    assert listed.returncode == 0
    assert "repeated_header" in listed.stdout
    runs = run(copy, "-m", "etlkit", "runs", "list", "--embedded", "--db-name", "museum_demo")
    assert runs.stdout.count("completed") == 2


def test_the_live_demo_accounts_for_everything_it_sent_each_time(copy):
    for _ in range(2):
        shown = run(copy, "-m", "museum.live.demo", DEMO_SECONDS="4", **OF_THE_USER)
        assert shown.returncode == 0, shown.stdout + shown.stderr
        sent, stored, rejected = map(
            int, re.search(r"(\d+) messages sent = (\d+) stored \+ (\d+) rej", shown.stdout).groups()
        )
        assert sent == stored + rejected
        assert stored > 50
        assert "exit code 0" in shown.stdout
    listed = run(copy, "-m", "etlkit", "runs", "list", "--embedded", "--db-name", "museum_live")
    assert listed.stdout.count("completed") == 4


def test_looking_makes_neither_a_server_nor_a_database(copy):
    for command in (("runs", "list", "--embedded", "--db-name", "never"), ("server", "psql")):
        looked = run(copy, "-m", "etlkit", *command)
        assert looked.returncode == 2
        assert "there is no private server yet" in looked.stderr
    assert not default_home(copy).exists()
