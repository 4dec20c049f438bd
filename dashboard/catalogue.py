"""What can be chosen: the exhibitions, their departments, and the days with presses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pandas as pd

from dashboard.reading import read_frame, read_rows
from dashboard.selection import EARLIEST, LATEST, MOST_DAYS, SHOWN_TIMES, Period, Selection
from etlkit.postgres import Cursor


@dataclass(frozen=True)
class Catalogue:
    """What can be chosen: the exhibitions, and the days with presses.

    exhibitions: exhibition_id, exhibition, department, floors, code, description. `left_out` presses have times of
    other centuries.
    """

    exhibitions: pd.DataFrame
    span: Period | None
    left_out: int = 0

    @property
    def left_out_says(self) -> str:
        """Return the sentence about presses that are not shown, nothing where all are."""
        if not self.left_out:
            return ""
        return f"Left out: {self.left_out:,} presses with times before {EARLIEST.year} or from {LATEST.year} on."

    @property
    def departments(self) -> list[str]:
        """Return the names of the departments."""
        return sorted(set(self.exhibitions["department"]))

    def chosen_ids(self, departments: Iterable[str] = (), names: Iterable[str] = ()) -> tuple[int, ...]:
        """Return the ids of the exhibitions of these departments and names; none given stands for all."""
        frame = self.exhibitions
        if wanted := set(departments):
            frame = frame[frame["department"].isin(wanted)]
        if wanted := set(names):
            frame = frame[frame["exhibition"].isin(wanted)]
        return tuple(int(number) for number in frame["exhibition_id"])

    def chosen(self, selection: Selection) -> pd.DataFrame:
        """Return the selected exhibitions."""
        return self.exhibitions[self.exhibitions["exhibition_id"].isin(selection.exhibitions)]


def read_catalogue(cursor: Cursor, timezone: str) -> Catalogue:
    """Return what can be chosen."""
    exhibitions = read_frame(cursor, "list_exhibitions")
    span = read_rows(cursor, "read_span", SHOWN_TIMES)[0]
    first, last, left_out = span["first_hour"], span["last_hour"], span["left_out"]
    if first is None or last is None:
        return Catalogue(exhibitions, None, left_out)
    zone = ZoneInfo(timezone)
    return Catalogue(exhibitions, Period(first.astimezone(zone).date(), last.astimezone(zone).date()), left_out)


def read_days(cursor: Cursor, selection: Selection, period: Period | None = None) -> int:
    """Return on how many days of a period, the selected one or another, there are presses of any exhibition."""
    (days,) = read_rows(cursor, "count_days", {**selection.parameters(period), "most": MOST_DAYS})[0].values()
    return int(days)


def read_period_before(cursor: Cursor, catalogue: Catalogue, selection: Selection) -> Period | None:
    """Return the period of equal length before the selected one, None where there is no data of all or any of it."""
    before = selection.period.before()
    is_known = catalogue.span is not None and catalogue.span.first_day <= before.first_day
    return before if is_known and read_days(cursor, selection, before) else None
