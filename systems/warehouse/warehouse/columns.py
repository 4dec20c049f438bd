"""Typing: in comes a table of texts, out go typed columns under their target names, in one projection for both engines.

A text is trimmed; an empty one is null. What a column's type cannot hold is a bad value: by the column's
`on_bad_value` it becomes null and the row says so in `meta_nulled`, or the row is left out and quarantined. No cast
ever raises: each stands behind a pattern that both engines read alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import ibis
from ibis.expr import types as ir

from etlkit.errors import DataError
from warehouse.configuration import (
    META,
    META_NULLED,
    META_RELEASE_DATE,
    META_REPAIRED,
    META_RUN_ID,
    META_SOURCE_FILE,
    ColumnSpec,
    DatasetConfig,
    DerivedColumn,
)
from warehouse.moments import MomentFormat
from warehouse.ndc import ndc_11
from warehouse.work_files import (
    BLANKS,
    BYTE_ORDER_MARK,
    CARRIAGE_RETURN,
    DELIMITER,
    END_OF_LINE,
    LINE_FEED,
    NUL,
    UNDECODABLE,
    WorkFile,
)

BAD = "bad"
BEHIND = "end_of_line"
"""For a bad row: something stands behind the delimiter that ends a line."""
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
_INTEGER_DIGITS = {"integer": 9, "long": 18}
_INTEGERS = {"integer": "int32", "long": "int64"}
_FLOATS = {"float": "float32", "double": "float64"}
# patterns end with \z: to Java, $ stands also before a last line separator, of which Unicode has several
_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?\z"
_LARGEST = {"float": 3.4028234663852886e38, "double": 1.7976931348623157e308}


@dataclass(frozen=True)
class Layout:
    """Which column of a file, counted from 0, holds which configured one; what is kept beside them."""

    places: Mapping[str, int]
    """By the source's name of a configured column; a column that is not required may be missing."""
    kept: Mapping[str, int]
    """Unmapped columns that the dataset keeps, by their target name."""


def layout_of(header: Sequence[str], table: str, dataset: DatasetConfig, source: str) -> Layout:
    """Hold a file's header against the configuration; DataError names every column that is missing or unknown."""
    schema = dataset.column_schema[table]
    owners = {name.lower(): column for column, spec in schema.items() for name in (column, *spec.aliases)}
    places: dict[str, int] = {}
    kept: dict[str, int] = {}
    problems = []
    for place, name in enumerate(header):
        if name == END_OF_LINE and table in dataset.rrf_columns:
            continue
        column = owners.get(name.lower())
        if column is not None and column in places:
            problems.append(f"{name!r} stands twice")
        elif column is not None:
            places[column] = place
        elif dataset.unmapped_columns == "fail":
            problems.append(f"{name!r} is unknown")
        elif dataset.unmapped_columns == "keep":
            target = _snake(name)
            if not target or target in kept or target in dataset.target_names(table) or target.startswith(META):
                problems.append(f"{name!r} cannot be kept: its name is taken or none")
            kept[target] = place
    problems += [f"{column!r} is missing" for column, spec in schema.items() if spec.required and column not in places]
    if problems:
        raise DataError(
            f"{source}: the header does not fit {dataset.dataset}: {'; '.join(problems)}.",
            "Name it in column_schema, as an alias or not required, or set unmapped_columns. Nothing was published.",
        )
    return Layout(places, kept)


@dataclass(frozen=True)
class TypedTable:
    """The expressions of one table of texts."""

    texts: ir.Table
    work: WorkFile
    columns: Mapping[str, ir.Value]
    """Typed values, by target name."""
    nulled: ir.StringValue
    """The names, with commas between them, of columns whose bad value became null; null where there is none."""
    quarantined: ir.StringValue
    """The same of columns for which the row is quarantined."""
    repaired: ir.StringValue
    """The same of columns whose first source had no good value, but another one."""
    says_something: ir.BooleanValue

    def rows(self, run_id: str, release: date | None = None) -> ir.Table:
        """Return the good rows with their meta columns; of a release its day is one."""
        work = self.work
        source = self.texts[work.names[-1]] if work.is_of_several else ibis.literal(work.parts[0].source)
        meta = {META_RUN_ID: ibis.literal(run_id), META_SOURCE_FILE: source, META_NULLED: self.nulled,
                META_REPAIRED: self.repaired}  # fmt: skip
        if release:
            meta[META_RELEASE_DATE] = ibis.literal(release)
        good = self.quarantined.isnull() & self.says_something
        named = [value.name(name) for name, value in {**self.columns, **meta}.items()]
        return self.texts.filter(good).select(*named)

    def bad_lines(self) -> ir.Table:
        """Return the lines to quarantine, as they stand in the work file, and the columns for which they are."""
        cells = [self.texts[name].fill_null("") for name in self.work.names]
        line = ibis.literal(self.work.delimiter).join(cells)
        bad = self.quarantined.notnull() & self.says_something
        return self.texts.filter(bad).select(line=line, **{BAD: self.quarantined}).distinct()


