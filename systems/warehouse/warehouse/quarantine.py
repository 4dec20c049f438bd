"""Quarantine: in come the lines that no table takes, out goes a Parquet file with each one's number, reason and text.

A line is found by its text in the work file, in a pass that runs only when there are any; lines with too few or too
many fields are counted there once more, by another hand than the engine's. The same lines give the same file on every
engine. The file grows by batches, so that many bad rows need no more memory than few, but for a number of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
from pyarrow import parquet

from warehouse.columns import BAD, BEHIND
from warehouse.configuration import DatasetConfig
from warehouse.work_files import END_OF_LINE, Form, WorkFile, find_lines, is_blank, original_records, shown

SCHEMA = pa.schema(
    [
        ("source_file", pa.string()),
        ("row_number", pa.int64()),
        ("columns", pa.string()),
        ("reason", pa.string()),
        ("raw_line", pa.string()),
    ]
)
BATCH = 10_000
_EXAMPLES = 3


@dataclass(frozen=True)
class BadRow:
    """A record that no table takes."""

    source_file: str
    row_number: int | None
    """Counted from 1, the header not counted; of a row that is of no file it is null."""
    columns: str | None
    reason: str
    raw_line: str


class BadRows:
    """A file of bad rows, which is there when there is one, and grows by batches."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is written once a row comes."""
        self.path, self.count = path, 0
        self._batch: list[BadRow] = []
        self._writer: parquet.ParquetWriter | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left, and close the file."""
        if self._batch:
            self._write()
        if self._writer:
            self._writer.close()

    def add(self, row: BadRow) -> None:
        """Add a row."""
        self.count += 1
        self._batch.append(row)
        if len(self._batch) == BATCH:
            self._write()

    def _write(self) -> None:
        """Write a batch."""
        self._writer = self._writer or parquet.ParquetWriter(self.path, SCHEMA, compression="zstd")
        columns = zip(*map(astuple, self._batch), strict=True)
        self._writer.write_table(
            pa.table(
                [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)], schema=SCHEMA
            )
        )
        self._batch.clear()


class Quarantine(BadRows):
    """The bad rows of one table of a source."""

    def __init__(self, path: Path, table: str, dataset: DatasetConfig, form: Form) -> None:
        """Name the file; it is written once a row comes."""
        super().__init__(path)
        self.ending = 0
        """How many rows have a bad value that shall end the run."""
        self.examples: list[str] = []
        """Some of those."""
        self._table, self._dataset, self._form = table, dataset, form
        self._ends = {name for name, rule in dataset.bad_value_rules(table).items() if rule == "fail"}

    def take(self, work: WorkFile, bad: Iterable[Mapping[str, Any]]) -> int:
        """Take a work file's bad rows: given lines and columns, and those of a wrong shape; return its blank lines.

        A line is remembered by its hash; one of another line would make the run's sum wrong, and so end it.
        """
        columns_of = {hash(row["line"].encode()): row[BAD] for row in bad}
        blank = 0
        found = find_lines(work, columns_of.keys())
        for part, lines in groupby(found, key=lambda line: work.part_of(line[0])):
            rows = []
            for line_number, line in lines:
                if is_blank(work, line):
                    blank += 1
                    continue
                text, number = work.without_source(line), line_number - part.first_line + 1
                columns, reason = self._told(columns_of.get(hash(line)), text, work)
                if part.is_quoted:
                    rows.append((number, columns, reason))
                else:
                    self.add(BadRow(part.source, number, columns, reason, shown(text)))
            originals = original_records(part.path, self._form, [number for number, _, _ in rows])
            for (number, columns, reason), original in zip(rows, originals, strict=True):
                self.add(BadRow(part.source, number, columns, reason, original))
        return blank

    def _told(self, bad: str | None, text: bytes, work: WorkFile) -> tuple[str | None, str]:
        """Return the columns for which a row is bad, and why."""
        if bad is None:
            between = text.count(work.delimiter.encode())
            if work.header[-1] == END_OF_LINE:
                return None, f"{between} delimiters instead of {len(work.header) - 1}"
            return None, f"{between + 1} fields instead of {len(work.header)}"
        names = bad.rstrip(",").split(",")
        return ", ".join(names), "; ".join(_reason(name, self._table, self._dataset) for name in names)

    def add(self, row: BadRow) -> None:
        """Add a row, and note whether it shall end the run."""
        if row.columns and self._ends.intersection(row.columns.split(", ")):
            self.ending += 1
            if len(self.examples) < _EXAMPLES:
                self.examples.append(f"{row.source_file} row {row.row_number}: {row.reason}")
        super().add(row)


def count_blank(work: WorkFile) -> int:
    """Count the lines that say nothing."""
    return sum(is_blank(work, line) for _, line in find_lines(work, frozenset()))


def _reason(name: str, table: str, dataset: DatasetConfig) -> str:
    """Return why a column's value is bad."""
    if name == BEHIND:
        return "something stands behind the delimiter that ends a line"
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
