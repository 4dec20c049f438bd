"""Sources other than one archive: many objects of a folder or bucket, and the answers of an API."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warehouse_case import Warehouse

from etlkit.errors import EtlError
from etlkit.testing import full_count
from warehouse.configuration import read_configuration
from warehouse.sample_sources.drugs import Drugs, zipped
from warehouse.sources import api, download
from warehouse.sources.archives import extract

HEAD = "at,site,val,type\n"


@pytest.fixture
def objects(warehouse, tmp_path):
    """A folder with some kiosk files, which the dataset reads."""
    folder = tmp_path / "objects"
    (folder / "more").mkdir(parents=True)
    (folder / "lmnh_hist_data_1.csv").write_text(HEAD + "2026-01-01 10:00:00,1,3,\n2026-01-01 10:00:01,1,-1,0.0\n")
    (folder / "lmnh_hist_data_2.csv").write_text("val,at,site,type\n4,2026-01-01 10:00:02,5,\n")
    (folder / "more" / "lmnh_hist_data_1.csv").write_text(HEAD + "2026-01-01 10:00:03,2,1,")
    (folder / "other.csv").write_text("not this one")
    warehouse.configure("lmnh-kiosk", lambda config: config.update(source_prefix=str(folder)))
    return folder


def test_many_objects_make_one_table_and_each_row_says_whence_it_comes(warehouse, objects):
    done = warehouse.run("lmnh-kiosk")
    assert done.exit_code == 0, done.text
    rows = warehouse.ask(
        "lmnh-kiosk", "select pressed_at, site, val, request_type, meta_source_file from lmnh_kiosk order by 1"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("2026-01-01 10:00:00", 1, 3, None, "lmnh_hist_data_1.csv"), ("2026-01-01 10:00:01", 1, -1, 0.0, "lmnh_hist_data_1.csv"),
        ("2026-01-01 10:00:02", 5, 4, None, "lmnh_hist_data_2.csv"), ("2026-01-01 10:00:03", 2, 1, None, "more/lmnh_hist_data_1.csv"),
    ]  # fmt: skip
    assert [name for name in warehouse.files() if name.endswith("more/lmnh_hist_data_1.csv")]
    before, digests = warehouse.files(), warehouse.digests("lmnh-kiosk")
    assert warehouse.run("lmnh-kiosk").figures["is_published"] is False
    assert warehouse.files() == before
    again = warehouse.run("lmnh-kiosk", "--from-raw", done.figures["run_id"])
    assert (again.exit_code, warehouse.digests("lmnh-kiosk")) == (0, digests)
    (objects / "lmnh_hist_data_9.csv").write_text(HEAD)
    assert warehouse.run("lmnh-kiosk").figures["is_published"]
    assert warehouse.digests("lmnh-kiosk") == digests


def test_a_bad_row_of_many_objects_is_told_with_its_object_and_number_there(warehouse, objects):
    (objects / "lmnh_hist_data_1.csv").write_text(
        HEAD
        + "\n2026-01-01 10:00:00,1,3,\nERR,1,3,\n,,,\n2026-01-01 10:00:00,1\n"
        + '"2026-01-01 10:00:09",1,"x, y",\n'
    )
    (objects / "lmnh_hist_data_2.csv").write_text(HEAD + "never,1,3,\n")
    warehouse.configure("lmnh-kiosk", lambda config: config["data_quality"].update(max_rejected_pct=90))
    done = warehouse.run("lmnh-kiosk")
    assert done.exit_code == 3, done.text
    table = done.figures["tables"]["lmnh-kiosk"]
    assert (table["rows_in"], table["rows"], table["quarantined"]) == (6, 2, 4)
    rows = warehouse.command("quarantine", "lmnh-kiosk").figures["rows"]
    told = [(row["source_file"], row["row_number"], row["columns"], row["raw_line"]) for row in rows]
    assert told == [
        ("lmnh_hist_data_1.csv", 3, "pressed_at", "ERR,1,3,"), ("lmnh_hist_data_1.csv", 5, None, "2026-01-01 10:00:00,1"),
        ("lmnh_hist_data_1.csv", 6, "val", '"2026-01-01 10:00:09",1,"x, y",'), ("lmnh_hist_data_2.csv", 1, "pressed_at", "never,1,3,"),
    ]  # fmt: skip


def test_a_folder_without_a_fitting_object_or_with_a_foreign_header_is_refused(warehouse, objects):
    assert warehouse.run("lmnh-kiosk").exit_code == 0
    before = warehouse.digests("lmnh-kiosk")
    (objects / "lmnh_hist_data_3.csv").write_text("at,site,val,kind\n")
    refused = warehouse.run("lmnh-kiosk")
    assert (refused.exit_code, "lmnh_hist_data_3.csv: the header does not fit" in refused.text) == (1, True)
    (objects / "lmnh_hist_data_3.csv").unlink()
    (objects / "lmnh_hist_data_a\tb.csv").write_text(HEAD)
    assert "a name that no table can hold" in warehouse.run("lmnh-kiosk").text
    (objects / "lmnh_hist_data_a\tb.csv").rename(objects / os.fsdecode(b"lmnh_hist_data_\xff.csv"))
    assert "'lmnh_hist_data_\\udcff.csv', a name that no table" in warehouse.run("lmnh-kiosk").text
    (objects / os.fsdecode(b"lmnh_hist_data_\xff.csv")).unlink()
    empty = objects / "empty"
    empty.mkdir()
    refused = warehouse.run("lmnh-kiosk", "--from-file", str(empty))
    assert (refused.exit_code, "has no lmnh_hist_data_*.csv" in refused.text) == (1, True), refused.text
    assert warehouse.run("lmnh-kiosk", "--from-file", str(empty / "nothing")).exit_code == 1
    warehouse.configure("lmnh-kiosk", lambda config: config.update(file_table_mapping={"*": "lmnh-kiosk"}))
    (objects / "other.csv").rename(objects / "_source.json")
    assert "a file _source.json, a name that is ours" in warehouse.run("lmnh-kiosk").text
    assert warehouse.digests("lmnh-kiosk") == before


def test_thousands_of_rows_of_many_objects_are_accounted_for(warehouse, objects):
    chance = random.Random(7)
    expected = 0
    for number in range(60):
        lines = [
            f"2026-01-{chance.randint(1, 28):02} 10:00:00,{chance.randint(0, 5)},{chance.randint(0, 4)},"
            for _ in range(200)
        ]
        expected += len(lines)
        (objects / f"lmnh_hist_data_{number}.csv").write_text(HEAD + "\r\n".join(lines))
    (objects / "more" / "lmnh_hist_data_1.csv").unlink()
    done = warehouse.run("lmnh-kiosk")
    assert done.exit_code == 0, done.text
    assert done.figures["tables"]["lmnh-kiosk"]["rows"] == expected
    (files,) = warehouse.ask("lmnh-kiosk", "select count(distinct meta_source_file) as n from lmnh_kiosk")
    assert files == {"n": 60}


def test_the_museums_bucket_loads_by_configuration_alone(warehouse, sample_data):
    bucket = sample_data.parent / "museum" / "bucket"
    warehouse.configure("lmnh-kiosk", lambda config: config["data_quality"].update(max_rejected_pct=90))
    done = warehouse.run("lmnh-kiosk", "--from-file", str(bucket))
    assert done.exit_code in (0, 3), done.text
    table = done.figures["tables"]["lmnh-kiosk"]
    lines = sum(len(path.read_text().splitlines()) - 1 for path in bucket.glob("lmnh_hist_data_*.csv"))
    assert table["rows_in"] == table["rows"] + table["quarantined"] == lines


def concepts(count):
    return [{"classId": f"C{n}", "className": f"Class, {n}\nof all", "classType": "EPC"} for n in range(count)]


@pytest.fixture
def rxclass(warehouse) -> Warehouse:
    """A dataset that asks the sample sources for an API's answers."""
    url = warehouse.sources.url
    warehouse.configure("rxclass", lambda config: config.update(
        api_endpoints={"class_types": f"{url}/types.json", "all_classes": f"{url}/all.json"}
    ))  # fmt: skip
    warehouse.sources.put("/types.json", b'{"classTypeList": {"classTypeName": ["EPC"]}}')
    return warehouse


