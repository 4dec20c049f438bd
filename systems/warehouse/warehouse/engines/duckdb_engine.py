"""DuckDB on one machine: text is read directly into the typed projection, in bounded memory and in no order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis

from warehouse.engines.engine import COMPRESSION, Engine
from warehouse.work_files import LONGEST_LINE, WorkFile

if TYPE_CHECKING:
    from ibis.expr import types as ir

MEMORY_LIMIT = "400MB"
HISTORY_MEMORY_LIMIT = "600MB"
"""Two joins and a wide write at once: with less, a million keys fail in place of spilling; with this, three pass."""
_BATCH = 10_000
_PART = "part-00000.parquet"


class DuckDbEngine(Engine):
    """DuckDB in this process, with a database file of its own to spill into."""

    name = "duckdb"
    needs_shared_files = False

    def __init__(self, memory_limit: str = MEMORY_LIMIT) -> None:
        """Open a database that goes with the engine."""
        self._folder = tempfile.TemporaryDirectory(prefix="warehouse-duckdb-")
        self._connection = ibis.duckdb.connect(
            Path(self._folder.name) / "work.duckdb",
            memory_limit=memory_limit,
            preserve_insertion_order=False,
            autoinstall_known_extensions=False,
            autoload_known_extensions=False,
        )

    def read_texts(self, work: WorkFile, location: str) -> ir.Table:
        """Return a work file as a table of texts; DuckDB leaves out the lines that do not fit."""
        return self._connection.read_csv(
            location,
            auto_detect=False,
            columns=dict.fromkeys(work.names, "VARCHAR"),
            header=False,
            delim=work.delimiter,
            quote="",
            escape="",
            comment="",
            new_line="\\n",
            ignore_errors=True,  # store_rejects takes a kilobyte a line; quarantine finds them by itself
            max_line_size=LONGEST_LINE,
            buffer_size=LONGEST_LINE,  # the default of 32 MB is no quicker, and several are held at once
        )

    def write_parquet(self, rows: ir.Table, location: str) -> None:
        """Write one file into a new folder."""
        folder = Path(location)
        folder.mkdir(parents=True)
        self._connection.to_parquet(rows, folder / _PART, compression=COMPRESSION)

    def read_parquet(self, location: str) -> ir.Table:
        """Return the files of a folder as a table."""
        return self._connection.read_parquet(f"{location}/*.parquet", hive_partitioning=False)

    def read_files(self, locations: Sequence[str]) -> ir.Table:
        """Return Parquet files as a table."""
        return self._connection.read_parquet([*locations], hive_partitioning=False)

    def fetch(self, rows: ir.Table) -> list[dict[str, Any]]:
        """Return rows."""
        found: list[dict[str, Any]] = self._connection.to_pyarrow(rows).to_pylist()
        return found

    def stream(self, rows: ir.Table) -> Iterator[dict[str, Any]]:
        """Yield rows."""
        found = self._connection.raw_sql(self._connection.compile(rows))
        while batch := found.fetchmany(_BATCH):
            yield from (dict(zip(rows.columns, values, strict=True)) for values in batch)

    def close(self) -> None:
        """Close the database and delete its file."""
        self._connection.disconnect()
        self._folder.cleanup()
