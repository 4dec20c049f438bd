"""Connections, SQL files, COPY and advisory locks on Postgres, with driver errors turned into one clear line.

Sessions run in UTC with ISO dates, so nothing depends on the server's or the user's settings.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psycopg2
import psycopg2.extensions
from psycopg2 import errorcodes
from pydantic import SecretStr

from etlkit.errors import ConfigError, LoadError, LockedError
from etlkit.settings import DatabaseSettings

Connection = psycopg2.extensions.connection
Cursor = psycopg2.extensions.cursor

CONNECT_TIMEOUT_SECONDS = 10
READ_BYTES = 65_536
_ARN_REGION = 3
_REFUSED_BY_AWS = (
    "ResourceNotFound", "AccessDenied", "InvalidParameter", "InvalidRequest", "DecryptionFailure", "UnrecognizedClient",
    "InvalidClientTokenId", "InvalidSignature",
)  # fmt: skip
_REFUSALS = ("authentication failed", "does not exist", "no password supplied", "no pg_hba.conf entry")


def connect(settings: DatabaseSettings, application_name: str, *, mute_seconds: int | None = None) -> Connection:
    """Return a connection to the server of the settings; the embedded one must be running already.

    A network that swallows what is sent is given up after `mute_seconds`, else after the system's quarter of an hour.
    Raises ConfigError for a wrong password or database, LoadError when the server does not answer.
    """
    user, password = _read_secret(settings) if settings.db_secret_id else (settings.db_user, settings.db_password)
    try:
        return psycopg2.connect(
            host=settings.db_host,
            port=settings.db_port,
            dbname=settings.db_name,
            user=user,
            password=password.get_secret_value() or None,
            sslmode=settings.sslmode,
            application_name=application_name[:63],
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            tcp_user_timeout=1000 * (mute_seconds or 0),
            options="-c timezone=UTC -c datestyle=ISO -c client_encoding=UTF8",
        )
    except (ValueError, UnicodeError) as error:
        raise ConfigError(f"a database setting cannot be sent to a server: {error}. Nothing was touched.") from error
    except psycopg2.OperationalError as error:
        where = f"{user}@{settings.db_host}:{settings.db_port}/{settings.db_name}"
        reason = _first_line(error)
        if settings.db_secret_id and "authentication failed" in str(error):
            raise LoadError(
                f"cannot log in to {where}: {reason}, with the login of DB_SECRET_ID. While it rotates that passes; "
                "else the secret and the server do not agree. Nothing was loaded."
            ) from error
        if any(refusal in str(error) for refusal in _REFUSALS):
            advice = "Check DB_NAME, DB_USER and DB_PASSWORD."
            if reason.startswith("database ") and "does not exist" in reason:
                advice = "Create it first, e.g. with createdb, or correct DB_NAME."
            raise ConfigError(f"cannot log in to {where}: {reason}. {advice} Nothing was touched.") from error
        raise LoadError(
            f"cannot reach {where}: {reason}. Check DB_HOST, DB_PORT, DB_SSLMODE and that the server is up. "
            "Nothing was loaded."
        ) from error


def _read_secret(settings: DatabaseSettings) -> tuple[str, SecretStr]:
    """Return the user and the password of the settings' AWS secret, a JSON object as RDS writes it.

    Raises ConfigError for a secret that is not there, closed to us or of another form, LoadError for what may pass.
    """
    import boto3  # noqa: PLC0415 - only where a secret is kept there
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError, NoRegionError, ParamValidationError  # noqa: PLC0415

    secret_id = settings.db_secret_id or ""
    parts = secret_id.split(":")  # arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME
    keys = (settings.aws_access_key, settings.aws_secret_key)
    access_key, secret_key = (key.get_secret_value() if key else None for key in keys)
    try:
        client = boto3.client(
            "secretsmanager",
            region_name=parts[3] if parts[0] == "arn" and len(parts) > _ARN_REGION else None,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 2}),
        )
        text = client.get_secret_value(SecretId=secret_id).get("SecretString", "")
    except (NoRegionError, ParamValidationError) as error:
        raise ConfigError(f"DB_SECRET_ID {secret_id!r} cannot be read: {error} Nothing was touched.") from error
    except ClientError as error:
        told = error.response.get("Error", {})
        reason = told.get("Message") or str(error)
        if str(told.get("Code", "")).startswith(_REFUSED_BY_AWS):
            raise ConfigError(f"DB_SECRET_ID {secret_id!r} cannot be read: {reason} Nothing was touched.") from error
        raise LoadError(f"AWS does not give the secret of DB_SECRET_ID: {reason}. Nothing was loaded.") from error
    except (BotoCoreError, ValueError) as error:
        raise LoadError(f"AWS does not give the secret of DB_SECRET_ID: {error}. Nothing was loaded.") from error
    try:
        secret = json.loads(text)
        return str(secret["username"]), SecretStr(secret["password"])
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"the secret {secret_id!r} is no JSON object with username and password. Nothing was touched."
        ) from None


@contextmanager
def load_errors(what: str, outcome: str = "The transaction was rolled back, nothing was loaded.") -> Iterator[None]:
    """Turn any driver error inside into a LoadError that says what was being done, and what became of it."""
    try:
        yield
    except psycopg2.Error as error:
        code = error.pgcode
        name = f" ({errorcodes.lookup(code)})" if code and code in _KNOWN_CODES else ""
        raise LoadError(f"{what}: {_first_line(error)}{name}. {outcome}") from error


@contextmanager
def rolled_back_on_error(connection: Connection) -> Iterator[None]:
    """Give up the transaction and its locks as soon as anything inside fails, whatever the caller does then."""
    try:
        yield
    except BaseException:
        with suppress(psycopg2.Error):
            connection.rollback()
        raise


def commit(connection: Connection) -> None:
    """Commit; raises a LoadError that promises nothing when the connection breaks meanwhile."""
    try:
        connection.commit()
    except psycopg2.Error as error:
        if not connection.closed:
            raise
        raise LoadError(
            f"the connection broke during the commit ({_first_line(error)}); only the server knows whether the rows "
            "are there. Look to the server and run again: what is there is not loaded twice."
        ) from error


def run_file(cursor: Cursor, path: Path, parameters: Mapping[str, Any] | None = None) -> int:
    """Run the one statement of a SQL file and return the number of rows it touched."""
    cursor.execute(path.read_text(encoding="utf-8"), parameters)
    return cursor.rowcount


def copy_stream(cursor: Cursor, path: Path, stream: IO[Any]) -> int:
    """Run the COPY ... FROM STDIN of a SQL file over a stream and return the number of rows."""
    deferring = _DeferringStream(stream)
    try:
        with _driver_errors():
            cursor.copy_expert(path.read_text(encoding="utf-8"), deferring, READ_BYTES)
    finally:
        if deferring.error is not None:
            raise deferring.error
    return cursor.rowcount


@contextmanager
def _driver_errors() -> Iterator[None]:
    """Raise the server's last word where the driver prints it and raises something less telling.

    When the server ends a session during a COPY, psycopg2 2.9 prints the reason as if Python had come to its end.
    """
    printed: list[BaseException] = []
    hook = sys.excepthook
    sys.excepthook = lambda _class, error, _traceback: printed.append(error)
    try:
        yield
    except psycopg2.Error as error:
        causes = (cause for found in printed for cause in (found, found.__cause__, found.__context__))
        told = next((cause for cause in causes if isinstance(cause, psycopg2.Error)), None)
        if told is None:
            raise
        printed.clear()
        raise told from error
    finally:
        sys.excepthook = hook
        for found in printed:  # somebody else's
            hook(type(found), found, found.__traceback__)


def copy_rows(cursor: Cursor, path: Path, rows: Iterable[Sequence[object]]) -> int:
    """COPY rows through a SQL file in the text format, a chunk at a time; return the number of rows.

    None becomes NULL, bytes a bytea, a list of plain words an array; everything else its text.
    """
    return copy_blocks(cursor, path, _copy_lines(rows))


def copy_blocks(cursor: Cursor, path: Path, blocks: Iterable[bytes]) -> int:
    """Run the COPY ... FROM STDIN of a SQL file over blocks of any size; return the number of rows."""
    return copy_stream(cursor, path, _BlockStream(blocks))  # type: ignore[arg-type]  # only read() is asked for


def apply_schema(connection: Connection, path: Path) -> None:
    """Run a whole schema file in one transaction; it creates what is missing and drops nothing."""
    with load_errors(f"applying {path.name}"), connection, connection.cursor() as cursor:
        cursor.execute(path.read_text(encoding="utf-8"))


def schema_version(connection: Connection, system: str) -> int | None:
    """Return the version of a system's schema in the database, None where it was never applied."""
    with load_errors("reading the schema's version"), connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass('meta.schema_version') is not null")
        if not _only(cursor):
            return None
        cursor.execute("select max(version) from meta.schema_version where system = %s", (system,))
        version: int | None = _only(cursor)
        return version


