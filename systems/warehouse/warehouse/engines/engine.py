"""The interface of an engine: texts in, Parquet out, and the few questions that are asked of a written table.

Everything between is an Ibis expression that knows no engine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from warehouse.work_files import WorkFile

if TYPE_CHECKING:
    from ibis.expr import types as ir

COMPRESSION = "zstd"


class Engine(ABC):
    """What turns expressions into files."""

    name: str
    needs_shared_files: bool
    """Whether files must lie where every worker of the engine can read them, in the target."""

    @abstractmethod
    def read_texts(self, work: WorkFile, location: str) -> ir.Table:
        """Return a work file as a table of texts `c0`, `c1`...; lines with too few or too many fields are left out."""

    @abstractmethod
    def write_parquet(self, rows: ir.Table, location: str) -> None:
        """Write rows into a folder that is not there yet, compressed with ZSTD."""

    @abstractmethod
    def read_parquet(self, location: str) -> ir.Table:
        """Return a written folder as a table."""

    @abstractmethod
    def read_files(self, locations: Sequence[str]) -> ir.Table:
        """Return Parquet files of one shape as a table."""

    @abstractmethod
    def fetch(self, rows: ir.Table) -> list[dict[str, Any]]:
        """Return rows, of which there are few."""

    @abstractmethod
    def stream(self, rows: ir.Table) -> Iterator[dict[str, Any]]:
        """Yield rows, of which there may be many."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what the engine holds."""

    def fetch_one(self, rows: ir.Table) -> dict[str, Any]:
        """Return the only row."""
        (row,) = self.fetch(rows)
        return row
