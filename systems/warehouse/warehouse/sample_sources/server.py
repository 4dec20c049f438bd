"""A server that plays the sources over HTTP: files with their versions, and every way in which one may fail to come."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

ABUSE_PAGE = b"<!DOCTYPE html><html><head><title>Abuse Detection Apology</title></head><body>We are sorry</body></html>"
_DRIP = 64


@dataclass
class Served:
    """A file, and how it is sent."""

    content: bytes
    modified: float | None = None
    faults: list[str] = field(default_factory=list)
    """What happens to the next requests, one each: reset, short, drip, html, or a status; @SECONDS is a Retry-After."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    """What is sent in place of the usual headers of these names."""


class SampleSources:
    """The server, on a port of its own, for as long as it is needed."""

    def __init__(self) -> None:
        """Bind a port."""
        self.files: dict[str, Served] = {}
        self.requests: list[tuple[str, Mapping[str, str]]] = []
        sources = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                sources.requests.append((self.path, dict(self.headers)))
                sources.answer(self)

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Begin to serve."""
        serve = partial(self._server.serve_forever, poll_interval=0.02)  # how long it may take to stop
        threading.Thread(target=serve, name="sample-sources", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def put(self, path: str, content: bytes, modified: float | None = None) -> Served:
        """Serve a file from now on."""
        self.files[path] = Served(content, modified)
        return self.files[path]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        served = self.files.get(request.path)
        if served is None:
            request.send_error(404)
            return
        fault = served.faults.pop(0) if served.faults else ""
        status, _, seconds = fault.partition("@")
        if status.isdigit():
            request.send_response(int(status))
            if seconds:
                request.send_header("Retry-After", seconds)
            request.end_headers()
            request.wfile.write(b"not now")
            return
        content = ABUSE_PAGE if fault == "html" else served.content
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        if request.headers.get("If-None-Match") == etag:
            request.send_response(304)
            request.end_headers()
            return
        request.send_response(served.status)
        headers = {"Content-Length": str(len(content)), "ETag": etag}
        if served.modified is not None:
            headers["Last-Modified"] = formatdate(served.modified, usegmt=True)
        for name, value in {**headers, **served.headers}.items():
            request.send_header(name, value)
        request.end_headers()
        self._send(request, content, fault)

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, content: bytes, fault: str) -> None:
        """Send a body, or a part of it."""
        request.close_connection = True
        try:
            if fault in ("short", "reset"):
                request.wfile.write(content[: len(content) // 2])
            elif fault == "drip":
                for start in range(0, len(content), _DRIP):
                    request.wfile.write(content[start : start + _DRIP])
                    request.wfile.flush()
                    time.sleep(0.2)
            else:
                request.wfile.write(content)
        except OSError:  # whoever asked has gone
            return
