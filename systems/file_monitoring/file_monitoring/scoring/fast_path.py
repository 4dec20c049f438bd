"""The fast path: DuckDB sieves a file, and only the rows that are not surely good come before the judge.

The SQL knows the commonest form of a good cell and nothing of a bad one. Row numbers, counts and verdicts are the
judge's own. What DuckDB would read otherwise than the strict reader, without raising, keeps a file away from it (see
`Suspicions`); where it raises, out of memory included, the judge reads the whole file. So the result is the judge's in
either case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from file_monitoring.scoring.definition import Column
from file_monitoring.scoring.findings import Findings
from file_monitoring.scoring.judge import Judge, nulls_of
from file_monitoring.scoring.layout import Layout
from file_monitoring.scoring.limits import LONGEST_CELL, MIB, Limits
from file_monitoring.scoring.plain_csv import PlainCsv
from file_monitoring.scoring.values import BLANKS, FALSE_TEXTS, TRUE_TEXTS

BUFFER_BYTES = 4 * MIB
"""Of DuckDB's CSV reader; with its own 32 MB the limit of memory is reached at once."""
THREADS = 2
MOST_REPEATED_KEYS = 100_000
"""Repeated keys that are held in memory at once; a file with more is the judge's."""
ROWS_AT_ONCE = 50
MOST_KEY_BYTES = 32 * MIB
"""Characters of repeated keys that are held in memory at once."""
EXACT_DIGITS = 15
"""Significant digits that a double holds exactly, in the order of the numbers."""


class Deferred(Exception):
    """The fast path does not know; the judge reads the file."""


def sieve(
    plain: PlainCsv, layout: Layout, judge: Judge, limits: Limits, scratch: Path, *, buffer_bytes: int = BUFFER_BYTES
) -> Findings:
    """Return what the judge would find in a file; Deferred where that is not sure."""
    _defer_what_looks_alike(plain)
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{limits.engine_bytes}B",
        "temp_directory": str(scratch / "spill"),
        "threads": str(THREADS),
        "preserve_insertion_order": "true",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    try:
        with closing(duckdb.connect(scratch / "sieve", config=settings)) as engine:
            return _Sieve(engine, plain, layout, judge, buffer_bytes).findings()
    except duckdb.Error as error:
        raise Deferred(type(error).__name__) from error


def _defer_what_looks_alike(plain: PlainCsv) -> None:
    """Raise Deferred for a file that DuckDB reads in another way, without a word."""
    dialect, suspicions = plain.dialect, plain.suspicions
    if dialect.quote_char != '"' or not dialect.double_quote or dialect.escape_char or dialect.skip_initial_space:
        raise Deferred("dialect")
    if suspicions.has_blank_lines or suspicions.has_blanks_at_quotes or suspicions.has_lone_returns:
        raise Deferred("suspicions")
    if not plain.header_is_one_line:
        raise Deferred("header")
    if set("*?[]{}") & set(str(plain.path)):  # a name that DuckDB would take for several
        raise Deferred("path")
    if len((dialect.delimiter or ",").encode()) > 1:
        raise Deferred("delimiter")


