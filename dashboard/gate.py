"""The gate before the page: who has no login gets the form for the password and nothing of Streamlit.

In come requests, on go those of viewers who are let in and that only read; so nobody else has a session, a socket or an
upload that the server would have to hold. Every answer says what a browser may do with it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import secrets
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jinja2
from itsdangerous import BadSignature, TimestampSigner
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from etlkit.settings import is_loopback

LOGGER = logging.getLogger("museum.dashboard")
TEMPLATE = Path(__file__).with_name("login.html")
READING = ("GET", "HEAD", "OPTIONS")
ALLOWED = ", ".join(READING)
LARGEST_FORM = 4096
WRONG_ANSWER_SECONDS = 1.0

SECONDS_A_TRY, SECONDS_A_TRY_OF_ALL = 2.0, 0.2
"""How often one address, and all of them together, may try the password for long."""

TRIES_AT_ONCE = 30
"""How many tries an address may make before it has to wait for each; all of them together ten times as many."""

TOLD_EVERY_SECONDS = 60.0
ALL = "all"

POLICY = {
    "default-src": "'none'",
    # with the hash of the one script that Streamlit's index.html has in itself
    "script-src": "'self' 'sha256-THxz9J9+wf7rhwR2YkXJoSZ13UCmYyC+3lNDv2+8ugA='",
    # Streamlit and Vega write their styles into the page
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {sources}" for name, sources in POLICY.items()),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class Gate:
    """Wraps the page's application; without a password this machine is let in, and still may only read."""

    def __init__(self, app: ASGIApp, museum: str, password: str | None, cookie: str, login_seconds: float) -> None:
        """Make a key of its own, so that logins end with the process: a new password needs a new one."""
        self._app = app
        self._museum = museum
        self._password = password
        self._cookie = cookie
        self._login_seconds = login_seconds
        self._signer = TimestampSigner(secrets.token_bytes(32), digest_method=hashlib.sha256)
        self._tries = Tries()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through to the page, or answer it."""
        if scope["type"] == "websocket":
            if _is_from_elsewhere(scope) or not self._is_let_in(scope):
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self._app(scope, receive, send)
        elif scope["type"] == "http":
            with suppress(ClientDisconnect):
                answer = await self._answer(Request(scope, receive))
                await (answer or self._app)(scope, receive, _with_headers(send))
        else:
            await self._app(scope, receive, send)

    async def _answer(self, request: Request) -> Response | None:
        """Return the gate's answer, None where the page is to answer."""
        if request.method == "POST" and self._password is not None:
            return await self._judged(request, self._password.encode())
        if not self._is_let_in(request.scope):
            if self._password is None:
                return PlainTextResponse(
                    "Without a password the page is for this machine only: call it localhost.", 421
                )
            if "text/html" in request.headers.get("accept", ""):
                return self._form("", 401)
            return PlainTextResponse("The login has ended. Load the page again.", 401)
        if request.method not in READING:
            return PlainTextResponse(
                "The page takes nothing.", 405, {"Allow": ", ".join(READING), "Connection": "close"}
            )
        return None

    def _is_let_in(self, scope: Scope) -> bool:
        """Tell whether the viewer needs no password, or has given it not too long ago.

        Without one the page must be called by this machine's name: another site's name may be made to lead here.
        """
        if self._password is None:
            try:
                return is_loopback(urlsplit(f"//{HTTPConnection(scope).headers.get('host', '')}").hostname or "")
            except ValueError:
                return False
        try:
            self._signer.unsign(HTTPConnection(scope).cookies.get(self._cookie, ""), max_age=int(self._login_seconds))
        except BadSignature:
            return False
        return True

    async def _judged(self, request: Request, password: bytes) -> Response:
        """Let the viewer in with the right password; tries beyond the budget are not judged at all."""
        form = b""
        async for chunk in request.stream():
            form += chunk
            if len(form) > LARGEST_FORM:
                return self._form("That is not the password.", 413)
        client = _network(request)
        if not self._tries.allow(client):
            return self._form("There were too many tries. Wait for a few seconds, then try again.", 429)
        if not hmac.compare_digest(parse_qs(form).get(b"password", [b""])[0], password):
            LOGGER.warning("a wrong password for the page, from %s", client)
            await asyncio.sleep(WRONG_ANSWER_SECONDS)
            return self._form("That is not the password.", 401)
        # a bare query keeps the path that was asked for, and can lead nowhere else
        answer = RedirectResponse(f"?{request.url.query}", 303)
        answer.set_cookie(
            self._cookie,
            self._signer.sign(secrets.token_urlsafe()).decode(),
            max_age=int(self._login_seconds),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return answer

    def _form(self, complaint: str, status: int) -> Response:
        """Return the form for the password."""
        environment = jinja2.Environment(autoescape=True)
        page = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
        headers = {"Cache-Control": "no-store", "Connection": "close"}
        return HTMLResponse(page.render(museum=self._museum, complaint=complaint), status, headers)


class Tries:
    """The budget of tries, of each address and of all together, that refills with time.

    An entry says until when the tries so far are paid off. As one is made only for a try that all together may still
    make, there are never more than some hundreds.
    """

    def __init__(self) -> None:
        """Begin with full budgets."""
        self._paid_off: dict[str, float] = {}
        self._refused = 0
        self._told_at = float("-inf")

    def allow(self, client: str) -> bool:
        """Take a try from both budgets, unless one is used up; the log hears of those now and then."""
        now = time.monotonic()
        self._paid_off = {name: until for name, until in self._paid_off.items() if until > now}
        costs = {client: SECONDS_A_TRY, ALL: SECONDS_A_TRY_OF_ALL}
        paid_off = {name: max(self._paid_off.get(name, now), now) + cost for name, cost in costs.items()}
        if paid_off[client] - now > TRIES_AT_ONCE * SECONDS_A_TRY or (
            paid_off[ALL] - now > 10 * TRIES_AT_ONCE * SECONDS_A_TRY_OF_ALL
        ):
            self._refused += 1
            if now - self._told_at >= TOLD_EVERY_SECONDS:
                LOGGER.warning("%s tries of the password refused unjudged, lately from %s", self._refused, client)
                self._refused, self._told_at = 0, now
            return False
        self._paid_off |= paid_off
        return True


def _network(request: Request) -> str:
    """Return the client's address, of IPv6 the network, since one client has all of its addresses."""
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return "an unknown address"
    is_v4 = isinstance(address, ipaddress.IPv4Address)
    return str(address if is_v4 else ipaddress.ip_network((address, 64), strict=False))


def _is_from_elsewhere(scope: Scope) -> bool:
    """Tell whether another site's page opens the socket, which Streamlit would ask a host outside about."""
    headers = HTTPConnection(scope).headers
    return "origin" in headers and urlsplit(headers["origin"]).netloc != headers.get("host")


def _with_headers(send: Send) -> Send:
    """Return a way to send that puts the rules for browsers on every answer."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(HEADERS)
        await send(message)

    return send_with_headers
