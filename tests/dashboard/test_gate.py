"""The page's server against those who have no password: nothing is held for them, guessing is slow, logins end."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from dashboard_case import Server, served
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

PASSWORD = "correct horse battery"
SPY = """
import os, sys
def spy(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        with open(os.environ["SPY_FILE"], "a") as file:
            print(event, arguments[0] if event == "socket.getaddrinfo" else arguments[1], file=file)
sys.addaudithook(spy)
spy("socket.getaddrinfo", ["watched from here"])
"""
RULES = ("content-security-policy", "x-frame-options", "x-content-type-options", "referrer-policy")


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def cookie(self) -> str:
        return self.headers["set-cookie"].partition(";")[0]


def ask(server: Server, path: str = "/", method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
    port = int(server.address.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with suppress(BrokenPipeError, ConnectionResetError):  # it has answered, and takes no more
        connection.request(method, path, body, headers)
    answer = connection.getresponse()
    said = {name.lower(): value for name, value in answer.getheaders()}
    try:
        text = answer.read().decode()
    except (http.client.IncompleteRead, ConnectionResetError):  # it closed on what it did not take, and its words went
        text = ""
    connection.close()
    return Answer(answer.status, said, text)


def guess(server: Server, password: str, path: str = "/", **headers: str) -> Answer:
    form = urlencode({"password": password}).encode()
    return ask(server, path, "POST", form, **{"Content-Type": "application/x-www-form-urlencoded"}, **headers)


def socket_status(server: Server, **headers: str) -> int:
    """Return 101 when the page's socket opens, else why not."""
    try:
        with connect(f"{server.address.replace('http', 'ws')}/_stcore/stream", additional_headers=headers):
            return 101
    except InvalidStatus as refusal:
        return refusal.response.status_code


@pytest.fixture
def serve(museum, tmp_path) -> Iterator[Callable[..., Server]]:
    """Return a function that serves the museum's page, with the password unless told otherwise."""
    with ExitStack() as stack:

        def start(*flags: str, **environment: str) -> Server:
            return stack.enter_context(
                served(museum.database, tmp_path, *flags, **{"MUSEUM_DASHBOARD_PASSWORD": PASSWORD, **environment})
            )

        yield start


def test_nobody_without_the_password_makes_the_server_hold_anything(serve):
    server = serve()
    cookie = ask(server, "/_stcore/health").headers.get("set-cookie", "").partition(";")[0]
    with ExitStack() as stack:
        session = "none"
        with suppress(InvalidStatus):
            line = stack.enter_context(connect(f"{server.address.replace('http', 'ws')}/_stcore/stream", max_size=None))
            line.send(BackMsg(rerun_script=ClientState()).SerializeToString())
            while not (message := ForwardMsg.FromString(line.recv(timeout=20))).HasField("script_finished"):
                if message.HasField("new_session"):
                    session = message.new_session.initialize.session_id
        before = server.megabytes()
        statuses = {upload(server, session, number, cookie) for number in range(6)}
        assert server.megabytes() - before < 60, statuses
    assert statuses <= {401, 405}
    assert guess(server, "a" * 50_000_000).status == 413
    assert ask(server, "/_stcore/agent/interact", "POST", b"{" * 5_000_000).status == 413
    for _number in range(20):
        assert socket_status(server) == 403
    for name in ("static/js", "media/x", "component/x", "_stcore/metrics", "_stcore/agent/openapi.json"):
        assert ask(server, f"/{name}").status == 401
    assert server.megabytes() - before < 60


def upload(server: Server, session: str, number: int, cookie: str) -> int:
    token = cookie.partition("=")[2]
    body = (
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + bytes(30_000_000) + b"\r\n--x--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x", "X-Xsrftoken": token, "Cookie": cookie}
    return ask(server, f"/_stcore/upload_file/{session}/{number}", "PUT", body, **headers).status


def test_no_viewer_uploads_anything_either(serve):
    server = serve()
    cookie = guess(server, PASSWORD).cookie
    assert ask(server, "/_stcore/upload_file/s/f", "PUT", b"x" * 1000, Cookie=cookie).status == 405
    assert ask(server, "/_stcore/upload_file/s/f", "DELETE", Cookie=cookie).status == 405
    assert socket_status(server, Cookie=cookie) == 101


def test_without_a_password_no_other_name_leads_to_the_page(serve):
    """A site may let its own name lead to this machine, and its script would read the page as one of its own."""
    server = serve(MUSEUM_DASHBOARD_PASSWORD="")
    for host in ("localhost", "127.0.0.1:8501", "[::1]:8501"):
        assert ask(server, Host=host).status == 200, host
    for host in ("evil.example", "10.0.0.1", "localhost.evil.example", "", "[::1"):
        assert ask(server, Host=host).status in (400, 421), host
    assert socket_status(server) == 101


def test_guesses_are_slow_are_told_and_hold_nobody_up(serve):
    server = serve()
    started = time.monotonic()
    with ThreadPoolExecutor(100) as guessers:
        answers = [guessers.submit(guess, server, f"a guess of {number}") for number in range(25)]
        time.sleep(0.2)
        asked = time.monotonic()
        assert guess(server, PASSWORD).status == 303
        assert time.monotonic() - asked < 5
        assert {answer.result().status for answer in answers} == {401}
        assert time.monotonic() - started >= 1, "nobody learns at once that a guess was wrong"
        answers = [guessers.submit(guess, server, f"a guess of {number}") for number in range(100)]
        assert [answer.result().status for answer in answers].count(429) >= 90, "the budget is used up"
        # others have a budget of their own
        forwarded = {"X-Forwarded-For": "2001:db8::7", "X-Forwarded-Proto": "https"}
        answer = guess(server, PASSWORD, **forwarded)
        assert (answer.status, "Secure" in answer.headers["set-cookie"]) == (303, True)
        assert guess(server, "another guess", **forwarded).status == 401
    time.sleep(3)
    assert guess(server, PASSWORD).status == 303, "the budget refills"
    told = server.output.read_text()
    assert 25 <= told.count("warning: a wrong password for the page, from 127.0.0.1") < 40
    assert "warning: a wrong password for the page, from 2001:db8::/64" in told
    assert told.count("refused unjudged") == 1, "a flood is one line a minute"
    assert "a guess of" not in told
    assert PASSWORD not in told


def test_a_guess_from_an_odd_address_is_logged_in_one_harmless_line(serve):
    server = serve()
    assert guess(server, "wrong", **{"X-Forwarded-For": "\x1b[2J" + "9" * 1000}).status == 401
    assert "from an unknown address" in server.output.read_text()


def test_a_login_ends_and_cannot_be_forged(serve, museum, tmp_path):
    server = serve(MUSEUM_DASHBOARD_LOGIN_HOURS=str(3 / 3600))
    answer = guess(server, PASSWORD, "/safety?department=Geology")
    assert (answer.status, answer.headers["location"]) == (303, "?department=Geology")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=lax" in answer.headers["set-cookie"]
    given = time.monotonic()
    cookie = answer.cookie
    assert ask(server, Cookie=cookie).status == 200
    name, _, value = cookie.partition("=")
    text, moment, signature = value.split(".")
    later = f"{name}={text}.{moment[:-1]}{'A' if moment[-1] != 'A' else 'B'}.{signature}"
    for forged in (
        later,
        f"{name}={text}.{moment}.",
        f"{name}=x",
        f"{name}=",
        f"other={value}",
        f"{name}=\xff.\xff.\xff",
    ):
        assert ask(server, Cookie=forged).status == 401, forged
        assert socket_status(server, Cookie=forged.encode("latin-1").decode("latin-1")) in (400, 403)
    (tmp_path / "other").mkdir()
    with served(museum.database, tmp_path / "other", MUSEUM_DASHBOARD_PASSWORD="another password") as other:
        there = guess(other, "another password").cookie
        assert ask(other, Cookie=there).status == 200
        assert ask(server, Cookie=f"{name}={there.partition('=')[2]}").status == 401, "a login of another server"
    # the same server with another password is another server: its key is new
    time.sleep(max(0.0, given + 5 - time.monotonic()))
    assert ask(server, Cookie=cookie).status == 401
    assert socket_status(server, Cookie=cookie) == 403


def test_a_login_leads_nowhere_else(serve):
    answer = guess(serve(), PASSWORD, "//elsewhere.example.org/%0d%0aSet-Cookie:x")
    assert answer.headers["location"] == "?"


@pytest.mark.parametrize("password", [PASSWORD, ""], ids=["password", "open"])
def test_every_answer_has_the_rules_for_browsers(serve, password):
    server = serve(MUSEUM_DASHBOARD_PASSWORD=password)
    cookie = guess(server, PASSWORD).cookie if password else ""
    index = ask(server, Cookie=cookie)
    script = re.findall(r'src="\.(/static/js/index[^"]+)"', index.text)[0]
    for login in {cookie, ""}:
        for method, path in (
            ("GET", "/"), ("GET", "/safety"), ("GET", script), ("GET", "/_stcore/health"), ("GET", "/media/none"),
            ("GET", "/%2e%2e/x"), ("GET", "//x"), ("HEAD", "/"), ("OPTIONS", "/_stcore/health"), ("PUT", "/"),
            ("POST", "/"), ("TRACE", "/"),
        ):  # fmt: skip
            answer = ask(server, path, method, Cookie=login, Accept="text/html")
            assert [name for name in RULES if name not in answer.headers] == [], (method, path, answer.status)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe-eval" not in policy
            assert not re.search(r"script-src[^;]*unsafe-inline", policy)


def test_the_server_asks_no_other_host_for_anything(serve, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SPY)
    found = tmp_path / "spied.txt"
    server = serve("--address", "0.0.0.0", PYTHONPATH=str(tmp_path), SPY_FILE=str(found))
    assert ask(server).status < 500
    time.sleep(2)
    assert set(found.read_text().splitlines()) == {"socket.getaddrinfo watched from here"}
    cookie = guess(server, PASSWORD).cookie
    assert socket_status(server, Cookie=cookie) == 101
    assert socket_status(server, Cookie=cookie, Origin=server.address) == 101
    assert socket_status(server, Cookie=cookie, Origin="http://elsewhere.example.org") == 403
    time.sleep(1)
    assert set(found.read_text().splitlines()) == {"socket.getaddrinfo watched from here"}


def test_it_ends_at_once_and_in_order(serve):
    server = serve()
    cookie = guess(server, PASSWORD).cookie
    with connect(f"{server.address.replace('http', 'ws')}/_stcore/stream", additional_headers={"Cookie": cookie}):
        server.process.terminate()
        assert server.process.wait(timeout=10) == 0
    assert "The dashboard was stopped." in server.output.read_text()
