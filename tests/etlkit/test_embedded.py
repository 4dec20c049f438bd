"""The private Postgres server."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from etlkit.embedded import EmbeddedServer, default_home
from etlkit.postgres import connect


@pytest.fixture
def server():
    home = Path(tempfile.mkdtemp(prefix="etl-test-server-"))
    home.chmod(0o755)
    opened = EmbeddedServer(home, settings=("fsync = off",))
    yield opened
    opened.stop()
    shutil.rmtree(home, ignore_errors=True)


def test_data_survives_a_restart(server):
    settings = server.ensure_database("kept")
    with closing(connect(settings, "test")) as connection, connection, connection.cursor() as cursor:
        cursor.execute("create table note as select 'still here' as text")
    assert server.stop()
    assert not server.is_running()
    with closing(connect(server.ensure_database("kept"), "test")) as connection, connection.cursor() as cursor:
        cursor.execute("table note")
        assert cursor.fetchall() == [("still here",)]


def test_listens_on_loopback_only_and_wants_the_password(server):
    endpoint = server.ensure_running()
    with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
        psycopg2.connect(
            host=endpoint.host, port=endpoint.port, user=endpoint.user, password="wrong", dbname="postgres"
        )
    with closing(connect(server.ensure_database("x"), "test")) as connection, connection.cursor() as cursor:
        cursor.execute("show listen_addresses")
        assert cursor.fetchone() == ("127.0.0.1",)


def test_secrets_are_readable_by_the_owner_only(server):
    server.ensure_running()
    for name in ("server.json", "pgpass"):
        assert stat.S_IMODE((server.home / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


def test_takes_another_port_when_its_own_is_gone(server):
    before = server.ensure_running()
    server.stop()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", before.port))
        squatter.listen()
        after = server.ensure_running()
        assert after.port != before.port
        assert server.ensure_database("x").db_port == after.port


def test_comes_back_after_kill_9(server):
    server.ensure_database("kept")
    os.kill(int((server.data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
    deadline = time.monotonic() + 20
    while server.is_running() and time.monotonic() < deadline:
        time.sleep(0.1)
    with closing(connect(server.ensure_database("kept"), "test")):
        assert server.is_running()


def test_a_half_made_server_is_made_again(server):
    server.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    server._give_to_server(server.data)
    (server.data / "PG_VERSION").write_text("18\n")
    assert server.ensure_running().port


def test_two_processes_start_it_once(server):
    program = (
        "import sys; from pathlib import Path; from etlkit.embedded import EmbeddedServer; "
        "print(EmbeddedServer(Path(sys.argv[1])).ensure_running().port)"
    )
    server.home.mkdir(exist_ok=True)
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(server.home)], stdout=subprocess.PIPE, text=True)
        for _number in range(3)
    ]
    ports = {process.communicate(timeout=60)[0].strip() for process in started}
    assert len(ports) == 1
    assert all(process.returncode == 0 for process in started)


def test_home_is_in_the_project_but_for_root(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_home(tmp_path) == tmp_path / ".local" / "postgres"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_home(tmp_path).parent == Path("/var/lib/etlkit")
    assert default_home(tmp_path) != default_home(tmp_path / "other" / tmp_path.name)
