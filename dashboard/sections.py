"""What pages and report are made of: sections (a title, a picture, and the same figures as a table) and tiles.

Both the pages and the report are made of these, so they cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

from dashboard.charts import AnyChart
from dashboard.selection import Period

MOST_BARS = 40
"""More bars than this nobody reads, and no mail takes; the tables have them all."""

UNDRAWN = "This chart could not be drawn; its figures are in the table."


@dataclass(frozen=True)
class Section:
    """A part of a page; without a chart there is nothing to draw, and the note says why.

    The chart is made where it is shown, so that one that cannot be made costs no other.
    """

    title: str
    table: pd.DataFrame
    chart: Callable[[], AnyChart] | None = None
    note: str = ""
    is_wide: bool = False


@dataclass(frozen=True)
class Tile:
    """A figure at the top of a page; `change` is what it is more, or with a minus less, than in the period before."""

    label: str
    value: str
    note: str = ""
    change: str = ""


def drawn_if(has_data: bool, draw: Callable[[], AnyChart]) -> Callable[[], AnyChart] | None:  # noqa: FBT001 - reads as a condition
    """Draw only where there is something to draw."""
    return draw if has_data else None


def first_of(frame: pd.DataFrame) -> str:
    """Say when a chart shows only the first of a long list."""
    return f"; the first {MOST_BARS} of {len(frame)}" if len(frame) > MOST_BARS else ""


def rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with its averages, and how sure they are, to four places."""
    return frame.assign(**{name: frame[name].round(4) for name in ("average", "low", "high") if name in frame})


def dated(frame: pd.DataFrame, grain: str) -> pd.DataFrame:
    """Return a table with its periods, newest first, as people sort them: days, or hours of days."""
    newest = frame.sort_values("period", ascending=False, kind="stable")
    form = "%Y-%m-%d %H:%M" if grain == "hour" else "%Y-%m-%d"
    return newest.assign(period=[period.strftime(form) for period in newest["period"]]).rename(
        columns={"period": grain}
    )


def period_note(period: Period, days: int, *, is_compared: bool) -> str:
    """Say on how many of a period's days anything was recorded, and with which days its figures are compared."""
    if days == 0:
        return "Nothing was recorded then: neither reviews nor requests."
    said = [f"Presses were recorded on {days:,} of these {period.days:,} days."] if days < period.days else []
    return " ".join([*said, *([f"Compared with {period.before()}."] if is_compared else [])])


def number(value: float | None, places: int = 2) -> str:
    """Return a figure, a dash for none."""
    return "-" if value is None or pd.isna(value) else f"{value:.{places}f}"


def change_of(now: float | None, before: float | None, *, places: int | None = None) -> str:
    """Return how a figure has changed: a count in per cent, an average by its difference; nothing for none."""
    if now is None or before is None:
        return ""
    if places is not None:
        change = f"{now - before:+.{places}f}"
        return change if float(change) else "the same"
    if before == 0:
        return "" if now == 0 else f"+{now:,.0f} (0 before)"
    if now == before:
        return f"the same ({before:,.0f} before)"
    return f"{100 * (now - before) / before:+.0f} % ({before:,.0f} before)"


def moment(at: datetime | None, timezone: str) -> str:
    """Return a moment as local time, a dash for none."""
    return "-" if at is None else f"{at.astimezone(ZoneInfo(timezone)):%-d %b %Y %H:%M:%S}"


def age(at: datetime | None, now: datetime) -> str:
    """Return how long ago a moment was, in the largest unit that fits."""
    if at is None:
        return "-"
    seconds = max((now - at) / timedelta(seconds=1), 0.0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
