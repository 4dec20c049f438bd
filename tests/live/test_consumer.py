"""The consumer on a real Kafka and a real Postgres: what it stores and refuses, and what it says of it."""

from __future__ import annotations

import json
import re
import select
import threading
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest
from confluent_kafka import Consumer, TopicPartition
from live_case import call, ended, press
from museum_case import NO_SAMPLE_DATA, PROJECT_DIR, SAMPLE_DATA, miscounted_hours

from etlkit.postgres import connect

POISON = [
    None, b"", b"\xff\xfe", b"hello", b"[]", b"null", b"{}",
    json.dumps(press(1, val=True)), json.dumps(press(2, val=1.0)), json.dumps(press(3, val="3")),
    json.dumps(press(4)).replace('"val": 4', '"val": NaN'), b"[" * 5_000, b"x" * 900_000,
    json.dumps(press(5, site={"a": [1]})), b"\x00", json.dumps(press(6, at="2026-01-05T12:00:00\x00")),
    json.dumps(press(7)).replace('"val": 2', '"val": 2, "val": 4'),
]  # fmt: skip


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


# ---------------------------------------------------------------------------------------------------------------------
# What is said
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
    monkeypatch.setattr("museum.live.live_summary.REPORT_SECONDS", 0.2)
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
