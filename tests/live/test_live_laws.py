"""The kit's laws for the consumer, on a real Kafka that asks for a login."""

from __future__ import annotations

import json

import pytest
from apache_kafka import PASSWORD, USER
from live_case import call, press
from museum_case import PROJECT_DIR, point_at

import consumer
import museum.live.stream
from etlkit.errors import EXIT_CLEAN, EXIT_FAILED
from etlkit.testing.laws import Ended, Fed, Sum
from etlkit.testing.postgres_laws import PostgresLaws, PostgresSystem
from museum.live.claims import Place

pytestmark = pytest.mark.database


class Stream(PostgresSystem):
    """The consumer of one topic."""

    run_target = ("museum", "live")
    blocked_table = ("review",)
    required_settings = ("BOOTSTRAP_SERVERS", "DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD")
    exit_when_locked = EXIT_FAILED  # it waits for a partition, and gives up in the end
    exit_on_sigterm = EXIT_CLEAN  # its orderly end; the batch under way is rolled back and read again
    status_on_sigterm = "completed"
    again = ("--from-beginning",)

    def __init__(self, live, kafka, monkeypatch):
        self.live, self.museum, self._monkeypatch = live, live.museum, monkeypatch
        self.database, self.log_file = live.museum.database, live.museum.log_file
        cluster = kafka.admin().list_topics(timeout=10).cluster_id
        self.lock_name = Place(cluster, live.topic, 0).lock_name
        self.secrets = (PASSWORD, self.database.db_password.get_secret_value())
        monkeypatch.setattr(museum.live.stream, "PATIENCE_SECONDS", 2.0)
        for name, value in {
            "BOOTSTRAP_SERVERS": kafka.bootstrap("SASL"),
            "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "SASL_MECHANISM": "PLAIN",
            "KAFKA_USERNAME": USER,
            "KAFKA_PASSWORD": PASSWORD,
            "KAFKA_TOPIC": live.topic,
            "KAFKA_GROUP": live.topic,
            "MUSEUM_LIVE_LOG_FILE": str(self.log_file),
        }.items():
            monkeypatch.setenv(name, value)
        self.point_at(self.database)

    def feed(self):
        good = [press(1), press(1), press(2), call(3, 1)]
        self.live.produce([*good, press(4, val=77), press(5, site="9"), b"no json"], partition=0)
        return Fed(7, {"77": "bad_val", '"9"': "unknown_site", "no json": "not_json"})

    def point_at(self, database):
        point_at(database, self._monkeypatch)

    def forget_settings(self):
        for name in self.required_settings:
            self._monkeypatch.delenv(name)

    def run(self, *flags):
        self.museum.capsys.readouterr()
        exit_code = consumer.main(["--idle-exit", "0.2", *flags, "--json"])
        out, err = self.museum.capsys.readouterr()
        return Ended(exit_code, json.loads(out), err)

    def command(self):
        return [str(PROJECT_DIR / "consumer.py"), "--idle-exit", "0.2"]

    def sum(self, figures):
        found = figures["live"]
        return Sum(found["consumed"], found["stored"], found["already_there"], found["rejected"])

    def tables(self):
        presses, ledger, rejects = self.live.state()
        return {"presses": presses, "rejects": rejects, "ledger": [row for row in ledger if row[-1]]}

    def stored(self):
        return self.live.stored()


class TestLaws(PostgresLaws):
    @pytest.fixture
    def system(self, live, kafka, monkeypatch):
        return Stream(live, kafka, monkeypatch)
