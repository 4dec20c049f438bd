"""The fast path finds what the judge finds, and both what a plain pandas reference finds, row numbers included."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from etlkit.testing import full_count
from file_monitoring.scoring import score as scoring
from file_monitoring.scoring.definition import read_definition
from file_monitoring.scoring.fast_path import Deferred, sieve
from file_monitoring.scoring.findings import FailedRows
from file_monitoring.scoring.judge import Judge
from file_monitoring.scoring.layout import Layout
from file_monitoring.scoring.limits import Limits
from file_monitoring.scoring.plain_csv import Unreadable, plain_csv
from file_monitoring.scoring.score import score_file

COLUMNS = {
    "id": {"type": "integer", "required": True, "unique": True, "min": 1, "max": 50},
    "email": {"type": "string", "required": True, "pattern": "[^@ ]+@[^@ ]+", "max_length": 12},
    "status": {"type": "string", "enum": ["active", "left", " x"]},
    "salary": {"type": "number", "min": "0.5", "exclusive_max": 1000},
    "since": {"type": "date", "min": "1950-01-01"},
    "seen": {"type": "datetime", "max": "2026-01-01T00:00:00"},
    "code": {"type": "string", "unique": True, "min_length": 2, "missing_values": ["-", "NULL"]},
    "flag": {"type": "boolean"},
}
DEFINITION = {
    "columns": [{"name": name, **rules} for name, rules in COLUMNS.items()],
    "unique_keys": [["status", "flag"]],
    "missing_values": ["n/a"],
    "dialect": {"delimiter": ","},
}
CELLS = st.sampled_from(
    [
        "", " ", "n/a", " n/a ", "-", "NULL", "1", "01", " 1", "+7", "-0", "50", "51", "1" * 19, "9" * 30, "1.0",
        "1.", ".5", "0.5", "0.49999999999999999999", "999.9999999999999999999", "1e2", "1e999999", "NaN", "inf", "٣",
        "a@b", "a@b c", "a b@c", "é@ü", "a@b\n", "aaaaaaaaaa@b", "aaaaaaaaaaa@b", "active", "Active", " x", "x",
        "left ", "1950-01-01", "1949-12-31", "2026-02-30", "0000-01-01", "2026-1-1", "20260101",
        "2026-01-01T00:00:00", "2026-01-01 00:00:01", "2026-01-01T00:00:00+02:00", "2025-12-31T24:00:00",
        "2025-12-31T23:59:60", "2026-01-01T00:00:00.0000001", "9999-12-31", "2020-01-01T10:00", "true", "T", "yes",
        "0", "maybe", "A", "AB", "AB ", " AB", "ab", "á", "\u00a0", "\u2028", "a\tb", "\x0b", 'say "hi"', "a,b", "#",
        "\\", "\\N", "'",
    ]
)  # fmt: skip
ROWS = st.lists(st.tuples(*[CELLS] * len(COLUMNS)), max_size=12)

pytestmark = [pytest.mark.soak, pytest.mark.xdist_group("engines")]  # one process counts how often each was taken
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""The examples are small as they are, and an engine starts for each."""


def score_both(content: bytes, definition: dict, *, buffer_bytes: int = 4 << 20) -> tuple[dict, dict | None]:
    """Return what the judge and the fast path say of a file; None where that one defers."""
    read = read_definition(definition)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.csv"
        path.write_bytes(content)
        told = {}
        report = FailedRows(Path(folder) / "judge.csv")
        score = score_file(path, "f.csv", read, report=report, scratch=Path(folder), smallest_for_engine=1 << 40)
        report.__exit__(None, None, None)
        told["judge"] = (score.score, score.deductions, essence(score.metrics), rows_of(Path(folder) / "judge.csv"))
        assert not list(Path(folder).glob("scoring-*"))
        try:
            plain = plain_csv(path, "f.csv", read, Limits(), Path(folder))
        except Unreadable:
            return told["judge"], None
        layout = Layout(read, plain.header)
        if layout.repeated or layout.missing_required or not layout.positions:
            return told["judge"], None
        scratch = Path(folder) / "fast"
        scratch.mkdir()
        report = FailedRows(Path(folder) / "fast.csv")
        try:
            judge = Judge(layout, len(plain.header), report.take)
            findings = sieve(plain, layout, judge, Limits(), scratch, buffer_bytes=buffer_bytes)
        except Deferred:
            return told["judge"], None
        finally:
            report.__exit__(None, None, None)
        again = scoring.Score()
        scoring._judge_header(again, layout)
        scoring._keep_format(again, plain, findings)
        for category in ("completeness", "bounds", "uniqueness"):
            scoring._judge_category(again, category, findings)
        again.metrics["warnings"] = again.warnings
        return told["judge"], (
            again.score, again.deductions, essence(again.metrics), rows_of(Path(folder) / "fast.csv")
        )  # fmt: skip


