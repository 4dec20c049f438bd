"""What the live stream counted, and the proof that no message was lost.

Consumed = stored + already there + rejected + rejected earlier, for every batch and for the whole run. Each term is
counted by the statement that does it, and a batch's are held against what the tables hold of its messages then.
Latencies go into buckets of 2 % width, so that percentiles of any number of presses take the same few kilobytes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from etlkit.errors import DataError

BUCKET_WIDTH = 1.02
SHORTEST_SECONDS = 0.001
BUCKETS = 1_400
"""Up to 1.02 ** 1,400 ms, which is 34 years."""


@dataclass
class Latencies:
    """How long presses took from their `at` to the commit."""

    counts: Any = field(default_factory=lambda: np.zeros(BUCKETS, dtype=np.int64))

    def add(self, seconds: Any) -> None:
        """Count an array of latencies."""
        if len(seconds):
            places = np.log(np.maximum(seconds, SHORTEST_SECONDS) / SHORTEST_SECONDS) / np.log(BUCKET_WIDTH)
            self.counts += np.bincount(np.minimum(places.astype(int), BUCKETS - 1), minlength=BUCKETS)

    def percentile(self, share: float) -> float | None:
        """Return the latency in seconds that this share of the presses stayed below, to within 2 %."""
        total = int(self.counts.sum())
        if not total:
            return None
        place = int(np.searchsorted(np.cumsum(self.counts), share * total))
        return float(SHORTEST_SECONDS * BUCKET_WIDTH ** (place + 1))


class Kept(NamedTuple):
    """How many messages of a batch the tables hold: as a press, and as an open reject."""

    presses: int
    rejects: int


@dataclass
class LiveFigures:
    """Figures of a batch, a minute or a run; they add up."""

    consumed: int = 0
    reviews_stored: int = 0
    incidents_stored: int = 0
    already_there: int = 0
    rejected: int = 0
    rejected_earlier: int = 0
    deleted_by_retention: int = 0
    batches: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)

    @property
    def stored(self) -> int:
        """Return the presses that were added."""
        return self.reviews_stored + self.incidents_stored

    def check(self, kept: Kept) -> None:
        """Raise DataError unless every message is accounted for, here and in the tables."""
        parts = (self.stored, self.already_there, self.rejected, self.rejected_earlier)
        counted = Kept(self.stored + self.already_there, self.rejected + self.rejected_earlier)
        if sum(parts) != self.consumed or counted != kept:
            raise not_added_up(self.sum_line(), kept)

    def add(self, other: LiveFigures) -> None:
        """Take in the figures of a batch."""
        for name, value in vars(other).items():
            if isinstance(value, int):
                setattr(self, name, getattr(self, name) + value)
        self.by_reason.update(other.by_reason)
        self.latencies.counts += other.latencies.counts

    def sum_line(self, would: str = "") -> str:
        """Return the law as a sum."""
        return (
            f"{self.consumed:,} consumed = {self.stored:,} {would}stored + {self.already_there:,} already there "
            f"+ {self.rejected:,} {would}rejected + {self.rejected_earlier:,} rejected earlier"
        )

    def line(self, lag: int | None, would: str = "") -> str:
        """Return the summary of a minute or a run."""
        parts = [self.sum_line(would)]
        parts.append("lag unknown" if lag is None else f"lag {lag:,}")
        median, slowest = self.latencies.percentile(0.5), self.latencies.percentile(0.99)
        if median is not None and slowest is not None:
            parts.append(f"from press to stored p50 {_duration(median)}, p99 {_duration(slowest)}")
        if self.deleted_by_retention:
            parts.append(f"{self.deleted_by_retention:,} offsets deleted by retention before they were read")
        if self.by_reason:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(self.by_reason.items()))
            parts.append(f"{would}rejected: {reasons}")
        return "; ".join(parts)

    def document(self) -> dict[str, Any]:
        """Return the figures for the JSON object and the run's history."""
        counts = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        return {
            **counts,
            "stored": self.stored,
            "rejected_by_reason": dict(sorted(self.by_reason.items())),
            "seconds_to_stored_p50": _rounded(self.latencies.percentile(0.5)),
            "seconds_to_stored_p99": _rounded(self.latencies.percentile(0.99)),
        }


def not_added_up(sum_line: str, kept: Kept) -> DataError:
    """Return the error for a batch whose messages are not all accounted for."""
    return DataError(
        f"the messages do not add up: {sum_line}; the tables hold {kept.presses:,} as presses and {kept.rejects:,} as "
        "open rejects. The batch was rolled back. This is a defect; please report it with the log file."
    )


def _rounded(seconds: float | None) -> float | None:
    """Return milliseconds' precision."""
    return None if seconds is None else round(seconds, 3)


def _duration(seconds: float) -> str:
    """Return a latency as people read it."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2f} s"
