"""What stands on each page, by the choice of its viewer; each part is shown anew now and then."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import streamlit as st

from dashboard.choosing import Choice, choose_weekday, exhibition_link, write_address
from dashboard.data_sections import data_sections, data_tiles, footer
from dashboard.exhibition_sections import exhibition_sections, exhibition_tiles, single_sections, single_tiles
from dashboard.feed import render_feed
from dashboard.report import DATA_PART, EXHIBITION_PART, EXHIBITIONS_PART, SAFETY_PART, report_of
from dashboard.safety_figures import Incident
from dashboard.safety_sections import patrol_section, safety_sections, safety_tiles
from dashboard.sections import period_note
from dashboard.selection import Selection
from dashboard.show import explained, logged_once, plain, show_section, show_sections, show_tiles
from dashboard.state import NOW_LASTS
from dashboard.strip import SEEN, Seen
from dashboard.taking_along import file_name
from dashboard.viewing import (
    catalogue_now,
    data_figures,
    exhibition_figures,
    latest_requests,
    latest_runs,
    older_emergencies,
    open_command,
    pulse_now,
    recent_emergencies,
    safety_figures,
    settings,
    single_figures,
    timezone,
)
from etlkit.errors import EtlError

FEED_SECONDS = 1.0
DATA_SECONDS = 5.0
FOOTER_SECONDS = 30.0
FEED_LENGTH, FEED_READ = 8, 60
"""How many requests of the last hour are shown, and how many are read to find older ones among repeats."""


def show_left_out() -> None:
    """Say what is not shown."""
    if left_out := catalogue_now().left_out_says:
        st.warning(left_out, icon=":material/event_busy:")


@st.fragment(run_every=settings().museum_dashboard_refresh_seconds)
@explained
def show_exhibitions(choice: Choice) -> None:
    """Show how the exhibitions do."""
    if selection := _selection(choice):
        figures = exhibition_figures(selection)
        _show_period(selection, figures.days, is_compared=figures.before is not None)
        show_tiles(exhibition_tiles(figures))
        show_sections(EXHIBITIONS_PART, exhibition_sections(figures, exhibition_link()), _about(selection))
        _offer_report(EXHIBITIONS_PART, choice)


@st.fragment(run_every=settings().museum_dashboard_refresh_seconds)
@explained
def show_exhibition(choice: Choice) -> None:
    """Show how one exhibition does."""
    if selection := _selection(choice):
        single = single_figures(selection)
        row = single.row
        st.header(plain(row["exhibition"]), anchor=False)
        about = f"{row['code']}, {row['department']}, floor {', '.join(row['floors'])}. {row['description'] or ''}"
        st.caption(plain(about.replace("floor no floor", "no floor")))
        _show_period(selection, single.figures.days, is_compared=single.figures.before is not None)
        show_tiles(single_tiles(single))
        show_sections(row["exhibition"], single_sections(single), f"{row['exhibition']}. {_about(selection)}")
        _offer_report(EXHIBITION_PART, choice)


@st.fragment(run_every=FEED_SECONDS)
@explained
def show_feed() -> None:
    """Show the emergencies of the last hour and the last ones before it, and beside them the latest requests."""
    now = datetime.now(UTC)
    left, right = st.columns(2)
    with left:
        recent, older, as_of = _emergencies()
        st.header("Emergencies", anchor=False)
        st.caption(
            f"{len(recent) or 'None'} within the last hour. Of every exhibition, whatever is chosen below.{as_of}"
        )
        if recent or older:
            st.html(render_feed(recent, older, now, timezone(), "emergencies, the newest first"))
        else:
            st.info("There has been no emergency yet.", icon=":material/check_circle:")
    with right:
        requests = latest_requests(FEED_READ)
        st.header("Latest requests for help", anchor=False)
        st.caption("Of every kind and exhibition, whatever is chosen below.")
        if requests:
            split = sum(now - request["at"] <= NOW_LASTS for request in requests)
            label = "latest requests for help, the newest first"
            st.html(render_feed(requests[: min(split, FEED_LENGTH)], requests[split:], now, timezone(), label))
        else:
            st.info("There has been no request for help yet.", icon=":material/check_circle:")


def _emergencies() -> tuple[list[Incident], list[Incident], str]:
    """Return the emergencies of the last hour and older ones; where they cannot be read, the last read, and a word."""
    try:
        return recent_emergencies(), older_emergencies(), ""
    except EtlError:
        seen: Seen | None = st.session_state.get(SEEN)
        if seen is None:
            raise
        return seen.recent, seen.older, " As the database last said."


@st.fragment(run_every=settings().museum_dashboard_refresh_seconds)
@explained
def show_safety(choice: Choice) -> None:
    """Show where and when help is needed."""
    if selection := _selection(choice):
        figures = safety_figures(selection)
        _show_period(selection, figures.days, is_compared=figures.totals_before is not None)
        show_tiles(safety_tiles(figures))
        with st.columns(1)[0].container(border=True):
            weekday = choose_weekday()
            show_section(SAFETY_PART, patrol_section(figures, weekday), _about(selection))
        write_address()
        show_sections(SAFETY_PART, safety_sections(figures, exhibition_link()), _about(selection))
        _offer_report(SAFETY_PART, choice)


@st.fragment(run_every=DATA_SECONDS)
@explained
def show_data() -> None:
    """Show how the data got here."""
    show_left_out()
    figures = data_figures()
    show_tiles(data_tiles(figures, datetime.now(UTC), timezone()))
    show_sections(DATA_PART, data_sections(figures, timezone()))


@st.fragment(run_every=FOOTER_SECONDS)
def show_footer() -> None:
    """Say until when there is data, and of which database; that it cannot be read, the page above says."""
    command = open_command()[0]
    database = command.database.db_name if command.database else ""
    says = f"Database {database}, times of {timezone()}."
    with suppress(EtlError), logged_once("show_footer"):
        says = f"{footer(pulse_now(), latest_runs(), timezone())} {says}"
    st.caption(plain(says))


def _selection(choice: Choice) -> Selection | None:
    """Return what is chosen by now; None, and a word to the viewer, while there is nothing."""
    selection = choice.selection(catalogue_now())
    if isinstance(selection, Selection):
        return selection
    st.info(selection, icon=":material/info:")
    return None


def _show_period(selection: Selection, days: int, *, is_compared: bool) -> None:
    """Say which days the figures are of, on how many of them anything was recorded, and what they are compared with."""
    period = selection.period
    st.markdown(f"**{'From ' if period.days > 1 else 'On '}{period}**")
    if note := period_note(period, days, is_compared=is_compared):
        if days:
            st.caption(note)
        else:
            st.warning(note, icon=":material/event_busy:")


def _about(selection: Selection) -> str:
    """Return what a picture says of itself when it is alone."""
    return f"{settings().museum_name}, {selection.period}"


def _offer_report(part: str, choice: Choice) -> None:
    """Offer the whole page as the report's one file, made when it is asked for."""
    command, reader = open_command()

    def make() -> bytes:
        chosen = ", ".join([*choice.departments, *choice.exhibitions])
        return report_of(command, reader, choice.selection, (part,), chosen).page.encode()

    st.download_button(
        "This page as a report",
        make,
        file_name(part, "report", "html"),
        "text/html",
        on_click="ignore",
        icon=":material/description:",
        key=f"report of {part}",
    )
