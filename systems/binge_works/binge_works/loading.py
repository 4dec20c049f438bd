"""A run: a whole list in one transaction, or one of its tables, under the locks of what it writes.

In come raw pages (or what staging holds), out go the tables and the run's row in `meta.ingestion_runs`, committed
together. A run that is stopped or refused leaves every table as it was; the same day again changes nothing.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from binge_works.binge_settings import SCHEMA
from binge_works.dimensions import Figures, fill_table, note_day, read_day, require_no_later_day
from binge_works.popular_lists import PopularList
from binge_works.raw_pages import RawPages, keep_pages, open_pages, prune_pages, save_pages
from binge_works.staging import Staged, StagingFigures, load_staging
from binge_works.tmdb import Tmdb
from etlkit.errors import ConfigError, DataError, SourceError
from etlkit.postgres import Connection, connect, load_errors, process_name, unit_of_work
from etlkit.runs import Run, RunFigures, complete_run, open_run
from etlkit.settings import DatabaseSettings

SOURCE_SYSTEM = "tmdb"


@dataclass(frozen=True)
class Conditions:
    """Under what conditions a run loads."""

    database: DatabaseSettings
    logger: logging.Logger
    secrets: tuple[str, ...] = ()
    track_metrics: bool = False
    accepts_shrink: bool = False
    dry_run: bool = False


@dataclass
class Loaded:
    """What a run did: the day, the run, and the figures of each table."""

    as_of: date
    run_id: UUID = field(default_factory=uuid4)
    items: int = 0
    is_begun: bool = False
    """Whether the run is in the history, so that its id means something."""
    staging: StagingFigures = field(default_factory=StagingFigures)
    tables: dict[str, Figures] = field(default_factory=dict)
    raw: RawPages | None = None

    def run_figures(self, *, is_failed: bool = False) -> RunFigures:
        """Return what the run's history tells; of a failed run nothing was created."""
        counted = Counter[str]()
        for figures in list(self.tables.values())[:1]:
            counted.update(figures)
        created = counted["inserted"] + counted["opened"] + counted["written"]
        updated = counted["updated"] + counted["refreshed"]
        if not self.tables:
            created = self.staging.staged
        metadata = {
            "as_of": self.as_of,
            "duplicates": self.staging.duplicates,
            "rejected": self.staging.rejected,
            **({} if is_failed else {"tables": self.tables}),
            **({"raw_pages": str(self.raw.kept_path), "pages": self.raw.pages} if self.raw else {}),
        }
        if is_failed:
            created = updated = 0
        return RunFigures(self.staging.items_in or self.items, created, updated, metadata)


def day_to_load(text: str, today: date) -> date:
    """Read a day; ConfigError for one ahead of today, since it would shut out every day up to it."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no day such as 2026-01-25") from None
    if found > today:
        raise ConfigError(f"{text} is ahead of today, {today} (UTC)")
    return found


def lock_of(table: str) -> str:
    """Return the name of a table's advisory lock."""
    return f"binge_works:{table}"


def extract_list(
    tmdb: Tmdb, popular: PopularList, as_of: date, raw_dir: Path, raw_days: int, logger: logging.Logger
) -> RawPages:
    """Save the list as TMDB gives it now as the raw pages of a day, and let go of days that are past keeping."""
    raw = save_pages(raw_dir, popular, as_of, tmdb.pages(popular.endpoint))
    logger.info("%s: %s page(s), %s items from TMDB", popular.name, f"{raw.pages:,}", f"{raw.results:,}")
    if removed := prune_pages(raw_dir, as_of, raw_days):
        logger.warning("raw pages past %s days are gone: %s", raw_days, ", ".join(removed))
    return raw


def run_list(
    popular: PopularList, loaded: Loaded, conditions: Conditions, read: Callable[[Path | None], RawPages]
) -> Loaded:
    """Load all tables of a list in one transaction, as of the day of `loaded`, which then tells what was done.

    `read` brings the raw pages, into the folder that it is given on a dry run; it is asked when the locks are held and
    the day is known to be welcome. Raises LockedError, DataError for an older day and for a list that is not to be
    believed, SourceError for one that could not be read, LoadError when the database refuses.
    """
    as_of = loaded.as_of
    metadata = {"as_of": as_of.isoformat()}
    run = Run(loaded.run_id, SOURCE_SYSTEM, popular.name, conditions.dry_run, metadata, popular.tables)
    with _opened(run, [lock_of(table) for table in popular.tables], conditions, loaded) as connection:
        with (
            load_errors(f"looking at what is loaded of {popular.name}"),
            unit_of_work(connection, dry_run=True) as cursor,
        ):
            require_no_later_day(cursor, popular.tables, as_of)
            before = read_day(cursor, popular.current)
        with _folder_of_dry_run(conditions) as folder, _told_what_stays(popular, before[0] if before else None):
            loaded.raw = read(folder)
            with (
                load_errors(f"loading {popular.name}"),
                unit_of_work(connection, dry_run=conditions.dry_run) as cursor,
            ):
                _stage(cursor, popular, loaded.raw, conditions, loaded)
                staged = Staged(as_of, run.run_id, loaded.staging.staged)
                for table in popular.tables[1:]:
                    loaded.tables[table] = fill_table(
                        cursor, popular, table, staged, track_metrics=conditions.track_metrics
                    )
                complete_run(cursor, run, loaded.run_figures())
    _keep(loaded.raw, conditions)
    return loaded