class _Sieve:
    """The statements over one file."""

    def __init__(
        self, engine: duckdb.DuckDBPyConnection, plain: PlainCsv, layout: Layout, judge: Judge, buffer_bytes: int
    ) -> None:
        """Read the columns that the definition has into a table on disk, whose row ids follow the file's order."""
        self._engine = engine
        self._plain = plain
        self._layout = layout
        self._judge = judge
        self._values: dict[str, Any] = {"path": str(plain.path), "delimiter": plain.dialect.delimiter, "blanks": BLANKS}
        columns = ", ".join(f"'c{place}': 'varchar'" for place in range(len(plain.header)))
        wanted = ", ".join(f"c{place}" for place in sorted({place for place, _ in layout.columns}))
        empty = "0"
        if plain.suspicions.delimiters_at_line_ends:  # in a row of nothing they are one less than the cells
            for place in range(1, len(plain.header)):
                empty = f"case when c{place} is null then 1 + {empty} else 0 end"
        self._execute(
            f"create table cells as select {wanted}, {empty} as empty_at_end "
            f"from read_csv($path, auto_detect = false, header = false, skip = {plain.header_row}, "
            f"columns = {{{columns}}}, delim = $delimiter, quote = '\"', escape = '\"', nullstr = '', "
            f"allow_quoted_nulls = false, strict_mode = true, null_padding = false, ignore_errors = false, "
            f"max_line_size = {LONGEST_CELL}, buffer_size = {buffer_bytes})"
        )

    def findings(self) -> Findings:
        """Sieve the rows, then look for repeated keys."""
        rows, at_line_ends = self._rows("select count(*), sum(empty_at_end)::bigint from cells")[0]
        # a delimiter at a line's end is an empty last cell, or one cell too many, which DuckDB drops without a word
        if (at_line_ends or 0) != self._plain.suspicions.delimiters_at_line_ends:
            raise Deferred("delimiters at line ends")
        self._judge.findings.rows = rows
        self._judge_the_suspect()
        for name, places in self._layout.keys:
            self._find_repeated(name, places)
        return self._judge.findings

    def _judge_the_suspect(self) -> None:
        """Hand every row that is not surely good to the judge, in the file's order."""
        wanted = sorted({place for place, _ in self._layout.columns})
        is_good = " and ".join(self._good(place, column) for place, column in self._layout.columns)
        for number, cells in self._numbered(wanted, f"not ({is_good})"):
            self._judge.take(number, cells)

    def _find_repeated(self, name: str, places: Sequence[int]) -> None:
        """Find the rows whose key stood in an earlier row."""
        key = f"hash({', '.join(self._key(place) for place in places)})"
        hashes = self._rows(
            f"select h from (select {key} as h from cells{self._without_nulls(places)}) "
            f"group by h having count(*) > 1 limit {MOST_REPEATED_KEYS + 1}"
        )
        if len(hashes) > MOST_REPEATED_KEYS:
            raise Deferred("repeated keys")
        if not hashes:
            return
        self._engine.execute("create or replace temp table repeated (h ubigint)")
        self._engine.executemany("insert into repeated values (?)", hashes)
        seen: set[str] = set()
        size = 0
        for number, cells in self._numbered(places, f"{key} in (select h from repeated)"):
            found = self._judge.key(cells, places)
            if found is None:
                continue
            if found in seen:
                self._judge.find(number, "uniqueness", name, "unique")
            if found not in seen:
                seen.add(found)
                size += len(found)
            if len(seen) > 2 * MOST_REPEATED_KEYS or size > MOST_KEY_BYTES:
                raise Deferred("repeated keys")

    def _without_nulls(self, places: Sequence[int]) -> str:
        """Return the clause that leaves out keys with a null, where a definition ignores them."""
        if not self._layout.definition.unique_ignores_nulls:
            return ""
        return " where " + " and ".join(f"c{place} is not null" for place in places)

    def _numbered(self, places: Sequence[int], condition: str) -> Iterator[tuple[int, list[str]]]:
        """Yield the number and the cells of the rows for which a condition holds, in the file's order."""
        wanted = ", ".join(f"coalesce(c{place}, '')" for place in places)
        number = f"rowid + {self._plain.header_row + 1}"
        found = self._execute(f"select {number}, {wanted} from cells where {condition} order by rowid")
        width = len(self._plain.header)
        while rows := found.fetchmany(ROWS_AT_ONCE):
            for number, *texts in rows:
                cells = [""] * width
                for place, text in zip(places, texts, strict=True):
                    cells[place] = text
                yield number, cells

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a statement over the file."""
        return self._execute(statement).fetchall()

    def _execute(self, statement: str) -> duckdb.DuckDBPyConnection:
        """Run a statement with the parameters that it names, since DuckDB refuses others."""
        named = set(re.findall(r"\$(\w+)", statement))
        return self._engine.execute(statement, {name: self._values[name] for name in named})

    def _bind(self, value: Any) -> str:
        """Return the parameter of a value."""
        name = f"v{len(self._values)}"
        self._values[name] = value
        return f"${name}"

    def _column_at(self, place: int) -> Column:
        """Return the column at a position."""
        return next(column for there, column in self._layout.columns if there == place)

    def _tokens(self, place: int) -> list[str]:
        """Return the parameters of what means no value in a column, beside nothing."""
        nulls = nulls_of(self._column_at(place), self._layout.definition.missing_values)
        return [self._bind(text) for text in sorted(nulls - {""})]

    def _has_value(self, place: int) -> str:
        """Return a condition under which a cell is surely no null: no blank at its begin, and none of the tokens."""
        tokens = self._tokens(place)
        return f"c{place} >= '!'" + (f" and trim(c{place}, $blanks) not in ({', '.join(tokens)})" if tokens else "")

    def _key(self, place: int) -> str:
        """Return what is equal where a cell's part of a key is; what begins with a blank may seem equal to a null."""
        if self._column_at(place).type == "string":
            return f"case when {self._has_value(place)} then c{place} end"
        text = f"trim(c{place}, $blanks)"
        return f"case when {text} not in ({', '.join([*self._tokens(place), chr(39) * 2])}) then {text} end"

    def _good(self, place: int, column: Column) -> str:
        """Return the condition under which a cell is surely good; every other cell is the judge's."""
        value = f"coalesce({self._has_value(place)} and {_surely_good(column, f'c{place}', self._bind)}, false)"
        return value if column.required else f"(c{place} is null or {value})"


