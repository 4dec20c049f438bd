"""The engine of every ingest and enrich script: a stream's listing -> pages -> new versions in bronze.

In come the records that a stream's source yields, out go versions, heads, rejected records, tombstones and the run's
history. A page is one short transaction, so that a crash loses one page at most; a re-run is safe, since what the heads
know already is skipped by its hash. Tombstones, the watermark and the run's completion are one last transaction.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from etlkit.command import stopping_signal
from etlkit.errors import DataError, EtlError, SourceError
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
    rolled_back_on_error,
)
from etlkit.rejects import create_staging, fill_rejected_records, stage_rejects
from etlkit.runs import Run, complete_run, fail_run, start_run
from etlkit.settings import Settings
from people_hub.bronze.accounting import Statistics
from people_hub.bronze.page import Page, read_page
from people_hub.bronze.replay import AMBIGUOUS, replayable
from people_hub.bronze.store import BronzeStore
from people_hub.bronze.stream import Listing, Request, Stream
from people_hub.hub_settings import SCHEMA_SYSTEM, SCHEMA_VERSION
from people_hub.postgres_adapter import PostgresAdapter

INIT_COMMAND = "python -m people_hub init"
STORED_STAYS = "The open page was rolled back; pages stored before it stay. Run again."
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
    is_replay: bool = False
    """Judge the stream's open rejects again instead of asking its source."""


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
        self._is_late = False
        self._rejected: dict[str, str] = {}
        self._rejected_keys: set[str] = set()
        self._replayed: dict[str, str | None] = {}
        self._started = time.monotonic()
        self._told = (0, 0, 0)
        self._told_at = 0.0

    def create_ingestion_run(
        self, source_system: str, entity_type: str, *, connection: Connection | None = None
    ) -> str:
        """Write the running row of meta.ingestion_runs in a transaction of its own; return the run's id.

        `run_main_process` does it while it holds the stream's lock, so that orphans of the stream are repaired first.
        """
        run = Run(self.run_id, source_system, entity_type, self.dry_run)
        metadata: dict[str, Any] = {
            "kind": "replay" if self.options.is_replay else "enrich" if self.stream.detail_of else "ingest",
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
                try:
                    with cancelled_by_signals(connection), load_errors(f"storing {self.stream.name}", STORED_STAYS):
                        self.create_ingestion_run(
                            self.stream.source_system, self.stream.entity_type, connection=connection
                        )
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
            if self.stream.detail_of and not self.options.is_replay:
                self._choose_details(store, cursor)
        use_watermark = watermark and watermark[0] and not self.options.full_sync
        request = Request(
            watermark=watermark[0] if use_watermark else None,
            due=lambda: self._in_time(store.due_keys()),
            known_keys=store.known_keys,
        )
        if self.options.is_replay:
            listing = Listing(iter(self._records_to_replay(connection, store)), is_full=False)
        else:
            listing = self.stream.listing(self._source_settings, request)
        self.logger.info(
            "🔄 Starting %s of %s%s",
            "retry of the rejects" if self.options.is_replay else "incremental sync" if use_watermark else "full sync",
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
        self._finish(connection, store, listing, is_full=is_full)

    def _store_all(self, connection: Connection, store: BronzeStore, listing: Listing) -> bool:
        """Read and store every page; return whether it stopped before the source's end."""
        is_stopped_early = False
        with closing(_closable(listing.records)) as records:
            for raw_page, is_stopped_early in self._pages(records):  # noqa: B007 - the last one is what matters
                self._store_page(connection, store, read_page(self.stream, raw_page))
        return is_stopped_early or self._is_late

    def _records_to_replay(self, connection: Connection, store: BronzeStore) -> list[dict[str, Any]]:
        """Return the kept records that are good today; remember which reject each of them would settle.

        One that was rejected for having another's key is left, since only its source can say which of them is right; of
        one whose key has got a newer version since, the reject is settled without storing it.
        """
        with rolled_back_on_error(connection), connection, connection.cursor() as cursor:
            store.run(cursor, "list_open_rejects_of_stream")
            rejects = [
                (position, last_seen, replayable(self.stream, bytes(raw)))
                for position, raw, reasons, last_seen in cursor.fetchall()
                if AMBIGUOUS not in reasons
            ]
            keys = [found[0] for _position, _last_seen, found in rejects if found]
            store.run(cursor, "list_head_times", external_ids=keys)
            stored_at = dict(cursor.fetchall())
        records = []
        for position, last_seen, found in rejects:
            if found is None:
                continue
            key, record = found
            is_superseded = key in stored_at and stored_at[key] > last_seen
            self._replayed[position] = None if is_superseded else key
            if not is_superseded:
                records.append(record)
        return records

    def _in_time(self, keys: Iterator[str]) -> Iterator[str]:
        """Yield keys until the time of --max-minutes is over."""
        deadline = self._deadline()
        for key in keys:
            if time.monotonic() >= deadline:
                self._stop_late()
                return
            yield key

    def _deadline(self) -> float:
        """Return when the time of --max-minutes is over."""
        minutes = self.options.max_minutes
        return float("inf") if minutes is None else self._started + minutes * 60

    def _stop_late(self) -> None:
        """Note that the time of --max-minutes is over."""
        follows = "goes on from here" if self.stream.detail_of else "begins at the source's start again"
        if not self._is_late:
            self._statistics.notes.append(f"the time of --max-minutes is over; the next run {follows}")
        self._is_late = True

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
        """Yield (records, stopped early) in batches until the source, the limit or the time has run out.

        What came before a source failed is a page too; its error follows.
        """
        size = min(self.stream.batch_size or self.options.batch_size, self.options.batch_size)
        deadline, left = self._deadline(), self.options.max_records
        page: list[Any] = []
        try:
            for record in records:
                page.append(record)
                left -= 1
                if left == 0:
                    break
                if time.monotonic() >= deadline:
                    self._stop_late()
                    break
                if len(page) >= size:
                    yield page, False
                    page = []
        except SourceError:
            if page:
                yield page, True
            raise
        if page:
            yield page, left == 0

    def _store_page(self, connection: Connection, store: BronzeStore, page: Page) -> None:
        """Judge and store one page."""
        with rolled_back_on_error(connection), connection.cursor() as cursor:
            states = store.judge(
                cursor, [(place, key, content.entity_hash) for place, (key, content) in page.good.items()]
            )
            connection.commit()
        with self._unit_of_work(connection) as cursor:
            self._store_judged(cursor, store, page, states)
            self._keep_rejects(cursor, store, page)
            self._tell_progress(cursor, store)

    @contextmanager
    def _unit_of_work(self, connection: Connection) -> Iterator[Cursor]:
        """Commit what is written inside, or roll it back after an error and on a dry run."""
        with rolled_back_on_error(connection), connection.cursor() as cursor:
            yield cursor
            if self.dry_run:
                connection.rollback()
            else:
                commit(connection)

    def _store_judged(self, cursor: Cursor, store: BronzeStore, page: Page, states: dict[int, str]) -> None:
        """Write a judged page: versions and heads; count every record of it."""
        for place in [place for place, state in states.items() if state == "conflicting"]:
            key, content = page.good[place]
            page.reject(place, key, AMBIGUOUS, f"{key} (another of the same key, {content.entity_hash[:8]})")
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
        page.tell_apart(self._rejected)
        self._count_records(page, states)

    def _count_records(self, page: Page, states: dict[int, str]) -> None:
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

    def _count_record(self, page: Page, place: int, state: str) -> None:
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

    def _rehash(self, cursor: Cursor, store: BronzeStore, page: Page, states: dict[int, str]) -> None:
        """Judge records whose head an older rule hashed: if it is the same by today's rule, the head gets that hash."""
        places = [place for place, state in states.items() if state == "hashed_by_other_rule"]
        if not places:
            return
        same = store.same_by_new_rule(cursor, dict(page.good[place] for place in places))
        store.run(cursor, "update_head_hashes", external_ids=list(same), entity_hashes=list(same.values()))
        for place in places:
            states[place] = "unchanged" if page.good[place][0] in same else "changed"

    def _keep_rejects(self, cursor: Cursor, store: BronzeStore, page: Page) -> None:
        """Keep the page's rejects, resolve those that turned good, and note the details that were fetched."""
        statistics = self._statistics
        if page.rejects:
            self._keyless += page.keyless
            self._rejected_keys.update(page.rejected_keys)
            store.run(cursor, "fill_rejected_key", external_ids=page.rejected_keys)
            create_staging(cursor)
            stage_rejects(cursor, page.rejects.values())
            statistics.new_rejects += fill_rejected_records(cursor, self.run_id).new
        if not statistics.open_rejects and not self.stream.detail_of:
            return
        good_keys = [key for key, _content in page.good.values()]
        if self.options.is_replay:
            return  # what it settles is known at its end
        self._resolve(cursor, store, [key for key in good_keys if key not in self._rejected])
        if self.stream.detail_of:
            store.run(cursor, "fill_detail_fetches", external_ids=good_keys)

    def _resolve(self, cursor: Cursor, store: BronzeStore, positions: list[str]) -> None:
        """Resolve the open rejects of some positions."""
        self._statistics.resolved += store.run(cursor, "resolve_rejects", positions=positions)

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

    def _finish(self, connection: Connection, store: BronzeStore, listing: Listing, *, is_full: bool) -> None:
        """Write tombstones where the listing proves them, the watermark and the run's end, in one transaction."""
        statistics, open_before = self._statistics, self._statistics.open_rejects
        is_whole = statistics.is_complete and not self.options.max_records
        with self._unit_of_work(connection) as cursor:
            if self.options.is_replay:
                self._resolve(cursor, store, self._settled_by_replay())
            elif is_whole and is_full:
                self._bury_vanished(cursor, store)
                statistics.resolved += store.run(cursor, "resolve_unmet_rejects", positions=list(self._rejected))
            elif self.stream.detail_of:
                statistics.deleted = store.run(cursor, "fill_detail_tombstones", detail_of=self.stream.detail_of)
                statistics.resolved += store.run(cursor, "resolve_gone_details", detail_of=self.stream.detail_of)
            statistics.open_rejects = store.ask(cursor, "count_open_rejects")[0]
            if self.dry_run:  # the pages before this transaction are rolled back already
                statistics.open_rejects = max(0, open_before + statistics.new_rejects - statistics.resolved)
            statistics.require_sum()
            if is_whole and not self.options.is_replay:
                watermark = json.dumps(listing.watermark) if listing.watermark else None
                store.run(cursor, "fill_stream_state", watermark=watermark, is_full=is_full)
            self.complete_ingestion_run(
                statistics.run_id, statistics.processed, statistics.created, statistics.updated, cursor=cursor
            )
        statistics.completed_at = datetime.now(UTC)

    def _settled_by_replay(self) -> list[str]:
        """Return the rejects that a replay has settled: stored, outdated, or kept under the key that is known now."""
        return [
            position
            for position, key in self._replayed.items()
            if key is None or key not in self._rejected_keys or key != position
        ]

    def _bury_vanished(self, cursor: Cursor, store: BronzeStore) -> None:
        """Write a tombstone for every record that the listing proves gone; refuse when it is too many of them."""
        statistics = self._statistics
        living, vanished = store.ask(cursor, "count_vanished")
        percent = 100 * vanished / living if living else 100
        if not statistics.processed:
            raise DataError(
                f"{self.stream.name} listed no record at all, which is not believed ({living:,} are known). "
                "No tombstone was written. Look to the source, and to what its login may see."
            )
        if not vanished:
            return
        if self._keyless:
            statistics.notes.append(
                f"{vanished:,} known records were not listed, but {self._keyless:,} rejected ones have no key and may "
                "be among them: no tombstone was written"
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
        message = redact(message, self.options.secrets)
        if fail_run(connection, run, message):
            return
        try:  # the run's own connection is gone; the server may still be there
            with closing(self.db_adapter.detached_connection()) as another:
                is_closed = fail_run(another, run, message)
        except EtlError:
            is_closed = False
        if not is_closed:
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


def _closable(records: Iterator[Any]) -> Any:
    """Return an iterator that can be closed, so that a source's connection ends with the run."""
    return records if hasattr(records, "close") else (record for record in records)
