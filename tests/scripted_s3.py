"""An S3 that answers as a test says: refusals, pages, bodies that break off or never end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

REFUSAL = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>'


class ScriptedS3(BaseHTTPRequestHandler):
    """Lists the server's objects and answers for each as its script says: a status, bytes, and how slowly they come."""

    def do_GET(self) -> None:
        self.server.authorizations.append(dict(self.headers))
        if "list-type" in parse_qs(urlsplit(self.path).query):
            self._answer(*self.server.listing())
            return
        answer = self.server.answers[self.key]
        if callable(answer):
            answer(self)
        else:
            self._answer(*answer)

    @property
    def key(self) -> str:
        """Return the key that is asked for."""
        return unquote(urlsplit(self.path).path).rsplit("/", 1)[-1]

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "ETag": '"x"', **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


class Scripted(ThreadingHTTPServer):
    """The server: sizes by key for the listing, answers by key for the downloads."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ScriptedS3)
        self.sizes, self.answers, self.authorizations = {}, {}, []
        self.ended = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def hold(self, key: str, *answer: object, size: int | None = None) -> None:
        self.answers[key] = answer if len(answer) > 1 else answer[0]
        self.sizes[key] = len(answer[1]) if size is None else size

    def listing(self) -> tuple[int, bytes]:
        entries = "".join(
            f"<Contents><Key>{key}</Key><ETag>&quot;x&quot;</ETag><Size>{size}</Size></Contents>"
            for key, size in self.sizes.items()
        )
        head = '<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>'
        return 200, f"{head}{entries}</ListBucketResult>".encode()


@contextmanager
def served() -> Iterator[Scripted]:
    """Serve it."""
    server = Scripted()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()


def slowly(handler: ScriptedS3) -> None:
    """Send one byte after the other, until the test ends."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.send_header("ETag", '"x"')
    handler.end_headers()
    with suppress(OSError):
        while not handler.server.ended.wait(0.05):
            handler.wfile.write(b"x" * 100)


def cut_off(handler: ScriptedS3) -> None:
    """Break off in the middle."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(handler.server.sizes[handler.key]))
    handler.send_header("ETag", '"x"')
    handler.end_headers()
    handler.wfile.write(b"at,site,va")
    handler.close_connection = True


def refused(status: int, code: str, message: str, more: str = "") -> tuple[int, bytes]:
    """Return a refusal as S3 writes it."""
    return status, REFUSAL.format(code=code, message=message, more=more).encode()
