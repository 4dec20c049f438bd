"""The page as Streamlit runs it, anew at every click; python -m dashboard starts it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.command_line import dashboard_command
from dashboard.database import Reader
from dashboard.feed import render_feed
from dashboard.figures import (
    EMERGENCIES_SHOWN,
    EMERGENCY,
    FEED_LENGTH,
    Catalogue,
    DataFigures,
    ExhibitionFigures,
    SafetyFigures,
    read_catalogue,
    read_data_figures,
    read_exhibition_figures,
    read_latest_incidents,
    read_safety_figures,
)
from dashboard.sections import (
    data_sections,
    data_tiles,
    exhibition_sections,
    exhibition_tiles,
    safety_sections,
    safety_tiles,
)
from dashboard.selection import Period, Selection
from dashboard.settings import as_reader, dashboard_settings
from dashboard.show import explained, plain, show_sections, show_tiles
from museum.command import Command
from museum.database import database_settings

FEED_SECONDS = 1.0
DATA_SECONDS = 5.0
CACHE_SECONDS = 3.0
"""For how long viewers share the figures of one selection."""

CALLED_OUT_FOR = timedelta(minutes=10)
ALL_DAYS, OWN_DAYS = "All", "Own days"
PERIODS = {ALL_DAYS: None, "Last 7 days": 7, "30 days": 30, "12 months": 365, OWN_DAYS: None}
"""How many days up to the latest press."""

ICON = Path(__file__).with_name("icon.png")


@st.cache_resource(show_spinner=False)
def open_command() -> tuple[Command, Reader]:
    """Return the flags' command and the reader that all viewers share."""
    command = dashboard_command(sys.argv[1:])
    return command, Reader(database_settings(as_reader(command)))


def refresh_seconds() -> float:
    """Return how often an open page asks for new figures."""
    return dashboard_settings(open_command()[0]).museum_dashboard_refresh_seconds


@st.cache_data(ttl=CACHE_SECONDS, show_spinner=False)
def catalogue_now() -> Catalogue:
    """Return what can be chosen."""
    command, reader = open_command()
    with reader.look() as cursor:
        return read_catalogue(cursor, command.museum.museum_timezone)


@st.cache_data(ttl=CACHE_SECONDS, show_spinner=False)
def exhibition_figures(selection: Selection) -> ExhibitionFigures:
    """Return how the selected exhibitions do."""
    with open_command()[1].look() as cursor:
        return read_exhibition_figures(cursor, catalogue_now(), selection)


@st.cache_data(ttl=CACHE_SECONDS, show_spinner=False)
def safety_figures(selection: Selection) -> SafetyFigures:
    """Return where and when help was needed."""
    with open_command()[1].look() as cursor:
        return read_safety_figures(cursor, catalogue_now(), selection)


@st.cache_data(ttl=CACHE_SECONDS, show_spinner=False)
def data_figures() -> DataFigures:
    """Return how the data got here."""
    with open_command()[1].look() as cursor:
        return read_data_figures(cursor)


def main() -> None:
    """Show the page that was asked for; who may see it, the gate has decided."""
    settings = dashboard_settings(open_command()[0])
    st.set_page_config(page_title=settings.museum_name, page_icon=str(ICON), layout="wide")
    st.html("<style>.stMainBlockContainer { padding-top: 3.5rem; }</style>")
    st.navigation(
        [
            st.Page(exhibitions_page, title="Exhibitions", icon=":material/star:", default=True),
            st.Page(safety_page, title="Safety", icon=":material/health_and_safety:", url_path="safety"),
            st.Page(data_page, title="Data", icon=":material/database:", url_path="data"),
        ],
        position="top",
    ).run()


def show_title(title: str) -> None:
    """Show whose page this is."""
    command = open_command()[0]
    database = command.database.db_name if command.database else ""
    st.caption(plain(f"{dashboard_settings(command).museum_name}, database {database}"))
    st.header(title, anchor=False)
    if left_out := catalogue_now().left_out_says:
        st.warning(left_out, icon=":material/event_busy:")


@dataclass(frozen=True)
class Choice:
    """What the filters say; which days and exhibitions that is changes as presses and exhibitions come."""

    period: str
    days: Period | None
    departments: tuple[str, ...]
    exhibitions: tuple[str, ...]

    @property
    def is_of_some(self) -> bool:
        """Tell whether not all the exhibitions are chosen."""
        return bool(self.departments or self.exhibitions)

    def ids(self, catalogue: Catalogue) -> tuple[int, ...]:
        """Return the chosen exhibitions that there are now."""
        return catalogue.chosen_ids(self.departments, self.exhibitions)

    def selection(self) -> Selection | None:
        """Return what is chosen by now; None, and a word to the viewer, while there is nothing."""
        catalogue = catalogue_now()
        if catalogue.span is None:
            st.info("There are no presses yet: run the pipeline or the consumer.", icon=":material/info:")
            return None
        days = PERIODS[self.period]
        period = catalogue.span.last(days) if days else (self.days or catalogue.span).within(catalogue.span)
        ids = self.ids(catalogue)
        if period is None or not ids:
            st.info("Nothing is there that was chosen; choose again.", icon=":material/info:")
            return None
        return Selection(period, ids, open_command()[0].museum.museum_timezone)


