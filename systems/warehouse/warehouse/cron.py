"""When a schedule fires: in comes an expression of EventBridge Scheduler, out goes what is wrong with it.

AWS has six fields, of which exactly one of the two days is `?`. Templates with a wrong expression pass every linter and
are refused when they are deployed, so it is looked at here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS = (
    ("minutes", 0, 59, ()), ("hours", 0, 23, ()), ("day of month", 1, 31, ()), ("month", 1, 12, _MONTHS),
    ("day of week", 1, 7, _DAYS), ("year", 1970, 2199, ()),
)  # fmt: skip
_DAY_OF_MONTH, _DAY_OF_WEEK = 2, 4
_CRON = re.compile(r"cron\((.*)\)")
_RATE = re.compile(r"rate\(([1-9][0-9]{0,5}) (minutes?|hours?|days?)\)")
_SPECIAL = {
    _DAY_OF_MONTH: re.compile(r"L|LW|(?:[1-9]|[12][0-9]|3[01])W"),
    _DAY_OF_WEEK: re.compile(r"L|[1-7]L|[1-7]#[1-5]"),
}


def problems_of_expression(text: str) -> Iterator[str]:
    """Yield what is wrong with an expression, in words."""
    if found := _RATE.fullmatch(text):
        if (found[1] == "1") == found[2].endswith("s"):
            yield f"{text!r}: one is singular, more are plural"
        return
    found = _CRON.fullmatch(text)
    if found is None:
        yield f"{text!r} is neither cron(...) nor rate(...)"
        return
    fields = found[1].split()
    if len(fields) != len(_FIELDS):
        yield f"{text!r} has {len(fields)} fields; AWS wants minutes, hours, day of month, month, day of week and year"
        return
    if [fields[_DAY_OF_MONTH], fields[_DAY_OF_WEEK]].count("?") != 1:
        yield f"{text!r}: exactly one of day of month and day of week must be ?"
    for number, field in enumerate(fields):
        if not (field == "?" and number in _SPECIAL) and not _is_right(field, number):
            yield f"{text!r}: {field} is no {_FIELDS[number][0]}"


def _is_right(field: str, number: int) -> bool:
    """Tell whether each part of a field is a value, a range or a step."""
    special = _SPECIAL.get(number)
    return all(bool(special and special.fullmatch(part)) or _is_range(part, number) for part in field.split(","))


def _is_range(part: str, number: int) -> bool:
    """Tell whether a part is `*`, a value, a range of rising values, or one of them with a step."""
    _, least, most, _names = _FIELDS[number]
    span, slash, step = part.partition("/")
    if slash and not (step.isascii() and step.isdigit() and 0 < int(step) <= most):
        return False
    if span == "*":
        return True
    ends = [_value(end, number) for end in span.split("-")]
    known = [end for end in ends if end is not None and least <= end <= most]
    return len(known) == len(ends) <= len(("from", "until")) and known == sorted(known)


def _value(text: str, number: int) -> int | None:
    """Return a value of a field; None for none."""
    _, least, _, names = _FIELDS[number]
    if text.upper() in names:
        return names.index(text.upper()) + least
    return int(text) if text.isascii() and text.isdigit() and len(text) <= len("2199") else None
