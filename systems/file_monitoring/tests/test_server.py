"""The trigger, the probes and the page, served by gunicorn as in the image."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from monitor_case import AGENCY, GOOD, MANAGE, Monitor, wait_until

TOKEN, PASSWORD = "a-token-of-the-tests", "a-password-of-the-tests"
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


class Server:
    """gunicorn with the monitor's page."""

    def __init__(self, monitor: Monitor, **settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        values = {
            "TRIGGER_API_TOKEN": TOKEN, "PAGE_PASSWORD": PASSWORD, "ALLOWED_BUCKETS": monitor.bucket, **settings,
        }  # fmt: skip
        self.log = monitor.folder / "server.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "file_monitoring.wsgi"],
                cwd=MANAGE.parent,
                env=monitor.environment(values),
                stderr=log,
                stdout=log,
            )
        wait_until(lambda: self.status("/healthz") == 200, "the server")

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=body,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own server
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def status(self, path: str) -> int:
        try:
            return self.ask(path)[0]
        except OSError:
            return 0

    def trigger(self, document: object, token: str = TOKEN) -> tuple[int, dict]:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        status, _, answer = self.ask("/api/trigger-ingestion/", body, Authorization=f"Bearer {token}")
        return status, json.loads(answer)

    def page(self, path: str = "/", password: str = PASSWORD) -> tuple[int, str]:
        login = base64.b64encode(f"guard:{password}".encode()).decode()
        status, _, answer = self.ask(path, Authorization=f"Basic {login}")
        return status, answer.decode()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def server(monitor: Monitor) -> Iterator[Server]:
    made = Server(monitor)
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log.read_text()


def test_the_trigger_scores_an_object(monitor: Monitor, server: Server):
    number = monitor.expect()
    monitor.put()
    status, told = server.trigger({"bucket": monitor.bucket, "key": f"{AGENCY}/f.csv"})
    assert (status, told["status"], told["score"], told["monitoring_file_id"]) == (202, "scored", 100, number)
    assert monitor.scores() == [100]
    assert server.trigger({"bucket": monitor.bucket, "key": f"{AGENCY}/f.csv"})[1]["status"] == "unchanged"
    event = json.loads(monitor.event(at="2026-01-10T10:00:00Z"))
    assert server.trigger({"Records": event["Records"] * 2})[1]["results"][1]["status"] == "unchanged"


def test_the_trigger_refuses_with_a_code(monitor: Monitor, server: Server):
    for name in ("twice.csv", "twice.csv", "gone.csv"):
        monitor.expect(name)
    monitor.put(f"{AGENCY}/twice.csv")
    key = {"bucket": monitor.bucket, "key": f"{AGENCY}/f.csv"}
    assert server.ask("/api/trigger-ingestion/", b"{}")[0] == 401
    for token in ("", "wrong", TOKEN + "x", TOKEN[:-1], "\u00fc".encode().decode("latin-1")):
        assert server.trigger(key, token)[0] == 401
    login = base64.b64encode(f"x:{TOKEN}".encode()).decode()
    assert server.ask("/api/trigger-ingestion/", b"{}", Authorization=f"Basic {login}")[0] == 401
    assert server.ask("/api/trigger-ingestion/", Authorization=f"Bearer {TOKEN}")[0] == 405
    for document, status, code in (
        (b"no JSON", 400, "bad_message"),
        ({"hello": 1}, 400, "bad_message"),
        (b"{" + b" " * 70_000 + b"}", 413, "too_large"),
        ({"bucket": "another-bucket", "key": "k"}, 403, "foreign_bucket"),
        ({"bucket": monitor.bucket, "key": "nobody/expects.csv"}, 404, None),
        ({"bucket": monitor.bucket, "key": f"{AGENCY}/gone.csv"}, 404, None),
        ({"bucket": monitor.bucket, "key": f"{AGENCY}/twice.csv"}, 422, "never_scored"),
    ):
        found, told = server.trigger(document)
        assert (found, told.get("error")) == (status, code), told
    assert server.trigger({"Event": "s3:TestEvent"}) == (202, {"status": "ignored", "why": "S3's test event"})
    assert monitor.runs() == []


