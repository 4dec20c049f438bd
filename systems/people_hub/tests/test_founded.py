"""The founding document's names: the adapter and the service, as a script or a notebook of one's own calls them."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from uuid import uuid4

import pytest

from etlkit.errors import DataError
from people_hub.bronze.ingestion import IngestionService
from people_hub.postgres_adapter import PostgresAdapter
from people_hub.scripts import all_scripts
from people_hub.service import Options

pytestmark = pytest.mark.database


def test_the_adapter_is_as_founded(hub):
    adapter = PostgresAdapter(hub.url, pool_size=2, max_overflow=1)
    service = IngestionService(hub.url, all_scripts()[0].job, adapter=adapter)
    run_id = service.create_ingestion_run("umich_api", "department")
    given = {"entity_type": "department", "source_system": "umich_api", "ingestion_run_id": run_id}
    assert adapter.insert_raw_entity("department", "umich_api", "1", {"Name": "a"}, run_id) == 1
    assert adapter.bulk_insert_raw_entities([]) == 0
    many = [{**given, "external_id": str(n % 3), "raw_data": {"Name": f"x{n}"}} for n in range(5)]
    assert adapter.bulk_insert_raw_entities(many) == 5
    service.complete_ingestion_run(run_id, 6, 6)
    frame = adapter.query_to_dataframe(
        "select external_id, count(*) as versions from bronze.raw_entities where external_id = :id group by 1",
        {"id": "1"},
    )
    assert frame.to_dict("records") == [{"external_id": "1", "versions": 3}]
    names = "select raw_data ->> 'Name' from bronze.entity_heads join bronze.raw_entities using (raw_id) order by 1"
    assert hub.query(names) == [("x2",), ("x3",), ("x4",)]
    service.complete_ingestion_run(run_id, 0, 0, error_message="too late")
    assert hub.last_run()["status"] == "completed"
    with pytest.raises(DataError, match=r"not of yesterday's\. Nothing was stored"):
        adapter.insert_raw_entity("department", "umich_api", "1", {}, "yesterday's")
    adapter.close()


def test_the_adapter_keeps_what_is_bad_and_stores_the_rest(hub):
    hub.query(
        "alter table bronze.raw_entities add constraint poison check (raw_data ->> 'x' is distinct from 'poison')"
    )
    bad = {
        "nan": ("1", {"x": float("nan")}), "no key": (None, {}), "blank": ("  ", {}), "no object": ("2", ["a"]),
        "nothing": ("3", None), "text": ("4", "x"), "no json": ("5", {"x": Decimal(1)}), "set": ("6", {"x": {1}}),
        "refused": ("7", {"x": "poison"}), "line": ("8\n9", {}),
    }  # fmt: skip
    given = {"entity_type": "department", "source_system": "umich_api", "ingestion_run_id": str(uuid4())}
    entities = [{**given, "external_id": key, "raw_data": raw} for key, raw in bad.values()]
    entities[5:5] = [{**given, "external_id": f"good {n}", "raw_data": {"n": n}} for n in range(1000)]
    with closing(PostgresAdapter(hub.url)) as adapter:
        assert adapter.bulk_insert_raw_entities(entities) == 1000
        assert adapter.insert_raw_entity("department", "umich_api", "1", {"x": float("inf")}, str(uuid4())) == 0
    assert len(hub.bronze()) == 1000
    assert sorted(reasons[0].split(":")[0] for _source, _position, reasons in hub.rejects()) == [
        "bad_key", "missing_key", "not_an_object", "not_an_object", "not_an_object", "not_json", "not_json",
        "number_out_of_range", "refused_by_database",
    ]  # fmt: skip


def test_the_adapter_takes_the_embedded_database_too(hub, monkeypatch):
    monkeypatch.setattr("people_hub.postgres_adapter.embedded_url", lambda name: hub.url if name == "mine" else "")
    with closing(PostgresAdapter("embedded/mine")) as adapter:
        assert adapter.query_to_dataframe("select 1 as one")["one"].to_list() == [1]


def test_the_service_is_as_founded(hub, rest, university):
    from people_hub import ingest_umapi_departments
    from people_hub.hub_settings import UmapiSettings, load_hub_settings

    _hub, settings = load_hub_settings((UmapiSettings,), {})
    with closing(IngestionService(hub.url, ingest_umapi_departments.STREAM, settings, dry_run=True)) as service:
        assert service.run_main_process()["dry_run"] is True
    with closing(IngestionService(hub.url, ingest_umapi_departments.STREAM, settings)) as service:
        results = service.run_main_process()
    with closing(IngestionService(hub.url, ingest_umapi_departments.STREAM)) as service:  # settings of the environment
        runs = [service.run_main_process()["run_id"] for _run in range(2)]
    assert len(set(runs)) == 2
    options = Options(full_sync=True)
    with closing(IngestionService(hub.url, ingest_umapi_departments.STREAM, dry_run=True, options=options)) as service:
        assert (service.dry_run, service.run_main_process()["dry_run"]) == (True, True)
    with closing(IngestionService(hub.url, ingest_umapi_departments.STREAM, settings)) as service:
        run_id = service.create_ingestion_run("umich_api", "department")
        service.complete_ingestion_run(run_id, 7, 3, 2, error_message="boom")
    last = hub.last_run()
    figures = [last[name] for name in ("status", "records_processed", "records_created", "records_updated")]
    assert figures == ["failed", 7, 3, 2]
    wanted = {
        "run_id", "records_processed", "records_created", "records_updated", "records_skipped", "records_failed",
        "quality_issues", "errors", "started_at", "completed_at",
    }  # fmt: skip
    assert wanted <= set(results)
    assert results["records_created"] == university.departments
