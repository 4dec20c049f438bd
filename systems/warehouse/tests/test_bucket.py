"""A bucket of S3 as the target: the same runs, conditional writes, locks that expire, kills."""

from __future__ import annotations

import threading
import time

import boto3
import pytest
from botocore.config import Config
from faulty_s3 import FaultyS3
from warehouse_case import COUNT, is_killed_at, watched

from etlkit.errors import LoadError, LockedError
from etlkit.testing import full_count
from warehouse.configuration import read_configuration
from warehouse.sample_sources.drugs import Drugs
from warehouse.targets.bucket import Bucket
from warehouse.targets.target import LostRaceError, Tagged

STRIDE = full_count("kills in a bucket: one before every nth step, n", 4, 1)
FAULT_STRIDE = full_count("faults of a bucket: one at every nth request, n", 17, 1)


def keys(bucket, prefix):
    return [stored.key for stored in bucket.stored(prefix)]


def test_runs_are_published_repeated_and_rolled_back_as_in_a_folder(in_s3, bucket):
    in_s3.serve(Drugs(products=20, extra_product_lines=(b"bad",)))
    first = in_s3.run("fda-cder")
    assert first.exit_code == 3, first.text
    assert in_s3.run("fda-cder").figures["is_published"] is False
    assert in_s3.ask("fda-cder", COUNT) == [{"rows": 20, "runs": 1}]
    digests = in_s3.digests("fda-cder")
    again = in_s3.run("fda-cder", "--from-raw", first.figures["run_id"])
    assert (again.exit_code, in_s3.digests("fda-cder")) == (3, digests)
    assert in_s3.command("quarantine", "fda-cder").figures["rows"][0]["raw_line"] == "bad"
    in_s3.serve(Drugs(products=21))
    assert in_s3.run("fda-cder").exit_code == 0
    assert in_s3.command("rollback", "fda-cder").figures["run_id"] == again.figures["run_id"]
    assert in_s3.ask("fda-cder", COUNT) == [{"rows": 20, "runs": 1}]
    in_s3.serve(Drugs(products=10))
    refused = in_s3.run("fda-cder")
    assert (refused.exit_code, "max_drop_pct" in refused.text) == (1, True)
    assert keys(bucket, "temp/") == keys(bucket, "locks/") == []
    assert {key.split("run_id=")[1][:15] for key in keys(bucket, "bronze/fda-cder/packages/")} == {
        again.figures["run_id"]
    }


@pytest.mark.soak
def test_whoever_is_killed_leaves_the_old_run_or_the_new_one_in_s3_too(in_s3, bucket, monkeypatch):
    monkeypatch.setenv(
        "WAREHOUSE_LOCK_SECONDS", "4"
    )  # long enough for the next run to find it, however busy the machine
    in_s3.serve(Drugs(products=20))
    assert in_s3.run("fda-cder").exit_code == 0
    dataset = read_configuration(in_s3.etl).dataset("fda-cder")
    step, kills, products = 1, 0, 21
    with watched(bucket, dataset, {20, 21}, 0.05):
        while True:
            in_s3.serve(Drugs(products=products))
            run_id = f"20261129_{kills // 60:02}{kills % 60:02}00"
            if not is_killed_at(step, Bucket, ["run", "fda-cder", "--run-id", run_id]):
                break
            kills += 1
            step += STRIDE
            refused = in_s3.run("fda-cder", run_id=f"20261129_{kills // 60:02}{kills % 60:02}29")
            assert refused.exit_code == 4, refused.text  # the lock of the dead lasts until it expires
            done = refused
            while done.exit_code == 4:
                time.sleep(0.3)
                done = in_s3.run("fda-cder", run_id=f"20261129_{kills // 60:02}{kills % 60:02}30")
            assert done.exit_code == 0, done.text
            assert in_s3.digests("fda-cder")["products"]["rows"] == products
            assert len({key.split("run_id=")[1][:15] for key in keys(bucket, "bronze/") if "run_id=" in key}) == 1
            assert keys(bucket, "temp/") == []
            products = 41 - products
    assert kills >= 5


def test_the_pointer_is_swapped_only_where_the_expected_one_stands(bucket):
    bucket.swap("p", b"1", None)
    with pytest.raises(LostRaceError):
        bucket.swap("p", b"2", None)
    first = bucket.read("p")
    bucket.swap("p", b"2", first)
    with pytest.raises(LostRaceError):
        bucket.swap("p", b"3", first)
    bucket.delete(["p"])
    with pytest.raises(LostRaceError):
        bucket.swap("p", b"3", Tagged(b"2", '"abc"'))
    winners = []

    def write(number):
        try:
            bucket.swap("q", f"{number}".encode(), None)
            winners.append(number)
        except LostRaceError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert bucket.read("q").content == f"{winners[0]}".encode()


