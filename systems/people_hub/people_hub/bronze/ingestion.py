"""The run of every ingest and enrich script.

In comes a stream, out go what `listing_run` brings into bronze and the run's row in meta.ingestion_runs. A re-run is
safe: only one run of a stream works at a time, and what bronze has already is skipped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from etlkit.postgres import Connection, Cursor
from etlkit.settings import Settings
from people_hub.bronze.listing_run import ListingRun
from people_hub.bronze.stream import Stream
from people_hub.hub_settings import load_source_settings
from people_hub.postgres_adapter import PostgresAdapter
from people_hub.service import HubService, Options, Target


class IngestionService(HubService):
    """Brings one stream into bronze."""

    what_stays_of_a_failure = "The open page was rolled back; pages stored before it stay. Run again."

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
        options = options or Options()
        if options.is_replay:  # every reject that may be good now, whatever the limits of a listing
            options = replace(options, max_records=0, max_minutes=None)
        kind = "replay" if options.is_replay else "enrich" if stream.detail_of else "ingest"
        target = Target(stream.name, stream.source_system, stream.entity_type, stream.lock_name, kind)
        super().__init__(database_url, target, dry_run=dry_run, options=options, adapter=adapter, logger=logger)
        self.stream = stream
        self._source_settings = source_settings

    def run_main_process(self) -> dict[str, Any]:
        """Bring the stream's records into bronze; return the run's statistics.

        Raises what every run raises, SourceError when the source did not list everything, DataError when too much has
        vanished. Pages that were stored by then stay; no tombstone and no watermark is written.
        """
        if self._source_settings is None and not self.options.is_replay:
            self._source_settings = load_source_settings(self.stream.settings)
        return super().run_main_process()

    def _work(self, connection: Connection, complete: Callable[[Cursor], None]) -> None:
        """List the source into bronze."""
        ListingRun(
            connection,
            self.stream,
            self._source_settings,
            options=self.options,
            statistics=self._statistics,
            logger=self.logger,
            complete=complete,
        ).bring_in()
