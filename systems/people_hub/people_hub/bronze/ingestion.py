"""The engine of every ingest and enrich script: a stream's listing -> pages -> new versions in bronze.

In come the records that a stream's source yields, out go versions, heads, rejected records, tombstones and the run's
history. A page is one short transaction, so that a crash loses one page at most; a re-run is safe, since what the heads
know already is skipped by its hash. Tombstones, the watermark and the run's completion are one last transaction.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg2

from etlkit.command import stopping_signal
from etlkit.errors import DataError, EtlError
from etlkit.logs import redact
from etlkit.postgres import (
    Connection,
    Cursor,
    advisory_lock,
    cancelled_by_signals,
    commit,
    load_errors,
    process_name,
    require_schema,
)
from etlkit.rejects import Reject, create_staging, fill_rejected_records, stage_rejects
from etlkit.runs import Run, complete_run, fail_run, start_run
from etlkit.settings import Settings
from people_hub.bronze.accounting import Statistics
from people_hub.bronze.canonical import BadRecordError, Content, read_content
from people_hub.bronze.store import BronzeStore
from people_hub.bronze.stream import Listing, Request, Stream
from people_hub.hub_settings import SCHEMA_SYSTEM, SCHEMA_VERSION
from people_hub.postgres_adapter import PostgresAdapter

INIT_COMMAND = "python -m people_hub init"
LONGEST_KEY = 500
HEARTBEAT_SECONDS = 2
SHOWN_RECORDS = 20
"""So many new and so many changed records get a line of their own; the others do on LOG_LEVEL=DEBUG."""


@dataclass(frozen=True)
class Options:
    """How a run goes about its work."""

    dry_run: bool = False
    full_sync: bool = False
    batch_size: int = 1000
    max_records: int = 0
    max_minutes: float | None = None
    mass_delete_percent: float = 10
    detail_max_age_days: float = 30
    progress_every: int = 50
    shows_every_record: bool = False
    secrets: tuple[str, ...] = ()
    kind: str | None = None
    """What the run's history calls it: else ingest, or enrich for details."""


@dataclass
class _Page:
    """Some records on their way to bronze: (key, content) of the good ones and the rejects of the others, by place."""

    stream_name: str
    raw: list[Any]
    good: dict[int, tuple[str, Content]] = field(default_factory=dict)
    rejects: dict[int, Reject] = field(default_factory=dict)
    rejected_keys: list[str] = field(default_factory=list)
    keyless: int = 0

    def reject(self, place: int, key: str, reason: str, position: str | None = None) -> None:
        """Keep a bad record: by its key, by its content when it has none, or by the position given."""
        self.good.pop(place, None)
        text = _as_bytes(self.raw[place])
        if position is None:
            self.keyless += not key
            self.rejected_keys.extend([key] if key else [])
        self.rejects[place] = Reject(self.stream_name, position or key or f"no key {_digest(text)}", text, (reason,))


