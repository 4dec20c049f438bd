"""Glue's catalog: tables that follow the pointer, and come back where somebody or something stands in the way."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from etlkit.errors import DataError
from warehouse.bronze import BronzeRun, Options
from warehouse.catalog import Catalog, hive_type
from warehouse.configuration import read_configuration
from warehouse.engines.duckdb_engine import DuckDbEngine
from warehouse.publishing import Publication
from warehouse.sample_sources.drugs import Drugs
from warehouse.sources.download import Patience
from warehouse.targets.target import LostRaceError

DATABASE = "pp_dw_bronze"
TABLES = ("fda_cder_products", "fda_cder_packages")


class StaleGlue:
    """Glue, but for one table that somebody else changes before each of our changes; moto does not look at that."""

    def __init__(self, client, table):
        self._client, self._table = client, table

    def __getattr__(self, name):
        return getattr(self._client, name)

    def update_table(self, **given):
        if given["TableInput"]["Name"] == self._table and "VersionId" in given:
            said = {
                "Code": "ConcurrentModificationException",
                "Message": "Update table failed due to concurrent modifications.",
            }
            raise ClientError({"Error": said}, "UpdateTable")
        return self._client.update_table(**given)


@pytest.fixture
def glue(in_s3, bucket):
    client = bucket.session.client("glue")
    client.create_database(DatabaseInput={"Name": DATABASE})
    yield client
    client.delete_database(Name=DATABASE)


@pytest.fixture
def published(in_s3, bucket, glue):
    """Runs with a catalog, as a job does; the first one is done."""
    dataset = read_configuration(in_s3.etl).bronze("fda-cder")
    numbers = iter(range(1, 60))

    def run(products, client=glue):
        in_s3.serve(Drugs(products=products))
        options = Options(run_id=f"20261129_0600{next(numbers):02}", patience=Patience(backoff_seconds=0))
        catalog = Catalog(client, bucket, dataset, {"bronze": DATABASE})
        return BronzeRun(dataset, bucket, DuckDbEngine, lambda _: bucket, options, catalog).run()

    run(20)
    return run


def shown(glue):
    """Return which run each table shows."""
    tables = [glue.get_table(DatabaseName=DATABASE, Name=name)["Table"] for name in TABLES]
    return [table["StorageDescriptor"]["Location"].rstrip("/")[-2:] for table in tables]


def pointed(bucket):
    return Publication(bucket, "fda-cder").pointer().run_id[-2:]


def test_tables_follow_the_pointer(published, glue, bucket):
    assert shown(glue) == ["01", "01"]
    published(21)
    assert (shown(glue), pointed(bucket)) == (["02", "02"], "02")
    versions = len(glue.get_table_versions(DatabaseName=DATABASE, TableName=TABLES[0])["TableVersions"])
    published(21)  # unchanged
    assert len(glue.get_table_versions(DatabaseName=DATABASE, TableName=TABLES[0])["TableVersions"]) == versions


@pytest.mark.parametrize("stale", TABLES)
def test_a_table_that_somebody_changed_meanwhile_stays_and_so_does_the_pointer(published, glue, bucket, in_s3, stale):
    before = {name for name in in_s3.files() if not name.startswith("raw/")}
    with pytest.raises(DataError, match="was changed by somebody else meanwhile: ConcurrentModificationException"):
        published(21, StaleGlue(glue, stale))
    assert (shown(glue), pointed(bucket)) == (["01", "01"], "01")
    assert {name for name in in_s3.files() if not name.startswith("raw/")} == before
    published(21)
    assert (shown(glue), pointed(bucket)) == (["03", "03"], "03")


def test_a_run_stopped_between_tables_and_pointer_is_put_right_by_the_next(published, glue, bucket, monkeypatch):
    def stop(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Publication, "_swap", stop)
        with pytest.raises(KeyboardInterrupt):
            published(21)
    assert (shown(glue), pointed(bucket)) == (["02", "02"], "01")  # Athena sees a whole run, readers of the pointer too
    published(20)
    assert (shown(glue), pointed(bucket)) == (["01", "01"], "01")


def test_a_lost_race_takes_the_tables_back(published, glue, bucket, monkeypatch):
    swap = Publication._swap

    def overtaken(self, run_id, pointer, previous):
        with monkeypatch.context() as patch:
            patch.setattr(Publication, "_swap", swap)
            self._swap(pointer.run_id, pointer, pointer.previous_run_id)
        swap(self, run_id, pointer, previous)

    with monkeypatch.context() as patch:
        patch.setattr(Publication, "_swap", overtaken)
        with pytest.raises(LostRaceError, match="swapped by another run"):
            published(21)
    assert (shown(glue), pointed(bucket)) == (["01", "01"], "01")


def test_a_table_that_was_deleted_or_bent_is_made_anew(published, glue):
    glue.delete_table(DatabaseName=DATABASE, Name=TABLES[0])
    bent = {"Name": TABLES[1], "StorageDescriptor": {"Location": "s3://elsewhere/", "Columns": []}}
    glue.update_table(DatabaseName=DATABASE, TableInput=bent)
    published(20)
    assert shown(glue) == ["01", "01"]


def test_what_glue_refuses_is_told_in_its_words(published, glue, bucket):
    glue.delete_database(Name=DATABASE)
    with pytest.raises(
        Exception, match=r"the table pp_dw_bronze.fda_cder_[a-z]+: Glue answers EntityNotFoundException"
    ):
        published(21)
    assert pointed(bucket) == "01"
    glue.create_database(DatabaseInput={"Name": DATABASE})


@pytest.mark.parametrize(
    ("kind", "hive"),
    [
        ("!string", "string"),
        ("timestamp(6)", "timestamp"),
        ("decimal(10, 2)", "decimal(10,2)"),
        ("int64", "bigint"),
        ("date", "date"),
    ],
)
def test_types_of_athena(kind, hive):
    assert hive_type(kind) == hive
    with pytest.raises(DataError, match="no word for"):
        hive_type("array<string>")


def test_a_table_that_is_configured_no_more_is_left_alone(published, glue, bucket, in_s3):
    def renamed(config):
        config["file_table_mapping"]["package.txt"] = "packs"
        config["column_schema"]["packs"] = config["column_schema"].pop("packages")
        del config["derived_columns"], config["data_quality"]["tables"]

    in_s3.configure("fda-cder", renamed)
    dataset = read_configuration(in_s3.etl).bronze("fda-cder")
    catalog = Catalog(glue, bucket, dataset, {"bronze": DATABASE})
    in_s3.serve(Drugs(products=20))
    BronzeRun(dataset, bucket, DuckDbEngine, lambda _: bucket, Options(run_id="20261129_070000"), catalog).run()
    table = glue.get_table(DatabaseName=DATABASE, Name="fda_cder_packs")["Table"]
    assert table["StorageDescriptor"]["Location"].endswith("packs/run_id=20261129_070000/")


def test_commands_beside_the_jobs_move_the_tables_where_they_are_told_to(published, glue, bucket, in_s3, monkeypatch):
    assert in_s3.run("fda-cder", "--force").exit_code == 0
    assert shown(glue) == ["01", "01"]  # not told
    monkeypatch.setenv("WAREHOUSE_REGISTER_TABLES", "yes")
    in_s3.serve(Drugs(products=21))
    run_id = in_s3.run("fda-cder", run_id="20261129_080042").figures["run_id"]
    assert (shown(glue), run_id[-2:]) == (["42", "42"], "42")
    back = in_s3.command("rollback", "fda-cder").figures["run_id"]
    assert (shown(glue), pointed(bucket)) == ([back[-2:]] * 2, back[-2:])
