"""TLS on a real server: of whom a connection is sure, and what is said of the others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from kit_database import value

from etlkit.errors import ConfigError
from etlkit.postgres import connect
from etlkit.testing import make_server_home
from etlkit.testing.tls import self_made_certificate, server_with_tls

PROJECT_DIR = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def home():
    made = make_server_home("tls")
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def opened(home):
    with server_with_tls(home) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(opened):
    """The settings of a database on a server with TLS."""
    return opened[0].ensure_database("tls").model_copy(update={"db_host": "localhost", "db_sslmode": None})


@pytest.fixture(scope="module")
def right(opened) -> Path:
    return opened[1]


@pytest.fixture(scope="module")
def wrong(home) -> Path:
    return self_made_certificate(home, "wrong")[0]


def refusal(settings, **changes) -> str:
    with pytest.raises(ConfigError) as caught:
        connect(settings.model_copy(update=changes), "test")
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith("Nothing was touched.")
    return message


def test_the_right_authority_and_name_let_in(server, right):
    sure = server.model_copy(update={"db_sslmode": "verify-full", "db_sslrootcert": right})
    with closing(connect(sure, "test")) as connection:
        assert value(connection, "select ssl from pg_stat_ssl where pid = pg_backend_pid()") is True


def test_another_authority_is_refused(server, wrong):
    message = refusal(server, db_sslmode="verify-full", db_sslrootcert=wrong)
    assert "certificate verify failed" in message
    assert "DB_SSLROOTCERT names the file with the certificates of the server's authority" in message


def test_another_host_s_certificate_is_refused(server, right):
    message = refusal(server, db_host="127.0.0.1", db_sslmode="verify-full", db_sslrootcert=right)
    assert "server certificate for" in message
    assert 'does not match host name "127.0.0.1"' in message
    assert "Check DB_HOST" in message


def test_the_name_does_not_matter_to_verify_ca(server, right):
    changes = {"db_host": "127.0.0.1", "db_sslmode": "verify-ca", "db_sslrootcert": right}
    connect(server.model_copy(update=changes), "test").close()


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_to_verify_without_an_authority_says_what_to_set(server, mode, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    message = refusal(server, db_sslmode=mode)
    assert "root certificate file" in message
    assert "DB_SSLROOTCERT names the file" in message


@pytest.mark.parametrize("text", ["", "no certificate"])
def test_an_authority_that_is_none_says_what_to_set(server, tmp_path, text):
    file = tmp_path / "authority.pem"
    file.write_text(text)
    message = refusal(server, db_sslmode="verify-full", db_sslrootcert=file)
    assert f'root certificate file "{file}"' in message
    assert "DB_SSLROOTCERT" in message


def test_a_command_ends_with_2(server, wrong):
    environment = {
        **os.environ,
        "DB_HOST": "localhost",
        "DB_PORT": str(server.db_port),
        "DB_NAME": "tls",
        "DB_USER": server.db_user,
        "DB_PASSWORD": server.db_password.get_secret_value(),
        "DB_SSLMODE": "verify-full",
        "DB_SSLROOTCERT": str(wrong),
    }
    command = [sys.executable, "-m", "etlkit", "runs", "list"]
    result = subprocess.run(command, env=environment, cwd=PROJECT_DIR, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert "certificate verify failed" in result.stderr
    assert "Nothing was touched." in result.stderr
