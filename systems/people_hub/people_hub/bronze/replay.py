"""Rejected records judged again: what is good now goes into bronze like any listed record, and its reject is resolved.

In come the kept originals of one stream, out go versions. Twice is safe: what bronze has already is unchanged. A record
that was rejected for having another's key stays, since only its source can say which of the two is right.
"""

from __future__ import annotations

import json
import logging
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from etlkit.postgres import Connection, load_errors, require_schema, run_file
from people_hub.bronze.canonical import BadRecordError, read_content
from people_hub.bronze.ingestion import INIT_COMMAND, IngestionService, Options
from people_hub.bronze.store import SQL
from people_hub.bronze.stream import Listing, Stream
from people_hub.hub_settings import SCHEMA_SYSTEM, SCHEMA_VERSION
from people_hub.postgres_adapter import PostgresAdapter

AMBIGUOUS = "duplicate_key_in_run"


@dataclass(frozen=True)
class Retry:
    """What became of a stream's open rejects."""

    stream: str
    tried: int
    resolved: int
    stored: int
    run_id: str = ""

    @property
    def still_bad(self) -> int:
        """Return how many stay open."""
        return self.tried - self.resolved


def retry_stream(adapter: PostgresAdapter, stream: Stream, options: Options, logger: logging.Logger) -> Retry:
    """Judge a stream's open rejects again; return what became of them.

    Raises what `IngestionService.run_main_process` raises. Without open rejects there is no run.
    """
    with closing(adapter.detached_connection()) as connection:
        require_schema(connection, SCHEMA_SYSTEM, SCHEMA_VERSION, INIT_COMMAND)
        rows = _open_rejects(connection, stream)
        if not rows:
            return Retry(stream.name, 0, 0, 0)
        good: list[dict[str, Any]] = []
        settled: list[str] = []
        for position, raw, reasons, is_superseded in rows:
            record = None if AMBIGUOUS in reasons or is_superseded else _good_record(stream, bytes(raw))
            if record is not None:
                good.append(record)
            if record is not None or is_superseded:
                settled.append(position)
        if not settled:
            return Retry(stream.name, len(rows), 0, 0)
        results = _store(adapter, stream, good, options, logger)
        refused = {error.split(": ")[0] for error in results["errors"]}
        settled = [position for position in settled if position not in refused]
        with load_errors("resolving rejects"), connection, connection.cursor() as cursor:
            run_file(cursor, SQL / "resolve_good_rejects.sql", {"source": stream.name, "external_ids": settled})
            if options.dry_run:
                connection.rollback()
    stored = results["records_created"] + results["records_updated"]
    return Retry(stream.name, len(rows), len(settled), stored, results["run_id"])


def _open_rejects(connection: Connection, stream: Stream) -> list[tuple[str, memoryview, list[str], bool]]:
    """Return (position, original, reasons, whether bronze has a newer version) of a stream's open rejects."""
    with load_errors("reading rejects"), connection, connection.cursor() as cursor:
        run_file(
            cursor,
            SQL / "list_retryable_rejects.sql",
            {"source_system": stream.source_system, "entity_type": stream.entity_type, "source": stream.name},
        )
        return cursor.fetchall()


def _good_record(stream: Stream, raw: bytes) -> dict[str, Any] | None:
    """Return a kept record when it has a key and can be stored today."""
    try:
        record = json.loads(raw)
        read_content(record, stream.volatile)
        stream.external_id(record)
    except (BadRecordError, ValueError, RecursionError):
        return None
    found: dict[str, Any] = record
    return found


def _store(
    adapter: PostgresAdapter, stream: Stream, records: list[dict[str, Any]], options: Options, logger: logging.Logger
) -> dict[str, Any]:
    """Run the records through the engine as a listing that proves nothing about others."""
    replayed = replace(
        stream, listing=lambda _settings, _request: Listing(iter(records), is_full=False), detail_of=None
    )
    service = IngestionService("", replayed, options=replace(options, kind="replay"), adapter=adapter, logger=logger)
    try:
        return service.run_main_process()
    finally:
        service.close()
