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
from dashboard.figures import DataFigures, ExhibitionFigures, LiveRun, SafetyFigures

MOST_BARS = 40
"""More bars than this nobody reads, and no mail takes; the tables have them all."""

UNDRAWN = "This chart could not be drawn; its figures are in the table."
SILENCE = timedelta(minutes=2)
"""A running consumer says a word every minute."""


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
    shown = figures.exhibitions.head(MOST_BARS)
    order = list(shown["exhibition"])
    has_reviews = figures.reviews > 0
    ranking = figures.exhibitions.assign(
        floors=[", ".join(floors) for floors in figures.exhibitions["floors"]],
        average=figures.exhibitions["average"].round(4),
    )
    spread = figures.distribution.pivot_table(
        index="exhibition", columns="rating", values="reviews", aggfunc="sum", sort=False, observed=True
    )
    spread = spread.reindex(list(figures.exhibitions["exhibition"])).fillna(0).astype("int64").reset_index()
    hours = figures.hours.assign(average=figures.hours["average"].round(4))
    return [
        Section(
            "Average rating",
            ranking[["exhibition", "department", "floors", "reviews", "average", "label"]],
            _chart(len(order) > 0, lambda: charts.average_bars(shown, "exhibition", best)),
            f"from 0 to {best}; in brackets the number of reviews" + _first_of(figures.exhibitions),
        ),
        Section(
            "How the ratings are spread",
            spread,
            _chart(
                has_reviews,
                lambda: charts.distribution_bars(
                    figures.distribution[figures.distribution["exhibition"].isin(order)], order
                ),
            ),
        ),
        Section(
            "Trend",
            _rounded(figures.trend).sort_values("period", ascending=False, kind="stable"),
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
    types = figures.types
    most_needed = incidents_by_name(figures.incidents)
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
            _chart(is_needed, lambda: charts.incident_bars(most_needed, "exhibition", types)),
            _first_of(figures.rates).removeprefix("; "),
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
            _chart(is_needed, lambda: charts.rate_bars(figures.rates.head(MOST_BARS))),
            "how often help is needed for as many visitors" + _first_of(figures.rates),
        ),
        Section(
            "Over time",
            _pivot(figures.trend, "period", types).sort_values("period", ascending=False),
            _chart(is_needed, lambda: charts.incident_trend(figures.trend, figures.grain, types)),
            f"by {figures.grain}",
        ),
    ]


def data_tiles(figures: DataFigures, now: datetime, timezone: str) -> list[Tile]:
    """Return how much there is and how fresh it is."""
    zone = ZoneInfo(timezone)
    return [
        Tile("Presses stored", f"{figures.reviews + figures.incidents:,}", f"{figures.files:,} files"),
        Tile("Open rejects", f"{figures.open_rejects:,}"),
        Tile("Latest press", age(figures.latest_press, now), _moment(figures.latest_press, zone)),
        Tile("Latest file loaded", age(figures.latest_file, now), _moment(figures.latest_file, zone)),
        _live_tile(figures.live, now),
    ]


def _live_tile(live: LiveRun | None, now: datetime) -> Tile:
    """Return how far the live consumer is behind, unless it has not been heard from for a while."""
    label = "Messages behind"
    if live is None:
        return Tile(label, "-", "no live run yet")
    if live.status != "running":
        return Tile(label, "-", f"the consumer ended ({live.status})")
    heard = live.reported_at or live.started_at
    if heard is None or now - heard > SILENCE:
        return Tile(label, "?", f"not heard from for {age(heard, now).removesuffix(' ago')}")
    return Tile(label, "-" if live.lag is None else f"{live.lag:,}", f"said {age(heard, now)}")


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


def incidents_by_name(incidents: pd.DataFrame) -> pd.DataFrame:
    """Return the incidents of the exhibitions that have the most of them."""
    sums = incidents.groupby("exhibition")["incidents"].sum().sort_values(ascending=False)
    return incidents[incidents["exhibition"].isin(sums.index[:MOST_BARS])]


def _first_of(frame: pd.DataFrame) -> str:
    """Say when a chart shows only the first of a long list."""
    return f"; the first {MOST_BARS} of {len(frame)}" if len(frame) > MOST_BARS else ""


def _chart(has_data: bool, draw: Callable[[], AnyChart]) -> Callable[[], AnyChart] | None:  # noqa: FBT001 - reads as a condition
    """Draw only where there is something to draw."""
    return draw if has_data else None


def _pivot(frame: pd.DataFrame, name: str, types: dict[str, int]) -> pd.DataFrame:
    """Return one row a name with a column for each type and their sum, the most first."""
    table = frame.pivot_table(index=name, columns="incident_type", values="incidents", aggfunc="sum", observed=True)
    table = table.reindex(columns=list(types)).fillna(0).astype("int64")
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
    """Return the exhibition of a row and its number of reviews, nothing for none."""
    return "" if row is None else f"{row['exhibition']} ({row['reviews']:,})"