def answer(rows):
    return json.dumps({"userInput": {}, "rxclassMinConceptList": {"rxclassMinConcept": rows}}).encode()


def test_the_answer_of_an_api_is_a_table_and_all_answers_are_kept(rxclass):
    rxclass.sources.put("/all.json", answer(concepts(1200)))
    done = rxclass.run("rxclass")
    assert done.exit_code == 0, done.text
    (row,) = rxclass.ask("rxclass", "select * from rxclass where class_id = 'C7'")
    assert (row["class_name"], row["class_type"], row["meta_source_file"]) == (
        "Class, 7\nof all",
        "EPC",
        "all_classes.json",
    )
    kept = {name.rsplit("/", 1)[-1] for name in rxclass.files() if name.startswith("raw/")}
    assert kept == {"all_classes.json", "class_types.json", "_source.json"}
    digests = rxclass.digests("rxclass")
    archive = rxclass.root.parent / "answers.zip"
    archive.write_bytes(zipped({"answers/All_Classes.JSON": answer(concepts(1200))}))
    assert rxclass.run("rxclass", "--from-file", str(archive), "--dry-run").exit_code == 0
    assert rxclass.run("rxclass").figures["is_published"] is False
    assert rxclass.run("rxclass", "--from-raw", done.figures["run_id"]).exit_code == 0
    assert rxclass.digests("rxclass") == digests


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (answer([]), "has no records at rxclassMinConceptList.rxclassMinConcept"), (b"<html>sorry</html>", "is no JSON; it begins with"),
        (b"[]", "has no records"), (answer(concepts(999)), "expected_record_count_min: 999, allowed 1000"),
        (answer([{**one, "classId": None} if n < 50 else one for n, one in enumerate(concepts(1200))]), "critical_null_threshold of class_id"),
        (answer([{"classId": "C", "newName": "x"}] * 1200), "'newName' is unknown"),
    ],
    ids=range(6),
)  # fmt: skip
def test_an_answer_that_is_not_what_it_should_be_is_refused(rxclass, content, words):
    rxclass.sources.put("/all.json", content)
    refused = rxclass.run("rxclass")
    assert (refused.exit_code, words in refused.text) == (1, True), refused.text
    assert not [name for name in rxclass.files() if name.startswith("bronze/")]


