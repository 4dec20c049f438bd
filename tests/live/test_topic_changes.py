"""A topic that changes: what retention deleted is a gap and is told, and a re-created topic is noticed."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import TopicPartition
from live_case import ended, press

from museum.live.topic_identity import TopicIdentity


def test_what_retention_deleted_is_a_gap_and_is_skipped(live):
    live.produce([press(number) for number in range(10)], partition=0)
    live.consume()
    live.produce([press(number) for number in range(10, 30)], partition=0)
    admin = live.kafka.admin()
    place = TopicPartition(live.topic, 0, 25)
    admin.delete_records([place])[place].result(timeout=20)
    result = live.consume()
    assert result.exit_code == 0
    assert result.figures["live"]["deleted_by_retention"] == 15
    assert any("a gap: retention deleted up to 15 messages, offsets 10 to 24" in line for line in result.lines)
    assert [position for _, _, position, *_ in live.presses()] == [*range(10), *range(25, 30)]
    assert live.consume().figures["live"]["deleted_by_retention"] == 0


def test_a_gap_without_a_message_behind_it_is_told_once(live):
    live.produce([press(number) for number in range(10)], partition=0)
    live.consume("--max-messages", "4")
    admin = live.kafka.admin()
    place = TopicPartition(live.topic, 0, 10)
    admin.delete_records([place])[place].result(timeout=20)
    assert live.consume().figures["live"]["deleted_by_retention"] == 6
    assert live.consume().figures["live"]["deleted_by_retention"] == 0
    assert live.ledger()[0][3:] == (10, 4)


def test_a_topic_that_lost_its_beginning_before_the_first_run_has_no_gap(live):
    live.produce([press(number) for number in range(10)], partition=0)
    admin = live.kafka.admin()
    place = TopicPartition(live.topic, 0, 4)
    admin.delete_records([place])[place].result(timeout=20)
    result = live.consume()
    assert (result.figures["live"]["stored"], result.figures["live"]["deleted_by_retention"]) == (6, 0)


@pytest.mark.database
@pytest.mark.parametrize("count", [4, pytest.param(30, marks=pytest.mark.full)])
def test_a_recreated_topic_is_noticed_and_accepted_with_a_flag_only(live, count):
    live.produce([press(number) for number in range(10)] + [press(10, val=9)], partition=0)
    live.consume()
    before = live.state()
    live.kafka.delete_topic(live.topic)
    time.sleep(1)
    live.kafka.create_topic(3, live.topic)
    live.produce([press(number, val=4) for number in range(100, 100 + count)], partition=0)
    refused = live.consume()
    assert refused.exit_code == 1
    assert "the topic was re-created" in refused.last_line
    assert "--accept-new-topic" in refused.last_line
    dry = live.consume("--dry-run")
    assert (dry.exit_code, "--accept-new-topic" in dry.last_line) == (1, False)
    assert "A dry run cannot accept that." in dry.last_line
    assert live.state() == before

    accepted = live.consume("--accept-new-topic")
    assert accepted.exit_code == 0
    assert accepted.figures["live"]["stored"] == count
    assert live.stored() == 10 + count
    assert [(topic, offset) for _, topic, partition, offset, _ in live.ledger() if partition == 0] == [
        (live.topic, count), (f"{live.topic}#1", 11),
    ]  # fmt: skip
    assert [source.split("/")[-2] for source, *_ in live.rejects()] == [f"{live.topic}#1"]
    assert live.consume().figures["live"]["consumed"] == 0
    live.query("insert into rating_desc values (9, 'Beyond')")
    assert live.consume("--replay-rejects").figures["replay"]["stored"] == 1


def test_a_topic_that_is_recreated_under_the_consumer_stops_it(live):
    process = live.start()
    live.produce([press(number) for number in range(10)], partition=0)
    live.wait_for_stored(10)
    before = live.state()
    live.kafka.delete_topic(live.topic)
    time.sleep(0.5)
    live.kafka.create_topic(3, live.topic)
    live.produce([press(number, val=4) for number in range(100, 140)], partition=0)
    code, output = ended(process, 60)
    assert code == 1, output
    assert "the topic was re-created" in output
    assert live.state() == before
    assert live.consume("--accept-new-topic").figures["live"]["stored"] == 40


def test_a_recreated_topic_is_known_by_its_id_where_no_message_can_tell(live):
    """All that was stored is gone by retention, so there is no fingerprint; and the new topic is longer."""
    live.produce([press(number) for number in range(10)], partition=0)
    live.consume("--max-messages", "4")
    admin = live.kafka.admin()
    place = TopicPartition(live.topic, 0, 10)
    admin.delete_records([place])[place].result(timeout=20)
    live.consume()
    live.kafka.delete_topic(live.topic)
    time.sleep(1)
    live.kafka.create_topic(3, live.topic)
    live.produce([press(number) for number in range(100, 150)], partition=0)
    refused = live.consume()
    assert (refused.exit_code, "another id" in refused.last_line) == (1, True)
    assert live.consume("--accept-new-topic").figures["live"]["stored"] == 50


def test_a_batch_of_a_topic_that_changes_before_the_commit_is_rolled_back(live, monkeypatch):
    live.produce([press(number) for number in range(10)], partition=0)
    monkeypatch.setattr(TopicIdentity, "read_topic_id", lambda self, _: setattr(self, "topic_id", "the id before"))
    result = live.consume()
    assert live.stored() == 0
    assert (result.exit_code, "another id" in result.last_line) == (1, True)
    assert any("is another topic now; the batch was rolled back" in line for line in result.lines)
