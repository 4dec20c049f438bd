"""Consumers of one group share the partitions, hang, are fenced and go: each press once, each reject once."""

from __future__ import annotations

import signal
import time
from contextlib import closing

import pytest
from live_case import MESSAGES, SMALL_BATCHES, assert_nothing_lost_or_doubled, ended, messages

from etlkit.locks import release_advisory_lock, try_advisory_lock
from etlkit.postgres import connect

pytestmark = pytest.mark.soak

RUNNING = "select count(*) from meta.ingestion_runs where status = 'running'"


def test_three_consumers_share_come_and_go(live):
    first = live.start(*SMALL_BATCHES)
    live.produce(messages(900))
    live.wait_for_stored(100)
    second = live.start(*SMALL_BATCHES)
    third = live.start(*SMALL_BATCHES)
    sent = 900

    def owners() -> int:
        return live.query("select count(distinct run_id) from event_source where kind = 'kafka'")[0][0]

    deadline = time.monotonic() + 60
    while owners() < 3:
        live.produce(messages(30, sent))
        sent += 30
        time.sleep(0.3)
        assert time.monotonic() < deadline, "three consumers never shared the partitions"
    live.produce(messages(900, sent))
    sent += 900
    second.terminate()
    assert ended(second)[0] == 0
    live.produce(messages(300, sent))
    sent += 300
    third.kill()
    ended(third)
    live.produce(messages(300, sent))
    sent += 300
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == sent, "all messages")
    first.terminate()
    code, output = ended(first)
    assert code == 0, output
    assert_nothing_lost_or_doubled(live)


@pytest.mark.full
def test_a_rebalance_that_changes_nothing_stops_nothing(live):
    """A member that comes and gets no partition, as all others did before; the first one's are given back at once."""
    first = live.start()
    live.produce(messages(30))
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == 30, "the first messages")
    sent = 30
    for _ in range(2):
        others = [live.start() for _ in range(3)]
        for _ in range(12):
            live.produce(messages(30, sent))
            sent += 30
            time.sleep(0.25)
        live.wait_for(lambda: live.query(RUNNING) == [(4,)], "all members")  # before, a signal ends Python itself
        for process in others:
            process.terminate()
        assert [ended(process)[0] for process in others] == [0, 0, 0]
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == sent, "all messages")
    first.terminate()
    assert ended(first)[0] == 0
    assert_nothing_lost_or_doubled(live)


def test_a_new_owner_waits_for_the_partitions_lock(live):
    live.produce(messages(300))
    live.consume()
    cluster = live.ledger()[0][0]
    live.produce(messages(300, 300))
    with closing(connect(live.museum.database, "somebody else")) as holder:
        name = f"museum:live:{cluster}/{live.topic}/1"
        assert try_advisory_lock(holder, name) is None
        process = live.start()
        live.wait_for(lambda: [offset for *_, offset, _ in live.ledger()] == [200, 100, 200], "the free partitions")
        time.sleep(1)
        assert live.ledger()[1][3] == 100
        release_advisory_lock(holder, name)
        live.wait_for(lambda: [offset for *_, offset, _ in live.ledger()] == [200, 200, 200], "the last partition")
    process.terminate()
    code, output = ended(process)
    assert code == 0
    assert f"{live.topic}[1] is still held by somebody else" in output
    assert_nothing_lost_or_doubled(live)


def test_a_consumer_whose_token_is_gone_rolls_back(live):
    process = live.start(*SMALL_BATCHES)
    live.produce(messages())
    for _ in range(3):
        before = live.stored()
        live.wait_for(lambda before=before: live.stored() > before or before > 2_500, "work")
        live.query("update event_source set fencing_token = fencing_token + 1 where kind = 'kafka'")
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == MESSAGES, "all messages")
    process.terminate()
    code, output = ended(process)
    assert code == 0
    assert "another consumer took over; the batch was rolled back" in output
    assert_nothing_lost_or_doubled(live)


@pytest.mark.full
def test_a_consumer_that_hangs_loses_its_partitions_and_finds_out(live):
    hanging = live.start(*SMALL_BATCHES)
    live.produce(messages())
    live.wait_for_stored(100)
    hanging.send_signal(signal.SIGSTOP)
    fresh = live.start(*SMALL_BATCHES)
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == MESSAGES, "the other consumer")
    hanging.send_signal(signal.SIGCONT)
    live.produce(messages(300, MESSAGES))
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == MESSAGES + 300, "both consumers")
    for process in (fresh, hanging):
        process.terminate()
        code, output = ended(process)
        assert code == 0, output
    assert_nothing_lost_or_doubled(live)


def test_a_static_member_that_is_fenced_ends_with_4(live):
    first = live.start("--instance-id", "the-box")
    live.produce(messages(30))
    live.wait_for_stored(20)
    second = live.start("--instance-id", "the-box")
    code, output = ended(first)
    assert code == 4, output
    assert "another consumer has joined the group as the-box" in output
    live.produce(messages(30, 30))
    live.wait_for(lambda: sum(offset for *_, offset, _ in live.ledger()) == 60, "the second consumer")
    second.terminate()
    assert ended(second)[0] == 0
    assert live.query("select status, count(*) from meta.ingestion_runs group by 1 order by 1") == [
        ("completed", 1), ("failed", 1),
    ]  # fmt: skip


@pytest.mark.full
def test_an_idle_exit_gives_up_on_a_lock_and_says_whose_it_is(live, monkeypatch):
    live.produce(messages(30))
    live.consume()
    with closing(connect(live.museum.database, "somebody else")) as holder:
        place = f"museum:live:{live.ledger()[0][0]}/{live.topic}/1"
        assert try_advisory_lock(holder, place) is None
        with monkeypatch.context() as patch:
            patch.setattr("museum.live.stream.PATIENCE_SECONDS", 5)
            result = live.consume("--idle-exit", "0.5")
    assert result.exit_code == 1
    assert "is held by somebody else" in result.last_line
    assert_nothing_lost_or_doubled(live)