def essence(metrics: dict) -> dict:
    return {
        name: value for name, value in metrics.items() if name not in ("durationMs", "definitionHash", "engineVersion")
    }


def rows_of(path: Path) -> list:
    with path.open(newline="") as file:
        return sorted(csv.reader(file))


def written(rows, *, quoting: int = csv.QUOTE_MINIMAL, end: str = "\n") -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator=end)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue().encode()


seen = {"fast": 0, "deferred": 0}


@settings(
    max_examples=full_count("files with dirt", 100, 5_000),
    deadline=None,
    phases=NO_SHRINKING,
    suppress_health_check=list(HealthCheck),
)
@given(ROWS, st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.sampled_from(["\n", "\r\n"]))
def test_both_engines_and_pandas_find_the_same(rows, quoting, end):
    content = written(rows, quoting=quoting, end=end)
    judged, fast = score_both(content, DEFINITION)
    seen["fast" if fast else "deferred"] += 1
    if fast:
        assert fast == judged
    assert judged[3] == sorted([["row", "check", "column", "rule"], *reference(content)])


def reference(content: bytes) -> list[list[str]]:
    """Return every failing row by pandas: plainly, column by column."""
    frame = pd.read_csv(
        io.BytesIO(content), dtype=str, keep_default_na=False, na_filter=False, index_col=False, skip_blank_lines=False
    )
    frame.index += 2
    failed = []
    nulls, values = {}, {}
    for name, rules in COLUMNS.items():
        tokens = {"", *(text.strip() for text in rules.get("missing_values", DEFINITION["missing_values"]))}
        stripped = frame[name].map(lambda cell: cell.strip(" \t\r\n\f\v"))
        nulls[name] = stripped.isin(tokens)
        values[name] = frame[name] if rules["type"] == "string" else stripped
        if rules.get("required"):
            failed += [(row, "completeness", name, "required") for row in frame.index[nulls[name]]]
        for row, text in values[name][~nulls[name]].items():
            failed += [(row, "bounds", name, rule) for rule in broken(rules, text)]
    for names in (["id"], ["code"], ["status", "flag"]):
        keys = pd.DataFrame({name: values[name].where(~nulls[name], "\0") for name in names})
        failed += [(row, "uniqueness", ", ".join(names), "unique") for row in frame.index[keys.duplicated()]]
    return [[str(part) for part in one] for one in failed]


DATETIME = r"[0-9-]{10}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?([+-][0-9]{2}:?[0-9]{2}|Z)?)?"
FORMS = {
    "integer": r"[+-]?[0-9]+",
    "number": r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,6})?",
    "date": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "datetime": DATETIME,
    "boolean": "(?i)true|t|yes|y|on|1|false|f|no|n|off|0",
    "string": r"(?s).*",
}
TYPES = {
    "integer": int,
    "number": Decimal,
    "date": date.fromisoformat,
    "datetime": lambda text: moment(text),  # noqa: PLW0108 - defined below
    "boolean": str,
    "string": str,
}
BOUNDS = {
    ("integer", "min"): 1,
    ("integer", "max"): 50,
    ("number", "min"): Decimal("0.5"),
    ("number", "exclusive_max"): 1000,
    ("date", "min"): date(1950, 1, 1),
    ("datetime", "max"): pd.Timestamp("2026-01-01T00:00:00Z"),
}


def moment(text: str) -> pd.Timestamp:
    if "24:" in text or ":60" in text or text < "0001":
        raise ValueError(text)
    found = pd.Timestamp(re.sub(r"([.][0-9]{6})[0-9]+", r"\1", text).replace(" ", "T"))  # microseconds count
    return found.tz_localize("UTC") if found.tzinfo is None else found


