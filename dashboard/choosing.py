"""The filters of the pages: what is chosen stands in the address, and goes along from page to page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import streamlit as st

from dashboard.catalogue import Catalogue
from dashboard.selection import ALL_DAYS, EARLIEST, LATEST, NAMED_PERIODS, Period, Selection, named_period
from dashboard.viewing import catalogue_now, timezone, today

OWN_DAYS = "Own days"
DEFAULT_PERIOD = "30 days"


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
        return catalogue.chosen_ids(self.departments, (self.single,) if self.single else self.exhibitions)

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


def choose(*, is_single: bool) -> Choice:
    """Show the filters and return what they say: days, and departments and exhibitions or a single one."""
    catalogue = catalogue_now()
    place = st.container(horizontal=True, vertical_alignment="bottom")
    period = place.segmented_control(
        "Period",
        [*NAMED_PERIODS, OWN_DAYS],
        default=DEFAULT_PERIOD,
        required=True,
        key="period",
        bind="query-params",
        wrap=True,
    )
    since, until = _choose_days(place) if period == OWN_DAYS else (None, None)
    if is_single:
        single = st.selectbox("Exhibition", list(catalogue.exhibitions["exhibition"]), key="of", bind="query-params")
        return Choice(period or ALL_DAYS, since, until, single=single)
    left, right = st.columns(2)
    departments = left.multiselect(
        "Departments", catalogue.departments, key="department", placeholder="all departments", bind="query-params"
    )
    frame = catalogue.exhibitions
    names = frame[frame["exhibition_id"].isin(catalogue.chosen_ids(departments))]["exhibition"]
    exhibitions = right.multiselect(
        "Exhibitions", list(names), key="exhibition", placeholder="all exhibitions", bind="query-params"
    )
    return Choice(period or ALL_DAYS, since, until, tuple(departments), tuple(exhibitions))


def _choose_days(place: st.delta_generator.DeltaGenerator) -> tuple[date | None, date | None]:
    """Show the calendars, and return the first and the last day; None stands for the first or last with presses."""
    days = [
        place.date_input(
            label,
            value=None,
            min_value=EARLIEST.date(),
            max_value=LATEST.date(),
            format="DD/MM/YYYY",
            key=key,
            width=180,
            bind="query-params",
        )
        for label, key in (("From", "since"), ("Until", "until"))
    ]
    since, until = (day if isinstance(day, date) else None for day in days)
    return since, until
