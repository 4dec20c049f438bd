"""The pytest plugin: what stays together, what may be skipped, what a full run tells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT_DIR = Path(__file__).resolve().parents[2]
SETTINGS = """
[pytest]
addopts = --dist=loadgroup
system = sample
server_groups = broker browser
allowed_skips = no disk here
"""
GROUPED = """
import os, time
import pytest

@pytest.fixture
def broker(): pass

@pytest.fixture
def browser(): pass

@pytest.mark.parametrize("number", range(6))
def test_broker(broker, number): told("broker")

@pytest.mark.parametrize("number", range(6))
def test_both(browser, broker, number): told("broker")

@pytest.mark.parametrize("number", range(6))
def test_browser(browser, number): told("browser")

def told(group):
    time.sleep(0.05)
    with open(os.environ["TOLD"], "a") as file:
        file.write(f"{group} {os.environ['PYTEST_XDIST_WORKER']}\\n")
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a file of tests with the plugin, in a process of its own."""
    (tmp_path / "pytest.ini").write_text(SETTINGS)

    def run_tests(text, *flags, **environment):
        (tmp_path / "test_sample.py").write_text(text)
        path = os.pathsep.join(filter(None, [str(PROJECT_DIR), os.environ.get("PYTHONPATH")]))
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ETL_", "PYTEST_"))}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "etlkit.testing.plugin", *flags],
            cwd=tmp_path, env={**clean, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run_tests


def test_the_tests_of_one_server_stay_on_one_worker(run, tmp_path):
    done = run(GROUPED, "-n", "3", TOLD=str(tmp_path / "told"))
    assert done.returncode == 0, done.stdout
    workers: dict[str, set[str]] = {}
    for line in (tmp_path / "told").read_text().splitlines():
        group, worker = line.split()
        workers.setdefault(group, set()).add(worker)
    assert {group: len(found) for group, found in workers.items()} == {"broker": 1, "browser": 1}


@pytest.mark.parametrize(("reason", "flags"), [("no disk here", ()), ("no server", ("-n", "2"))])
def test_only_what_is_allowed_may_be_skipped(run, reason, flags):
    text = f"import pytest\n\ndef test_it(): pytest.skip({reason!r})\n"
    assert run(text, *flags).returncode == 0
    done = run(text, *flags, ETL_NO_SKIPS="1")
    assert done.returncode == (0 if reason == "no disk here" else 1)
    assert ("skipped where nothing may skip: test_sample.py::test_it" in done.stdout) == (reason == "no server")


def test_a_full_run_tells_its_counts_and_its_seed(run):
    text = (
        "import pytest\nfrom etlkit.testing import full_count\n"
        "KILLS = full_count('kills', 1, 30)\n@pytest.mark.full\ndef test_it(): assert KILLS == 30\n"
    )
    assert "1 skipped" in run(text).stdout
    full = run(text, "-n", "2", ETL_FULL="1", ETL_SEED="4711").stdout
    assert "sample: 1 passed, 0 failed" in full
    assert "SEED=4711; kills 30" in full


def test_what_tests_start_hears_the_signals_that_nohup_keeps_from_them(run):
    text = (
        "import signal, subprocess, sys\n\ndef test_it():\n"
        "    code = 'import signal; print(signal.getsignal(signal.SIGHUP) == signal.SIG_DFL)'\n"
        "    assert subprocess.check_output([sys.executable, '-c', code], text=True) == 'True\\n'\n"
        "    signal.raise_signal(signal.SIGHUP)  # and they themselves go on\n"
    )
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        for flags in ((), ("-n", "1")):
            assert run(text, *flags).returncode == 0
    finally:
        signal.signal(signal.SIGHUP, before)
