"""Bronze in Postgres: which of a page's records are new, their versions and heads, and what has vanished.

In come keys, hashes and records of one stream, out go rows of bronze.raw_entities and bronze.entity_heads. A re-run is
safe: what the heads know already is left alone. Every method works in the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2

from etlkit.copying import copy_rows, savepoint, store_or_halve
from etlkit.postgres import Connection, Cursor, run_file
from people_hub.bronze.canonical import Content, hash_version, read_content
from people_hub.bronze.fingerprints import BYTES, HeadFingerprints, fingerprint
from people_hub.bronze.page import plain_reason
from people_hub.bronze.stream import Stream

SQL = Path(__file__).resolve().parent.parent / "sql"
SESSION_TABLES = (
    "listing/create_seen_key",
    "listing/create_rejected_key",
    "listing/create_unmet_fingerprint",
    "tombstone/create_vanished_key",
)
Listed = tuple[int, str, str]
"""A listed record: its place on its page, its key, its hash."""
_DUE_ROWS = 500
_HEAD_PAGES = 4096


@dataclass(frozen=True, slots=True)
class Version:
    """A new version of one record."""

    source_system: str
    entity_type: str
    external_id: str
    content: Content
    hash_version: int = hash_version(frozenset())
    metadata: Mapping[str, Any] | None = None


def store_versions(cursor: Cursor, versions: Sequence[Version], run_id: UUID) -> list[tuple[Version, str]]:
    """Store versions by COPY; return those that the database refuses, with its reason.

    One bad record costs no other: a batch that fails is halved until the record to blame is alone.
    """
    run_file(cursor, SQL / "version" / "create_staging_version.sql")
    refused: list[tuple[Version, str]] = []

    def store(part: Sequence[Version]) -> None:
        with savepoint(cursor):
            cursor.execute("truncate staging_version")
            copy_rows(
                cursor,
                SQL / "version" / "copy_staging_version.sql",
                (_row(n, version) for n, version in enumerate(part)),
            )
            run_file(cursor, SQL / "version" / "fill_raw_entities.sql", {"run_id": str(run_id)})

    def refuse(version: Version, error: psycopg2.Error) -> None:
        refused.append((version, f"refused_by_database: {_reason(error)}"))

    store_or_halve(versions, store, refuse)
    return refused


def _row(number: int, version: Version) -> tuple[object, ...]:
    """Return a version's row for staging_version."""
    return (
        number, version.source_system, version.entity_type, version.external_id, version.content.entity_hash,
        version.hash_version, version.content.as_json(), json.dumps(version.metadata or {}),
    )  # fmt: skip


def array_literal(texts: Iterable[str]) -> str:
    """Return texts as the literal of a Postgres array: one parameter, far quicker to read than one for each text."""
    joined = "\n".join(texts)  # no key holds a line break
    if "\\" in joined or '"' in joined:
        joined = joined.replace("\\", "\\\\").replace('"', '\\"')
    return '{"' + joined.replace("\n", '","') + '"}' if joined else "{}"


def _reason(error: psycopg2.Error) -> str:
    """Return the server's sentence in words that an array of reasons can hold."""
    return plain_reason(error.diag.message_primary or type(error).__name__)


