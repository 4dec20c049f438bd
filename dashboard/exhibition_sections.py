"""What the Exhibitions Manager asks: of all the chosen exhibitions, and of one."""

from __future__ import annotations

import pandas as pd

from dashboard import charts
from dashboard.charts import Link
from dashboard.figures import FEW_REVIEWS, MOST_LINES, ExhibitionFigures, Rank, SingleFigures, average_of
from dashboard.safety_sections import incident_table, pivoted, weekday_table
from dashboard.sections import (
    MOST_BARS,
    Section,
    Tile,
    change_of,
    dated,
    drawn_if,
    first_of,
    number,
    rounded,
)


def exhibition_tiles(figures: ExhibitionFigures) -> list[Tile]:
    """Return the exhibitions' main figures, each beside the period of the same length before."""
    rated = figures.exhibitions.dropna(subset="average")
    sure = rated[rated["reviews"] >= FEW_REVIEWS]
    compared = sure if len(sure) else rated
    best = compared.iloc[0] if len(compared) else None
    worst = compared.iloc[-1] if len(compared) > 1 else None
    hour = figures.busiest_hour
    before = figures.before
    reviews_before = None if before is None else float(before["reviews"].sum())
    average_before = None if before is None else average_of(before)
    return [
        Tile(
            "Reviews",
            f"{figures.reviews:,}",
            f"{len(rated)} of {len(figures.exhibitions)} exhibitions rated",
            change_of(figures.reviews, reviews_before),
        ),
        Tile("Average rating", number(figures.average), "", change_of(figures.average, average_before, places=2)),
        Tile("Best rated", *_named(best), _change(best, before)),
        Tile("Lowest rated", *_named(worst), _change(worst, before)),
        Tile("Busiest hour", f"{hour}:00" if hour is not None else "-", "local time" if hour is not None else ""),
    ]


def exhibition_sections(figures: ExhibitionFigures, link: Link | None = None) -> list[Section]:
    """Return what the Exhibitions Manager asks; a link leads from each bar to the exhibition's page."""
    best = _best(figures)
    shown = figures.exhibitions.head(MOST_BARS)
    order = list(shown["exhibition"])
    has_reviews = figures.reviews > 0
    ranking = rounded(figures.exhibitions).assign(
        floors=[", ".join(floors) for floors in figures.exhibitions["floors"]],
    )
    columns = ["exhibition", "department", "floors", "reviews", "average", "label", "low", "high"]
    drawn = figures.distribution[figures.distribution["exhibition"].isin(order)]
    return [
        Section(
            "Average rating",
            ranking[columns].rename(columns={"low": "at_least", "high": "at_most"}),
            drawn_if(len(order) > 0, lambda: charts.average_bars(shown, "exhibition", best, link)),
            f"from 0 to {best}; in brackets the number of reviews, in amber where the average surely lies (95 %)"
            + first_of(figures.exhibitions),
        ),
        Section(
            "How the ratings are spread",
            _spread(figures),
            drawn_if(has_reviews, lambda: charts.distribution_bars(drawn, order, link)),
            "the share of each rating",
        ),
        Section(
            "Trend",
            dated(rounded(figures.trend), figures.grain),
            drawn_if(has_reviews, lambda: charts.average_lines(figures.trend, figures.grain, best, link)),
            f"average rating by {figures.grain}" + _limited(figures.exhibitions),
            is_wide=True,
        ),
        _hours(figures),
        Section(
            "By department",
            rounded(figures.departments),
            drawn_if(has_reviews, lambda: charts.average_bars(figures.departments, "department", best)),
            "average rating; in brackets the number of reviews",
        ),
        Section(
            "By floor",
            rounded(figures.floors),
            drawn_if(has_reviews, lambda: charts.average_bars(figures.floors, "floor", best)),
            "an exhibition on two floors counts on both",
        ),
    ]


