"""Quarantine: in come the lines that no table takes, out goes a Parquet file with each one's number, reason and text.

A line is found by its text in the work file, in a pass that runs only when there are any; lines with too few or too
many fields are counted there once more, by another hand than the engine's. The same lines give the same file on every
engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from warehouse.configuration import DatasetConfig
from warehouse.work_files import Form, Part, WorkFile, find_lines, is_blank, original_records, shown

SCHEMA = pa.schema(
    [
        ("source_file", pa.string()),
        ("row_number", pa.int64()),
        ("columns", pa.string()),
        ("reason", pa.string()),
        ("raw_line", pa.string()),
    ]
)


@dataclass(frozen=True)
class BadRow:
    """A record that no table takes."""

    source_file: str
    row_number: int
    """Counted from 1, the header not counted."""
    columns: str | None
    reason: str
    raw_line: str


def find_bad_rows(
    work: WorkFile, bad: Mapping[str, str], form: Form, table: str, dataset: DatasetConfig
) -> tuple[list[BadRow], int]:
    """Return a work file's bad rows, of the given lines and of a wrong shape, and its number of blank lines."""
    wanted = {line.encode(): columns for line, columns in bad.items()}
    rows: list[BadRow] = []
    blank = 0
    quoted: dict[Part, list[int]] = {}
    for line_number, line in find_lines(work, frozenset(wanted)):
        if is_blank(work, line):
            blank += 1
            continue
        part, text = work.part_of(line_number), work.without_source(line)
        number = line_number - part.first_line + 1
        if part.is_quoted:
            quoted.setdefault(part, []).append(len(rows))
        names = wanted[line].rstrip(",").split(",") if line in wanted else []
        fields = text.count(work.delimiter.encode()) + 1
        reason = "; ".join(_reason(name, table, dataset) for name in names)
        shape = f"{fields} fields instead of {len(work.header)}"
        rows.append(BadRow(part.source, number, ", ".join(names) or None, reason or shape, shown(text)))
    for part, places in quoted.items():
        originals = original_records(part.path, form, [rows[place].row_number for place in places])
        for place in places:
            rows[place] = replace(rows[place], raw_line=originals[rows[place].row_number])
    return rows, blank


def count_blank(work: WorkFile) -> int:
    """Count the lines that say nothing."""
    return sum(is_blank(work, line) for _, line in find_lines(work, frozenset()))


def write_bad_rows(rows: Sequence[BadRow], path: Path) -> None:
    """Write bad rows as Parquet."""
    columns = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names}
    parquet.write_table(pa.table(columns, schema=SCHEMA), path, compression="zstd")


def _reason(name: str, table: str, dataset: DatasetConfig) -> str:
    """Return why a column's value is bad."""
    for spec in dataset.column_schema[table].values():
        if spec.target_name != name:
            continue
        if spec.type in ("date", "timestamp"):
            return f"{name} is no {spec.type} of the form {spec.moment_format.text}"
        if spec.type == "decimal":
            return f"{name} is no decimal of at most {spec.precision.replace(',', ' digits, ')} behind the point"
        if spec.type == "string":
            return f"{name} has a zero byte, or bytes that are no {dataset.encoding}"
        return f"{name} is no {spec.type}"
    return f"{name} is no NDC of three parts"