class BronzeStore:
    """One run's view of bronze: one stream, one session."""

    def __init__(self, connection: Connection, stream: Stream, run_id: UUID) -> None:
        """Keep what the statements need."""
        self._connection = connection
        self._stream = stream
        self._run_id = run_id
        self._parameters: dict[str, Any] = {
            "source_system": stream.source_system,
            "entity_type": stream.entity_type,
            "hash_version": stream.hash_version,
            "run_id": str(run_id),
            "source": stream.name,
            "bytes": BYTES,
        }
        self._fingerprints: HeadFingerprints | None = None
        self._met_hashes: dict[str, str] = {}
        """What came first of keys that came with another content since, where a fingerprint recognised it."""

    def create_session_tables(self, cursor: Cursor) -> None:
        """Create the session's TEMP tables, with room in memory for the keys of a large listing."""
        cursor.execute("set temp_buffers = '64MB'")
        for name in SESSION_TABLES:
            self.run(cursor, name)

    def run(self, cursor: Cursor, name: str, **parameters: object) -> int:
        """Run a statement with the stream's parameters and some more; return the rows it touched."""
        return run_file(cursor, SQL / f"{name}.sql", {**self._parameters, **parameters})

    def ask(self, cursor: Cursor, name: str, **parameters: object) -> tuple[Any, ...]:
        """Return the first row of a statement, an empty tuple when there is none."""
        self.run(cursor, name, **parameters)
        return cursor.fetchone() or ()

    def load_fingerprints(self) -> None:
        """Read the fingerprints of the stream's heads, which spares a long listing most of its questions."""
        with self._connection, self._connection.cursor() as cursor:
            # of one moment, so that a head that moves meanwhile is not read twice
            cursor.execute("set transaction isolation level repeatable read")
            self._fingerprints = HeadFingerprints(self._head_fingerprints(cursor))

    def _head_fingerprints(self, cursor: Cursor) -> Iterator[bytes]:
        """Yield the fingerprints of the heads, some pages of their table at a time."""
        (pages,) = self.ask(cursor, "listing/count_head_pages")
        for page in range(0, pages, _HEAD_PAGES):
            first, end = f"({page},0)", f"({page + _HEAD_PAGES},0)"
            (block,) = self.ask(cursor, "listing/list_head_fingerprints", first=first, end=end)
            yield bytes(block or b"")

    def judge(self, cursor: Cursor, listed: Iterable[Listed]) -> dict[int, str]:
        """Hold a page against the heads and the run's earlier records, and remember it.

        Returns (place: state) of what is not simply unchanged: new, changed, hashed_by_other_rule, repeated (came
        before with the same content) or conflicting (came before with another).
        """
        first: dict[str, Listed] = {}
        again = [record for record in listed if first.setdefault(record[1], record) is not record]
        unknown = list(first.values())
        states: dict[int, str] = {}
        if self._fingerprints is not None:
            version = self._stream.hash_version
            numbers, repeated = self._fingerprints.meet(fingerprint(key, digest, version) for _, key, digest in unknown)
            states.update((unknown[number][0], "repeated") for number in repeated)
            unknown = [unknown[number] for number in numbers]
        others = self._ask_server(cursor, unknown, states) if unknown else {}
        for place, key, entity_hash in again:
            came_first = others.get(key, first[key][2])
            states[place] = "repeated" if entity_hash == came_first else "conflicting"
        return states

    def _ask_server(self, cursor: Cursor, listed: list[Listed], states: dict[int, str]) -> dict[str, str]:
        """Let the server judge records whose keys differ; add what is not simply unchanged to the states.

        Returns (key: hash) of what came first in this run, for those that came with another content now.
        """
        self.run(
            cursor,
            "listing/classify_listing",
            external_ids=array_literal(key for _place, key, _hash in listed),
            entity_hashes=array_literal(entity_hash for _place, _key, entity_hash in listed),
            places=array_literal(str(place) for place, _key, _hash in listed),
        )
        keys = {place: key for place, key, _hash in listed}
        others: dict[str, str] = {}
        for place, state, hash_before in cursor.fetchall():
            key = keys[place]
            if state == "changed" and not self._replaces_head(key, hash_before):
                self._met_hashes[key] = hash_before
            is_conflicting = state == "conflicting" or key in self._met_hashes
            if is_conflicting:
                others[key] = self._met_hashes.get(key, hash_before)
            states[place] = "conflicting" if is_conflicting else state
        return others

    def _replaces_head(self, key: str, head_hash: str) -> bool:
        """Tell whether a changed record is the first of its key, and no listed record had the head's content."""
        if self._fingerprints is None:
            return True
        return self._fingerprints.replace(fingerprint(key, head_hash, self._stream.hash_version))

    def find_vanished(self, cursor: Cursor) -> int:
        """Fill vanished_key with the living records that the run's listing has not named; return how many there are."""
        # a stream of which the server has no statistics yet looks small, and would be joined row by row for hours
        cursor.execute("set local enable_nestloop = off")
        if self._fingerprints is not None:
            unmet = ((head,) for head in self._fingerprints.unmet())
            copy_rows(cursor, SQL / "listing" / "copy_unmet_fingerprint.sql", unmet)
        return self.run(cursor, "tombstone/fill_vanished_key", has_fingerprints=self._fingerprints is not None)

    def same_by_new_rule(self, cursor: Cursor, contents: Mapping[str, Content]) -> dict[str, str]:
        """Return (key: hash) of those whose stored record has the same hash under today's rule: no real change."""
        self.run(cursor, "head/list_head_records", external_ids=list(contents))
        return {
            key: contents[key].entity_hash
            for key, raw in cursor.fetchall()
            if read_content(json.loads(raw), self._stream.volatile).entity_hash == contents[key].entity_hash
        }

    def store(self, cursor: Cursor, contents: Mapping[str, Content]) -> list[tuple[str, str]]:
        """Store new versions of some keys; return (key, reason) of those that the database refuses."""
        versions = [
            Version(
                self._stream.source_system,
                self._stream.entity_type,
                key,
                content,
                self._stream.hash_version,
                {"cleaned": list(content.cleaned)} if content.cleaned else None,
            )
            for key, content in contents.items()
        ]
        refused = store_versions(cursor, versions, self._run_id)
        return [(version.external_id, reason) for version, reason in refused]

    def note_activity(self, cursor: Cursor, records: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep when some records were last seen, of those that say it."""
        seen = {
            key: {name: record[name] for name in self._stream.activity if record.get(name) not in (None, "")}
            for key, record in records.items()
        }
        seen = {key: activity for key, activity in seen.items() if activity}
        if seen:
            self.run(
                cursor,
                "version/fill_entity_activity",
                external_ids=list(seen),
                activities=[json.dumps(activity, default=str) for activity in seen.values()],
            )

    def due_keys(self) -> Iterator[str]:
        """Yield the keys of detail_due, the most urgent first; no transaction stays open between them."""
        after = 0
        while True:
            with self._connection, self._connection.cursor() as cursor:
                self.run(cursor, "detail/list_detail_due", after=after, limit=_DUE_ROWS)
                rows = cursor.fetchall()
            if not rows:
                return
            for after, key in rows:  # noqa: B007 - the last one is where the next rows start
                yield key

    def known_keys(self, entity_type: str) -> Iterator[str]:
        """Yield the keys of another stream of the same source, those that have vanished from its listing too."""
        with self._connection, self._connection.cursor() as cursor:
            self.run(cursor, "head/list_known_keys", entity_type=entity_type)
            rows = cursor.fetchall()
        for (key,) in rows:
            yield key
