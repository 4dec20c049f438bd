"""A stand-in for the API gateway and TeamDynamix, as a process of its own on a real socket.

It is as strict and as odd as the originals: client credentials and JWTs that expire, one row alone sent as an object,
at most 200 departments a search, limits per endpoint with their headers, fields that only a detail has. Under /control
it takes its data, its settings and faults to come, and tells which calls it got. Prints its port when it is ready.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt

CLIENT_KEY, CLIENT_SECRET = "sample-client", "sample-client-secret"
BEID, WEB_SERVICES_KEY = "sample-beid", "sample-web-services-key"
USERNAME, PASSWORD = "sample-user", "sample-password"
SIGNING_KEY = "sample-signing-key-of-the-stand-in"
MOST_ROWS = 1000
DEFAULT_ROWS = 100
MOST_ACCOUNTS = 200
DETAIL_ONLY = {
    "accounts": ("Attributes",),
    "people": ("Attributes", "OrgApplications", "GroupIDs", "Permissions"),
    "assets": ("Attributes", "Attachments"),
}
ENVELOPES = {
    "DeptData": ("DepartmentList", "DeptData", "departments"),
    "DeptEmpData": ("DeptEmpInfo", "DeptEmpData", "employees"),
}


@dataclass
class Sources:
    """All that the server knows and was told to do."""

    data: dict[str, list[Any]] = field(default_factory=dict)
    settings: dict[str, Any] = field(
        default_factory=lambda: {
            "token_seconds": 3600, "limit_calls": 0, "limit_seconds": 60, "most_rows": MOST_ROWS, "filters_dates": True,
        }
    )  # fmt: skip
    faults: list[dict[str, Any]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    windows: dict[str, list[float]] = field(default_factory=dict)
    tokens: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Handler(BaseHTTPRequestHandler):
    """Answers one call."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # headers and body in one packet, else each call waits for a delayed acknowledgement
    sources: Sources

    def do_GET(self) -> None:
        """Answer a GET."""
        self._answer(b"")

    def do_POST(self) -> None:
        """Answer a POST."""
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing; /control/log tells."""

    def _answer(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        if parts.path.startswith("/control/"):
            self._control(parts.path.removeprefix("/control/"), body)
            return
        endpoint = _endpoint(parts.path)
        with self.sources.lock:
            self._log = self.sources.log  # an answer that comes after somebody forgot the calls is not among the next
            self.sources.calls[endpoint] += 1
            fault = self._due_fault(endpoint, self.sources.calls[endpoint])
        kind = fault["kind"]
        if kind == "slow":
            time.sleep(fault["seconds"])
        if kind == "expire":
            self.sources.tokens.clear()
        if kind == "status":
            self._send(fault["status"], fault.get("body", "{}"), fault.get("headers", {}), endpoint)
        elif kind == "page":
            page = "<html><body>We are down for maintenance</body></html>"
            self._send(200, page, {"Content-Type": "text/html"}, endpoint)
        else:
            self._answer_call(parts.path, parse_qs(parts.query), body, endpoint, fault)

    def _answer_call(
        self, path: str, query: dict[str, list[str]], body: bytes, endpoint: str, fault: dict[str, Any]
    ) -> None:
        """Answer a call truthfully, or break off on the way."""
        headers = self._limit(endpoint)
        if headers.get("X-RateLimit-Remaining") == "-1":
            self._send(429, "{}", {**headers, "X-RateLimit-Remaining": "0"}, endpoint)
            return
        status, answer = self._route(path, query, body)
        text = answer if isinstance(answer, str) else json.dumps(answer)
        if fault["kind"] == "reset":
            self._reset(text, endpoint)
        elif fault["kind"] == "drip":
            self._drip(text, fault["seconds"], endpoint)
        else:
            self._send(status, text[: len(text) // 2] if fault["kind"] == "truncate" else text, headers, endpoint)
        if fault["kind"] == "edit":
            self._edit(fault)

    def _edit(self, fault: dict[str, Any]) -> None:
        """Change the data between two calls."""
        with self.sources.lock:
            rows = self.sources.data[fault["name"]]
            if "insert" in fault:
                rows.insert(fault["at"], fault["insert"])
            else:
                del rows[fault["at"]]

    def _control(self, what: str, body: bytes) -> None:
        """Take data, settings and faults, or tell the calls."""
        sources = self.sources
        with sources.lock:
            if what == "data":
                sources.data.update(json.loads(body))
            elif what == "settings":
                sources.settings.update(json.loads(body))
            elif what == "faults":
                sources.faults[:] = json.loads(body)
                sources.calls.clear()
            answer: Any = {}
            if what == "log":
                answer = sources.log
                if body:
                    sources.log = []
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _due_fault(self, endpoint: str, call: int) -> dict[str, Any]:
        """Return the fault that this call is to meet, counted from 1 at each endpoint."""
        for fault in self.sources.faults:
            if fault["endpoint"] == endpoint and fault["from"] <= call < fault["from"] + fault.get("times", 1):
                return fault
        return {"kind": "none"}

    def _limit(self, endpoint: str) -> dict[str, str]:
        """Count a call in its window; return the headers, with -1 remaining when it is one too many."""
        calls, seconds = self.sources.settings["limit_calls"], self.sources.settings["limit_seconds"]
        if not calls:
            return {}
        now = time.time()
        with self.sources.lock:
            started, used = self.sources.windows.get(endpoint, [0.0, 0])
            if now >= started + seconds:
                started, used = now, 0
            used += 1
            self.sources.windows[endpoint] = [started, used]
        reset = formatdate(int(started + seconds) + 1, usegmt=True)
        return {
            "X-RateLimit-Limit": str(calls),
            "X-RateLimit-Remaining": str(max(calls - int(used), -1)),
            "X-RateLimit-Reset": reset,
        }

    def _route(self, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, Any]:
        """Return status and answer of a call."""
        if path == "/oauth/token":
            return self._oauth(parse_qs(body.decode()))
        if path in ("/tdx/auth/loginadmin", "/tdx/auth"):
            return self._login(path, json.loads(body or b"{}"))
        if not self._is_authorized():
            return 401, {"error": "expired"}
        name = path.rsplit("/", 1)[-1]
        if name in ENVELOPES:
            return 200, self._rows(name, query)
        return self._tdx(path.removeprefix("/tdx/").split("/"), query, json.loads(body or b"{}"))

    def _oauth(self, form: dict[str, list[str]]) -> tuple[int, Any]:
        """Give a token for the client's credentials."""
        given = [form.get(name, [""])[0] for name in ("grant_type", "client_id", "client_secret", "scope")]
        if given != ["client_credentials", CLIENT_KEY, CLIENT_SECRET, "department"]:
            return 401, {"error": "invalid_client"}
        seconds = self.sources.settings["token_seconds"]
        token = f"oauth-{len(self.sources.tokens)}-{time.time_ns()}"
        self.sources.tokens[token] = time.time() + seconds
        return 200, {"access_token": token, "expires_in": seconds, "token_type": "Bearer"}

    def _login(self, path: str, given: dict[str, str]) -> tuple[int, Any]:
        """Give a JWT, as bare text."""
        is_known = (
            (given.get("BEID"), given.get("WebServicesKey")) == (BEID, WEB_SERVICES_KEY)
            if path.endswith("loginadmin")
            else (given.get("UserName"), given.get("Password")) == (USERNAME, PASSWORD)
        )
        if not is_known:
            return 401, "Invalid credentials"
        now = int(time.time())
        ends = now + int(self.sources.settings["token_seconds"])
        token = jwt.encode({"iat": now, "exp": ends, "jti": str(time.time_ns())}, SIGNING_KEY, algorithm="HS256")
        self.sources.tokens[token] = ends
        return 200, token

    def _is_authorized(self) -> bool:
        """Tell whether the call's token is one of ours and has not expired."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        return self.sources.tokens.get(token, 0.0) > time.time()

    def _rows(self, name: str, query: dict[str, list[str]]) -> Any:
        """Return a page of rows in its envelope; one row alone is an object."""
        outer, inner, data = ENVELOPES[name]
        count, start = int(query.get("$count", ["0"])[0]), int(query.get("$start_index", ["0"])[0])
        if not 0 < count <= self.sources.settings["most_rows"]:
            count = min(DEFAULT_ROWS, self.sources.settings["most_rows"])
        rows = self.sources.data[data][start : start + count]
        return {outer: {inner: rows[0] if len(rows) == 1 else rows}}

    def _tdx(self, parts: list[str], query: dict[str, list[str]], body: dict[str, Any]) -> tuple[int, Any]:
        """Answer a call of TeamDynamix."""
        data, since = self.sources.data, query.get("ModifiedDateFrom", [body.get("ModifiedDateFrom", "")])[0]
        if parts == ["accounts"]:
            active = [row for row in data["accounts"] if not isinstance(row, dict) or row.get("IsActive", True)]
            return 200, self._listed("accounts", active, since)
        if parts == ["people", "search"]:
            wanted = set(body.get("AccountIDs", []))
            if not wanted or len(wanted) > MOST_ACCOUNTS:
                return 400, {"Message": f"1 to {MOST_ACCOUNTS} AccountIDs"}
            found = [row for row in data["people"] if row["DefaultAccountID"] in wanted and row["IsActive"]]
            return 200, self._listed("people", found, "")
        if parts[1:] == ["assets", "search"]:
            return 200, self._listed("assets", data["assets"], since)
        kind = "assets" if "assets" in parts else parts[0]
        key = "UID" if kind == "people" else "ID"
        found = [row for row in data.get(kind, []) if isinstance(row, dict) and str(row.get(key)) == parts[-1]]
        return (200, found[0]) if found else (404, {"Message": "not found"})

    def _listed(self, kind: str, rows: list[Any], since: str) -> list[Any]:
        """Return rows as a listing shows them."""
        if since and self.sources.settings["filters_dates"]:
            rows = [row for row in rows if row.get("ModifiedDate", "9") >= since]
        return [
            {name: value for name, value in row.items() if name not in DETAIL_ONLY[kind]}
            if isinstance(row, dict)
            else row
            for row in rows
        ]

    def _send(self, status: int, text: str, headers: dict[str, str], endpoint: str) -> None:
        """Send an answer and note it."""
        self._note(endpoint, status)
        data = text.encode("utf-8", "surrogatepass")
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _reset(self, text: str, endpoint: str) -> None:
        """Break the connection in the middle of the body."""
        self._note(endpoint, 0)
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _drip(self, text: str, seconds: float, endpoint: str) -> None:
        """Send a body in ten parts with pauses between them."""
        self._note(endpoint, 200)
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        step = len(data) // 10 + 1
        for first in range(0, len(data), step):
            self.wfile.write(data[first : first + step])
            self.wfile.flush()
            time.sleep(seconds / 10)

    def _note(self, endpoint: str, status: int) -> None:
        """Remember a call."""
        with self.sources.lock:
            self._log.append({"endpoint": endpoint, "path": self.path, "status": status, "at": time.monotonic()})


def _endpoint(path: str) -> str:
    """Return the endpoint of a path: the detail of one record is one endpoint for all of them."""
    parts = path.strip("/").split("/")
    if parts[0] == "tdx" and parts[-1] not in ("accounts", "search", "auth", "loginadmin"):
        return f"{parts[-2]}/detail"
    return {"search": f"{parts[-2]}/search", "token": "oauth"}.get(parts[-1], parts[-1])


def main() -> None:
    """Serve until killed; print the port first."""
    sources = Sources()
    handler = type("BoundHandler", (Handler,), {"sources": sources})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
