"""The consumer's settings: logins, TLS, addresses and flags, and what is said about wrong ones."""

from __future__ import annotations

import time

import pytest
from apache_kafka import MECHANISMS, PASSWORD, USER
from live_case import ended, press

import museum.settings

EVERY_MECHANISM = [pytest.param(name, marks=() if name == "PLAIN" else pytest.mark.full) for name in MECHANISMS]


@pytest.mark.parametrize("mechanism", EVERY_MECHANISM)
@pytest.mark.parametrize("listener", ["SASL", "SASLTLS"])
def test_logins(live, mechanism, listener):
    live.setenv("BOOTSTRAP_SERVERS", live.kafka.bootstrap(listener))
    live.setenv("SECURITY_PROTOCOL", "sasl_ssl" if listener == "SASLTLS" else "SASL_PLAINTEXT")
    live.setenv("SASL_MECHANISM", mechanism)
    live.setenv("USERNAME", USER)
    live.setenv("PASSWORD", PASSWORD)
    if listener == "SASLTLS":
        live.setenv("KAFKA_CA_FILE", str(live.kafka.ca_file))
    live.produce([press(0)])
    result = live.consume("--max-messages", "1")
    assert result.exit_code == 0
    assert any("Kafka user from USERNAME in the environment" in line for line in result.lines)
    log = live.museum.log_file.read_text()
    assert PASSWORD not in log
    assert PASSWORD not in "".join(result.lines)


def test_tls_without_a_login(live):
    live.setenv("BOOTSTRAP_SERVERS", live.kafka.bootstrap("TLS"))
    live.setenv("SECURITY_PROTOCOL", "SSL")
    live.setenv("KAFKA_CA_FILE", str(live.kafka.ca_file))
    live.produce([press(0)])
    assert live.consume("--max-messages", "1").exit_code == 0


def test_a_certificate_that_nobody_vouches_for_is_refused(live):
    live.setenv("BOOTSTRAP_SERVERS", live.kafka.bootstrap("TLS"))
    live.setenv("SECURITY_PROTOCOL", "SSL")
    result = live.consume()
    assert result.exit_code == 2
    assert "KAFKA_CA_FILE" in result.last_line


@pytest.mark.parametrize("mechanism", EVERY_MECHANISM)
def test_a_wrong_password_is_said_at_once_and_never_shown(live, mechanism):
    live.setenv("BOOTSTRAP_SERVERS", live.kafka.bootstrap("SASL"))
    live.setenv("SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    live.setenv("SASL_MECHANISM", mechanism)
    live.setenv("KAFKA_USERNAME", USER)
    live.setenv("KAFKA_PASSWORD", "not-the-right-word")
    began = time.monotonic()
    result = live.consume()
    assert result.exit_code == 2
    assert time.monotonic() - began < 8
    assert "refuse us" in result.last_line
    assert "not-the-right-word" not in "".join(result.lines) + live.museum.log_file.read_text()
    assert live.query("select count(*) from meta.ingestion_runs") == [(0,)]


def test_the_file_wins_over_the_environment_and_the_own_names_over_both(live, tmp_path, monkeypatch):
    live.setenv("BOOTSTRAP_SERVERS", live.kafka.bootstrap("SASL"))
    live.setenv("SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    live.setenv("SASL_MECHANISM", "PLAIN")
    live.setenv("USERNAME", "whoever-is-logged-in")
    live.setenv("PASSWORD", "wrong-word")
    live.produce([press(0), press(1)])
    assert live.consume().exit_code == 2

    env_file = tmp_path / ".env"
    env_file.write_text(f"USERNAME={USER}\nPASSWORD='{PASSWORD}'\n")
    monkeypatch.setattr(museum.settings, "ENV_FILE", env_file)
    result = live.consume("--max-messages", "1")
    assert result.exit_code == 0
    assert any("Kafka user from USERNAME in .env, password from PASSWORD in .env" in line for line in result.lines)

    env_file.write_text("USERNAME=x\nPASSWORD=wrong\n")
    live.setenv("KAFKA_USERNAME", USER)
    live.setenv("KAFKA_PASSWORD", PASSWORD)
    result = live.consume("--max-messages", "1")
    assert result.exit_code == 0
    assert any("Kafka user from KAFKA_USERNAME, password from KAFKA_PASSWORD" in line for line in result.lines)


def test_a_login_that_is_asked_for_must_be_given(live):
    live.setenv("SECURITY_PROTOCOL", "SASL_SSL")
    result = live.consume()
    assert (result.exit_code, "SASL_MECHANISM is missing" in result.lines[-1]) == (2, True)
    live.setenv("SASL_MECHANISM", "SCRAM-SHA-256")
    result = live.consume()
    assert (result.exit_code, "KAFKA_USERNAME" in result.last_line) == (2, True)


def test_every_wrong_setting_is_named_at_once(live):
    for name, value in {
        "SECURITY_PROTOCOL": "TELEPATHY", "SASL_MECHANISM": "HOPE", "MUSEUM_LINGER_MS": "251", "KAFKA_TOPIC": "a b",
        "KAFKA_CA_FILE": "/nowhere.pem", "MUSEUM_OPENING_TIME": "noon",
    }.items():  # fmt: skip
        live.setenv(name, value)
    exit_code = live.start("--idle-exit", "1")
    code, output = ended(exit_code)
    assert code == 2
    assert all(
        name in output for name in live.environment if name.startswith(("SECURITY", "SASL", "MUSEUM_", "KAFKA_CA"))
    )


@pytest.mark.parametrize(
    "flags", [["--max-messages", "0"], ["--idle-exit", "-1"], ["--linger-ms", "300"], ["--batch-size", "none"]]
)
def test_senseless_flags_are_refused(live, flags):
    code, output = ended(live.start(*flags))
    assert code == 2
    assert "error" in output


@pytest.mark.full
def test_no_broker_is_said_with_where(live):
    live.setenv("BOOTSTRAP_SERVERS", "127.0.0.1:9")
    result = live.consume()
    assert result.exit_code == 1
    assert "127.0.0.1:9" in result.last_line


@pytest.mark.parametrize("servers", ["localhost", "localhost:abc", "localhost:99999", "http://localhost:9092", ":9092"])
def test_an_address_that_is_none_is_refused_at_once(live, servers):
    live.setenv("BOOTSTRAP_SERVERS", servers)
    result = live.consume()
    assert (result.exit_code, "BOOTSTRAP_SERVERS" in result.lines[-1]) == (2, True)


def test_a_certificate_file_that_is_none_is_refused(live, tmp_path):
    (tmp_path / "ca.pem").write_text("not a certificate")
    live.setenv("SECURITY_PROTOCOL", "SSL")
    live.setenv("KAFKA_CA_FILE", str(tmp_path / "ca.pem"))
    result = live.consume()
    assert (result.exit_code, "KAFKA_CA_FILE" in result.last_line) == (2, True)


def test_credentials_that_nobody_asks_for_are_remarked_on(live):
    live.setenv("SASL_MECHANISM", "PLAIN")
    assert any("asks for no login" in line for line in live.consume().lines)


def test_a_wrong_database_is_said_before_anything_is_read(live):
    live.setenv("DB_PASSWORD", "wrong-word-here")
    result = live.consume()
    assert result.exit_code == 2
    assert "cannot log in" in result.last_line