def require_schema(connection: Connection, system: str, version: int, command: str) -> None:
    """Raise ConfigError with the command to run unless the system's schema has at least this version."""
    found = schema_version(connection, system)
    if found is None:
        raise ConfigError(f"the database has no {system} schema yet. Run once: {command}. Nothing was touched.")
    if found < version:
        raise ConfigError(
            f"the database has version {found} of the {system} schema, this program needs {version}. "
            f"Upgrade it with: {command}. Nothing was touched."
        )


@contextmanager
def advisory_lock(connection: Connection, name: str) -> Iterator[None]:
    """Hold the session-wide advisory lock of a target while inside.

    Raises LockedError that names the holder (application, process, since when) when it is taken.
    """
    if holder := try_advisory_lock(connection, name):
        raise LockedError(f"{name} is locked by {holder}. Nothing was touched; try again when it has finished.")
    try:
        yield
    finally:
        # a connection that broke has lost its lock anyway, and must not hide why it broke
        with suppress(psycopg2.Error):
            connection.rollback()
            release_advisory_lock(connection, name)


def try_advisory_lock(connection: Connection, name: str) -> str | None:
    """Take the session-wide advisory lock of a target if it is free; else return who holds it."""
    key = lock_key(name)
    with load_errors(f"taking the lock {name}"), connection, connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s)", (key,))
        return None if _only(cursor) else _lock_holder(cursor, key)


