"""Every rule of the founding scores as a file and what it must get: score, deductions, metrics."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
import time
import zipfile
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest

from file_monitoring.scoring.definition import read_definition
from file_monitoring.scoring.findings import FailedRows
from file_monitoring.scoring.limits import Limits
from file_monitoring.scoring.score import score_file

A, B = {"name": "a"}, {"name": "b"}
NEED_A = {"name": "a", "required": True}
BASE = {"columns": [NEED_A, B]}


def column(**rules) -> dict:
    return {"columns": [{"name": "a", **rules}]}


def workbook(*rows, title="Sheet", **sheets) -> bytes:
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    for name, others in sheets.items():
        sheet = book.create_sheet(name)
        for row in others:
            sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def changed_archive(content: bytes, *, add: dict[str, bytes] | None = None, change: dict | None = None) -> bytes:
    """Return a zip archive with parts added or changed."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in source.infolist():
            body = source.read(part)
            archive.writestr(part.filename, change[part.filename](body) if change and part.filename in change else body)
        for name, body in (add or {}).items():
            archive.writestr(name, body)
    return target.getvalue()


def zipped(parts: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, body in parts.items():
            archive.writestr(name, body)
    return content.getvalue()


def hidden_first(content: bytes) -> bytes:
    book = openpyxl.load_workbook(io.BytesIO(content))
    book.worksheets[0].sheet_state = "hidden"
    book.active = 1
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600
XLSX = workbook(["a", "b"], [1, 2])
SHEET = "xl/worksheets/sheet1.xml"

CASES = {
    # --- what costs nothing
    "good": (b"a,b\n1,2\n", BASE, 100),
    "no definition": (b"a,b\n1,2\n", None, 100),
    "header only": (b"a,b\n", BASE, 100),
    "header only, without its line end": (b"a,b", BASE, 100),
    "optional column missing": (b"a\n1\n", BASE, 100),
    "extra column, not strict": (b"a,b,c\n1,2,3\n", BASE, 100),
    "optional value null": (b"a,b\n1,\n", BASE, 100),
    "header with blanks and a mark": ("\ufeff a , b\n1,2\n".encode(), BASE, 100),
    "other case, allowed": (b"A,b\n1,2\n", {**BASE, "case_insensitive": True}, 100),
    "blank lines are no rows": (b"a,b\n\n1,2\n\n3,4\n\n", BASE, 100),
    "a line of blanks is no row": (b"a,b\n   \n1,2\n", BASE, 100),
    "mixed line ends": (b"a,b\n1,2\r\n3,4\r5,6\n", BASE, 100),
    "line break in quotes": (b'a,b\n1,"x\ny"\n', BASE, 100),
    "blanks before a quote are text": (b'a,b\n1, "x"\n', BASE, 100),
    "semicolons, found out": (b"a;b\n1;2,5\n", BASE, 100),
    "tabs, found out": (b"a\tb\n1\t2\n", BASE, 100),
    "bars, found out": (b"a|b\n1|2\n", BASE, 100),
    "the delimiter that the definition names": (b"a:b\n1:2\n", {**BASE, "dialect": {"delimiter": ":"}}, 100),
    "rows before the header": (b"report of may\n\na,b\n1,2\n", {**BASE, "dialect": {"skip_rows": 2}}, 100),
    "another quote": (b"a,b\n'1,1',2\n", {**BASE, "dialect": {"quote_char": "'"}}, 100),
    "no quotes": (b'a,b\n"1,2\n', {**BASE, "dialect": {"quote_char": None}}, 100),
    "an escape": (b'a,b\n"1\\"",2\n', {**BASE, "dialect": {"escape_char": "\\", "double_quote": False}}, 100),
    "cp1252, named": ("a,b\né,2\n".encode("cp1252"), {**BASE, "dialect": {"encoding": "cp1252"}}, 100),
    "cp1252, guessed where allowed": ("a,b\né,2\n".encode("cp1252"), {**BASE, "dialect": {"fallback_encoding": "cp1252"}}, 100),
    "utf-16 by its mark": ("a,b\n1,2\n".encode("utf-16"), BASE, 100),
    "a mark wins over the definition": ("\ufeffa,b\né,2\n".encode(), {**BASE, "dialect": {"encoding": "cp1252"}}, 100),
    "leading zeros stay": (b"a\n00123\n", column(type="string", enum=["00123"]), 100),
    "a token of the definition is null": (b"a,b\n1,NULL\n", {"columns": [A, {"name": "b", "type": "integer"}], "missing_values": ["NULL"]}, 100),
    "NA is a text": (b"a\nNA\nNone\nn/a\n", column(required=True), 100),
    "bounds are inclusive": (b"a\n1\n5\n", column(type="integer", min=1, max=5), 100),
    "integers beyond floats": (b"a\n9007199254740993\n", column(type="integer", min=9007199254740993, max=9007199254740993), 100),
    "blanks around a number": (b"a\n 1 \n", column(type="integer", min=1), 100),
    "unique ignores nulls where it says so": (b"a,b\n,1\n,2\n", {"columns": [{"name": "a", "unique": True}, B], "unique_ignores_nulls": True}, 100),
    "one null is unique": (b"a,b\n,1\n1,2\n", {"columns": [{"name": "a", "unique": True}, B]}, 100),
    "keys of several do not run together": (b"a,b\n1,11\n11,1\n", {"columns": [A, B], "unique_keys": [["a", "b"]]}, 100),
    "a key with a separator in it": (b'a,b\n"x,y",z\nx,"y,z"\n', {"columns": [A, B], "unique_keys": [["a", "b"]]}, 100),
    "one empty cell in a file of one column": (b'a\n""\n1\n', column(), 100),
    # --- format: 65
    "empty": (b"", BASE, 65),
    "blank lines alone": (b"\n\n  \n", BASE, 65),
    "bad bytes": (b"a,b\n\xff\xfe1,2\n", BASE, 65),
    "bad bytes, late": (b"a,b\n" + b"1,2\n" * 400_000 + b"\xe9,2\n", BASE, 65),
    "not the named encoding": (b"a,b\n\xe9,2\n", {**BASE, "dialect": {"encoding": "ascii"}}, 65),
    "a quote is never closed": (b'a,b\n1,"2\n3,4\n', BASE, 65),
    "text behind a quote": (b'a,b\n1,"2"x\n', BASE, 65),
    "a row longer than the header": (b"a,b\n1,2\n1,2,3\n", BASE, 65),
    "a delimiter too many, on every row": (b"a,b\n1,2,\n3,4,\n", BASE, 65),
    "a NUL": (b"a,b\n1,\x002\n", BASE, 65),
    "a cell beyond the limit": (b'a,b\n1,"' + b"x\n" * 600_000 + b'"\n', BASE, 65),
    "a line as long as the limit": (b"a,b\n1," + b"x" * 1_048_574 + b"\n", BASE, 100),
    "a line longer by one": (b"a,b\n1," + b"x" * 1_048_575 + b"\n", BASE, 65),
    "a line beyond the limit": (b"a,b\n" + b"1," * 600_000, BASE, 65),
    "a missing column and a broken row: format comes first": (b"b\n1\n1,2\n", BASE, 65),
    "no definition and a broken row": (b"a,b\n1,2,3\n", None, 65),
    # --- schema
    "required column missing": (b"b\n1\n", BASE, 60),
    "required column missing, everything else wrong, too": (b"b,c\n,\n", {"columns": [NEED_A, {"name": "b", "required": True}], "strict": True}, 60),
    "the same name twice": (b"a,a,b\n1,2,3\n", BASE, 60),
    "the same name in another case, case does not matter": (b"a,A\n1,2\n", {**BASE, "case_insensitive": True}, 60),
    "two names of nothing": (b"a,b,,\n1,2,,\n", BASE, 60),
    "other case": (b"A,b\n1,2\n", BASE, 60),
    "extra column, strict": (b"a,b,c\n1,2,3\n", {**BASE, "strict": True}, 60),
    "extra column, strict, and all the rest": (
        b"a,b,c\n,9,\n,9,\n",
        {"columns": [{**NEED_A, "unique": True}, {"name": "b", "type": "integer", "max": 5}], "strict": True},
        15,
    ),
    "wrong order where it counts": (b"b,a\n1,2\n", {**BASE, "ordered": True}, 60),
    "too few rows": (b"a,b\n", {**BASE, "min_rows": 1}, 60),
    "none of the columns": (b"x,y\n1,2\n", {"columns": [A, B]}, 60),
    # --- completeness
    "one required null": (b"a,b\n1,2\n,2\n", BASE, 80),
    "a million would cost the same": (b"a,b\n" + b",2\n" * 1000, BASE, 80),
    "blanks are null": (b"a,b\n  ,2\n", BASE, 80),
    "a short row lacks it": (b"b,a\n1\n", BASE, 80),
    "a token is null": (b"a,b\nNULL,2\n", {**BASE, "missing_values": ["NULL"]}, 80),
    "a token of the column is null": (b"a,b\n-,2\n", {"columns": [{**NEED_A, "missing_values": ["-"]}, B]}, 80),
    # --- bounds
    "below": (b"a\n0\n", column(type="integer", min=1), 85),
    "above": (b"a\n1.0000000000000000001\n", column(type="number", max=1), 85),
    "not of the type": (b"a\nx\n", column(type="integer"), 85),
    "a thousands separator is none": (b'a\n"1,000"\n', column(type="number"), 85),
    "NaN and infinity": (b"a\nNaN\ninf\n", column(type="number"), 85),
    "digits of another script": ("a\n٣\n".encode(), column(type="integer"), 85),
    "a day that is none": (b"a\n2026-02-30\n", column(type="date"), 85),
    "another form of a date": (b"a\n31/12/2026\n", column(type="date"), 85),
    "the form that the definition names": (b"a\n31/12/2026\n", column(type="date", format="%d/%m/%Y", min="31/12/2026"), 100),
    "bounds in the usual form beside another one": (
        b"a\n31/12/2026\n", column(type="date", format="%d/%m/%Y", min="2027-01-01"), 85
    ),
    "exclusive bound": (b"a\n5\n", column(type="integer", exclusive_max=5), 85),
    "not in the list": (b"a\nActive\n", column(enum=["active"]), 85),
    "integer in the list by its value": (b"a\n01\n", column(type="integer", enum=[1]), 100),
    "pattern must match the whole": (b"a\nab1\n", column(pattern="[a-z]+"), 85),
    "too short": (b"a\nx\n", column(min_length=2), 85),
    "too long": (b"a\nxxx\n", column(max_length=2), 85),
    "a boolean that is none": (b"a\nmaybe\n", column(type="boolean"), 85),
    "a time zone apart": (b"a\n2026-01-01T00:30:00+01:00\n", column(type="datetime", min="2026-01-01T00:00:00Z"), 85),
    # --- uniqueness
    "twice": (b"a\n1\n1\n", column(unique=True), 90),
    "two nulls": (b"a,b\n,1\n,2\n", {"columns": [{"name": "a", "unique": True}, B]}, 90),
    "a key of several twice": (b"a,b\n1,2\n1,2\n", {"columns": [A, B], "unique_keys": [["a", "b"]]}, 90),
    "numbers with and without blanks": (b"a\n1\n 1\n", column(type="integer", unique=True), 90),
    # --- several at once
    "completeness and bounds": (b"a,b\n,x\n", {"columns": [NEED_A, {"name": "b", "type": "integer"}]}, 65),
    "completeness and uniqueness": (b"a,b\n,1\n,2\n", {"columns": [{**NEED_A, "unique": True}, B]}, 70),
    "bounds and uniqueness": (b"a\nx\nx\n", column(type="integer", unique=True), 75),
    "all three": (b"a,b\n,x\n,x\n", {"columns": [{**NEED_A, "unique": True}, {"name": "b", "type": "integer"}]}, 55),
    "schema, completeness": (b"a,b,c\n,2,3\n", {**BASE, "strict": True}, 40),
    "schema, bounds": (b"a,c\n9,1\n", {"columns": [{"name": "a", "type": "integer", "max": 5}], "strict": True}, 45),
    "schema, uniqueness": (b"a,c\n1,1\n1,1\n", {"columns": [{"name": "a", "unique": True}], "strict": True}, 50),
}  # fmt: skip

NAMED = {
    # --- by the name under which a file comes, and by what it is
    "gz": ("f.csv.gz", gzip.compress(b"a,b\n1,2\n"), BASE, 100),
    "gz without saying so": ("f.csv", gzip.compress(b"a,b\n1,2\n"), BASE, 100),
    "says gz and is none": ("f.csv.gz", b"a,b\n1,2\n", BASE, 65),
    "gz cut off": ("f.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99)[:-9], BASE, 65),
    "gz of nothing": ("f.csv.gz", gzip.compress(b""), BASE, 65),
    "gz in gz": ("f.csv.gz", gzip.compress(gzip.compress(b"a,b\n")), BASE, 65),
    "gz bomb": ("f.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 3_000_000), BASE, 65),
    "xlsx": ("f.xlsx", XLSX, BASE, 100),
    "xlsx called csv": ("f.csv", XLSX, BASE, 65),
    "csv called xlsx": ("f.xlsx", b"a,b\n1,2\n", BASE, 65),
    "csv called xls": ("f.xls", b"a,b\n1,2\n", BASE, 65),
    "web page called xls": ("f.xls", b"<html><table><tr><td>a</td></tr></table></html>", BASE, 65),
    "web page called csv": ("f.csv", b"<!DOCTYPE html>\n<html>sign in</html>", None, 65),
    "pdf": ("f.csv", b"%PDF-1.7\n", None, 65),
    "zip of a csv": ("f.zip", zipped({"f.csv": b"a,b\n1,2\n"}), BASE, 65),
    "zip of nothing": ("f.zip", zipped({}), None, 65),
    "ole without a workbook": ("f.xls", OLE, BASE, 65),
    "no extension": ("f", b"a,b\n1,2\n", BASE, 100),
    "json called csv is one odd column": ("f.csv", b'{"a": 1}\n', BASE, 60),
    # --- workbooks
    "numbers as Excel shows them": ("f.xlsx", workbook(["a"], [1.0], [19999], [0.5]), column(type="number", enum=[1, 19999, 0.5]), 100),
    "whole numbers are integers": ("f.xlsx", workbook(["a"], [1.0], [2]), column(type="integer"), 100),
    "dates": ("f.xlsx", workbook(["a"], [date(2026, 1, 5)], [datetime(2026, 1, 6)]), column(type="date", min="2026-01-05"), 100),
    "times": ("f.xlsx", workbook(["a"], [datetime(2026, 1, 6, 7, 8, 9)]), column(type="datetime", max="2026-01-06T07:08:09"), 100),
    "a midnight is a moment, too": ("f.xlsx", workbook(["a"], [datetime(2026, 1, 6)]), column(type="datetime"), 100),
    "truths": ("f.xlsx", workbook(["a"], [True], [False]), column(type="boolean"), 100),
    "an empty cell is null": ("f.xlsx", workbook(["a", "b"], [None, 1]), BASE, 80),
    "a formula without its value is null": ("f.xlsx", workbook(["a", "b"], ["=1+1", 2]), BASE, 80),
    "an empty row is no row": ("f.xlsx", workbook(["a", "b"], [1, 2], [], [3, 4]), BASE, 100),
    "a row longer than the header, in a sheet": ("f.xlsx", workbook(["a", "b"], [1, 2, 3]), BASE, 65),
    "the first visible sheet": ("f.xlsx", hidden_first(workbook(["x"], other=[["a", "b"], [1, 2]])), BASE, 100),
    "the sheet by its name": ("f.xlsx", workbook(["x"], other=[["a", "b"], [1, 2]]), {**BASE, "dialect": {"sheet": "other"}}, 100),
    "the sheet by its number": ("f.xlsx", workbook(["x"], other=[["a", "b"], [1, 2]]), {**BASE, "dialect": {"sheet": 2}}, 100),
    "a sheet that is not there": ("f.xlsx", XLSX, {**BASE, "dialect": {"sheet": "other"}}, 65),
    "rows before the header, in a sheet": ("f.xlsx", workbook(["report"], [], ["a", "b"], [1, 2]), {**BASE, "dialect": {"skip_rows": 2}}, 100),
    "macros": ("f.xlsm", changed_archive(XLSX, add={"xl/vbaProject.bin": b"x"}), BASE, 65),
    "macros called xlsx": ("f.xlsx", changed_archive(XLSX, add={"xl/vbaProject.bin": b"x"}), BASE, 65),
    "a bomb of strings": ("f.xlsx", changed_archive(XLSX, add={"xl/sharedStrings.xml": b" " * 9_000_000}), BASE, 65),
    "a bomb of parts": ("f.xlsx", changed_archive(XLSX, add={f"x/{number}": b"" for number in range(5_001)}), BASE, 65),
    "a row at the end of the world": (
        "f.xlsx",
        changed_archive(XLSX, change={"xl/worksheets/sheet1.xml": lambda body: body.replace(b'<row r="2"', b'<row r="99999999999"')}),
        BASE,
        65,
    ),
    "a bomb of rows": ("f.xlsx", changed_archive(XLSX, add={"xl/worksheets/sheet2.xml": b" " * 12_000_000}), BASE, 65),
    "entities in the XML": (
        "f.xlsx",
        changed_archive(
            XLSX,
            change={"xl/workbook.xml": lambda body: body.replace(b"<workbook", b'<!DOCTYPE x [<!ENTITY y "z">]><workbook', 1)},
        ),
        BASE,
        65,
    ),
    "a hole in a workbook": ("f.xlsx", XLSX[:2000] + XLSX[3000:], BASE, 65),
    "a row twice": ("f.xlsx", changed_archive(XLSX, change={SHEET: lambda body: body.replace(b'r="2"', b'r="1"')}), BASE, 65),
    "many empty rows of one number": (
        "f.xlsx", changed_archive(XLSX, change={SHEET: lambda body: body.replace(b"<sheetData>", b"<sheetData>" + b'<row r="1"></row>' * 700_000)}), BASE, 65
    ),
    "a bomb of styles": ("f.xlsx", changed_archive(XLSX, add={"xl/other.xml": b"<x/>" * 1_200_000}), BASE, 65),
    "tags that are no cells": (
        "f.xlsx", changed_archive(XLSX, change={SHEET: lambda body: body.replace(b"</worksheet>", b"<x/>" * 2_200_000 + b"</worksheet>")}), BASE, 65
    ),
    "comments in the XML": ("f.xlsx", changed_archive(XLSX, change={SHEET: lambda body: body + b"<!--row>-->"}), BASE, 65),
    "what a regex would take hours for": ("f.xlsx", changed_archive(XLSX, change={SHEET: lambda body: body + b"<f " * 300_000}), BASE, 65),
    "whole numbers of sixteen digits": ("f.xlsx", workbook(["a"], [1234567890123456.0], [1e16]), column(type="integer"), 100),
    "a column called PAR1": ("f.csv", b"PAR1,b\n1,2\n", None, 100),
    "a name that says json": ("f.json", b'{"x": 1}\n', None, 65),
    "a broken workbook": ("f.xlsx", XLSX[:-60], BASE, 65),
    "a broken sheet": ("f.xlsx", changed_archive(XLSX, change={"xl/worksheets/sheet1.xml": lambda body: body[:-40]}), BASE, 65),
}  # fmt: skip

LIMITS = Limits(file_bytes=20_000_000, unpacked_bytes=10_000_000, part_bytes=8_000_000)


def score(content: bytes, definition: dict | None, name: str = "f.csv", **more):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "object"
        path.write_bytes(content)
        found = score_file(
            path, name, read_definition(definition) if definition else None, LIMITS, scratch=Path(folder), **more
        )
        assert [left.name for left in Path(folder).iterdir()] == ["object"]
    return found


@pytest.mark.parametrize("smallest_for_engine", [1 << 40, 0], ids=["judge", "fast path"])
@pytest.mark.parametrize("name", CASES)
def test_a_file_gets_its_score(name, smallest_for_engine):
    content, definition, expected = CASES[name]
    found = score(content, definition, smallest_for_engine=smallest_for_engine)
    assert found.score == expected, found.metrics
    assert found.passed == (expected >= 80)
    assert found.score == 100 - sum(found.deductions.values())
    assert set(found.deductions) == {"schema", "format", "completeness", "bounds", "uniqueness"}
    for metric in ("schemaValidation", "formatParsing", "completeness", "boundsRange", "uniqueness"):
        assert found.metrics[metric]["passed"] in (True, False, None)
        assert found.metrics[metric]["details"]


@pytest.mark.parametrize("name", NAMED)
def test_a_file_under_its_name_gets_its_score(name):
    file_name, content, definition, expected = NAMED[name]
    found = score(content, definition, file_name)
    assert found.score == expected, found.metrics


def test_there_are_cases_enough():
    assert len(CASES) + len(NAMED) >= 60


def test_a_file_that_cannot_be_read_says_why_and_nothing_else_is_judged():
    found = score(b'a,b\n1,"secret\n', BASE)
    assert found.metrics["formatParsing"]["details"] == "row 2 is no CSV: a quote is opened and never closed"
    for metric in ("schemaValidation", "completeness", "boundsRange", "uniqueness"):
        assert found.metrics[metric] == {
            "passed": None, "details": "skipped: the file cannot be read", "skipped": "the file cannot be read",
        }  # fmt: skip
    assert "rowCount" not in found.metrics


def test_without_a_definition_the_rest_is_skipped():
    found = score(b"a,b\n1,2\n", None)
    assert found.metrics["completeness"]["skipped"] == "no schema definition"
    assert found.metrics["rowCount"] == 1
    assert found.metrics["definitionHash"] is None


def test_missing_columns_are_named_and_are_not_nulls():
    found = score(b"b\n1\n", BASE)
    assert found.metrics["schemaValidation"]["missingColumns"] == ["a"]
    assert found.metrics["completeness"]["skipped"] == "columns are missing or ambiguous"
    assert found.deductions["completeness"] == 0


def test_a_header_in_which_no_column_is_known_is_not_told():
    """It may be a row of data, since somebody forgot the header."""
    found = score(b"Erika Mustermann,1964-08-12\nx,y\n", BASE)
    assert "Mustermann" not in str(found.metrics)
    assert found.metrics["schemaValidation"]["extraColumns"] == ["column 1", "column 2"]


def test_a_name_that_steers_a_terminal_is_told_harmlessly():
    found = score("a,b,\x1b[31mred\u2028x\n1,2,3\n".encode(), BASE)
    assert found.metrics["schemaValidation"]["extraColumns"] == ["?[31mred?x"]


def test_warnings_stand_beside_the_deductions():
    found = score(b"a,b\n\nx,\nx\n", {"columns": [A, B, {"name": "c"}]})
    assert found.score == 100
    assert found.warnings == [
        "optional columns that are not there: c", "1 blank lines", "1 rows are shorter than the header; what they lack is null",
    ]  # fmt: skip
    assert score(b"a,b\n", BASE).warnings == ["the file has a header and no rows"]
    guessed = score("a,b\né,2\n".encode("cp1252"), {**BASE, "dialect": {"fallback_encoding": "cp1252"}})
    assert guessed.metrics["formatParsing"]["encodingGuessed"] is True
    formulas = score(workbook(["a", "b"], [1, "=1+1"], [2, "=A1"]), BASE, "f.xlsx")
    assert formulas.metrics["formatParsing"]["formulaWithoutValue"] == 2


def test_counts_are_exact_and_rows_are_the_first_ones():
    rows = b"".join(b"%d,\n" % number if number % 2 else b",x\n" for number in range(1, 101))
    found = score(b"a,b\n" + rows, {"columns": [NEED_A, {"name": "b", "type": "integer"}]})
    assert found.metrics["completeness"]["failures"] == [
        {"column": "a", "rule": "required", "count": 50, "ratio": 0.5, "rows": list(range(3, 23, 2))}
    ]
    assert found.metrics["boundsRange"]["failures"][0]["count"] == 50


def test_rows_are_numbered_as_a_spreadsheet_shows_them():
    """The header counts, and what stands before it, and blank lines; a row over several lines is one."""
    found = score(b'title\n\na,b\n1,"x\ny"\n\n,2\n', {**BASE, "dialect": {"skip_rows": 1}})
    assert found.metrics["completeness"]["failures"][0]["rows"] == [6]
    sheet = score(workbook(["a", "b"], [1, 2], [], [None, 4]), BASE, "f.xlsx")
    assert sheet.metrics["completeness"]["failures"][0]["rows"] == [4]


@pytest.mark.parametrize("smallest_for_engine", [1 << 40, 0], ids=["judge", "fast path"])
def test_the_report_has_every_row_and_no_value(tmp_path, smallest_for_engine):
    content = b"a,b\n" + b"".join(b",secret%d\n" % (number % 40) for number in range(100))
    with FailedRows(tmp_path / "report.csv") as report:
        score(
            content,
            {"columns": [NEED_A, {"name": "b", "unique": True}]},
            report=report,
            smallest_for_engine=smallest_for_engine,
        )
    with (tmp_path / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows if row["check"] == "completeness"] == [str(number) for number in range(2, 102)]
    assert [row["row"] for row in rows if row["check"] == "uniqueness"] == [str(number) for number in range(42, 102)]
    assert "secret" not in (tmp_path / "report.csv").read_text()


def test_no_value_of_a_file_is_in_its_metrics():
    content = b"a,b\nsecret,secret\nsecret,secret\n,secret\n"
    found = score(content, {"columns": [{**NEED_A, "unique": True}, {"name": "b", "type": "integer"}], "strict": True})
    assert found.score == 55
    assert "secret" not in str(found.metrics)


def test_more_keys_than_memory_should_hold_are_kept_on_disk():
    """The judge is exact before and after it goes to disk."""
    content = b"a\n" + b"".join(b"%d\n" % number for number in range(5_000)) + b"17\n4999\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.csv"
        path.write_bytes(content)
        limits = Limits(keys_in_memory=100)
        found = score_file(path, "f.csv", read_definition(column(unique=True)), limits, scratch=Path(folder))
    (failure,) = found.metrics["uniqueness"]["failures"]
    assert (failure["count"], failure["rows"]) == (2, [5002, 5003])


def test_long_keys_go_to_disk_by_their_length(monkeypatch):
    monkeypatch.setattr("file_monitoring.scoring.seen_keys.MOST_CHARACTERS", 10_000)
    content = b"a\n" + b"".join(b"%d%s\n" % (number, b"x" * 1_000) for number in range(50)) + b"7%s\n" % (b"x" * 1_000)
    assert score(content, column(unique=True)).metrics["uniqueness"]["failures"][0]["rows"] == [52]


def test_wide_rows_of_nothing_take_no_time():
    wide = ",".join(f"c{number}" for number in range(16_000)).encode() + b"\n" + (b"1" + b"," * 15_999 + b"\n") * 20
    started = time.monotonic()
    assert score(wide, {"columns": [{"name": "c0"}]}, smallest_for_engine=0).score == 100
    assert time.monotonic() - started < 5


def test_nothing_of_an_archive_s_content_is_told():
    found = score(gzip.compress(b"a,b\n1,2\n") + b"John Secret", BASE, "f.csv.gz")
    assert found.score == 65
    assert "Jo" not in str(found.metrics)


def test_a_name_that_an_engine_takes_for_several_is_one_file(tmp_path):
    for name, body in (("e[1].csv", b"a\n1\n"), ("e1.csv", b"a\nx\n")):
        (tmp_path / name).write_bytes(body)
    definition = read_definition(column(type="integer"))
    found = score_file(tmp_path / "e[1].csv", "f.csv", definition, scratch=tmp_path, smallest_for_engine=0)
    assert (found.score, found.metrics["rowCount"]) == (100, 1)


def test_everything_that_is_wrong_with_a_schema_is_told():
    found = score(b"a,b,c\n1,2,3\n", {**BASE, "strict": True, "min_rows": 5})
    details = found.metrics["schemaValidation"]["details"]
    assert "columns that the definition does not have: c" in details
    assert "1 rows, at least 5 are wanted" in details


def test_an_engine_out_of_memory_is_no_score():
    """The judge reads the file instead."""
    content = b"a,b\n" + b"".join(b"%d,%s\n" % (number, b"x" * 40) for number in range(200_000)) + b"7,x\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.csv"
        path.write_bytes(content)
        definition = read_definition({"columns": [{"name": "a", "unique": True}, B]})
        starved = score_file(
            path, "f.csv", definition, Limits(engine_bytes=1_000_000), scratch=Path(folder), smallest_for_engine=0
        )
    assert starved.score == 90
    assert starved.metrics["uniqueness"]["failures"][0]["rows"] == [200_002]


def test_a_full_disk_is_no_score(monkeypatch):
    """It is the machine's fault, so it goes up."""

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("file_monitoring.scoring.plain_csv._in_utf_8", full)
    with pytest.raises(OSError, match="No space left"):
        score("a,b\n1,2\n".encode("utf-16"), BASE)


def test_a_pattern_that_explodes_elsewhere_takes_no_time_here():
    found = score(b"a\n" + b"a" * 100_000 + b"!\n", column(pattern="(a+)+"))
    assert found.score == 85


def old_workbook(*cells: tuple[int, int, object], sheets: int = 1) -> bytes:
    import xlwt

    book = xlwt.Workbook()
    day = xlwt.easyxf(num_format_str="YYYY-MM-DD")
    for number in range(sheets):
        sheet = book.add_sheet(f"sheet{number}")
        for row, column_number, value in cells:
            style = {"style": day} if isinstance(value, date) else {}
            sheet.write(row, column_number, value, **style)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


TABLE = ((0, 0, "a"), (0, 1, "b"), (1, 0, 1.0), (1, 1, date(2026, 1, 5)), (3, 0, 2.5), (3, 1, None))


@pytest.mark.parametrize(
    ("content", "definition", "expected"),
    [
        (
            old_workbook(*TABLE),
            {"columns": [{"name": "a", "type": "number", "enum": [1, 2.5]}, {"name": "b", "type": "date"}]},
            100,
        ),
        (old_workbook(*TABLE), {"columns": [A, {"name": "b", "required": True}]}, 80),
        (old_workbook(*TABLE, (65_535, 255, "x")), BASE, 65),
        (old_workbook(*TABLE, (65_535, 20, "x"), sheets=2), BASE, 65),
        (old_workbook(*TABLE)[:-1500], BASE, 65),
    ],
    ids=["read", "empty rows keep their numbers", "a cell at the end of the sheet", "two wide sheets", "broken"],
)
def test_an_old_workbook(content, definition, expected):
    found = score(content, definition, "f.xls")
    assert found.score == expected, found.metrics
    if expected == 80:
        assert found.metrics["completeness"]["failures"][0]["rows"] == [4]


def test_a_run_of_cells_is_as_wide_as_its_last_one():
    """An xls writes numbers side by side as one record; calamine makes every cell that they span."""
    numbers = tuple((row, place, 1) for row in (0, 65_535) for place in range(40))
    assert score(old_workbook(*numbers), None, "f.xls").score == 65
    assert score(old_workbook(*numbers[:40], *((65_535, place, 1) for place in range(5))), None, "f.xls").score == 65
    assert (
        score(old_workbook(*((row, place, 1) for row in (0, 40_000) for place in range(40))), None, "f.xls").score
        == 100
    )
