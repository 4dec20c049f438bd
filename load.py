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
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import UUID

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
from etlkit.rejects import create_staging, fill_rejected_records, resolve_files, resolve_missing, stage_rejects
from etlkit.runs import RunFigures, complete_run
from museum.accounting import FreshObject, LoadSummary
from museum.bulk import CopiedEvents, copy_in_bulk, read_exhibition_ids, take_bulk_target
from museum.combined import (
    EXHIBITION_FILE,
    LOCAL_FILES,
    REJECTS_FILE,
    CombinedFiles,
    CombinedManifest,
    read_combined_manifest,
)
from museum.console import run_stage
from museum.database import RunningRun, database_settings, open_museum_run
from museum.duck import duckdb_errors
from museum.hourly import compare_hours, fold_hours, rebuild_hours
from museum.judged_rows import JudgedObject, JudgedRows
from museum.kiosk import Reference
from museum.ledger import count_good, count_held, plan_objects
from museum.objects import ascii_key, data_folder_lock
from museum.reference import SQL, read_reference
from museum.rejudge import (
    find_lost_texts,
    provisional_texts,
    rejudge_open_rejects,
    source_name,
    transform_rejects,
)
from museum.settings import ROLES_FILE, SCHEMA, SCHEMA_FILE, Command, argument_parser
from transform import EXHIBITION_COLUMNS, combine_plain_file, finishing

PLAIN_DIR = "plain"
EXHIBITION_STATEMENTS = (
    "fill_department",
    "fill_floor",
    "update_exhibition",
    "fill_exhibition",
    "delete_floor_assignment",
    "fill_floor_assignment",
)


def execute_schema(
    connection: Connection, schema_path: Path = SCHEMA_FILE, logger: logging.Logger | None = None
) -> None:
    """Apply schema.sql or roles.sql, which create what is missing and drop nothing. No run calls this by itself."""
    apply_schema(connection, schema_path)
    (logger or logging.getLogger(__name__)).info("applied %s", schema_path.name)


def open_target(command: Command, logger: logging.Logger | None = None) -> AbstractContextManager[RunningRun]:
    """Connect, check the schema, take the lock and start the run's history; a failure inside marks the run failed.

    Raises ConfigError for an absent or older schema, LockedError when another run holds the lock.
    """
    log = logger or logging.getLogger(__name__)
    metadata = {"bucket": command.museum.museum_bucket}
    return open_museum_run(command, log, "batch", "museum pipeline", metadata)


def load_data_to_db(
    target: RunningRun,
    command: Command,
    combined: CombinedFiles,
    logger: logging.Logger | None = None,
    *,
    earlier_stages: Mapping[str, Any] | None = None,
) -> LoadSummary:
    """Load combined files in one transaction, which a dry run rolls back; return what was counted.

    Files that are still under way are finished before the commit. Raises DataError when that fails, an object shrank,
    or too many rows were rejected; LoadError when the database refuses. In every such case nothing is loaded.
    """
    started = time.monotonic()
    log = logger or logging.getLogger(__name__)
    target.keep_connected(log)
    with load_errors("loading"), unit_of_work(target.connection, dry_run=command.dry_run) as cursor:
        summary = _load(target, cursor, command, combined, log)
        combined.finish()
        summary.seconds = time.monotonic() - started
        figures = {**(earlier_stages or {}), "load": summary.figures()}
        complete_run(
            cursor, target.run, RunFigures(summary.rows_in, summary.rows_stored, summary.rows_removed, figures)
        )
    for line in summary.lines(dry_run=command.dry_run):
        log.info(line)
    return summary


def load_plain_file(
    target: RunningRun, command: Command, path: Path, logger: logging.Logger | None = None
) -> LoadSummary:
    """Judge and load a kiosk file that no transform has seen; its identity is its absolute path without links.

    Raises SourceError when it cannot be read, and what `load_data_to_db` raises.
    """
    with load_errors("reading what the database knows"), target.connection.cursor() as cursor:
        reference = read_reference(cursor, command.latest_at)
    target.connection.rollback()
    path = path.resolve()
    folder = command.museum.combined_dir / PLAIN_DIR / hashlib.sha256(bytes(path)).hexdigest()[:12]
    log = logger or logging.getLogger(__name__)
    with finishing(combine_plain_file(command, path, folder, reference, log), log) as combined:
        for warning in combined.manifest.warnings:
            log.warning(warning)
        return load_data_to_db(target, command, combined, log)


