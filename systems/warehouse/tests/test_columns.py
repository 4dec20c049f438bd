"""Typing on both engines: each value is read or bad, the same on DuckDB and Spark, down to the types in the files."""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal

import pytest
from pyarrow import dataset as arrow

from etlkit.testing import full_count
from warehouse.columns import layout_of, typed
from warehouse.configuration import DatasetConfig
from warehouse.engines.duckdb_engine import DuckDbEngine
from warehouse.work_files import Form, WorkFile, add_file, read_header

LINES = full_count("lines in random order", 2_000, 200_000)
BAD = object()
VALUES = {
    "string": [("x", "x"), (" x ", "x"), ("", None), ("   ", None), ("ï»¿", "ï»¿"), ("N/A", "N/A"), ('"', '"'), ("\\N", "\\N"),
               ("#", "#"), ("\x81", BAD), ("a\0b", BAD), ("a\rb", "a\rb"), ("’", "’")],
    "date": [("20180625", date(2018, 6, 25)), (" 20180625 ", date(2018, 6, 25)), ("20180230", BAD), ("18920301", date(1892, 3, 1)),
             ("00010101", date(1, 1, 1)), ("00000101", BAD), ("99991231", date(9999, 12, 31)), ("2018625", BAD), ("2018-06-25", BAD),
             ("20180625x", BAD), ("20000229", date(2000, 2, 29)), ("19000229", BAD), ("15821010", date(1582, 10, 10)), ("", None)],
    "timestamp": [("2026-03-01 10:20:30", datetime(2026, 3, 1, 10, 20, 30)), ("2026-03-01 24:00:00", BAD), ("2026-03-01", BAD),
                  ("2026-03-29 02:30:00", datetime(2026, 3, 29, 2, 30)), ("2026-02-30 10:00:00", BAD)],
    "integer": [("1", 1), ("-7", -7), ("+7", 7), ("007", 7), ("1.0", BAD), ("1e3", BAD), ("1 2", BAD), ("999999999", 999999999),
                ("9999999999", BAD), ("x", BAD), ("0x1F", BAD), ("", None), ("١", BAD)],
    "long": [("999999999999999999", 999999999999999999), ("-999999999999999999", -999999999999999999), ("9" * 19, BAD)],
    "float": [("1.5", 1.5), ("1e38", 1e38), ("1e39", BAD), ("nan", BAD), ("inf", BAD), (".5", 0.5), ("5.", 5.0), (".", BAD), ("-0", 0.0), ("-1e-60", 0.0)],
    "double": [("1.1", 1.1), ("-2.5e-3", -0.0025), ("1e308", 1e308), ("1e309", BAD), ("1e999", BAD), ("1,5", BAD), ("Infinity", BAD),
               ("1e-400", 0.0), ("-1e-400", 0.0), ("-0.0", 0.0), ("1d", BAD)],
    "decimal": [("1.25", Decimal("1.25")), ("1.2", Decimal("1.20")), ("-0.05", Decimal("-0.05")), ("12345678.90", Decimal("12345678.90")),
                ("123456789.00", BAD), ("1.255", BAD), ("1.2500", Decimal("1.25")), (".5", Decimal("0.50")), ("5.", Decimal("5.00")),
                (".", BAD), ("+", BAD), ("1e2", BAD), ("007.10", Decimal("7.10")), ("1,234.00", BAD), ("", None)],
    "boolean": [("true", True), ("T", True), ("yes", True), ("1", True), ("False", False), ("n", False), ("0", False), ("2", BAD)],
    "ndc_11": [("0002-1433-80", "00002143380"), ("12345-678-90", "12345067890"), ("12345-6789-0", "12345678900"),
               ("12345-6789-01", "12345678901"), ("0002143380", BAD), ("00002143380", "00002143380"), ("02", BAD), ("47848-026-XX", BAD),
               ("1234-567-89", BAD), ("123456-789-01", BAD), ("12345-678-9", BAD), ("1-2-3", BAD), ("", None), ("0002-1433-80-1", BAD)],
}  # fmt: skip
ARROW = {
    "string": "string", "date": "date32[day]", "timestamp": "timestamp[us]", "integer": "int32", "long": "int64",
    "float": "float", "double": "double", "decimal": "decimal128(10, 2)", "boolean": "bool", "ndc_11": "string",
}  # fmt: skip


@pytest.fixture(params=["duckdb", pytest.param("spark", marks=pytest.mark.xdist_group("spark"))])
def engine(request):
    """Each engine."""
    if request.param == "duckdb":
        found = DuckDbEngine()
    else:
        from warehouse.engines.spark_engine import SparkEngine

        found = SparkEngine(request.getfixturevalue("spark"))
    yield found
    found.close()


def dataset_of(kind, on_bad_value):
    return DatasetConfig.model_validate({
        "dataset": "small", "source_url": "https://x.org/a.zip", "file_table_mapping": {"a.tsv": "small"}, "delimiter": "\t",
        "encoding": "cp1252",
        "column_schema": {"small": {"Key": {"target_name": "key", "type": "integer"}, "VALUE": {
            "target_name": "value", "type": kind, "on_bad_value": on_bad_value,
        }}},
    })  # fmt: skip


