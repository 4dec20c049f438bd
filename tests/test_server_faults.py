"""The server stops, crashes or runs out of disk under a load; the local disk fills up; pipelines start at once."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from mistreated_server import crash, own_server
from museum_case import CANNOT_MOUNT, PROJECT_DIR

from etlkit.testing import full_count, seeded_random

pytestmark = pytest.mark.soak

DAY = "2023-03-06"
ROWS = 300_000
RESTARTS = full_count("server restarts under a load", 1, 6)


def kiosk_rows(count: int) -> list[str]:
    return [f"{DAY} {9 + n // 3600 % 9:02}:{n // 60 % 60:02}:{n % 60:02},{n % 3},{n % 5}," for n in range(count)]


@pytest.fixture
def stocked(museum):
    """A museum with a first load of some seconds and a few bad rows."""
    for site in range(3):
        museum.exhibition(site)
    museum.kiosk(0, *kiosk_rows(ROWS))
    museum.kiosk(1, *kiosk_rows(100), "x,1,3,", f"{DAY} 10:00:00,77,3,")
    return museum


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a small disk at a folder; skip where that is not possible."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip(CANNOT_MOUNT)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def start(museum) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROJECT_DIR / "pipeline.py"), "--skip-extract", "--push", "--data-dir",
         str(museum.data_dir), "--log-file", str(museum.log_file), *museum.database_flags],
        env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_the_load(museum) -> None:
    """Wait until a run has rows in its hands."""
    loading = "select 1 from pg_stat_activity where application_name like 'museum pipeline%' and query like '%copy %'"
    for _attempt in range(1_000):
        if museum.query(loading):
            return
        time.sleep(0.01)
    raise AssertionError("the load did not begin")


def assert_one_run_makes_it_good(museum, expected) -> None:
    result = museum.push()
    assert result.exit_code in (0, 3), result.figures
    assert {**museum.tables(), "rejects": museum.rejects()} == expected
    assert museum.query("select count(*) from meta.ingestion_runs where status = 'running'") == [(0,)]
    assert museum.push().load["rows_stored"] == 0


@pytest.fixture
def expected(stocked):
    """What the tables hold after an undisturbed run, on another server."""
    assert stocked.push().exit_code == 3
    return {**stocked.tables(), "rejects": stocked.rejects()}


@pytest.mark.parametrize("way", ["restarted", "crashed"])
def test_a_server_that_stops_under_a_load(stocked, expected, monkeypatch, server_home, way):
    chance = seeded_random("restarts")
    with own_server(stocked, monkeypatch, server_home) as server:
        failures = 0
        for attempt in range(RESTARTS):
            stocked.query("truncate review, incident, event_source, exhibition, meta.rejected_records cascade")
            process = start(stocked)
            wait_for_the_load(stocked)
            time.sleep(chance.uniform(0, 0.4) if attempt else 0)
            if way == "restarted":
                server.stop()
            else:
                crash(server)
            server.ensure_running()
            out, err = process.communicate(timeout=60)
            assert process.returncode in (1, 3), out + err
            failures += process.returncode == 1
            assert err == ""
            if process.returncode == 1:
                assert re.search("nothing was loaded|during the commit", out.splitlines()[-1], re.IGNORECASE), out
            assert_one_run_makes_it_good(stocked, expected)
        assert failures >= RESTARTS / 3, "the stops met the load"


def test_a_server_whose_disk_is_full(stocked, expected, monkeypatch, server_home):
    with small_disk(server_home, "300m"), own_server(stocked, monkeypatch, server_home) as server:
        ballast = server_home / "ballast"
        space = os.statvfs(server_home)
        with ballast.open("wb") as file:
            for _block in range(space.f_bavail * space.f_frsize // 2**20 - 12):
                file.write(bytes(2**20))
        process = start(stocked)
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (1, ""), out
        assert "nothing was loaded" in out.splitlines()[-1].lower()
        ballast.unlink()
        server.ensure_running()
        wait_until_answering(stocked)
        assert stocked.count("review") == stocked.count("event_source") == 0
        assert_one_run_makes_it_good(stocked, expected)


def wait_until_answering(museum) -> None:
    """A server that ran out of space for its log restarts by itself; wait for it."""
    from etlkit.errors import EtlError

    for _attempt in range(100):
        with suppress(EtlError):
            museum.query("select 1")
            return
        time.sleep(0.2)


class CuttingProxy(threading.Thread):
    """Stands between a run and the server; passes the commit of the load on and then cuts the line."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(daemon=True)
        self.server = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self) -> None:
        client, _ = self.listener.accept()
        with client, socket.create_connection(self.server) as server:
            is_loading = False
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(65_536)
                    (server if source is client else client).sendall(data)
                    is_loading = is_loading or b"copy staging" in data
                    if not data or (source is client and is_loading and b"COMMIT" in data):
                        time.sleep(0.5)
                        return


def test_a_line_that_is_cut_during_the_commit_promises_nothing(stocked, expected):
    stocked.query("truncate review, incident, event_source, exhibition, meta.rejected_records cascade")
    straight = stocked.database
    proxy = CuttingProxy(straight.db_host, straight.db_port)
    proxy.start()
    stocked.database = straight.model_copy(update={"db_port": proxy.port, "db_sslmode": "disable"})
    stocked.source_flags = []
    result = stocked.push("--db-host", "127.0.0.1")
    proxy.listener.close()
    stocked.database = straight
    assert result.exit_code == 1
    assert "othing was loaded" not in result.figures["error"]
    assert "run again" in result.figures["error"]
    assert {**stocked.tables(), "rejects": stocked.rejects()} == expected
    assert stocked.push().load["rows_stored"] == 0


def test_a_local_disk_that_is_full(stocked, expected):
    stocked.query("truncate review, incident, event_source, exhibition, meta.rejected_records cascade")
    with small_disk(stocked.combined_dir, "6m"):
        before = sorted(path.name for path in stocked.combined_dir.iterdir())
        result = stocked.push()
        assert result.exit_code == 1
        assert "Nothing was loaded" in result.figures["error"]
        assert "No space left on device" in result.figures["error"]
        assert "unexpected" not in result.figures["error"]
        assert stocked.count("review") == 0
        assert before == []
        subprocess.run(["mount", "-o", "remount,size=100m", str(stocked.combined_dir)], check=True)
        assert_one_run_makes_it_good(stocked, expected)


def test_two_pipelines_started_at_once(stocked, expected):
    stocked.query("truncate review, incident, event_source, exhibition, meta.rejected_records cascade")
    ended: list[tuple[int, str]] = []

    def run() -> None:
        process = start(stocked)
        out, _ = process.communicate(timeout=120)
        ended.append((process.returncode, out.splitlines()[-1]))

    threads = [threading.Thread(target=run) for _number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = sorted(code for code, _ in ended)
    assert codes.count(3) == 1, ended
    assert set(codes) <= {0, 3, 4}
    assert 4 in codes
    assert {**stocked.tables(), "rejects": stocked.rejects()} == expected
