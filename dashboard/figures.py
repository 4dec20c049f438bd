"""The figures of the pages and of the report, read by the statements in sql/dashboard; nothing is written.

Frames are small: the database has added up the presses. Text is as it is shown (`dashboard.names`), times without a
zone are the museum's local times.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from dashboard.names import MOST_LETTERS, shown
from dashboard.selection import EARLIEST, LATEST, SHOWN_TIMES, Period, Selection
from etlkit.postgres import Cursor, run_file

SQL = Path(__file__).resolve().parent.parent / "sql" / "dashboard"
EMERGENCY = 1
FEED_LENGTH = 10
EMERGENCIES_SHOWN = 5
RUNS_SHOWN = 15
ERROR_LETTERS = 300
PARTITIONS_SHOWN = 24


@dataclass(frozen=True)
class Catalogue:
    """What can be chosen: exhibitions (exhibition_id, exhibition, department, floors), and the days with presses.

    `left_out` presses have times of other centuries.
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


@dataclass(frozen=True)
class ExhibitionFigures:
    """How the exhibitions do.

    exhibitions: exhibition, department, floors, reviews, average (NaN without reviews), label; best first.
    distribution: exhibition, rating_id, rating, reviews, share. departments, floors: name, reviews, average.
    trend: period, exhibition, reviews, average. hours: hour_of_day, reviews, average.
    """

    exhibitions: pd.DataFrame
    distribution: pd.DataFrame
    departments: pd.DataFrame
    floors: pd.DataFrame
    trend: pd.DataFrame
    hours: pd.DataFrame
    grain: str

    @property
    def reviews(self) -> int:
        """Return how many reviews there are."""
        return int(self.exhibitions["reviews"].sum())

    @property
    def average(self) -> float | None:
        """Return the average of all reviews."""
        given = self.exhibitions.dropna(subset="average")
        return float((given["average"] * given["reviews"]).sum() / self.reviews) if self.reviews else None

    @property
    def busiest_hour(self) -> int | None:
        """Return the hour of the day with the most reviews."""
        if self.hours.empty:
            return None
        busiest = self.hours.sort_values(["reviews", "hour_of_day"], ascending=[False, True])
        return int(busiest["hour_of_day"].iloc[0])


@dataclass(frozen=True)
class SafetyFigures:
    """Where and when help was needed.

    incidents: exhibition, incident_type, weekday (1 is Monday), hour_of_day, incidents. floors: floor, incident_type,
    incidents, an exhibition on two floors counting on both. rates: exhibition, incidents, reviews, per_1000 (NaN
    without reviews). trend: period, incident_type, incidents. types: each type's id by its label. totals and
    totals_before: incidents by type, of the period and of the one of equal length before it; None where there is no
    data before.
    """

    incidents: pd.DataFrame
    floors: pd.DataFrame
    rates: pd.DataFrame
    trend: pd.DataFrame
    types: dict[str, int]
    totals: dict[str, int]
    totals_before: dict[str, int] | None
    grain: str

    @property
    def per_1000(self) -> float | None:
        """Return how many requests there were for every 1,000 reviews."""
        reviews = int(self.rates["reviews"].sum())
        return 1000 * float(self.rates["incidents"].sum()) / reviews if reviews else None


@dataclass(frozen=True)
class LiveRun:
    """The latest run of the live consumer: its status, how far behind it said it was, and when it said so."""

    status: str
    lag: int | None
    reported_at: datetime | None
    started_at: datetime | None


@dataclass(frozen=True)
class DataFigures:
    """How the data got here: runs, open rejects by reason, partitions, and what the freshest press is."""

    runs: pd.DataFrame
    rejects: pd.DataFrame
    partitions: pd.DataFrame
    reviews: int
    incidents: int
    files: int
    open_rejects: int
    latest_press: datetime | None
    latest_file: datetime | None
    live: LiveRun | None


