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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
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
from etlkit.runs import Run, RunFigures, complete_run
from museum.accounting import LoadSummary, StagedRows
from museum.bulk import CopiedEvents, copy_in_bulk, read_exhibition_ids, take_bulk_target
from museum.combined import (
    EXHIBITION_FILE,
    LOCAL_FILES,
    REJECTS_FILE,
    CombinedFiles,
    CombinedManifest,
    KioskObject,
    read_combined_manifest,
)
from museum.console import run_stage
from museum.database import database_settings, open_museum_run
from museum.duck import duckdb_errors
from museum.hourly import fold_hours
from museum.judged_rows import JudgedObject, JudgedRows
from museum.kiosk import Reference
from museum.objects import data_folder_lock
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
SHRINK_LIMIT = 0.8
"""An object that keeps less than this share of its rows is refused without --accept-shrink."""


@dataclass(frozen=True)
class LoadTarget:
    """An open connection that holds the batch lock, and the run that is under way on it."""

    connection: Connection
    run: Run


def execute_schema(
    connection: Connection, schema_path: Path = SCHEMA_FILE, logger: logging.Logger | None = None
) -> None:
    """Apply schema.sql or roles.sql, which create what is missing and drop nothing. No run calls this by itself."""
    apply_schema(connection, schema_path)
    (logger or logging.getLogger(__name__)).info("applied %s", schema_path.name)


@contextmanager
def open_target(command: Command, logger: logging.Logger | None = None) -> Iterator[LoadTarget]:
    """Connect, check the schema, take the lock and start the run's history; a failure inside marks the run failed.

    Raises ConfigError for an absent or older schema, LockedError when another run holds the lock.
    """
    log = logger or logging.getLogger(__name__)
    metadata = {"bucket": command.museum.museum_bucket}
    with open_museum_run(command, log, "batch", "museum pipeline", metadata) as (connection, run):
        yield LoadTarget(connection, run)


def load_data_to_db(
    target: LoadTarget,
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
    target: LoadTarget, command: Command, path: Path, logger: logging.Logger | None = None
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
    target: LoadTarget, cursor: Cursor, command: Command, combined: CombinedFiles, log: logging.Logger
) -> LoadSummary:
    """Run the load's statements in order inside the caller's transaction."""
    manifest = combined.manifest
    summary = LoadSummary(out_of_hours=manifest.out_of_hours, ambiguous_hour=manifest.ambiguous)
    run_id = {"run_id": str(target.run.run_id)}
    rules = command.museum.rules
    summary.exhibition_rows_written = _fill_exhibitions(cursor, combined.folder / EXHIBITION_FILE)
    reference = read_reference(cursor, command.latest_at)
    fresh = _plan_objects(cursor, manifest, command, summary)
    create_staging(cursor)
    copied = _bring_rows(cursor, combined, fresh, reference, log)
    stage_rejects(cursor, transform_rejects(combined.folder, manifest, fresh, rules, reference))
    run_file(cursor, SQL / "reject_staged_kiosk.sql", {"latest_at": command.latest_at})
    find_lost_texts(cursor, manifest, command.museum.bucket_dir)
    staged_good, staged_bad = _row(cursor, "count_staged")
    recovered = rejudge_open_rejects(target.connection, cursor, rules, reference)
    if not copied.is_bulk:  # else there was nothing before, and what was copied is not in staging
        summary.rows_removed = run_file(cursor, SQL / "delete_changed_review.sql")
        summary.rows_removed += run_file(cursor, SQL / "delete_changed_incident.sql")
    summary.reviews_stored = copied.reviews + run_file(cursor, SQL / "fill_review.sql")
    summary.incidents_stored = copied.incidents + run_file(cursor, SQL / "fill_incident.sql")
    if copied.is_bulk:
        summary.check_stored(*_row(cursor, "count_events"))
    fold_hours(cursor)
    _settle_rejects(cursor, target.run.run_id, manifest, fresh, summary)
    summary.rows_rejected = _row(cursor, "count_new_rejects", run_id)[0]
    summary.open_rejects, open_of_unchanged = _row(cursor, "count_open_rejects")
    present = {source_name(manifest.bucket, item.key) for item in manifest.kiosk_objects if not item.problem}
    summary.account(
        fresh_rows=sum(item.rows for item in manifest.kiosk_objects if item.key in fresh),
        unchanged_rows=sum(item.rows for item in manifest.kiosk_objects if item.key not in fresh),
        staged=StagedRows(copied.reviews + copied.incidents + staged_good, staged_bad),
        open_of_unchanged=open_of_unchanged,
        recovered=sum(recovered.values()),
        recovered_here=sum(count for source, count in recovered.items() if source in present),
    )
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


def _plan_objects(cursor: Cursor, manifest: CombinedManifest, command: Command, summary: LoadSummary) -> dict[str, int]:
    """Hold the objects against the ledger; return (key: source id) of new and changed ones. DataError if one shrank."""
    readable = [item for item in manifest.kiosk_objects if not item.problem]
    run_file(cursor, SQL / "create_staging_object.sql")
    copy_rows(cursor, SQL / "copy_staging_object.sql", (_object_row(manifest.bucket, item) for item in readable))
    run_file(cursor, SQL / "compare_staging_object.sql")
    run_file(cursor, SQL / "list_staging_object.sql")
    shrunk = []
    for key, _, action, rows, previous_rows in cursor.fetchall():
        if action == "changed" and rows < previous_rows * SHRINK_LIMIT:
            shrunk.append(f"{key} ({previous_rows:,} rows, now {rows:,})")
        if action == "unchanged":
            summary.objects_unchanged += 1
        else:
            (summary.objects_new if action == "new" else summary.objects_changed).append(key)
    if shrunk and not command.accept_shrink:
        raise DataError(
            f"lost over {1 - SHRINK_LIMIT:.0%} of its rows: {', '.join(sorted(shrunk))}. Nothing was loaded. "
            "If that is right, run again with --accept-shrink."
        )
    seen = [item.key for item in manifest.kiosk_objects]
    if manifest.bucket != LOCAL_FILES:
        run_file(cursor, SQL / "list_gone_objects.sql", {"bucket": manifest.bucket, "seen": seen})
        summary.objects_gone = [key for (key,) in cursor.fetchall()]
    summary.objects_rejected = [item.key for item in manifest.kiosk_objects if item.problem]
    run_file(cursor, SQL / "fill_event_source.sql", {"run_id": str(command.run_id)})
    run_file(cursor, SQL / "number_staging_object.sql")
    run_file(cursor, SQL / "list_fresh_objects.sql")
    return dict(cursor.fetchall())


def _object_row(bucket: str, item: KioskObject) -> tuple[object, ...]:
    """Return an object's row for staging_object."""
    return (
        item.key, bucket, item.key, source_name(bucket, item.key), item.content_hash, item.columns, item.rows,
    )  # fmt: skip


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
        with open_target(command, logger) as target, data_folder_lock(command.museum.museum_data_dir):
            if command.flags.kiosk_csv:
                summary = load_plain_file(target, command, command.flags.kiosk_csv, logger)
            else:
                summary = load_data_to_db(target, command, finished_files(command.museum.combined_dir), logger)
        return load_outcome(summary, command)

    return run_stage(parser.parse_args(arguments), body, with_database=True)


def load_outcome(summary: LoadSummary, command: Command) -> Outcome:
    """Return the outcome of a run that ends with the load."""
    return Outcome(summary.sentence(dry_run=command.dry_run), {"load": summary.figures()}, summary.records_rejected > 0)


if __name__ == "__main__":
    exit_process(main())
