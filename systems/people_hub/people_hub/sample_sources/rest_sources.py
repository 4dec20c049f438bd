"""Starts the stand-in REST server and talks to its control side."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import requests

from people_hub.sample_sources import rest_server
from people_hub.sample_sources.people import University

SECONDS = 20


class RestSources:
    """A running stand-in, filled with a university."""

    def __init__(self) -> None:
        """Start the process and wait until it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", rest_server.__name__], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def fill(self, university: University) -> None:
        """Give the server a university's data."""
        self.set_data(
            departments=university.umapi_departments(),
            employees=university.umapi_employees(),
            accounts=university.tdx_accounts(),
            people=university.tdx_people(),
            assets=university.tdx_assets(),
        )

    def set_data(self, **rows: list[Any]) -> None:
        """Replace some of the data."""
        self._control("data", rows)

    def set_settings(self, **settings: Any) -> None:
        """Change how strict the server is."""
        self._control("settings", settings)

    def set_faults(self, *faults: dict[str, Any]) -> None:
        """Replace the faults to come; calls are counted from here on."""
        self._control("faults", list(faults))

    def calls(self, *, forget: bool = False) -> list[dict[str, Any]]:
        """Return the calls that were answered."""
        found: list[dict[str, Any]] = self._control("log", 1 if forget else None)
        return found

    def environment(self) -> dict[str, str]:
        """Return the settings by which the hub reaches the stand-in."""
        return {
            "UM_BASE_URL": f"{self.url}/um",
            "UM_OAUTH_URL": f"{self.url}/oauth/token",
            "UM_CATEGORY_ID": "bf",
            "UM_CLIENT_KEY": rest_server.CLIENT_KEY,
            "UM_CLIENT_SECRET": rest_server.CLIENT_SECRET,
            "TDX_BASE_URL": f"{self.url}/tdx",
            "TDX_APP_ID": "31",
            "TDX_BEID": rest_server.BEID,
            "TDX_WEB_SERVICES_KEY": rest_server.WEB_SERVICES_KEY,
        }

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(SECONDS)
        if self._process.stdout:
            self._process.stdout.close()

    def _control(self, what: str, body: object) -> Any:
        answer = requests.post(f"{self.url}/control/{what}", json=body, timeout=SECONDS)
        answer.raise_for_status()
        return answer.json()
