"""The consumer on a real Kafka and a real Postgres: what it stores, refuses, remembers, and says."""

from __future__ import annotations

import json
import re
import select
import threading
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest
from apache_kafka import MECHANISMS, PASSWORD, USER
from confluent_kafka import Consumer, TopicPartition
from live_case import call, ended, press
from museum_case import NO_SAMPLE_DATA, PROJECT_DIR, SAMPLE_DATA, miscounted_hours

import museum.settings
from etlkit.errors import RetryableError
from etlkit.postgres import connect
from museum.live.claims import Claim, Place
from museum.live.stream import start_offset
from museum.live.topic import KafkaTopic

POISON = [
    None, b"", b"\xff\xfe", b"hello", b"[]", b"null", b"{}",
    json.dumps(press(1, val=True)), json.dumps(press(2, val=1.0)), json.dumps(press(3, val="3")),
    json.dumps(press(4)).replace('"val": 4', '"val": NaN'), b"[" * 5_000, b"x" * 900_000,
    json.dumps(press(5, site={"a": [1]})), b"\x00", json.dumps(press(6, at="2026-01-05T12:00:00\x00")),
]  # fmt: skip

EVERY_MECHANISM = [pytest.param(name, marks=() if name == "PLAIN" else pytest.mark.full) for name in MECHANISMS]


@pytest.fixture(scope="module")
def real_messages() -> list[bytes]:
    if not SAMPLE_DATA.exists():
        pytest.skip(NO_SAMPLE_DATA)
    return (SAMPLE_DATA / "kafka_messages.jsonl").read_bytes().splitlines()


def in_summer(raw: bytes) -> bytes:
    return re.sub(rb'"at": "2026-01-05T(\d\d:\d\d:\d\d\.\d+)\+00:00"', rb'"at": "2026-07-06T\1+01:00"', raw)


# ---------------------------------------------------------------------------------------------------------------------
# What is stored
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("season", ["winter", "summer"])
def test_the_real_messages_give_the_counted_figures(live, real_messages, season):
    live.produce(real_messages if season == "winter" else [in_summer(raw) for raw in real_messages])
    result = live.consume("--now", "2026-08-01T00:00:00+00:00")
    expected = json.loads((SAMPLE_DATA / "expected_counts.json").read_text())["kafka_messages.jsonl"]
    assert result.exit_code == 3
    figures = result.figures["live"]
    assert (figures["consumed"], figures["stored"], figures["rejected"]) == (2_721, 2_257, 464)
    assert figures["rejected_by_reason"] == {
        "bad_type": 114, "bad_val": 114, "missing_at": 31, "missing_site": 37, "missing_type": 1, "missing_val": 34,
        "out_of_hours": 28, "unknown_site": 106,
    }  # fmt: skip
    assert figures["lag"] == 0
    assert live.museum.count("review") == 2_187
    assert dict(live.query("select incident_type_id, count(*) from incident group by 1")) == {0: 66, 1: 4}
    per_site = live.query(
        "select exhibition_id - 1, count(*), sum(rating_id) from review group by exhibition_id order by 1"
    )
    assert {str(site): (count, total) for site, count, total in per_site} == {
        site: (counts["reviews"], counts["rating_sum"]) for site, counts in expected["per_site"].items()
    }
    assert sum(len(reasons) for *_, reasons in live.rejects()) == 465
    assert {raw for _, _, raw, _ in live.rejects()} <= {in_summer(raw) for raw in real_messages} | set(real_messages)
    hours = live.query("select min(extract(hour from local_at)), max(extract(hour from local_at)) from rating_info")
    assert hours == [(15, 18)]

    before = live.state()
    again = live.consume("--group", "another")
    assert (again.exit_code, again.figures["live"]["consumed"]) == (0, 0)
    from_beginning = live.consume("--group", "third", "--from-beginning")
    assert from_beginning.exit_code == 0
    assert from_beginning.figures["live"]["already_there"] == 2_257
    assert from_beginning.figures["live"]["rejected_earlier"] == 464
    assert live.state() == before


