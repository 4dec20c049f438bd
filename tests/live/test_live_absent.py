"""What is not there, not there yet or not there any more: the consumer waits a while, says so, and ends with 1."""

from __future__ import annotations

import configparser
import threading
import time
from contextlib import contextmanager

import pytest
from apache_kafka import MISADVERTISED, PASSWORD, USER
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    NewPartitions,
    ResourcePatternType,
    ResourceType,
)
from live_case import press
from museum_case import PROJECT_DIR

import consumer
from museum.live.topic_identity import TopicIdentity

WORDS = {"UNKNOWN": "Failed to resolve", "CLOSED": "Connection refused"}


@pytest.fixture
def impatient(monkeypatch):
    """Let nobody wait long for what does not come."""
    monkeypatch.setattr("museum.live.topic.CONNECT_SECONDS", 2)
    monkeypatch.setattr("museum.live.stream.PATIENCE_SECONDS", 1)


@pytest.fixture
def attentive(monkeypatch):
    """Let the client look every half second for what it looks for every few minutes."""
    configure = consumer.client_configuration
    intervals = {"topic.metadata.refresh.interval.ms": 500, "topic.metadata.propagation.max.ms": 500}
    monkeypatch.setattr("museum.live.topic.GONE_SECONDS", 0.5)
    monkeypatch.setattr(consumer, "client_configuration", lambda *given: {**configure(*given), **intervals})


@contextmanager
def meanwhile(action):
    """Do something in another thread, since a consumer in this process needs the main one."""
    failures = []

    def act():
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            failures.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
    assert failures == []


@pytest.mark.parametrize("listener", MISADVERTISED)
def test_an_address_that_leads_nowhere_is_named_with_who_told_it(live, impatient, listener):
    """The broker answers, but the address that it tells its clients does not."""
    live.setenv("BOOTSTRAP_SERVERS", live.kafka.bootstrap(listener))
    result = live.consume()
    assert result.exit_code == 1
    for words in (live.kafka.bootstrap(listener), MISADVERTISED[listener], "advertised.listeners", WORDS[listener]):
        assert words in result.last_line


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_an_address_that_leads_nowhere_later_on_is_named_too(live, impatient, monkeypatch, flags):
    """One broker of many would do the same: the topic is found, a partition's leader or the group's is not."""
    monkeypatch.setattr(TopicIdentity, "read_topic_id", lambda *_: None)
    monkeypatch.setattr("museum.live.topic_identity.REQUEST_SECONDS", 1)
    live.setenv("BOOTSTRAP_SERVERS", live.kafka.bootstrap("UNKNOWN"))
    result = live.consume(*flags)
    assert (result.exit_code, "Failed to resolve 'broker.invalid:9092'" in result.last_line) == (1, True), result.lines


def test_a_topic_that_is_not_there_is_named_beside_those_that_are(live, impatient):
    result = live.consume("--topic", "no-such-topic")
    assert result.exit_code == 1
    assert "no-such-topic" in result.last_line
    assert live.topic in result.last_line
    assert live.query("select count(*) from meta.ingestion_runs") == [(0,)]


def test_a_topic_that_comes_is_waited_for(live):
    topic = live.topic = f"{live.topic}-later"

    def come():
        time.sleep(1.5)
        live.kafka.create_topic(1, topic)
        live.produce([press(number) for number in range(3)])

    with meanwhile(come):
        result = live.consume("--max-messages", "3")
    assert result.exit_code == 0
    assert any(line.startswith(f"warning: topic {topic}: ") and "Waiting for it" in line for line in result.lines)
    assert live.stored() == 3


def somebody_elses(live, kind):
    """Let nobody but somebody else use the topic or the group, and return what takes that back."""
    admin = live.kafka.admin()
    rule = (kind, live.topic, ResourcePatternType.LITERAL, "User:else", "*", AclOperation.ALL, AclPermissionType.ALLOW)
    for made in admin.create_acls([AclBinding(*rule)]).values():
        made.result(10)

    def take_back():
        for gone in admin.delete_acls([AclBindingFilter(*rule)]).values():
            gone.result(10)

    return take_back


@pytest.fixture
def login(live):
    """A consumer that logs in as somebody who has only the rights that he was given."""
    for name, value in {
        "BOOTSTRAP_SERVERS": live.kafka.bootstrap("SASL"), "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "SASL_MECHANISM": "PLAIN", "KAFKA_USERNAME": USER, "KAFKA_PASSWORD": PASSWORD,
    }.items():  # fmt: skip
        live.setenv(name, value)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (ResourceType.TOPIC, "Topic authorization failed. The user needs READ"),
        (ResourceType.GROUP, "Group authorization failed. The user needs READ"),
    ],
)
def test_a_right_that_is_missing_is_no_wrong_setting(live, login, impatient, kind, words):
    somebody_elses(live, kind)
    result = live.consume()
    assert (result.exit_code, words in result.last_line) == (1, True), result.last_line


def test_a_right_that_comes_is_waited_for(live, login):
    grant = somebody_elses(live, ResourceType.TOPIC)
    live.produce([press(0)])

    def come():
        time.sleep(1.5)
        grant()

    with meanwhile(come):
        result = live.consume("--max-messages", "1")
    assert result.exit_code == 0
    assert any("Topic authorization failed. Waiting for it" in line for line in result.lines)
    assert live.stored() == 1


def test_a_topic_that_is_deleted_under_the_consumer_ends_it(live, attentive, impatient):
    """It would wait in silence for ever else; its next start says the same of the missing topic."""
    live.produce([press(number) for number in range(5)])

    def go():
        live.wait_for_stored(5)
        live.kafka.delete_topic(live.topic)

    with meanwhile(go):
        result = live.consume("--idle-exit", "60")
    assert result.exit_code == 1
    assert f"topic {live.topic} is gone: " in result.last_line
    assert live.query("select status, records_created from meta.ingestion_runs") == [("failed", 5)]
    assert live.consume().exit_code == 1


def test_partitions_that_are_added_are_read_from_their_beginning(live, attentive):
    live.produce([press(number) for number in range(3)])

    def add():
        live.wait_for_stored(3)
        admin = live.kafka.admin()
        admin.create_partitions([NewPartitions(live.topic, 5)])[live.topic].result(10)
        live.produce([press(number) for number in range(3, 5)], partition=4)

    with meanwhile(add):
        result = live.consume("--max-messages", "5")
    assert result.exit_code == 0
    assert [row[2:4] for row in live.ledger()] == [(0, 1), (1, 1), (2, 1), (3, 0), (4, 2)]


@pytest.mark.parametrize(("unit", "final"), [("consumer", "4"), ("dashboard", None)])
def test_the_units_start_again_after_everything_that_may_still_come(unit, final):
    """A database, a schema or a login that is missing ends with 2, as wrong settings do; it may come."""
    settings = configparser.RawConfigParser(strict=False)
    settings.read(PROJECT_DIR / "terraform_db" / "machine" / f"museum-{unit}.service")
    service = settings["Service"]
    assert service["Restart"] == "always"
    assert service.get("RestartPreventExitStatus") == final