def test_what_is_away_is_a_503_and_no_trace(monitor: Monitor):
    monitor.expect()
    monitor.put()
    made = Server(monitor, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    try:
        status, told = made.trigger({"bucket": monitor.bucket, "key": f"{AGENCY}/f.csv"})
        assert (status, told["error"]) == (503, "try_again")
        assert "127.0.0.1" not in told["message"]
    finally:
        made.stop()
    assert monitor.runs() == []


def test_a_busy_server_answers_429_and_its_probes_go_on(monitor: Monitor):
    monitor.expect()
    monitor.put()
    slow = {"PYTHONPATH": str(Path(__file__).parent / "slowed"), "SLOW_SECONDS_OF_THE_TEST": "2"}
    made = Server(monitor, **slow)
    key = {"bucket": monitor.bucket, "key": f"{AGENCY}/f.csv"}
    try:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(made.trigger, key)
            wait_until((monitor.scratch / "reached").exists, "work")
            assert made.trigger(key)[0] == 429
            assert made.status("/healthz") == made.status("/readyz") == 200
            assert first.result()[0] == 202
    finally:
        made.stop()


def test_off_means_off(monitor: Monitor):
    made = Server(monitor, TRIGGER_API_TOKEN="", PAGE_PASSWORD="", ALLOWED_BUCKETS="")
    try:
        assert made.trigger({"bucket": monitor.bucket, "key": "k"})[0] == 404
        assert made.page()[0] == made.page("/files/1/")[0] == 404
        assert made.status("/healthz") == 200
    finally:
        made.stop()
    without_buckets = Server(monitor, ALLOWED_BUCKETS="")
    try:
        assert without_buckets.trigger({"bucket": monitor.bucket, "key": "k"})[1]["error"] == "no_allowed_buckets"
    finally:
        without_buckets.stop()


def test_the_probes_say_whether_the_database_answers(monitor: Monitor, server: Server):
    assert (server.status("/healthz"), server.status("/readyz")) == (200, 200)
    made = Server(monitor, DB_PORT="9")
    try:
        assert (made.status("/healthz"), made.status("/readyz")) == (200, 503)
    finally:
        made.stop()


def test_the_page_wants_its_password(monitor: Monitor, server: Server):
    monitor.expect()
    assert server.ask("/")[0] == 401
    for password in ("", "wrong", PASSWORD + "x", TOKEN):
        assert server.page(password=password)[0] == 401
    for header in ("Basic", "Basic !!!", "Basic " + "A" * 8_000, "Bearer " + PASSWORD):
        assert server.ask("/", Authorization=header)[0] in (400, 401, 431)
    assert server.page()[0] == 200
    assert server.page("/files/1/", "wrong")[0] == 401
    assert server.page("/files/99999999999999999999/")[0] == 404
    assert "a wrong password for the page" in server.log.read_text()
    assert PASSWORD not in server.log.read_text()


def test_every_answer_is_framed_by_nobody_and_loads_nothing(server: Server):
    for path in ("/", "/healthz", "/nowhere", "/api/trigger-ingestion/"):
        headers = server.ask(path)[1]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
    assert server.ask("/", Host="evil.example")[0] == 400
    assert server.ask("/healthz", Host="10.1.2.3:8000")[0] == server.ask("/readyz", Host="10.1.2.3:8000")[0] == 200


def fill(monitor: Monitor) -> None:
    """Make files that pass, fail, never came, have hostile names, and were written by somebody else."""
    monitor.expect("good.csv{DD}")
    monitor.expect("bad.csv{DD}")
    monitor.expect("<script>alert(1)</script>.csv")
    monitor.expect("never_" + "x" * 200 + ".csv")
    for day in range(1, 8):
        for name, body in (("good.csv", GOOD), ("bad.csv", b"id,name\n1,\n1,x\n" if day > 3 else GOOD)):
            key = f"{AGENCY}/{name}{day:02}"
            etag = monitor.put(key, body + b"9%d,x\n" % day)
            monitor.send(monitor.event(key, eTag=etag, at=f"2026-01-{day:02}T10:00:00Z"))
    assert monitor.work().exit_code == 0
    with monitor._connection.cursor() as cursor:
        cursor.execute(
            "insert into reporting.monitoring_file_run (monitoring_file_id, created_at, file_size, run_date, run_hour) "
            "select id, now(), 5, '2026-01-01', 5 from reporting.monitoring_file "
            "where file_name like '<script%' returning id"
        )
        (number,) = cursor.fetchone()
        cursor.execute(
            "insert into reporting.monitoring_file_data_quality (monitoring_file_run_id, score, passed, metrics, "
            "deductions, created_at) values (%s, 40, false, %s, %s, now())",
            (number, '{"warnings": 5, "source": 5, "completeness": {"failures": null}}', '{"schema": 40}'),
        )


@pytest.mark.database
def test_the_page_lists_the_worst_first_and_escapes_everything(monitor: Monitor, server: Server):
    fill(monitor)
    status, page = server.page()
    assert status == 200
    places = [page.index(name) for name in ("&lt;script&gt;", "bad.csv", "good.csv", "never_xxx")]
    assert places == sorted(places)
    assert "<script>" not in page
    assert "completeness -20: required values are null: name required (1)" in page
    number = monitor.value("select id from reporting.monitoring_file where file_name like 'bad%%'")
    status, history = server.page(f"/files/{number}/")
    assert status == 200
    assert history.count("<li>\n<b") == 7
    assert "name</td><td>required</td>" in history
    assert server.page("/files/999999/")[0] == 404
    other = monitor.value("select id from reporting.monitoring_file where file_name like '<script%%'")
    assert server.page(f"/files/{other}/")[0] == 200


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_in_a_browser_on_desktop_and_phone(monitor: Monitor, server: Server):
    from playwright.sync_api import sync_playwright

    def check(page, width: int) -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("getComputedStyle(document.querySelector('svg polyline')).fill") == "none"

    fill(monitor)
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for width, height in ((1200, 900), (390, 844)):
            context = browser.new_context(
                viewport={"width": width, "height": height},
                http_credentials={"username": "guard", "password": PASSWORD},
            )
            page = context.new_page()
            page.on("console", lambda message: said.append(message.text))
            page.goto(f"http://127.0.0.1:{server.port}/")
            check(page, width)
            page.click("text=bad.csv")
            page.wait_for_url("**/files/*/")
            check(page, width)
            assert page.inner_text("h1") == "bad.csv{DD}"
        browser.close()
    assert said == []


def test_it_stops_with_0_on_sigterm(monitor: Monitor):
    made = Server(monitor)
    started = time.monotonic()
    assert made.stop() == 0
    assert time.monotonic() - started < 10
    assert os.environ.get("PAGE_PASSWORD") is None