@pytest.mark.database
def test_poison_is_kept_and_the_stream_goes_on(live):
    live.produce([press(0), *POISON, press(1)], partition=0)
    result = live.consume()
    assert result.exit_code == 3
    assert live.stored() == 2
    kept = live.rejects()
    assert [(position, raw) for _, position, raw, _ in kept] == [
        (str(number), raw if isinstance(raw, bytes) else raw.encode() if raw else b"")
        for number, raw in enumerate(POISON, 1)
    ]
    assert all(reasons for *_, reasons in kept)
    assert kept[0][0] == f"kafka://{live.ledger()[0][0]}/{live.topic}/0"
    assert live.ledger()[0][3:] == (len(POISON) + 2, len(POISON) + 2)


def test_equal_presses_are_two_rows(live):
    live.produce([press(0), press(0), call(1, 1), call(1, 1)], partition=1)
    live.consume()
    assert live.museum.count("review") == 2
    assert live.museum.count("incident") == 2


def test_new_sites_and_buttons_count_from_the_next_batch_on(live):
    live.query("insert into rating_desc values (7, 'Out of this world')")
    live.produce([press(0, val=7), press(1, site="6")])
    live.consume()
    assert live.stored() == 1
    live.know_exhibitions(7)
    live.produce([press(2, site="6")])
    live.consume()
    assert live.stored() == 2
    assert [reasons for *_, reasons in live.rejects()] == [["unknown_site"]]


def test_create_time_may_stand_in_for_a_missing_at(live):
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    producer = live.kafka.producer()
    for hour in (12, 3):
        created = round(noon.replace(hour=hour).timestamp() * 1000)
        producer.produce(live.topic, json.dumps(press(0, at=...)), partition=0, timestamp=created)
    producer.flush()
    live.setenv("MUSEUM_LIVE_CREATE_TIME", "true")
    live.consume()
    assert [at for *_, at, _, _ in live.presses()] == [noon]
    assert [reasons for *_, reasons in live.rejects()] == [["out_of_hours"]]
    live.consume("--replay-rejects")
    assert [reasons for *_, reasons in live.rejects()] == [["out_of_hours"]], "the reject does not keep its CreateTime"


def test_hours_are_a_setting(live):
    live.setenv("MUSEUM_LIVE_REJECT_OUT_OF_HOURS", "false")
    live.produce([press(0, at="2026-01-05T03:00:00+00:00")])
    assert live.consume().exit_code == 0
    assert live.stored() == 1


def test_a_future_press_is_judged_by_the_clock_of_its_batch(live):
    live.produce([press(0), press(1, at="2026-01-05T13:00:05+00:00"), press(2, at="2026-01-05T13:00:06+00:00")])
    live.consume("--now", "2026-01-05T13:00:00+00:00")
    assert live.stored() == 2
    assert [reasons for *_, reasons in live.rejects()] == [["future_at"]]


def test_what_only_the_database_refuses_is_isolated(live):
    live.query("alter table review add constraint odd check (rating_id <> 3 or exhibition_id <> 4)")
    live.produce([press(number) for number in range(60)], partition=0)
    result = live.consume()
    refused = [number for number in range(60) if number % 5 == 3 and number % 6 == 3]
    assert [(int(position), reasons) for _, position, _, reasons in live.rejects()] == [
        (number, ["refused"]) for number in refused
    ]
    assert live.stored() == 60 - len(refused)
    assert (result.exit_code, result.figures["live"]["consumed"]) == (3, 60)
    live.query("alter table review drop constraint odd")
    assert live.consume("--replay-rejects", "--reason", "refused").figures["replay"]["stored"] == len(refused)
    assert live.rejects() == []


