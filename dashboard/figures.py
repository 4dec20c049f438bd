"""How the exhibitions do: the figures of their pages and of the report, read by sql/dashboard; nothing is written.

Frames are small: the database has added up the presses. Times without a zone are the museum's local times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dashboard.catalogue import Catalogue, read_days, read_period_before
from dashboard.reading import read_frame
from dashboard.safety_figures import Incident, SafetyFigures, read_latest_incidents, read_safety_figures
from dashboard.selection import Selection, grain_of
from etlkit.postgres import Cursor

MOST_LINES = 7
"""More lines than this in one picture nobody tells apart; those with the most reviews have theirs."""

FEW_REVIEWS = 30
"""Below this an average says little, and the normal distribution nothing of how sure it is."""

SURE = 1.96
"""Standard errors to each side of an average that hold 95 % of a normal distribution."""

REQUESTS_SHOWN = 10


@dataclass(frozen=True)
class ExhibitionFigures:
    """How the exhibitions do.

    exhibitions: exhibition, department, floors, reviews, average (NaN without reviews), low and high (the interval that
    holds the average with 95 %, NaN of fewer than FEW_REVIEWS), label; best first. distribution: exhibition,
    rating_id, rating, reviews, share. departments, floors: name, reviews, average. trend: period, exhibition,
    reviews, average, of the MOST_LINES exhibitions with the most reviews. hours: hour_of_day, reviews, average.
    before: reviews and average of each exhibition in the period of equal length before; None where there is no data
    of it. days: how many days of the period have presses of any exhibition.
    """

    exhibitions: pd.DataFrame
    distribution: pd.DataFrame
    departments: pd.DataFrame
    floors: pd.DataFrame
    trend: pd.DataFrame
    hours: pd.DataFrame
    before: pd.DataFrame | None
    grain: str
    days: int

    @property
    def reviews(self) -> int:
        """Return how many reviews there are."""
        return int(self.exhibitions["reviews"].sum())

    @property
    def average(self) -> float | None:
        """Return the average of all reviews."""
        return average_of(self.exhibitions)

    @property
    def busiest_hour(self) -> int | None:
        """Return the hour of the day with the most reviews."""
        if self.hours.empty:
            return None
        busiest = self.hours.sort_values(["reviews", "hour_of_day"], ascending=[False, True])
        return int(busiest["hour_of_day"].iloc[0])


@dataclass(frozen=True)
class Rank:
    """A place among the rated ones, the best first; equal averages share the better place."""

    place: int
    among: int


@dataclass(frozen=True)
class SingleFigures:
    """How one exhibition does.

    `row` is its row of ExhibitionFigures.exhibitions with its code and description; the figures are of it alone,
    `rank` among all exhibitions and `department_rank` in its department, None while it has no reviews. `latest` are
    its latest requests for help in the period.
    """

    row: dict[str, Any]
    figures: ExhibitionFigures
    safety: SafetyFigures
    rank: Rank | None
    department_rank: Rank | None
    latest: list[Incident]


def read_exhibition_figures(cursor: Cursor, catalogue: Catalogue, selection: Selection) -> ExhibitionFigures:
    """Return how the selected exhibitions do in the selected period."""
    parameters = selection.parameters()
    days = read_days(cursor, selection)
    grain = grain_of(days)
    chosen = catalogue.chosen(selection)
    ratings = read_frame(cursor, "list_ratings")
    grid = _grid(chosen, ratings, read_frame(cursor, "count_ratings", parameters))
    hours = read_frame(cursor, "count_reviews_by_hour", parameters)
    distribution = grid[["exhibition", "rating_id", "rating", "reviews"]].copy()
    distribution["share"] = distribution["reviews"] / distribution.groupby("exhibition")["reviews"].transform("sum")
    by_floor = grid.explode("floors").rename(columns={"floors": "floor"})
    sizes = grid.groupby("exhibition_id")["reviews"].sum()
    largest = [int(number) for number in sizes[sizes > 0].nlargest(MOST_LINES).index]
    trend = read_frame(cursor, "follow_ratings", {**parameters, "exhibitions": largest, "grain": grain})
    return ExhibitionFigures(
        exhibitions=_ranked(grid, chosen, ratings),
        distribution=distribution,
        departments=_averages(grid, ["department"]),
        floors=_averages(by_floor, ["floor"]),
        trend=trend.merge(chosen[["exhibition_id", "exhibition"]], on="exhibition_id").drop(columns="exhibition_id"),
        hours=hours,
        before=_before(cursor, catalogue, selection, ratings),
        grain=grain,
        days=days,
    )


def read_single_figures(cursor: Cursor, catalogue: Catalogue, selection: Selection) -> SingleFigures:
    """Return how the one selected exhibition does in the selected period, and where it stands among all of them."""
    (exhibition_id,) = selection.exhibitions
    ratings = read_frame(cursor, "list_ratings")
    everything = Selection(selection.period, catalogue.chosen_ids(), selection.timezone)
    grid = _grid(catalogue.exhibitions, ratings, read_frame(cursor, "count_ratings", everything.parameters()))
    ranked = _ranked(grid, catalogue.exhibitions, ratings)
    about = catalogue.exhibitions.set_index("exhibition_id").loc[exhibition_id]
    row = ranked[ranked["exhibition"] == about["exhibition"]].iloc[0]
    return SingleFigures(
        row=dict(row) | {"code": about["code"], "description": about["description"]},
        figures=read_exhibition_figures(cursor, catalogue, selection),
        safety=read_safety_figures(cursor, catalogue, selection),
        rank=_rank(ranked, row),
        department_rank=_rank(ranked[ranked["department"] == row["department"]], row),
        latest=read_latest_incidents(
            cursor,
            selection.timezone,
            REQUESTS_SHOWN,
            selection.bounds,
            exhibitions=selection.exhibitions,
        ),
    )


def average_of(frame: pd.DataFrame) -> float | None:
    """Return the average of all the reviews of a frame with reviews and average, None of none."""
    given = frame.dropna(subset="average")
    reviews = int(given["reviews"].sum())
    return float((given["average"] * given["reviews"]).sum() / reviews) if reviews else None


def _grid(chosen: pd.DataFrame, ratings: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each exhibition and rating, with its reviews, their points and the squares of those."""
    grid = chosen.merge(ratings, how="cross").merge(counts, how="left", on=["exhibition_id", "rating_id"])
    grid["reviews"] = grid["reviews"].fillna(0).astype("int64")
    grid["points"] = grid["reviews"] * grid["rating_id"]
    grid["squares"] = grid["points"] * grid["rating_id"]
    return grid


