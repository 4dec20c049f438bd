"""A list into its staging table: in come raw pages, out go rows of one day and one run, and the bad items as rejects.

The table is emptied and filled in the caller's transaction, so a re-run leaves the same rows, a failure the old ones.
Of an id that is there twice, since the list moves while it is read, the first one counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from binge_works.popular_lists import SQL, PopularList
from binge_works.raw_pages import RawPages
from binge_works.rows import Item, id_of, judge
from etlkit.copying import copy_rows
from etlkit.errors import DataError
from etlkit.postgres import Cursor, run_file
from etlkit.rejects import Reject, create_staging, fill_rejected_records, resolve_missing, stage_rejects

LOST_SHARE = 0.5
"""A list that lost so much of its ids is none that TMDB has changed, but one that was not read."""


@dataclass(frozen=True)
class Staged:
    """What a staging table holds: the list of one day, brought by one run."""

    as_of: date
    run_id: UUID
    items: int


@dataclass
class StagingFigures:
    """Where the items of a list went on their way into staging."""

    items_in: int = 0
    staged: int = 0
    duplicates: int = 0
    rejected: int = 0
    new_rejects: int = 0
    resolved_rejects: int = 0
    unknown_fields: set[str] = field(default_factory=set)

    def require_sum(self, popular: PopularList) -> None:
        """Raise DataError unless every item is staged, a duplicate or rejected."""
        total = self.staged + self.duplicates + self.rejected
        if self.items_in != total:
            raise DataError(
                f"the figures do not add up: {self.items_in:,} items of {popular.name} came, {total:,} are accounted "
                "for. This is a defect; nothing was loaded."
            )


def read_staged(cursor: Cursor, popular: PopularList) -> Staged | None:
    """Return what a staging table holds, None where it is empty; DataError for a mixture of several loads."""
    run_file(cursor, popular.sql / "read_staged.sql")
    found = cursor.fetchall()
    if len(found) > 1:
        raise DataError(f"{popular.staging} holds rows of {len(found)} loads. Run the list anew; nothing was loaded.")
    return Staged(found[0][0], UUID(str(found[0][1])), found[0][2]) if found else None


def load_staging(
    cursor: Cursor, popular: PopularList, raw: RawPages, run_id: UUID, *, accepts_shrink: bool = False
) -> StagingFigures:
    """Replace the list in staging; return where its items went.

    Raises DataError for a list without a good item and for one that lost half of the ids that staging held.
    """
    before = _last_list(cursor, popular)
    run_file(cursor, popular.sql / "empty_staging.sql")
    figures, rejects = StagingFigures(), dict[str, Reject]()
    copy_rows(cursor, popular.sql / "copy_staging.sql", _good_rows(popular, raw, run_id, figures, rejects))
    create_staging(cursor)
    figures.rejected = stage_rejects(cursor, rejects.values())
    found = fill_rejected_records(cursor, run_id)
    figures.new_rejects = found.new
    figures.resolved_rejects = resolve_missing(cursor, [source_of(popular)])
    now = read_staged(cursor, popular)
    if now is None:
        raise DataError(
            f"the list of {popular.name} holds no good item ({figures.items_in:,} came).", "Nothing was loaded."
        )
    if before and not accepts_shrink and now.items <= before[1] * LOST_SHARE:
        raise DataError(
            f"the list of {popular.name} for {raw.as_of} has {now.items:,} ids, the one of {before[0]} had "
            f"{before[1]:,}: it lost half of them or more.",
            "Nothing was loaded. If it is right, run again with --accept-shrink.",
        )
    figures.staged = now.items
    figures.require_sum(popular)
    return figures


def _last_list(cursor: Cursor, popular: PopularList) -> tuple[date, int] | None:
    """Return the day and the size of the last list: what staging holds, of however many loads, or the last snapshot."""
    run_file(cursor, popular.sql / "read_staged.sql")
    held = cursor.fetchall()
    if held:
        return max(as_of for as_of, *_ in held), sum(items for *_, items in held)
    run_file(cursor, SQL / "days" / "read_last_snapshot.sql", {"list": popular.name})
    found: tuple[date, int] | None = cursor.fetchone()
    return found


def source_of(popular: PopularList) -> str:
    """Return what the rejects of a list call their source."""
    return f"tmdb/{popular.name}"


def _good_rows(
    popular: PopularList, raw: RawPages, run_id: UUID, figures: StagingFigures, rejects: dict[str, Reject]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a list's good items; count the others and collect the bad ones by their position."""
    known = popular.fields.keys() | popular.ignored
    good: set[int] = set()
    for rank, (place, item) in enumerate(raw.items(), start=1):
        figures.items_in += 1
        identity = id_of(item)
        position = str(identity) if identity is not None else place
        if identity in good:
            figures.duplicates += 1
            continue
        judged = judge(item, popular.fields)
        if isinstance(judged, Item):
            good.add(judged.id)
            if item.keys() - known:
                figures.unknown_fields |= {str(name) for name in item.keys() - known}
            yield (*judged.values, rank, raw.as_of, run_id)
        elif position in rejects:
            figures.duplicates += 1
        else:
            rejects[position] = Reject(source_of(popular), position, json.dumps(item).encode(), judged)
