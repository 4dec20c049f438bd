"""A listing on its way into bronze, page by page, up to its tombstones.

In come the records that a stream's source yields, out go versions, heads, rejected records and tombstones. A page is
one short transaction, so that a crash loses one page at most; a re-run is safe, since what the heads know already is
skipped by its hash. Tombstones, the watermark and the run's completion are one last transaction.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from etlkit.errors import DataError, SourceError
from etlkit.postgres import Connection, Cursor, rolled_back_on_error, unit_of_work
from etlkit.rejects import create_staging, fill_rejected_records, stage_rejects
from etlkit.settings import Settings
from people_hub.accounting import Statistics
from people_hub.bronze.page import Page, read_page
from people_hub.bronze.reject_book import RejectBook
from people_hub.bronze.replay import AMBIGUOUS, KeptRecord, Replay, plan_replay
from people_hub.bronze.store import BronzeStore
from people_hub.bronze.stream import Listing, Request, Stream
from people_hub.service import SHOWN_RECORDS, Options

HEARTBEAT_SECONDS = 2


class ListingRun:
    """One run's way through a listing, on a connection that holds the stream's lock."""

    def __init__(
        self,
        connection: Connection,
        stream: Stream,
        source_settings: Settings | None,
        *,
        options: Options,
        statistics: Statistics,
        logger: logging.Logger,
        complete: Callable[[Cursor], None],
    ) -> None:
        """Keep what a run needs; `complete` is called in the last transaction, to complete the run's history."""
        self._connection = connection
        self._stream = stream
        self._source_settings = source_settings
        self._run_id = UUID(statistics.run_id)
        self._options = options
        self._statistics = statistics
        self._logger = logger
        self._complete = complete
        self._store = BronzeStore(connection, stream, self._run_id)
        self._shown = {"new": 0, "changed": 0}
        self._book = RejectBook()
        self._is_late = False
        self._replay = Replay()
        self._started = time.monotonic()
        self._told = (0, 0, 0)
        self._told_at = 0.0

    def bring_in(self) -> None:
        """List, store page by page, and finish."""
        with self._connection, self._connection.cursor() as cursor:
            self._store.create_session_tables(cursor)
            watermark = self._store.ask(cursor, "stream/read_stream_state")
            self._store.run(cursor, "reject/list_open_positions")
            self._statistics.open_rejects += self._book.note_open(position for (position,) in cursor.fetchall())
            if self._stream.detail_of and not self._options.is_replay:
                self._choose_details(cursor)
        use_watermark = watermark and watermark[0] and not self._options.full_sync
        since = watermark[0] if use_watermark else None
        self._statistics.watermark_before = since
        request = Request(
            watermark=since,
            due=lambda: self._in_time(self._store.due_keys()),
            known_keys=self._store.known_keys,
        )
        if self._options.is_replay:
            self._replay = self._plan_replay()
            listing = Listing(iter(self._replay.records), is_full=False)
        else:
            listing = self._stream.listing(self._source_settings, request)
            if listing.is_full and not (use_watermark or self._stream.detail_of or self._options.max_records):
                self._store.load_fingerprints()
        self._logger.info(
            "🔄 Starting %s of %s%s%s",
            self._kind_of_run(listing),
            self._stream.name,
            f" since {json.dumps(since)}" if since else "",
            " [DRY RUN]" if self._options.dry_run else "",
        )
        is_stopped_early = self._store_all(listing)
        is_full = listing.is_full and not self._stream.detail_of
        self._statistics.is_full = is_full
        self._statistics.passed_over = listing.passed_over
        self._statistics.processed += listing.passed_over
        self._statistics.is_complete = not is_stopped_early
        self._statistics.notes.extend(listing.notes)
        self._finish(listing, is_full=is_full)

    def _kind_of_run(self, listing: Listing) -> str:
        """Return what this run is called in the log."""
        if self._options.is_replay:
            return "retry of the rejects"
        if self._stream.detail_of:
            return "fetch of the details"
        return "full sync" if listing.is_full else "incremental sync"

    def _store_all(self, listing: Listing) -> bool:
        """Read and store every page; return whether it stopped before the source's end."""
        is_stopped_early = False
        with closing(_closable(listing.records)) as records:
            for raw_page, is_stopped_early in self._pages(records):  # noqa: B007 - the last one is what matters
                self._store_page(read_page(self._stream, raw_page))
        return is_stopped_early or self._is_late

    def _plan_replay(self) -> Replay:
        """Choose the kept records that are brought in again."""

        def stored_at(keys: list[str]) -> dict[str, datetime]:
            self._store.run(cursor, "head/list_head_times", external_ids=keys)
            return dict(cursor.fetchall())

        with rolled_back_on_error(self._connection), self._connection, self._connection.cursor() as cursor:
            self._store.run(cursor, "reject/list_open_rejects_of_stream")
            return plan_replay(self._stream, map(KeptRecord._make, cursor.fetchall()), stored_at)

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
        minutes = self._options.max_minutes
        return float("inf") if minutes is None else self._started + minutes * 60

    def _stop_late(self) -> None:
        """Note that the time of --max-minutes is over."""
        follows = "goes on from here" if self._stream.detail_of else "begins at the source's start again"
        if not self._is_late:
            self._statistics.notes.append(f"the time of --max-minutes is over; the next run {follows}")
        self._is_late = True

    def _choose_details(self, cursor: Cursor) -> None:
        """Choose the records whose detail is to be fetched, and say how many for which reason."""
        self._store.run(
            cursor,
            "detail/fill_detail_due",
            detail_of=self._stream.detail_of,
            full_sync=self._options.full_sync,
            max_age_days=self._options.detail_max_age_days,
        )
        self._store.run(cursor, "detail/count_detail_due")
        due = cursor.fetchall()
        text = ", ".join(f"{count:,} {reason}" for reason, count in due) or "none"
        self._logger.info("📚 Details due of %s/%s: %s", self._stream.source_system, self._stream.detail_of, text)

    def _pages(self, records: Iterator[Any]) -> Iterator[tuple[list[Any], bool]]:
        """Yield (records, stopped early) in batches until the source, the limit or the time has run out.

        What came before a source failed is a page too; its error follows.
        """
        size = min(self._stream.batch_size or self._options.batch_size, self._options.batch_size)
        deadline, left = self._deadline(), self._options.max_records
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

    def _store_page(self, page: Page) -> None:
        """Judge and store one page."""
        with rolled_back_on_error(self._connection), self._connection.cursor() as cursor:
            states = self._store.judge(
                cursor, [(place, key, content.entity_hash) for place, (key, content) in page.good.items()]
            )
            if page.rejected_keys:
                self._store.run(cursor, "listing/fill_rejected_key", external_ids=page.rejected_keys)
            self._connection.commit()
        with (
            self._statistics.undone_on_error(),
            unit_of_work(self._connection, dry_run=self._options.dry_run) as cursor,
        ):
            self._store_judged(cursor, page, states)
            self._keep_rejects(cursor, page)
            self._tell_progress(cursor)

    def _store_judged(self, cursor: Cursor, page: Page, states: dict[int, str]) -> None:
        """Write a judged page: versions and heads; count every record of it."""
        for place in [place for place, state in states.items() if state == "conflicting"]:
            key, content = page.good[place]
            page.reject(place, key, AMBIGUOUS, f"{key} (another of the same key, {content.entity_hash[:8]})")
        self._rehash(cursor, page, states)
        contents = {
            page.good[place][0]: page.good[place][1]
            for place, state in sorted(states.items())
            if state in ("new", "changed")
        }
        refused = dict(self._store.store(cursor, contents)) if contents else {}
        for place, state in states.items():
            if state in ("new", "changed") and page.good[place][0] in refused:
                key = page.good[place][0]
                page.reject(place, key, refused[key])
        if self._stream.activity and not self._options.is_replay:
            listed = (place for place in page.good if states.get(place) != "conflicting")
            self._store.note_activity(cursor, {page.good[place][0]: page.good[place][1].record for place in listed})
        page.keep_at(self._replay.position_of)
        page.tell_apart(self._book.digests)
        self._count_records(page, states)

    def _count_records(self, page: Page, states: dict[int, str]) -> None:
        """Count every record of a page, and tell how far the run is every so many of them."""
        statistics, every, shows = self._statistics, self._options.progress_every, self._options.shows_every_record
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
            is_known = self._book.is_known(reject.position)
            self._logger.log(
                logging.INFO if is_known else logging.ERROR,
                "❌ Failed to process %s: %s%s",
                reject.position,
                reject.reasons[0],
                ", as before" if is_known else "",
            )
            return
        key = page.good[place][0]
        if state == "unchanged":
            statistics.unchanged += 1
            self._logger.debug("⏭️ Record unchanged, skipping: %s", key)
        elif state == "repeated":
            statistics.repeated += 1
        elif state == "new":
            statistics.created += 1
            self._show(state, "🆕 New record detected: %s", key)
        else:
            statistics.updated += 1
            self._show(state, "📝 Record changed: %s", key)

    def _rehash(self, cursor: Cursor, page: Page, states: dict[int, str]) -> None:
        """Judge records whose head an older rule hashed: if it is the same by today's rule, the head gets that hash."""
        places = [place for place, state in states.items() if state == "hashed_by_other_rule"]
        if not places:
            return
        same = self._store.same_by_new_rule(cursor, dict(page.good[place] for place in places))
        self._store.run(cursor, "head/update_head_hashes", external_ids=list(same), entity_hashes=list(same.values()))
        for place in places:
            states[place] = "unchanged" if page.good[place][0] in same else "changed"

    def _keep_rejects(self, cursor: Cursor, page: Page) -> None:
        """Keep the page's rejects, note which open ones turned good, and which details were fetched."""
        if fresh := self._book.take(page):
            create_staging(cursor)
            stage_rejects(cursor, fresh)
            self._statistics.new_rejects += fill_rejected_records(cursor, self._run_id).new
        if self._stream.detail_of and not self._options.is_replay:
            self._store.run(
                cursor, "detail/fill_detail_fetches", external_ids=[key for key, _content in page.good.values()]
            )

    def _tell_progress(self, cursor: Cursor) -> None:
        """Let the run's row tell how far it is: with every page that stores something, else every few seconds."""
        statistics, now = self._statistics, time.monotonic()
        stored = (statistics.created, statistics.updated, statistics.failed)
        if stored == self._told and now < self._told_at + HEARTBEAT_SECONDS:
            return
        self._told, self._told_at = stored, now
        self._store.run(
            cursor,
            "stream/update_progress",
            records_processed=statistics.processed,
            records_created=statistics.created,
            records_updated=statistics.updated,
        )

    def _finish(self, listing: Listing, *, is_full: bool) -> None:
        """Write tombstones where the listing proves them, the watermark and the run's end, in one transaction."""
        statistics, open_before = self._statistics, self._statistics.open_rejects
        is_whole = statistics.is_complete and not self._options.max_records
        settled = self._book.settled(self._replay if self._options.is_replay else None)
        with statistics.undone_on_error(), unit_of_work(self._connection, dry_run=self._options.dry_run) as cursor:
            statistics.resolved = self._store.run(cursor, "reject/resolve_rejects", positions=settled)
            if is_whole and is_full:
                self._bury_vanished(cursor)
                statistics.resolved += self._store.run(
                    cursor, "reject/resolve_unmet_rejects", positions=list(self._book.digests)
                )
            elif self._stream.detail_of:
                detail_of = self._stream.detail_of
                statistics.deleted = self._store.run(cursor, "detail/fill_detail_tombstones", detail_of=detail_of)
                statistics.resolved += self._store.run(cursor, "detail/resolve_gone_details", detail_of=detail_of)
            statistics.open_rejects = self._store.ask(cursor, "reject/count_open_rejects")[0]
            if self._options.dry_run:  # the pages before this transaction are rolled back already
                statistics.open_rejects = max(0, open_before + statistics.new_rejects - statistics.resolved)
            statistics.require_sum()
            if is_whole and not self._options.is_replay:
                watermark = json.dumps(listing.watermark) if listing.watermark else None
                self._store.run(cursor, "stream/fill_stream_state", watermark=watermark, is_full=is_full)
            self._complete(cursor)
        statistics.completed_at = datetime.now(UTC)

    def _bury_vanished(self, cursor: Cursor) -> None:
        """Write a tombstone for every record that the listing proves gone; refuse when it is too many of them.

        A record without a key that came since the last whole listing may be any of those that this one lacks: they are
        held back, until it is mended. One that was there already is none of those that vanished since.
        """
        statistics = self._statistics
        found = self._store.find_vanished(cursor) if statistics.processed else 0
        held_back = self._hold_back(cursor, found)
        if statistics.processed and found == held_back:
            return
        living, vanished, known, known_vanished = self._store.ask(cursor, "tombstone/count_vanished")
        # new records hide no loss of old ones, and old ones none of those that came since
        losses = [
            (100 * gone / max(count, 1), gone, count) for gone, count in ((vanished, living), (known_vanished, known))
        ]
        percent, gone, count = max(losses)
        if not statistics.processed:
            raise DataError(
                f"{self._stream.name} listed no record at all, which is not believed ({living:,} are known). "
                "No tombstone was written, and no flag overrides this. Look to the source, and to what its login may "
                "see."
            )
        if percent > self._options.mass_delete_percent:
            raise DataError(
                f"{gone:,} of {count:,} known records of {self._stream.name} ({percent:.1f} %) were not listed "
                f"any more; over {self._options.mass_delete_percent:g} % is not believed. No tombstone "
                + (
                    "would be written. "
                    if self._options.dry_run
                    else "was written; new and changed records are stored. "
                )
                + "If it is right, run this stream alone again with --full-sync "
                f"--allow-mass-delete {math.ceil(percent)}."
            )
        statistics.deleted = self._store.run(cursor, "tombstone/fill_tombstones")
        self._logger.info("⏭️ %s records have vanished from the source", f"{statistics.deleted:,}")

    def _hold_back(self, cursor: Cursor, found: int) -> int:
        """Take those from the vanished that a record without a key may be; return how many."""
        self._store.run(cursor, "tombstone/trim_held_back", has_no_keyless=not self._book.keyless)
        if not self._book.keyless or not found:
            return 0
        self._store.run(cursor, "reject/list_known_keyless")
        new = self._book.new_keyless({position for (position,) in cursor.fetchall()})
        if new:
            self._store.run(cursor, "tombstone/fill_held_back")
        held_back = self._store.run(cursor, "tombstone/spare_held_back")
        if held_back:
            since = f"{new:,} of them new" if new else "none of them new"
            self._statistics.notes.append(
                f"{held_back:,} known records were not listed and get no tombstone, since "
                f"{self._book.keyless.total():,} rejected ones without a key ({since}) may be among them, until "
                "these are mended at their source"
            )
        return held_back

    def _show(self, kind: str, line: str, key: str) -> None:
        """Log one record's line: the first ones for everybody, the others for who wants every record."""
        if self._options.dry_run:
            line = f"[DRY RUN] Would store: {line}"
        self._shown[kind] += 1
        if self._shown[kind] <= SHOWN_RECORDS:
            self._logger.info(line, key)
        elif self._options.shows_every_record:
            self._logger.debug(line, key)

    def _show_progress(self) -> None:
        """Log how far the run is."""
        statistics = self._statistics
        self._logger.info(
            "%sProgress: %s processed (%s created, %s updated, %s skipped)",
            "[DRY RUN] " if self._options.dry_run else "",
            statistics.processed,
            statistics.created,
            statistics.updated,
            statistics.skipped,
        )


def _closable(records: Iterator[Any]) -> Any:
    """Return an iterator that can be closed, so that a source's connection ends with the run."""
    return records if hasattr(records, "close") else (record for record in records)
