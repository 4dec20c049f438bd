"""The page's server: Streamlit's application behind the gate, in this process, until a signal."""

from __future__ import annotations

import os
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import streamlit
import uvicorn
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

from dashboard.gate import Gate
from etlkit.errors import ConfigError
from etlkit.signals import Terminated
from museum.settings import DashboardSettings

APP = Path(__file__).with_name("app.py")
WATCH = Path(__file__).with_name("watch.js")
LARGEST_MESSAGE = 1_000_000
"""What a viewer's page may say at once, in bytes: it tells which filters are chosen."""

SHUTDOWN_SECONDS = 5
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - asked for, and then with a password


def listen(address: str, port: int) -> socket.socket:
    """Return the socket on which the page will be served. ConfigError when it cannot listen there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, dualstack_ipv6=address == "::")
    except OSError as error:
        raise ConfigError(
            f"the page cannot listen on {address}:{port}: {error.strerror or error}. Give another --port or --address. "
            "Nothing was touched."
        ) from error


def serve(listener: socket.socket, settings: DashboardSettings, arguments: Sequence[str]) -> None:
    """Serve the page until a stopping signal; the page reads the arguments as its own."""
    sys.argv = [str(APP), *arguments]

    @asynccontextmanager
    async def shown(_app: streamlit.App) -> AsyncIterator[None]:
        if _has_screen():
            host = settings.museum_dashboard_address
            host = "localhost" if host in EVERYWHERE else host
            webbrowser.open(f"http://{host}:{settings.museum_dashboard_port}")
        yield

    password = settings.museum_dashboard_password
    gate = Gate(
        streamlit.App(APP, lifespan=shown, routes=[Route("/watch.js", watch)]),
        museum=settings.museum_name,
        password=password.get_secret_value() if password else None,
        # a browser sends a host's cookies to all of its ports
        cookie=f"museum_dashboard_{settings.museum_dashboard_port}",
        login_seconds=settings.museum_dashboard_login_hours * 3600,
    )
    config = uvicorn.Config(
        gate,
        ws="websockets-sansio",
        ws_max_size=LARGEST_MESSAGE,
        access_log=False,
        log_config=None,
        log_level="error",  # a request that is none is a warning, and anybody can send a flood of them
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    with suppress(KeyboardInterrupt, Terminated):  # raised again when the server has ended in order
        uvicorn.Server(config).run(sockets=[listener])


async def watch(_request: Request) -> FileResponse:
    """Answer with the one script of our own that the page runs."""
    return FileResponse(WATCH, media_type="text/javascript", headers={"Cache-Control": "no-cache"})


def _has_screen() -> bool:
    """Tell whether a browser could open here; over ssh and from systemd it could not."""
    return sys.platform in {"darwin", "win32"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
