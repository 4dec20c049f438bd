"""What a load counted, and the proof that no row was lost: rows in = stored + already there + rejected.

Each term is counted by itself: rows in by the transform, stored ones by the statements that store, rejected ones in the
table of rejects, those already there in the tables and the archive (of changed objects) and in the ledger (of unchanged
ones).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from etlkit.errors import DataError
from museum.command import Summary


@dataclass
class FreshObject:
    """A new or changed object on its way in: `good` of its rows are to be stored, `held` are in the end.

    `previous_stored` are the presses of its earlier content, None for a new object; `already_there` are those of them
    that the new content has too, of which `archived` lie in the archive.
    """

    key: str
    source_id: int
    rows: int
    previous_stored: int | None
    good: int = 0
    already_there: int = 0
    archived: int = 0
    held: int = 0


@dataclass
class LoadSummary(Summary):
    """The load's figures; rows are kiosk rows. A dry run would have done all of it."""

    stage: ClassVar[str] = "load"
    dry_run: bool = False
    seconds: float = 0.0
    objects_new: list[str] = field(default_factory=list)
    objects_changed: list[str] = field(default_factory=list)
    objects_unchanged: int = 0
    objects_gone: list[str] = field(default_factory=list)
    objects_rejected: list[str] = field(default_factory=list)
    copies: dict[str, str] = field(default_factory=dict)
    exhibition_rows_written: int = 0
    rows_in: int = 0
    rows_fresh: int = 0
    reviews_stored: int = 0
    incidents_stored: int = 0
    rows_already_there: int = 0
    rows_rejected: int = 0
    rows_already_rejected: int = 0
    rows_recovered: int = 0
    rows_removed: int = 0
    records_rejected: int = 0
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    open_rejects: int = 0
    out_of_hours: int = 0
    ambiguous_hour: int = 0
    hours_span: int = 0

    @property
    def rows_stored(self) -> int:
        """Return the rows that this run added."""
        return self.reviews_stored + self.incidents_stored

    @property
    def is_nothing_new(self) -> bool:
        """Tell whether the run found the database as it had to be."""
        touched = self.rows_stored + self.rows_removed + self.exhibition_rows_written + self.records_rejected
        return touched == 0 and not self.objects_new and not self.objects_changed

    def check(self, objects: Iterable[FreshObject]) -> None:
        """Raise DataError unless every row is accounted for, and the tables hold the good rows of each fresh object."""
        accounted = self.rows_stored + self.rows_already_there + self.rows_rejected + self.rows_already_rejected
        lost = [f"{one.key}: {one.good:,} good rows, {one.held:,} held" for one in objects if one.good != one.held]
        if lost or accounted != self.rows_in:
            raise DataError(
                f"the rows do not add up: {self.rows_in:,} came in, {accounted:,} are accounted for "
                f"({'; '.join([self.sum_line(), *lost])}). Nothing was loaded. This is a defect; please report it with "
                "the log file."
            )

    def sum_line(self, would: str = "") -> str:
        """Return the law as a sum."""
        return (
            f"{self.rows_in:,} rows in = {self.rows_stored:,} {would}stored + {self.rows_already_there:,} "
            f"already there + {self.rows_rejected:,} {would}rejected + {self.rows_already_rejected:,} rejected earlier"
        )

    @property
    def has_new_rejects(self) -> bool:
        """Tell whether this run rejected records."""
        return self.records_rejected > 0

    def lines(self) -> list[str]:
        """Return the summary's lines."""
        would = "would be " if self.dry_run else ""
        objects = (
            f"{len(self.objects_new)} new, {len(self.objects_changed)} changed, {self.objects_unchanged} unchanged, "
            f"{len(self.objects_rejected)} rejected"
        )
        stored = f"{self.reviews_stored:,} reviews and {self.incidents_stored:,} incidents {would}stored"
        lines = [
            f"load       {self.seconds:6.1f} s  {self.sum_line(would)}",
            f"           {stored}; objects: {objects}",
        ]
        if self.rows_recovered:
            lines.append(f"           {self.rows_recovered:,} rows rejected earlier are good now")
        if self.rows_removed:
            lines.append(f"           {self.rows_removed:,} rows of changed objects {would}removed or replaced")
        if self.objects_gone:
            lines.append(f"           gone from the source, their rows stay: {', '.join(self.objects_gone)}")
        if self.rejected_by_reason:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.rejected_by_reason.items())
            lines.append(f"           {would}rejected: {reasons}")
        return lines

    def sentence(self) -> str:
        """Return the outcome of a run that ends with the load."""
        earlier = self.open_rejects - self.records_rejected
        tail = f"{earlier:,} earlier rejects are still open." if earlier > 0 else ""
        if self.is_nothing_new:
            return f"Nothing new: {self.rows_in:,} rows, all there or rejected before. {tail}".rstrip()
        verb = "Would load" if self.dry_run else "Loaded"
        return f"{verb} {self.rows_stored:,} rows, {self.records_rejected:,} rejected. {tail}".rstrip()

    def figures(self) -> dict[str, Any]:
        """Return the stage's part of the run's figures."""
        counted = {name: value for name, value in asdict(self).items() if name != "dry_run"}
        return {**counted, "seconds": round(self.seconds, 3), "rows_stored": self.rows_stored}