def finished_files(combined_dir: Path) -> CombinedFiles:
    """Return the combined files of a finished transform; DataError when they are not there, unfinished or edited."""
    manifest = read_combined_manifest(combined_dir)
    if manifest is None:
        raise DataError(
            f"the files in {combined_dir} are not those of a finished transform. Run python transform.py. "
            "Nothing was loaded."
        )
    return CombinedFiles(combined_dir, manifest)


def _load(
    target: RunningRun, cursor: Cursor, command: Command, combined: CombinedFiles, log: logging.Logger
) -> LoadSummary:
    """Run the load's statements in order inside the caller's transaction."""
    manifest = combined.manifest
    summary = LoadSummary(out_of_hours=manifest.out_of_hours, ambiguous_hour=manifest.ambiguous)
    rules = command.museum.rules
    summary.exhibition_rows_written = _fill_exhibitions(cursor, combined.folder / EXHIBITION_FILE)
    reference = read_reference(cursor, command.latest_at)
    objects = plan_objects(cursor, manifest, command, summary)
    fresh = {item.key: item.source_id for item in objects}
    for key, first in summary.copies.items():
        became = "left out" if command.skip_copies else "its presses count too; --skip-copies leaves it out"
        log.warning("%s holds the same bytes as %s: %s", ascii_key(key), ascii_key(first), became)
    create_staging(cursor)
    copied = _bring_rows(cursor, combined, fresh, reference, log)
    stage_rejects(cursor, transform_rejects(combined.folder, manifest, fresh, rules, reference))
    run_file(cursor, SQL / "reject_staged_kiosk.sql", {"latest_at": command.latest_at})
    find_lost_texts(cursor, manifest, command.museum.bucket_dir)
    count_good(cursor, objects, command)
    recovered = rejudge_open_rejects(target.connection, cursor, rules, reference)
    _replace_presses(cursor, objects, copied, summary, log)
    _settle_rejects(cursor, target.run.run_id, manifest, fresh, summary)
    _account(cursor, target.run.run_id, manifest, objects, recovered, summary)
    fold_hours(cursor)
    if wrong := compare_hours(cursor):
        log.warning("%s. python load.py --rebuild-hours counts anew", wrong.sentence())
    limit = command.reject_limit
    judged = summary.rows_fresh + len(summary.objects_rejected) + manifest.exhibition_records
    if limit.is_exceeded(summary.records_rejected, judged):
        raise DataError(
            f"{summary.records_rejected:,} of {judged:,} judged records were rejected, --max-rejects is {limit}. "
            f"Nothing was loaded; the rejected rows are in {combined.combined_dir / REJECTS_FILE}."
        )
    return summary


def _fill_exhibitions(cursor: Cursor, combined_path: Path) -> int:
    """Bring departments, floors, exhibitions and their floors up to the data; return how many rows were written."""
    run_file(cursor, SQL / "create_staging_exhibition.sql")
    _check_header(combined_path, EXHIBITION_COLUMNS)
    with combined_path.open("rb") as file:
        copy_stream(cursor, SQL / "copy_staging_exhibition.sql", file)
    return sum(run_file(cursor, SQL / f"{name}.sql") for name in EXHIBITION_STATEMENTS)


def _bring_rows(
    cursor: Cursor, combined: CombinedFiles, fresh: Mapping[str, int], reference: Reference, log: logging.Logger
) -> CopiedEvents:
    """COPY the rows of new and changed objects: into staging, or in bulk into tables that are still empty.

    Doubtful rows are staged in any case, and their original text with them.
    """
    run_file(cursor, SQL / "create_staging_kiosk.sql")
    run_file(cursor, SQL / "create_staging_text.sql")
    if not fresh:
        return CopiedEvents()
    objects = [item for item in combined.manifest.kiosk_objects if item.key in fresh]
    is_bulk = take_bulk_target(cursor, sum(item.combined for item in objects), log)
    judged = [JudgedObject(combined.judged_dir / item.rows_file, fresh[item.key]) for item in objects]
    advice = f"Remove {combined.judged_dir} and run the whole pipeline again."
    exhibition_ids = read_exhibition_ids(cursor, reference) if is_bulk else {}
    accepted = replace(reference, sites=frozenset(exhibition_ids))
    with duckdb_errors("reading the judged rows", advice), closing(JudgedRows(judged, accepted)) as rows:
        copied = copy_in_bulk(cursor, rows, exhibition_ids) if is_bulk else CopiedEvents()
        copy_blocks(cursor, SQL / "copy_staging_kiosk.sql", rows.staging_blocks())
    copy_rows(cursor, SQL / "copy_staging_text.sql", provisional_texts(combined.folder, fresh))
    cursor.execute("analyze staging_kiosk")
    return copied