def read_catalogue(cursor: Cursor, timezone: str) -> Catalogue:
    """Return what can be chosen."""
    exhibitions = _frame(cursor, "list_exhibitions")
    run_file(cursor, SQL / "read_span.sql", SHOWN_TIMES)
    first, last, left_out = cursor.fetchone() or (None, None, 0)
    if first is None or last is None:
        return Catalogue(exhibitions, None, left_out)
    zone = ZoneInfo(timezone)
    return Catalogue(exhibitions, Period(first.astimezone(zone).date(), last.astimezone(zone).date()), left_out)


def read_exhibition_figures(cursor: Cursor, catalogue: Catalogue, selection: Selection) -> ExhibitionFigures:
    """Return how the selected exhibitions do in the selected period."""
    parameters = selection.parameters()
    ratings = _frame(cursor, "list_ratings")
    counts = _frame(cursor, "count_ratings", parameters)
    trend = _frame(cursor, "follow_ratings", parameters)
    hours = _frame(cursor, "count_reviews_by_hour", parameters)
    chosen = _chosen(catalogue, selection)
    grid = chosen.merge(ratings, how="cross").merge(counts, how="left", on=["exhibition_id", "rating_id"])
    grid["reviews"] = grid["reviews"].fillna(0).astype("int64")
    grid["points"] = grid["reviews"] * grid["rating_id"]
    exhibitions = _averages(grid, ["exhibition", "department"])
    exhibitions["label"] = exhibitions["average"].map(lambda average: _nearest_label(average, ratings))
    exhibitions = exhibitions.merge(chosen[["exhibition", "floors"]], on="exhibition")
    distribution = grid[["exhibition", "rating_id", "rating", "reviews"]].copy()
    distribution["share"] = distribution["reviews"] / distribution.groupby("exhibition")["reviews"].transform("sum")
    by_floor = grid.explode("floors").rename(columns={"floors": "floor"})
    return ExhibitionFigures(
        exhibitions=exhibitions.sort_values(["average", "exhibition"], ascending=[False, True], ignore_index=True),
        distribution=distribution,
        departments=_averages(grid, ["department"]),
        floors=_averages(by_floor, ["floor"]),
        trend=trend.merge(chosen[["exhibition_id", "exhibition"]], on="exhibition_id").drop(columns="exhibition_id"),
        hours=hours,
        grain=selection.period.grain,
    )


def read_safety_figures(cursor: Cursor, catalogue: Catalogue, selection: Selection) -> SafetyFigures:
    """Return where and when help was needed in the selected exhibitions and period."""
    parameters = selection.parameters()
    types = _frame(cursor, "list_incident_types")
    counts = _frame(cursor, "count_incidents", parameters)
    trend = _frame(cursor, "follow_incidents", parameters)
    reviews = _frame(cursor, "count_ratings", parameters).groupby("exhibition_id", as_index=False)["reviews"].sum()
    before = selection.period.before()
    totals_before = None
    if catalogue.span is not None and catalogue.span.first_day <= before.first_day:
        totals_before = _totals(_frame(cursor, "count_incidents", selection.parameters(before)), types)
    chosen = _chosen(catalogue, selection)
    incidents = counts.merge(types, on="incident_type_id").merge(chosen, on="exhibition_id")
    floors = incidents.explode("floors").rename(columns={"floors": "floor"})
    requests = counts.groupby("exhibition_id", as_index=False)["incidents"].sum()
    rates = chosen.merge(requests, how="left", on="exhibition_id").merge(reviews, how="left", on="exhibition_id")
    rates = rates.fillna({"incidents": 0, "reviews": 0}).astype({"incidents": "int64", "reviews": "int64"})
    rates["per_1000"] = 1000 * rates["incidents"] / rates["reviews"].where(rates["reviews"] > 0)
    return SafetyFigures(
        incidents=incidents[["exhibition", "incident_type", "weekday", "hour_of_day", "incidents"]],
        floors=floors.groupby(["floor", "incident_type"], as_index=False)[["incidents"]].sum(),
        rates=rates[["exhibition", "incidents", "reviews", "per_1000"]].sort_values(
            ["per_1000", "exhibition"], ascending=[False, True], ignore_index=True
        ),
        trend=trend.merge(types, on="incident_type_id").drop(columns="incident_type_id"),
        types={str(name): int(number) for number, name in types.itertuples(index=False)},
        totals=_totals(counts, types),
        totals_before=totals_before,
        grain=selection.period.grain,
    )


