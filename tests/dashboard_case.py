"""The dashboard to test with: its page served by a process of its own, and a real Chromium to look at it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from etlkit.settings import DatabaseSettings

PROJECT_DIR = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WAIT_MS = 30_000
DESKTOP, PHONE = (1280, 900), (390, 844)


@dataclass
class Page:
    """One page as a viewer sees it; every question waits until the page answers it."""

    playwright: Any
    server: Server
    foreign: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return self.server.address

    def open(self, name: str = "", **query: str) -> None:
        asked = "&".join(f"{key}={value}" for key, value in query.items())
        self.playwright.goto(f"{self.address}/{name}?{asked}")

    def note(self, url: str) -> None:
        """Keep what the page asks of others than its own server."""
        if not url.startswith((self.address, self.address.replace("http", "ws"), "data:", "blob:")):
            self.foreign.append(url)

    def hear(self, said: str) -> None:
        """Keep what the browser says of what the server's rules forbid."""
        if "Content Security Policy" in said:
            self.violations.append(said)

    def tile(self, label: str) -> str:
        """Return a tile's figure."""
        tile = self.playwright.get_by_test_id("stMetric").filter(has_text=re.compile(f"^{re.escape(label)}"))
        return str(tile.get_by_test_id("stMetricValue").inner_text(timeout=WAIT_MS)).strip()

    def wait_for_tile(self, label: str, value: str) -> None:
        self.wait_for_text(value, self.playwright.get_by_test_id("stMetric").filter(has_text=label))

    def wait_for_text(self, text: str, where: Any = None) -> None:
        (where or self.playwright).get_by_text(text, exact=False).first.wait_for(timeout=WAIT_MS)

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + WAIT_MS / 1000
        while not holds():
            assert time.monotonic() < deadline, (self.playwright.url, self.playwright.title())
            self.playwright.wait_for_timeout(100)

    def wait_for_title(self, title: str) -> None:
        """Wait until the tab is called so."""
        self.wait_until(lambda: self.playwright.title() == title)

    def type_date(self, label: str, digits: str) -> None:
        """Type the digits of a date into one of the fields for days."""
        self.playwright.get_by_role("group", name=label).get_by_role("spinbutton").first.click(timeout=WAIT_MS)
        self.playwright.keyboard.type(digits)

    def wait_for_count(self, found: Any, count: int) -> None:
        """Wait until there are so many of something."""
        deadline = time.monotonic() + WAIT_MS / 1000
        while found.count() != count:
            assert time.monotonic() < deadline, f"{found.count()} of {count}"
            time.sleep(0.1)

    def box(self, found: Any) -> dict[str, float]:
        """Return where something stands, in pixels; it has no place while the page draws it anew."""
        deadline = time.monotonic() + WAIT_MS / 1000
        while (box := found.bounding_box()) is None:
            assert time.monotonic() < deadline, f"{found} is not to be seen"
            self.playwright.wait_for_timeout(100)
        return dict(box)

    def pictures(self, count: int, without: str | None = None) -> list[list[str]]:
        """Return the words of each picture, once there are so many and none says what is to go."""
        drawn = self.playwright.locator(".stVegaLiteChart svg.marks")
        deadline = time.monotonic() + WAIT_MS / 1000
        while True:
            words = [picture.locator("text").all_text_contents() for picture in drawn.all()]
            gone = without is None or not any(without in word for picture in words for word in picture)
            if len(words) >= count and gone:
                return words
            assert time.monotonic() < deadline, f"{len(words)} of {count} pictures, {without} is {gone and 'gone'}"
            time.sleep(0.1)

    def card(self, title: str) -> Any:
        """Return the card with this title."""
        heading = self.playwright.get_by_role("heading", name=title, exact=True, level=2)
        return self.playwright.get_by_test_id("stColumn").filter(has=heading).last

    def picture(self, title: str) -> list[str]:
        """Return the words of the picture of a card."""
        drawn = self.card(title).locator(".stVegaLiteChart svg.marks")
        drawn.first.wait_for(timeout=WAIT_MS)
        return [str(text) for text in drawn.locator("text").all_text_contents()]

    def change(self, label: str) -> str:
        """Return what a tile says of the period before."""
        tile = self.playwright.get_by_test_id("stMetric").filter(has_text=re.compile(f"^{re.escape(label)}"))
        return str(tile.get_by_test_id("stMetricDelta").inner_text(timeout=WAIT_MS)).strip()

    def sign(self, name: str, says: str) -> Any:
        """Wait until a sign of the strip says something; return it."""
        sign = self.playwright.locator(".strip .sign").filter(has_text=name)
        self.wait_for_text(says, sign)
        return sign

    def take(self, button: Any) -> tuple[str, bytes]:
        """Click what offers a file; return its name and what is in it.

        A click while Streamlit runs the page anew, as it does just after a page was opened, may ask for what has gone.
        """
        self.wait_for_text("open rejects:")
        with suppress(Exception), self.playwright.expect_download(timeout=WAIT_MS / 3) as download:
            button.click(timeout=WAIT_MS)
            return str(download.value.suggested_filename), Path(download.value.path()).read_bytes()
        with self.playwright.expect_download(timeout=WAIT_MS) as download:
            button.click(timeout=WAIT_MS)
        return str(download.value.suggested_filename), Path(download.value.path()).read_bytes()

    def files_of(self, title: str) -> Any:
        """Unfold a card's figures and files; return the card."""
        card = self.card(title)
        card.get_by_text("Figures and files").click(timeout=WAIT_MS)
        return card

    def choose(self, label: str, option: str) -> None:
        """Click an option of one of the filters that take several."""
        self.playwright.get_by_role("combobox", name=re.compile(label)).click(timeout=WAIT_MS)
        self.playwright.get_by_role("option", name=option).click(timeout=WAIT_MS)

    def errors(self) -> list[str]:
        return [str(text) for text in self.playwright.get_by_test_id("stAlertContentError").all_inner_texts()]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the screen; it scrolls in an element of its own."""
        return int(self.playwright.get_by_test_id("stMain").evaluate("page => page.scrollWidth - page.clientWidth"))


def find_chromium() -> str:
    """Return the browser's program; skips the test where there is none."""
    pytest.importorskip("playwright", reason="the page's tests need playwright: pip install -r requirements-dev.txt")
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    pytest.skip("Chromium is missing, so nobody can look at the page; on Debian: apt-get install chromium")


