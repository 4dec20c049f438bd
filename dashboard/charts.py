"""The pictures: one function a chart, from a frame of `dashboard.figures` to an Altair chart without a width.

Colours can be told apart by colour-blind people: Okabe and Ito's palette for kinds (Color Universal Design, 2008),
viridis for ratings, one hue for amounts. Nothing is told by colour alone: bars carry numbers, lines have dashes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import altair as alt
import pandas as pd

AnyChart = alt.Chart | alt.LayerChart

PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D31"]
DASHES = [[1, 0], [6, 2], [2, 2], [8, 2, 2, 2], [4, 4], [1, 1], [10, 3]]
KNOWN_TYPES = {0: PALETTE[0], 1: PALETTE[5]}
OTHER_TYPES = [PALETTE[2], PALETTE[3], PALETTE[1], PALETTE[6]]
MUTED = "#666666"
BLACK_TO_WHITE = 0.65
"""From which share of the most on a cell is so dark that its number is white."""

WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
BAR_HEIGHT = 34
LABEL_PIXELS = 130
LEGEND_PIXELS = 220
TWO_LINES = "split(replace(datum.label, regexp('^(?=.{25})(.{8,24}) '), '$1\\n'), '\\n')"
"""Vega's expression that breaks a label of 25 letters or more at the last blank before the 25th."""

PERIOD_FORMATS = {"hour": "%d %b %H:%M", "day": "%d %b %Y", "week": "week of %d %b %Y", "month": "%b %Y"}
_DAY = 86_400_000
STEPS = {"hour": _DAY / 24, "day": _DAY, "week": 7 * _DAY, "month": 28 * _DAY}
"""The shortest way from one mark of a time axis to the next, in milliseconds."""

FREQUENCIES = {"hour": "h", "day": "D", "week": "W-MON", "month": "MS"}
MOST_LINES = len(PALETTE)


def average_bars(frame: pd.DataFrame, name: str, best: int) -> alt.LayerChart:
    """Show the average rating of each `name`, best first; one without reviews says so instead of standing at zero."""
    shown = frame.assign(
        text=[
            "no ratings yet" if pd.isna(average) else f"{average:.2f}  ({reviews:,})"
            for average, reviews in _values(frame, "average", "reviews")
        ],
        average=frame["average"].fillna(0),
    )
    order = list(shown.sort_values(["average", name], ascending=[False, True])[name])
    base = alt.Chart(shown).encode(
        x=alt.X("average:Q", title="average rating", scale=alt.Scale(domain=[0, best * 1.25]), axis=_ticks(best)),
        y=_names(name, order),
        tooltip=[alt.Tooltip(f"{name}:N"), alt.Tooltip("text:N", title="average (reviews)")],
    )
    bars = base.mark_bar(color=PALETTE[0], height={"band": 0.7})
    return (bars + base.mark_text(align="left", dx=4, color=MUTED).encode(text="text:N")).properties(
        height=_height(len(shown))
    )


def distribution_bars(frame: pd.DataFrame, order: list[str]) -> alt.Chart:
    """Show how each exhibition's reviews are spread over the ratings, as shares of 100 %."""
    ratings = frame.drop_duplicates("rating_id").sort_values("rating_id")
    return (
        alt.Chart(frame[frame["reviews"] > 0])
        .mark_bar(height={"band": 0.7}, stroke="white", strokeWidth=0.5)
        .encode(
            x=alt.X("share:Q", stack="zero", title="share of the reviews", axis=alt.Axis(format="%")),
            y=_names("exhibition", order),
            color=alt.Color(
                "rating:O",
                scale=alt.Scale(domain=list(ratings["rating"]), scheme="viridis"),
                legend=_legend(2),
            ),
            order=alt.Order("rating_id:Q"),
            tooltip=[
                "exhibition:N",
                "rating:N",
                alt.Tooltip("reviews:Q", format=","),
                alt.Tooltip("share:Q", format=".1%"),
            ],
        )
        .properties(height=_height(len(order)))
    )


def average_lines(frame: pd.DataFrame, grain: str, best: int) -> alt.Chart:
    """Show each exhibition's average over time; of many exhibitions those with the most reviews."""
    sizes = frame.groupby("exhibition")["reviews"].sum().sort_values(ascending=False)
    names = sorted(sizes.index[:MOST_LINES])
    return (
        alt.Chart(_with_gaps(frame[frame["exhibition"].isin(names)], grain))
        .mark_line(point=alt.OverlayMarkDef(size=18), strokeWidth=2)
        .encode(
            x=_periods(grain),
            y=alt.Y("average:Q", title="average rating", scale=alt.Scale(domain=[0, best]), axis=_ticks(best)),
            color=alt.Color(
                "exhibition:N", scale=alt.Scale(domain=names, range=PALETTE[: len(names)]), legend=_legend(1, "stroke")
            ),
            strokeDash=alt.StrokeDash("exhibition:N", scale=alt.Scale(domain=names, range=DASHES[: len(names)])),
            tooltip=[
                "exhibition:N",
                alt.Tooltip("period:T", title=grain, format=PERIOD_FORMATS[grain]),
                alt.Tooltip("average:Q", format=".2f"),
                alt.Tooltip("reviews:Q", format=","),
            ],
        )
        .properties(height=300)
    )