def test_a_replay_stores_the_rest_when_the_database_refuses_one(live):
    live.produce([press(number, site="9") for number in range(20)], partition=0)
    live.consume()
    live.query("insert into exhibition (exhibition_id, exhibition_code, exhibition_name) values (10, 'EXH_09', 'New')")
    live.query("alter table review add constraint odd check (position not in (3, 17))")
    result = live.consume("--replay-rejects")
    assert (result.exit_code, result.figures["replay"]["stored"], result.figures["replay"]["judged"]) == (0, 18, 20)
    assert [(position, reasons) for _, position, _, reasons in live.rejects()] == [
        ("3", ["refused"]),
        ("17", ["refused"]),
    ]


@pytest.mark.database
def test_a_replay_of_many_goes_batch_by_batch(live, monkeypatch):
    monkeypatch.setattr("museum.live.replay.BATCH_ROWS", 7)
    live.produce([press(number, site="9") for number in range(50)])
    live.consume()
    live.query("insert into exhibition (exhibition_id, exhibition_code, exhibition_name) values (10, 'EXH_09', 'New')")
    assert live.consume("--replay-rejects", "--dry-run").figures["replay"]["stored"] == 50
    assert live.stored() == 0
    assert live.consume("--replay-rejects").figures["replay"]["stored"] == 50
    assert live.rejects() == []


def test_aborted_transactions_are_not_seen_and_markers_are_no_gap(live):
    producer = live.kafka.producer(**{"transactional.id": live.topic})
    producer.init_transactions()
    for number, is_kept in enumerate([True, False, True, False]):
        producer.begin_transaction()
        producer.produce(live.topic, json.dumps(press(number)), partition=0)
        producer.flush()
        if is_kept:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    result = live.consume()
    assert live.stored() == 2
    assert (result.figures["live"]["deleted_by_retention"], result.figures["live"]["lag"]) == (0, 0)
    again = live.consume("--group", "another")
    assert (again.exit_code, again.figures["live"]["consumed"]) == (0, 0)


def test_live_and_batch_fill_the_same_tables_side_by_side(live):
    live.museum.kiosk(0, "2026-01-05 10:00:00,1,3,", "2026-01-05 10:00:01,1,-1,1.0")
    live.produce([press(0), call(1, 1)])
    live.consume()
    assert live.museum.push().exit_code == 0
    live.produce([press(2)])
    live.consume()
    assert live.museum.push().load["rows_stored"] == 0
    assert (live.museum.count("review"), live.museum.count("incident")) == (3, 2)


# ---------------------------------------------------------------------------------------------------------------------
# Offsets
# ---------------------------------------------------------------------------------------------------------------------


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
    assert "--accept-new-topic" not in live.consume("--dry-run").last_line
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
    monkeypatch.setattr(KafkaTopic, "_read_topic_id", lambda _: "the id of the topic before")
    result = live.consume()
    assert live.stored() == 0
    assert (result.exit_code, "another id" in result.last_line) == (1, True)
    assert any("is another topic now; the batch was rolled back" in line for line in result.lines)


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


# ---------------------------------------------------------------------------------------------------------------------
# Commands
# ---------------------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_the_same_and_leaves_no_trace(live):
    live.produce([press(0), press(1, val=9), call(2, 1)])
    runs = "select count(*) from meta.ingestion_runs"
    group = f"group-{live.topic}"
    result = live.consume("--dry-run", "--group", group)
    assert (result.exit_code, result.figures["live"]["stored"], result.figures["live"]["rejected"]) == (3, 2, 1)
    assert any("would be stored" in line for line in result.lines)
    assert live.state() == ([], [], [])
    assert live.query(runs) == [(0,)]
    with closing(Consumer({"bootstrap.servers": live.kafka.bootstrap(), "group.id": group})) as consumer:
        places = [TopicPartition(live.topic, partition) for partition in range(3)]
        assert all(place.offset < 0 for place in consumer.committed(places, timeout=10))
    live.consume()
    before = live.state()
    again = live.consume("--dry-run", "--from-beginning", "--batch-size", "1")
    assert (again.figures["live"]["consumed"], again.figures["live"]["already_there"]) == (3, 2)
    assert live.state() == before


