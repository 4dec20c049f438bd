"""What a viewer asks for: a period of local days and a set of exhibitions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
SHOWN_TIMES = {"earliest": EARLIEST, "latest": LATEST}
"""What is shown lies between these; a database may hold times that no calendar and no chart has a place for."""

HOURLY_DAYS = 3
DAILY_DAYS = 120
WEEKLY_DAYS = 750


@dataclass(frozen=True)
class Period:
    """Whole local days, both ends included."""

    first_day: date
    last_day: date

    @property
    def days(self) -> int:
        """Return how many days that are."""
        return (self.last_day - self.first_day).days + 1

    @property
    def grain(self) -> str:
        """Return the step in which a line over these days still reads well."""
        for longest, grain in ((HOURLY_DAYS, "hour"), (DAILY_DAYS, "day"), (WEEKLY_DAYS, "week")):
            if self.days <= longest:
                return grain
        return "month"

    def before(self) -> Period:
        """Return the period of the same length that ends the day before this one begins."""
        length = timedelta(days=self.days)
        return Period(self.first_day - length, self.last_day - length)

    def within(self, other: Period) -> Period | None:
        """Return what lies in another period too, None when nothing does."""
        first, last = max(self.first_day, other.first_day), min(self.last_day, other.last_day)
        return Period(first, last) if first <= last else None

    def last(self, days: int) -> Period:
        """Return the last days of this period."""
        return Period(max(self.first_day, self.last_day - timedelta(days=days - 1)), self.last_day)

    def __str__(self) -> str:
        """Return the period as people write it."""
        first, last = f"{self.first_day:%-d %B %Y}", f"{self.last_day:%-d %B %Y}"
        return first if first == last else f"{first} to {last}"


@dataclass(frozen=True)
class Selection:
    """A period, the ids of the exhibitions, and the zone whose days and hours count."""

    period: Period
    exhibitions: tuple[int, ...]
    timezone: str

    def parameters(self, period: Period | None = None) -> dict[str, Any]:
        """Return the parameters of the queries, for this period or another one."""
        period = period or self.period
        return {
            "begins": self._midnight(period.first_day),
            "ends": self._midnight(period.last_day + timedelta(days=1)),
            "exhibitions": list(self.exhibitions),
            "timezone": self.timezone,
            "grain": period.grain,
        }

    def _midnight(self, day: date) -> datetime:
        """Return when a local day begins, within the times that are shown."""
        return min(max(datetime.combine(day, time(), ZoneInfo(self.timezone)), EARLIEST), LATEST)
