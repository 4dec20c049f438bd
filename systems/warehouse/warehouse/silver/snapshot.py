"""A snapshot: in come bronze tables, out goes one row a key, and of every row that is not in it the reason.

A row of a source table is in the snapshot, or repeats a key that another row has, or has no key: nothing is dropped
unsaid, and nothing without a key is joined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    from ibis.expr import types as ir

REASON = "left_out"
"""Why a row of a source is not in the snapshot; null where it is."""
Tables = Mapping[tuple[str, str], "ir.Table"]
"""Bronze tables, by dataset and table."""


@dataclass(frozen=True)
class Snapshot:
    """Expressions of a snapshot."""

    rows: ir.Table
    sides: Mapping[tuple[str, str], ir.Table]
    """Each source table with all its rows, and REASON beside its own columns."""


@dataclass(frozen=True)
class SnapshotRule:
    """How a snapshot is made, and of what."""

    reads: Mapping[tuple[str, str], tuple[str, ...]]
    """The columns that it needs, by dataset and table."""
    dates: tuple[str, ...]
    """Which of them are dates; the others are texts."""
    columns: tuple[str, ...]
    """Those of the snapshot."""
    make: Callable[[Tables], Snapshot]

    def unfit(self, columns: Sequence[str], types: Mapping[str, str]) -> list[str]:
        """Return what a table lacks of some columns, or has of another type."""
        wanted = {
            name: "date" if name in self.dates else "string" for name in (*columns, "meta_run_id", "meta_source_file")
        }
        return [
            name if name not in types else f"{name} as a {kind} (it is {types[name]})"
            for name, kind in wanted.items()
            if types.get(name) != kind
        ]


def ranked(table: ir.Table, key: Sequence[str], order: Sequence[ir.Value]) -> ir.IntegerColumn:
    """Return each row's place among those of its key, from 0: by an order, and then by everything that a row says."""
    everything = [table[name].cast("string").asc(nulls_first=False) for name in table.columns]
    window = ibis.window(group_by=[table[name] for name in key], order_by=[*order, *everything])
    return ibis.row_number().over(window)


def latest(moment: ir.Value) -> ir.Value:
    """Return an order with the latest first, and what has no date last."""
    return moment.desc(nulls_first=False)
