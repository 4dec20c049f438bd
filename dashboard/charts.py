"""The pictures: one function a chart, from a frame of the figures to an Altair chart without a width.

Colours can be told apart by colour-blind people: Okabe and Ito's palette for kinds (Color Universal Design, 2008),
viridis for ratings, one hue for amounts. Nothing is told by colour alone: bars carry numbers, lines have dashes. A
name that is cut has a tooltip that holds it whole, across its row.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

import altair as alt
import pandas as pd

from dashboard.figures import FEW_REVIEWS
from dashboard.safety_figures import EMERGENCY
from dashboard.time_axis import TimeAxis, time_axis

AnyChart = alt.Chart | alt.LayerChart
Link = Callable[[str], str]
"""Where the page of an exhibition is, by its name."""

PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C6D31"]
DASHES = [[1, 0], [6, 2], [2, 2], [8, 2, 2, 2], [4, 4], [1, 1], [10, 3]]
KNOWN_TYPES = {0: PALETTE[0], 1: PALETTE[5]}
OTHER_TYPES = [PALETTE[2], PALETTE[3], PALETTE[1], PALETTE[6]]
INK, INK_ON_DARK = "#3d4752", "#d5dae0"
COUNT_BARS = "#9db4c8"
CELLS = alt.SchemeParams("blues", extent=[0.08, 0.62])
"""No darker than what dark numbers can be read on by WCAG AA."""

THOUSAND = 1000
MOST_WRITTEN_OUT = 100_000
WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
BAR_HEIGHT, TALL_BAR_HEIGHT = 34, 48
LABEL_PIXELS = 130
LABEL_LETTERS = 21
LABEL_LINES = 3
LEGEND_PIXELS = 220
LEGEND_LETTERS = 22
"""The labels of a legend in one line have together at most so many letters, so that a phone has room for them."""


def average_bars(frame: pd.DataFrame, name: str, best: int, link: Link | None = None) -> alt.LayerChart:
    """Show the average rating of each `name`, best first; one without reviews says so instead of standing at zero."""
    shown = frame.assign(
        text=[_average_text(average, reviews) for average, reviews in _values(frame, "average", "reviews")],
        average=frame["average"].fillna(0),
    )
    shown["end"] = shown[["average", "high"]].max(axis=1) if "low" in shown else shown["average"]
    if "low" in shown:
        shown["sure"] = [
            how_sure(low, high, reviews) for low, high, reviews in _values(shown, "low", "high", "reviews")
        ]
    order = list(shown.sort_values(["average", name], ascending=[False, True])[name])
    base = alt.Chart(_linked(shown, name, link)).encode(
        x=alt.X("average:Q", title="average rating", scale=alt.Scale(domain=[0, best * 1.3]), axis=_ticks(best)),
        y=_names(name, order),
        tooltip=[
            alt.Tooltip(f"{name}:N"),
            alt.Tooltip("text:N", title="average (reviews)"),
            *([alt.Tooltip("sure:N", title="how sure")] if "low" in shown else []),
        ],
        **_href(link),
    )
    bars = base.mark_bar(color=PALETTE[0], height={"band": 0.7})
    layers = [bars, base.mark_text(align="left", dx=5).encode(text="text:N", x="end:Q"), _rows(base)]
    if "low" in shown:
        layers.insert(1, base.mark_rule(aria=False, strokeWidth=3, color=PALETTE[1]).encode(x="low:Q", x2="high:Q"))
    return _layered(layers, _height(order))


def distribution_bars(frame: pd.DataFrame, order: list[str], link: Link | None = None) -> alt.LayerChart:
    """Show how each exhibition's reviews are spread over the ratings, as shares of 100 %."""
    ratings = frame.drop_duplicates("rating_id").sort_values("rating_id")
    given = frame[frame["reviews"] > 0].sort_values("rating_id")
    ends = given.groupby("exhibition")["share"].cumsum().clip(upper=1)
    given = given.assign(end=ends, begin=(ends - given["share"]).clip(lower=0))
    base = alt.Chart(_linked(given, "exhibition", link)).encode(y=_names("exhibition", order), **_href(link))
    bars = base.mark_bar(height={"band": 0.7}, stroke="white", strokeWidth=0.5).encode(
        x=alt.X(
            "begin:Q",
            title="share of the reviews",
            scale=alt.Scale(domain=[0, 1], nice=False, clamp=True),
            axis=alt.Axis(format="%", tickCount=5),
        ),
        x2="end:Q",
        color=alt.Color(
            "rating:O",
            scale=alt.Scale(domain=list(ratings["rating"]), scheme="viridis"),
            legend=_legend(ratings["rating"]),
        ),
        tooltip=[
            "exhibition:N",
            "rating:N",
            alt.Tooltip("reviews:Q", format=","),
            alt.Tooltip("share:Q", format=".1%"),
        ],
    )
    rows = _rows(base.encode(tooltip=["exhibition:N"]))
    return _layered([rows, bars], _height(order))


