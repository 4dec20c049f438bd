"""The judge: the strict reader's rows held against a definition, one after the other.

Every verdict on a row is spoken here, also for the rows that the fast path hands over. Memory does not grow with the
rows.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from file_monitoring.scoring.definition import Column
from file_monitoring.scoring.findings import Check, Findings, Report
from file_monitoring.scoring.layout import Layout
from file_monitoring.scoring.limits import Limits
from file_monitoring.scoring.plain_csv import PlainCsv, Unreadable, is_blank, opened_rows
from file_monitoring.scoring.seen_keys import SeenKeys
from file_monitoring.scoring.values import BLANKS, compile_pattern, reader_of

Rule = tuple[str, Callable[[Any], bool]]


class ColumnCheck(NamedTuple):
    """How the cells of one column are judged."""

    place: int
    column: Column
    nulls: frozenset[str]
    broken_rules: Callable[[str], Iterable[str]]
    is_stripped: bool
    """Whether blanks around a value are no part of it, as of every type but string."""

    @classmethod
    def of(cls, place: int, column: Column, missing_values: Sequence[str]) -> ColumnCheck:
        """Return the check of a column."""
        return cls(place, column, nulls_of(column, missing_values), _rules(column), column.type != "string")


class Judge:
    """Holds rows against a layout and counts what it finds; without a layout it counts them alone."""

    def __init__(self, layout: Layout | None, columns: int, report: Report | None = None) -> None:
        """Prepare a check of every column that is there."""
        self.findings = Findings()
        self._layout = layout
        self._width = columns
        self._report = report
        missing = layout.definition.missing_values if layout else ()
        self._checks = [ColumnCheck.of(place, column, missing) for place, column in (layout.columns if layout else ())]
        self._by_place = {check.place: check for check in self._checks}

    def take(self, number: int, cells: Sequence[str]) -> None:
        """Judge the cells of one row; what the row lacks is null."""
        width = len(cells)
        for place, column, nulls, rules, is_stripped in self._checks:
            cell = cells[place] if place < width else ""
            text = cell.strip(BLANKS)
            if text in nulls:
                if column.required:
                    self.find(number, "completeness", column.name, "required")
                continue
            for rule in rules(text if is_stripped else cell):
                self.find(number, "bounds", column.name, rule)

    def find(self, number: int, check: Check, column: str, rule: str) -> None:
        """Count a row that breaks a rule, and report it."""
        self.findings.add(number, check, column, rule)
        if self._report:
            self._report(number, check, column, rule)

    def read(self, plain: PlainCsv, scratch: Path, limits: Limits) -> Findings:
        """Judge a whole file; Unreadable where it stops being a table."""
        keys = self._layout.keys if self._layout else []
        seen = [SeenKeys(scratch / f"keys{number}", limits.keys_in_memory // len(keys)) for number in range(len(keys))]
        try:
            with opened_rows(plain) as rows:
                for number, cells in rows:
                    if number <= plain.header_row:
                        continue
                    if is_blank(cells, self._width):
                        self.findings.blank_lines += 1
                        continue
                    self._count(number, cells)
                    self.take(number, cells)
                    for (name, places), known in zip(keys, seen, strict=True):
                        key = self.key(cells, places)
                        if key is not None and known.has_seen(key):
                            self.find(number, "uniqueness", name, "unique")
        finally:
            for known in seen:
                known.close()
        return self.findings

    def _count(self, number: int, cells: Sequence[str]) -> None:
        """Count a row; Unreadable where it has more cells than the header."""
        if len(cells) > self._width:
            raise Unreadable(f"row {number:,} has {len(cells):,} cells, the header has {self._width:,}")
        self.findings.rows += 1
        self.findings.short_rows += len(cells) < self._width

    def key(self, cells: Sequence[str], places: Iterable[int]) -> str | None:
        """Return what a key's cells are compared by; None where a null takes the row out of the comparison.

        Cells are compared as they are written, without the blanks around (a string's blanks are part of it).
        """
        parts = []
        for place in places:
            check = self._by_place[place]
            cell = cells[place] if place < len(cells) else ""
            text = cell.strip(BLANKS)
            if text in check.nulls:
                if self._layout and self._layout.definition.unique_ignores_nulls:
                    return None
                parts.append("-")
            else:
                value = text if check.is_stripped else cell
                parts.append(f"{len(value)}:{value}")
        return "".join(parts)


def nulls_of(column: Column, missing_values: Sequence[str]) -> frozenset[str]:
    """Return the texts that mean no value in a column, without blanks around; nothing is always one."""
    given = column.missing_values if column.missing_values is not None else missing_values
    return frozenset({"", *(text.strip(BLANKS) for text in given)})


def _rules(column: Column) -> Callable[[str], Iterable[str]]:
    """Return what tells the rules that a text breaks; of one that is not of the type, the type alone."""
    read = reader_of(column.type, column.format, column.true_values, column.false_values)
    checks: list[Rule] = []
    for rule, bound in column.bounds.items():
        checks.append((rule, _compared(rule, bound)))
    if column.choices is not None:
        checks.append(("enum", column.choices.__contains__))
    texts: list[tuple[str, Callable[[str], bool]]] = []
    if column.pattern is not None:
        texts.append(("pattern", compile_pattern(column.pattern)))
    if (shortest := column.min_length) is not None:
        texts.append(("min_length", lambda text: len(text) >= shortest))
    if (longest := column.max_length) is not None:
        texts.append(("max_length", lambda text: len(text) <= longest))
    if column.type == "string" and not checks and not texts:
        return lambda _text: ()

    def broken(text: str) -> Iterable[str]:
        value = read(text)
        if value is None:
            return ("type",)
        return [rule for rule, holds in checks if not holds(value)] + [rule for rule, holds in texts if not holds(text)]

    return broken


def _compared(rule: str, bound: Any) -> Callable[[Any], bool]:
    """Return the test of a value against a bound."""
    holds = _COMPARISONS[rule]
    return lambda value: holds(value, bound)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "min": operator.ge,
    "max": operator.le,
    "exclusive_min": operator.gt,
    "exclusive_max": operator.lt,
}
