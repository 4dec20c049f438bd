"""Pytest plugin that notes how long each test took."""

import os
from pathlib import Path

TRACE = Path(os.environ["DURATION_TRACE"])


def pytest_runtest_logreport(report):
    """Note a phase of a test; of the workers and of the main process only the latter says something."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        with TRACE.open("a", encoding="utf-8") as trace:
            trace.write(f"{report.nodeid}\t{report.duration}\n")