def _surely_good(column: Column, cell: str, bind: Any) -> str:
    """Return the condition under which a text that is no null keeps all rules of its column."""
    conditions = _of_the_type(column, cell, bind)
    if column.enum is not None:
        if column.type not in ("string", "integer", "boolean"):
            return "false"
        texts = [str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in column.enum]
        conditions.append(f"{cell} in ({', '.join(map(bind, texts))})")
    if column.pattern is not None:
        conditions.append(f"regexp_full_match({cell}, {bind(column.pattern)})")
    if column.min_length is not None:
        conditions.append(f"length({cell}) >= {column.min_length}")
    if column.max_length is not None:
        conditions.append(f"length({cell}) <= {column.max_length}")
    return " and ".join(conditions) or "true"


def _of_the_type(column: Column, cell: str, bind: Any) -> list[str]:
    """Return the conditions under which a text is surely of the column's type and within its bounds."""
    if column.type == "string":
        return []
    if column.type == "boolean":
        true, false = column.true_values or TRUE_TEXTS, column.false_values or FALSE_TEXTS
        return [f"{cell} in ({', '.join(map(bind, (*true, *false)))})"]
    if column.format is not None:
        return ["false"]
    kind = _KINDS[column.type]
    value = f"try_cast({cell} as {kind})"
    conditions = [f"regexp_full_match({cell}, '{_COMMON_FORMS[column.type]}')"]
    if column.type == "number":
        conditions.append(f"length({cell}) <= {EXACT_DIGITS}")
    elif column.type != "integer":
        conditions.append(f"{cell} >= '0001' and {value} is not null")
    return conditions + _bounds(column, value, bind)


_COMMON_FORMS = {
    "integer": "[+-]?[0-9]{1,18}",
    "number": "-?[0-9]+([.][0-9]+)?",
    "date": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "datetime": "[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?)?",
}
_OPERATORS = {"min": ">=", "max": "<=", "exclusive_min": ">", "exclusive_max": "<"}
_KINDS = {"integer": "bigint", "number": "double", "date": "date", "datetime": "timestamp"}


def _bounds(column: Column, value: str, bind: Any) -> list[str]:
    """Return the conditions of the bounds; one that DuckDB's type cannot hold makes every cell the judge's."""
    conditions = []
    for rule, bound in column.bounds.items():
        text = str(bound)
        if column.type == "integer" and abs(bound) >= 10**18:
            return ["false"]
        if column.type == "number" and (len(text.strip("-")) > EXACT_DIGITS or "E" in text.upper()):
            return ["false"]
        if column.type == "datetime":
            text = bound.replace(tzinfo=None).isoformat(sep=" ") if not bound.utcoffset() else ""
            if not text:
                return ["false"]
        conditions.append(f"{value} {_OPERATORS[rule]} cast({bind(text)} as {_KINDS[column.type]})")
    return conditions