def average_lines(frame: pd.DataFrame, grain: str, best: int, link: Link | None = None) -> alt.LayerChart:
    """Show each exhibition's average over time; a line of one point says its figure."""
    axis = time_axis(frame["period"], grain)
    names = sorted(frame["exhibition"].unique())
    lonely = frame.groupby("exhibition")["period"].transform("count") == 1
    tooltip = [
        alt.Tooltip("exhibition:N"),
        alt.Tooltip("when:N", title=grain),
        alt.Tooltip("average:Q", format=".2f"),
        alt.Tooltip("reviews:Q", format=","),
    ]
    y = alt.Y("average:Q", title="average rating", scale=alt.Scale(domain=[0, best]), axis=_ticks(best))
    base = alt.Chart(_linked(_with_breaks(frame, axis), "exhibition", link)).encode(
        x=axis.encoding(),
        y=y,
        color=alt.Color(
            "exhibition:N",
            scale=alt.Scale(domain=names, range=PALETTE[: len(names)]),
            legend=_legend(names, "stroke"),
        ),
        tooltip=tooltip,
        **_href(link),
    )
    dash = alt.StrokeDash("exhibition:N", scale=alt.Scale(domain=names, range=DASHES[: len(names)]))
    lines = base.mark_line(strokeWidth=2).encode(strokeDash=dash)
    points = base.mark_point(filled=True, size=32, opacity=1).transform_filter("isValid(datum.average)")
    labels = (
        alt.Chart(axis.placed(frame[lonely]))
        .mark_text(align="left", dx=7)
        .encode(x=axis.encoding(), y=y, text=alt.Text("average:Q", format=".2f"), tooltip=tooltip)
    )
    return _over_time([lines, points, labels], axis, 300)


def rating_over_time(frame: pd.DataFrame, grain: str, best: int) -> alt.LayerChart:
    """Show one exhibition's average as a line over the number of its reviews as bars."""
    axis = time_axis(frame["period"], grain)
    base = alt.Chart(_with_breaks(frame, axis)).encode(
        x=axis.encoding(),
        tooltip=[
            alt.Tooltip("when:N", title=grain),
            alt.Tooltip("average:Q", format=".2f"),
            alt.Tooltip("reviews:Q", format=","),
        ],
    )
    count_axis = alt.Axis(orient="right", grid=False, tickMinStep=1, format="~s")
    counts = base.mark_bar(color=COUNT_BARS, opacity=0.6).encode(
        y=alt.Y("reviews:Q", title="reviews (bars)", axis=count_axis)
    )
    y = alt.Y("average:Q", title="average rating (line)", scale=alt.Scale(domain=[0, best]), axis=_ticks(best))
    line = base.mark_line(color=PALETTE[0], strokeWidth=2.5).encode(y=y)
    points = base.mark_point(color=PALETTE[0], filled=True, size=36, opacity=1).encode(y=y)
    averages = [line, points.transform_filter("isValid(datum.average)")]
    if len(frame) == 1:
        averages.append(base.mark_text(align="left", dx=8).encode(y=y, text=alt.Text("average:Q", format=".2f")))
    gaps = axis.gap_marks()
    layers = [counts, alt.LayerChart(layer=averages), *([gaps] if gaps else [])]
    return _layered(layers, 280).resolve_scale(y="independent")


def hour_bars(frame: pd.DataFrame) -> alt.LayerChart:
    """Show how many reviews each hour of the local day brings; the busiest is marked."""
    shown = frame.assign(
        is_busiest=frame["reviews"] == frame["reviews"].max(),
        text=[f"{count:,}" if count < MOST_WRITTEN_OUT else f"{count / THOUSAND:,.0f}k" for count in frame["reviews"]],
    )
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
    labels = base.mark_text(dy=-6, fontSize=10).encode(text="text:N")
    return _layered([bars, labels], 240)