def hour_bars(frame: pd.DataFrame) -> alt.LayerChart:
    """Show how many reviews each hour of the local day brings; the busiest is marked."""
    shown = frame.assign(is_busiest=frame["reviews"] == frame["reviews"].max())
    base = alt.Chart(shown).encode(
        x=_hours(shown),
        y=alt.Y("reviews:Q", title="reviews"),
        tooltip=[
            alt.Tooltip("hour_of_day:O", title="hour"),
            alt.Tooltip("reviews:Q", format=","),
            alt.Tooltip("average:Q", format=".2f"),
        ],
    )
    bars = base.mark_bar().encode(
        color=alt.condition("datum.is_busiest", alt.value(PALETTE[1]), alt.value(PALETTE[0])),
    )
    labels = base.mark_text(dy=-6, color=MUTED, fontSize=10).encode(text=alt.Text("reviews:Q", format=".3~s"))
    return (bars + labels).properties(height=240)


def incident_bars(frame: pd.DataFrame, name: str, types: dict[str, int]) -> alt.LayerChart:
    """Show the requests for help of each `name`, by type, the most first."""
    sums = frame.groupby([name, "incident_type"], as_index=False)["incidents"].sum()
    totals = sums.groupby(name, as_index=False)["incidents"].sum().sort_values("incidents", ascending=False)
    order = list(totals[name])
    bars = (
        alt.Chart(sums)
        .mark_bar(height={"band": 0.7})
        .encode(
            x=alt.X("incidents:Q", title="requests for help", axis=alt.Axis(tickMinStep=1)),
            y=_names(name, order),
            color=_types(types),
            tooltip=[f"{name}:N", "incident_type:N", alt.Tooltip("incidents:Q", format=",")],
        )
    )
    labels = (
        alt.Chart(totals)
        .mark_text(align="left", dx=4, color=MUTED)
        .encode(x="incidents:Q", y=_names(name, order), text=alt.Text("incidents:Q", format=","))
    )
    return (bars + labels).properties(height=_height(len(order)))


def incident_hours(frame: pd.DataFrame, types: dict[str, int]) -> alt.Chart:
    """Show at which hours of the local day help is needed, by type."""
    sums = frame.groupby(["hour_of_day", "incident_type"], as_index=False)[["incidents"]].sum()
    return (
        alt.Chart(sums)
        .mark_bar()
        .encode(
            x=_hours(sums),
            y=alt.Y("incidents:Q", title="requests for help", axis=alt.Axis(tickMinStep=1)),
            color=_types(types),
            tooltip=[
                alt.Tooltip("hour_of_day:O", title="hour"),
                "incident_type:N",
                alt.Tooltip("incidents:Q", format=","),
            ],
        )
        .properties(height=240)
    )


def incident_heat(frame: pd.DataFrame) -> alt.LayerChart:
    """Show weekday against hour of the local day; a cell says its number, an empty one stays empty."""
    sums = frame.groupby(["weekday", "hour_of_day"], as_index=False)[["incidents"]].sum()
    sums["day"] = [WEEKDAYS[number - 1] for number in sums["weekday"]]
    most = int(sums["incidents"].max())
    base = alt.Chart(sums).encode(
        x=_hours(sums),
        y=alt.Y("day:O", title=None, scale=alt.Scale(domain=WEEKDAYS)),
        tooltip=["day:O", alt.Tooltip("hour_of_day:O", title="hour"), alt.Tooltip("incidents:Q", format=",")],
    )
    cells = base.mark_rect(cornerRadius=2).encode(
        color=alt.Color("incidents:Q", scale=alt.Scale(scheme="blues", domain=[0, most]), legend=None),
    )
    numbers = base.mark_text(fontSize=10, fontWeight="bold").encode(
        text=alt.Text("incidents:Q", format=".3~s"),
        color=alt.condition(f"datum.incidents > {most * BLACK_TO_WHITE}", alt.value("white"), alt.value("#1B2A3A")),
    )
    return (cells + numbers).properties(height=240)


def rate_bars(frame: pd.DataFrame) -> alt.LayerChart:
    """Show the requests for help per 1,000 reviews of each exhibition; one without reviews has no rate."""
    shown = frame.assign(
        text=[
            f"no reviews ({incidents:,} requests)" if pd.isna(rate) else f"{rate:.1f}  ({incidents:,} of {reviews:,})"
            for rate, incidents, reviews in _values(frame, "per_1000", "incidents", "reviews")
        ],
        per_1000=frame["per_1000"].fillna(0),
    )
    most = max(float(shown["per_1000"].max()), 1.0)
    base = alt.Chart(shown).encode(
        x=alt.X("per_1000:Q", title="requests per 1,000 reviews", scale=alt.Scale(domain=[0, most * 1.45])),
        y=_names("exhibition", list(shown["exhibition"])),
        tooltip=["exhibition:N", alt.Tooltip("text:N", title="per 1,000 (requests of reviews)")],
    )
    bars = base.mark_bar(color=PALETTE[2], height={"band": 0.7})
    return (bars + base.mark_text(align="left", dx=4, color=MUTED).encode(text="text:N")).properties(
        height=_height(len(shown))
    )


