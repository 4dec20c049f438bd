"""DuckDB as the stages use it: named statements, little memory, a folder to spill to, an end from another thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from etlkit.errors import DataError
from museum.settings import SQL

STATEMENTS = SQL / "kiosk_file"
BATCH_ROWS = 20_000


@contextmanager
def duckdb_errors(what: str, advice: str) -> Iterator[None]:
    """Turn a DuckDB error into one line that says what was being done and what to do about it."""
    try:
        yield
    except duckdb.Error as error:
        raise DataError(f"{what} failed: {str(error).splitlines()[0]}. Nothing was loaded. {advice}") from error


class DuckDB:
    """An in-memory database of one thread, which another thread may stop."""

    def __init__(self, spill_dir: Path | None, *, memory_limit: str) -> None:
        """Open it; what is larger than the limit goes to spill_dir, or fails where there is none."""
        if spill_dir:
            spill_dir.mkdir(parents=True, exist_ok=True)
        self._is_stopping = False
        self._connection = duckdb.connect(
            config={
                "memory_limit": memory_limit,
                "temp_directory": str(spill_dir or ""),
                "threads": 1,  # Postgres needs the other core meanwhile, and a second thread costs a hundred megabytes
                # it takes a CSV for a few rows and would hold the whole file to join it to a small lookup
                "disabled_optimizers": "build_side_probe_side,join_order",
            }
        )

    def run(self, name: str, **parameters: object) -> duckdb.DuckDBPyConnection:
        """Run a statement of sql/kiosk_file; duckdb.InterruptException once another thread has called `stop`."""
        statement = (STATEMENTS / f"{name}.sql").read_text(encoding="utf-8")
        self._raise_if_stopping()
        return self._connection.execute(statement, parameters or None)

    def row(self, name: str, **parameters: object) -> tuple[Any, ...]:
        """Return the single row of a statement."""
        return self.run(name, **parameters).fetchone() or ()

    def column(self, name: str) -> Iterator[Any]:
        """Yield the single column of a statement, while other statements run."""
        with self._connection.cursor() as cursor:
            cursor.execute((STATEMENTS / f"{name}.sql").read_text(encoding="utf-8"))
            while rows := cursor.fetchmany(BATCH_ROWS):
                self._raise_if_stopping()
                yield from (value for (value,) in rows)

    def stop(self) -> None:
        """Break off what is running, from another thread; to be repeated until that thread is done."""
        self._is_stopping = True
        self._connection.interrupt()

    def close(self) -> None:
        """Free memory and temporary files."""
        self._connection.close()

    def _raise_if_stopping(self) -> None:
        if self._is_stopping:
            raise duckdb.InterruptException("stopped")