def broken(rules: dict, text: str) -> list[str]:
    """Return the rules that a text breaks."""
    kind = rules["type"]
    try:
        if not re.fullmatch(FORMS[kind], text):
            return ["type"]
        value = TYPES[kind](text)
    except ValueError:
        return ["type"]
    checks = {
        "min": lambda: value >= BOUNDS[kind, "min"],
        "max": lambda: value <= BOUNDS[kind, "max"],
        "exclusive_max": lambda: value < BOUNDS[kind, "exclusive_max"],
        "enum": lambda: text in rules["enum"],
        "pattern": lambda: re.fullmatch(rules["pattern"], text),
        "min_length": lambda: len(text) >= rules["min_length"],
        "max_length": lambda: len(text) <= rules["max_length"],
    }
    return [rule for rule in rules if rule in checks and not checks[rule]()]


RAW = st.lists(
    st.sampled_from(
        [
            "1", "2", ",", ",", ",", "\n", "\n", "\n", "\r\n", "\r", '"', '""', " ", "\t", "a@b", "x", ";", "id",
            "email", "\ufeff", "é", "#", "\\", "1,a@b\n", '"1","a@b"\n', '1,"a\nb@c"\n', "1,a@b,\n", "1\n", ",\n",
            '" ', ' "', "'", "--", "2026-01-01",
        ]
    ),
    max_size=25,
).map("".join)  # fmt: skip
SMALL = {
    "columns": [
        {"name": "id", "type": "integer", "required": True, "unique": True},
        {"name": "email", "type": "string", "pattern": "[^@ ]+@[^@ ]+"},
    ],
    "dialect": {"delimiter": ","},
}
ONE_COLUMN = {"columns": [{"name": "id", "type": "integer", "required": True}], "dialect": {"delimiter": ","}}


@settings(
    max_examples=full_count("files of raw dirt", 200, 6_000),
    deadline=None,
    phases=NO_SHRINKING,
    suppress_health_check=list(HealthCheck),
)
@given(
    st.sampled_from(["id,email\n", "id,email\r\n", "id\n", "email,id,more\n", '"id","email"\n', "\nid,email\n"]), RAW
)
@example("id,email\n", "1,a@b,\n")
@example("id,email\n", "1,\n2,a@b,\n")
@example("id,email\r\n", ",,")
@example("id,email\n", ",\n,,\n")
@example("email,id,more\n", ",,\n,1,\na@b,2,,\n")
@example("email,id,more\n", ",,\n,1,\na@b,2,\n,,")
@example("id\n", '" x\n"  "" " "')
@example("id,email\n", '1, "a@b" \n')
@example("id,email\n", "1,a@b\n\n2,c@d\n")
@example("id\n", "1\n\n2\n")
@example("id\n", '1\n""\n2\n')
@example("id,email\n", "1,a@b\r\n2,c@d\n")
@example("id,email\n", "1,a@b\r2,c@d\r")
@example("id,email\n", '1,a"b@c\n')
@example("id,email\n", '1,"a@b"c\n')
@example("id,email\n", '1,"a@b\n')
@example("email,id,more\n", "a@b,1\n")
def test_raw_dirt_is_never_taken_in_two_ways(header, body):
    content = (header + body).encode()
    judged, fast = score_both(content, ONE_COLUMN if header == "id\n" else SMALL)
    seen["fast" if fast else "deferred"] += 1
    if fast:
        assert fast == judged


def test_the_fast_path_was_taken_often_enough():
    assert seen["fast"] > 50 or sum(seen.values()) < 200, seen


@pytest.mark.parametrize("buffer_bytes", [2_200_000])
def test_rows_keep_their_numbers_over_many_buffers(buffer_bytes):
    """DuckDB reads several buffers at a time; the row numbers are the file's."""
    rows = [(number, f"{number}@b" if number % 1000 else "bad", "x" * (number % 40)) for number in range(1, 300_001)]
    content = b"id,email,more\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows).encode() + b"7,again@b,\n"
    judged, fast = score_both(content, SMALL, buffer_bytes=buffer_bytes)
    assert fast == judged
    assert ["1001", "bounds", "email", "pattern"] in judged[3]
    assert ["300002", "uniqueness", "id", "unique"] in judged[3]