def test_a_dry_run_takes_no_partition_from_a_consumer_at_work(live):
    process = live.start()
    live.produce([press(number) for number in range(10)])
    live.wait_for_stored(10)
    tokens = live.query("select source_id, fencing_token from event_source order by 1")
    live.produce([press(number) for number in range(10, 20)])
    traffic = threading.Thread(
        target=lambda: [(time.sleep(0.1), live.produce([press(number)])) for number in range(20, 50)]
    )
    traffic.start()
    beside = live.consume("--dry-run", "--idle-exit", "0.4", "--from-beginning")
    assert beside.exit_code == 0, beside.lines
    assert beside.figures["live"]["consumed"] >= 10
    assert live.query("select source_id, fencing_token from event_source order by 1") == tokens
    traffic.join()
    live.wait_for_stored(50)
    process.terminate()
    assert ended(process)[0] == 0
    assert live.stored() == 50


def test_replaying_rejects_stores_what_is_good_now(live):
    live.produce([press(0, site="6"), call(1, 5), press(2, val=9), b"hello", None], partition=0)
    live.consume()
    nothing = live.consume("--replay-rejects")
    assert (nothing.exit_code, nothing.figures["replay"]["stored"], nothing.figures["replay"]["judged"]) == (0, 0, 5)
    live.know_exhibitions(7)
    live.query("insert into incident_type values (5, 'lost child')")
    only = live.consume("--replay-rejects", "--reason", "bad_type", "--dry-run")
    assert (only.figures["replay"]["judged"], only.figures["replay"]["stored"]) == (1, 1)
    assert live.stored() == 0
    only = live.consume("--replay-rejects", "--reason", "bad_type")
    assert (only.figures["replay"]["judged"], only.figures["replay"]["stored"]) == (1, 1)
    result = live.consume("--replay-rejects")
    assert (result.figures["replay"]["stored"], result.figures["replay"]["open_rejects"]) == (1, 3)
    assert [position for _, _, position, *_ in live.presses()] == [0, 1]
    assert [reasons for *_, reasons in live.rejects()] == [["bad_val"], ["not_json"], ["no_value"]]
    before = live.state()
    assert live.consume("--from-beginning").figures["live"]["already_there"] == 2
    assert live.state() == before


@pytest.mark.database
def test_every_incident_is_announced_once(live):
    with closing(connect(live.museum.database, "listener")) as listener:
        listener.autocommit = True
        with listener.cursor() as cursor:
            cursor.execute("listen museum_incident")
        live.produce([press(0), call(1, 1, site="2"), call(2, 0), call(3, 9)], partition=0)
        live.consume()
        live.consume("--from-beginning")
        listener.poll()
        while select.select([listener], [], [], 0.5)[0]:
            listener.poll()
        told = [json.loads(notice.payload) for notice in listener.notifies]
    assert [(one["incident_type"], one["exhibition_name"], one["position"]) for one in told] == [
        ("emergency", "Room 2", 1), ("assistance", "Room 2", 2),
    ]  # fmt: skip
    assert told[0]["source"].endswith(f"/{live.topic}/0")


def test_the_json_object_and_the_last_line_say_the_same(live):
    live.produce([press(0), b"x"])
    result = live.consume()
    assert result.figures["exit_code"] == result.exit_code == 3
    assert result.last_line.startswith("Stored 1 of 2 messages, 1 rejected.")
    assert any(
        "2 consumed = 1 stored + 0 already there + 1 rejected + 0 rejected earlier; lag 0" in x for x in result.lines
    )
    (status, processed, created, metadata) = live.query(
        "select status, records_processed, records_created, metadata from meta.ingestion_runs"
    )[0]
    assert (status, processed, created) == ("completed", 2, 1)
    assert metadata["live"]["rejected_by_reason"] == {"not_json": 1}
    assert metadata["topic"] == live.topic


