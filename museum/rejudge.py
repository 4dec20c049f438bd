"""Rejected rows on their way into the database: judged against it, whatever stage met them first.

The transform's rejects are judged again from their text so that every reason is there; open rejects of earlier runs
whose reason may have passed (an exhibition arrived, a button was added, the future came) are judged again too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path

from etlkit.copying import copy_rows
from etlkit.errors import DataError
from etlkit.postgres import Connection, Cursor, run_file
from etlkit.rejects import Reject, create_rejudged_staging, stage_rejudged, update_rejudged
from museum.combined import LOCAL_FILES, CombinedManifest, RejectedRow, read_rejected_rows
from museum.kiosk import KIOSK_COLUMNS, REJUDGED_REASONS, Event, Reference, Rules, judge_line
from museum.kiosk_files import inspect_file, iterate_rows
from museum.reference import SQL

FILE_POSITION = "file"
BATCH_ROWS = 10_000


def source_name(bucket: str, key: str) -> str:
    """Return an object's name in the rejects."""
    return f"{LOCAL_FILES}{key}" if bucket == LOCAL_FILES else f"s3://{bucket}/{key}"


def transform_rejects(
    folder: Path, manifest: CombinedManifest, judged_objects: Container[str], rules: Rules, reference: Reference
) -> Iterator[Reject]:
    """Yield the transform's definite rejects of new and changed objects, of whole files and of exhibitions."""
    columns = {item.key: tuple(item.columns) for item in manifest.kiosk_objects}
    for row in read_rejected_rows(folder):
        source = source_name(manifest.bucket, row.object)
        if row.row == 0:
            yield Reject(source, FILE_POSITION, row.raw, row.reasons)
        elif row.kind == "exhibition":
            yield Reject(source, f"record {row.row}", row.raw, row.reasons)
        elif row.object in judged_objects and not row.provisional:
            verdict = judge_line(row.raw, columns[row.object], rules, reference)
            yield Reject(source, str(row.row), row.raw, verdict.reasons or row.reasons)


def provisional_texts(folder: Path, source_ids: Mapping[str, int]) -> Iterator[tuple[int, int, bytes]]:
    """Yield (source id, row, original bytes) of the rows that the stand-in reference was against."""

    def is_wanted(row: RejectedRow) -> bool:
        return row.provisional and row.object in source_ids

    return ((source_ids[row.object], row.row, row.raw) for row in read_rejected_rows(folder) if is_wanted(row))


def rejudge_open_rejects(connection: Connection, cursor: Cursor, rules: Rules, reference: Reference) -> Counter[str]:
    """Stage earlier rejects that are good now, resolve them, note changed reasons; return how many are good, by source.

    Rows are read in batches, so memory does not grow with them.
    """
    recovered: Counter[str] = Counter()
    create_rejudged_staging(cursor)
    statement = (SQL / "list_rejudgeable.sql").read_text(encoding="utf-8")
    with connection.cursor(name="rejudgeable") as rows:
        rows.execute(statement, {"rejudged_reasons": list(REJUDGED_REASONS)})
        while batch := rows.fetchmany(BATCH_ROWS):
            good: list[tuple[Event, int, str]] = []
            judged: list[tuple[str, str, tuple[str, ...]]] = []
            for source, position, raw, reasons, columns, source_id in batch:
                verdict = judge_line(bytes(raw), tuple(columns or KIOSK_COLUMNS), rules, reference)
                if verdict.is_good and verdict.event:
                    good.append((verdict.event, source_id, position))
                    recovered[source] += 1
                if list(verdict.reasons) != reasons:
                    judged.append((source, position, verdict.reasons))
            _stage_good(cursor, good)
            stage_rejudged(cursor, judged)
    update_rejudged(cursor)
    return recovered


def find_lost_texts(cursor: Cursor, manifest: CombinedManifest, bucket_dir: Path) -> None:
    """Give staged rejects without a text the original one, read again from their file.

    Where the file is gone or has changed since the transform, the row cannot be kept faithfully: DataError.
    """
    run_file(cursor, SQL / "list_textless_rejects.sql")
    wanted: dict[tuple[str, int], set[int]] = {}
    for key, source_id, row in cursor.fetchall():
        wanted.setdefault((key, source_id), set()).add(row)
    hashes = {item.key: item.content_hash for item in manifest.kiosk_objects}
    for (key, source_id), rows in wanted.items():
        path = bucket_dir / key
        if not path.is_file() or not hashes[key].startswith(f"sha256:{inspect_file(path).sha256}"):
            raise DataError(
                f"{key}: the database rejects {len(rows):,} of its rows, and their text cannot be kept because "
                f"{path} is not the file that was transformed. Run the transform again. Nothing was loaded."
            )
        found = ((source_id, row, raw) for row, raw in iterate_rows(path) if row in rows)
        copy_rows(cursor, SQL / "copy_staging_text.sql", found)
    if wanted:
        run_file(cursor, SQL / "update_reject_text.sql")


def _stage_good(cursor: Cursor, good: Iterable[tuple[Event, int, str]]) -> None:
    """Put recovered rows into staging_kiosk."""
    rows = ((event.at.isoformat(), event.site, event.val, event.type, source, row) for event, source, row in good)
    copy_rows(cursor, SQL / "copy_judged_kiosk.sql", rows)
