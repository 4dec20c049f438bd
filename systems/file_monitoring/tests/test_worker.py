"""The worker on real queues: every message is scored once, buried or comes again; nothing is lost by a kill."""

from __future__ import annotations

import itertools
import json
import random
import signal
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from monitor_case import AGENCY, GOOD, Monitor, finish, kill, wait_until

from etlkit.embedded import EmbeddedServer
from etlkit.postgres import apply_schema, connect
from etlkit.testing import FULL, full_count, seeded_random, seeds

KEY = f"{AGENCY}/f.csv"
REPORTING_SCHEMA = Path(__file__).parent / "reporting_schema.sql"
SLOWED = str(Path(__file__).parent / "slowed")
"""On the path of a command, it makes the command wait at one place."""


@pytest.mark.database
def test_an_object_is_scored_and_its_message_deleted(either_monitor: Monitor):
    monitor = either_monitor
    number = monitor.expect()
    etag = monitor.put()
    monitor.send(monitor.event(eTag=etag, size=len(GOOD)))
    done = monitor.work()
    assert done.exit_code == 0, done.err
    assert monitor.runs() == [(number, "2026-01-10", 10, len(GOOD), 100)]
    assert monitor.messages() == (0, 0)
    source = monitor.metrics()["source"]
    assert (source["bucket"], source["key"], source["eTag"]) == (monitor.bucket, KEY, etag)
    assert monitor.value("select latest_data_quality_score from reporting.monitoring_file") == 100
    assert monitor.leftovers() == []
    told = [line for line in done.lines if line.get("status") == "scored"]
    assert (told[0]["score"], told[0]["passed"], told[0]["monitoring_file_id"]) == (100, True, number)


def test_a_real_notification_is_understood(monitor: Monitor):
    monitor.expect("a file+1.csv")
    arn = monitor._arn(monitor.queue_url)
    configuration = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    monitor.s3.put_bucket_notification_configuration(Bucket=monitor.bucket, NotificationConfiguration=configuration)
    monitor.put(f"{AGENCY}/a file+1.csv")
    done = monitor.work()
    assert done.exit_code == 0, done.err
    assert monitor.scores() == [100]
    assert [line["message"] for line in done.lines].count("S3's test event") == 1


@pytest.mark.database
def test_the_same_message_twice_and_out_of_order_makes_one_run(either_monitor: Monitor):
    monitor = either_monitor
    monitor.expect()
    etag = monitor.put(body=b"id,name\n1,\n")
    old = monitor.event(sequencer="0055", eTag="of-an-older-object", at="2026-01-10T10:00:00Z")
    new = monitor.event(sequencer="00560", eTag=etag, at="2026-01-10T10:20:00Z")
    monitor.send(new, new, old, new)
    done = monitor.work()
    assert done.exit_code == 0
    assert monitor.scores() == [80]
    assert [line["status"] for line in done.lines if "status" in line] == ["scored", "unchanged", "older", "unchanged"]