def typed(texts: ir.Table, work: WorkFile, layout: Layout, table: str, dataset: DatasetConfig) -> TypedTable:
    """Return the typed columns of a work file's texts."""
    cells = {name: _cell(texts[f"c{place}"]) for name, place in layout.places.items()}
    reader = _Reader(work, cells)
    columns: dict[str, ir.Value] = {}
    for source, spec in dataset.column_schema[table].items():
        columns[spec.target_name] = reader.column(source, spec)
    for target, derived in dataset.derived_columns.get(table, {}).items():
        columns[target] = reader.derived(target, derived)
    for target, place in layout.kept.items():
        columns[target] = reader.text(_cell(texts[f"c{place}"]), target, "null")
    every = [texts[name] for name in work.names[: len(work.header)]]
    if table in dataset.rrf_columns:
        reader.quarantined[BEHIND] = texts[work.names[len(work.header) - 1]] != ""
    says_something = ibis.coalesce(*(_cell(cell) for cell in every)).notnull()
    nulled, quarantined, repaired = map(_listed, (reader.nulled, reader.quarantined, reader.repaired))
    return TypedTable(texts, work, columns, nulled, quarantined, repaired, says_something)


class _Reader:
    """Reads cells by their columns' types, and notes the conditions under which a value is bad."""

    def __init__(self, work: WorkFile, cells: Mapping[str, ir.StringValue]) -> None:
        self._cells = cells
        self._has_marks = work.has_marks
        self._delimiter = work.delimiter
        self.nulled: dict[str, ir.BooleanValue] = {}
        self.quarantined: dict[str, ir.BooleanValue] = {}
        self.repaired: dict[str, ir.BooleanValue] = {}

    def column(self, source: str, spec: ColumnSpec) -> ir.Value:
        """Return a configured column."""
        if source not in self._cells:
            return ibis.null(_ibis_type(spec))
        cell = self._cells[source]
        if spec.type == "string":
            return self.text(cell, spec.target_name, spec.on_bad_value)
        value = _READERS[spec.type](cell, spec)
        self._note(spec.target_name, spec.on_bad_value, cell.notnull() & value.isnull())
        return value

    def derived(self, target: str, column: DerivedColumn) -> ir.StringValue:
        """Return the first good value of some columns."""
        cells = [self._cells[source] for source in column.sources if source in self._cells]
        if not cells:
            return ibis.null("string")
        value = ibis.coalesce(*(ndc_11(cell) for cell in cells))
        self._note(target, column.on_bad_value, ibis.coalesce(*cells).notnull() & value.isnull())
        if len(cells) > 1:
            self.repaired[target] = cells[0].notnull() & ndc_11(cells[0]).isnull() & value.notnull()
        return value

    def text(self, cell: ir.StringValue, target: str, on_bad_value: str) -> ir.StringValue:
        """Return a text, with its line breaks and delimiters put back; one that could not be decoded is bad."""
        if not self._has_marks:
            return cell
        is_bad = cell.contains(NUL) | cell.contains(UNDECODABLE)
        self._note(target, on_bad_value, is_bad.fill_null(False))
        restored = cell.replace(LINE_FEED, "\n").replace(CARRIAGE_RETURN, "\r").replace(DELIMITER, self._delimiter)
        restored = restored.replace(BYTE_ORDER_MARK, "\ufeff")
        return is_bad.ifelse(ibis.null("string"), restored)

    def _note(self, target: str, on_bad_value: str, is_bad: ir.BooleanValue) -> None:
        """Note when a column's value is bad."""
        (self.nulled if on_bad_value == "null" else self.quarantined)[target] = is_bad


def _cell(text: ir.StringValue) -> ir.StringValue:
    """Return a text without blanks around it; null for nothing.

    Few texts have any, and to look is several times quicker than to strip.
    """
    is_padded = text < "!"
    for blank in BLANKS:
        is_padded |= text.endswith(blank)
    return is_padded.ifelse(text.strip().nullif(""), text)


