"""Rejected records: kept once each, resolved when they turn good, and tried again without going back in time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from test_changes import STREAM, bring, counts

from people_hub.bronze.ingestion import IngestionService
from people_hub.bronze.replay import KeptRecord, plan_replay
from people_hub.bronze.stream import key_of
from people_hub.service import Options

pytestmark = pytest.mark.database

POISON = "alter table bronze.raw_entities add constraint poison check (raw_data ->> 'Name' is distinct from 'poison')"
CURE = "alter table bronze.raw_entities drop constraint poison"


def retry(hub, stream=STREAM, **options):
    """Judge the rejects of a stream again."""
    service = IngestionService(hub.url, stream, options=Options(is_replay=True, **options))
    try:
        return service.run_main_process()
    finally:
        service.close()


def poisoned(hub, count):
    """Have the database refuse some records, and heal it."""
    hub.query(POISON)
    bring(hub, [{"DeptId": f"Lab: {n}", "Name": "poison"} for n in range(count)])


def test_what_turned_good_is_stored_and_resolved(hub):
    poisoned(hub, 10)
    hub.query(CURE)
    results = retry(hub)
    assert (results["records_created"], results["resolved_rejects"], results["open_rejects"]) == (10, 10, 0)
    assert len(hub.heads("umich_api/department")) == 10
    assert hub.query("select metadata ->> 'kind' from meta.ingestion_runs order by started_at desc limit 1") == [
        ("replay",)
    ]


def test_what_is_refused_again_stays_open_however_many(hub):
    poisoned(hub, 250)
    results = retry(hub)
    assert (results["records_created"], results["resolved_rejects"], results["open_rejects"]) == (0, 0, 250)
    assert len(hub.rejects()) == 250


def test_a_dry_retry_leaves_no_trace(hub):
    poisoned(hub, 10)
    hub.query(CURE)
    before = hub.traces()
    results = retry(hub, dry_run=True)
    assert hub.traces() == before
    assert (results["resolved_rejects"], results["open_rejects"]) == (10, 0)


def test_the_command_tries_every_record_whatever_the_limit(hub, rest, university):
    rows = [{**row, "Name": "poison"} for row in university.umapi_departments()]
    rest.set_data(departments=rows)
    hub.query(POISON)
    assert hub.ingest("umapi_departments").stream["records_failed"] == 45
    hub.set(MAX_RECORDS="3")
    assert (
        "45 open rejects: 45 may be good now and were tried, 0 resolved, 45 stay open"
        in hub.run("rejects", "--retry").text
    )
    hub.query(CURE)
    result = hub.run("rejects", "--retry", "--stream", "umapi_departments")
    assert (result.exit_code, len(hub.heads("umich_api/department")), hub.rejects()) == (0, 45, [])
    assert "no open rejects" in hub.run("rejects").text


def test_a_locked_stream_keeps_the_others_from_nothing(hub):
    from contextlib import closing

    from etlkit.locks import advisory_lock
    from etlkit.postgres import connect

    poisoned(hub, 2)
    hub.query(CURE)
    bring(hub, [{"ID": None}], stream=replace(STREAM, source_system="tdx", entity_type="asset", key=key_of("ID")))
    with closing(connect(hub.database, "test")) as connection, advisory_lock(connection, "people_hub:tdx/asset"):
        result = hub.run("rejects", "--retry")
    assert result.exit_code == 4
    assert len(hub.heads("umich_api/department")) == 2


def test_a_newer_version_is_not_overwritten_by_an_older_reject(hub):
    hub.query(POISON)
    bring(hub, [{"DeptId": "1", "Name": "poison", "Version": "old"}])
    hub.query(CURE)
    bring(hub, [{"DeptId": "1", "Name": "fine", "Version": "new"}], is_full=False)
    hub.query("update meta.rejected_records set resolved_at = null")  # as if its run had not seen the key
    results = retry(hub)
    assert (results["records_processed"], results["resolved_rejects"]) == (0, 1)
    assert [row[5]["Version"] for row in hub.bronze()] == ["new"]


def test_a_record_that_had_no_key_is_compared_by_the_key_it_has_now(hub):
    keyless = replace(STREAM, key=lambda _record: None)
    bring(hub, [{"DeptId": "1", "Version": "old"}], stream=keyless)
    bring(hub, [{"DeptId": "1", "Version": "new"}], is_full=False)
    assert retry(hub)["resolved_rejects"] == 1
    assert [row[5]["Version"] for row in hub.bronze()] == ["new"]
    bring(hub, [{"DeptId": "2", "Version": "old"}], stream=keyless, is_full=False)
    assert (retry(hub)["records_created"], hub.rejects()) == (1, [])


def test_of_two_records_with_one_key_none_is_chosen(hub):
    bring(hub, [{"DeptId": "1", "Name": "a"}, {"DeptId": "1", "Name": "b"}])
    assert retry(hub)["records_processed"] == 0
    assert len(hub.rejects()) == 1


PLANS = {
    "the later of two": ([("a", 1), ("b", 2)], None, {"a": None, "b": "7"}, ["b"]),
    "two of one moment": ([("a", 1), ("b", 1)], None, {}, []),
    "three of one moment": ([("a", 1), ("b", 1), ("c", 1)], None, {}, []),
    "two of one moment after another": ([("a", 1), ("b", 2), ("c", 2)], None, {"a": None}, []),
    "stored in between": ([("a", 1), ("b", 3)], 2, {"a": None, "b": "7"}, ["b"]),
    "stored since": ([("a", 1), ("b", 1)], 2, {"a": None, "b": None}, []),
    "stored at that moment": ([("a", 1)], 1, {"a": "7"}, ["a"]),
}


@pytest.mark.parametrize(("rejects", "stored", "settles", "chosen"), PLANS.values(), ids=PLANS)
def test_a_replay_chooses_the_newest_of_a_key_and_never_guesses(rejects, stored, settles, chosen):
    day = datetime(2026, 1, 1, tzinfo=UTC)
    kept = [
        KeptRecord(position, json.dumps({"DeptId": 7, "At": position}).encode(), ["missing_key"], day.replace(day=n))
        for position, n in rejects
    ]
    plan = plan_replay(STREAM, kept, lambda keys: {key: day.replace(day=stored) for key in keys if stored})
    assert (plan.settles, [record["At"] for record in plan.records]) == (settles, chosen)
    assert list(plan.position_of.items()) == [("7", position) for position in chosen]


@pytest.mark.parametrize("size", [1, 10])
def test_two_bad_records_of_one_key_are_both_kept_and_new_only_once(hub, size):
    records = [{"DeptId": "1", "Name": float("inf")}, {"DeptId": "1", "Name": float("nan")}, {"DeptId": "2"}]
    first = bring(hub, records, batch_size=size)
    assert (counts(first)[4], first["new_rejects"], len(hub.rejects())) == (2, 2, 2)
    second = bring(hub, records, batch_size=size)
    assert (counts(second)[4], second["new_rejects"], second["open_rejects"]) == (2, 0, 2)


@pytest.mark.parametrize("size", [1, 10])
@pytest.mark.parametrize("order", [1, -1])
def test_a_bad_and_a_good_record_of_one_key_do_not_flip(hub, size, order):
    records = [{"DeptId": "1", "Name": float("inf")}, {"DeptId": "1", "Name": "good"}][::order]
    seen = [bring(hub, records, batch_size=size) for _run in range(4)]
    assert [(run["new_rejects"], run["open_rejects"]) for run in seen] == [(1, 1), (0, 1), (0, 1), (0, 1)]
    assert len(hub.bronze()) == 1


def test_an_original_reads_back_as_it_came(hub):
    bring(hub, [{"DeptId": "1", "Name": float("inf")}, {"DeptId": "2"}])
    assert retry(hub)["resolved_rejects"] == 0
    assert hub.query("select raw from meta.rejected_records")[0][0].tobytes() == b'{"DeptId":"1","Name":Infinity}'


def test_a_record_that_is_nested_without_end_costs_no_other(hub):
    deep: object = 1
    for _level in range(3000):
        deep = [deep]
    results = bring(hub, [{"DeptId": "1", "Deep": deep}, {"DeptId": "2"}])
    assert counts(results) == (1, 0, 0, 0, 1)
    assert hub.rejects()[0][2] == ["nested_too_deeply"]


def test_a_dry_run_says_how_many_would_be_open(hub):
    records = [{"DeptId": "1", "Name": float("inf")}, {"DeptId": "2"}]
    dry = bring(hub, records, dry_run=True)
    wet = bring(hub, records)
    assert (dry["open_rejects"], wet["open_rejects"]) == (1, 1)
    good = [{"DeptId": "1", "Name": "fine"}, {"DeptId": "2"}]
    assert bring(hub, good, dry_run=True)["open_rejects"] == 0
    assert bring(hub, good)["open_rejects"] == 0


def test_new_records_hide_no_loss_of_old_ones(hub, rest, university):
    hub.ingest("umapi_departments")
    others = [{**row, "DeptId": f"9{n:05}"} for n, row in enumerate(university.umapi_departments() * 10)]
    rest.set_data(departments=others)
    for flags in (("--dry-run",), (), ()):
        result = hub.ingest("umapi_departments", *flags)
        assert (result.exit_code, "45 of 45 known records" in result.stream["error"]) == (1, True)
    assert hub.tombstones() == 0


@pytest.mark.parametrize("size", [1, 10])
def test_a_dry_run_counts_rejects_and_the_vanished_as_the_run_does(hub, size):
    known = [{"DeptId": str(n), "Name": 1} for n in range(20)]
    bring(hub, [*known, {"DeptId": "a", "Name": float("inf")}, {"DeptId": "b", "Name": float("inf")}], batch_size=size)
    known[4]["Name"] = float("inf")
    bad = {"DeptId": "b", "Name": float("inf")}
    listed = [*known, {"DeptId": "a", "Name": 1}, bad, dict(bad)]
    dry = bring(hub, listed, batch_size=size, dry_run=True)
    wet = bring(hub, listed, batch_size=size)
    for name in ("records_deleted", "records_failed", "new_rejects", "open_rejects", "resolved_rejects"):
        assert dry[name] == wet[name], name
    assert (wet["records_deleted"], wet["open_rejects"], wet["resolved_rejects"]) == (0, 2, 1)


def test_a_good_record_settles_every_reject_of_its_key_without_a_full_listing(hub):
    bring(hub, [{"DeptId": "1", "Name": float("inf")}, {"DeptId": "1", "Name": float("nan")}])
    results = bring(hub, [{"DeptId": "1", "Name": "good"}], is_full=False)
    assert (results["resolved_rejects"], hub.rejects()) == (2, [])


def test_a_retry_loses_no_original(hub):
    hub.query(POISON)
    bring(hub, [{"DeptId": "1", "Name": float("inf")}, {"DeptId": "1", "Name": "poison"}], is_full=False)
    before = hub.query("select raw from meta.rejected_records where resolved_at is null order by raw")
    assert len(before) == 2
    retry(hub)
    after = hub.query("select raw from meta.rejected_records where resolved_at is null order by raw")
    assert [bytes(raw) for (raw,) in after] == [bytes(raw) for (raw,) in before]


def test_of_two_rejects_with_one_key_today_the_later_is_stored(hub):
    keyless = replace(STREAM, key=lambda _record: None)
    bring(hub, [{"DeptId": "1", "Version": "old"}], stream=keyless, is_full=False)
    bring(hub, [{"DeptId": "1", "Version": "new"}], stream=keyless, is_full=False)
    assert retry(hub)["resolved_rejects"] == 2
    assert [row[5]["Version"] for row in hub.bronze()] == ["new"]
    assert hub.rejects() == []


def test_the_guard_can_always_be_overruled(hub):
    bring(hub, [{"DeptId": "1"}, {"DeptId": "2"}])
    bring(hub, [{"DeptId": str(n)} for n in range(10, 15)], is_full=False)
    assert bring(hub, [{"DeptId": "1"}, {"DeptId": "2"}])["records_deleted"] == 5
