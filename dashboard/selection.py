"""What a viewer asks for: a period of local days and a set of exhibitions, and the step of its lines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
EVER = (EARLIEST, LATEST)
SHOWN_TIMES = {"earliest": EARLIEST, "latest": LATEST}
"""What is shown lies between these; a database may hold times that no calendar and no chart has a place for."""

GRAINS = (("hour", 3), ("day", 120), ("week", 750))
"""Up to how many days with presses a line still reads well in each step; beyond the last, months do."""

MOST_DAYS = GRAINS[-1][1] + 1
"""More days than this need not be counted to choose a step."""

TODAY, YESTERDAY, LAST_MONTH, ALL_DAYS = "Today", "Yesterday", "Last month", "All"
LAST_DAYS = {"7 days": 7, "30 days": 30}
NAMED_PERIODS = (TODAY, YESTERDAY, *LAST_DAYS, LAST_MONTH, ALL_DAYS)


@dataclass(frozen=True)
class Period:
    """Whole local days, both ends included."""

    first_day: date
    last_day: date

    @property
    def days(self) -> int:
        """Return how many days that are."""
        return (self.last_day - self.first_day).days + 1

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


def named_period(name: str, span: Period, today: date) -> Period:
    """Return the days of one of NAMED_PERIODS: by the calendar, but a number of days ends with the latest press."""
    if name in LAST_DAYS:
        return span.last(LAST_DAYS[name])
    if name == ALL_DAYS:
        return span
    if name == LAST_MONTH:
        last = today.replace(day=1) - timedelta(days=1)
        return Period(last.replace(day=1), last)
    day = today if name == TODAY else today - timedelta(days=1)
    return Period(day, day)


@dataclass(frozen=True)
class Selection:
    """A period, the ids of the exhibitions, and the zone whose days and hours count."""

    period: Period
    exhibitions: tuple[int, ...]
    timezone: str

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """Return when the period begins and when it has ended."""
        return self._bounds(self.period)

    def parameters(self, period: Period | None = None) -> dict[str, Any]:
        """Return the parameters of the queries, for this period or another one."""
        begins, ends = self._bounds(period or self.period)
        return {
            "begins": begins,
            "ends": ends,
            "exhibitions": list(self.exhibitions),
            "timezone": self.timezone,
        }

    def _bounds(self, period: Period) -> tuple[datetime, datetime]:
        """Return when a period begins and when it has ended."""
        return self._midnight(period.first_day), self._midnight(period.last_day + timedelta(days=1))

    def _midnight(self, day: date) -> datetime:
        """Return when a local day begins, within the times that are shown."""
        return min(max(datetime.combine(day, time(), ZoneInfo(self.timezone)), EARLIEST), LATEST)


def grain_of(days: int) -> str:
    """Return the step in which a line over so many days with presses still reads well."""
    return next((grain for grain, most in GRAINS if days <= most), "month")