def single_tiles(single: SingleFigures) -> list[Tile]:
    """Return the main figures of one exhibition, each beside the period of the same length before."""
    row, figures, safety = single.row, single.figures, single.safety
    before = figures.before
    requests = sum(safety.totals.values())
    requests_before = None if safety.totals_before is None else sum(safety.totals_before.values())
    return [
        Tile(
            "Average rating",
            number(figures.average),
            charts.how_sure(row["low"], row["high"], row["reviews"]),
            change_of(figures.average, None if before is None else average_of(before), places=2),
        ),
        Tile(
            "Reviews",
            f"{figures.reviews:,}",
            "few" if 0 < figures.reviews < FEW_REVIEWS else "",
            change_of(figures.reviews, None if before is None else float(before["reviews"].sum())),
        ),
        Tile("Rank among all", *_place(single.rank)),
        Tile("Rank in its department", *_place(single.department_rank)),
        Tile(
            "Requests for help",
            f"{requests:,}",
            ", ".join(f"{count:,} {name}" for name, count in safety.totals.items()),
            change_of(requests, requests_before),
        ),
    ]


def single_sections(single: SingleFigures) -> list[Section]:
    """Return what is asked of one exhibition."""
    figures, safety = single.figures, single.safety
    best, has_reviews = _best(figures), figures.reviews > 0
    is_needed = len(safety.incidents) > 0
    return [
        Section(
            "Rating over time",
            dated(rounded(figures.trend.drop(columns="exhibition")), figures.grain),
            drawn_if(has_reviews, lambda: charts.rating_over_time(figures.trend, figures.grain, best)),
            f"the average as a line, the number of reviews as bars, by {figures.grain}",
            is_wide=True,
        ),
        Section(
            "How the ratings are spread",
            _spread(figures),
            drawn_if(has_reviews, lambda: charts.distribution_bars(figures.distribution, [single.row["exhibition"]])),
            "the share of each rating",
        ),
        _hours(figures),
        Section(
            "When help is needed",
            weekday_table(safety),
            drawn_if(is_needed, lambda: charts.weekday_heat(safety.incidents)),
            "requests for help by weekday and hour, local time",
        ),
        Section(
            "Requests over time",
            dated(pivoted(safety.trend, "period", safety.types), safety.grain),
            drawn_if(is_needed, lambda: charts.incident_trend(safety.trend, safety.grain, safety.types)),
            f"by {safety.grain}",
        ),
        Section("Latest requests", incident_table(single.latest), note="the newest first, local time"),
    ]


def _hours(figures: ExhibitionFigures) -> Section:
    """Return which hours bring how many reviews."""
    return Section(
        "Busiest hours",
        rounded(figures.hours),
        drawn_if(figures.reviews > 0, lambda: charts.hour_bars(figures.hours)),
        "reviews by hour",
    )


def _spread(figures: ExhibitionFigures) -> pd.DataFrame:
    """Return a row an exhibition with a column for each rating."""
    spread = figures.distribution.pivot_table(
        index="exhibition", columns="rating", values="reviews", aggfunc="sum", sort=False, observed=True
    )
    return spread.reindex(list(figures.exhibitions["exhibition"])).fillna(0).astype("int64").reset_index()


def _best(figures: ExhibitionFigures) -> int:
    """Return the best rating that can be given."""
    return int(figures.distribution["rating_id"].max()) if len(figures.distribution) else 4


def _limited(exhibitions: pd.DataFrame) -> str:
    """Say when not every exhibition has a line."""
    rated = int((exhibitions["reviews"] > 0).sum())
    return f", the {MOST_LINES} with the most reviews of {rated}" if rated > MOST_LINES else ""


def _named(row: pd.Series | None) -> tuple[str, str]:
    """Return the average of an exhibition, and its name with its number of reviews."""
    if row is None:
        return "-", ""
    few = ", few" if row["reviews"] < FEW_REVIEWS else ""
    return number(row["average"]), f"{row['exhibition']} ({row['reviews']:,}{few})"


def _change(row: pd.Series | None, before: pd.DataFrame | None) -> str:
    """Return how an exhibition's average has changed."""
    if row is None or before is None:
        return ""
    average = before.loc[before["exhibition"] == row["exhibition"], "average"].iloc[0]
    return "" if pd.isna(average) else change_of(row["average"], average, places=2)


def _place(rank: Rank | None) -> tuple[str, str]:
    """Return a place and among how many."""
    return ("-", "not rated") if rank is None else (f"{rank.place}", f"of {rank.among} rated")
