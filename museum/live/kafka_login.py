"""How the consumer presents itself to the brokers: the client library's settings, and whose credentials they hold."""

from __future__ import annotations

import logging
from typing import Any

from pydantic import SecretStr

import museum.settings
from etlkit.errors import ConfigError
from etlkit.settings import read_env_file
from museum.settings import KafkaCredentials, KafkaSettings


def client_configuration(
    kafka: KafkaSettings, credentials: KafkaCredentials, name: str, log: logging.Logger
) -> dict[str, Any]:
    """Return the Kafka client's settings; raises ConfigError when the brokers ask for a login and there is none."""
    configuration: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "security.protocol": kafka.security_protocol,
        "group.id": kafka.kafka_group,
        "client.id": f"museum-consumer-{name}",
        "session.timeout.ms": round(1000 * kafka.kafka_session_timeout_seconds),
        "heartbeat.interval.ms": round(1000 * kafka.kafka_session_timeout_seconds / 4),
    }
    if kafka.kafka_instance_id:
        configuration["group.instance.id"] = kafka.kafka_instance_id
    if kafka.kafka_ca_file:
        configuration["ssl.ca.location"] = str(kafka.kafka_ca_file)
    if kafka.sasl_mechanism and not kafka.uses_sasl:
        log.warning("SASL_MECHANISM is set, but SECURITY_PROTOCOL %s asks for no login", kafka.security_protocol)
    if kafka.uses_sasl:
        user, password = kafka.kafka_username or credentials.username, kafka.kafka_password or credentials.password
        if not user or not isinstance(password, SecretStr):
            raise ConfigError(
                f"{kafka.security_protocol} needs a user and a password. Set KAFKA_USERNAME and KAFKA_PASSWORD, or "
                f"USERNAME and PASSWORD in {museum.settings.ENV_FILE}. Nothing was touched."
            )
        origins = _origin(kafka.kafka_username, "USERNAME"), _origin(kafka.kafka_password, "PASSWORD")
        log.info("Kafka user from %s, password from %s", *origins)
        if kafka.shows_password:
            log.warning("SASL_PLAINTEXT with PLAIN sends the password in clear text; use SASL_SSL")
        configuration |= {
            "sasl.mechanism": kafka.sasl_mechanism,
            "sasl.username": user,
            "sasl.password": password.get_secret_value(),
        }
    return configuration


def _origin(own: object, name: str) -> str:
    """Return where the user or the password comes from: our own setting, or else `.env` or the environment."""
    if own:
        return f"KAFKA_{name}"
    env_file = museum.settings.ENV_FILE
    return f"{name} in {env_file.name if name.lower() in read_env_file(env_file) else 'the environment'}"