def run_staging(popular: PopularList, raw: RawPages, conditions: Conditions) -> Loaded:
    """Load a list into its staging table alone, in one transaction."""
    loaded = Loaded(raw.as_of, raw=raw)
    run = Run(loaded.run_id, SOURCE_SYSTEM, popular.staging, conditions.dry_run, {"as_of": raw.as_of.isoformat()})
    with (
        _opened(run, [lock_of(popular.staging)], conditions, loaded) as connection,
        load_errors(f"loading {popular.staging}"),
        unit_of_work(connection, dry_run=conditions.dry_run) as cursor,
    ):
        require_no_later_day(cursor, [popular.staging], raw.as_of)
        _stage(cursor, popular, raw, conditions, loaded)
        complete_run(cursor, run, loaded.run_figures())
    _keep(raw, conditions)
    return loaded


def run_table(popular: PopularList, table: str, staged: Staged, conditions: Conditions) -> Loaded:
    """Fill one table of a list from what is staged, in one transaction; DataError when that is another load by now."""
    metadata = {"as_of": staged.as_of.isoformat(), "staged_by": str(staged.run_id)}
    loaded = Loaded(staged.as_of, items=staged.items)
    run = Run(loaded.run_id, SOURCE_SYSTEM, table, conditions.dry_run, metadata)
    with (
        _opened(run, [lock_of(table)], conditions, loaded) as connection,
        load_errors(f"filling {table}"),
        unit_of_work(connection, dry_run=conditions.dry_run) as cursor,
    ):
        loaded.tables[table] = fill_table(cursor, popular, table, staged, track_metrics=conditions.track_metrics)
        complete_run(cursor, run, loaded.run_figures())
    return loaded


def replayed(raw_dir: Path, popular: PopularList, as_of: date) -> Callable[[Path | None], RawPages]:
    """Return what reads the raw pages that were saved for a day."""
    return lambda _folder: open_pages(raw_dir, popular, as_of)


def _stage(cursor: Any, popular: PopularList, raw: RawPages, conditions: Conditions, loaded: Loaded) -> None:
    """Load staging and note its day."""
    loaded.staging = load_staging(cursor, popular, raw, loaded.run_id, accepts_shrink=conditions.accepts_shrink)
    note_day(cursor, popular.staging, Staged(raw.as_of, loaded.run_id, loaded.staging.staged))
    if unknown := sorted(loaded.staging.unknown_fields):
        conditions.logger.warning("%s: TMDB has fields that no table takes: %s", popular.name, ", ".join(unknown))


def _keep(raw: RawPages, conditions: Conditions) -> None:
    """Keep the pages that were loaded for a replay; the load is done whatever becomes of that."""
    if conditions.dry_run:
        return
    try:
        keep_pages(raw)
    except OSError as error:
        conditions.logger.warning("%s is loaded, and cannot be kept for a replay: %s", raw.path, error.strerror)


@contextmanager
def _opened(run: Run, locks: list[str], conditions: Conditions, loaded: Loaded) -> Iterator[Connection]:
    """Open the run; inside, all statements of a transaction see the same state."""
    name = process_name(f"binge_works {run.entity_type}", run.run_id)
    with open_run(
        run,
        SCHEMA,
        locks,
        lambda: connect(conditions.database, name),
        conditions.logger,
        secrets=conditions.secrets,
        figures_so_far=lambda: loaded.run_figures(is_failed=True),
    ) as connection:
        loaded.is_begun = not run.dry_run
        connection.set_session(isolation_level="REPEATABLE READ")
        yield connection


@contextmanager
def _told_what_stays(popular: PopularList, day: date | None) -> Iterator[None]:
    """Let a list that is refused say what is loaded instead."""
    try:
        yield
    except (SourceError, DataError) as error:
        stays = f"{popular.current} stays as of {day}" if day else f"Of {popular.name} nothing is loaded yet"
        kind = DataError if isinstance(error, DataError) else SourceError
        raise kind(error.problem, f"{error.advice} {stays}.".strip()) from error.__cause__


@contextmanager
def _folder_of_dry_run(conditions: Conditions) -> Iterator[Path | None]:
    """Give a dry run a folder that goes with it."""
    if not conditions.dry_run:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="binge-works-") as folder:
        yield Path(folder)