def test_an_older_event_never_overwrites_whatever_the_order(monitor: Monitor):
    """Three versions of one key within an hour: the newest wins in every order."""
    monitor.s3.put_bucket_versioning(Bucket=monitor.bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = []
    for place, body in enumerate((b"id,name\n1,\n", b"id,name\n1,a\n1,b\n", GOOD)):
        told = monitor.s3.put_object(Bucket=monitor.bucket, Key=KEY, Body=body)
        versions.append((told["VersionId"], told["ETag"].strip('"'), f"005{'0' * place}{place + 1}"))
    messages = [
        monitor.event(versionId=version, eTag=etag, sequencer=sequencer, at="2026-01-10T10:00:00Z")
        for version, etag, sequencer in sorted(versions, key=lambda one: one[2].ljust(9, "0"))
    ]
    monitor.expect()
    orders = list(itertools.permutations(range(3)))
    for order in orders if FULL else (orders[1], orders[5]):
        monitor.rows("delete from reporting.monitoring_file_run returning id")
        monitor.send(*(messages[place] for place in order))
        assert monitor.work().exit_code == 0
        source = monitor.metrics()["source"]
        assert source["sequencer"] == max((one[2] for one in versions), key=lambda text: text.ljust(9, "0"))
        assert len(monitor.runs()) == 1


def test_without_a_sequencer_the_time_of_the_event_decides(monitor: Monitor):
    monitor.expect()
    etag = monitor.put()
    monitor.send(
        monitor.event(eTag=etag, at="2026-01-10T10:30:00Z"), monitor.event(eTag="before", at="2026-01-10T10:10:00Z")
    )
    assert monitor.work().exit_code == 0
    assert monitor.metrics()["source"]["eventTime"] == "2026-01-10T10:30:00+00:00"
    assert len(monitor.runs()) == 1


@pytest.mark.database
def test_two_uploads_in_an_hour_share_a_run_and_the_next_hour_has_its_own(either_monitor: Monitor):
    monitor = either_monitor
    monitor.expect()
    for at, body in (("10:10", b"id,name\n1,\n"), ("10:50", GOOD), ("11:05", b"id,name\n1,a\n1,b\n")):
        monitor.send(monitor.event(eTag=monitor.put(body=body), at=f"2026-01-10T{at}:00Z"))
        assert monitor.work().exit_code == 0
    assert [(row[2], row[4]) for row in monitor.runs()] == [(10, 100), (11, 90)]
    assert monitor.value("select latest_data_quality_score from reporting.monitoring_file") == 90


def test_an_earlier_hour_that_comes_late_leaves_the_latest_score(monitor: Monitor):
    monitor.expect()
    monitor.send(monitor.event(eTag=monitor.put(), at="2026-01-10T11:00:00Z"))
    monitor.work()
    monitor.send(monitor.event(eTag=monitor.put(body=b"id,name\n1,\n"), at="2026-01-10T09:00:00Z"))
    monitor.work()
    assert monitor.scores() == [80, 100]
    assert monitor.value("select latest_data_quality_score from reporting.monitoring_file") == 100


BAD_INPUT = {
    # what is sent: what becomes of it, whether it is a dead letter
    "not { JSON": ("never scored", True),
    '{"hello": 1}': ("never scored", True),
    '{"Event": "s3:TestEvent", "Bucket": "b"}': ("ignored", False),
    "unknown.csv": ("unknown", False),
    "inactive.csv": ("unknown", False),
    "gone.csv": ("gone", False),
    "replaced.csv": ("replaced", False),
    "twice.csv": ("never scored", True),
    "wrong.csv": ("never scored", True),
}


def test_bad_input_has_no_score_and_stops_nothing(monitor: Monitor):
    """Every kind of it in one queue, a good message behind."""
    monitor.expect()
    for file_name, more in (
        ("inactive.csv", {"is_active": False}),
        ("gone.csv", {}),
        ("replaced.csv", {}),
        ("twice.csv", {}),
        ("twice.csv", {}),
        ("wrong.csv", {"definition": {"columns": [{"name": "a", "requird": True}]}}),
    ):
        monitor.expect(file_name, **more)
    for key in ("f.csv", "unknown.csv", "inactive.csv", "replaced.csv", "twice.csv", "wrong.csv"):
        monitor.put(f"{AGENCY}/{key}")
    bodies = {
        name: monitor.event(f"{AGENCY}/{name}", **({"eTag": "another"} if name == "replaced.csv" else {}))
        if name.endswith(".csv")
        else name
        for name in BAD_INPUT
    }
    monitor.send(*bodies.values(), monitor.event())
    done = monitor.work()
    assert done.exit_code == 3, done.err
    assert monitor.scores() == [100]
    assert monitor.messages() == (0, 0)
    counts = Counter(became for became, _ in BAD_INPUT.values()) + Counter(["scored"])
    told = ", ".join(f"{became} {count}" for became, count in sorted(counts.items()))
    assert done.lines[-1]["message"] == f"ended: {told} [exit 3]"
    statuses = {line["key"].split("/")[-1]: line["status"] for line in done.lines if "status" in line}
    assert statuses == {"f.csv": "scored"} | {
        name: became for name, (became, is_dead) in BAD_INPUT.items() if name.endswith(".csv") and not is_dead
    }
    dead = monitor.dead()
    assert {letter["Body"] for letter in dead} == {bodies[name] for name, (_, is_dead) in BAD_INPUT.items() if is_dead}
    reasons = " ".join(letter["MessageAttributes"]["Reason"]["StringValue"] for letter in dead)
    for words in ("no JSON", "form of the message", "more than one active file matches", "columns[0].requird"):
        assert words in reasons
    assert "Traceback" not in done.err


def test_a_foreign_bucket_is_never_read(monitor: Monitor):
    monitor.expect()
    monitor.put()
    monitor.send(monitor.event())
    done = monitor.work(ALLOWED_BUCKETS="another-bucket")
    assert (done.exit_code, monitor.scores(), len(monitor.dead())) == (3, [], 1)


def test_a_dead_letter_queue_that_is_not_there_is_told_at_the_start(monitor: Monitor):
    monitor.send("not { JSON")
    done = monitor.work(SQS_DEAD_LETTER_URL=f"{monitor.dead_url}-not-there")
    assert done.exit_code == 2
    assert "asking for the dead-letter queue was refused" in done.err
    assert monitor.messages() == (1, 0)


def test_what_fails_for_the_moment_keeps_no_brother_from_its_score(monitor: Monitor):
    monitor.expect()
    monitor.put()
    records = [json.loads(monitor.event(key))["Records"][0] for key in (KEY, KEY)]
    records[0]["s3"]["bucket"]["name"] = "no-such-bucket"
    monitor.send(json.dumps({"Records": records}))
    assert monitor.work().exit_code == 1
    assert (monitor.scores(), monitor.messages()) == ([100], (0, 1))


def test_without_a_dead_letter_queue_it_is_logged_and_acknowledged(monitor: Monitor):
    plain = monitor.sqs.create_queue(QueueName=f"{monitor.queue_name}-plain")["QueueUrl"]
    monitor.sqs.send_message(QueueUrl=plain, MessageBody="not { JSON")
    done = monitor.run("run_worker", "--once", "--queue-url", plain)
    assert done.exit_code == 3
    assert monitor.messages(plain) == (0, 0)
    assert any("acknowledged: 'not { JSON'" in line["message"] for line in done.lines)


def test_a_message_of_several_objects_scores_the_good_ones(monitor: Monitor):
    monitor.expect()
    monitor.expect("wrong.csv", {"columns": []})
    for key in ("f.csv", "wrong.csv"):
        monitor.put(f"{AGENCY}/{key}")
    records = [json.loads(monitor.event(f"{AGENCY}/{key}"))["Records"][0] for key in ("wrong.csv", "f.csv")]
    monitor.send(json.dumps({"Records": records}))
    assert monitor.work().exit_code == 3
    assert (monitor.scores(), len(monitor.dead())) == ([100], 1)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, id="nobody answers"),
        pytest.param({"DB_NAME": "atlantis"}, id="no such database"),
        pytest.param({"SQS_QUEUE_URL": "http://127.0.0.1:9/queue"}, id="no such queue"),
        pytest.param({"DB_PASSWORD": "wrong-password-of-the-test"}, id="wrong password"),
    ],
)
def test_what_is_away_at_the_start_is_one_line_and_no_score(monitor: Monitor, settings):
    monitor.expect()
    monitor.send(monitor.event(eTag=monitor.put()))
    done = monitor.work(**settings)
    assert done.exit_code in (1, 2)
    assert monitor.scores() == []
    assert "Traceback" not in done.err
    assert "wrong-password-of-the-test" not in done.err
    assert [line for line in done.lines if line["level"] == "ERROR"]
    assert monitor.work().exit_code == 0  # the message is still there
    assert monitor.scores() == [100]


