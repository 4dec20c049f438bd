"""The ledger of objects, `event_source`: which of a run's objects are new, changed or known, and what is held of each.

In come the objects that the transform judged, out goes the plan of a load; the counts by which it is checked come from
the tables themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from logging import Logger
from uuid import UUID

from etlkit.copying import copy_rows
from etlkit.errors import DataError
from etlkit.postgres import Cursor, run_file
from etlkit.rejects import fill_rejected_records, resolve_files, resolve_missing
from museum.batch.bucket_files import ascii_key
from museum.batch.load_summary import FreshObject, LoadSummary
from museum.batch.manifest import LOCAL_FILES, CombinedManifest, KioskObject
from museum.batch.rejects import source_name
from museum.settings import SQL

SHRINK_LIMIT = 0.8
"""An object that keeps less than this share of its rows is refused without --accept-shrink."""


def plan_objects(
    cursor: Cursor, run_id: UUID, manifest: CombinedManifest, summary: LoadSummary, log: Logger, *, skip_copies: bool
) -> list[FreshObject]:
    """Hold the objects against the ledger, note in the summary what they are, and return the new and changed ones."""
    bucket = manifest.bucket
    readable = [item for item in manifest.kiosk_objects if not item.problem]
    staged = (
        (item.key, bucket, item.key, source_name(bucket, item.key), item.content_hash, item.columns, item.rows)
        for item in readable
    )
    copy_rows(cursor, SQL / "object" / "stage_objects.sql", staged)
    run_file(cursor, SQL / "object" / "compare_objects.sql")
    actions = dict(cursor.fetchall())
    summary.copies = _find_copies(cursor, [item for item in readable if actions[item.key] != "unchanged"])
    for key, first in summary.copies.items():
        became = "left out" if skip_copies else "its presses count too; --skip-copies leaves it out"
        log.warning("%s holds the same bytes as %s: %s", ascii_key(key), ascii_key(first), became)
    left_out = summary.copies if skip_copies else {}
    summary.objects_new = [key for key, action in actions.items() if action == "new" and key not in left_out]
    summary.objects_changed = [key for key, action in actions.items() if action == "changed" and key not in left_out]
    summary.objects_unchanged = list(actions.values()).count("unchanged")
    summary.objects_rejected = [item.key for item in manifest.kiosk_objects if item.problem]
    if bucket != LOCAL_FILES:
        seen = [item.key for item in manifest.kiosk_objects]
        gone = "select key from event_source where kind = 'file' and bucket = %s and key <> all (%s) order by key"
        cursor.execute(gone, (bucket, seen))
        summary.objects_gone = [key for (key,) in cursor.fetchall()]
    run_file(cursor, SQL / "object" / "record_objects.sql", {"run_id": str(run_id), "left_out": list(left_out)})
    return [FreshObject(*row) for row in cursor.fetchall()]


def _find_copies(cursor: Cursor, fresh: Sequence[KioskObject]) -> dict[str, str]:
    """Return (key: the first one's name) of new and changed objects that hold the same bytes as another one."""
    run_file(cursor, SQL / "object" / "list_copies.sql")
    copies = dict(cursor.fetchall())
    first_of: dict[str, str] = {}
    for item in fresh:
        first = first_of.setdefault(item.content_hash, item.key)
        if first != item.key and item.rows:
            copies.setdefault(item.key, first)
    return copies


def set_archived_aside(cursor: Cursor, objects: Sequence[FreshObject]) -> None:
    """Take staged reviews of the archive's time out and reject those that it lacks.

    DataError where an object has not just those any more that the archive has of it: it cannot follow.
    """
    run_file(cursor, SQL / "archive" / "reject_archived.sql")
    found = {source_id: figures for source_id, *figures in cursor.fetchall()}
    for item in objects:
        item.archived, is_same, first_month = found.get(item.source_id, (0, True, ""))
        if not is_same:
            raise DataError(
                f"{item.key}: {item.archived:,} of its reviews lie in the archive, and it no longer has just these.",
                f"Bring their months back (python archive.py restore {first_month}), or the object's earlier content. "
                "Nothing was loaded.",
            )


def count_good(cursor: Cursor, objects: Sequence[FreshObject], *, accept_shrink: bool) -> None:
    """Note how many rows of each object are good, now that all of them are judged; DataError if one shrank."""
    run_file(cursor, SQL / "reject" / "count_staged_rejects.sql")
    rejected = dict(cursor.fetchall())
    for item in objects:
        item.good = item.rows - rejected.get(item.source_id, 0)
    shrunk = [item for item in objects if item.good < (item.previous_stored or 0) * SHRINK_LIMIT]
    if shrunk and not accept_shrink:
        told = sorted(f"{item.key} ({item.previous_stored:,} presses, now {item.good:,})" for item in shrunk)
        raise DataError(
            f"lost over {1 - SHRINK_LIMIT:.0%} of its good rows: {', '.join(told)}. Nothing was loaded. "
            "If that is right, run again with --accept-shrink."
        )


def count_held(cursor: Cursor, objects: Sequence[FreshObject]) -> dict[int, int]:
    """Return how many presses of each object, by its number in the ledger, the tables hold."""
    if not objects:
        return {}
    run_file(cursor, SQL / "press" / "count_held.sql", {"source_ids": [item.source_id for item in objects]})
    return dict(cursor.fetchall())


def settle_rejects(cursor: Cursor, run_id: UUID, manifest: CombinedManifest, fresh: Mapping[str, int]) -> int:
    """Merge the staged rejects into the kept ones, resolve those that are bad no more; return how many are new."""
    names = {item.key: source_name(manifest.bucket, item.key) for item in manifest.kiosk_objects}
    exhibitions = [source_name(manifest.bucket, key) for key in manifest.exhibition_keys]
    resolve_missing(cursor, [*(names[key] for key in sorted(fresh)), *exhibitions])
    resolve_files(cursor, [names[item.key] for item in manifest.kiosk_objects if not item.problem])
    if manifest.bucket != LOCAL_FILES:
        seen = {"prefix": source_name(manifest.bucket, ""), "seen": [*names.values(), *exhibitions]}
        run_file(cursor, SQL / "reject" / "resolve_vanished_rejects.sql", seen)
    return fill_rejected_records(cursor, run_id).new


def account_for_rows(
    cursor: Cursor,
    run_id: UUID,
    manifest: CombinedManifest,
    objects: Sequence[FreshObject],
    recovered: Mapping[str, int],
    summary: LoadSummary,
) -> None:
    """Say where every row went, each term counted by itself; DataError if one is lost. The ledger gets its counts."""
    run_file(cursor, SQL / "reject" / "list_new_reasons.sql", {"run_id": str(run_id)})
    summary.rejected_by_reason = dict(cursor.fetchall())
    fresh = {item.key for item in objects}
    left_out = summary.copies.keys() - fresh
    present = {source_name(manifest.bucket, item.key) for item in manifest.kiosk_objects if not item.problem}
    summary.rows_recovered = sum(recovered.values())
    recovered_elsewhere = sum(count for source, count in recovered.items() if source not in present)
    summary.rows_fresh = sum(item.rows for item in manifest.kiosk_objects if item.key in fresh)
    rows_of_files = sum(item.rows for item in manifest.kiosk_objects if item.key not in left_out)
    summary.rows_in = recovered_elsewhere + rows_of_files
    run_file(cursor, SQL / "reject" / "count_rows.sql", {"run_id": str(run_id)})
    counts = cursor.fetchone() or (0, 0, 0, 0, 0)
    stored_of_unchanged, summary.rows_rejected, rejected_earlier, summary.open_rejects, open_of_unchanged = counts
    summary.rows_already_there = stored_of_unchanged + sum(item.already_there for item in objects)
    summary.rows_already_rejected = rejected_earlier + open_of_unchanged
    summary.check(objects)
    held = {
        "source_ids": [item.source_id for item in objects],
        "held": [item.held for item in objects],
        "sources": list(recovered),
        "presses": list(recovered.values()),
    }
    run_file(cursor, SQL / "object" / "update_stored.sql", held)