def incident_trend(frame: pd.DataFrame, grain: str, types: dict[str, int]) -> alt.Chart:
    """Show the requests for help over time, by type."""
    return (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=_periods(grain),
            y=alt.Y("incidents:Q", title="requests for help", axis=alt.Axis(tickMinStep=1)),
            color=_types(types),
            tooltip=[
                alt.Tooltip("period:T", title=grain, format=PERIOD_FORMATS[grain]),
                "incident_type:N",
                alt.Tooltip("incidents:Q", format=","),
            ],
        )
        .properties(height=240)
    )


def reject_bars(frame: pd.DataFrame) -> alt.LayerChart:
    """Show how many records are rejected for each reason."""
    order = list(frame["reason"])
    base = alt.Chart(frame).encode(
        x=alt.X("rejects:Q", title="open rejects", axis=alt.Axis(tickMinStep=1)),
        y=_names("reason", order),
        tooltip=["reason:N", alt.Tooltip("rejects:Q", format=",")],
    )
    labels = base.mark_text(align="left", dx=4, color=MUTED).encode(text=alt.Text("rejects:Q", format=","))
    return (base.mark_bar(color=PALETTE[6], height={"band": 0.7}) + labels).properties(height=_height(len(order)))


def fitted(chart: AnyChart) -> AnyChart:
    """Return a chart whose labels lie within its width, while the plot keeps its height whatever stands around it.

    It is drawn as SVG, whose words a screen reader finds and a browser can search.
    """
    return chart.properties(
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        usermeta={"embedOptions": {"renderer": "svg"}},
    )


def _with_gaps(frame: pd.DataFrame, grain: str) -> pd.DataFrame:
    """Return a line's points with a row without average for each step that has none, so that the line breaks there."""
    steps = pd.date_range(frame["period"].min(), frame["period"].max(), freq=FREQUENCIES[grain])
    grid = pd.MultiIndex.from_product([steps, frame["exhibition"].unique()], names=["period", "exhibition"])
    return frame.set_index(["period", "exhibition"]).reindex(grid).reset_index()


def _values(frame: pd.DataFrame, *columns: str) -> Iterable[tuple[Any, ...]]:
    """Return the values of some columns, row by row."""
    return zip(*(frame[column] for column in columns), strict=True)


def _names(name: str, order: list[str]) -> alt.Y:
    """Return the axis with one line for each name, in this order; a long name takes two lines."""
    axis = alt.Axis(labelLimit=LABEL_PIXELS, labelExpr=TWO_LINES)
    return alt.Y(f"{name}:N", title=None, sort=None, scale=alt.Scale(domain=order), axis=axis)


def _hours(frame: pd.DataFrame) -> alt.X:
    """Return the axis of the hours of the day, those without presses included."""
    hours = list(range(int(frame["hour_of_day"].min()), int(frame["hour_of_day"].max()) + 1))
    title = "hour of the day (local time)"
    return alt.X("hour_of_day:O", title=title, scale=alt.Scale(domain=hours), axis=alt.Axis(labelAngle=0))


def _periods(grain: str) -> alt.X:
    """Return the time axis of a grain."""
    return alt.X(
        "period:T",
        title=None,
        axis=alt.Axis(labelOverlap=True, tickCount=6, tickMinStep=STEPS[grain], format=_axis_format(grain)),
    )


def _axis_format(grain: str) -> str:
    """Return how a time axis writes its steps."""
    return {"hour": "%d %b %H:%M", "day": "%d %b", "week": "%d %b %y", "month": "%b %Y"}[grain]


def _types(types: dict[str, int]) -> alt.Color:
    """Return the colours of the types of requests, by their ids: emergencies in vermilion whatever they are called."""
    others = iter(OTHER_TYPES * len(types))
    colours = [KNOWN_TYPES.get(number) or next(others) for number in types.values()]
    return alt.Color("incident_type:N", scale=alt.Scale(domain=list(types), range=colours), legend=_legend(1))


def _legend(columns: int, symbol: str = "square") -> alt.Legend:
    """Return a legend above the chart, narrow enough for a phone."""
    return alt.Legend(title=None, orient="top", columns=columns, labelLimit=LEGEND_PIXELS, symbolType=symbol)


def _ticks(best: int) -> alt.Axis:
    """Return an axis with a tick at each rating."""
    return alt.Axis(values=list(range(best + 1)))


def _height(lines: int) -> int:
    """Return the height of a chart with so many horizontal bars."""
    return max(lines, 1) * BAR_HEIGHT
