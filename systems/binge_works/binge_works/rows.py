"""The rules for TMDB's items: in comes one as a page holds it, out goes the row for staging, or why there is none.

Nothing here reads a clock, a file or a database. What TMDB leaves out is NULL (`adult` and `video` are false then), an
empty date is NULL, texts lose U+0000 and lone surrogates, which Postgres cannot hold. A value of another type than
TMDB promises is a reason against the whole item.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

LARGEST_INTEGER = 2**31 - 1
MEDIA_TYPES = ("movie", "tv")
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_FLAGS = ("adult", "video")


class UnusableError(ValueError):
    """A value is not what TMDB promises."""


@dataclass(frozen=True)
class Item:
    """A good item: its id and its values in the order of the list's fields."""

    id: int
    values: tuple[Any, ...]


def judge(item: Any, fields: Mapping[str, Callable[[Any], Any]]) -> Item | tuple[str, ...]:
    """Return the row of an item, or all the reasons against it: `not_an_object`, `missing_id`, `bad_<field>`."""
    if not isinstance(item, dict):
        return ("not_an_object",)
    reasons, values = [], []
    for name, read in fields.items():
        given = item.get(name)
        if given is None:
            if name == "id":
                reasons.append("missing_id")
            values.append(False if name in _FLAGS and name not in item else None)
            continue
        try:
            values.append(read(given))
        except UnusableError:
            reasons.append(f"bad_{name}")
    return tuple(reasons) if reasons else Item(item["id"], tuple(values))


def id_of(item: Any) -> int | None:
    """Return an item's id where it has a good one."""
    try:
        return identifier(item["id"]) if isinstance(item, dict) else None
    except (KeyError, UnusableError):
        return None


def text(value: Any) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise UnusableError(value)
    return _UNSTORABLE.sub("", value) if _UNSTORABLE.search(value) else value


def number(value: Any) -> float:
    """Read a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnusableError(value)
    try:
        found = float(value)
    except OverflowError:
        raise UnusableError(value) from None
    if not math.isfinite(found):
        raise UnusableError(value)
    return found


def count(value: Any) -> int:
    """Read a whole number that is not negative and that Postgres's integer holds."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_INTEGER:
        raise UnusableError(value)
    return value


def identifier(value: Any) -> int:
    """Read an id, a whole number from 1."""
    if count(value) == 0:
        raise UnusableError(value)
    return int(value)


def flag(value: Any) -> bool:
    """Read a truth value."""
    if not isinstance(value, bool):
        raise UnusableError(value)
    return value


def day(value: Any) -> date | None:
    """Read an ISO date; an empty text is none."""
    if value == "":
        return None
    if not isinstance(value, str) or not _ISO_DATE.fullmatch(value):
        raise UnusableError(value)
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise UnusableError(value) from None


def counts(value: Any) -> str:
    """Read a list of whole numbers, in TMDB's order; return it as JSON."""
    if not isinstance(value, list):
        raise UnusableError(value)
    return _json([count(member) for member in value])


def texts(value: Any) -> str:
    """Read a list of texts, in TMDB's order; return it as JSON."""
    if not isinstance(value, list):
        raise UnusableError(value)
    return _json([text(member) for member in value])


def projects(value: Any) -> str:
    """Read what a person is known for: movies and shows, each with an id and its kind; return it as JSON."""
    if not isinstance(value, list):
        raise UnusableError(value)
    for project in value:
        if not isinstance(project, dict) or project.get("media_type") not in MEDIA_TYPES:
            raise UnusableError(value)
        identifier(project.get("id"))
        for name in ("title", "name"):
            if project.get(name) is not None:
                text(project[name])
    try:
        return _json(_storable(value))
    except (RecursionError, ValueError):
        raise UnusableError(value) from None


def _storable(value: Any) -> Any:
    """Return nested values without what jsonb cannot hold."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return [_storable(member) for member in value]
    if isinstance(value, dict):
        if any(_UNSTORABLE.search(name) for name in value):
            raise UnusableError(value)  # cleaned, it might be the name of another field
        return {name: _storable(member) for name, member in value.items()}
    return value


def _json(value: Any) -> str:
    """Return a value as JSON text."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