def _ranked(grid: pd.DataFrame, chosen: pd.DataFrame, ratings: pd.DataFrame) -> pd.DataFrame:
    """Return the exhibitions with their averages and how sure those are, the best first."""
    frame = _averages(grid, ["exhibition", "department"])
    squares = grid.groupby(["exhibition", "department"], as_index=False)["squares"].sum()["squares"]
    enough = frame["reviews"].where(frame["reviews"] >= FEW_REVIEWS)
    variance = (squares - enough * frame["average"] ** 2) / (enough - 1)
    error = SURE * (variance.clip(lower=0) / enough).map(math.sqrt, na_action="ignore")
    worst, best = ratings["rating_id"].min(), ratings["rating_id"].max()
    frame["low"] = (frame["average"] - error).clip(lower=worst)
    frame["high"] = (frame["average"] + error).clip(upper=best)
    frame["label"] = frame["average"].map(lambda average: _nearest_label(average, ratings))
    frame = frame.merge(chosen[["exhibition", "floors"]], on="exhibition")
    return frame.sort_values(["average", "exhibition"], ascending=[False, True], ignore_index=True)


def _rank(ranked: pd.DataFrame, row: pd.Series) -> Rank | None:
    """Return the place of a row by its average."""
    averages = ranked["average"].dropna()
    return None if pd.isna(row["average"]) else Rank(int((averages > row["average"]).sum()) + 1, len(averages))


def _before(cursor: Cursor, catalogue: Catalogue, selection: Selection, ratings: pd.DataFrame) -> pd.DataFrame | None:
    """Return reviews and average of each exhibition in the period before."""
    before = read_period_before(cursor, catalogue, selection)
    if before is None:
        return None
    counts = read_frame(cursor, "count_ratings", selection.parameters(before))
    return _averages(_grid(catalogue.chosen(selection), ratings, counts), ["exhibition"])


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