def test_a_line_a_minute(live, monkeypatch):
    monkeypatch.setattr("museum.live.stream.REPORT_SECONDS", 0.2)
    live.produce([press(0), press(1)], partition=0)
    result = live.consume("--idle-exit", "1.5")
    lines = [line for line in result.lines if line.startswith("live ")]
    assert len(lines) >= 3
    assert sum("2 consumed" in line for line in lines) == 1
    assert "lag 0" in lines[-1]


def test_a_run_that_died_is_repaired_and_one_that_lives_is_left_alone(live):
    living = live.start()
    running = "select count(*) from meta.ingestion_runs where status = 'running'"
    live.wait_for(lambda: live.query(running) == [(1,)], "a running run")
    killed = live.start("--group", "other")
    live.wait_for(lambda: live.query(running) == [(2,)], "two running runs")
    killed.kill()
    ended(killed)
    time.sleep(0.5)
    live.consume("--topic", live.kafka.create_topic())
    assert live.query(running) == [(1,)]
    living.terminate()
    assert ended(living)[0] == 0
    statuses = dict(live.query("select status, count(*) from meta.ingestion_runs group by 1"))
    assert statuses["failed"] == 1


def test_an_older_schema_is_upgraded_without_loss(live, empty_database):
    old = (PROJECT_DIR / "tests" / "live" / "schema_1.sql").read_text()
    with closing(connect(empty_database, "test")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(old)
        cursor.execute(
            "insert into exhibition (exhibition_id, exhibition_code, exhibition_name) values (1, 'EXH_00', 'Room')"
        )
        cursor.execute(
            "insert into event_source (kind, bucket, key, content_hash, run_id) "
            "values ('file', 'b', 'k', 'h', gen_random_uuid())"
        )
        cursor.execute(
            "insert into review (exhibition_id, at, rating_id, source_id, position) values (1, now(), 3, 1, 1)"
        )
    live.museum.database = empty_database
    live.produce([press(0, site="0")])
    refused = live.consume()
    assert (refused.exit_code, "python load.py --apply-schema" in refused.last_line) == (2, True)
    assert live.museum.run("load", "--apply-schema", *live.museum.database_flags).exit_code == 0
    assert live.museum.query("select sum(reviews) from review_hour") == [(1,)], "what was there before is counted"
    assert live.consume().exit_code == 0
    assert live.museum.count("review") == 2
    assert miscounted_hours(empty_database) == []


# ---------------------------------------------------------------------------------------------------------------------
# Settings
# ---------------------------------------------------------------------------------------------------------------------


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


def test_a_topic_that_is_not_there_is_named_beside_those_that_are(live):
    result = live.consume("--topic", "no-such-topic")
    assert result.exit_code == 2
    assert "no-such-topic" in result.last_line
    assert live.topic in result.last_line


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


@pytest.mark.parametrize("flags", [["--from-beginning"], ["--idle-exit", "1"], ["--reason", "nonsense"]])
def test_a_replay_takes_no_flags_of_the_stream(live, flags):
    code, output = ended(live.start("--replay-rejects", *flags))
    assert (code, "error" in output) == (2, True)


def test_a_wrong_database_is_said_before_anything_is_read(live):
    live.setenv("DB_PASSWORD", "wrong-word-here")
    result = live.consume()
    assert result.exit_code == 2
    assert "cannot log in" in result.last_line


def test_emergencies_are_visible_at_once(live):
    """Not a measurement: the longest linger plus a transaction is far below this."""
    process = live.start("--linger-ms", "250")
    live.produce([press(0)])
    live.wait_for_stored(1)
    began = time.monotonic()
    live.produce([call(1, 1)])
    live.wait_for_stored(2)
    assert time.monotonic() - began < 5
    process.terminate()
    assert ended(process)[0] == 0
