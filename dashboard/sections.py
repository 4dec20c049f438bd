"""The sections of the pages and of the report: a title, a picture, and the same figures as a table.

Both the pages and the report are made of these, so they cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

from dashboard import charts
from dashboard.charts import AnyChart
from dashboard.figures import DataFigures, ExhibitionFigures, SafetyFigures


@dataclass(frozen=True)
class Section:
    """A part of a page; without a chart there is nothing to draw, and the note says why."""

    title: str
    table: pd.DataFrame
    chart: AnyChart | None = None
    note: str = ""
    is_wide: bool = False


@dataclass(frozen=True)
class Tile:
    """A figure at the top of a page."""

    label: str
    value: str
    note: str = ""


def exhibition_tiles(figures: ExhibitionFigures) -> list[Tile]:
    """Return the exhibitions' main figures."""
    rated = figures.exhibitions.dropna(subset="average")
    best = rated.iloc[0] if len(rated) else None
    worst = rated.iloc[-1] if len(rated) > 1 else None
    hour = figures.busiest_hour
    return [
        Tile("Reviews", f"{figures.reviews:,}", f"{len(rated)} of {len(figures.exhibitions)} exhibitions rated"),
        Tile("Average rating", _number(figures.average)),
        Tile("Best rated", _number(best["average"] if best is not None else None), _name(best)),
        Tile("Lowest rated", _number(worst["average"] if worst is not None else None), _name(worst)),
        Tile("Busiest hour", f"{hour}:00" if hour is not None else "-", "local time" if hour is not None else ""),
    ]


def exhibition_sections(figures: ExhibitionFigures) -> list[Section]:
    """Return what the Exhibitions Manager asks."""
    best = int(figures.distribution["rating_id"].max()) if len(figures.distribution) else 4
    order = list(figures.exhibitions["exhibition"])
    has_reviews = figures.reviews > 0
    ranking = figures.exhibitions.assign(
        floors=[", ".join(floors) for floors in figures.exhibitions["floors"]],
        average=figures.exhibitions["average"].round(4),
    )
    spread = figures.distribution.pivot_table(
        index="exhibition", columns="rating", values="reviews", sort=False, observed=True
    )
    spread = spread.reindex(order).fillna(0).astype("int64").reset_index()
    hours = figures.hours.assign(average=figures.hours["average"].round(4))
    return [
        Section(
            "Average rating",
            ranking[["exhibition", "department", "floors", "reviews", "average", "label"]],
            _chart(len(order) > 0, lambda: charts.average_bars(figures.exhibitions, "exhibition", best)),
            "from 0 to " + str(best) + "; in brackets the number of reviews",
        ),
        Section(
            "How the ratings are spread",
            spread,
            _chart(has_reviews, lambda: charts.distribution_bars(figures.distribution, order)),
        ),
        Section(
            "Trend",
            _rounded(figures.trend),
            _chart(has_reviews, lambda: charts.average_lines(figures.trend, figures.grain, best)),
            f"by {figures.grain}" + _limited(figures.exhibitions),
            is_wide=True,
        ),
        Section(
            "Busiest hours", hours, _chart(has_reviews, lambda: charts.hour_bars(figures.hours)), "reviews by hour"
        ),
        Section(
            "By department",
            _rounded(figures.departments),
            _chart(has_reviews, lambda: charts.average_bars(figures.departments, "department", best)),
        ),
        Section(
            "By floor",
            _rounded(figures.floors),
            _chart(has_reviews, lambda: charts.average_bars(figures.floors, "floor", best)),
            "an exhibition on two floors counts on both",
        ),
    ]


def safety_tiles(figures: SafetyFigures) -> list[Tile]:
    """Return the main figures of safety, each beside the period of the same length before."""
    tiles = []
    for name, count in figures.totals.items():
        before = figures.totals_before
        note = "" if before is None else f"{before.get(name, 0):,} in the period before"
        tiles.append(Tile(name.capitalize(), f"{count:,}", note))
    return [*tiles, Tile("Per 1,000 reviews", _number(figures.per_1000, 1))]