def test_every_kind_of_source_is_configured(warehouse):
    datasets = read_configuration(warehouse.etl).datasets
    bronze = {"fda-nsde", "fda-cder", "fda-ndc-unfinished", "rxclass", "rxnorm", "lmnh-kiosk", "lmnh-reviews"}
    assert {*datasets} == bronze | {"fda-all-ndcs", "rxnorm-ndc-mappings"}


def test_of_an_endpoint_neither_login_nor_query_is_shown(rxclass):
    url = rxclass.sources.url.replace("http://", "http://user:pass-word@")
    rxclass.configure(
        "rxclass", lambda config: config.update(api_endpoints={"all_classes": f"{url}/a?key=query-secret"})
    )
    told = rxclass.command("datasets")
    assert "pass-word" not in f"{told.figures} {told.text}"
    assert "query-secret" not in f"{told.figures} {told.text}"


def test_numbers_of_an_api_are_taken_as_they_are_written(rxclass):
    numbers = ["0.00001", "12345678901234567.25", "5.0", "1e3", "-7"]
    records = ", ".join(
        f'{{"classId": "C{n}", "className": {number}, "classType": {{"of": [1, null]}}}}'
        for n, number in enumerate(numbers)
    )
    spoiled = '{"classId": "half", "className": "\\ud800x", "classType": true}'
    rxclass.sources.put(
        "/all.json", f'{{"rxclassMinConceptList": {{"rxclassMinConcept": [{records}, {spoiled}]}}}}'.encode()
    )
    rxclass.configure(
        "rxclass",
        lambda config: config["column_schema"]["rxclass"]["className"].update(type="decimal", precision="30,10"),
    )
    rxclass.configure("rxclass", lambda config: config["data_quality"].update(expected_record_count_min=1))
    assert rxclass.run("rxclass").exit_code == 0
    rows = rxclass.ask("rxclass", "select class_id, class_name, class_type from rxclass order by 1")
    assert [row["class_name"] and float(row["class_name"]) for row in rows] == [
        0.00001,
        12345678901234567.25,
        5.0,
        None,
        -7.0,
        None,
    ]
    assert [row["class_type"] for row in rows[-2:]] == ['{"of": ["1", null]}', "true"]


