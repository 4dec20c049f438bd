"""Canonical content: the same record always has the same hash, and a hash that differs is a real change.

In comes a record as its source sent it, out go its SHA-256 and the record that Postgres can store. Sorted keys, no
spaces, UTF-8, NFC, null is absent, 2.0 is 2; volatile fields do not count. Pure functions: twice gives the same.
"""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import NoneType
from typing import Any

import orjson

CANONICAL_VERSION = 1
"""Raised whenever the rules of this module change; it is part of every hash version."""
_NESTED = frozenset({dict, list, float})
_DEEPEST = 100
_UNSTORABLE = dict.fromkeys([0, *range(0xD800, 0xE000)])
_UNSTORABLE_IN_NAMES = dict.fromkeys(_UNSTORABLE, "\ufffd")


class BadRecordError(ValueError):
    """A record that cannot be stored; its message is the reason's name, e.g. `not_an_object`."""


@dataclass(slots=True)
class Content:
    """A record that Postgres can store, the hash of what counts in it, and the fields that had to be cleaned."""

    record: dict[str, Any]
    entity_hash: str
    cleaned: tuple[str, ...] = ()

    def as_json(self) -> str:
        """Return the whole record as JSON, volatile fields included."""
        try:
            return orjson.dumps(self.record).decode()
        except TypeError:  # an integer of more than 64 bits
            return json.dumps(self.record, ensure_ascii=False, separators=(",", ":"))


def hash_version(volatile: Collection[str]) -> int:
    """Return a number of 15 bits for the rule behind a hash, so that a changed deny-list is noticed by itself."""
    rule = json.dumps([CANONICAL_VERSION, sorted(volatile)])
    return zlib.crc32(rule.encode()) & 0x7FFF


def read_content(record: object, volatile: Collection[str]) -> Content:
    """Return the content of a record.

    U+0000 and lone surrogates, which jsonb refuses, are taken out and their fields named. Raises BadRecordError for
    what is no object, is nested too deeply, or holds a number or a value that JSON does not know.
    """
    if not isinstance(record, dict):
        raise BadRecordError("not_an_object")
    cleaned: tuple[str, ...] = ()
    try:
        canonical = _canonical(record, volatile)
    except TypeError:  # a lone surrogate, or an integer of more than 64 bits
        canonical = None
    if canonical is None or b"\\u0000" in canonical:
        try:
            record, cleaned = _clean(record)
            canonical = _canonical_slowly(record, volatile)
        except TypeError as error:
            raise BadRecordError("not_json") from error
    return Content(record, hashlib.sha256(canonical).hexdigest(), cleaned)


def _canonical(record: dict[str, Any], volatile: Collection[str]) -> bytes:
    """Return the canonical bytes; TypeError for what only the slower way can write."""
    kept = _significant(record, volatile)
    data = orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
    if data.isascii() or unicodedata.is_normalized("NFC", data.decode()):
        return data
    return orjson.dumps(_mapped(kept, _nfc, _same), option=orjson.OPT_SORT_KEYS)


def _canonical_slowly(record: dict[str, Any], volatile: Collection[str]) -> bytes:
    """Return the same bytes with the standard library, which writes integers of any size."""
    kept = _mapped(_significant(record, volatile), _nfc, _same)
    try:
        return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _significant(record: dict[str, Any], volatile: Collection[str]) -> dict[str, Any]:
    """Return what counts of a record: no volatile field, no null, whole numbers as such."""
    types = set(map(type, record.values()))
    kept = record
    if volatile or NoneType in types:
        kept = record.copy()
        for name in [name for name, value in record.items() if value is None]:
            del kept[name]
        for name in volatile:
            kept.pop(name, None)
    if types.isdisjoint(_NESTED):
        return kept
    return {name: _plain(value, 1) if type(value) in _NESTED else value for name, value in kept.items()}


def _plain(value: Any, depth: int) -> Any:
    """Return a nested value without nulls in its objects, with whole numbers as such."""
    if depth > _DEEPEST:
        raise BadRecordError("nested_too_deeply")
    if isinstance(value, dict):
        return {name: _plain(item, depth + 1) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise BadRecordError("number_out_of_range")
        return int(value) if value.is_integer() else value
    return value


def _clean(record: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a record without characters that jsonb refuses, and the names of the fields that had some."""
    cleaned: dict[str, Any] = _mapped(record, _storable, _storable_name)
    changed = (
        _storable_name(name)
        for name, before in record.items()
        if _mapped({name: before}, _storable, _storable_name) != {name: before}
    )
    return cleaned, tuple(changed)


def _storable(text: str) -> str:
    """Return text without the characters that jsonb refuses."""
    return text.translate(_UNSTORABLE)


def _storable_name(name: str) -> str:
    """Return a name with a mark in place of such characters, so that two names do not become one."""
    return name.translate(_UNSTORABLE_IN_NAMES)


def _nfc(text: str) -> str:
    """Return text in Unicode's normal form C."""
    return unicodedata.normalize("NFC", text)


def _same(name: str) -> str:
    """Return a name as it is: two names of one record may not become one."""
    return name


def _mapped(value: Any, change: Callable[[str], str], rename: Callable[[str], str]) -> Any:
    """Return a value with a change made to every text in it, and another one to every name."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {rename(name): _mapped(item, change, rename) for name, item in sorted(value.items())}
    if isinstance(value, list):
        return [_mapped(item, change, rename) for item in value]
    return value
