"""The run of every ingest and enrich script: its lock, its history, and what became of it.

In comes a stream, out go what `listing_run` brings into bronze and the run's row in meta.ingestion_runs. A re-run is
safe: only one run of a stream works at a time, and what bronze has already is skipped.
"""

from __future__ import annotations

import logging
import os
import socket
from contextlib import closing
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

from etlkit.postgres import load_errors, process_name
from etlkit.runs import Run, RunFigures, complete_run, fail_run, open_run, start_run
from etlkit.settings import Settings
from people_hub.bronze.accounting import Statistics
from people_hub.bronze.listing_run import ListingRun, Options
from people_hub.bronze.stream import Stream
from people_hub.hub_settings import SCHEMA, load_source_settings
from people_hub.postgres_adapter import PostgresAdapter

STORED_STAYS = "The open page was rolled back; pages stored before it stay. Run again."


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
        """Keep what a run needs; nothing is connected yet. Settings of the source are read where none are given."""
        self.stream = stream
        self.options = options or Options()
        if dry_run:
            self.options = replace(self.options, dry_run=True)
        if self.options.is_replay:  # every reject that may be good now, whatever the limits of a listing
            self.options = replace(self.options, max_records=0, max_minutes=None)
        self.dry_run = self.options.dry_run
        self.logger = logger or logging.getLogger(f"people_hub.{stream.source_system}.{stream.entity_type}")
        self.run_id = uuid4()
        self.db_adapter = adapter or PostgresAdapter(database_url)
        self._owns_adapter = adapter is None
        self._source_settings = source_settings
        self._statistics = Statistics(str(self.run_id), dry_run=self.dry_run)
        self.is_begun = False
        """Whether a run was begun, so that its id means something."""

    def create_ingestion_run(self, source_system: str, entity_type: str) -> str:
        """Write the running row of meta.ingestion_runs in a transaction of its own; return the run's id.

        `run_main_process` does it by itself, while it holds the stream's lock.
        """
        run = self._begin(source_system, entity_type)
        with closing(self.db_adapter.detached_connection()) as own:
            start_run(own, run, is_alone=False)
        self.is_begun = True
        return str(run.run_id)

    def complete_ingestion_run(
        self,
        run_id: str,
        records_processed: int,
        records_created: int,
        records_updated: int = 0,
        error_message: str | None = None,
    ) -> None:
        """Complete the run's row in a transaction of its own, or mark it failed when there is an error message."""
        run = Run(UUID(run_id), self.stream.source_system, self.stream.entity_type, self.dry_run)
        figures = RunFigures(records_processed, records_created, records_updated, self._statistics.metadata())
        with closing(self.db_adapter.detached_connection()) as own, load_errors("closing the run's history"):
            if error_message:
                fail_run(own, run, error_message, figures)
                return
            with own, own.cursor() as cursor:
                complete_run(cursor, run, figures)

    def run_main_process(self) -> dict[str, Any]:
        """Bring the stream's records into bronze; return the run's statistics.

        Raises LockedError when another run holds the stream, ConfigError for a database without the hub's schema,
        SourceError when the source did not list everything, DataError when too much has vanished, LoadError when the
        database refuses. Pages that were stored by then stay; no tombstone and no watermark is written.
        """
        if self._source_settings is None and not self.options.is_replay:
            self._source_settings = load_source_settings(self.stream.settings)
        run = self._begin(self.stream.source_system, self.stream.entity_type)
        self.db_adapter.application_name = process_name(f"people_hub {self.stream.name}", run.run_id)
        if self.dry_run:
            self.logger.info("🧪 DRY RUN MODE - No database changes will be made")
        try:
            with (
                open_run(
                    run,
                    SCHEMA,
                    [self.stream.lock_name],
                    self.db_adapter.detached_connection,
                    self.logger,
                    secrets=self.options.secrets,
                    figures_so_far=self._figures,
                ) as connection,
                load_errors(f"storing {self.stream.name}", STORED_STAYS),
            ):
                self.is_begun = True
                ListingRun(
                    connection,
                    self.stream,
                    self._source_settings,
                    options=self.options,
                    statistics=self._statistics,
                    logger=self.logger,
                    complete=lambda cursor: complete_run(cursor, run, self._figures()),
                ).bring_in()
        except BaseException:
            if self.is_begun:
                self._log_summary(is_failed=True)
            raise
        self._log_summary()
        return self.results()

    def _begin(self, source_system: str, entity_type: str) -> Run:
        """Return a run with an id and figures of its own."""
        if self.is_begun:
            self.run_id = uuid4()
            self._statistics = Statistics(str(self.run_id), dry_run=self.dry_run)
        self.is_begun = False
        metadata = {
            "kind": "replay" if self.options.is_replay else "enrich" if self.stream.detail_of else "ingest",
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "full_sync": self.options.full_sync,
            "max_records": self.options.max_records,
        }
        return Run(self.run_id, source_system, entity_type, self.dry_run, metadata)

    def _figures(self) -> RunFigures:
        """Return what the run's history tells of it so far."""
        found = self._statistics
        return RunFigures(found.processed, found.created, found.updated, found.metadata())

    def results(self) -> dict[str, Any]:
        """Return the figures of the run so far, as `run_main_process` returns them."""
        return self._statistics.as_dict()

    def _log_summary(self, *, is_failed: bool = False) -> None:
        """Log the block that ends every run (of a failed one in the file only), and what somebody should know."""
        for line in self._statistics.summary_lines(self.stream.name, is_failed=is_failed):
            self.logger.log(logging.DEBUG if is_failed else logging.INFO, line)
        for note in self._statistics.notes:
            self.logger.warning("⚠️ %s", note)

    def what_stays(self) -> str:
        """Return the sentence on what a failed run leaves, nothing when it came to nothing."""
        counted = self._statistics
        stays = "would stay" if self.dry_run else "stays"
        return f"Of it {stays}: {counted.sum_line()}." if self.is_begun and counted.processed else ""

    def results_lines(self) -> list[str]:
        """Return what a script prints after its log."""
        return self._statistics.results_lines()

    def close(self) -> None:
        """Close the connections of the service's own pool."""
        if self._owns_adapter:
            self.db_adapter.close()