def test_a_lock_is_renewed_while_held_and_taken_over_when_its_holder_is_dead(bucket):
    with bucket.lock("x", "first"):
        time.sleep(2.5)  # longer than it lasts without renewal
        with pytest.raises(LockedError, match="held by first"), bucket.lock("x", "second"):
            pass
    with bucket.lock("x", "second"):
        pass
    assert keys(bucket, "locks/") == []
    bucket.write("locks/x.json", b'{"holder": "dead", "seconds": 1}')
    with pytest.raises(LockedError, match="held by dead"), bucket.lock("x", "third"):
        pass
    time.sleep(3)  # S3 tells whole seconds
    with bucket.lock("x", "third"):
        assert b"third" in bucket.read("locks/x.json").content
    bucket.write("locks/x.json", b"not understood")
    with pytest.raises(LockedError, match="held by another run"), bucket.lock("x", "fourth"):
        pass


def test_a_prefix_takes_no_neighbour_along(bucket):
    for key in ("a/foo/1", "a/foo_x/1", "a/foo/2"):
        bucket.write(key, b"")
    assert bucket.delete_below("a/foo/") == 2
    assert keys(bucket, "a/") == ["a/foo_x/1"]
    with pytest.raises(ValueError, match="does not end in /"):
        bucket.delete_below("a/foo")


def test_what_s3_refuses_is_told_in_its_words(in_s3, bucket, monkeypatch):
    in_s3.serve(Drugs(products=5))
    monkeypatch.setenv("WAREHOUSE_TARGET", "s3://no-such-bucket/x")
    done = in_s3.run("fda-cder")
    assert done.exit_code == 1
    assert "no-such-bucket" in done.text
    assert "The specified bucket does not exist" in done.text
    for url in ("s3://", "https://x.org/b", "s3://b?x=1"):
        monkeypatch.setenv("WAREHOUSE_TARGET", url)
        assert in_s3.run("fda-cder").exit_code == 2
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    away = Bucket(boto3.Session(), "b")
    with pytest.raises(LoadError, match="Could not connect"):
        away.read("x")
    with pytest.raises(FileNotFoundError):
        bucket.download("nothing", in_s3.etl / "x")


KINDS = ("denied", "slow down", "broken", "reset", "lost")


@pytest.mark.parametrize("what", ["_manifest/current.json", "locks/fda-cder.json"])
def test_a_lost_answer_to_a_conditional_write_is_no_lost_race(in_s3, bucket, endpoint, monkeypatch, what):
    in_s3.serve(Drugs(products=20))
    assert in_s3.run("fda-cder").exit_code == 0
    in_s3.serve(Drugs(products=21))
    with FaultyS3(endpoint) as faulty:
        monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url)
        faulty.fault = lambda method, path: "lost" if method == "PUT" and what in path and not faulty.failed else None
        done = in_s3.run("fda-cder")
        assert (done.exit_code, faulty.failed) == (0, 1), done.text
    assert in_s3.digests("fda-cder")["products"]["rows"] == 21
    assert keys(bucket, "locks/") == []


@pytest.mark.soak
def test_a_fault_of_s3_at_any_moment_is_tried_again_or_told_and_never_half_published(
    in_s3, bucket, endpoint, monkeypatch
):
    in_s3.serve(Drugs(products=20))
    assert in_s3.run("fda-cder").exit_code == 0
    dataset = read_configuration(in_s3.etl).dataset("fda-cder")
    monkeypatch.setattr("warehouse.targets.bucket._RETRIES", Config(retries={"mode": "standard", "max_attempts": 2}))
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda _self, _context: 0.0)
    with FaultyS3(endpoint) as faulty, watched(bucket, dataset, {20, 21}, 0.05):
        monkeypatch.setenv("AWS_ENDPOINT_URL", faulty.url)
        place, products, told = 0, 21, set()
        while True:
            kind, is_lasting = KINDS[place % len(KINDS)], place % 3 == 0
            seen = 0

            def fault(_method, _path, kind=kind, is_lasting=is_lasting, place=place):
                nonlocal seen
                seen += 1
                return kind if seen == place + 1 or (is_lasting and seen > place) else None

            in_s3.serve(Drugs(products=products))
            faulty.fault, faulty.failed = fault, 0
            done = in_s3.run("fda-cder", run_id=f"20261129_10{place // 60:02}{place % 60:02}")
            told.add((done.exit_code, kind, is_lasting))
            if not faulty.failed:
                break
            faulty.fault = lambda _method, _path: None
            assert "Traceback" not in done.text
            if done.exit_code == 1:
                time.sleep(2.2)  # the lock of a run that could not let go of it
                done = in_s3.run("fda-cder", run_id=f"20261129_11{place // 60:02}{place % 60:02}")
            assert done.exit_code == 0, done.text
            assert in_s3.digests("fda-cder")["products"]["rows"] == products
            if "left to the next run" in done.text:  # published, and then S3 was away
                time.sleep(2.2)
                after = in_s3.run("fda-cder", run_id=f"20261129_12{place // 60:02}{place % 60:02}")
                assert (after.exit_code, after.figures["is_published"]) == (0, False), after.text
            assert keys(bucket, "temp/") == []
            products = 41 - products
            place += FAULT_STRIDE
    assert place > 20
    passing, lasting = ({(code, kind) for code, kind, lasts in told if lasts is it} for it in (False, True))
    assert passing & {(0, "slow down"), (0, "broken"), (0, "reset")}, told
    assert lasting & {(1, kind) for kind in KINDS}, told
