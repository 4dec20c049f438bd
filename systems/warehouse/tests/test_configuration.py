"""The configuration: what the project ships is right, and what is wrong is told whole and in words."""

from __future__ import annotations

import json

import pytest

from warehouse.configuration import read_configuration
from warehouse.moments import FormatError, MomentFormat
from warehouse.naming import bucket_name, crawler_names, database_name, job_name, run_prefix
from warehouse.warehouse_settings import ETL_DIR

COLUMN = {"target_name": "a"}
SMALL = {
    "dataset": "small", "source_url": "https://x.org/a.zip", "file_table_mapping": {"a.csv": "small"},
    "column_schema": {"small": {"A": COLUMN}},
}  # fmt: skip


def test_what_the_project_ships_is_configured_well_and_named_by_convention(warehouse):
    done = warehouse.command("check")
    assert done.exit_code == 0, done.text
    shipped = read_configuration(ETL_DIR)
    core, nsde, cder = shipped.core, shipped.dataset("fda-nsde"), shipped.dataset("fda-cder")
    assert job_name(core, "bronze", "fda-nsde") == "pp-dw-bronze-fda-nsde"
    assert crawler_names(core, nsde) == {"fda-nsde": "pp-dw-bronze-fda-nsde-crawler"}
    assert [*crawler_names(core, cder).values()] == [
        "pp-dw-bronze-fda-cder-products-crawler", "pp-dw-bronze-fda-cder-packages-crawler",
    ]  # fmt: skip
    assert bucket_name(core, "123456789012") == "pp-dw-123456789012"
    assert database_name(core, "gold") == "pp_dw_gold"
    assert run_prefix(nsde, "fda-nsde", "20261128_060000") == "bronze/fda-nsde/run_id=20261128_060000/"
    assert run_prefix(cder, "packages", "20261128_060000") == ("bronze/fda-cder/packages/run_id=20261128_060000/")
    tables = {row["table"] for row in warehouse.command("datasets").figures["tables"]}
    assert {"fda_nsde", "fda_cder_products", "fda_cder_packages"} <= tables


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sourceurl": "x"}, ["unknown key sourceurl; valid keys are", "source_url", "unmapped_columns"]),
        ({"source_url": None}, ["exactly one of source_url, api_endpoints, source_prefix, nlm_release is wanted, found none"]),
        ({"unmapped_columns": "keep", "file_table_mapping": {"a.csv": "small", "b.csv": "small"}}, ["unmapped_columns cannot be keep"]),
        ({"source_url": None, "source_prefix": "s4://b/p"}, ["is neither a folder nor an address such as s3://bucket/prefix"]),
        ({"source_url": None, "source_prefix": "s3://"}, ["is neither a folder nor an address such as s3://bucket/prefix"]),
        ({"delimiter": "|", "rrf_columns": {"small": ["A", "a"]}}, ["small: rrf_columns has a twice"]),
        ({"rrf_columns": {"small": ["A"]}}, ["rrf_columns is for files without quotes"]),
        ({"delimiter": "|", "rrf_columns": {"other": ["A"]}}, ["rrf_columns names other, which no file fills"]),
        ({"delimiter": "|", "rrf_columns": {"small": ["B"]}}, ["rrf_columns lacks"]),
        ({"source_prefix": "s3://b/p"}, ["is wanted, found source_url, source_prefix"]),
        ({"source_url": "ftp://x"}, ["source_url is 'ftp://x'"]),
        ({"dataset": "other"}, ["called small, expected the dataset's"]),
        ({"dataset": "_hidden"}, ["dataset is '_hidden'"]), ({"dataset": "Upper"}, ["dataset is 'Upper'"]),
        *[({"encoding": name}, [f"encoding '{name}' does not write ASCII as ASCII"]) for name in ("utf-16", "utf-7", "iso2022_jp", "iso2022_kr", "hz", "cp500")],
        ({"encoding": "none"}, ["encoding 'none' is unknown"]), ({"delimiter": ""}, ["delimiter is ''"]),
        ({"delimiter": "\n"}, ["delimiter '\\n' cannot be one"]), ({"quote": ","}, ["delimiter and quote are both ','"]),
        ({"data_size_category": "huge"}, ["data_size_category is 'huge'", "'small', 'medium', 'large' or 'xlarge'"]),
        ({"file_table_mapping": {}}, ["file_table_mapping"]),
        ({"file_table_mapping": {"a.csv": "small", "b.csv": "more"}}, ["column_schema lacks the table more"]),
        ({"column_schema": {"small": {"A": COLUMN}, "x": {"A": COLUMN}}}, ["column_schema names x, which no file fills"]),
        ({"column_schema": {"small": {"A": {**COLUMN, "typ": "date"}}}}, ["unknown key column_schema.small.A.typ", "target_name"]),
        ({"column_schema": {"small": {"A": {**COLUMN, "type": "text"}}}}, ["type is 'text'", "'timestamp'"]),
        ({"column_schema": {"small": {"A": {**COLUMN, "format": "yyyy"}}}}, ["only a date or a timestamp has a format"]),
        ({"column_schema": {"small": {"A": {**COLUMN, "type": "date", "format": "yyyy-MM"}}}}, ["has not exactly the parts"]),
        ({"column_schema": {"small": {"A": {**COLUMN, "type": "date", "format": "dd-MMM-yy"}}}}, ["is not understood at"]),
        ({"column_schema": {"small": {"A": {**COLUMN, "type": "decimal", "precision": "3,5"}}}}, ["precision 3,5"]),
        ({"column_schema": {"small": {"A": {"target_name": "Bad Name"}}}}, ["target_name is 'Bad Name'"]),
        ({"column_schema": {"small": {"A": COLUMN, "B": COLUMN}}}, ["two columns become a"]),
        ({"column_schema": {"small": {"A": COLUMN, "a": {"target_name": "b"}}}}, ["two columns are read from a"]),
        ({"column_schema": {"small": {"A": {"target_name": "meta_run_id"}}}}, ["begins like the columns that every row gets"]),
        ({"derived_columns": {"small": {"n": {"type": "ndc_11", "from": ["Z"]}}}}, ["n is made of Z, which column_schema has not"]),
        ({"data_quality": {"required_columns": ["z"]}}, ["required_columns names z, which is no column of it"]),
        ({"data_quality": {"max_drop_pct": 200}}, ["data_quality.max_drop_pct is 200"]),
        ({"data_quality": {"tables": {"z": {}}}}, ["data_quality.tables names z"]),
        ({"record_paths": {"a": "b"}}, ["record_paths is for api_endpoints"]),
        ({"source_url": None, "api_endpoints": {"e": "https://x.org"}}, ["a.csv is no endpoint", "record_paths lacks a.csv"]),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_told_in_words_and_touches_nothing(warehouse, change, words):
    warehouse.configure("fda-nsde", lambda config: config.update(unknown_one=1))
    folder = warehouse.etl / "small"
    folder.mkdir()
    config = {name: value for name, value in {**SMALL, **change}.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))
    done = warehouse.command("check")
    assert done.exit_code == 2, done.text
    assert all(word in done.text for word in (*words, "unknown key unknown_one")), done.text
    assert warehouse.run("fda-cder").exit_code == 2
    assert not warehouse.root.exists()


