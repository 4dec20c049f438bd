"""A page of records on their way to bronze: the good ones with key and content, the bad ones as rejects.

In come records as their source yielded them, out go keys, contents and rejects; nothing is lost in between.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from etlkit.rejects import Reject
from people_hub.bronze.canonical import BadRecordError, Content, read_content
from people_hub.bronze.stream import FailedRecord, Stream

LONGEST_KEY = 500


@dataclass
class Page:
    """Some records: (key, content) of the good ones and the rejects of the others, by their place among them."""

    stream_name: str
    raw: list[Any]
    good: dict[int, tuple[str, Content]] = field(default_factory=dict)
    rejects: dict[int, Reject] = field(default_factory=dict)
    rejected_keys: list[str] = field(default_factory=list)
    keyless: list[int] = field(default_factory=list)
    """The places of those without a key."""

    def reject(self, place: int, key: str, reason: str, position: str | None = None) -> None:
        """Keep a bad record: by its key, by its content when it has none, or by the position given."""
        self.good.pop(place, None)
        if position is None:
            if key:
                self.rejected_keys.append(key)
            else:
                self.keyless.append(place)
        self.rejects[place] = reject_of(self.stream_name, position or key, self.raw[place], reason)

    def keep_at(self, positions: Mapping[str, str]) -> None:
        """Keep bad records of some keys at other positions: on a replay, where they have been kept all along."""
        for place, reject in self.rejects.items():
            if reject.position in positions:
                self.rejects[place] = replace(reject, position=positions[reject.position])

    def tell_apart(self, known: dict[str, str]) -> None:
        """Give a second bad record of one key a position of its own; `known` are the run's positions and digests."""
        for place, reject in self.rejects.items():
            text = digest(reject.raw)
            if known.setdefault(reject.position, text) != text:
                another = f"{reject.position} (another, {text})"
                known[another] = text
                self.rejects[place] = replace(reject, position=another)


def read_page(stream: Stream, raw_page: list[Any]) -> Page:
    """Read the keys and contents of some records; one that has none becomes a reject."""
    page = Page(stream.name, raw_page)
    for place, raw in enumerate(raw_page):
        key = ""
        try:
            if isinstance(raw, dict):
                key = stream.external_id(raw)
            elif isinstance(raw, FailedRecord):
                page.reject(place, raw.key, plain_reason(raw.reason))
                continue
            if len(key) > LONGEST_KEY:
                page.reject(place, key, "key_too_long", f"{key[:100]}... {digest(key.encode())}")
            else:
                page.good[place] = (key, read_content(raw, stream.volatile))
        except BadRecordError as error:
            page.reject(place, key, str(error))
    return page


def reject_of(stream_name: str, key: str, raw: object, reason: str) -> Reject:
    """Return a bad record as a reject, at its key, or at its content's digest when it has none."""
    text = original_of(raw)
    return Reject(stream_name, key or f"no key {digest(text)}", text, (reason,))


def plain_reason(sentence: str) -> str:
    """Return a reason in words that an array of reasons can hold."""
    line = " ".join(sentence.split())
    return "".join(char if char.isalnum() or char in " _-.:()/" else "'" for char in line)[:200]


def digest(data: bytes) -> str:
    """Return enough of a hash to tell records apart."""
    return hashlib.sha256(data).hexdigest()[:16]


def original_of(raw: object) -> bytes:
    """Return a record as JSON that reads back as the same record, whatever is wrong with it.

    Of one that is nested too deeply for that, the fields that can be written are kept.
    """
    if isinstance(raw, FailedRecord):
        raw = {"key": raw.key, "problem": raw.reason}
    try:
        return _as_json(raw)
    except RecursionError:
        fields = raw.items() if isinstance(raw, Mapping) else enumerate(raw if isinstance(raw, list) else [])
        return _as_json({str(name): _or_placeholder(value) for name, value in fields})


def _or_placeholder(value: object) -> object:
    try:
        _as_json(value)
    except RecursionError:
        return "(nested too deeply to be kept)"
    return value


def _as_json(raw: object) -> bytes:
    """Return a value as JSON, infinite numbers by their names, lone surrogates as escapes."""
    text = json.dumps(raw, default=str, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(raw, default=str, separators=(",", ":")).encode()
