"""Load: `combined_data/` -> TEMP staging tables -> the museum's normalised tables, in one transaction.

In come the combined files of the transform (or a plain four-column kiosk file), out go exhibitions, reviews,
incidents, the ledger of objects, rejected records and the run's history. A re-run is safe: an object whose content
the ledger knows is skipped, a changed one has its rows replaced, and every row is unique by its provenance; a failure
rolls all of it back.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin()

import csv
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from etlkit.console import Outcome
from etlkit.copying import copy_blocks, copy_rows, copy_stream
from etlkit.errors import DataError
from etlkit.postgres import (
    Connection,
    Cursor,
    apply_schema,
    connect,
    load_errors,
    require_schema,
    run_file,
    schema_version,
    unit_of_work,
)
from etlkit.process import exit_process
from etlkit.rejects import create_staging, stage_rejects
from etlkit.runs import RunFigures, complete_run
from museum.batch import judged_rows
from museum.batch.bucket_files import ascii_key, data_folder_lock
from museum.batch.duck import duckdb_errors
from museum.batch.judging import judge_plain_file
from museum.batch.ledger import (
    account_for_rows,
    count_good,
    count_held,
    plan_objects,
    set_archived_aside,
    settle_rejects,
)
from museum.batch.load_summary import FreshObject, LoadSummary
from museum.batch.manifest import (
    EXHIBITION_COLUMNS,
    EXHIBITION_FILE,
    REJECTS_FILE,
    CombinedFiles,
    read_combined_manifest,
)
from museum.batch.rejects import find_lost_texts, provisional_texts, rejudge_open_rejects, transform_rejects
from museum.command import Command, argument_parser, outcome_of, run_stage
from museum.database import RunningRun, database_settings, open_museum_run, read_reference
from museum.hourly import compare_hours, fold_hours, rebuild_hours
from museum.kiosk import Reference
from museum.settings import ROLES_FILE, SCHEMA, SCHEMA_FILE, SQL

EXAMPLES = """\
  python load.py --apply-schema            # once
  python load.py
  python load.py --kiosk-csv visits.csv    # a plain file with the columns at, site, val, type"""
LOG = logging.getLogger(__name__)


def execute_schema(connection: Connection, schema_path: Path = SCHEMA_FILE, logger: logging.Logger = LOG) -> None:
    """Apply schema.sql or roles.sql, which create what is missing and drop nothing. No run calls this by itself."""
    apply_schema(connection, schema_path)
    logger.info("applied %s", schema_path.name)


def open_target(command: Command, logger: logging.Logger = LOG) -> AbstractContextManager[RunningRun]:
    """Open the run; raises ConfigError for an absent or older schema, LockedError when another run holds the lock."""
    return open_museum_run(command, logger, "batch", "museum pipeline", {"bucket": command.museum.museum_bucket})


def load_data_to_db(
    target: RunningRun,
    command: Command,
    combined: CombinedFiles,
    logger: logging.Logger = LOG,
    *,
    before_commit: Callable[[], None] = lambda: None,
    earlier: Mapping[str, Any] | None = None,
) -> LoadSummary:
    """Load combined files in one transaction, which a dry run rolls back; return what was counted.

    When `before_commit` raises, an object shrank or too many rows were rejected (DataError), or the database refuses
    (LoadError), nothing is loaded. `earlier` has the figures of the stages before.
    """
    started = time.monotonic()
    target.keep_connected(logger)
    with load_errors("loading"), unit_of_work(target.connection, dry_run=command.dry_run) as cursor:
        summary = _load(target, cursor, command, combined, logger)
        before_commit()
        summary.seconds = time.monotonic() - started
        figures = {**(earlier or {}), "load": summary.figures()}
        counted = RunFigures(summary.rows_in, summary.rows_stored, summary.rows_removed, figures)
        complete_run(cursor, target.run, counted)
    for line in summary.lines():
        logger.info(line)
    return summary


def load_plain_file(target: RunningRun, command: Command, path: Path, logger: logging.Logger = LOG) -> LoadSummary:
    """Judge and load a file that no transform has seen; raises SourceError, and what `load_data_to_db` raises."""
    with load_errors("reading what the database knows"), target.connection.cursor() as cursor:
        reference = replace(read_reference(cursor, command.latest_at), archived_before=None)  # which the load knows
    target.connection.rollback()
    combined = judge_plain_file(path, command.museum.combined_dir, command.museum.rules, reference)
    for warning in combined.manifest.warnings:
        logger.warning(warning)
    return load_data_to_db(target, command, combined, logger)