def test_a_gate_of_a_dataset_binds_the_tables_that_have_its_column(warehouse):

    warehouse.serve(Drugs(products=20))
    gates = {
        "required_columns": ["ndc_package_code"],
        "unique_key": ["ndc_package_code"],
        "max_null_rate": {"labeler_name": 0},
    }
    warehouse.configure("fda-cder", lambda config: config.update(data_quality=gates))
    done = warehouse.run("fda-cder")
    assert done.exit_code == 0, done.text
    gates = {table: {gate["gate"] for gate in told["gates"]} for table, told in done.figures["tables"].items()}
    assert "max_null_rate of labeler_name" in gates["products"] - gates["packages"]
    assert "critical_null_threshold of ndc_package_code" in gates["packages"] - gates["products"]
    assert "max_duplicate_pct of ndc_package_code" in gates["packages"] - gates["products"]


def test_what_is_too_large_to_come_is_refused(rxclass, monkeypatch):
    rxclass.sources.put("/all.json", answer(concepts(1200)))
    monkeypatch.setattr(api, "LARGEST_ANSWER", 1000)
    assert "all_classes.json is larger than 1,000 bytes" in rxclass.run("rxclass").text
    monkeypatch.setattr(download, "LARGEST_DOWNLOAD", 1000)
    refused = rxclass.run("rxclass")
    assert (refused.exit_code, "sends more than 1,000 bytes" in refused.text) == (1, True), refused.text


@settings(max_examples=full_count("damaged archives", 300, 10_000), deadline=None)
@given(
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
    st.lists(st.tuples(st.integers(-400, 400), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_damaged_archive_is_read_or_refused_in_words(tmp_path_factory, method, damage):
    """Each byte of its directory, and those that each member begins with, may be another one."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("a.txt", bytes(range(97, 123)) * 40)
        archive.writestr("ü.txt", b"hello" * 100)
    content = bytearray(packed.getvalue())
    for place, value in damage:
        content[place % len(content)] = value
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "a.zip").write_bytes(content)
    with suppress(EtlError):
        extract(folder / "a.zip", lambda name: "t" if name.endswith(".txt") else None, folder, "a.zip")
    shutil.rmtree(folder)


WIDE = 260


def test_a_wide_table_with_bad_lines_and_unmapped_columns_of_any_name_is_read(warehouse):
    """More columns than Python nests calls, and names that a parameter might have."""
    names = [f"C{n}" for n in range(WIDE)]
    schema = {name: {"target_name": name.lower(), "type": "integer", "on_bad_value": "quarantine"} for name in names}
    (warehouse.etl / "wide").mkdir()
    config = {
        "dataset": "wide", "source_url": f"{warehouse.sources.url}/wide.zip", "file_table_mapping": {"wide.csv": "wide"},
        "column_schema": {"wide": schema}, "unmapped_columns": "keep", "data_quality": {"max_rejected_pct": 90},
    }  # fmt: skip
    (warehouse.etl / "wide" / "config.json").write_text(json.dumps(config))
    head = ",".join([*names, "self", "Name", "expr", "Select"])
    rows = [["1"] * (WIDE + 4), ["x"] * (WIDE + 4), ["2"] * 3]
    warehouse.sources.put("/wide.zip", zipped({"wide.csv": "\n".join([head, *map(",".join, rows)]).encode()}))
    done = warehouse.run("wide")
    assert done.exit_code == 3, done.text
    assert warehouse.ask("wide", 'select c259, "self", name, expr, "select" from wide') == [
        {"c259": 1, "self": "1", "name": "1", "expr": "1", "select": "1"}
    ]
    reasons = [row["columns"] for row in warehouse.command("quarantine", "wide").figures["rows"]]
    assert reasons == [", ".join(name.lower() for name in names), None]
    for taken in ("Meta Run Id", "C0", "---"):
        head = ",".join([*names, taken])
        warehouse.sources.put("/wide.zip", zipped({"wide.csv": f"{head}\n".encode()}))
        refused = warehouse.run("wide")
        assert (refused.exit_code, repr(taken) in refused.text) == (1, True), refused.text
