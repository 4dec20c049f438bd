"""What was found in a file's rows: counts by check, column and rule, and the first rows of each; never a value."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal

from typing_extensions import Self

FIRST_ROWS = 10
"""Row numbers that are kept of each rule; --report has all of them."""

Check = Literal["completeness", "bounds", "uniqueness"]
Report = Callable[[int, str, str, str], None]
"""What takes every failing row: its number, the check, the column or columns, the rule."""


@dataclass
class Tally:
    """How many rows break one rule of one column, and the first of them."""

    count: int = 0
    rows: list[int] = field(default_factory=list)

    def add(self, row: int) -> None:
        """Count a row."""
        self.count += 1
        if len(self.rows) < FIRST_ROWS:
            self.rows.append(row)


@dataclass
class Findings:
    """Everything that was found in the rows of one file."""

    rows: int = 0
    blank_lines: int = 0
    short_rows: int = 0
    tallies: dict[tuple[Check, str, str], Tally] = field(default_factory=dict)
    """By check, column (several with a comma) and rule."""

    def add(self, row: int, check: Check, column: str, rule: str) -> None:
        """Count a row that breaks a rule."""
        key = (check, column, rule)
        if key not in self.tallies:
            self.tallies[key] = Tally()
        self.tallies[key].add(row)

    def of(self, check: Check) -> dict[tuple[str, str], Tally]:
        """Return the tallies of one check by column and rule, in a steady order."""
        return {
            (column, rule): self.tallies[found, column, rule]
            for found, column, rule in sorted(self.tallies)
            if found == check
        }


class FailedRows:
    """A CSV file of every failing row: its number, the check, the column and the rule; no value of the file."""

    def __init__(self, path: Path) -> None:
        """Begin the file."""
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self.restart()

    def __enter__(self) -> Self:
        """Return the report."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def take(self, row: int, check: str, column: str, rule: str) -> None:
        """Write one failing row."""
        self._writer.writerow((row, check, column, rule))

    def restart(self) -> None:
        """Begin anew: the file is judged again, or could not be read."""
        self._file.seek(0)
        self._file.truncate()
        self._writer.writerow(("row", "check", "column", "rule"))
