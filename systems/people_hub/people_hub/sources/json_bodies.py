"""JSON as sources send it, read strictly: what is not what was asked for is an error and never an empty list."""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import IO, Any

import ijson

from etlkit.errors import SourceError

_SHOWN = 80


def read_json(body: IO[bytes], where: str) -> Any:
    """Return a body's JSON; SourceError for anything else, such as an error page."""
    data = body.read()
    try:
        return json.loads(data, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{where} sent no JSON but {_beginning(data)} ({error})") from error


def read_array(body: IO[bytes], where: str) -> Iterator[Any]:
    """Yield the items of a body's array without holding them all; SourceError for anything but one whole array."""
    beginning = body.read(_SHOWN)
    body.seek(len(codecs.BOM_UTF8) if beginning.startswith(codecs.BOM_UTF8) else 0)
    beginning = beginning.removeprefix(codecs.BOM_UTF8).lstrip()
    if not beginning.startswith(b"["):
        raise SourceError(f"{where} sent no list but {_beginning(beginning)}")
    try:
        for item in ijson.items(body, "item"):
            try:
                yield _with_floats(item)
            except RecursionError:
                yield item  # too deep to be stored as well, which its reject will say
    except ijson.JSONError as error:
        raise SourceError(
            f"{where} sent a list that breaks off or is no JSON ({' '.join(str(error).split())})"
        ) from error


def _with_floats(value: Any) -> Any:
    """Return a value whose decimals are floats, as everywhere; one beyond every float is infinite, and rejected."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _with_floats(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    return value


def _beginning(data: bytes) -> str:
    """Return how a body begins, for a message."""
    return repr(data[:_SHOWN].decode("utf-8", "replace")) if data else "nothing"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _finite(text: str) -> float:
    """Return a number; ValueError when it is beyond every float, as JSON would lose it."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text} is out of range")
    return value
