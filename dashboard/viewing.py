"""What the page's viewers share: the command, a reader of the database, and each figure for a few seconds."""

from __future__ import annotations

import gc
import sys
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from dashboard.catalogue import Catalogue, read_catalogue
from dashboard.command_line import dashboard_command
from dashboard.database import Reader
from dashboard.figures import ExhibitionFigures, SingleFigures, read_exhibition_figures, read_single_figures
from dashboard.reading import read_frame
from dashboard.safety_figures import Incident, SafetyFigures, read_latest_incidents, read_safety_figures
from dashboard.selection import Selection
from dashboard.settings import as_reader, dashboard_settings
from dashboard.state import (
    DataFigures,
    Pulse,
    read_data_figures,
    read_older_emergencies,
    read_pulse,
    read_recent_emergencies,
)
from museum.command import Command
from museum.database import database_settings
from museum.settings import DashboardSettings

FIGURE_SECONDS = 3.0
"""For how long viewers share the figures of one selection."""

ALARM_SECONDS = 0.8
SLOW_SECONDS = 30.0
"""For how long viewers share what seldom changes and may take long to find."""


@st.cache_resource(show_spinner=False)
def open_command() -> tuple[Command, Reader]:
    """Return the flags' command and the reader that all viewers share."""
    command = dashboard_command(sys.argv[1:])
    # Streamlit collects garbage after each part that it shows anew, each second; what was imported by now is none
    gc.freeze()
    return command, Reader(database_settings(as_reader(command)))


def settings() -> DashboardSettings:
    """Return the dashboard's own settings."""
    return dashboard_settings(open_command()[0])


def timezone() -> str:
    """Return the museum's zone."""
    return open_command()[0].museum.museum_timezone


def today() -> date:
    """Return the museum's day."""
    return datetime.now(ZoneInfo(timezone())).date()


@st.cache_data(ttl=FIGURE_SECONDS, show_spinner=False)
def catalogue_now() -> Catalogue:
    """Return what can be chosen."""
    with open_command()[1].look() as cursor:
        return read_catalogue(cursor, timezone())


@st.cache_data(ttl=FIGURE_SECONDS, show_spinner=False)
def exhibition_figures(selection: Selection) -> ExhibitionFigures:
    """Return how the selected exhibitions do."""
    with open_command()[1].look() as cursor:
        return read_exhibition_figures(cursor, catalogue_now(), selection)


@st.cache_data(ttl=FIGURE_SECONDS, show_spinner=False)
def single_figures(selection: Selection) -> SingleFigures:
    """Return how the one selected exhibition does."""
    with open_command()[1].look() as cursor:
        return read_single_figures(cursor, catalogue_now(), selection)


@st.cache_data(ttl=FIGURE_SECONDS, show_spinner=False)
def safety_figures(selection: Selection) -> SafetyFigures:
    """Return where and when help was needed."""
    with open_command()[1].look() as cursor:
        return read_safety_figures(cursor, catalogue_now(), selection)


@st.cache_data(ttl=FIGURE_SECONDS, show_spinner=False)
def data_figures() -> DataFigures:
    """Return how the data got here."""
    with open_command()[1].look() as cursor:
        return read_data_figures(cursor)


@st.cache_data(ttl=FIGURE_SECONDS, show_spinner=False)
def pulse_now() -> Pulse:
    """Return what shows whether presses come in."""
    with open_command()[1].look() as cursor:
        return read_pulse(cursor, datetime.now(UTC))


@st.cache_data(ttl=ALARM_SECONDS, show_spinner=False)
def recent_emergencies() -> list[Incident]:
    """Return the emergencies of the last hour."""
    with open_command()[1].look() as cursor:
        return read_recent_emergencies(cursor, timezone(), datetime.now(UTC))


@st.cache_data(ttl=SLOW_SECONDS, show_spinner=False)
def older_emergencies() -> list[Incident]:
    """Return the last emergencies before the last hour."""
    with open_command()[1].look() as cursor:
        return read_older_emergencies(cursor, timezone(), datetime.now(UTC))


@st.cache_data(ttl=ALARM_SECONDS, show_spinner=False)
def latest_requests(limit: int) -> list[Incident]:
    """Return the latest requests for help."""
    with open_command()[1].look() as cursor:
        return read_latest_incidents(cursor, timezone(), limit)


@st.cache_data(ttl=SLOW_SECONDS, show_spinner=False)
def latest_runs() -> pd.DataFrame:
    """Return the latest run, if there is one."""
    with open_command()[1].look() as cursor:
        return read_frame(cursor, "list_latest_runs", {"limit": 1})
