"""Quarantine: in come the lines that no table takes, out goes a Parquet file with each one's number, reason and text.

A line is found by its text in the work file, in a pass that runs only when there are any; lines with too few or too
many fields are counted there once more, by another hand than the engine's. The same lines give the same file on every
engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from warehouse.configuration import DatasetConfig
from warehouse.work_files import Form, WorkFile, find_lines, original_records, shown

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
    work: WorkFile, bad: Mapping[str, str], source: Path, form: Form, table: str, dataset: DatasetConfig
) -> list[BadRow]:
    """Return the bad rows of a file: those whose line is given with its bad columns, and those of a wrong shape."""
    wanted = {line.encode(): columns for line, columns in bad.items()}
    found = list(find_lines(work, frozenset(wanted)))
    texts = {number: shown(line) for number, line in found}
    if work.is_quoted:
        texts |= original_records(source, form, [number for number, _ in found])
    rows = []
    for number, line in found:
        columns = wanted.get(line)
        if columns is None:
            fields = line.count(work.delimiter.encode()) + 1
            reason = f"{fields} fields instead of {len(work.header)}"
            rows.append(BadRow(work.source, number, None, reason, texts[number]))
        else:
            names = columns.rstrip(",").split(",")
            reason = "; ".join(_reason(name, table, dataset) for name in names)
            rows.append(BadRow(work.source, number, ", ".join(names), reason, texts[number]))
    return rows


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