def finished_files(combined_dir: Path) -> CombinedFiles:
    """Return the combined files of a finished transform; DataError when they are not there, unfinished or edited."""
    manifest = read_combined_manifest(combined_dir)
    if manifest is None:
        raise DataError(
            f"the files in {combined_dir} are not those of a finished transform. Run python transform.py. "
            "Nothing was loaded."
        )
    return CombinedFiles(combined_dir, combined_dir, manifest)


def _load(
    target: RunningRun, cursor: Cursor, command: Command, combined: CombinedFiles, log: logging.Logger
) -> LoadSummary:
    """Run the load's statements in order inside the caller's transaction."""
    manifest, rules, run_id = combined.manifest, command.museum.rules, target.run.run_id
    sums = manifest.totals
    summary = LoadSummary(dry_run=command.dry_run, out_of_hours=sums["out_of_hours"], ambiguous_hour=sums["ambiguous"])
    if manifest.exhibition_keys:
        summary.exhibition_rows_written = _fill_exhibitions(cursor, combined.folder / EXHIBITION_FILE)
    reference = read_reference(cursor, command.latest_at)
    objects = plan_objects(cursor, run_id, manifest, summary, log, skip_copies=command.flags.skip_copies)
    fresh = {item.key: item.source_id for item in objects}
    create_staging(cursor)
    copied = _bring_rows(cursor, combined, fresh, reference, log)
    stage_rejects(cursor, transform_rejects(combined.folder, manifest, fresh, rules, reference))
    run_file(cursor, SQL / "press" / "reject_staged_kiosk.sql", {"latest_at": command.latest_at})
    if reference.archived_before:
        set_archived_aside(cursor, objects)
    find_lost_texts(target.connection, cursor, manifest, command.museum.bucket_dir)
    count_good(cursor, objects, accept_shrink=command.flags.accept_shrink)
    recovered = rejudge_open_rejects(target.connection, cursor, rules, reference)
    _replace_presses(cursor, objects, copied, summary, log)
    summary.records_rejected = settle_rejects(cursor, run_id, manifest, fresh)
    account_for_rows(cursor, run_id, manifest, objects, recovered, summary)
    fold_hours(cursor)
    wrong = compare_hours(cursor)
    summary.hours_span = wrong.span
    if wrong:
        log.warning("%s. python load.py --rebuild-hours counts anew", wrong.sentence())
    judged = summary.rows_fresh + len(summary.objects_rejected) + manifest.exhibition_records
    if command.museum.is_too_many(summary.records_rejected, judged):
        raise DataError(
            f"{summary.records_rejected:,} of {judged:,} judged records were rejected, "
            f"--max-rejects is {command.museum.museum_max_rejects}. "
            f"Nothing was loaded; the rejected rows are in {combined.combined_dir / REJECTS_FILE}."
        )
    return summary


def _fill_exhibitions(cursor: Cursor, combined_path: Path) -> int:
    """Bring departments, floors, exhibitions and their floors up to the data; return how many rows were written."""
    with combined_path.open(encoding="utf-8", newline="") as file:
        found = next(csv.reader(file), [])
    if found != EXHIBITION_COLUMNS:
        raise DataError(
            f"{combined_path.name}: columns are {', '.join(found)}; expected {', '.join(EXHIBITION_COLUMNS)}. "
            "Nothing was loaded."
        )
    with combined_path.open("rb") as stream:
        copy_stream(cursor, SQL / "exhibition" / "stage_exhibitions.sql", stream)
    return run_file(cursor, SQL / "exhibition" / "fill_exhibitions.sql")


def _bring_rows(
    cursor: Cursor, combined: CombinedFiles, fresh: Mapping[str, int], reference: Reference, log: logging.Logger
) -> judged_rows.CopiedEvents:
    """COPY the rows of new and changed objects: into staging, or in bulk into tables that are still empty.

    Doubtful rows are staged in any case, and their original text with them.
    """
    run_file(cursor, SQL / "press" / "create_staging_kiosk.sql")
    if not fresh:
        return judged_rows.CopiedEvents()
    objects = [item for item in combined.manifest.kiosk_objects if item.key in fresh]
    is_bulk = judged_rows.take_bulk_target(cursor, sum(item.combined for item in objects), log)
    judged = [judged_rows.JudgedObject(combined.judged_dir / item.rows_file, fresh[item.key]) for item in objects]
    advice = f"Remove {combined.judged_dir} and run the whole pipeline again."
    exhibition_ids = judged_rows.read_exhibition_ids(cursor, reference) if is_bulk else {}
    accepted = replace(reference, sites=frozenset(exhibition_ids))
    with duckdb_errors("reading the judged rows", advice), closing(judged_rows.JudgedRows(judged, accepted)) as rows:
        copied = judged_rows.copy_in_bulk(cursor, rows, exhibition_ids) if is_bulk else judged_rows.CopiedEvents()
        copy_blocks(cursor, SQL / "press" / "copy_staging_kiosk.sql", rows.staging_blocks())
    copy_rows(cursor, SQL / "reject" / "copy_staging_text.sql", provisional_texts(combined.folder, fresh))
    cursor.execute("analyze staging_kiosk")
    return copied