class IngestionService:
    """Brings one stream into bronze."""

    def __init__(
        self,
        database_url: str,
        stream: Stream,
        source_settings: Settings | None = None,
        *,
        dry_run: bool = False,
        options: Options | None = None,
        adapter: PostgresAdapter | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        """Keep what a run needs; nothing is connected yet."""
        self.stream = stream
        self.options = options or Options(dry_run=dry_run)
        self.dry_run = self.options.dry_run
        self.logger = logger or logging.getLogger(f"people_hub.{stream.source_system}.{stream.entity_type}")
        self.run_id = uuid4()
        self.db_adapter = adapter or PostgresAdapter(database_url)
        self._owns_adapter = adapter is None
        self._source_settings = source_settings
        self._statistics = Statistics(str(self.run_id), dry_run=self.dry_run)
        self._shown = {"new": 0, "changed": 0}
        self._keyless = 0
        self._told = (0, 0, 0)
        self._told_at = 0.0

    def create_ingestion_run(
        self, source_system: str, entity_type: str, *, connection: Connection | None = None
    ) -> str:
        """Write the running row of meta.ingestion_runs in a transaction of its own; return the run's id.

        `run_main_process` does it while it holds the stream's lock, so that orphans of the stream are repaired first.
        """
        run = Run(self.run_id, source_system, entity_type, self.dry_run)
        metadata = {
            "kind": self.options.kind or ("enrich" if self.stream.detail_of else "ingest"),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "full_sync": self.options.full_sync,
            "max_records": self.options.max_records,
        }
        if connection is not None:
            if orphans := start_run(connection, run, metadata):
                self.logger.warning("⚠️ %s earlier run(s) ended without a word; marked failed", orphans)
            return str(run.run_id)
        with closing(self.db_adapter.detached_connection()) as own:
            start_run(own, run, metadata, is_alone=False)
        return str(run.run_id)

    def complete_ingestion_run(
        self,
        run_id: str,
        records_processed: int,
        records_created: int,
        records_updated: int = 0,
        error_message: str | None = None,
        *,
        cursor: Cursor | None = None,
    ) -> None:
        """Complete the run's row, or mark it failed when there is an error message.

        With a cursor it happens in the cursor's transaction, together with the data; else in one of its own.
        """
        run = Run(UUID(run_id), self.stream.source_system, self.stream.entity_type, self.dry_run)
        if cursor is None:
            with closing(self.db_adapter.detached_connection()) as own, load_errors("closing the run's history"):
                if error_message:
                    fail_run(own, run, error_message)
                    return
                with own, own.cursor() as opened:
                    self.complete_ingestion_run(
                        run_id, records_processed, records_created, records_updated, cursor=opened
                    )
            return
        complete_run(
            cursor,
            run,
            processed=records_processed,
            created=records_created,
            updated=records_updated,
            metadata=self._statistics.metadata(),
        )

    def run_main_process(self) -> dict[str, Any]:
        """Bring the stream's records into bronze; return the run's statistics.

        Raises LockedError when another run holds the stream, ConfigError for a database without the hub's schema,
        SourceError when the source did not list everything, DataError when too much has vanished, LoadError when the
        database refuses. Pages that were stored by then stay; no tombstone and no watermark is written.
        """
        self.db_adapter.application_name = process_name(f"people_hub {self.stream.name}", self.run_id)
        with closing(self.db_adapter.detached_connection()) as connection:
            require_schema(connection, SCHEMA_SYSTEM, SCHEMA_VERSION, INIT_COMMAND)
            with advisory_lock(connection, self.stream.lock_name):
                self.create_ingestion_run(self.stream.source_system, self.stream.entity_type, connection=connection)
                try:
                    with cancelled_by_signals(connection), load_errors(f"storing {self.stream.name}"):
                        self._bring_in(connection)
                except BaseException as error:
                    self._mark_failed(connection, error)
                    raise
        statistics = self._statistics
        for line in statistics.summary_lines(self.stream.name):
            self.logger.info(line)
        return statistics.as_dict()

    def results_lines(self) -> list[str]:
        """Return what a script prints after its log."""
        return self._statistics.results_lines()

    def close(self) -> None:
        """Close the connections of the service's own pool."""
        if self._owns_adapter:
            self.db_adapter.close()

    def _bring_in(self, connection: Connection) -> None:
        """List, store page by page, and finish."""
        store = BronzeStore(connection, self.stream, self.run_id)
        with connection, connection.cursor() as cursor:
            store.create_session_tables(cursor)
            watermark = store.ask(cursor, "read_stream_state")
            self._statistics.open_rejects = store.ask(cursor, "count_open_rejects")[0]
            if self.stream.detail_of:
                self._choose_details(store, cursor)
        use_watermark = watermark and watermark[0] and not self.options.full_sync
        request = Request(
            watermark=watermark[0] if use_watermark else None, due=store.due_keys, known_keys=store.living_keys
        )
        listing = self.stream.listing(self._source_settings, request)
        self.logger.info(
            "🔄 Starting %s of %s%s",
            "incremental sync" if use_watermark else "full sync",
            self.stream.name,
            " [DRY RUN] no database changes will be made" if self.dry_run else "",
        )
        is_stopped_early = self._store_all(connection, store, listing)
        is_full = listing.is_full and not self.stream.detail_of
        self._statistics.is_full = is_full
        self._statistics.passed_over = listing.passed_over
        self._statistics.processed += listing.passed_over
        self._statistics.is_complete = not is_stopped_early
        self._statistics.notes.extend(listing.notes)
        self._finish(connection, store, listing, keyless=self._keyless if is_full else None)

    def _store_all(self, connection: Connection, store: BronzeStore, listing: Listing) -> bool:
        """Read and store every page; return whether it stopped before the source's end."""
        is_stopped_early = False
        with closing(_closable(listing.records)) as records:
            for raw_page, is_stopped_early in self._pages(records):  # noqa: B007 - the last one is what matters
                self._store_page(connection, store, self._read_page(raw_page))
        return is_stopped_early

    def _choose_details(self, store: BronzeStore, cursor: Cursor) -> None:
        """Choose the records whose detail is to be fetched, and say how many for which reason."""
        store.run(
            cursor,
            "fill_detail_due",
            detail_of=self.stream.detail_of,
            full_sync=self.options.full_sync,
            max_age_days=self.options.detail_max_age_days,
        )
        store.run(cursor, "count_detail_due")
        due = cursor.fetchall()
        text = ", ".join(f"{count:,} {reason}" for reason, count in due) or "none"
        self.logger.info("📚 Details due of %s/%s: %s", self.stream.source_system, self.stream.detail_of, text)

    def _pages(self, records: Iterator[Any]) -> Iterator[tuple[list[Any], bool]]:
        """Yield (records, stopped early) in batches until the source, the limit or the time has run out."""
        size = min(self.stream.batch_size or self.options.batch_size, self.options.batch_size)
        minutes = self.options.max_minutes
        deadline = time.monotonic() + minutes * 60 if minutes is not None else None
        left = self.options.max_records or None
        page: list[Any] = []
        for record in records:
            if left is not None and left <= 0:
                yield page, True
                return
            page.append(record)
            left = None if left is None else left - 1
            is_late = deadline is not None and time.monotonic() >= deadline
            if is_late:
                self._statistics.notes.append("the time of --max-minutes is over; the next run goes on from here")
                yield page, True
                return
            if len(page) >= size:
                yield page, False
                page = []
        yield page, False

    def _store_page(self, connection: Connection, store: BronzeStore, page: _Page) -> None:
        """Judge and store one page."""
        with connection, connection.cursor() as cursor:
            states = store.judge(
                cursor, [(place, key, content.entity_hash) for place, (key, content) in page.good.items()]
            )
        with self._unit_of_work(connection) as cursor:
            self._store_judged(cursor, store, page, states)
            self._keep_rejects(cursor, store, page)
            self._tell_progress(cursor, store)

    @contextmanager
    def _unit_of_work(self, connection: Connection) -> Iterator[Cursor]:
        """Commit what is written inside, or roll it back after an error and on a dry run."""
        try:
            with connection.cursor() as cursor:
                yield cursor
        except BaseException:
            with suppress(psycopg2.Error):
                connection.rollback()
            raise
        if self.dry_run:
            connection.rollback()
        else:
            commit(connection)

    def _read_page(self, raw_page: list[Any]) -> _Page:
        """Read keys and hashes; a record that has none becomes a reject."""
        page = _Page(self.stream.name, raw_page)
        for place, raw in enumerate(raw_page):
            key = ""
            try:
                if isinstance(raw, dict):
                    key = self.stream.external_id(raw)
                if len(key) > LONGEST_KEY:
                    page.reject(place, key, "key_too_long", f"{key[:100]}... {_digest(key.encode())}")
                else:
                    page.good[place] = (key, read_content(raw, self.stream.volatile))
            except BadRecordError as error:
                page.reject(place, key, str(error))
        return page

    def _store_judged(self, cursor: Cursor, store: BronzeStore, page: _Page, states: dict[int, str]) -> None:
        """Write a judged page: versions and heads; count every record of it."""
        for place in [place for place, state in states.items() if state == "conflicting"]:
            key, content = page.good[place]
            position = f"{key} (another of the same key, {content.entity_hash[:8]})"
            page.reject(place, key, "duplicate_key_in_run", position)
        self._rehash(cursor, store, page, states)
        contents = {
            page.good[place][0]: page.good[place][1]
            for place, state in sorted(states.items())
            if state in ("new", "changed")
        }
        refused = dict(store.store(cursor, contents, {})) if contents else {}
        for place, state in states.items():
            if state in ("new", "changed") and page.good[place][0] in refused:
                key = page.good[place][0]
                page.reject(place, key, refused[key])
        self._count_records(page, states)

    def _count_records(self, page: _Page, states: dict[int, str]) -> None:
        """Count every record of a page, and tell how far the run is every so many of them."""
        statistics, every, shows = self._statistics, self.options.progress_every, self.options.shows_every_record
        for place in range(len(page.raw)):
            statistics.processed += 1
            state = states.get(place, "unchanged") if place in page.good else "rejected"
            if state == "unchanged" and not shows:
                statistics.unchanged += 1
            else:
                self._count_record(page, place, state)
            if every and not statistics.processed % every:
                self._show_progress()

    def _count_record(self, page: _Page, place: int, state: str) -> None:
        """Count and show one record of a page."""
        statistics = self._statistics
        if state == "rejected":
            reject = page.rejects[place]
            statistics.reject(reject.position, reject.reasons[0])
            self.logger.error("❌ Failed to process %s: %s", reject.position, reject.reasons[0])
            return
        key = page.good[place][0]
        if state == "unchanged":
            statistics.unchanged += 1
            self.logger.debug("⏭️ Record unchanged, skipping: %s", key)
        elif state == "repeated":
            statistics.repeated += 1
        elif state == "new":
            statistics.created += 1
            self._show(state, "🆕 New record detected: %s", key)
        else:
            statistics.updated += 1
            self._show(state, "📝 Record changed: %s", key)

    def _rehash(self, cursor: Cursor, store: BronzeStore, page: _Page, states: dict[int, str]) -> None:
        """Judge records whose head an older rule hashed: if it is the same by today's rule, the head gets that hash."""
        places = [place for place, state in states.items() if state == "hashed_by_other_rule"]
        if not places:
            return
        same = store.same_by_new_rule(cursor, dict(page.good[place] for place in places))
        store.run(cursor, "update_head_hashes", external_ids=list(same), entity_hashes=list(same.values()))
        for place in places:
            states[place] = "unchanged" if page.good[place][0] in same else "changed"

    def _keep_rejects(self, cursor: Cursor, store: BronzeStore, page: _Page) -> None:
        """Keep the page's rejects, resolve those that turned good, and note the details that were fetched."""
        statistics = self._statistics
        if page.rejects:
            self._keyless += page.keyless
            store.run(cursor, "fill_rejected_key", external_ids=page.rejected_keys)
            create_staging(cursor)
            stage_rejects(cursor, page.rejects.values())
            store.run(cursor, "fill_met_reject")
            statistics.new_rejects += fill_rejected_records(cursor, self.run_id).new
        if not statistics.open_rejects and not self.stream.detail_of:
            return
        good_keys = [key for key, _content in page.good.values()]
        store.run(cursor, "resolve_good_rejects", external_ids=good_keys)
        if self.stream.detail_of:
            store.run(cursor, "fill_detail_fetches", external_ids=good_keys)

    def _tell_progress(self, cursor: Cursor, store: BronzeStore) -> None:
        """Let the run's row tell how far it is: with every page that stores something, else every few seconds."""
        statistics, now = self._statistics, time.monotonic()
        stored = (statistics.created, statistics.updated, statistics.failed)
        if stored == self._told and now < self._told_at + HEARTBEAT_SECONDS:
            return
        self._told, self._told_at = stored, now
        store.run(
            cursor,
            "update_progress",
            records_processed=statistics.processed,
            records_created=statistics.created,
            records_updated=statistics.updated,
        )

    def _finish(self, connection: Connection, store: BronzeStore, listing: Listing, *, keyless: int | None) -> None:
        """Write tombstones where the listing proves them, the watermark and the run's end, in one transaction."""
        statistics = self._statistics
        is_whole = statistics.is_complete and not self.options.max_records
        with self._unit_of_work(connection) as cursor:
            if is_whole and keyless is not None:
                self._bury_vanished(cursor, store, keyless)
                store.run(cursor, "resolve_unmet_rejects")
            elif self.stream.detail_of:
                statistics.deleted = store.run(cursor, "fill_detail_tombstones", detail_of=self.stream.detail_of)
            statistics.open_rejects = store.ask(cursor, "count_open_rejects")[0]
            statistics.require_sum()
            if is_whole:
                store.run(
                    cursor,
                    "fill_stream_state",
                    watermark=json.dumps(listing.watermark) if listing.watermark else None,
                    is_full=keyless is not None,
                )
            self.complete_ingestion_run(
                statistics.run_id, statistics.processed, statistics.created, statistics.updated, cursor=cursor
            )
        statistics.completed_at = datetime.now(UTC)

    def _bury_vanished(self, cursor: Cursor, store: BronzeStore, keyless: int) -> None:
        """Write a tombstone for every record that the listing proves gone; refuse when it is too many of them."""
        statistics = self._statistics
        living, vanished = store.ask(cursor, "count_vanished")
        percent = 100 * vanished / living if living else 0
        if not statistics.processed:
            raise DataError(
                f"{self.stream.name} listed no record at all, which is not believed ({living:,} are known). "
                "No tombstone was written. Look to the source, and to what its login may see."
            )
        if not vanished:
            return
        if keyless:
            statistics.notes.append(
                f"{vanished:,} known records were not listed, but {keyless:,} rejected ones have no key and may be "
                "among them: no tombstone was written"
            )
            return
        if percent > self.options.mass_delete_percent:
            raise DataError(
                f"{vanished:,} of {living:,} known records of {self.stream.name} ({percent:.1f} %) were not listed any "
                f"more; over {self.options.mass_delete_percent:g} % is not believed. No tombstone was written; new and "
                "changed records are stored. If it is right, run again with --full-sync --allow-mass-delete 100."
            )
        statistics.deleted = store.run(cursor, "fill_tombstones")
        self.logger.info("⏭️ %s records have vanished from the source", f"{statistics.deleted:,}")

    def _mark_failed(self, connection: Connection, error: BaseException) -> None:
        """Mark the run failed, whatever ended it."""
        message = str(error) if isinstance(error, EtlError) else f"{type(error).__name__} {error}".strip()
        if name := stopping_signal():
            message = f"stopped by {name}"
        run = Run(self.run_id, self.stream.source_system, self.stream.entity_type, self.dry_run)
        if not fail_run(connection, run, redact(message, self.options.secrets)):
            self.logger.warning("⚠️ the run's history could not be closed; the next run does it")

    def _show(self, kind: str, line: str, key: str) -> None:
        """Log one record's line: the first ones for everybody, the others for who wants every record."""
        self._shown[kind] += 1
        if self._shown[kind] <= SHOWN_RECORDS:
            self.logger.info(line, key)
        elif self.options.shows_every_record:
            self.logger.debug(line, key)

    def _show_progress(self) -> None:
        """Log how far the run is."""
        statistics = self._statistics
        self.logger.info(
            "Progress: %s processed (%s created, %s updated, %s skipped)",
            statistics.processed,
            statistics.created,
            statistics.updated,
            statistics.skipped,
        )


def _digest(data: bytes) -> str:
    """Return enough of a hash to tell records without a key apart."""
    return hashlib.sha256(data).hexdigest()[:16]


def _as_bytes(raw: object) -> bytes:
    """Return a record's original as JSON, with lone surrogates as escapes."""
    try:
        return orjson.dumps(raw)
    except TypeError:
        return json.dumps(raw, default=str, separators=(",", ":")).encode()


def _closable(records: Iterator[Any]) -> Any:
    """Return an iterator that can be closed, so that a source's connection ends with the run."""
    return records if hasattr(records, "close") else (record for record in records)