def _replace_presses(
    cursor: Cursor, objects: Sequence[FreshObject], copied: CopiedEvents, summary: LoadSummary, log: logging.Logger
) -> None:
    """Bring the staged presses into the tables, after those that changed objects do not hold any more have gone."""
    changed = [item for item in objects if item.previous_stored is not None and not copied.is_bulk]
    removed: Counter[int] = Counter()
    for name in ("delete_changed_review", "delete_changed_incident") if changed else ():
        run_file(cursor, SQL / f"{name}.sql")
        removed.update(dict(cursor.fetchall()))
    summary.rows_removed = removed.total()
    already_there = count_held(cursor, changed)
    summary.reviews_stored = copied.reviews + run_file(cursor, SQL / "fill_review.sql")
    summary.incidents_stored = copied.incidents + run_file(cursor, SQL / "fill_incident.sql")
    held = count_held(cursor, objects)
    for item in objects:
        item.already_there = already_there.get(item.source_id, 0)
        item.held = held.get(item.source_id, 0)
        if count := removed[item.source_id]:
            stored = item.held - item.already_there
            log.warning("%s was replaced: %s of its presses removed, %s stored", ascii_key(item.key), count, stored)


def _account(
    cursor: Cursor,
    run_id: UUID,
    manifest: CombinedManifest,
    objects: Sequence[FreshObject],
    recovered: Mapping[str, int],
    summary: LoadSummary,
) -> None:
    """Say where every row went, each term counted by itself; DataError if one is lost. The ledger gets its counts."""
    fresh = {item.key for item in objects}
    present = {source_name(manifest.bucket, item.key) for item in manifest.kiosk_objects if not item.problem}
    summary.rows_recovered = sum(recovered.values())
    recovered_elsewhere = sum(count for source, count in recovered.items() if source not in present)
    summary.rows_fresh = sum(item.rows for item in manifest.kiosk_objects if item.key in fresh)
    left_out = summary.copies.keys() - fresh
    summary.rows_in = recovered_elsewhere + sum(
        item.rows for item in manifest.kiosk_objects if item.key not in left_out
    )
    (stored_of_unchanged,) = _row(cursor, "count_stored_objects")
    summary.rows_already_there = stored_of_unchanged + sum(item.already_there for item in objects)
    summary.rows_rejected, rejected_earlier = _row(cursor, "count_new_rejects", {"run_id": str(run_id)})
    summary.open_rejects, open_of_unchanged = _row(cursor, "count_open_rejects")
    summary.rows_already_rejected = rejected_earlier + open_of_unchanged
    summary.check(objects)
    held = {"source_ids": [item.source_id for item in objects], "held": [item.held for item in objects]}
    run_file(cursor, SQL / "update_stored.sql", held)
    run_file(cursor, SQL / "add_recovered.sql", {"sources": list(recovered), "presses": list(recovered.values())})


def _settle_rejects(
    cursor: Cursor, run_id: UUID, manifest: CombinedManifest, fresh: Iterable[str], summary: LoadSummary
) -> None:
    """Merge the staged rejects into the kept ones and resolve those that are bad no more."""
    resolve_missing(cursor, [source_name(manifest.bucket, key) for key in (*sorted(fresh), *manifest.exhibition_keys)])
    readable = [item.key for item in manifest.kiosk_objects if not item.problem]
    resolve_files(cursor, [source_name(manifest.bucket, key) for key in readable])
    if manifest.bucket != LOCAL_FILES:
        seen = [*(item.key for item in manifest.kiosk_objects), *manifest.exhibition_keys]
        parameters = {
            "prefix": source_name(manifest.bucket, ""),
            "seen": [source_name(manifest.bucket, key) for key in seen],
        }
        run_file(cursor, SQL / "resolve_vanished_rejects.sql", parameters)
    summary.records_rejected = fill_rejected_records(cursor, run_id).new
    run_file(cursor, SQL / "list_new_reasons.sql", {"run_id": str(run_id)})
    summary.rejected_by_reason = dict(cursor.fetchall())


