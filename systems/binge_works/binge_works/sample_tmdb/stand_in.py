"""Starts the stand-in for TMDB and talks to its control side."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import requests

from binge_works.sample_tmdb import server

SECONDS = 20


class StandIn:
    """A running stand-in; it ends with the process that started it."""

    def __init__(self) -> None:
        """Start the process and wait until it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", server.__name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def set_lists(self, **lists: list[Any]) -> None:
        """Replace some of the lists: `tv`, `movie`, `person`."""
        self._control("lists", lists)

    def set_faults(self, *faults: dict[str, Any]) -> None:
        """Replace the faults to come: where (`path`, `page`), how often (`times`), and what happens."""
        self._control("faults", list(faults))

    def calls(self, *, forget: bool = False) -> list[dict[str, Any]]:
        """Return the calls that came."""
        found: list[dict[str, Any]] = self._control("calls", forget)["calls"]
        return found

    def most_at_work(self) -> int:
        """Return how many calls were answered at once at most."""
        return int(self._control("calls", False)["most_at_work"])

    def environment(self) -> dict[str, str]:
        """Return the settings by which the stand-in is reached."""
        return {"TMDB_BASE_URL": self.url, "TMDB_API_KEY": server.TOKEN}

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=SECONDS)

    def _control(self, what: str, body: object) -> Any:
        text = json.dumps(body)
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(f"{self.url}/control/{what}", data=text.encode(), timeout=SECONDS)
        answer.raise_for_status()
        return answer.json()