@dataclass(frozen=True)
class Server:
    """A page's server, a process of its own."""

    address: str
    process: subprocess.Popen[bytes]
    output: Path

    def megabytes(self) -> float:
        """Return how much memory the process has now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1000


@contextmanager
def served(database: DatabaseSettings, folder: Path, *flags: str, **environment: str) -> Iterator[Server]:
    """Serve the page of a database; yield its server once it answers."""
    if "--port" in flags:
        port = int(flags[flags.index("--port") + 1])
    else:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    output = (folder / "page.txt").open("w+")
    process = subprocess.Popen(
        [
            sys.executable, "-m", "dashboard", "--port", str(port), "--log-file", str(folder / "dashboard.log"),
            "--db-host", database.db_host, "--db-port", str(database.db_port), "--db-name", database.db_name,
            "--db-user", database.db_user, *flags,
        ],
        cwd=PROJECT_DIR, stdout=output, stderr=subprocess.STDOUT,
        env={**os.environ, "DB_PASSWORD": database.db_password.get_secret_value(), **environment},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + WAIT_MS / 1000
        while True:
            assert process.poll() is None, (folder / "page.txt").read_text()
            assert time.monotonic() < deadline, (folder / "page.txt").read_text()
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield Server(f"http://127.0.0.1:{port}", process, folder / "page.txt")
    finally:
        process.terminate()
        process.wait(timeout=20)
        output.close()