def release_advisory_lock(connection: Connection, name: str) -> None:
    """Give back a lock that this session holds."""
    with connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_unlock(%s)", (lock_key(name),))


def lock_key(name: str) -> int:
    """Return the 64-bit key of a lock's name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


@contextmanager
def cancelled_by_signals(connection: Connection) -> Iterator[None]:
    """Cancel the statement under way when a signal arrives, so that its Python handler runs at once.

    The driver waits in C, where no Python handler runs; a thread that the signal wakes sends the cancel request.
    Works in the main thread only, where signals are delivered; elsewhere it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    previous = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)

    def cancel_on_wakeup() -> None:
        while data := ours.recv(64):
            if any(number in (signal.SIGINT, signal.SIGTERM) for number in data) and not connection.closed:
                with suppress(psycopg2.Error):
                    connection.cancel()

    watcher = threading.Thread(target=cancel_on_wakeup, name="cancel-on-signal", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        theirs.close()
        watcher.join(timeout=5)
        ours.close()


class _DeferringStream:
    """A readable stream that ends early when reading fails, and keeps the error for whoever ordered the COPY.

    The driver cannot pass on what a read raises, a signal's exception included; it prints it.
    """

    def __init__(self, stream: IO[Any]) -> None:
        self._stream = stream
        self.error: BaseException | None = None

    def readline(self, size: int = -1) -> Any:
        """Serve the driver's check for a file; COPY reads in blocks."""
        return self.read(size)

    def read(self, size: int = -1) -> Any:
        """Return the stream's next bytes, none after an error."""
        if self.error is not None:
            return b""
        try:
            return self._stream.read(size)
        except BaseException as error:  # noqa: BLE001 - kept, and raised as soon as the driver has returned
            self.error = error
            return b""


class _BlockStream:
    """A readable stream over blocks that are made as they are asked for."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._ready = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return up to size bytes, none at the end."""
        while not self._ready:
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._ready = memoryview(block)
        data, self._ready = self._ready[:size], self._ready[size:]
        return bytes(data)


def _copy_lines(rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """Yield rows in COPY's text format, a few together."""
    lines: list[bytes] = []
    length = 0
    for row in rows:
        lines.append(_copy_line(row))
        length += len(lines[-1])
        if length >= READ_BYTES:
            yield b"".join(lines)
            lines, length = [], 0
    yield b"".join(lines)


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_KNOWN_CODES = {value for name, value in vars(errorcodes).items() if name.isupper() and isinstance(value, str)}


def _copy_line(row: Sequence[object]) -> bytes:
    """Return one line of COPY's text format."""
    return "\t".join(_copy_field(value) for value in row).encode() + b"\n"


def _copy_field(value: object) -> str:
    """Return one field of COPY's text format."""
    if value is None:
        return r"\N"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return rf"\\x{value.hex()}"
    if isinstance(value, (list, tuple)):
        return "{" + ",".join(str(item) for item in value) + "}"
    return str(value).translate(_ESCAPES)


def _lock_holder(cursor: Cursor, key: int) -> str:
    """Return who holds a lock, as far as the server tells."""
    cursor.execute(
        """
        select coalesce(nullif(a.application_name, ''), 'an unnamed client'),
               l.pid,
               coalesce(host(a.client_addr), 'local'),
               to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS TZ')
        from pg_locks l
        left join pg_stat_activity a on a.pid = l.pid
        where l.locktype = 'advisory' and l.granted and l.objsubid = 1
          and l.database = (select oid from pg_database where datname = current_database())
          and (l.classid::bigint << 32) | l.objid::bigint = %s
        """,
        (key,),
    )
    found = cursor.fetchone()
    if found is None:
        return "a session that has just ended"
    name, pid, address, since = found
    return f"{name} (server process {pid}, from {address}{f', connected since {since}' if since else ''})"


def _first_line(error: psycopg2.Error) -> str:
    """Return the server's own sentence without the driver's decoration."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    fatal = [line.split("FATAL:", 1)[1].strip() for line in lines if "FATAL:" in line]
    return (fatal or lines)[0].rstrip(".")


def _only(cursor: Cursor) -> Any:
    """Return the single value of the single row."""
    row = cursor.fetchone()
    return row[0] if row else None


def process_name(program: str, run_id: object) -> str:
    """Return the application name under which a run can be found in pg_stat_activity."""
    return f"{program} run {str(run_id)[:8]} pid {os.getpid()}"
