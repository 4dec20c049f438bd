"""What a source is to the engine: a stream says how to list its records, which key they have, what is volatile."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import people_hub
from etlkit.errors import ConfigError
from etlkit.settings import Settings
from people_hub.bronze.canonical import BadRecordError, hash_version

SCRIPT_KINDS = ("ingest", "enrich")
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


@dataclass(frozen=True)
class Script:
    """A script of the hub: its file's name and its stream."""

    name: str
    stream: Stream

    @property
    def kind(self) -> str:
        """Return `ingest` or `enrich`."""
        return self.name.split("_")[0]

    @property
    def short_name(self) -> str:
        """Return the name without its kind, as `--only` takes it."""
        return self.name.split("_", 1)[1]


def all_scripts() -> list[Script]:
    """Return every script of the package, in the order of a whole run: who is needed by others comes first.

    Raises ConfigError for a script that cannot be imported, and for two that declare the same stream.
    """
    names = [found.name for found in pkgutil.iter_modules(people_hub.__path__)]
    found = [_import_script(name) for name in names if name.split("_")[0] in SCRIPT_KINDS]
    by_stream: dict[str, str] = {}
    for script in found:
        other = by_stream.setdefault(script.stream.name, script.name)
        if other != script.name:
            raise ConfigError(
                f"{other}.py and {script.name}.py both declare the stream {script.stream.name}, and each would bury "
                "the other's records. Give one of them another source_system or entity_type. Nothing was touched."
            )
    return sorted(found, key=lambda script: (SCRIPT_KINDS.index(script.kind), script.name))


def _import_script(name: str) -> Script:
    """Return a script of the package; ConfigError that names its file when it cannot be imported."""
    try:
        return Script(name, importlib.import_module(f"people_hub.{name}").STREAM)
    except Exception as error:
        raise ConfigError(
            f"people_hub/{name}.py cannot be used: {type(error).__name__} {error}. Correct or remove it. "
            "Nothing was touched."
        ) from error


def choose_scripts(kind: str, only: list[str]) -> list[Script]:
    """Return the scripts of a kind, or those of the given names; ConfigError for a name that is none."""
    known = [script for script in all_scripts() if script.kind == kind]
    names = [name.strip().removeprefix(f"{kind}_") for text in only for name in text.split(",") if name.strip()]
    if unknown := sorted(set(names) - {script.short_name for script in known}):
        raise ConfigError(
            f"no {kind} script is called {', '.join(unknown)}; there are: "
            f"{', '.join(script.short_name for script in known)}. Nothing was touched."
        )
    return [script for script in known if not names or script.short_name in names]


def find_stream(name: str) -> Stream:
    """Return a stream by its own name or its script's; ConfigError when there is none."""
    scripts = all_scripts()
    for script in scripts:
        if name in (script.stream.name, script.name, script.short_name):
            return script.stream
    raise ConfigError(f"there is no stream {name!r}; there are: {', '.join(script.stream.name for script in scripts)}.")