def incident_bars(frame: pd.DataFrame, name: str, types: dict[str, int], link: Link | None = None) -> alt.LayerChart:
    """Show the requests for help of each `name`, by type, the most first."""
    sums = frame.groupby([name, "incident_type"], as_index=False)[["incidents"]].sum()
    totals = frame.groupby(name, as_index=False)[["incidents"]].sum().sort_values("incidents", ascending=False)
    order = list(totals[name])
    urgent = _emergencies(frame, types, [name])
    totals["text"] = [
        f"{count:,} ({urgent[value]:,} ▲)" if value in urgent else f"{count:,}"
        for value, count in _values(totals, name, "incidents")
    ]
    x = alt.X(
        "incidents:Q",
        title="requests for help",
        axis=alt.Axis(tickMinStep=1),
        scale=alt.Scale(domain=[0, max(float(totals["incidents"].max()), 1.0) * 1.35], nice=False),
    )
    bars = (
        alt.Chart(_linked(sums, name, link))
        .mark_bar(height={"band": 0.7})
        .encode(
            x=x,
            y=_names(name, order),
            color=_types(types),
            tooltip=[f"{name}:N", "incident_type:N", alt.Tooltip("incidents:Q", format=",")],
            **_href(link),
        )
    )
    base = alt.Chart(_linked(totals, name, link)).encode(
        x=x,
        y=_names(name, order),
        tooltip=[f"{name}:N", alt.Tooltip("incidents:Q", title="all requests", format=",")],
        **_href(link),
    )
    labels = base.mark_text(align="left", dx=4).encode(text="text:N")
    return _layered([_rows(base), bars, labels], _height(order))


def incident_hours(frame: pd.DataFrame, types: dict[str, int]) -> alt.LayerChart:
    """Show at which hours of the local day help is needed, by type."""
    sums = frame.groupby(["hour_of_day", "incident_type"], as_index=False)[["incidents"]].sum()
    totals = alt.Chart(frame.groupby("hour_of_day", as_index=False)[["incidents"]].sum())
    labels = totals.mark_text(dy=-6, fontSize=10).encode(
        x=_hours(sums), y="incidents:Q", text=alt.Text("incidents:Q", format=",")
    )
    bars = (
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
    )
    return _layered([bars, labels], 240)


def weekday_heat(frame: pd.DataFrame) -> alt.LayerChart:
    """Show weekday against hour of the local day; a cell says its number, an empty one stays empty."""
    sums = frame.groupby(["weekday", "hour_of_day"], as_index=False)[["incidents"]].sum()
    sums["day"] = [WEEKDAYS[number - 1] for number in sums["weekday"]]
    y = alt.Y("day:O", title=None, scale=alt.Scale(domain=WEEKDAYS))
    return _heat(sums, y, "day", 240)


def floor_heat(frame: pd.DataFrame, types: dict[str, int]) -> alt.LayerChart:
    """Show floor against hour of the local day; a cell says its number, and below it how many are emergencies."""
    sums = frame.groupby(["floor", "hour_of_day"], as_index=False)[["incidents"]].sum()
    urgent = _emergencies(frame, types, ["floor", "hour_of_day"])
    sums["emergencies"] = [urgent.get(place, 0) for place in _values(sums, "floor", "hour_of_day")]
    order = sorted(sums["floor"].unique())
    return _heat(sums, _names("floor", order), "floor", _height(order))


def rate_bars(frame: pd.DataFrame, link: Link | None = None) -> alt.LayerChart:
    """Show the requests for help per 1,000 reviews of each exhibition; one without reviews has no rate."""
    shown = frame.assign(
        text=[
            f"no reviews ({incidents:,} requests)" if pd.isna(rate) else f"{rate:.1f}  ({incidents:,} of {reviews:,})"
            for rate, incidents, reviews in _values(frame, "per_1000", "incidents", "reviews")
        ],
        per_1000=frame["per_1000"].fillna(0),
    )
    most = max(float(shown["per_1000"].max()), 1.0)
    order = list(shown["exhibition"])
    base = alt.Chart(_linked(shown, "exhibition", link)).encode(
        x=alt.X("per_1000:Q", title="requests per 1,000 reviews", scale=alt.Scale(domain=[0, most * 1.6], nice=False)),
        y=_names("exhibition", order),
        tooltip=["exhibition:N", alt.Tooltip("text:N", title="per 1,000 (requests of reviews)")],
        **_href(link),
    )
    bars = base.mark_bar(color=PALETTE[2], height={"band": 0.7})
    words = base.mark_text(align="left", dx=4).encode(text="text:N")
    return _layered([bars, words, _rows(base)], _height(order))