def test_a_database_that_lacks_a_column_is_refused_with_its_name(monitor: Monitor):
    with monitor._connection.cursor() as cursor:
        cursor.execute("alter table reporting.monitoring_file drop column schema_definition_id")
        cursor.execute(
            "insert into reporting.monitoring_file (s3_url, file_name, range, is_active, agency_slug, "
            "notify_slack, is_missing) values ('', 'f.csv', '1.d', true, %s, false, false)",
            (AGENCY,),
        )
    monitor.put()
    monitor.send(monitor.event())
    refused = monitor.work()
    assert refused.exit_code == 2
    assert "reporting.monitoring_file.schema_definition_id" in refused.err
    assert "HAS_SCHEMA_DEFINITION=false" in refused.err
    done = monitor.work(HAS_SCHEMA_DEFINITION="false")
    assert (done.exit_code, monitor.scores()) == (0, [100])
    assert monitor.metrics()["completeness"]["skipped"] == "no schema definition"


def test_every_missing_setting_is_named_at_once(monitor: Monitor):
    done = monitor.work(DB_HOST="", DB_NAME="", SQS_QUEUE_URL="")
    assert done.exit_code == 2
    for name in ("DB_HOST", "DB_NAME", "SQS_QUEUE_URL"):
        assert name in done.err
    assert len(done.err.strip().splitlines()) == 2


