"""What a run counted, that it adds up, and the lines that say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from etlkit.errors import DataError

RULE = "=" * 60
SHOWN_ERRORS = 100


@dataclass
class Statistics:
    """A run's figures; `as_dict` is what `run_main_process` returns."""

    run_id: str
    dry_run: bool = False
    processed: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    repeated: int = 0
    passed_over: int = 0
    failed: int = 0
    new_rejects: int = 0
    deleted: int = 0
    open_rejects: int = 0
    resolved: int = 0
    watermark_before: Any = None
    is_full: bool = False
    is_complete: bool = False
    errors: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    malformed: int = 0
    """Values that were kept out of a record which stays."""
    quality_count: int | None = None
    """How many of the built records have a flag; None where nothing is judged."""
    quality_issues: list[dict[str, Any]] = field(default_factory=list)
    average_score: Any = None
    flags: dict[str, int] = field(default_factory=dict)
    tallies: dict[str, int] = field(default_factory=dict)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    completed_at: datetime | None = None

    @property
    def skipped(self) -> int:
        """Return the records that were there already as they came."""
        return self.unchanged + self.repeated + self.passed_over

    @property
    def duration(self) -> float:
        """Return how long the run took or has taken, in seconds."""
        return ((self.completed_at or datetime.now(UTC)) - self.started_at).total_seconds()

    def reject(self, position: str, reason: str) -> None:
        """Count a bad record and keep its line, up to a hundred of them."""
        self.failed += 1
        self.reasons[reason.split(":", 1)[0]] += 1
        if len(self.errors) < SHOWN_ERRORS:
            self.errors.append(f"{position}: {reason}")

    def require_sum(self) -> None:
        """Raise DataError unless every record that came is stored, rejected or was there already."""
        total = self.created + self.updated + self.skipped + self.failed
        if self.processed != total:
            raise DataError(
                f"the figures do not add up: {self.processed:,} records came, {total:,} are accounted for "
                f"({self.sum_line()}). This is a defect of the hub; the run failed."
            )

    def sum_line(self) -> str:
        """Return where every record went."""
        return (
            f"{self.processed:,} records in = {self.created:,} new + {self.updated:,} changed + "
            f"{self.skipped:,} there already + {self.failed:,} rejected"
        )

    @contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """Take back what is counted inside when it fails, since it is rolled back."""
        before = {name: copy(value) for name, value in vars(self).items() if name != "notes"}
        try:
            yield
        except BaseException:
            vars(self).update(before)
            raise

    def summary_lines(self, title: str, *, is_failed: bool = False) -> list[str]:
        """Return the block that ends every run's log."""
        would = " (would be)" if self.dry_run else ""
        lines = [
            RULE,
            f"📊 FINAL RESULTS SUMMARY: {title}"
            + (" [DRY RUN]" if self.dry_run else "")
            + (" [FAILED] what stays of it" if is_failed else ""),
            RULE,
            f"Duration: {self.duration:.2f} seconds",
            f"Total Processed: {self.processed}",
            f"├─ New Records{would}: {self.created}",
            f"├─ Updated Records{would}: {self.updated}",
            f"└─ Skipped (Unchanged): {self.skipped}",
            f"Deleted{would}: {self.deleted}",
            f"Rejected: {self.failed}" + (f" ({_counted(self.reasons)})" if self.failed else ""),
            f"Quality Issues: {self.quality_count or 0}" + (f" ({_counted(self.flags)})" if self.flags else ""),
            f"Errors: {self.failed}",
            f"Sum: {self.sum_line()}",
        ]
        if self.malformed:
            lines.append(f"Malformed values kept out of their records, which stay: {self.malformed}")
        lines += [f"Counted: {count} {what}" for what, count in self.tallies.items() if count]
        return [*lines, f"Run ID: {self.run_id}", RULE]

    def results_lines(self) -> list[str]:
        """Return what a script prints after its log."""
        would = " (would be)" if self.dry_run else ""
        return [
            "",
            "📊 Results Summary:" + (" [DRY RUN]" if self.dry_run else ""),
            f"   Run ID: {self.run_id}",
            f"   Records Processed: {self.processed}",
            f"   Records Created{would}: {self.created}",
            f"   Records Updated{would}: {self.updated}",
            f"   Records Skipped: {self.skipped}",
            f"   Records Deleted{would}: {self.deleted}",
            *([] if self.quality_count is None else [f"   Quality Issues: {self.quality_count}"]),
            f"   Errors: {self.failed}",
            f"   Duration: {self.duration:.2f} seconds",
        ]

    def metadata(self) -> dict[str, Any]:
        """Return what the run's history keeps beside its columns."""
        quality = {
            "quality_issues": self.quality_count,
            "average_score": None if self.average_score is None else float(self.average_score),
            "flags": self.flags,
            "tallies": self.tallies,
            "malformed_values": self.malformed,
        }
        return {
            **({} if self.quality_count is None else quality),
            "records_skipped": self.skipped,
            "records_failed": self.failed,
            "records_deleted": self.deleted,
            "listing_complete": self.is_complete,
            "full_listing": self.is_full,
            "watermark_before": self.watermark_before,
            "reasons": dict(self.reasons),
            "notes": self.notes,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the statistics as the founding document names them."""
        return {
            "run_id": self.run_id,
            "records_processed": self.processed,
            "records_created": self.created,
            "records_updated": self.updated,
            "records_skipped": self.skipped,
            "records_deleted": self.deleted,
            "records_failed": self.failed,
            "new_rejects": self.new_rejects,
            "open_rejects": self.open_rejects,
            "resolved_rejects": self.resolved,
            "quality_issues": self.quality_issues,
            "malformed_values": self.malformed,
            "quality_issue_count": self.quality_count or 0,
            "errors": self.errors,
            "notes": self.notes,
            "listing_complete": self.is_complete,
            "dry_run": self.dry_run,
            "started_at": self.started_at,
            "completed_at": self.completed_at,
        }


def _counted(reasons: Mapping[str, int]) -> str:
    """Return reasons or flags with how often each occurred."""
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