def test_files_that_are_no_configuration_are_named(warehouse):
    for name, text in (
        ("twice", '{"dataset": "a", "dataset": "b"}'),
        ("list", "[]"),
        ("broken", "{"),
        ("bytes", "\udcff"),
    ):
        (warehouse.etl / name).mkdir()
        (warehouse.etl / name / "config.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    text = warehouse.command("check").text
    for words in ("twice/config.json", "the key 'dataset' stands twice", "list/config.json", "broken/config.json is no JSON",
                  "bytes/config.json cannot be read"):  # fmt: skip
        assert words in text
    (warehouse.etl / "config.json").unlink()
    assert "etl/config.json cannot be read" in warehouse.command("check").text


def test_two_datasets_never_have_one_table(warehouse):
    for name, tables in (("a", {"x.csv": "b-c", "y.csv": "d"}), ("a-b", {"x.csv": "c", "y.csv": "e"})):
        (warehouse.etl / name).mkdir()
        config = {**SMALL, "dataset": name, "file_table_mapping": tables,
                  "column_schema": {table: {"A": COLUMN} for table in tables.values()}}  # fmt: skip
        (warehouse.etl / name / "config.json").write_text(json.dumps(config))
    assert "a and a-b would both have the table a_b_c" in warehouse.command("check").text


def test_a_dataset_that_is_not_there_is_told_with_those_that_are(warehouse):
    done = warehouse.run("fda-nothing")
    assert (
        done.exit_code,
        "there is no dataset fda-nothing; there are fda-all-ndcs, fda-cder, fda-n" in done.text,
    ) == (2, True)
    warehouse.configure("fda-cder", lambda config: config.update(source_url="https://u:pw1@x.org/a.zip?key=pw2"))
    shown = warehouse.command("datasets")
    assert ("https://x.org/a.zip" in str(shown), "pw1" in str(shown), "pw2" in str(shown)) == (True, False, False)
    nothing = warehouse.command("show", "fda-cder")
    assert (nothing.exit_code, "nothing was published yet" in nothing.text) == (2, True)


def test_a_form_of_moments_knows_its_parts():
    assert MomentFormat("dd/MM/yyyy", has_time=False).part("yyyy") == (6, 4)
    assert MomentFormat("yyyy-MM-ddTHH:mm:ss", has_time=True).part("ss") == (17, 2)
    for text in ("yyyyMMddMM", "yyyyMMdd HH", "d/M/yyyy", "yyyyMMddZ", ""):
        with pytest.raises(FormatError):
            MomentFormat(text, has_time=False)
