"""dagster dev as a user starts it: the graph in a real Chromium, and that it ends when it is asked to."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import sync_playwright

START_SECONDS = 90
GROUPS = (
    "popular_shows", "popular_people", "popular_movies", "dim_popular_people", "dim_popular_people_history",
    "bridge_person_project",
)  # fmt: skip


@pytest.fixture
def chromium() -> Iterator[object]:
    """Debian's Chromium; closed with its test, since its event loop is in the way of Dagster's."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def started(port: int, home: Path) -> subprocess.Popen[bytes]:
    """Start dagster dev where no .env of the developer's lies; thanks to the kit's plugin it hears signals."""
    return subprocess.Popen(
        [
            Path(sys.executable).with_name("dagster"),
            "dev",
            "-m",
            "binge_works.definitions",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
        ],
        cwd=home,
        env={**os.environ, "DAGSTER_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def wait_until_it_answers(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0].decode()
        try:
            with opener.open(f"{url}/server_info", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("dagster dev did not answer")


def test_the_graph_is_seen_and_the_server_ends(chromium, works, dagster_home):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = started(port, dagster_home)
    family = []
    try:
        wait_until_it_answers(process, url)
        family = psutil.Process(process.pid).children(recursive=True)
        page = chromium.new_page(viewport={"width": 1500, "height": 900})
        page.goto(f"{url}/asset-groups", wait_until="domcontentloaded")
        for group in GROUPS:
            page.get_by_text(group, exact=True).first.wait_for(timeout=60_000)
        assert page.get_by_role("dialog").count() == 0
        page.goto(f"{url}/locations/binge_works.definitions/asset-groups/popular_people/lineage")
        for name in ("dim_popular_people", "dim_people_history", "bridge_person_project", "people_churn"):
            page.get_by_text(name, exact=True).first.wait_for(timeout=60_000)
        for kind in ("Bronze", "Silver", "Gold"):
            assert page.get_by_text(kind, exact=True).count()
        page.goto(f"{url}/automation", wait_until="domcontentloaded")
        for name in (
            "popular_shows_schedule",
            "popular_people_schedule",
            "popular_movies_schedule",
            "people_churn_sensor",
        ):
            page.get_by_text(name).first.wait_for(timeout=60_000)
        page.close()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
        _, alive = psutil.wait_procs(family, timeout=30)
        assert alive == []
    finally:
        for member in (*family, psutil.Process(process.pid)) if process.poll() is None else family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
