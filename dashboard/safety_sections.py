"""What the Head of Security & Visitor Safety asks."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from dashboard import charts
from dashboard.charts import WEEKDAYS, Link
from dashboard.safety_figures import Incident, SafetyFigures
from dashboard.sections import MOST_BARS, Section, Tile, change_of, dated, drawn_if, first_of, number

EVERY_DAY = "Every day"
MOST_PLACES = 3


def safety_tiles(figures: SafetyFigures) -> list[Tile]:
    """Return the main figures of safety, each beside the period of the same length before."""
    before = figures.totals_before
    tiles = [
        Tile(
            name[:1].upper() + name[1:],
            f"{count:,}",
            "requests in the period",
            "" if before is None else change_of(count, before.get(name, 0)),
        )
        for name, count in figures.totals.items()
    ]
    return [*tiles, Tile("Per 1,000 reviews", number(figures.per_1000, 1), "requests of every type")]


def patrol_section(figures: SafetyFigures, weekday: str = EVERY_DAY) -> Section:
    """Return which floor needs a guard at which hour, on every day or on one weekday."""
    floors = figures.floors
    if weekday != EVERY_DAY:
        floors = floors[floors["weekday"] == WEEKDAYS.index(weekday) + 1]
    table = pivoted(floors, ["floor", "hour_of_day"], figures.types)
    said = "requests for help; an exhibition on two floors counts on both; ▲ emergencies among them"
    if len(table):
        most = table[table["all"] == table["all"].max()]
        places = [f"floor {floor} at {hour}:00" for floor, hour in zip(most["floor"], most["hour_of_day"], strict=True)]
        more = f" and {len(places) - MOST_PLACES} more" if len(places) > MOST_PLACES else ""
        said = f"{weekday}: the most on {', '.join(places[:MOST_PLACES])}{more} ({most['all'].iloc[0]:,}); {said}"
    return Section(
        "Which floor needs a guard, by hour",
        table.sort_values(["hour_of_day", "all"], ascending=[True, False], kind="stable"),
        drawn_if(len(floors) > 0, lambda: charts.floor_heat(floors, figures.types)),
        said,
        is_wide=True,
    )


def safety_sections(figures: SafetyFigures, link: Link | None = None) -> list[Section]:
    """Return the rest of what is asked; a link leads from each bar to the exhibition's page."""
    types, incidents = figures.types, figures.incidents
    is_needed = len(incidents) > 0
    most_needed = incidents_by_name(incidents)
    return [
        Section(
            "By floor",
            pivoted(figures.floors, "floor", types),
            drawn_if(is_needed, lambda: charts.incident_bars(figures.floors, "floor", types)),
            "an exhibition on two floors counts on both",
        ),
        Section(
            "By exhibition",
            pivoted(incidents, "exhibition", types),
            drawn_if(is_needed, lambda: charts.incident_bars(most_needed, "exhibition", types, link)),
            "requests for help" + first_of(figures.rates),
        ),
        Section(
            "When help is needed",
            weekday_table(figures),
            drawn_if(is_needed, lambda: charts.weekday_heat(incidents)),
            "weekday and hour, local time",
        ),
        Section(
            "By hour",
            pivoted(incidents, "hour_of_day", types).sort_values("hour_of_day"),
            drawn_if(is_needed, lambda: charts.incident_hours(incidents, types)),
            "requests for help by hour, local time",
        ),
        Section(
            "Requests per 1,000 reviews",
            figures.rates.assign(per_1000=figures.rates["per_1000"].round(1)),
            drawn_if(is_needed, lambda: charts.rate_bars(figures.rates.head(MOST_BARS), link)),
            "how often help is needed for as many visitors" + first_of(figures.rates),
        ),
        Section(
            "Over time",
            dated(pivoted(figures.trend, "period", types), figures.grain),
            drawn_if(is_needed, lambda: charts.incident_trend(figures.trend, figures.grain, types)),
            f"requests for help by {figures.grain}",
        ),
    ]


def emergency_section(emergencies: list[Incident], most: int) -> Section:
    """Return the list of a period's emergencies."""
    limited = f", the latest {most}" if len(emergencies) == most else ""
    return Section(
        "Emergencies", incident_table(emergencies), note=f"the newest first, local time{limited}", is_wide=True
    )


def incident_table(incidents: Iterable[Incident]) -> pd.DataFrame:
    """Return requests for help as a table, by local time."""
    columns = ["local time", "type", "exhibition", "floors"]
    rows = [
        [f"{one['local_at']:%Y-%m-%d %H:%M:%S}", one["incident_type"], one["exhibition"], one["floors"] or "no floor"]
        for one in incidents
    ]
    return pd.DataFrame(rows, columns=columns)


def weekday_table(figures: SafetyFigures) -> pd.DataFrame:
    """Return the requests for help by weekday and hour, in the order of the week."""
    table = pivoted(figures.incidents, ["weekday", "hour_of_day"], figures.types).sort_values(
        ["weekday", "hour_of_day"]
    )
    return table.assign(weekday=[WEEKDAYS[number - 1] for number in table["weekday"]])


def incidents_by_name(incidents: pd.DataFrame) -> pd.DataFrame:
    """Return the incidents of the exhibitions that have the most of them."""
    sums = incidents.groupby("exhibition")["incidents"].sum().sort_values(ascending=False)
    return incidents[incidents["exhibition"].isin(sums.index[:MOST_BARS])]


def pivoted(frame: pd.DataFrame, name: str | list[str], types: dict[str, int]) -> pd.DataFrame:
    """Return one row a name with a column for each type and their sum, the most first."""
    table = frame.pivot_table(index=name, columns="incident_type", values="incidents", aggfunc="sum", observed=True)
    table = table.reindex(columns=list(types)).fillna(0).astype("int64")
    table["all"] = table.sum(axis=1)
    return table.sort_values("all", ascending=False, kind="stable").reset_index()
