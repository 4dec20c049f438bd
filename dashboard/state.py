"""Whether all is alive: the latest press, the emergencies of now, the live consumers, and how the data got here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandas as pd

from dashboard.reading import read_frame, read_rows
from dashboard.safety_figures import EMERGENCY, Incident, read_latest_incidents
from dashboard.selection import EARLIEST, LATEST, SHOWN_TIMES
from etlkit.postgres import Cursor

SILENCE = timedelta(minutes=2)
"""A running consumer says a word every minute."""

NOW_LASTS = timedelta(hours=1)
"""For how long an emergency is one of now."""

MOST_EMERGENCIES = 200
OLDER_EMERGENCIES = 100
"""Enough to find some bursts of presses among them."""

RUNS_SHOWN = 15
ERROR_LETTERS = 300
PARTITIONS_SHOWN = 24


@dataclass(frozen=True)
class Pulse:
    """What shows whether presses come in: the latest one, the open rejects, and the live consumers.

    `consumers` were heard from of late and are `lag` messages behind; `status` and `heard_at` are of the consumer
    that was heard from last.
    """

    latest_press: datetime | None
    open_rejects: int
    consumers: int
    lag: int | None
    status: str | None
    heard_at: datetime | None


@dataclass(frozen=True)
class Emergencies:
    """The emergencies of the last hour, all of them, and some older ones; newest first."""

    recent: list[Incident]
    older: list[Incident]


@dataclass(frozen=True)
class DataFigures:
    """How the data got here: runs, open rejects by reason, partitions, and how much there is."""

    runs: pd.DataFrame
    rejects: pd.DataFrame
    partitions: pd.DataFrame
    reviews: int
    incidents: int
    files: int
    latest_file: datetime | None
    pulse: Pulse


def read_pulse(cursor: Cursor, now: datetime) -> Pulse:
    """Return what shows whether presses come in."""
    return Pulse(**read_rows(cursor, "read_pulse", {**SHOWN_TIMES, "heard_since": now - SILENCE})[0])


def read_recent_emergencies(cursor: Cursor, timezone: str, now: datetime) -> list[Incident]:
    """Return the emergencies of the last hour of every exhibition, and those that a kiosk's clock puts after now."""
    between = (max(now - NOW_LASTS, EARLIEST), LATEST)
    return read_latest_incidents(cursor, timezone, MOST_EMERGENCIES, between, incident_type_id=EMERGENCY)


def read_older_emergencies(cursor: Cursor, timezone: str, now: datetime) -> list[Incident]:
    """Return the last emergencies before the last hour; where there never was one, all requests are looked at."""
    between = (EARLIEST, max(now - NOW_LASTS, EARLIEST))
    return read_latest_incidents(cursor, timezone, OLDER_EMERGENCIES, between, incident_type_id=EMERGENCY)


def read_data_figures(cursor: Cursor, now: datetime | None = None) -> DataFigures:
    """Return how the data got here."""
    return DataFigures(
        runs=read_frame(cursor, "list_latest_runs", {"limit": RUNS_SHOWN}, most=ERROR_LETTERS),
        rejects=read_frame(cursor, "count_rejects_by_reason"),
        partitions=read_frame(cursor, "list_partitions", {"limit": PARTITIONS_SHOWN}),
        pulse=read_pulse(cursor, now or datetime.now(UTC)),
        **read_rows(cursor, "read_freshness")[0],
    )
