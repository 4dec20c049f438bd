"""A stand-in for S3 on a bad day: passes everything on to another one, but for the requests that are to fail."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

ANSWERS = {
    "denied": (403, "AccessDenied", "Access Denied by a policy"),
    "slow down": (503, "SlowDown", "Please reduce your request rate."),
    "broken": (500, "InternalError", "We encountered an internal error."),
}
PER_HOP = {"connection", "transfer-encoding", "content-length", "date", "server"}


class FaultyS3(ThreadingHTTPServer):
    """Listens on loopback; `fault` tells of each request, by method and path, how it fails, if it does."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        """Listen."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind = urlsplit(behind).netloc
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.fault: Callable[[str, str], str | None] = lambda _method, _path: None
        self.failed = 0
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.shutdown()
        self._thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: FaultyS3

    def do_GET(self) -> None:
        """Pass a request on, or let it fail."""
        body = self._chunked() if self.headers.get("Transfer-Encoding") == "chunked" else self._whole()
        kind = self.server.fault(self.command, self.path)
        if kind is None:
            self._pass_on(body)
            return
        self.server.failed += 1
        if kind == "lost":  # S3 does it, and its answer never comes
            self._forwarded(body)
            kind = "reset"
        self.close_connection = True
        if kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            status, code, message = ANSWERS[kind]
            self._answer(status, {}, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815 - http.server calls them so

    def _whole(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunked(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return body

    def _pass_on(self, body: bytes) -> None:
        self._answer(*self._forwarded(body))

    def _forwarded(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.server.behind)
        left_out = ("transfer-encoding", "expect")
        headers = {name: value for name, value in self.headers.items() if name.lower() not in left_out}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        connection.close()
        return found

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in PER_HOP:
                self.send_header(name, value)
        is_head = self.command == "HEAD"
        self.send_header("Content-Length", headers.get("Content-Length", "0") if is_head else str(len(body)))
        self.end_headers()
        if not is_head:
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""
