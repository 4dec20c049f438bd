"""What the live stream counted and tells, and the proof that no message was lost.

Consumed = stored + already there + rejected + rejected earlier, for every batch and for the whole run. Each term is
counted by the statement that does it, and a batch's are held against what the tables hold of its messages then.
Latencies go into buckets of 2 % width, so that percentiles of any number of presses take the same few kilobytes.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import psycopg2

from etlkit.errors import DataError
from etlkit.postgres import server_words
from museum.command import Summary

REPORT_SECONDS = 60.0
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
class StoringSummary(Summary):
    """What became of live messages, read or judged again; the `counts` add up. A dry run would have done all of it."""

    counts: ClassVar[tuple[str, ...]]
    dry_run: bool = False
    reviews_stored: int = 0
    incidents_stored: int = 0
    already_there: int = 0
    open_rejects: int = 0

    @property
    def stored(self) -> int:
        """Return the presses that were added."""
        return self.reviews_stored + self.incidents_stored

    def add(self, other: Self) -> None:
        """Take in what a batch did."""
        for name in self.counts:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class LiveSummary(StoringSummary):
    """What a batch, a minute or a run did."""

    stage: ClassVar[str] = "live"
    counts = (
        "consumed", "reviews_stored", "incidents_stored", "already_there", "rejected", "rejected_earlier",
        "deleted_by_retention", "batches",
    )  # fmt: skip
    consumed: int = 0
    rejected: int = 0
    rejected_earlier: int = 0
    deleted_by_retention: int = 0
    batches: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)
    lag: int | None = None

    @property
    def has_new_rejects(self) -> bool:
        """Tell whether this run rejected messages."""
        return self.rejected > 0

    def check(self, kept: Kept) -> None:
        """Raise DataError unless every message is accounted for, here and in the tables."""
        counted = Kept(self.stored + self.already_there, self.rejected + self.rejected_earlier)
        if sum(counted) != self.consumed or counted != kept:
            raise not_added_up(self.sum_line(), kept)

    def add(self, other: Self) -> None:
        """Take in what a batch did."""
        super().add(other)
        self.by_reason.update(other.by_reason)
        self.latencies.counts += other.latencies.counts

    def sum_line(self, would: str = "") -> str:
        """Return the law as a sum."""
        return (
            f"{self.consumed:,} consumed = {self.stored:,} {would}stored + {self.already_there:,} already there "
            f"+ {self.rejected:,} {would}rejected + {self.rejected_earlier:,} rejected earlier"
        )

    def lines(self) -> list[str]:
        """Return the line of a minute or a run."""
        would = "would be " if self.dry_run else ""
        parts = [self.sum_line(would), "lag unknown" if self.lag is None else f"lag {self.lag:,}"]
        median, slowest = self.latencies.percentile(0.5), self.latencies.percentile(0.99)
        if median is not None and slowest is not None:
            parts.append(f"from press to stored p50 {_duration(median)}, p99 {_duration(slowest)}")
        if self.deleted_by_retention:
            parts.append(f"{self.deleted_by_retention:,} offsets deleted by retention before they were read")
        if self.by_reason:
            reasons = (f"{reason} {count:,}" for reason, count in sorted(self.by_reason.items()))
            parts.append(f"{would}rejected: {', '.join(reasons)}")
        return ["; ".join(parts)]

    def sentence(self) -> str:
        """Return the outcome of a run."""
        earlier = self.open_rejects - (0 if self.dry_run else self.rejected)
        tail = f" {earlier:,} earlier rejects are still open." if earlier > 0 else ""
        verb = "Would store" if self.dry_run else "Stored"
        return f"{verb} {self.stored:,} of {self.consumed:,} messages, {self.rejected:,} rejected.{tail}"

    def figures(self) -> dict[str, Any]:
        """Return the figures for the JSON object and the run's history."""
        return {
            **{name: getattr(self, name) for name in self.counts},
            "stored": self.stored,
            "rejected_by_reason": dict(sorted(self.by_reason.items())),
            "seconds_to_stored_p50": _rounded(self.latencies.percentile(0.5)),
            "seconds_to_stored_p99": _rounded(self.latencies.percentile(0.99)),
            "lag": self.lag,
        }


class LiveReport:
    """The figures of the run and of the minute, and what is wrong just now."""

    def __init__(self, log: logging.Logger, *, dry_run: bool) -> None:
        """Begin a run and a minute."""
        self.total = LiveSummary(dry_run=dry_run)
        self._log = log
        self._minute = LiveSummary(dry_run=dry_run)
        self._next_line = time.monotonic() + REPORT_SECONDS
        self._troubles: dict[str, None] = {}

    @property
    def is_due(self) -> bool:
        """Tell whether a minute is over."""
        return time.monotonic() >= self._next_line

    @property
    def last_trouble(self) -> str | None:
        """Return the last trouble that still lasts."""
        return next(reversed(self._troubles), None)

    def add(self, batch: LiveSummary) -> None:
        """Take in what a batch did."""
        self._minute.add(batch)
        self.total.add(batch)

    def tell_minute(self, lag: int | None) -> None:
        """Print the minute's line and begin the next one."""
        self._minute.lag = self.total.lag = lag
        self._log.info("live %s", self._minute.lines()[0])
        self._minute = LiveSummary(dry_run=self.total.dry_run)
        self._next_line = time.monotonic() + REPORT_SECONDS

    def tell_trouble(self, message: str) -> None:
        """Tell of a trouble that passes, once for as long as it lasts."""
        self._log.log(logging.DEBUG if message in self._troubles else logging.WARNING, "%s", message)
        self._troubles[message] = None

    def forget_troubles(self) -> None:
        """Note that all is well again."""
        self._troubles.clear()


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


def told(error: Exception) -> str:
    """Return the first sentence of what the driver said, else the error's own words."""
    cause = error if isinstance(error, psycopg2.Error) else error.__cause__
    return server_words(cause) if isinstance(cause, psycopg2.Error) else str(error).rstrip(".")