def _date(cell: ir.StringValue, spec: ColumnSpec) -> ir.Value:
    """Return a date of a form; a day that the calendar has not is null."""
    form = spec.moment_format
    return cell.re_search(form.pattern).ifelse(_iso_date(cell, form), ibis.null("string")).try_cast("date")


def _timestamp(cell: ir.StringValue, spec: ColumnSpec) -> ir.Value:
    """Return a timestamp of a form, without a zone."""
    form = spec.moment_format
    time = _part(cell, form, "HH") + ":" + _part(cell, form, "mm") + ":" + _part(cell, form, "ss")
    text = cell.re_search(form.pattern).ifelse(_iso_date(cell, form) + " " + time, ibis.null("string"))
    return text.try_cast("timestamp")


def _iso_date(cell: ir.StringValue, form: MomentFormat) -> ir.StringValue:
    """Return a date as yyyy-MM-dd."""
    return _part(cell, form, "yyyy") + "-" + _part(cell, form, "MM") + "-" + _part(cell, form, "dd")


def _part(cell: ir.StringValue, form: MomentFormat, name: str) -> ir.StringValue:
    """Return a part of a moment."""
    start, length = form.part(name)
    return cell.substr(start, length)


def _integer(cell: ir.StringValue, spec: ColumnSpec) -> ir.Value:
    """Return a whole number of at most 9 (integer) or 18 digits (long), which always fit."""
    pattern = rf"^[+-]?0*[0-9]{{1,{_INTEGER_DIGITS[spec.type]}}}\z"
    return cell.re_search(pattern).ifelse(cell, ibis.null("string")).try_cast(_INTEGERS[spec.type])


def _float(cell: ir.StringValue, spec: ColumnSpec) -> ir.Value:
    """Return a number with a floating point; one that is too large for its type is null.

    Zero has no sign: of a number that is too small for one, the engines keep it or not.
    """
    value = cell.re_search(_NUMBER).ifelse(cell, ibis.null("string")).try_cast("float64")
    fits = value.abs() <= ibis.literal(_LARGEST[spec.type])
    kept = fits.ifelse(value, ibis.null("float64")).try_cast(_FLOATS[spec.type])
    return (kept == 0).ifelse(0.0, kept).cast(_FLOATS[spec.type])


def _decimal(cell: ir.StringValue, spec: ColumnSpec) -> ir.Value:
    """Return a decimal number; one with more digits than the precision has on either side is null, never rounded."""
    digits, scale = spec.digits
    whole = digits - scale
    before = rf"0*[0-9]{{1,{whole}}}" if whole else "0*"
    behind = rf"\.[0-9]{{0,{scale}}}0*" if scale else r"\.0*"
    pattern = rf"^[+-]?(?:{before}(?:{behind})?|{behind})\z"
    has_digit = cell.re_search("[0-9]")
    found = (cell.re_search(pattern) & has_digit).ifelse(cell, ibis.null("string"))
    return found.try_cast(f"decimal({digits}, {scale})")


def _boolean(cell: ir.StringValue, _spec: ColumnSpec) -> ir.Value:
    """Return a truth."""
    lower = cell.lower()
    return ibis.cases((lower.isin(_TRUE), True), (lower.isin(_FALSE), False))


_READERS: Mapping[str, Callable[[ir.StringValue, ColumnSpec], ir.Value]] = {
    "date": _date,
    "timestamp": _timestamp,
    "integer": _integer,
    "long": _integer,
    "float": _float,
    "double": _float,
    "decimal": _decimal,
    "boolean": _boolean,
    "ndc_11": lambda cell, _spec: ndc_11(cell),
}


def _ibis_type(spec: ColumnSpec) -> str:
    """Return the type of a configured column."""
    digits, scale = spec.digits
    own = {**_INTEGERS, **_FLOATS, "decimal": f"decimal({digits}, {scale})", "ndc_11": "string"}
    return own.get(spec.type, spec.type)


def _listed(conditions: Mapping[str, ir.BooleanValue]) -> ir.StringValue:
    """Return the names whose conditions hold, with a comma after each; null where none does."""
    if not conditions:
        return ibis.null("string")
    names = [condition.fill_null(False).ifelse(f"{name},", "") for name, condition in conditions.items()]
    return ibis.literal("").join(names).nullif("")


def _snake(name: str) -> str:
    """Return a source's column name as a target name."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name.lower())
    return "_".join(part for part in kept.split("_") if part).lstrip("0123456789_")
