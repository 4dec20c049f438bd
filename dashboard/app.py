"""The page as Streamlit runs it, anew at every click; python -m dashboard starts it."""

from __future__ import annotations

import hmac
import sys
import threading
import time
from datetime import UTC, date, datetime
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
from museum.database import database_settings
from museum.settings import Command

FEED_SECONDS = 1.0
FIGURES_SECONDS = 30.0
DATA_SECONDS = 5.0
CACHE_SECONDS = 3.0
"""For how long viewers share the figures of one selection."""

WRONG_PASSWORD_SECONDS = 1.0
PERIODS = {"All": None, "7 days": 7, "30 days": 30, "12 months": 365, "Own days": 0}
_gate = threading.Lock()


@st.cache_resource(show_spinner=False)
def open_command() -> tuple[Command, Reader]:
    """Return the flags' command and the reader that all viewers share."""
    command = dashboard_command(sys.argv[1:])
    return command, Reader(database_settings(as_reader(command)))


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
    """Show the page that was asked for, behind the password where there is one."""
    settings = dashboard_settings(open_command()[0])
    st.set_page_config(page_title=settings.museum_name, page_icon=":material/museum:", layout="wide")
    st.html("<style>.stMainBlockContainer { padding-top: 3.5rem; }</style>")
    password = settings.museum_dashboard_password
    is_let_in = password is None or st.session_state.get("is_let_in", False)
    page = st.navigation(
        [
            st.Page(
                exhibitions_page, title="Exhibitions", icon=":material/star:", url_path="exhibitions", default=True
            ),
            st.Page(safety_page, title="Safety", icon=":material/health_and_safety:", url_path="safety"),
            st.Page(data_page, title="Data", icon=":material/database:", url_path="data"),
        ],
        position="top" if is_let_in else "hidden",
    )
    if is_let_in or password is None:
        page.run()
    else:
        ask_for_password(password.get_secret_value())


def ask_for_password(password: str) -> None:
    """Let the viewer in with the right password; wrong ones are slowed down, one after another for everybody."""
    with st.form("let me in", width=420):
        given = st.text_input("Password", type="password")
        if st.form_submit_button("Open"):
            if hmac.compare_digest(given.encode(), password.encode()):
                st.session_state["is_let_in"] = True
                st.rerun()
            with _gate:
                time.sleep(WRONG_PASSWORD_SECONDS)
            st.error("That is not the password.")


def show_title(title: str) -> None:
    """Show whose page this is."""
    st.caption(plain(dashboard_settings(open_command()[0]).museum_name))
    st.header(title, anchor=False)


@explained
def exhibitions_page() -> None:
    """Show how the exhibitions do."""
    show_title("Exhibitions")
    selection = choose()
    if selection is not None:
        show_exhibitions(selection)


@st.fragment(run_every=FIGURES_SECONDS)
@explained
def show_exhibitions(selection: Selection) -> None:
    """Show the exhibitions' figures, again every half minute."""
    figures = exhibition_figures(selection)
    show_tiles(exhibition_tiles(figures))
    show_sections(exhibition_sections(figures))


@explained
def safety_page() -> None:
    """Show where and when help is needed, the latest requests first."""
    show_title("Safety")
    selection = choose()
    if selection is not None:
        show_feed(selection)
        show_safety(selection)


@st.fragment(run_every=FEED_SECONDS)
@explained
def show_feed(selection: Selection) -> None:
    """Show the latest requests, again every second; an emergency that comes meanwhile is called out."""
    with open_command()[1].look() as cursor:
        emergencies = read_latest_incidents(cursor, selection, EMERGENCIES_SHOWN, EMERGENCY)
        incidents = read_latest_incidents(cursor, selection, FEED_LENGTH)
    newest = max((emergency["incident_id"] for emergency in emergencies), default=0)
    seen = st.session_state.setdefault("newest_emergency", newest)
    for emergency in emergencies:
        if emergency["incident_id"] > seen:
            where = f"{emergency['exhibition']}, floor {emergency['floors']}"
            st.toast(f"**Emergency**: {plain(where)}", icon=":material/emergency:", duration="long")
    st.session_state["newest_emergency"] = max(newest, seen)
    left, right = st.columns(2)
    with left:
        st.subheader("Latest emergencies")
        show_incidents(emergencies, "There was no emergency yet.")
    with right:
        st.subheader("Latest requests for help")
        show_incidents(incidents, "Nobody has asked for help yet.")


def show_incidents(incidents: list[dict[str, Any]], otherwise: str) -> None:
    """Show requests for help, newest first."""
    if incidents:
        st.html(render_feed(incidents, datetime.now(UTC)))
    else:
        st.info(otherwise, icon=":material/check_circle:")


@st.fragment(run_every=FIGURES_SECONDS)
@explained
def show_safety(selection: Selection) -> None:
    """Show the safety figures, again every half minute."""
    figures = safety_figures(selection)
    st.subheader(f"From {selection.period}" if selection.period.days > 1 else f"On {selection.period}")
    show_tiles(safety_tiles(figures))
    show_sections(safety_sections(figures))


@st.fragment(run_every=DATA_SECONDS)
@explained
def data_page() -> None:
    """Show how the data got here, again every few seconds."""
    show_title("Data")
    figures = data_figures()
    timezone = open_command()[0].museum.museum_timezone
    show_tiles(data_tiles(figures, datetime.now(UTC), timezone))
    show_sections(data_sections(figures, timezone))


def choose() -> Selection | None:
    """Show the filters, whose choices stand in the address, and return what is chosen; None while there is nothing."""
    catalogue = catalogue_now()
    if catalogue.span is None:
        st.info("There are no presses yet: run the pipeline or the consumer, then look again.", icon=":material/info:")
        return None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.segmented_control(
            "Period", list(PERIODS), default="All", required=True, key="period", bind="query-params", wrap=True
        )
        period = chosen_period(catalogue.span, PERIODS[name or "All"])
    left, right = st.columns(2)
    departments = left.multiselect(
        "Departments", catalogue.departments, key="department", placeholder="all departments", bind="query-params"
    )
    ids = catalogue.chosen_ids(departments)
    frame = catalogue.exhibitions
    names = list(frame[frame["exhibition_id"].isin(ids)]["exhibition"])
    exhibitions = right.multiselect(
        "Exhibitions", names, key="exhibition", placeholder="all exhibitions", bind="query-params"
    )
    return Selection(period, catalogue.chosen_ids(departments, exhibitions), open_command()[0].museum.museum_timezone)


def chosen_period(span: Period, days: int | None) -> Period:
    """Return all of the span, its last days, or the days of the viewer's own, for which 0 stands."""
    if days is None:
        return span
    if days > 0:
        return span.last(days)
    given = st.date_input(
        "Days",
        (span.first_day, span.last_day),
        min_value=span.first_day,
        max_value=span.last_day,
        format="DD/MM/YYYY",
        key="days",
        width=280,
    )
    picked = [day for day in (given if isinstance(given, tuple) else (given,)) if isinstance(day, date)]
    return Period(picked[0], picked[-1]) if picked else span


main()
