"""What a source is to the engine: a stream says how to list its records, which key they have, what is volatile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from etlkit.settings import Settings
from people_hub.bronze.canonical import BadRecordError, hash_version

LOCK_PREFIX = "people_hub:"


def key_of(*names: str) -> Callable[[Mapping[str, Any]], object]:
    """Return how a record's key is read: the value of a field, or those of several with colons between them."""
    if len(names) == 1:
        (only,) = names
        return lambda record: record.get(only)

    def joined(record: Mapping[str, Any]) -> str | None:
        parts = []
        for name in names:
            value = record.get(name)
            text = str(value).strip() if isinstance(value, (str, int)) else ""
            if not text:
                return None
            parts.append(text)
        return ":".join(parts)

    return joined


def key_text(value: object) -> str:
    """Return a key as text; BadRecordError for what is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = value.strip() if isinstance(value, str) else ""
    if text and text.isprintable():
        return text
    raise BadRecordError("bad_key" if text else "missing_key")


@dataclass(frozen=True)
class Request:
    """What a run wants of a source.

    `watermark` is what the last listing left, None on a full sync. `due` yields the keys whose detail is to be fetched.
    """

    watermark: Mapping[str, Any] | None = None
    due: Callable[[], Iterator[str]] = lambda: iter(())
    known_keys: Callable[[str], Iterator[str]] = lambda _entity_type: iter(())


@dataclass
class Listing:
    """The records of one run, one after the other; running out means that every one asked for has come.

    Whoever yields them raises SourceError rather than end early. The other fields may change until the records end.
    """

    records: Iterator[Any]
    is_full: bool = True
    """Every record of the source was asked for, so that one that is missing has vanished."""
    watermark: Mapping[str, Any] | None = None
    """Where the next incremental listing starts, in the source's own terms."""
    passed_over: int = 0
    """Records that came and were left out knowingly, e.g. the older rows of one computer in a spreadsheet."""
    notes: list[str] = field(default_factory=list)
    """What a person should know about this listing."""

    def lack(self, what: str) -> None:
        """Note that a part of the source cannot be listed: nothing counts as vanished this time."""
        self.is_full = False
        self.notes = [f"a part of the source is not listed here ({what}): nothing counts as vanished this time"]


@dataclass(frozen=True)
class FailedRecord:
    """A record that its source could not give: it is kept as a reject under its key, and the listing goes on."""

    key: str
    reason: str


@dataclass(frozen=True)
class Stream:
    """One (source_system, entity_type): how it is listed, the natural key, and the fields that are no change."""

    source_system: str
    entity_type: str
    settings: type[Settings]
    key: Callable[[Mapping[str, Any]], object]
    listing: Callable[[Any, Request], Listing]
    check: Callable[[Any], str]
    """Ask the source the least that proves it reachable; return what was found, raise EtlError."""
    volatile: frozenset[str] = frozenset()
    activity: tuple[str, ...] = ()
    """Volatile fields that say when a record was last seen: kept beside its head, in place."""
    detail_of: str | None = None
    """The entity type whose records are fetched one by one here; such a stream is never listed whole."""
    batch_size: int | None = None
    """Fewer records a transaction than the setting, where each of them costs a call."""

    @property
    def name(self) -> str:
        """Return the stream's name in logs, locks and rejects, e.g. `tdx/user`."""
        return f"{self.source_system}/{self.entity_type}"

    @property
    def lock_name(self) -> str:
        """Return the advisory lock that keeps a second run of this stream away."""
        return f"{LOCK_PREFIX}{self.name}"

    @property
    def hash_version(self) -> int:
        """Return the number of the rule by which this stream's records are hashed."""
        return hash_version(self.volatile)

    def external_id(self, record: Mapping[str, Any]) -> str:
        """Return a record's key as text; BadRecordError when it has none."""
        return key_text(self.key(record))