def read_latest_incidents(
    cursor: Cursor,
    timezone: str,
    limit: int,
    *,
    exhibitions: Iterable[int] | None = None,
    incident_type_id: int | None = None,
) -> list[dict[str, Any]]:
    """Return the latest requests for help, newest first: of some exhibitions or all, of one type or all."""
    parameters = {
        "exhibitions": None if exhibitions is None else list(exhibitions),
        "timezone": timezone,
        "type": incident_type_id,
        "limit": limit,
        **SHOWN_TIMES,
    }
    run_file(cursor, SQL / "list_latest_incidents.sql", parameters)
    columns = _columns(cursor)
    return [dict(zip(columns, map(_readable, row), strict=True)) for row in cursor.fetchall()]


def read_data_figures(cursor: Cursor) -> DataFigures:
    """Return how the data got here."""
    run_file(cursor, SQL / "read_freshness.sql", SHOWN_TIMES)
    values = dict(zip(_columns(cursor), cursor.fetchone() or (), strict=True))
    run_file(cursor, SQL / "read_live_run.sql")
    live = cursor.fetchone()
    return DataFigures(
        live=LiveRun(*live) if live else None,
        runs=_frame(cursor, "list_latest_runs", {"limit": RUNS_SHOWN}, most=ERROR_LETTERS),
        rejects=_frame(cursor, "count_rejects_by_reason"),
        partitions=_frame(cursor, "list_partitions", {"limit": PARTITIONS_SHOWN}),
        **values,
    )


def _chosen(catalogue: Catalogue, selection: Selection) -> pd.DataFrame:
    """Return the selected exhibitions."""
    frame = catalogue.exhibitions
    return frame[frame["exhibition_id"].isin(selection.exhibitions)]


def _averages(grid: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return reviews and average of each group of a grid with reviews and points; NaN where there are no reviews."""
    sums = grid.groupby(by, as_index=False)[["reviews", "points"]].sum()
    sums["average"] = sums["points"] / sums["reviews"].where(sums["reviews"] > 0)
    return sums.drop(columns="points")


def _nearest_label(average: float, ratings: pd.DataFrame) -> str:
    """Return the label of the rating next to an average, as the view exhibition_rating does."""
    if pd.isna(average):
        return "no ratings yet"
    nearest = ratings[ratings["rating_id"] == int(average + 0.5)]
    return str(nearest["rating"].iloc[0]) if len(nearest) else ""


def _totals(counts: pd.DataFrame, types: pd.DataFrame) -> dict[str, int]:
    """Return the number of incidents of every type, those without any included."""
    sums = counts.groupby("incident_type_id")["incidents"].sum()
    numbers = zip(types["incident_type_id"], types["incident_type"], strict=True)
    return {str(name): int(sums.get(number, 0)) for number, name in numbers}


def _frame(
    cursor: Cursor, name: str, parameters: dict[str, Any] | None = None, *, most: int = MOST_LETTERS
) -> pd.DataFrame:
    """Run a statement and return its rows, with its columns even when there are none."""
    run_file(cursor, SQL / f"{name}.sql", parameters)
    rows = [tuple(_readable(value, most) for value in row) for row in cursor.fetchall()]
    return pd.DataFrame(rows, columns=_columns(cursor))


def _readable(value: Any, most: int = MOST_LETTERS) -> Any:
    """Return a value of the database with its text as it is shown."""
    if isinstance(value, str):
        return shown(value, most)
    return [_readable(item, most) for item in value] if isinstance(value, list) else value


def _columns(cursor: Cursor) -> list[str]:
    """Return the names of the columns of the last statement."""
    return [column.name for column in cursor.description or ()]
