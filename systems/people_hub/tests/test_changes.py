"""Change detection: exactly what changed becomes a version, exactly what is bad is kept, and nothing twice."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from etlkit.testing import seeds
from people_hub.bronze import listing_run
from people_hub.bronze.ingestion import IngestionService
from people_hub.bronze.stream import Listing, Stream, key_of
from people_hub.hub_settings import UmapiSettings
from people_hub.service import Options

pytestmark = pytest.mark.database

STREAM = Stream(
    "umich_api", "department", UmapiSettings, key_of("DeptId"), lambda _settings, _request: Listing(iter(())), str
)


def bring(hub, records, *, is_full=True, stream=STREAM, **options):
    """Bring records into bronze by the engine alone; return the statistics."""
    listed = replace(stream, listing=lambda _settings, _request: Listing(iter(records), is_full=is_full))
    service = IngestionService(
        hub.url, listed, UmapiSettings.model_construct(), options=Options(mass_delete_percent=100, **options)
    )
    try:
        return service.run_main_process()
    finally:
        service.close()


def counts(results):
    return tuple(results[f"records_{name}"] for name in ("created", "updated", "skipped", "deleted", "failed"))


def test_a_listing_again_changes_nothing(hub, rest, university):
    first = hub.ingest("umapi_departments")
    assert (first.exit_code, first.counts) == (0, (university.departments, 0, 0, 0, 0))
    before = hub.bronze()
    second = hub.ingest("umapi_departments")
    assert (second.exit_code, second.counts) == (0, (0, 0, university.departments, 0, 0))
    assert hub.bronze() == before


def test_changed_records_become_exactly_as_many_versions(hub, rest, university):
    hub.ingest("umapi_departments")
    rows = university.umapi_departments()
    for n in (3, 7, 11):
        rows[n]["DeptDescription"] += " and more"
    rest.set_data(departments=rows)
    result = hub.ingest("umapi_departments")
    assert result.counts == (0, 3, university.departments - 3, 0, 0)
    assert len(hub.bronze()) == university.departments + 3


def test_every_field_counts(hub, rest, university):
    row = university.umapi_departments()[0]
    bring(hub, [row])
    for name in row:
        if name != "DeptId":
            row = {**row, name: f"{row[name]} changed"}
            assert counts(bring(hub, [row]))[:2] == (0, 1), name
    assert counts(bring(hub, [{**row, "a new field": 1}]))[:2] == (0, 1)


def test_a_volatile_field_is_no_change_and_yet_is_kept(hub):
    stream = replace(STREAM, volatile=frozenset({"Seen"}))
    bring(hub, [{"DeptId": "1", "Seen": "today", "Name": "x"}], stream=stream)
    assert counts(bring(hub, [{"DeptId": "1", "Seen": "tomorrow", "Name": "x"}], stream=stream))[:3] == (0, 0, 1)
    assert hub.query("select raw_data from bronze.raw_entities") == [({"DeptId": "1", "Seen": "today", "Name": "x"},)]


def test_a_changed_deny_list_makes_no_versions_but_finds_real_changes(hub):
    records = [{"DeptId": str(n), "Seen": "today", "Name": "x"} for n in range(50)]
    bring(hub, records)
    later = replace(STREAM, volatile=frozenset({"Seen"}))
    records = [{**record, "Seen": "tomorrow"} for record in records]
    records[7]["Name"] = "y"
    assert counts(bring(hub, records, stream=later)) == (0, 1, 49, 0, 0)
    assert counts(bring(hub, records, stream=later)) == (0, 0, 50, 0, 0)
    assert len(hub.bronze()) == 51


def test_a_page_boundary_makes_no_difference(hub):
    records = [{"DeptId": str(n), "Name": "x"} for n in range(23)]
    for size in (1, 2, 7, 23, 24):
        results = bring(hub, records, batch_size=size)
        assert results["records_processed"] == 23
    assert len(hub.bronze()) == 23


def test_the_same_record_twice_in_one_listing_is_one_version(hub):
    record = {"DeptId": "1", "Name": "x"}
    for size in (1, 10):
        assert sum(counts(bring(hub, [record, dict(record), {"DeptId": "2"}], batch_size=size))) == 3
    assert [row[2] for row in hub.bronze()] == ["1", "2"]


@pytest.mark.parametrize("size", [1, 2, 10])
def test_one_key_with_two_contents_is_an_alarm_and_does_not_flip(hub, size):
    records = [{"DeptId": "1", "Name": "x"}, {"DeptId": "1", "Name": "y"}, {"DeptId": "2", "Name": "z"}]
    first = bring(hub, records, batch_size=size)
    assert counts(first) == (2, 0, 0, 0, 1)
    assert first["new_rejects"] == 1
    ((source, position, reasons),) = hub.rejects()
    assert (source, reasons) == ("umich_api/department", ["duplicate_key_in_run"])
    assert position.startswith("1 (another of the same key, ")
    second = bring(hub, records, batch_size=size)
    assert counts(second) == (0, 0, 2, 0, 1)
    assert (second["new_rejects"], second["open_rejects"]) == (0, 1)
    bring(hub, records[1:], batch_size=size)
    assert hub.rejects() == []  # the source has made up its mind
    assert hub.bronze()[1][5]["Name"] == "y"


def test_bad_records_are_kept_with_their_reason_and_cost_no_other(hub):
    records = [
        {"DeptId": "1"}, "text", None, ["a"], {"DeptId": None}, {"DeptId": " "}, {"DeptId": True}, {"DeptId": "a\nb"},
        {"DeptId": "x" * 501}, {"DeptId": "2", "Name": float("inf")}, {"DeptId": "3"},
    ]  # fmt: skip
    for size in (1, 4, 100):
        results = bring(hub, records, batch_size=size)
        assert results["records_failed"] == 9
    assert sorted(hub.heads("umich_api/department")) == ["1", "3"]
    reasons = sorted(reasons[0] for _source, _position, reasons in hub.rejects())
    assert reasons == sorted(
        ["not_an_object"] * 3 + ["missing_key"] * 3 + ["bad_key", "key_too_long", "number_out_of_range"]
    )
    raws = {bytes(raw) for (raw,) in hub.query("select raw from meta.rejected_records")}
    assert {b'"text"', b"null", b'["a"]', b'{"DeptId":"a\\nb"}'} <= raws


def test_the_database_refuses_one_record_and_takes_the_others(hub):
    hub.query(
        "alter table bronze.raw_entities add constraint poison check (raw_data ->> 'Name' is distinct from 'poison')"
    )
    records = [{"DeptId": str(n), "Name": "poison" if n in (3, 64) else "x"} for n in range(100)]
    results = bring(hub, records, batch_size=40)
    assert counts(results) == (98, 0, 0, 0, 2)
    assert [(position, reasons[0].split(":")[0]) for _source, position, reasons in hub.rejects()] == [
        ("3", "refused_by_database"),
        ("64", "refused_by_database"),
    ]
    hub.query("alter table bronze.raw_entities drop constraint poison")
    assert counts(bring(hub, records, batch_size=40)) == (2, 0, 98, 0, 0)
    assert hub.rejects() == []


def test_u0000_and_lone_surrogates_cost_no_record_and_are_noted(hub):
    bring(hub, [{"DeptId": "1", "Name": "a\x00b", "Other": "\udc80"}])
    assert hub.query("select raw_data, ingestion_metadata from bronze.raw_entities") == [
        ({"DeptId": "1", "Name": "ab", "Other": ""}, {"cleaned": ["Name", "Other"]})
    ]


def test_numbers_of_any_size_survive(hub):
    bring(hub, [{"DeptId": 7, "Big": 2**100, "Small": 0.1, "Whole": 3.0}])
    assert hub.query("select external_id, raw_data ->> 'Big', raw_data ->> 'Small' from bronze.raw_entities") == [
        ("7", str(2**100), "0.1")
    ]
    assert counts(bring(hub, [{"DeptId": "7", "Big": 2**100, "Small": 0.1, "Whole": 3}]))[:2] == (0, 1)  # "7" is not 7


def test_vanished_records_get_one_tombstone_and_may_come_back(hub):
    records = [{"DeptId": str(n)} for n in range(20)]
    bring(hub, records)
    assert counts(bring(hub, records[1:])) == (0, 0, 19, 1, 0)
    assert counts(bring(hub, records[1:])) == (0, 0, 19, 0, 0)
    assert hub.tombstones() == 1
    assert counts(bring(hub, records)) == (1, 0, 19, 0, 0)
    assert [row[4] for row in hub.bronze() if row[2] == "0"] == [False, True, False]


def test_an_incremental_or_limited_listing_buries_nobody(hub):
    records = [{"DeptId": str(n)} for n in range(20)]
    bring(hub, records)
    assert counts(bring(hub, records[:5], is_full=False))[3] == 0
    assert counts(bring(hub, records[:5], max_records=5))[3] == 0
    assert counts(bring(hub, records[:7], max_records=5)) == (0, 0, 5, 0, 0)
    assert hub.tombstones() == 0


def test_a_rejected_record_has_not_vanished(hub):
    records = [{"DeptId": str(n), "Name": 1} for n in range(20)]
    bring(hub, records)
    records[4]["Name"] = float("nan")
    assert counts(bring(hub, records)) == (0, 0, 19, 0, 1)
    assert hub.tombstones() == 0


def test_nobody_is_buried_while_a_record_without_key_may_be_one_of_them(hub, caplog):
    records = [{"DeptId": str(n)} for n in range(20)]
    bring(hub, records)
    for new in (1, 0):
        results = bring(hub, [*records[1:], {"DeptId": None}])
        assert (results["records_deleted"], results["records_failed"]) == (0, 1)
        assert f"rejected ones without a key ({new or 'none'} of them new) may be among them" in results["notes"][0]
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert sum("may be among them" in text for text in warned) == 2


KEYLESS = {"DeptId": None, "Name": "nobody"}


def gone(hub):
    return [key for (key,) in hub.query("select external_id from bronze.entity_heads where is_deleted order by 1")]


def held_back(hub):
    return [key for (key,) in hub.query("select external_id from bronze.held_back order by 1")]


def test_a_record_without_key_that_was_there_before_is_none_of_those_that_go_later(hub):
    records = [{"DeptId": str(n)} for n in range(10, 30)]
    bring(hub, [*records, KEYLESS])
    bring(hub, [*records[1:], KEYLESS])
    assert (gone(hub), held_back(hub)) == (["10"], [])
    results = bring(hub, [*records[2:], KEYLESS, {**KEYLESS, "Name": "another"}])
    assert "1 known records were not listed and get no tombstone, since 2 rejected ones" in results["notes"][0]
    assert (gone(hub), held_back(hub)) == (["10"], ["11"])
    # now both were there: who goes from here on is buried, who went when the second came is not
    bring(hub, [*records[3:], KEYLESS, {**KEYLESS, "Name": "another"}])
    assert (gone(hub), held_back(hub)) == (["10", "12"], ["11"])
    bring(hub, [records[1], *records[3:], KEYLESS, {**KEYLESS, "Name": "another"}])
    assert (gone(hub), held_back(hub)) == (["10", "12"], [])


def test_who_was_held_back_is_buried_when_every_record_has_a_key_again(hub):
    records = [{"DeptId": str(n)} for n in range(10, 30)]
    bring(hub, records)
    bring(hub, [*records[1:], KEYLESS])
    assert (gone(hub), held_back(hub)) == ([], ["10"])
    bring(hub, records[1:])
    assert (gone(hub), held_back(hub)) == (["10"], [])


@pytest.mark.parametrize(
    "change", ["other content", "twice", "since an incremental listing", "mended and broken again"]
)
def test_a_record_without_key_is_new_when_it_may_be_another(hub, change):
    records = [{"DeptId": str(n)} for n in range(10, 30)]
    bring(hub, records if change.startswith("since") else [*records, KEYLESS])
    listed = [KEYLESS]
    if change == "other content":
        listed = [{**KEYLESS, "Name": "somebody"}]
    elif change == "twice":
        listed = [KEYLESS, KEYLESS]
    elif change.startswith("since"):
        bring(hub, [KEYLESS], is_full=False)
    else:
        bring(hub, records)
    results = bring(hub, [*records[1:], *listed])
    assert (gone(hub), held_back(hub)) == ([], ["10"])
    assert "may be among them" in results["notes"][0]


def test_a_dry_run_holds_nobody_back(hub):
    records = [{"DeptId": str(n)} for n in range(10, 30)]
    bring(hub, records)
    before = hub.traces()
    results = bring(hub, [*records[1:], KEYLESS], dry_run=True)
    assert "may be among them" in results["notes"][0]
    assert (hub.traces(), held_back(hub)) == (before, [])


def test_other_streams_are_held_back_by_their_own(hub):
    records = [{"DeptId": str(n)} for n in range(10, 30)]
    other = replace(STREAM, entity_type="other")
    for stream in (STREAM, other):
        bring(hub, records, stream=stream)
    bring(hub, [*records[1:], KEYLESS])
    bring(hub, records[1:], stream=other)
    assert hub.query("select entity_type, external_id from bronze.held_back") == [(STREAM.entity_type, "10")]
    assert hub.query("select entity_type from bronze.entity_heads where is_deleted") == [("other",)]


def test_a_history_that_was_pruned_makes_no_record_new(hub):
    records = [{"DeptId": str(n)} for n in range(10, 30)]
    bring(hub, [*records, KEYLESS])
    bring(hub, [*records, KEYLESS])
    hub.query("delete from meta.ingestion_runs where run_id <> (select last_full_run_id from meta.stream_state)")
    bring(hub, [*records[1:], KEYLESS])
    assert gone(hub) == ["10"]
    hub.query("delete from meta.ingestion_runs")
    bring(hub, [*records[2:], KEYLESS])
    assert (gone(hub), held_back(hub)) == (["10"], ["11"])  # nobody can say any more


def test_mass_loss_is_refused_and_told(hub, rest, university):
    hub.ingest("umapi_departments")
    before = hub.bronze()
    rows = university.umapi_departments()
    rows[0]["DeptDescription"] = "changed"
    rest.set_data(departments=rows[: len(rows) // 2])
    result = hub.ingest("umapi_departments")
    assert result.exit_code == 1
    assert "over 10 % is not believed" in result.stream["error"]
    assert hub.tombstones() == 0
    assert len(hub.bronze()) == len(before) + 1  # what changed is stored
    last = hub.last_run()
    assert (last["status"], last["records_processed"], last["records_updated"]) == ("failed", len(rows) // 2, 1)
    assert last["metadata"]["records_skipped"] == len(rows) // 2 - 1
    assert result.stream["records_updated"] == 1
    half = len(rows) // 2
    kept = f"Of it stays: {half:,} records in = 0 new + 1 changed + {half - 1:,} there already + 0 rejected."
    assert kept in result.stream["error"]
    log = (hub.folder / "logs" / "ingest.log").read_text(encoding="utf-8")
    assert "FINAL RESULTS SUMMARY: umich_api/department [FAILED] what stays of it" in log
    again = hub.ingest("umapi_departments", "--allow-mass-delete", "60")
    assert (again.exit_code, again.stream["records_deleted"]) == (0, len(rows) - len(rows) // 2)


def test_an_empty_listing_is_never_believed(hub, rest):
    rest.set_data(departments=[])
    first = hub.ingest("umapi_departments")
    assert first.exit_code == 1
    assert "listed no record at all" in first.stream["error"]
    assert hub.last_run()["status"] == "failed"
    assert hub.ingest("umapi_departments", "--allow-mass-delete", "100").exit_code == 1


@pytest.mark.soak
@pytest.mark.parametrize("seed", seeds("histories", 8, 40))
def test_any_history_of_edits_leaves_the_heads_as_the_source_is(hub, seed):
    rng = random.Random(seed)
    source: dict[str, int] = {str(n): 0 for n in range(30)}
    versions = 0
    for _step in range(6):
        for key in rng.sample(sorted(source), min(5, len(source))):
            if rng.random() < 0.3:
                del source[key]
            else:
                source[key] += 1
        source[str(rng.randrange(100, 130))] = rng.randrange(3)
        records = [{"DeptId": key, "Value": value} for key, value in source.items()]
        rng.shuffle(records)
        records += rng.sample(records, 3)
        results = bring(hub, records, batch_size=rng.choice([1, 7, 1000]))
        versions += results["records_created"] + results["records_updated"] + results["records_deleted"]
        stored = dict(
            hub.query(
                "select h.external_id, (r.raw_data ->> 'Value')::int from bronze.entity_heads h "
                "join bronze.raw_entities r using (raw_id) where not is_deleted"
            )
        )
        assert stored == source
    assert len(hub.bronze()) == versions


def test_the_figures_must_add_up(hub, monkeypatch):
    monkeypatch.setattr(listing_run.Statistics, "skipped", 5)
    with pytest.raises(listing_run.DataError, match="do not add up"):
        bring(hub, [{"DeptId": "1"}])
    assert hub.last_run()["status"] == "failed"


def test_bronze_refuses_to_be_rewritten(hub):
    bring(hub, [{"DeptId": "1"}])
    for statement in (
        "update bronze.raw_entities set raw_data = '{}'",
        "delete from bronze.raw_entities",
        "truncate bronze.raw_entities",
    ):
        with pytest.raises(Exception, match="only grows"):
            hub.query(statement)
