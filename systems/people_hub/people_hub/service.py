"""What every script of the hub does: one run with its lock, its history, its figures and its summary.

In comes the work of a stream or a transform, out go the run's row in meta.ingestion_runs and what the work writes. A
re-run is safe: only one run of a target is at work, and its row becomes `completed` with the last of its data.
"""

from __future__ import annotations

import logging
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from etlkit.postgres import Connection, Cursor, load_errors, process_name
from etlkit.runs import Run, RunFigures, complete_run, fail_run, open_run, start_run
from people_hub.accounting import Statistics
from people_hub.hub_settings import SCHEMA
from people_hub.postgres_adapter import PostgresAdapter

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


@dataclass(frozen=True)
class Target:
    """What a service's runs work on: its name in logs, its row in the history, and its lock."""

    name: str
    source_system: str
    entity_type: str
    lock_name: str
    kind: str
    covers: Sequence[str] = ()
    """Other entity types that the same lock keeps everybody else away from."""


class HubService(ABC):
    """A run of one target; a subclass says what is done while its lock is held."""

    what_stays_of_a_failure: str

    def __init__(
        self,
        database_url: str,
        target: Target,
        *,
        dry_run: bool = False,
        options: Options | None = None,
        adapter: PostgresAdapter | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        """Keep what a run needs; nothing is connected yet."""
        self.options = options or Options()
        if dry_run:
            self.options = replace(self.options, dry_run=True)
        self.dry_run = self.options.dry_run
        self.target = target
        self.logger = logger or logging.getLogger(f"people_hub.{target.name.replace('/', '.')}")
        self.run_id = uuid4()
        self.db_adapter = adapter or PostgresAdapter(database_url)
        self._owns_adapter = adapter is None
        self._statistics = Statistics(str(self.run_id), dry_run=self.dry_run)
        self.is_begun = False
        """Whether a run was begun, so that its id means something."""

    @abstractmethod
    def _work(self, connection: Connection, complete: Callable[[Cursor], None]) -> None:
        """Do the run's work; `complete` is called in the last transaction, to complete the run's history."""

    def create_ingestion_run(self, source_system: str, entity_type: str) -> str:
        """Write the running row of meta.ingestion_runs in a transaction of its own; return the run's id.

        `run_main_process` does it by itself, while it holds the target's lock.
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
        run = Run(UUID(run_id), self.target.source_system, self.target.entity_type, self.dry_run)
        figures = RunFigures(records_processed, records_created, records_updated, self._statistics.metadata())
        with closing(self.db_adapter.detached_connection()) as own, load_errors("closing the run's history"):
            if error_message:
                fail_run(own, run, error_message, figures)
                return
            with own, own.cursor() as cursor:
                complete_run(cursor, run, figures)

    def run_main_process(self) -> dict[str, Any]:
        """Do the run; return its statistics.

        Raises LockedError when another run holds the target, ConfigError for a database without the hub's schema,
        LoadError when the database refuses, and what the work itself raises.
        """
        run = self._begin(self.target.source_system, self.target.entity_type)
        self.db_adapter.application_name = process_name(f"people_hub {self.target.name}", run.run_id)
        if self.dry_run:
            self.logger.info("🧪 DRY RUN MODE - No database changes will be made")
        try:
            with (
                open_run(
                    run,
                    SCHEMA,
                    [self.target.lock_name],
                    self.db_adapter.detached_connection,
                    self.logger,
                    secrets=self.options.secrets,
                    figures_so_far=self._figures,
                ) as connection,
                load_errors(f"storing {self.target.name}", self.what_stays_of_a_failure),
            ):
                self.is_begun = True
                self._work(connection, lambda cursor: complete_run(cursor, run, self._figures()))
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
        metadata = {"kind": self.target.kind, "host": socket.gethostname(), "pid": os.getpid(), **self._described()}
        return Run(self.run_id, source_system, entity_type, self.dry_run, metadata, self.target.covers)

    def _described(self) -> Mapping[str, Any]:
        """Return what the run's history tells of how it was called."""
        return {"full_sync": self.options.full_sync, "max_records": self.options.max_records}

    def _figures(self) -> RunFigures:
        """Return what the run's history tells of it so far."""
        found = self._statistics
        return RunFigures(found.processed, found.created, found.updated, found.metadata())

    def results(self) -> dict[str, Any]:
        """Return the figures of the run so far, as `run_main_process` returns them."""
        return self._statistics.as_dict()

    def _log_summary(self, *, is_failed: bool = False) -> None:
        """Log the block that ends every run (of a failed one in the file only), and what somebody should know."""
        for line in self._statistics.summary_lines(self.target.name, is_failed=is_failed):
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
