"""How tiles and sections look on the page."""

from __future__ import annotations

import functools
import itertools
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

import pandas as pd
import streamlit as st
from altair.utils.schemapi import debug_mode

from dashboard.charts import AnyChart, fitted
from dashboard.sections import UNDRAWN, Section, Tile
from dashboard.taking_along import csv_of, file_name, picture_of
from etlkit.errors import EtlError

LOGGER = logging.getLogger("museum.dashboard")
P = ParamSpec("P")
COLUMNS = 2
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>])")


@contextmanager
def logged_once(part: str) -> Iterator[None]:
    """Let the log say why a part of the page cannot be shown, once a viewer until it can again; the error goes on."""
    failed = f"{part} failed"
    try:
        yield
    except EtlError as error:
        if failed not in st.session_state:
            LOGGER.warning("%s: %s", part, error)
        st.session_state[failed] = True
        raise
    st.session_state.pop(failed, None)


def explained(body: Callable[P, None]) -> Callable[P, None]:
    """Let a part of the page that cannot be shown say so, and offer to try again; the log says why."""

    @functools.wraps(body)
    def show(*arguments: P.args, **named: P.kwargs) -> None:
        try:
            with logged_once(body.__name__):
                body(*arguments, **named)
        except EtlError:
            st.error("The figures cannot be read just now. The dashboard's log says why.", icon=":material/error:")
            st.button("Try again", key=f"try {body.__name__} again")

    return show


def plain(text: str) -> str:
    """Return text that Markdown leaves as it is."""
    return _MARKDOWN.sub(r"\\\1", text.replace("&", "&amp;"))


def show_tiles(tiles: list[Tile]) -> None:
    """Show the main figures side by side, below each other on a phone, with how they have changed."""
    with st.container(horizontal=True):
        for tile in tiles:
            st.metric(
                plain(tile.label),
                plain(tile.value),
                tile.change or None,
                delta_color="off",
                delta_arrow="auto" if tile.change.startswith(("+", "-")) else "off",
                delta_description=plain(tile.note) or None,
                border=True,
                width="stretch",
                height="stretch",
            )


def show_sections(page: str, sections: list[Section], about: str = "") -> None:
    """Show a page's sections in two columns of equal cards, a wide one across both; on a phone below each other."""
    for is_wide, group in itertools.groupby(sections, key=lambda section: section.is_wide):
        members = list(group)
        columns = 1 if is_wide else COLUMNS
        for first in range(0, len(members), columns):
            for place, section in zip(st.columns(columns), members[first : first + columns], strict=False):
                with place.container(border=True, height="stretch"):
                    show_section(page, section, about)


def show_section(page: str, section: Section, about: str = "") -> None:
    """Show one section: its picture, and its figures to unfold; a picture that is taken along says what it is of."""
    st.header(plain(section.title), anchor=False)
    if section.note:
        st.caption(plain(section.note))
    if section.chart is not None:
        show_chart(section, section.chart)
        unfolded = st.expander("Figures and files", key=f"figures of {page} {section.title}", on_change="rerun")
        if unfolded.open:
            with unfolded:
                show_table(section.table)
                offer_files(page, section, about)
    elif len(section.table):
        show_table(section.table)
        offer_files(page, section, about)
    else:
        st.info("Nothing here.")


def show_chart(section: Section, make: Callable[[], AnyChart]) -> None:
    """Show a section's chart, or say that there is none; the log says why."""
    is_dark = st.context.theme.type == "dark"
    try:
        label = f"{section.title}, {section.note}".strip(", ")
        # the tests hold charts against Vega-Lite's schema; here that would take a third of the time
        with debug_mode(arg=False):
            st.altair_chart(fitted(make(), is_dark=is_dark), width="stretch", alt=label)
    except Exception as error:  # noqa: BLE001 - whatever a library makes of odd data, the rest of the page is shown
        LOGGER.warning("the chart %s could not be drawn: %s", section.title, " ".join(str(error).split()))
        st.warning(UNDRAWN)


def offer_files(page: str, section: Section, about: str) -> None:
    """Offer a section's figures to take along, and its picture, which is made when it is asked for."""
    with st.container(horizontal=True):
        _offer("CSV", page, section, csv_of(section), "csv", "text/csv")
        if section.chart is not None:
            _offer("Picture", page, section, lambda: picture_of(section, about), "png", "image/png")


def _offer(
    label: str, page: str, section: Section, content: bytes | Callable[[], bytes], ending: str, mime: str
) -> None:
    """Offer one file."""
    st.download_button(
        label,
        content,
        file_name(page, section.title, ending),
        mime,
        on_click="ignore",
        icon=":material/download:",
        help=f"{section.title}: {label}",
        key=f"{ending} of {page} {section.title}",
    )


def show_table(table: pd.DataFrame) -> None:
    """Show a table with its numbers as the viewer's country writes them."""
    named = table.rename(columns=lambda name: str(name).replace("_", " "))
    numbers = named.select_dtypes("number").columns
    st.dataframe(
        named,
        hide_index=True,
        column_config={name: st.column_config.NumberColumn(format="localized") for name in numbers},
    )
