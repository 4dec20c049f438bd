"""python -m binge_works.sample_tmdb.server: TMDB's three lists over HTTP, as a process of its own.

It prints its port, checks the key, pages as TMDB does, and plays the faults that it is told of. Its control side sets
lists and faults and tells what was called.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "eyJhbGciOiJIUzI1NiJ9.c3RhbmQtaW4.dG9rZW4tb2YtdGhlLXN0YW5kLWlu"  # noqa: S105 - of this server alone
API_KEY = "0123456789abcdef0123456789abcdef"
PAGE_ITEMS = 20
LAST_PAGE = 500
KINDS = ("tv", "movie", "person")


class State:
    """What the server gives out and how it fails; shared by its threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lists: dict[str, list[Any]] = {kind: [] for kind in KINDS}
        self.faults: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.at_work = self.most_at_work = 0

    def fault_of(self, path: str, page: int) -> dict[str, Any] | None:
        """Return the first fault for a call that has some of its times left."""
        with self.lock:
            for fault in self.faults:
                if fault.get("path", path) == path and fault.get("page", page) == page and fault["times"] > 0:
                    fault["times"] -= 1
                    return fault
        return None


STATE = State()


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Serve the control side: `lists`, `faults`, `calls`."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
        answer: Any = None
        with STATE.lock:
            if self.path == "/control/lists":
                STATE.lists |= body
            elif self.path == "/control/faults":
                STATE.faults = [{"times": 1, **fault} for fault in body]
            elif self.path == "/control/calls":
                answer = {"calls": STATE.calls, "most_at_work": STATE.most_at_work}
                if body:
                    STATE.calls, STATE.most_at_work = [], 0
        self._send(200, answer)

    def do_GET(self) -> None:
        """Serve TMDB's side."""
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        page = int(query.get("page", ["0"])[0])
        with STATE.lock:
            STATE.at_work += 1
            STATE.most_at_work = max(STATE.most_at_work, STATE.at_work)
            STATE.calls.append(
                {"path": parts.path, "page": page, "at": time.monotonic(), "language": query.get("language")}
            )
        try:
            self._answer(parts.path, query, page)
        finally:
            with STATE.lock:
                STATE.at_work -= 1

    def _answer(self, path: str, query: dict[str, list[str]], page: int) -> None:
        """Answer a call, or fail as a fault says."""
        fault = STATE.fault_of(path, page)
        if fault is not None:
            time.sleep(fault.get("delay", 0))
            if self._fails(fault):
                return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" and query.get("api_key") != [API_KEY]:
            self._refuse(401, 7, "Invalid API key: You must be granted a valid key.")
        elif path == "/configuration":
            self._send(200, {"images": {"secure_base_url": "https://image.tmdb.org/t/p/"}})
        elif path not in [f"/{kind}/popular" for kind in KINDS]:
            self._refuse(404, 34, "The resource you requested could not be found.")
        elif not 1 <= page <= LAST_PAGE:
            self._refuse(400, 22, "Invalid page: Pages start at 1 and max at 500. They are expected to be an integer.")
        else:
            rows = STATE.lists[path.split("/")[1]]
            total = (len(rows) + PAGE_ITEMS - 1) // PAGE_ITEMS
            results = rows[(page - 1) * PAGE_ITEMS : page * PAGE_ITEMS]
            self._send(200, {"page": page, "results": results, "total_pages": total, "total_results": len(rows)})

    def _fails(self, fault: dict[str, Any]) -> bool:
        """Fail as a fault says; a fault that only delays does not."""
        if fault.get("reset"):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif fault.get("cut"):
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n{"page": 1, ')
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif "drip" in fault:
            self._drip(fault["drip"])
        elif {"body", "text", "status"} & fault.keys():
            self._send(fault.get("status", 200), fault.get("body"), fault.get("headers", {}), text=fault.get("text"))
        else:
            return False
        return True

    def _drip(self, seconds: float) -> None:
        """Send a page a byte at a time, until the other side has had enough."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")
        try:
            for _ in range(4000):
                self.wfile.write(b" ")
                time.sleep(seconds)
        except OSError:
            self.close_connection = True

    def _refuse(self, status: int, code: int, message: str) -> None:
        """Refuse as TMDB does."""
        self._send(status, {"success": False, "status_code": code, "status_message": message})

    def _send(self, status: int, document: Any, headers: dict[str, str] | None = None, text: str | None = None) -> None:
        """Send a document as JSON, or a text as it is."""
        body = (json.dumps(document) if text is None else text).encode("utf-8", "surrogatepass")
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json;charset=utf-8")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    """Ends with its process; a client that goes is no news."""

    daemon_threads = True

    def handle_error(self, *_arguments: object) -> None:
        """Keep quiet."""


def main() -> None:
    """Serve until the process that started this one closes its standard input."""
    server = Server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Handler)
    print(server.server_address[1], flush=True)  # noqa: T201 - whoever started it reads its port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