def test_an_object_beyond_the_limit_is_scored_unread(monitor: Monitor):
    monitor.expect()
    monitor.send(monitor.event(eTag=monitor.put(body=GOOD * 100)))
    done = monitor.work(MAX_FILE_BYTES="100")
    assert (done.exit_code, monitor.scores()) == (0, [65])
    assert "the limit is 100" in monitor.metrics()["formatParsing"]["details"]


def test_a_workbook_comes_from_s3_as_from_disk(monitor: Monitor):
    from file_monitoring.sample_files import SHIFTS, sample_files

    (shifts,) = [file for file in sample_files() if file.key.endswith(".xlsx")]
    monitor.expect("shifts.xlsx", SHIFTS)
    monitor.send(monitor.event(shifts.key, eTag=monitor.put(shifts.key, shifts.content)))
    assert monitor.work().exit_code == 0
    assert monitor.scores() == [shifts.score]


def big_file(rows: int = 400_000) -> bytes:
    return b"id,name\n" + b"".join(b"%d,%d\n" % (number, number) for number in range(1, rows)) + b"5,x\n"


def test_a_file_that_takes_three_times_its_visibility_is_scored_once(monitor: Monitor):
    """Two workers, a clock of two seconds, a file of seven: the heartbeat keeps the message from the second one."""
    monitor.expect()
    slow = json.dumps({"Records": [json.loads(monitor.event(eTag=monitor.put(body=big_file())))["Records"][0]]})
    monitor.send(slow)
    settings = {"VISIBILITY_TIMEOUT": "2", "WORKER_POLL_SECONDS": "1", "SLOW_SECONDS_OF_THE_TEST": "7"}
    workers = [monitor.start("run_worker", **settings, PYTHONPATH=SLOWED) for _ in range(2)]
    wait_until(lambda: monitor.scores() == [90], "its score", 60)
    time.sleep(3)
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    done = [finish(worker) for worker in workers]
    assert [one.exit_code for one in done] == [0, 0]
    taken = [line for one in done for line in one.lines if "status" in line]
    assert [line["status"] for line in taken] == ["scored"], taken
    assert taken[0]["milliseconds"] >= 6_000
    assert monitor.messages() == (0, 0)


def test_sigterm_finishes_the_file_under_way(monitor: Monitor):
    monitor.expect()
    monitor.send(monitor.event(eTag=monitor.put()), monitor.event("no/more", at="2026-01-11T10:00:00Z"))
    worker = monitor.start("run_worker", PYTHONPATH=SLOWED, SLOW_SECONDS_OF_THE_TEST="3")
    wait_until(monitor.leftovers, "work")
    worker.send_signal(signal.SIGTERM)
    done = finish(worker)
    assert done.exit_code == 0, done.err
    assert monitor.scores() == [100]
    assert sum(monitor.messages()) == 1
    assert monitor.leftovers() == []


