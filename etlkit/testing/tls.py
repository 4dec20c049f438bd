"""A private server with TLS, whose certificate signed itself: it is its own authority."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from etlkit.embedded import EmbeddedServer

NO_TLS = "no Postgres with TLS is installed (the wheel's has none); on Debian: apt-get install postgresql"


def self_made_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Return a new certificate for localhost, and its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    key.touch(mode=0o600)
    words = [
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        f"/CN={name}",
        "-addext",
        "subjectAltName=DNS:localhost",
    ]
    command = ["openssl", "req", *words, "-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@contextmanager
def server_with_tls(home: Path) -> Iterator[tuple[EmbeddedServer, Path]]:
    """Give a server that speaks TLS as localhost, and its certificate; skips the test where no such Postgres is."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        pytest.skip(NO_TLS)
    certificate, key = self_made_certificate(home, "right")
    settings = ("fsync = off", "ssl = on", f"ssl_cert_file = '{certificate}'", f"ssl_key_file = '{key}'")
    server = EmbeddedServer(home / "server", programs[-1].parent, settings=settings)
    server._give_to_server(key)  # noqa: SLF001 - the file must belong to whom the data belongs to
    try:
        server.ensure_running()
        yield server, certificate
    finally:
        server.stop()