def incident_trend(frame: pd.DataFrame, grain: str, types: dict[str, int]) -> alt.LayerChart:
    """Show the requests for help over time, by type."""
    axis = time_axis(frame["period"], grain)
    bars = (
        alt.Chart(axis.placed(frame))
        .mark_bar()
        .encode(
            x=axis.encoding(),
            y=alt.Y("incidents:Q", title="requests for help", axis=alt.Axis(tickMinStep=1)),
            color=_types(types),
            tooltip=[
                alt.Tooltip("when:N", title=grain),
                "incident_type:N",
                alt.Tooltip("incidents:Q", format=","),
            ],
        )
    )
    return _over_time([bars], axis, 240)


def reject_bars(frame: pd.DataFrame) -> alt.LayerChart:
    """Show how many records are rejected for each reason."""
    order = list(frame["reason"])
    base = alt.Chart(frame).encode(
        x=alt.X("rejects:Q", title="open rejects", axis=alt.Axis(tickMinStep=1)),
        y=_names("reason", order),
        tooltip=["reason:N", alt.Tooltip("rejects:Q", format=",")],
    )
    labels = base.mark_text(align="left", dx=4).encode(text=alt.Text("rejects:Q", format=","))
    bars = base.mark_bar(color=PALETTE[6], height={"band": 0.7})
    return _layered([bars, labels, _rows(base)], _height(order))


def fitted(chart: AnyChart, *, is_dark: bool = False) -> AnyChart:
    """Return a chart whose labels lie within its width, while the plot keeps its height whatever stands around it.

    It is drawn as SVG, whose words a screen reader finds and a browser can search, with words that can be read on a
    light or dark page.
    """
    ink = INK_ON_DARK if is_dark else INK
    words = {"labelColor": ink, "titleColor": ink}
    return chart.properties(
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        usermeta={"embedOptions": {"renderer": "svg"}},
        config={"text": {"color": ink}, "axis": words, "legend": words},
    )


def label_lines(name: str) -> list[str]:
    """Return a name in lines that fit beside the bars; what does not fit is cut, and the tooltip has it."""
    lines = textwrap.wrap(name, LABEL_LETTERS, break_on_hyphens=False) or [name]
    if len(lines) > LABEL_LINES:
        lines[LABEL_LINES - 1] = f"{lines[LABEL_LINES - 1][: LABEL_LETTERS - 1]}…"
    return lines[:LABEL_LINES]


def how_sure(low: float, high: float, reviews: int) -> str:
    """Say between which bounds an average lies with 95 %, or that there are too few reviews to say."""
    if not reviews:
        return "no ratings yet"
    return f"few reviews: {reviews}" if pd.isna(low) else f"surely {low:.2f} to {high:.2f} (95 %)"


def _average_text(average: float, reviews: int) -> str:
    """Return an average with the number of its reviews, few ones as such."""
    if pd.isna(average):
        return "no ratings yet"
    return f"{average:.2f}  ({reviews:,}{', few' if reviews < FEW_REVIEWS else ''})"


def _heat(sums: pd.DataFrame, y: alt.Y, name: str, height: int) -> alt.LayerChart:
    """Return cells by hour of the local day whose colour and number say how many incidents there are."""
    most = int(sums["incidents"].max())
    if "emergencies" not in sums:
        sums = sums.assign(emergencies=0)
    sums = sums.assign(
        text=[
            f"{_short(count)}\n▲ {urgent}" if urgent else _short(count)
            for count, urgent in _values(sums, "incidents", "emergencies")
        ]
    )
    base = alt.Chart(sums).encode(
        x=_hours(sums),
        y=y,
        tooltip=[
            f"{name}:N",
            alt.Tooltip("hour_of_day:O", title="hour"),
            alt.Tooltip("incidents:Q", title="requests", format=","),
            *([alt.Tooltip("emergencies:Q", format=",")] if sums["emergencies"].any() else []),
        ],
    )
    cells = base.mark_rect(cornerRadius=2).encode(
        color=alt.Color("incidents:Q", scale=alt.Scale(scheme=CELLS, domain=[0, most]), legend=None),
    )
    numbers = base.mark_text(fontSize=10, fontWeight="bold", lineBreak="\n", baseline="middle", color="#101820").encode(
        text="text:N"
    )
    return _layered([cells, numbers], height)


def _emergencies(frame: pd.DataFrame, types: dict[str, int], by: list[str]) -> dict[Any, int]:
    """Return how many emergencies there are in each group that has any."""
    urgent = frame[[types[name] == EMERGENCY for name in frame["incident_type"]]]
    sums = urgent.groupby(by[0] if len(by) == 1 else by)["incidents"].sum()
    return {place: int(count) for place, count in sums.items()}


def _short(count: int) -> str:
    """Return a number that fits a cell."""
    return f"{count}" if count < THOUSAND else f"{count / THOUSAND:.1f}k"


