"""Where the consumer goes on reading: the database's ledger counts, whatever the group's offsets say."""

from __future__ import annotations

from contextlib import closing

import pytest
from confluent_kafka import Consumer, TopicPartition
from live_case import press

from etlkit.errors import RetryableError
from museum.live.claims import Claim, Place
from museum.live.partitions import start_offset
from museum.live.topic import KafkaTopic


def test_the_groups_offsets_follow_for_lag_tools(live):
    live.produce([press(number) for number in range(30)])
    live.consume("--group", f"group-{live.topic}")
    places = [TopicPartition(live.topic, partition) for partition in range(3)]
    with closing(Consumer({"bootstrap.servers": live.kafka.bootstrap(), "group.id": f"group-{live.topic}"})) as group:
        assert [place.offset for place in group.committed(places, timeout=10)] == [10, 10, 10]


def test_the_groups_offsets_are_not_what_counts(live):
    live.produce([press(number) for number in range(30)])
    live.consume()
    before = live.state()
    with closing(Consumer({"bootstrap.servers": live.kafka.bootstrap(), "group.id": live.topic})) as group:
        group.commit(offsets=[TopicPartition(live.topic, partition, 0) for partition in range(3)], asynchronous=False)
    assert live.consume().figures["live"]["consumed"] == 0
    assert live.state() == before


def test_max_messages_stops_there_and_the_next_run_goes_on(live):
    live.produce([press(number) for number in range(50)], partition=0)
    first = live.consume("--max-messages", "20", "--batch-size", "8")
    assert (first.exit_code, first.figures["live"]["consumed"]) == (0, 20)
    assert live.ledger()[0][3] == 20
    assert live.consume().figures["live"]["consumed"] == 30
    assert live.stored() == 50


@pytest.mark.database
def test_reading_from_the_beginning_brings_back_what_was_deleted_and_moves_no_offset_back(live):
    live.produce([press(number) for number in range(20)] + [press(20, site="9")], partition=0)
    live.consume()
    live.query("delete from review where position < 5")
    live.query("insert into exhibition (exhibition_id, exhibition_code, exhibition_name) values (10, 'EXH_09', 'New')")
    result = live.consume("--from-beginning", "--max-messages", "8")
    assert (result.figures["live"]["stored"], result.figures["live"]["already_there"]) == (5, 3)
    assert live.ledger()[0][3:] == (21, 21)
    result = live.consume("--from-beginning")
    assert (result.figures["live"]["stored"], result.figures["live"]["already_there"]) == (1, 20)
    assert live.rejects() == []
    assert live.ledger()[0][3:] == (21, 21)


def test_a_message_that_is_stored_stays_stored_whatever_the_rules_say_now(live):
    live.produce([press(0), press(1)], partition=0)
    live.consume()
    live.setenv("MUSEUM_OPENING_TIME", "17:00")
    result = live.consume("--from-beginning")
    assert (result.exit_code, result.figures["live"]["already_there"]) == (0, 2)
    assert live.rejects() == []


@pytest.mark.full
def test_a_partition_whose_broker_does_not_answer_stops_no_other(live, monkeypatch):
    ask = KafkaTopic.watermarks

    def silent_on_one(self, partition, seconds=1.0):
        if partition == 1:
            raise RetryableError("no leader for partition 1")
        return ask(self, partition, seconds)

    monkeypatch.setattr(KafkaTopic, "watermarks", silent_on_one)
    monkeypatch.setattr("museum.live.stream.PATIENCE_SECONDS", 6)
    live.produce([press(number) for number in range(30)])
    result = live.consume("--idle-exit", "1")
    assert (result.exit_code, "no leader for partition 1" in result.last_line) == (1, True)
    assert [offset for *_, partition, offset, _ in live.ledger()] == [10, 10]


@pytest.mark.parametrize(
    ("reached", "from_beginning", "dry_run", "start"),
    [
        (None, False, False, 10), (None, True, False, 4), (None, False, True, 10), (None, True, True, 4),
        (7, True, False, 7), (13, True, False, 10), (7, False, False, 10), (13, False, True, 13), (13, True, True, 13),
        (2, True, False, 4),
    ],
)  # fmt: skip
def test_where_reading_begins(reached, from_beginning, dry_run, start):
    """The ledger has stored up to 10, the partition begins at 4; reached is what this process has read before."""
    claim = Claim(Place("c", "t", 0), 4, 1, 1, 10, 10, None, None, 10)
    assert start_offset(claim, reached, from_beginning=from_beginning, dry_run=dry_run) == start
