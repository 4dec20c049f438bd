"""The dashboard's pages in Chromium: from the address to the last picture, from a commit to the open page, its cost."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from kiosk_bench import password_of

from etlkit.postgres import connect
from etlkit.settings import DatabaseSettings

CHROMIUM = "chromium"
VISITS = 4
PAGES = {
    "exhibitions, 30 days": ("", 6),
    "exhibitions, all days": ("?period=All", 6),
    "one exhibition, all days": ("exhibition?period=All", 5),
    "safety, all days": ("safety?period=All", 7),
    "data": ("data", 1),
}
"""Where each page is, and how many pictures it has."""


VIEWERS = (1, 8)
VIEWED_SECONDS = 20
EMERGENCIES = 6
EMERGENCY_NOW = """
    insert into incident (exhibition_id, at, incident_type_id, source_id, position)
    values (1, now(), 1, (select min(source_id) from event_source), 2000000000 + %(number)s)
    returning to_char(at at time zone 'Europe/London', 'HH24:MI:SS')
"""


@contextmanager
def opened_browser(folder: Path, settings: DatabaseSettings, port: int) -> Iterator[tuple[Any, int]]:
    """Yield Chromium, and the process of a dashboard of its own."""
    from playwright.sync_api import sync_playwright

    program = [sys.executable, "-m", "dashboard", "--port", str(port), "--log-file", str(folder / "page.log")]
    program += ["--db-host", settings.db_host, "--db-port", str(settings.db_port)]
    program += ["--db-name", settings.db_name, "--db-user", settings.db_user]
    server = subprocess.Popen(program, env={**os.environ, **password_of(settings)}, stdout=subprocess.DEVNULL)
    try:
        with sync_playwright() as playwright:
            arguments = ["--no-sandbox", "--disable-gpu"]
            yield playwright.chromium.launch(executable_path=shutil.which(CHROMIUM), args=arguments), server.pid
    finally:
        server.terminate()
        server.wait(timeout=20)


def measure_pages(folder: Path, settings: DatabaseSettings, port: int) -> list[tuple[str, float, float]]:
    """Return of each page its name, the seconds of the first visit, and the median of those that follow."""
    found = []
    with opened_browser(folder, settings, port) as (browser, _server):
        for name, (path, pictures) in PAGES.items():
            context = browser.new_context(viewport={"width": 1280, "height": 3000})
            seconds = [visit(context, f"http://127.0.0.1:{port}/{path}", pictures) for _visit in range(VISITS)]
            found.append((name, seconds[0], statistics.median(seconds[1:])))
            context.close()
    return found


def emergency_seconds(folder: Path, settings: DatabaseSettings, port: int) -> float:
    """Return the slowest of some emergencies, from the commit of the press until it stands on the open page."""
    with opened_browser(folder, settings, port) as (browser, _server):
        page = browser.new_page()
        open_page(page, f"http://127.0.0.1:{port}/safety")
        shown = page.locator(".feed .emergency")
        shown.first.wait_for(timeout=60_000)
        seconds = []
        with closing(connect(settings, "bench")) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            for number in range(EMERGENCIES):
                time.sleep(0.37 * number)
                cursor.execute(EMERGENCY_NOW, {"number": number})
                (local_at,) = cursor.fetchone() or ("",)
                started = time.perf_counter()
                shown.get_by_text(local_at).first.wait_for(timeout=60_000)
                seconds.append(time.perf_counter() - started)
        page.close()
    return max(seconds)


def measure_viewers(folder: Path, settings: DatabaseSettings, port: int) -> list[tuple[int, float]]:
    """Return of so many viewers of the page Safety the server's seconds of a processor, each second and viewer."""
    found = []
    for viewers in VIEWERS:
        with opened_browser(folder, settings, port) as (browser, server):
            pages = [browser.new_page() for _viewer in range(viewers)]
            for page in pages:
                open_page(page, f"http://127.0.0.1:{port}/safety")
                page.locator(".feed").first.wait_for(timeout=60_000)
            pages[-1].wait_for_timeout(5_000)  # until all is drawn
            before = processor_seconds(server)
            pages[-1].wait_for_timeout(VIEWED_SECONDS * 1000)
            found.append((viewers, (processor_seconds(server) - before) / VIEWED_SECONDS / viewers))
    return found


def processor_seconds(process: int) -> float:
    """Return how long a process has used a processor."""
    counted = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(counted[11]) + int(counted[12])) / os.sysconf("SC_CLK_TCK")


def visit(context: Any, address: str, pictures: int) -> float:
    """Return the seconds from the address to the page's last picture."""
    page = context.new_page()
    started = time.perf_counter()
    open_page(page, address)
    drawn = page.locator(".stVegaLiteChart svg.marks")
    drawn.nth(pictures - 1).wait_for(state="attached", timeout=60_000)  # the page's policy allows no script of ours
    seconds = time.perf_counter() - started
    page.close()
    return seconds


def open_page(page: Any, address: str) -> None:
    """Open an address as soon as somebody answers there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(Exception):
            page.goto(address)
            return
        time.sleep(0.2)
    raise SystemExit(f"nobody answers at {address}")
