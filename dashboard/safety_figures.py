"""Where and when help was needed: the figures of the safety page and of the report; nothing is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from dashboard.catalogue import Catalogue, read_days, read_period_before
from dashboard.reading import read_frame, read_rows
from dashboard.selection import EVER, Selection, grain_of
from etlkit.postgres import Cursor

EMERGENCY = 1

Incident = dict[str, Any]
"""A request for help: incident_id, at, local_at (no zone), exhibition, floors, incident_type_id, incident_type."""


@dataclass(frozen=True)
class SafetyFigures:
    """Where and when help was needed.

    incidents: exhibition, incident_type, weekday (1 is Monday), hour_of_day, incidents. floors: floor, incident_type,
    weekday, hour_of_day, incidents, an exhibition on two floors counting on both. rates: exhibition, incidents,
    reviews, per_1000 (NaN without reviews). trend: period, incident_type, incidents. types: each type's id by its
    label. totals and totals_before: incidents by type, of the period and of the one of equal length before it; None
    where there is no data before.
    """

    incidents: pd.DataFrame
    floors: pd.DataFrame
    rates: pd.DataFrame
    trend: pd.DataFrame
    types: dict[str, int]
    totals: dict[str, int]
    totals_before: dict[str, int] | None
    grain: str
    days: int

    @property
    def per_1000(self) -> float | None:
        """Return how many requests there were for every 1,000 reviews."""
        reviews = int(self.rates["reviews"].sum())
        return 1000 * float(self.rates["incidents"].sum()) / reviews if reviews else None


def read_safety_figures(cursor: Cursor, catalogue: Catalogue, selection: Selection) -> SafetyFigures:
    """Return where and when help was needed in the selected exhibitions and period."""
    parameters = selection.parameters()
    days = read_days(cursor, selection)
    grain = grain_of(days)
    types = read_frame(cursor, "list_incident_types")
    counts = read_frame(cursor, "count_incidents", parameters)
    trend = read_frame(cursor, "follow_incidents", {**parameters, "grain": grain})
    reviews = read_frame(cursor, "count_ratings", parameters).groupby("exhibition_id", as_index=False)["reviews"].sum()
    totals_before = None
    if before := read_period_before(cursor, catalogue, selection):
        totals_before = _totals(read_frame(cursor, "count_incidents", selection.parameters(before)), types)
    chosen = catalogue.chosen(selection)
    incidents = counts.merge(types, on="incident_type_id").merge(chosen, on="exhibition_id")
    floors = incidents.explode("floors").rename(columns={"floors": "floor"})
    requests = counts.groupby("exhibition_id", as_index=False)["incidents"].sum()
    rates = chosen.merge(requests, how="left", on="exhibition_id").merge(reviews, how="left", on="exhibition_id")
    rates = rates.fillna({"incidents": 0, "reviews": 0}).astype({"incidents": "int64", "reviews": "int64"})
    rates["per_1000"] = 1000 * rates["incidents"] / rates["reviews"].where(rates["reviews"] > 0)
    by_floor = ["floor", "incident_type", "weekday", "hour_of_day"]
    return SafetyFigures(
        incidents=incidents[["exhibition", "incident_type", "weekday", "hour_of_day", "incidents"]],
        floors=floors.groupby(by_floor, as_index=False)[["incidents"]].sum(),
        rates=rates[["exhibition", "incidents", "reviews", "per_1000"]].sort_values(
            ["per_1000", "exhibition"], ascending=[False, True], ignore_index=True
        ),
        trend=trend.merge(types, on="incident_type_id").drop(columns="incident_type_id"),
        types={str(name): int(number) for number, name in types.itertuples(index=False)},
        totals=_totals(counts, types),
        totals_before=totals_before,
        grain=grain,
        days=days,
    )


def read_latest_incidents(
    cursor: Cursor,
    timezone: str,
    limit: int,
    between: tuple[datetime, datetime] = EVER,
    *,
    exhibitions: Iterable[int] | None = None,
    incident_type_id: int | None = None,
) -> list[Incident]:
    """Return the latest requests for help between two moments, newest first: of some exhibitions or one type."""
    earliest, latest = between
    parameters = {
        "exhibitions": None if exhibitions is None else list(exhibitions),
        "timezone": timezone,
        "type": incident_type_id,
        "limit": limit,
        "earliest": earliest,
        "latest": latest,
    }
    return read_rows(cursor, "list_latest_incidents", parameters)


def _totals(counts: pd.DataFrame, types: pd.DataFrame) -> dict[str, int]:
    """Return the number of incidents of every type, those without any included."""
    sums = counts.groupby("incident_type_id")["incidents"].sum()
    numbers = zip(types["incident_type_id"], types["incident_type"], strict=True)
    return {str(name): int(sums.get(number, 0)) for number, name in numbers}
