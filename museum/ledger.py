"""The ledger of objects, `event_source`: which of a run's objects are new, changed or known, and what is held of each.

In come the objects that the transform judged, out goes the plan of a load; the counts by which it is checked come from
the tables themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from etlkit.copying import copy_rows
from etlkit.errors import DataError
from etlkit.postgres import Cursor, run_file
from museum.accounting import FreshObject, LoadSummary
from museum.combined import LOCAL_FILES, CombinedManifest, KioskObject
from museum.reference import SQL
from museum.rejudge import source_name
from museum.settings import Command

SHRINK_LIMIT = 0.8
"""An object that keeps less than this share of its rows is refused without --accept-shrink."""


def plan_objects(
    cursor: Cursor, manifest: CombinedManifest, command: Command, summary: LoadSummary
) -> list[FreshObject]:
    """Hold the objects against the ledger; return the new and changed ones."""
    readable = [item for item in manifest.kiosk_objects if not item.problem]
    run_file(cursor, SQL / "create_staging_object.sql")
    copy_rows(cursor, SQL / "copy_staging_object.sql", (_object_row(manifest.bucket, item) for item in readable))
    run_file(cursor, SQL / "compare_staging_object.sql")
    run_file(cursor, SQL / "list_staging_object.sql")
    actions = dict(cursor.fetchall())
    summary.copies = _find_copies(cursor, [item for item in readable if actions[item.key] != "unchanged"])
    if command.skip_copies and summary.copies:
        run_file(cursor, SQL / "skip_copies.sql", {"objects": list(summary.copies)})
        actions = {key: action for key, action in actions.items() if key not in summary.copies}
    for key, action in actions.items():
        if action == "unchanged":
            summary.objects_unchanged += 1
        else:
            (summary.objects_new if action == "new" else summary.objects_changed).append(key)
    seen = [item.key for item in manifest.kiosk_objects]
    if manifest.bucket != LOCAL_FILES:
        run_file(cursor, SQL / "list_gone_objects.sql", {"bucket": manifest.bucket, "seen": seen})
        summary.objects_gone = [key for (key,) in cursor.fetchall()]
    summary.objects_rejected = [item.key for item in manifest.kiosk_objects if item.problem]
    run_file(cursor, SQL / "fill_event_source.sql", {"run_id": str(command.run_id)})
    run_file(cursor, SQL / "number_staging_object.sql")
    run_file(cursor, SQL / "list_fresh_objects.sql")
    return [FreshObject(*row) for row in cursor.fetchall()]


def _find_copies(cursor: Cursor, fresh: Sequence[KioskObject]) -> dict[str, str]:
    """Return (key: the first one's name) of new and changed objects that hold the same bytes as another one."""
    run_file(cursor, SQL / "list_copies.sql")
    copies = dict(cursor.fetchall())
    first_of: dict[str, str] = {}
    for item in fresh:
        first = first_of.setdefault(item.content_hash, item.key)
        if first != item.key and item.rows:
            copies.setdefault(item.key, first)
    return copies


def _object_row(bucket: str, item: KioskObject) -> tuple[object, ...]:
    """Return an object's row for staging_object."""
    return (
        item.key, bucket, item.key, source_name(bucket, item.key), item.content_hash, item.columns, item.rows,
    )  # fmt: skip


def count_good(cursor: Cursor, objects: Sequence[FreshObject], command: Command) -> None:
    """Note how many rows of each object are good, now that all of them are judged; DataError if one shrank."""
    run_file(cursor, SQL / "count_staged_rejects.sql")
    rejected = dict(cursor.fetchall())
    for item in objects:
        item.good = item.rows - rejected.get(item.source_id, 0)
    shrunk = [item for item in objects if item.good < (item.previous_stored or 0) * SHRINK_LIMIT]
    if shrunk and not command.accept_shrink:
        told = sorted(f"{item.key} ({item.previous_stored:,} presses, now {item.good:,})" for item in shrunk)
        raise DataError(
            f"lost over {1 - SHRINK_LIMIT:.0%} of its good rows: {', '.join(told)}. Nothing was loaded. "
            "If that is right, run again with --accept-shrink."
        )


def count_held(cursor: Cursor, objects: Sequence[FreshObject]) -> dict[int, int]:
    """Return how many presses of each object, by its number in the ledger, the tables hold."""
    if not objects:
        return {}
    run_file(cursor, SQL / "count_held.sql", {"source_ids": [item.source_id for item in objects]})
    return dict(cursor.fetchall())
