"""The filters of the pages: what is chosen stands in the address, and goes along from page to page.

Streamlit itself forgets the address's query whenever its viewer goes to another page. So the session keeps what is
chosen, is given it by the address it was opened with, and writes it into the address of each page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from dashboard.catalogue import Catalogue
from dashboard.charts import WEEKDAYS, Link
from dashboard.safety_sections import EVERY_DAY
from dashboard.selection import EARLIEST, LATEST, NAMED_PERIODS, Period, Selection, named_period
from dashboard.viewing import catalogue_now, timezone, today

OWN_DAYS = "Own days"
PERIODS = (*NAMED_PERIODS, OWN_DAYS)
DEFAULT_PERIOD = "30 days"
ONE_OF = {"period": DEFAULT_PERIOD, "weekday": EVERY_DAY, "of": None}
"""What has one value, and which one is not written into the address."""

DAYS = ("since", "until")
SEVERAL_OF = ("department", "exhibition")
TAKEN = "the address was read"


@dataclass(frozen=True)
class Choice:
    """What the filters say; which days and exhibitions that is changes as presses and exhibitions come.

    `single` is the exhibition of the page of one.
    """

    period: str
    since: date | None = None
    until: date | None = None
    departments: tuple[str, ...] = ()
    exhibitions: tuple[str, ...] = ()
    single: str | None = None

    def ids(self, catalogue: Catalogue) -> tuple[int, ...]:
        """Return the chosen exhibitions that there are now."""
        if self.single:
            return catalogue.chosen_ids((), (self.single,))
        return catalogue.chosen_ids(self.departments, self.exhibitions)

    def selection(self, catalogue: Catalogue) -> Selection | str:
        """Return what is chosen by now, or why there is nothing to show."""
        if catalogue.span is None:
            return "There are no presses yet: run the pipeline or the consumer."
        period = self._days(catalogue.span)
        ids = self.ids(catalogue)
        if period is None:
            return "The first day is after the last one; choose again."
        if not ids:
            return "No exhibition is in both choices; choose again."
        return Selection(period, ids, timezone())

    def _days(self, span: Period) -> Period | None:
        """Return the chosen days, None where their order is wrong."""
        if self.period != OWN_DAYS:
            return named_period(self.period, span, today())
        first = self.since or min(span.first_day, self.until or span.first_day)
        last = self.until or max(span.last_day, first)
        return Period(first, last) if first <= last else None


def take_address() -> None:
    """Begin the session with what its address says; what is no value of a filter is left out."""
    if TAKEN in st.session_state:
        return
    st.session_state[TAKEN] = True
    for name in ONE_OF:
        if name in st.query_params:
            st.session_state[name] = st.query_params[name]
    for name in SEVERAL_OF:
        st.session_state[name] = st.query_params.get_all(name)
    for name in DAYS:
        st.session_state[name] = _day(st.query_params.get(name, ""))


def write_address() -> None:
    """Let the address say what is chosen, on whichever page."""
    wanted = _query()
    if wanted != {name: st.query_params.get_all(name) for name in st.query_params}:
        st.query_params.from_dict(wanted)


def exhibition_link() -> Link:
    """Return where the page of each exhibition is, with what is chosen."""
    kept = {name: values for name, values in _query().items() if name != "of"}
    return lambda name: f"exhibition?{urlencode({**kept, 'of': name}, doseq=True)}"


def choose_weekday() -> str:
    """Show the filter of the floors' chart alone and return the weekday, or that all of them count."""
    return _choose_one(st, "Weekday of this chart", (EVERY_DAY, *WEEKDAYS), "weekday")


def choose(*, is_single: bool) -> Choice:
    """Show the filters and return what they say: days, and departments and exhibitions or a single one."""
    catalogue = catalogue_now()
    place = st.container(horizontal=True, vertical_alignment="bottom")
    period = _choose_one(place, "Period", PERIODS, "period")
    since, until = _choose_days(place) if period == OWN_DAYS else (None, None)
    every = list(catalogue.exhibitions["exhibition"])
    if is_single:
        if st.session_state.get("of") not in every:
            st.session_state.pop("of", None)
        single = st.selectbox("Exhibition", every, key="of", persist_state="session")
        return Choice(period, since, until, single=single)
    left, right = st.columns(2)
    departments = _choose_several(left, "Departments", catalogue.departments, "department")
    frame = catalogue.exhibitions
    names = frame[frame["exhibition_id"].isin(catalogue.chosen_ids(departments))]["exhibition"]
    exhibitions = _choose_several(right, "Exhibitions", list(names), "exhibition")
    return Choice(period, since, until, tuple(departments), tuple(exhibitions))


def _choose_one(place: Any, label: str, options: Sequence[str], key: str) -> str:
    """Show a filter of one value and return it."""
    default = ONE_OF[key]
    if st.session_state.get(key) not in options:
        st.session_state[key] = default
    return str(
        place.segmented_control(label, options, required=True, key=key, persist_state="session", wrap=True) or default
    )


def _choose_several(place: Any, label: str, options: Sequence[str], key: str) -> list[str]:
    """Show a filter of several values and return them; none stands for all."""
    st.session_state[key] = [value for value in st.session_state.get(key, []) if value in options]
    return list(place.multiselect(label, options, key=key, placeholder=f"all {label.lower()}", persist_state="session"))


def _choose_days(place: Any) -> tuple[date | None, date | None]:
    """Show the calendars, and return the first and the last day; None stands for the first or last with presses."""
    since, until = (
        place.date_input(
            label,
            value=None,
            min_value=EARLIEST.date(),
            max_value=LATEST.date(),
            format="DD/MM/YYYY",
            key=key,
            width=180,
            persist_state="session",
        )
        for label, key in zip(("From", "Until"), DAYS, strict=True)
    )
    return since, until


def _query() -> dict[str, list[str]]:
    """Return what is chosen as an address says it."""
    chosen = {name: st.session_state.get(name) for name in (*ONE_OF, *DAYS, *SEVERAL_OF)}
    if chosen["period"] != OWN_DAYS:
        chosen |= dict.fromkeys(DAYS)
    return {
        name: [str(one) for one in (value if isinstance(value, list) else [value])]
        for name, value in chosen.items()
        if value and value != ONE_OF.get(name)
    }


def _day(text: str) -> date | None:
    """Read a day as ISO writes it, None for anything else and for one that no calendar here has."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if EARLIEST.date() <= day <= LATEST.date() else None