def test_sigterm_gives_back_what_takes_longer_than_the_grace(monitor: Monitor):
    monitor.expect()
    monitor.send(monitor.event(eTag=monitor.put()))
    worker = monitor.start("run_worker", PYTHONPATH=SLOWED, SLOW_SECONDS_OF_THE_TEST="30", SHUTDOWN_GRACE="1")
    wait_until(monitor.leftovers, "work")
    started = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    done = finish(worker)
    assert (done.exit_code, monitor.scores()) == (0, [])
    assert time.monotonic() - started < 8
    assert monitor.messages() == (1, 0)  # visible at once
    assert monitor.work().exit_code == 0
    assert (monitor.scores(), monitor.leftovers()) == ([100], [])


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)])
def test_a_signal_ends_an_idle_worker_at_once(monitor: Monitor, number, exit_code):
    worker = monitor.start("run_worker", WORKER_POLL_SECONDS="20", WORKER_HEALTH_FILE=str(monitor.folder / "alive"))
    wait_until((monitor.folder / "alive").exists, "life")
    started = time.monotonic()
    worker.send_signal(number)
    assert finish(worker).exit_code == exit_code
    assert time.monotonic() - started < 4


def test_a_message_that_fails_comes_again_later_each_time(monitor: Monitor):
    from file_monitoring.services.queue import backoff

    waits = [backoff(count) for count in (1, 2, 3, 7, 8, 50)]
    for wait, at_least in zip(waits, (10, 20, 40, 640, 900, 900), strict=True):
        assert at_least <= wait <= at_least * 1.2
    monitor.expect()
    monitor.send(monitor.event(eTag=monitor.put()))
    with monitor._connection.cursor() as cursor:
        cursor.execute("alter table reporting.monitoring_file_run add constraint refuse check (file_size < 0)")
        done = monitor.work()
        assert (done.exit_code, monitor.scores()) == (1, [])
        assert monitor.messages() == (0, 1)  # invisible, not deleted
        cursor.execute("alter table reporting.monitoring_file_run drop constraint refuse")


KILLS = ("download", "validation", "before commit", "between commit and delete")


@pytest.mark.soak
@pytest.mark.parametrize("where", KILLS)
@pytest.mark.parametrize(
    "either_monitor",
    ["with the unique constraint", pytest.param("without it", marks=pytest.mark.full)],
    indirect=True,
)
def test_a_kill_at_a_boundary_loses_nothing(either_monitor: Monitor, where):
    monitor = either_monitor
    monitor.expect()
    monitor.send(monitor.event(eTag=monitor.put()))
    worker = monitor.start(
        "run_worker",
        PYTHONPATH=SLOWED,
        SLOW_SECONDS_OF_THE_TEST="60",
        SLOW_PLACE_OF_THE_TEST=where,
        VISIBILITY_TIMEOUT="2",
    )
    wait_until((monitor.scratch / "reached").exists, where)
    kill(worker)
    (monitor.scratch / "reached").unlink()
    assert monitor.scores() == ([100] if where == "between commit and delete" else [])
    wait_until(lambda: monitor.messages()[0] == 1, "the message again")
    done = monitor.work()
    assert done.exit_code == 0, done.err
    assert (monitor.scores(), monitor.messages(), monitor.leftovers()) == ([100], (0, 0), [])


@pytest.mark.soak
@pytest.mark.parametrize("seed", seeds("kills at random moments", 1, 40))
def test_a_kill_at_any_moment_loses_nothing(monitor: Monitor, seed):
    chance = random.Random(seed)
    monitor.expect("{YYYY}{MM}{DD}.csv")
    for day in range(10, 20):
        etag = monitor.put(f"{AGENCY}/202601{day}.csv", b"id,name\n" + b"".join(b"%d,x\n" % n for n in range(1, 3_000)))
        monitor.send(monitor.event(f"{AGENCY}/202601{day}.csv", eTag=etag, at=f"2026-01-{day}T10:00:00Z"))
    for _ in range(3):
        worker = monitor.start("run_worker", VISIBILITY_TIMEOUT="2")
        time.sleep(chance.uniform(0.5, 2.5))
        kill(worker)
    wait_until(lambda: monitor.messages()[1] == 0, "the messages again")
    done = monitor.work()
    assert done.exit_code == 0, done.err
    assert monitor.scores() == [100] * 10
    assert (sum(monitor.messages()), monitor.leftovers()) == (0, [])