def _row(cursor: Cursor, name: str, parameters: dict[str, Any] | None = None) -> tuple[Any, ...]:
    """Return the single row of a statement that counts."""
    run_file(cursor, SQL / f"{name}.sql", parameters)
    return cursor.fetchone() or ()


def _check_header(path: Path, expected: list[str]) -> None:
    """Raise DataError unless a combined file's first line names exactly the expected columns in order."""
    with path.open(encoding="utf-8", newline="") as file:
        found = next(csv.reader(file), [])
    if found != expected:
        raise DataError(
            f"{path.name}: columns are {', '.join(found)}; expected {', '.join(expected)}. Nothing was loaded."
        )


def main(arguments: list[str] | None = None) -> int:
    """Run the load from the command line."""
    parser = argument_parser(
        "load.py",
        "Load the combined files into Postgres, in one transaction.",
        "  python load.py --apply-schema            # once\n  python load.py\n"
        "  python load.py --kiosk-csv visits.csv    # a plain file with the columns at, site, val, type",
        ("files", "database", "load"),
    )
    parser.add_argument("--apply-schema", action="store_true", help="create what is missing in the database and end")
    parser.add_argument("--apply-roles", action="store_true", help="create or renew the two roles of roles.sql and end")
    parser.add_argument("--rebuild-hours", action="store_true", help="count the presses by hour anew and end")
    parser.add_argument("--kiosk-csv", metavar="FILE", type=Path, help="load a plain kiosk file instead")

    def body(command: Command, logger: logging.Logger) -> Outcome:
        if command.flags.apply_schema:
            with closing(connect(database_settings(command, logger), "museum schema")) as connection:
                found = schema_version(connection, SCHEMA.system)
                if found is not None and found > SCHEMA.version:
                    return Outcome(f"The database has the newer schema {found}, which does; nothing was touched.")
                execute_schema(connection, SCHEMA_FILE, logger)
            return Outcome("The schema is in place.")
        if command.flags.apply_roles:
            with closing(connect(database_settings(command, logger), "museum roles")) as connection:
                require_schema(connection, SCHEMA)
                execute_schema(connection, ROLES_FILE, logger)
            return Outcome("The roles museum_reader and museum_loader are in place.")
        if command.flags.rebuild_hours:
            return _rebuild_hours(command, logger)
        with open_target(command, logger) as target, data_folder_lock(command.museum.museum_data_dir):
            if command.flags.kiosk_csv:
                summary = load_plain_file(target, command, command.flags.kiosk_csv, logger)
            else:
                summary = load_data_to_db(target, command, finished_files(command.museum.combined_dir), logger)
        return load_outcome(summary, command)

    return run_stage(parser.parse_args(arguments), body, with_database=True)


def _rebuild_hours(command: Command, logger: logging.Logger) -> Outcome:
    """Count the presses by hour anew, beside loads and consumers at work."""
    with closing(connect(database_settings(command, logger), "museum hourly counts")) as connection:
        require_schema(connection, SCHEMA)
        with load_errors("counting by hour"), unit_of_work(connection, dry_run=command.dry_run) as cursor:
            wrong = rebuild_hours(cursor)
    if not wrong:
        return Outcome("The hourly counts agree with the presses.", {"miscounted": asdict(wrong)})
    done = "would be" if command.dry_run else "were"
    return Outcome(f"{wrong.sentence().capitalize()}; they {done} counted anew.", {"miscounted": asdict(wrong)})


def load_outcome(summary: LoadSummary, command: Command) -> Outcome:
    """Return the outcome of a run that ends with the load."""
    return Outcome(summary.sentence(dry_run=command.dry_run), {"load": summary.figures()}, summary.records_rejected > 0)


if __name__ == "__main__":
    exit_process(main())
