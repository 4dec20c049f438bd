"""Where the stream comes from, and how the consumer takes part in it.

`USERNAME` and `PASSWORD` are the founding names, but many systems set `USERNAME` themselves; so for these two the
`.env` file wins over the environment, and `KAFKA_USERNAME` and `KAFKA_PASSWORD` win over both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from etlkit.settings import Settings, is_loopback

SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
LONGEST_LINGER_MS = 250
LARGEST_BATCH = 100_000
LARGEST_PORT = 65_535


class KafkaSettings(Settings):
    """The brokers, the topic and the group."""

    bootstrap_servers: str = Field(description="HOST:PORT, or several with commas")
    security_protocol: str = Field(default="PLAINTEXT", description="one of " + ", ".join(SECURITY_PROTOCOLS))
    sasl_mechanism: str | None = Field(default=None, description="one of " + ", ".join(SASL_MECHANISMS))
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    kafka_ca_file: Path | None = None
    kafka_topic: str = Field(
        default="lmnh", pattern=r"^[A-Za-z0-9._-]{1,249}$", description="letters, digits, dots, _ and -, e.g. lmnh"
    )
    kafka_group: str = Field(default="museum", min_length=1)
    kafka_instance_id: str | None = None
    kafka_session_timeout_seconds: float = Field(
        default=10, ge=6, le=300, allow_inf_nan=False, description="a number from 6 to 300"
    )
    museum_batch_size: int = Field(
        default=5_000, ge=1, le=LARGEST_BATCH, description=f"a number from 1 to {LARGEST_BATCH}"
    )
    museum_linger_ms: int = Field(
        default=100, ge=1, le=LONGEST_LINGER_MS, description=f"a number from 1 to {LONGEST_LINGER_MS}"
    )

    @field_validator("security_protocol", "sasl_mechanism")
    @classmethod
    def _known_word(cls, word: str | None, info: Any) -> str | None:
        """Accept a protocol or mechanism in any case."""
        known = SECURITY_PROTOCOLS if info.field_name == "security_protocol" else SASL_MECHANISMS
        if word is not None and word.upper() not in known:
            raise ValueError("not one of " + ", ".join(known))
        return word.upper() if word else word

    @field_validator("bootstrap_servers")
    @classmethod
    def _hosts_with_ports(cls, servers: str) -> str:
        """Refuse what cannot be an address, which the client library makes something else of."""
        for server in servers.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or "/" in host or not port.isdecimal() or not 0 < int(port) <= LARGEST_PORT:
                raise ValueError("not HOST:PORT")
        return servers

    @field_validator("kafka_ca_file")
    @classmethod
    def _readable_file(cls, path: Path | None) -> Path | None:
        """Refuse a certificate file that is not there, which the client library reports as a broker's failure."""
        if path is not None and not path.is_file():
            raise ValueError("no such file")
        return path

    @model_validator(mode="after")
    def _mechanism_where_asked_for(self) -> Self:
        """Refuse SASL without a mechanism."""
        if self.uses_sasl and not self.sasl_mechanism:
            raise ValueError(
                f"SASL_MECHANISM is missing, SECURITY_PROTOCOL {self.security_protocol} needs one of "
                + ", ".join(SASL_MECHANISMS)
            )
        return self

    @property
    def uses_sasl(self) -> bool:
        """Tell whether the brokers ask who we are."""
        return self.security_protocol.startswith("SASL_")

    @property
    def shows_password(self) -> bool:
        """Tell whether the password crosses a network in clear text."""
        hosts = [server.strip().rpartition(":")[0].strip("[]") for server in self.bootstrap_servers.split(",")]
        is_plain = self.security_protocol == "SASL_PLAINTEXT" and self.sasl_mechanism == "PLAIN"
        return is_plain and not all(is_loopback(host) for host in hosts)


class KafkaCredentials(Settings):
    """The founding names of the credentials; `.env` before the environment."""

    prefers_env_file = True
    username: str | None = None
    password: SecretStr | None = None
