"""Bad records in `meta.rejected_records`: one row each, with its original bytes and all its reasons.

Identity is provenance (source, position), so that the same bad record met again is one row; a record that turns good
or disappears from its source is resolved, never deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from etlkit.copying import copy_rows
from etlkit.postgres import Cursor, run_file

SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class Reject:
    """A bad record: where it stands, its original bytes, and why it was rejected."""

    source: str
    position: str
    raw: bytes
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class RejectCount:
    """How many staged records are new rejects, and how many were open already with the same text."""

    new: int
    open_before: int


def create_staging(cursor: Cursor) -> None:
    """Create the TEMP table `staging_reject` for this transaction."""
    run_file(cursor, SQL / "create_staging_reject.sql")


def stage_rejects(cursor: Cursor, rejects: Iterable[Reject]) -> int:
    """COPY rejects into `staging_reject`, streaming."""
    return copy_rows(
        cursor,
        SQL / "copy_staging_reject.sql",
        ((reject.source, reject.position, reject.raw, reject.reasons) for reject in rejects),
    )


def fill_rejected_records(cursor: Cursor, run_id: UUID) -> RejectCount:
    """Merge `staging_reject` into `meta.rejected_records`."""
    run_file(cursor, SQL / "fill_rejected_records.sql", {"run_id": str(run_id)})
    counts = cursor.fetchone() or (0, 0)
    return RejectCount(new=counts[0], open_before=counts[1])


def resolve_missing(cursor: Cursor, sources: Sequence[str]) -> int:
    """Resolve the open rejects of wholly judged sources that are not in `staging_reject`; return how many."""
    return run_file(cursor, SQL / "resolve_missing_rejects.sql", {"sources": list(sources)})


def resolve_files(cursor: Cursor, sources: Sequence[str]) -> int:
    """Resolve the rejects of whole files (position "file") that can be read now; return how many."""
    return run_file(cursor, SQL / "resolve_file_rejects.sql", {"sources": list(sources)})


def create_rejudged_staging(cursor: Cursor) -> None:
    """Create the TEMP table `staging_rejudged` for this transaction."""
    run_file(cursor, SQL / "create_staging_rejudged.sql")


def stage_rejudged(cursor: Cursor, judged: Iterable[tuple[str, str, tuple[str, ...]]]) -> int:
    """COPY (source, position, reasons) of open rejects that were judged again into `staging_rejudged`."""
    return copy_rows(cursor, SQL / "copy_staging_rejudged.sql", judged)


def update_rejudged(cursor: Cursor) -> int:
    """Note the new reasons of `staging_rejudged`; a reject without any is resolved."""
    return run_file(cursor, SQL / "update_rejudged.sql")