@pytest.mark.soak
def test_a_database_that_restarts_meanwhile_costs_nothing(aws: str, tmp_path: Path, server_home: Path):
    server = EmbeddedServer(server_home)
    try:
        database = server.ensure_database("monitor")
        with closing(connect(database, "tests")) as connection:
            apply_schema(connection, REPORTING_SCHEMA)
        monitor = Monitor(database, aws, tmp_path)
        monitor.expect("{YYYY}{MM}{DD}.csv")
        for day in range(10, 18):
            etag = monitor.put(f"{AGENCY}/202601{day}.csv")
            monitor.send(monitor.event(f"{AGENCY}/202601{day}.csv", eTag=etag, at=f"2026-01-{day}T10:00:00Z"))
        slowed = {"FIRST_WAIT_OF_THE_TEST": "1", "PYTHONPATH": SLOWED, "SLOW_SECONDS_OF_THE_TEST": "0.5"}
        worker = monitor.start("run_worker", VISIBILITY_TIMEOUT="2", **slowed)
        wait_until(lambda: len(monitor.scores()) >= 1, "a score")
        monitor.close()
        for _ in range(2):
            assert server.stop()
            time.sleep(1)
            server.ensure_running()
            time.sleep(0.7)
        monitor = monitor.again()
        wait_until(lambda: len(monitor.scores()) == 8 and sum(monitor.messages()) == 0, "all scores", 60)
        worker.send_signal(signal.SIGTERM)
        assert finish(worker).exit_code == 0
        assert monitor.scores() == [100] * 8
        monitor.close()
    finally:
        server.stop()


@pytest.mark.soak
def test_duplicates_disorder_and_poison(monitor: Monitor):
    """Every good object is scored once, every poisoned message is a dead letter, the queue is empty."""
    chance = seeded_random("poison")
    total = full_count("messages with duplicates and poison", 200, 1_000)
    monitor.expect("{YYYY}{MM}{DD}-{HH}.csv")
    good, poison, keys = [], [], {}
    for number in range(total):
        if chance.random() < 0.05:
            poison.append(chance.choice(["no JSON", "[]", '{"Records": [{"s3": 1}]}', f'{{"x": {number}}}']))
            continue
        day, hour = chance.randrange(10, 29), chance.randrange(24)
        key = f"{AGENCY}/202601{day}-{hour:02}.csv"
        if key not in keys:
            keys[key] = monitor.put(key)
        good.append(monitor.event(key, eTag=keys[key], at=f"2026-01-{day}T{hour:02}:15:00Z"))
    messages = good + poison
    chance.shuffle(messages)
    monitor.send(*messages)
    workers = [monitor.start("run_worker", "--once") for _ in range(2)]
    ends = [finish(worker, 300).exit_code for worker in workers]
    assert set(ends) <= {0, 3}
    assert monitor.scores() == [100] * len(keys)
    assert sorted(letter["Body"] for letter in monitor.dead()) == sorted(poison)
    assert sum(monitor.messages()) == 0


def test_the_log_tells_no_value_and_no_secret(monitor: Monitor):
    monitor.expect()
    monitor.send(
        monitor.event(eTag=monitor.put(body=b"id,name\nvery-private-value,\n")),
        '{"bucket": 5, "key": "very-private-value"}',
    )
    done = monitor.work(LOG_LEVEL="DEBUG")
    for secret in ("very-private-value", *(monitor.settings[name] for name in ("DB_PASSWORD", "AWS_SECRET_KEY"))):
        assert secret not in done.err + done.out
    assert all(line["time"] and line["level"] and line["message"] for line in done.lines)
    assert len(done.lines) == len(done.err.strip().splitlines())