def _replace_presses(
    cursor: Cursor,
    objects: Sequence[FreshObject],
    copied: judged_rows.CopiedEvents,
    summary: LoadSummary,
    log: logging.Logger,
) -> None:
    """Bring the staged presses into the tables, after those that changed objects do not hold any more have gone."""
    changed = [item for item in objects if item.previous_stored is not None and not copied.is_bulk]
    removed: dict[int, int] = {}
    if changed:
        run_file(cursor, SQL / "press" / "delete_changed_presses.sql")
        removed = dict(cursor.fetchall())
    summary.rows_removed = sum(removed.values())
    already_there = count_held(cursor, changed)
    summary.reviews_stored = copied.reviews + run_file(cursor, SQL / "press" / "fill_review.sql")
    summary.incidents_stored = copied.incidents + run_file(cursor, SQL / "press" / "fill_incident.sql")
    held = count_held(cursor, objects)
    for item in objects:
        item.already_there = already_there.get(item.source_id, 0) + item.archived
        item.held = held.get(item.source_id, 0) + item.archived
        if count := removed.get(item.source_id):
            stored = item.held - item.already_there
            log.warning("%s was replaced: %s of its presses removed, %s stored", ascii_key(item.key), count, stored)


def main(arguments: list[str] | None = None) -> int:
    """Run the load from the command line."""
    parser = argument_parser(
        "load.py", "Load the combined files into Postgres, in one transaction.", EXAMPLES, ("files", "database", "load")
    )
    parser.add_argument("--apply-schema", action="store_true", help="create what is missing in the database and end")
    parser.add_argument("--apply-roles", action="store_true", help="create or renew the two roles of roles.sql and end")
    parser.add_argument("--rebuild-hours", action="store_true", help="count the presses by hour anew and end")
    parser.add_argument("--kiosk-csv", metavar="FILE", type=Path, help="load a plain kiosk file instead")
    return run_stage(parser.parse_args(arguments), run_load, with_database=True)


def run_load(command: Command, logger: logging.Logger) -> Outcome:
    """Do what the flags ask for and return the outcome."""
    flags = command.flags
    if flags.apply_schema or flags.apply_roles or flags.rebuild_hours:
        with closing(connect(database_settings(command, logger), "museum upkeep")) as connection:
            if flags.apply_schema:
                return _apply_schema(connection, logger)
            require_schema(connection, SCHEMA)
            if not flags.apply_roles:
                return _rebuild_hours(connection, dry_run=command.dry_run)
            execute_schema(connection, ROLES_FILE, logger)
        return Outcome("The roles museum_reader and museum_loader are in place.")
    with open_target(command, logger) as target, data_folder_lock(command.museum.museum_data_dir):
        if flags.kiosk_csv:
            return outcome_of(load_plain_file(target, command, flags.kiosk_csv, logger))
        return outcome_of(load_data_to_db(target, command, finished_files(command.museum.combined_dir), logger))


def _apply_schema(connection: Connection, logger: logging.Logger) -> Outcome:
    """Create what is missing; a newer program's schema is left alone."""
    found = schema_version(connection, SCHEMA.system)
    if found is not None and found > SCHEMA.version:
        return Outcome(f"The database has the newer schema {found}, which does; nothing was touched.")
    execute_schema(connection, SCHEMA_FILE, logger)
    return Outcome("The schema is in place.")


def _rebuild_hours(connection: Connection, *, dry_run: bool) -> Outcome:
    """Count the presses by hour anew, beside loads and consumers at work."""
    with load_errors("counting by hour"), unit_of_work(connection, dry_run=dry_run) as cursor:
        wrong = rebuild_hours(cursor)
    if not wrong:
        return Outcome("The hourly counts agree with the presses.", {"miscounted": asdict(wrong)})
    done = "would be" if dry_run else "were"
    return Outcome(f"{wrong.sentence().capitalize()}; they {done} counted anew.", {"miscounted": asdict(wrong)})


if __name__ == "__main__":
    exit_process(main())
