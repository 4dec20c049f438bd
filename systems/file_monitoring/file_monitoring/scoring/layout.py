"""A file's header held against its definition: which column stands where, and what is missing, extra or there twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from file_monitoring.scoring.definition import Column, Definition


@dataclass(frozen=True)
class Layout:
    """Where a definition's columns stand in a file."""

    definition: Definition
    header: tuple[str, ...]

    @cached_property
    def positions(self) -> dict[str, int]:
        """Return the position of each column that is there, by its name in the definition."""
        places = {self.definition.fold(name): place for place, name in reversed(list(enumerate(self.header)))}
        names = {column.name: self.definition.fold(column.name) for column in self.definition.columns}
        return {name: places[folded] for name, folded in names.items() if folded in places}

    @cached_property
    def columns(self) -> list[tuple[int, Column]]:
        """Return the columns that are there, each with its position."""
        return [
            (self.positions[column.name], column) for column in self.definition.columns if column.name in self.positions
        ]

    @cached_property
    def keys(self) -> list[tuple[str, tuple[int, ...]]]:
        """Return what must be unique and is there as a whole: its name and the positions of its columns."""
        found = [key for key in self.definition.keys if all(name in self.positions for name in key)]
        return [(", ".join(key), tuple(self.positions[name] for name in key)) for key in found]

    @property
    def missing_required(self) -> list[str]:
        """Return the columns that must be there and are not."""
        return [column.name for column in self._missing if column.required or column.column_required]

    @property
    def missing_optional(self) -> list[str]:
        """Return the other columns that are not there."""
        return [column.name for column in self._missing if not (column.required or column.column_required)]

    @property
    def extra(self) -> list[str]:
        """Return the header's names that the definition does not have."""
        known = {self.definition.fold(column.name) for column in self.definition.columns}
        return [name for name in self.header if self.definition.fold(name) not in known]

    @property
    def repeated(self) -> list[str]:
        """Return the names that the header has more than once; a name of nothing counts, too."""
        counts = Counter(self.definition.fold(name) for name in self.header)
        return [name for name, count in counts.items() if count > 1]

    @property
    def is_in_order(self) -> bool:
        """Tell whether the columns stand in the definition's order."""
        places = list(self.positions.values())
        return places == sorted(places)

    @property
    def _missing(self) -> Sequence[Column]:
        """Return the columns that are not there."""
        return [column for column in self.definition.columns if column.name not in self.positions]
