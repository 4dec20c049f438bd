"""What a cell's text means: the types of a definition, and the patterns.

A text is read by explicit forms, never by settings of the machine. What is not of the type is None, which the judge
counts as out of bounds. Patterns are RE2's: their time grows with the text alone, whoever wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Literal

import re2

BLANKS = " \t\r\n\f\v"
"""What is stripped around a value of any type but string, and what a cell without a value may consist of."""
LONGEST_PATTERN = 5_000
LONGEST_INTEGER = 4_000
"""Digits; Python reads no longer ones."""
TRUE_TEXTS = ("true", "t", "yes", "y", "on", "1")
FALSE_TEXTS = ("false", "f", "no", "n", "off", "0")
"""What Postgres reads as a boolean, in any case."""
ORDERED_TYPES = ("integer", "number", "date", "datetime")

ValueType = Literal["string", "integer", "number", "boolean", "date", "datetime"]
CellValue = str | int | Decimal | bool | date | datetime
Reader = Callable[[str], CellValue | None]

INTEGER = r"[+-]?[0-9]+"
NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?"
DATE = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
DATETIME = DATE + r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6})[0-9]*)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"

_INTEGER = re.compile(INTEGER)
_NUMBER = re.compile(NUMBER)
_DATE = re.compile(DATE)
_DATETIME = re.compile(DATETIME)


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Return a test whether a whole text matches; ValueError for what is no pattern of RE2."""
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"a pattern has {LONGEST_PATTERN:,} characters at most, this has {len(pattern):,}")
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
        quick = re2.Set.FullMatchSet(options)
        quick.Add(pattern)
        quick.Compile()
    except (re2.error, UnicodeError) as error:
        words = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"no pattern of RE2 ({words}): it has no look-around and no back-references") from error

    def matches(text: str) -> bool:  # the set is five times as quick, but says no where its memory does not suffice
        return bool(quick.Match(text)) or compiled.fullmatch(text) is not None

    return matches


@lru_cache(maxsize=512)
def reader_of(
    value_type: ValueType,
    form: str | None = None,
    true_values: tuple[str, ...] | None = None,
    false_values: tuple[str, ...] | None = None,
) -> Reader:
    """Return what reads a text as a value of the type, None where it is none."""
    if value_type == "boolean":
        return _boolean_reader(true_values, false_values)
    if form is not None and value_type in ("date", "datetime"):
        return _form_reader(form, is_date=value_type == "date")
    return _READERS[value_type]


def _read_integer(text: str) -> int | None:
    """Read digits with an optional sign; zeros may lead."""
    return int(text) if _INTEGER.fullmatch(text) and len(text) <= LONGEST_INTEGER else None


def _read_number(text: str) -> Decimal | None:
    """Read a decimal number, exactly; NaN and infinity are none."""
    if not _NUMBER.fullmatch(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _read_date(text: str) -> date | None:
    """Read YYYY-MM-DD."""
    found = _DATE.fullmatch(text)
    try:
        return date(int(found[1]), int(found[2]), int(found[3])) if found else None
    except ValueError:
        return None


def _read_datetime(text: str) -> datetime | None:
    """Read ISO 8601; a date alone is its midnight, a time without an offset is UTC's."""
    found = _DATETIME.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    try:
        return datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
            int((fraction or "0").ljust(6, "0")), tzinfo=_zone(offset),
        )  # fmt: skip
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=256)
def _zone(offset: str | None) -> timezone:
    """Return the zone of an offset such as +01:00; ValueError for one of a day or more."""
    if offset in (None, "Z"):
        return timezone.utc
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    if minutes > 59:  # noqa: PLR2004 - minutes of an hour
        raise ValueError(offset)
    distance = timedelta(hours=hours, minutes=minutes)
    return timezone(-distance if offset[0] == "-" else distance)


def _form_reader(form: str, *, is_date: bool) -> Reader:
    """Return what reads a text by a form of strptime."""
    _check_form(form)

    def read(text: str) -> CellValue | None:
        try:
            found = datetime.strptime(text, form)
        except (ValueError, OverflowError):
            return None
        if is_date:
            return found.date()
        return found if found.tzinfo else found.replace(tzinfo=timezone.utc)

    return read


def _check_form(form: str) -> None:
    """Raise ValueError for a form that strptime does not understand."""
    try:
        datetime.strptime("", form)
    except ValueError as error:
        if "does not match format" not in str(error):
            raise ValueError(f"format {form!r} is not one of strptime: {error}") from error
    except (re.error, KeyError, IndexError) as error:
        raise ValueError(f"format {form!r} is not one of strptime: {error}") from error


def _boolean_reader(true_values: Iterable[str] | None, false_values: Iterable[str] | None) -> Reader:
    """Return what reads the given texts; without any, what Postgres reads, in any case."""
    if true_values is None and false_values is None:
        usual: dict[str, bool] = {**dict.fromkeys(TRUE_TEXTS, True), **dict.fromkeys(FALSE_TEXTS, False)}
        return lambda text: usual.get(text.lower())
    given = {**dict.fromkeys(true_values or TRUE_TEXTS, True), **dict.fromkeys(false_values or FALSE_TEXTS, False)}
    return given.get


_READERS: dict[ValueType, Reader] = {
    "string": lambda text: text,
    "integer": _read_integer,
    "number": _read_number,
    "date": _read_date,
    "datetime": _read_datetime,
}