def safety_sections(figures: SafetyFigures) -> list[Section]:
    """Return what the Head of Security & Visitor Safety asks."""
    types = list(figures.totals)
    incidents = figures.incidents
    is_needed = len(incidents) > 0
    by_exhibition = _pivot(incidents, "exhibition", types)
    weekday_hours = incidents.groupby(["weekday", "hour_of_day"], as_index=False)[["incidents"]].sum()
    weekday_hours["weekday"] = [charts.WEEKDAYS[number - 1] for number in weekday_hours["weekday"]]
    return [
        Section(
            "By floor",
            _pivot(figures.floors, "floor", types),
            _chart(is_needed, lambda: charts.incident_bars(figures.floors, "floor", types)),
            "an exhibition on two floors counts on both",
        ),
        Section(
            "By exhibition",
            by_exhibition,
            _chart(is_needed, lambda: charts.incident_bars(incidents, "exhibition", types)),
        ),
        Section(
            "When help is needed",
            weekday_hours,
            _chart(is_needed, lambda: charts.incident_heat(incidents)),
            "weekday and hour, local time",
        ),
        Section(
            "By hour",
            _pivot(incidents, "hour_of_day", types).sort_values("hour_of_day"),
            _chart(is_needed, lambda: charts.incident_hours(incidents, types)),
        ),
        Section(
            "Requests per 1,000 reviews",
            figures.rates.assign(per_1000=figures.rates["per_1000"].round(1)),
            _chart(is_needed, lambda: charts.rate_bars(figures.rates)),
            "how often help is needed for as many visitors",
        ),
        Section(
            "Over time",
            figures.trend.pivot_table(index="period", columns="incident_type", values="incidents", observed=True)
            .fillna(0)
            .astype("int64")
            .reset_index(),
            _chart(is_needed, lambda: charts.incident_trend(figures.trend, figures.grain, types)),
            f"by {figures.grain}",
        ),
    ]


def data_tiles(figures: DataFigures, now: datetime, timezone: str) -> list[Tile]:
    """Return how much there is and how fresh it is."""
    live = figures.live
    lag = "-" if live is None or pd.isna(live["lag"]) else f"{int(live['lag']):,}"
    zone = ZoneInfo(timezone)
    return [
        Tile("Presses stored", f"{figures.reviews + figures.incidents:,}", f"{figures.files:,} files"),
        Tile("Open rejects", f"{figures.open_rejects:,}"),
        Tile("Latest press", age(figures.latest_press, now), _moment(figures.latest_press, zone)),
        Tile("Latest file loaded", age(figures.latest_file, now), _moment(figures.latest_file, zone)),
        Tile("Messages behind", lag, "no live run yet" if live is None else f"live run {live['status']}"),
    ]


def data_sections(figures: DataFigures, timezone: str) -> list[Section]:
    """Return how the data got here."""
    runs = figures.runs
    shown = pd.DataFrame(
        {
            "run": runs["run"],
            "kind": runs["kind"],
            "started": _local(runs["started_at"], timezone),
            "status": runs["status"],
            "processed": runs["processed"],
            "stored": runs["stored"],
            "rejected": runs["rejected"],
            "error": runs["error"].fillna(""),
        }
    )
    rejects = figures.rejects.assign(last_seen=_local(figures.rejects["last_seen"], timezone))
    partitions = figures.partitions.assign(last_stored=_local(figures.partitions["last_stored"], timezone))
    return [
        Section("Last runs", shown, is_wide=True, note="the newest first"),
        Section(
            "Rejected records by reason",
            rejects,
            _chart(len(rejects) > 0, lambda: charts.reject_bars(figures.rejects)),
            "open ones; a record with two reasons counts under both",
        ),
        Section("Live partitions", partitions, note="by the ledger, those that grew last first"),
    ]


def age(moment: datetime | None, now: datetime) -> str:
    """Return how long ago a moment was, in the largest unit that fits."""
    if moment is None:
        return "-"
    seconds = max((now - moment) / timedelta(seconds=1), 0.0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _chart(has_data: bool, draw: Callable[[], AnyChart]) -> AnyChart | None:  # noqa: FBT001 - reads as a condition
    """Draw only where there is something to draw."""
    return draw() if has_data else None


def _pivot(frame: pd.DataFrame, name: str, types: list[str]) -> pd.DataFrame:
    """Return one row a name with a column for each type and their sum, the most first."""
    table = frame.pivot_table(index=name, columns="incident_type", values="incidents", aggfunc="sum", observed=True)
    table = table.reindex(columns=types).fillna(0).astype("int64")
    table["all"] = table.sum(axis=1)
    return table.sort_values("all", ascending=False).reset_index()


def _rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with its averages to four places."""
    return frame.assign(average=frame["average"].round(4))


def _limited(exhibitions: pd.DataFrame) -> str:
    """Say when not every exhibition has a line."""
    rated = int((exhibitions["reviews"] > 0).sum())
    return f", the {charts.MOST_LINES} with the most reviews of {rated}" if rated > charts.MOST_LINES else ""


def _local(moments: pd.Series, timezone: str) -> list[str]:
    """Return moments as local time to the second."""
    zone = ZoneInfo(timezone)
    return ["" if pd.isna(moment) else f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}" for moment in moments]


def _moment(moment: datetime | None, zone: ZoneInfo) -> str:
    """Return a moment as local time, nothing for none."""
    return "" if moment is None else f"{moment.astimezone(zone):%-d %b %Y %H:%M:%S}"


def _number(value: float | None, places: int = 2) -> str:
    """Return a figure, a dash for none."""
    return "-" if value is None else f"{value:.{places}f}"


def _name(row: pd.Series | None) -> str:
    """Return the exhibition of a row, nothing for none."""
    return "" if row is None else str(row["exhibition"])
