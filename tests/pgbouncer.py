"""PgBouncer before a database, in session mode, in which locks and temporary tables stay a session's own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from etlkit.settings import DatabaseSettings

NO_PGBOUNCER = "no PgBouncer is installed; on Debian: apt-get install pgbouncer"
START_SECONDS = 10


def find_pgbouncer() -> str | None:
    """Return where PgBouncer lies; Debian puts it where only root looks."""
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def pgbouncer(program: str, home: Path, database: DatabaseSettings, sessions: int = 20) -> Iterator[int]:
    """Yield the port of a pooler that gives so many of the server's sessions away."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    password = database.db_password.get_secret_value()
    (home / "users.txt").write_text(f'"{database.db_user}" "{password}"\n')
    (home / "pgbouncer.ini").write_text(
        f"[databases]\n{database.db_name} = host=127.0.0.1 port={database.db_port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = plain\n"
        f"auth_file = {home}/users.txt\npool_mode = session\ndefault_pool_size = {sessions}\nunix_socket_dir =\n"
    )
    subprocess.run(["chmod", "-R", "a+rX", str(home)], check=True)
    process = subprocess.Popen(
        [program, "-u", "nobody", str(home / "pgbouncer.ini")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)