def tables(engine, kind, lines, on_bad_value, folder):
    """Return what is written of some values, and the lines that are bad."""
    dataset = dataset_of(kind, on_bad_value)
    (folder / "source").write_bytes(b"KEY\tvalue\r\n" + b"".join(lines))
    form = Form("cp1252", "\t", "")
    work = WorkFile(folder / "work", read_header(folder / "source", "a.tsv", form), "\t")
    add_file(work, folder / "source", "a.tsv", form)
    layout = layout_of(work.header, "small", dataset, "a.tsv")
    expressions = typed(engine.read_texts(work, str(work.path)), work, layout, "small", dataset)
    engine.write_parquet(expressions.rows("20261128_060000"), str(folder / "out"))
    files = [str(path) for path in (folder / "out").glob("*.parquet")]
    written = arrow.dataset(files, format="parquet").to_table().sort_by("key")
    return written, engine.fetch(expressions.bad_lines())


def line(number, text):
    return (
        f"{number}\t{text}\r\n".encode("cp1252", errors="surrogateescape")
        if "\x81" not in text
        else b"%d\t\x81\r\n" % number
    )


@pytest.mark.parametrize("kind", VALUES)
def test_each_value_is_read_or_bad_on_either_engine(engine, kind, tmp_path):
    values = [(text, value) for text, value in VALUES[kind] if text.isascii() or kind == "string"]
    lines = [line(number, text) for number, (text, _) in enumerate(values)]
    written, bad = tables(engine, kind, lines, "null", tmp_path)
    assert bad == []
    assert {field.name: str(field.type) for field in written.schema} == {
        "key": "int32", "value": ARROW[kind], "meta_run_id": "string", "meta_source_file": "string", "meta_nulled": "string",
        "meta_repaired": "string",
    }  # fmt: skip
    for row, (text, value) in zip(written.to_pylist(), values, strict=True):
        wanted = None if value is BAD else value
        same = (row["value"] == wanted and not isinstance(wanted, float)) or (
            isinstance(wanted, float)
            and math.isclose(row["value"], wanted, rel_tol=1e-6)
            and math.copysign(1, row["value"]) == math.copysign(1, wanted)
        )
        assert same, (text, row["value"])
        assert row["meta_nulled"] == ("value," if value is BAD else None), (text, row)
    (tmp_path / "again").mkdir()
    written, bad = tables(engine, kind, lines, "quarantine", tmp_path / "again")
    spoiled = {f"{number}" for number, (_, value) in enumerate(values) if value is BAD}
    assert {row["line"].split("\t")[0] for row in bad} == spoiled
    assert {str(key) for key in written.column("key").to_pylist()} == {f"{n}" for n in range(len(values))} - spoiled


def test_lines_of_another_shape_reach_no_table_on_either_engine(engine, tmp_path):
    lines = [
        b"1\ta\r\n",
        b"2\r\n",
        b"3\ta\tb\r\n",
        b"\r\n",
        b"\t\r\n",
        b"  \r\n",
        b" \t \r\n",
        b"4\t\r\n",
        b'5\t"\r\n',
        b"7\ta\t\r\n",
        b"8\ta\t\t \r\n",
        b"9\ta\t\t\t\r\n",
        b"\x1a\r\n",
        b"\x1a\t\x01\r\n",
        b"6\ta",
    ]
    written, bad = tables(engine, "string", lines, "null", tmp_path)
    assert written.column("key").to_pylist() == [1, 4, 5, 6]
    assert bad == []


@pytest.mark.soak
def test_rows_that_differ_in_order_only_are_the_same_table(engine, tmp_path):
    lines = [line(number, f"v{number % 7}") for number in range(LINES)]
    written, _ = tables(engine, "string", lines[::-1], "null", tmp_path)
    assert written.column("key").to_pylist() == [*range(LINES)]


def test_a_first_cell_keeps_its_byte_order_mark(engine, tmp_path):
    for lines, value in (([b"\xef\xbb\xbf", b"x"], "\ufeff"), ([b"\xef\xbb\xbfx", b"y"], "\ufeffx")):
        folder = tmp_path / f"{len(value)}"
        folder.mkdir()
        (folder / "a.tsv").write_bytes(b"value\n" + b"\n".join(lines) + b"\n")
        form = Form("utf-8", "\t", "")
        work = WorkFile(folder / "work", read_header(folder / "a.tsv", "a.tsv", form), "\t")
        add_file(work, folder / "a.tsv", "a.tsv", form)
        column = {"value": {"target_name": "value"}}
        dataset = DatasetConfig.model_validate({
            "dataset": "any", "source_url": "https://example.org/a.zip", "delimiter": "\t",
            "file_table_mapping": {"a.tsv": "any"}, "column_schema": {"any": column},
        })  # fmt: skip
        layout = layout_of(work.header, "any", dataset, "a.tsv")
        expressions = typed(engine.read_texts(work, str(work.path)), work, layout, "any", dataset)
        engine.write_parquet(expressions.rows("20261129_000000"), str(folder / "out"))
        written = arrow.dataset(str(folder / "out"), format="parquet").to_table()
        assert {*written.column("value").to_pylist()} == {value, lines[1].decode()}


def test_a_line_too_short_beside_one_too_long_hides_neither(engine, tmp_path):
    lines = [b"1\ta\r\n", b"2\r\n", b"3\ta\t\r\n", b"4\tb\r\n"]
    written, _ = tables(engine, "string", lines, "null", tmp_path)
    assert written.column("key").to_pylist() == [1, 4]