def _layered(layers: list[AnyChart], height: int) -> alt.LayerChart:
    """Return layers as one chart."""
    return alt.LayerChart(layer=layers, height=height)


def _over_time(layers: list[AnyChart], axis: TimeAxis, height: int) -> alt.LayerChart:
    """Return layers over a time axis, with its gaps marked."""
    gaps = axis.gap_marks()
    return _layered([*([gaps] if gaps else []), *layers], height)


def _with_breaks(frame: pd.DataFrame, axis: TimeAxis) -> pd.DataFrame:
    """Return a line's points by their places, with an empty row for each place that has none: there the line breaks."""
    named = "exhibition" in frame
    names = list(frame["exhibition"].unique()) if named else [""]
    placed = axis.placed(frame if named else frame.assign(exhibition=""))
    grid = pd.MultiIndex.from_product([range(len(axis.steps)), names], names=["place", "exhibition"])
    return placed.set_index(["place", "exhibition"]).reindex(grid).reset_index()


def _linked(frame: pd.DataFrame, name: str, link: Link | None) -> pd.DataFrame:
    """Return a frame with the address of each exhibition's page, if there are such pages."""
    return frame if link is None else frame.assign(link=[link(value) for value in frame[name]])


def _href(link: Link | None) -> dict[str, Any]:
    """Return the encoding by which a click leads to an exhibition's page."""
    return {} if link is None else {"href": alt.Href("link:N")}


def _rows(base: alt.Chart) -> alt.Chart:
    """Return the whole rows, unseen, so that a name's tooltip and link are there wherever its row is pointed at."""
    encoding = base.copy().encoding
    encoding.x = alt.Undefined
    return alt.Chart(base.data, encoding=encoding).mark_rect(opacity=0, aria=False)


def _values(frame: pd.DataFrame, *columns: str) -> Iterable[tuple[Any, ...]]:
    """Return the values of some columns, row by row."""
    return zip(*(frame[column] for column in columns), strict=True)


def _names(name: str, order: list[str]) -> alt.Y:
    """Return the axis with one row for each name, in this order; a long name takes several lines."""
    # a text in an expression that is nothing but a name of JavaScript's, such as toString, Vega takes for that name
    lines = {value: "\n".join(broken) for value in order if len(broken := label_lines(value)) > 1}
    own = f"({json.dumps(lines, ensure_ascii=False)})[datum.value]"
    expression = f"{own} ? split({own}, '\\n') : datum.label" if lines else "datum.label"
    axis = alt.Axis(labelLimit=LABEL_PIXELS, labelExpr=expression)
    return alt.Y(f"{name}:N", title=None, sort=None, scale=alt.Scale(domain=order), axis=axis)


def _hours(frame: pd.DataFrame) -> alt.X:
    """Return the axis of the hours of the day, those without presses included."""
    hours = list(range(int(frame["hour_of_day"].min()), int(frame["hour_of_day"].max()) + 1))
    title = "hour of the day (local time)"
    return alt.X("hour_of_day:O", title=title, scale=alt.Scale(domain=hours), axis=alt.Axis(labelAngle=0))


def _types(types: dict[str, int]) -> alt.Color:
    """Return the colours of the types of requests, by their ids: emergencies in vermilion whatever they are called."""
    others = iter(OTHER_TYPES * len(types))
    colours = [KNOWN_TYPES.get(number) or next(others) for number in types.values()]
    return alt.Color("incident_type:N", scale=alt.Scale(domain=list(types), range=colours), legend=_legend(types))


def _legend(labels: Iterable[str], symbol: str = "square") -> alt.Legend:
    """Return a legend above the chart: in one small line where that fits a phone, else line by line."""
    names = list(labels)
    longest = max(map(len, names), default=1)
    columns = len(names) if sum(map(len, names)) <= LEGEND_LETTERS else max(LEGEND_LETTERS // longest, 1)
    return alt.Legend(
        title=None, orient="top", columns=columns, labelLimit=LEGEND_PIXELS, symbolType=symbol,
        symbolStrokeWidth=0 if symbol == "square" else 2, symbolSize=60,
        labelFontSize=11, columnPadding=8, rowPadding=1, offset=4,
    )  # fmt: skip


def _ticks(best: int) -> alt.Axis:
    """Return an axis with a tick at each rating."""
    return alt.Axis(values=list(range(best + 1)), format="d")


def _height(order: list[str]) -> int:
    """Return the height of a chart with a row for each of these names."""
    is_tall = any(len(label_lines(name)) == LABEL_LINES for name in order)
    return max(len(order), 1) * (TALL_BAR_HEIGHT if is_tall else BAR_HEIGHT)