@explained
def exhibitions_page() -> None:
    """Show how the exhibitions do."""
    show_title("Exhibitions")
    show_exhibitions(choose())


@st.fragment(run_every=refresh_seconds())
@explained
def show_exhibitions(choice: Choice) -> None:
    """Show the exhibitions' figures, again now and then."""
    selection = choice.selection()
    if selection is not None:
        figures = exhibition_figures(selection)
        show_period(selection.period)
        show_tiles(exhibition_tiles(figures))
        show_sections(exhibition_sections(figures))


@explained
def safety_page() -> None:
    """Show where and when help is needed, the latest requests first."""
    show_title("Safety")
    choice = choose()
    show_feed(choice)
    show_safety(choice)


@st.fragment(run_every=FEED_SECONDS)
@explained
def show_feed(choice: Choice) -> None:
    """Show the latest requests, again every second; an emergency that comes meanwhile is called out, wherever it is."""
    timezone = open_command()[0].museum.museum_timezone
    ids = choice.ids(catalogue_now()) if choice.is_of_some else None
    with open_command()[1].look() as cursor:
        latest = read_latest_incidents(cursor, timezone, EMERGENCIES_SHOWN, incident_type_id=EMERGENCY)
        emergencies = latest
        if ids is not None:
            emergencies = read_latest_incidents(
                cursor, timezone, EMERGENCIES_SHOWN, exhibitions=ids, incident_type_id=EMERGENCY
            )
        incidents = read_latest_incidents(cursor, timezone, FEED_LENGTH, exhibitions=ids)
    call_out(latest)
    left, right = st.columns(2)
    with left:
        st.subheader("Latest emergencies")
        show_incidents(emergencies, "No emergency here yet.")
    with right:
        st.subheader("Latest requests for help")
        show_incidents(incidents, "No request for help here yet.")


def call_out(emergencies: list[dict[str, Any]]) -> None:
    """Call out the emergencies of the last minutes that this viewer has not seen since the page was opened."""
    known = st.session_state.get("known_emergencies")
    numbers = {emergency["incident_id"] for emergency in emergencies}
    for emergency in emergencies:
        is_new = known is not None and emergency["incident_id"] not in known
        if is_new and datetime.now(UTC) - emergency["at"] < CALLED_OUT_FOR:
            where = emergency["exhibition"] + (f", floor {emergency['floors']}" if emergency["floors"] else "")
            st.toast(f"**Emergency**: {plain(where)}", icon=":material/emergency:", duration="long")
    st.session_state["known_emergencies"] = (known or set()) | numbers


def show_incidents(incidents: list[dict[str, Any]], otherwise: str) -> None:
    """Show requests for help, newest first."""
    if incidents:
        st.html(render_feed(incidents, datetime.now(UTC)))
    else:
        st.info(otherwise, icon=":material/check_circle:")


@st.fragment(run_every=refresh_seconds())
@explained
def show_safety(choice: Choice) -> None:
    """Show the safety figures, again now and then."""
    selection = choice.selection()
    if selection is not None:
        figures = safety_figures(selection)
        show_period(selection.period)
        show_tiles(safety_tiles(figures))
        show_sections(safety_sections(figures))


def show_period(period: Period) -> None:
    """Say which days the figures are of."""
    st.subheader(f"From {period}" if period.days > 1 else f"On {period}", anchor=False)


@st.fragment(run_every=DATA_SECONDS)
@explained
def data_page() -> None:
    """Show how the data got here, again every few seconds."""
    show_title("Data")
    figures = data_figures()
    timezone = open_command()[0].museum.museum_timezone
    show_tiles(data_tiles(figures, datetime.now(UTC), timezone))
    show_sections(data_sections(figures, timezone))


def choose() -> Choice:
    """Show the filters, whose choices stand in the address, and return what they say."""
    catalogue = catalogue_now()
    period = st.segmented_control(
        "Period", list(PERIODS), default=ALL_DAYS, required=True, key="period", bind="query-params", wrap=True
    )
    days = choose_days(catalogue.span) if period == OWN_DAYS and catalogue.span else None
    left, right = st.columns(2)
    departments = left.multiselect(
        "Departments", catalogue.departments, key="department", placeholder="all departments", bind="query-params"
    )
    frame = catalogue.exhibitions
    names = frame[frame["exhibition_id"].isin(catalogue.chosen_ids(departments))]["exhibition"]
    exhibitions = right.multiselect(
        "Exhibitions", list(names), key="exhibition", placeholder="all exhibitions", bind="query-params"
    )
    return Choice(period or ALL_DAYS, days, tuple(departments), tuple(exhibitions))


def choose_days(span: Period) -> Period | None:
    """Show the calendar, and return the days; None while only one end is chosen."""
    given = st.date_input(
        "Days",
        (span.first_day, span.last_day),
        min_value=span.first_day,
        max_value=span.last_day,
        format="DD/MM/YYYY",
        key="days",
        width=280,
        bind="query-params",
    )
    picked = [day for day in (given if isinstance(given, tuple) else (given,)) if isinstance(day, date)]
    return Period(picked[0], picked[-1]) if picked else None


main()
