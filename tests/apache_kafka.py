"""A real Apache Kafka on loopback: one broker, its own controller, from Maven's artifacts.

It listens in clear text, with SASL (PLAIN, SCRAM), with TLS, and with both; only the user etl with the password
"secret-kafka-word" gets in where SASL is asked for.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from etlkit.testing.maven import copied_libraries

PROJECT_DIR = Path(__file__).resolve().parent.parent
POM = PROJECT_DIR / "tests" / "kafka" / "pom.xml"
LIBRARIES = PROJECT_DIR / ".local" / "kafka"
CLUSTER_ID = "bXVzZXVtLXRlc3RzLTEyMw"
USER, PASSWORD = "etl", "secret-kafka-word"
START_SECONDS = 60
LISTENERS = {
    "PLAIN": "PLAINTEXT", "SASL": "SASL_PLAINTEXT", "TLS": "SSL", "SASLTLS": "SASL_SSL", "UNKNOWN": "PLAINTEXT",
    "CLOSED": "PLAINTEXT",
}  # fmt: skip
MISADVERTISED = {"UNKNOWN": "broker.invalid:9092", "CLOSED": "127.0.0.1:9"}
"""What clients of these listeners are told to connect to: a name without an address, a port where nobody listens."""
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
LOGGING = {
    "org.slf4j.simpleLogger.defaultLogLevel": "warn",
    "log4j2.level": "WARN",
}


def kafka_libraries() -> Path:
    """Return the folder with the broker's jars, fetched once; skips the test where something for it is missing."""
    pytest.importorskip("trustme", reason="the test broker needs trustme: pip install -r requirements-dev.txt")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing, so there is no Apache Kafka; on Debian: apt-get install openssl")
    return copied_libraries(POM, LIBRARIES, "Apache Kafka")


@dataclass
class ApacheKafka:
    """A broker that can be stopped, killed and started again; its data and its ports stay."""

    home: Path
    libraries: Path
    ports: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.ports = dict(zip((*LISTENERS, "CONTROLLER"), _free_ports(len(LISTENERS) + 1), strict=True))
        self._write_certificates()
        self.properties.write_text("\n".join(f"{key}={value}" for key, value in self._settings().items()) + "\n")
        scram = [f"{name}=[name={USER},password={PASSWORD}]" for name in MECHANISMS if name != "PLAIN"]
        adding = [word for item in scram for word in ("--add-scram", item)]
        self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self.properties), *adding)

    @property
    def properties(self) -> Path:
        return self.home / "server.properties"

    @property
    def ca_file(self) -> Path:
        return self.home / "ca.pem"

    def bootstrap(self, listener: str = "PLAIN") -> str:
        return f"127.0.0.1:{self.ports[listener]}"

    def start(self) -> None:
        """Start the broker and wait until it answers."""
        log = (self.home / "broker.log").open("ab")
        command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *self._java_flags()]
        self.process = subprocess.Popen(
            [*command, "kafka.Kafka", str(self.properties)], stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with suppress(Exception):
                self.admin().list_topics(timeout=1)
                return
            time.sleep(0.1)
        raise RuntimeError(f"Apache Kafka did not start: {(self.home / 'broker.log').read_text()[-3000:]}")

    def stop(self) -> None:
        """Stop the broker as its service would."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def kill(self) -> None:
        """Let the broker crash."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap(), "log_level": 0})

    def create_topic(self, partitions: int = 1, name: str | None = None, **settings: str) -> str:
        """Create a topic, with a fresh name unless one is given."""
        topic = name or f"lmnh-{uuid4().hex[:8]}"
        admin = self.admin()  # the request ends with its client
        admin.create_topics([NewTopic(topic, partitions, 1, config=settings)])[topic].result(timeout=30)
        return topic

    def delete_topic(self, topic: str) -> None:
        admin = self.admin()
        admin.delete_topics([topic])[topic].result(timeout=30)

    def producer(self, **settings: Any) -> Producer:
        return Producer({"bootstrap.servers": self.bootstrap(), "linger.ms": 5, "log_level": 0, **settings})

    def produce(
        self, topic: str, messages: list[bytes | str | dict[str, Any] | None], partition: int | None = None
    ) -> None:
        """Produce values, spread over the partitions in turn unless one is named, and wait until they are stored."""
        producer = self.producer()
        count = len(producer.list_topics(topic, timeout=10).topics[topic].partitions)
        for number, message in enumerate(messages):
            value = json.dumps(message) if isinstance(message, dict) else message
            place = number % count if partition is None else partition
            while True:
                try:
                    producer.produce(topic, value=value, partition=place)
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(60) == 0

    def _java_flags(self) -> list[str]:
        return [*(f"-D{key}={value}" for key, value in LOGGING.items()), "-cp", f"{self.libraries}/*"]

    def _java(self, *arguments: str) -> str:
        done = subprocess.run(
            ["java", *self._java_flags(), *arguments], capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{arguments[0]} failed: {(done.stdout + done.stderr)[-3000:]}")
        return done.stdout

    def _write_certificates(self) -> None:
        import trustme

        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        chain = b"".join(part.bytes() for part in certificate.cert_chain_pems)
        key = subprocess.run(  # Kafka reads PKCS#8 only
            ["openssl", "pkcs8", "-topk8", "-nocrypt"],
            input=certificate.private_key_pem.bytes(),
            capture_output=True,
            check=True,
        ).stdout
        keystore = self.home / "keystore.pem"
        keystore.touch(mode=0o600)
        keystore.write_bytes(key + chain)

    def _settings(self) -> dict[str, str]:
        plain = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.ports['CONTROLLER']}",
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items()),
            "advertised.listeners": ",".join(
                f"{name}://{MISADVERTISED.get(name, self.bootstrap(name))}" for name in LISTENERS
            ),
            "listener.security.protocol.map": ",".join(
                f"{name}:{protocol}" for name, protocol in {**LISTENERS, "CONTROLLER": "PLAINTEXT"}.items()
            ),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAIN",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
            "super.users": "User:ANONYMOUS",
            "sasl.enabled.mechanisms": ",".join(MECHANISMS),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.home / "keystore.pem"),
            "log.dirs": str(self.home / "data"),
            "auto.create.topics.enable": "false",
            "num.partitions": "1",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            "group.min.session.timeout.ms": "1000",
            "log.retention.ms": "-1",
            "message.max.bytes": "20000000",
        }
        for listener in ("sasl", "sasltls"):
            settings[f"listener.name.{listener}.plain.sasl.jaas.config"] = plain
            for mechanism in MECHANISMS:
                if mechanism != "PLAIN":
                    settings[f"listener.name.{listener}.{mechanism.lower()}.sasl.jaas.config"] = scram
        return settings


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return [opened.getsockname()[1] for opened in sockets]
    finally:
        for opened in sockets:
            opened.close()
