"""The page as Streamlit runs it, anew at every click; python -m dashboard starts it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.choosing import choose, take_address, write_address
from dashboard.pages import (
    show_data,
    show_exhibition,
    show_exhibitions,
    show_feed,
    show_footer,
    show_left_out,
    show_safety,
)
from dashboard.show import explained
from dashboard.strip import page_title, show_strip

ICON = Path(__file__).with_name("icon.png")
STYLE = Path(__file__).with_name("style.css")
WATCH = '<script src="watch.js"></script>'
EXHIBITIONS, EXHIBITION, SAFETY, DATA = "Exhibitions", "One exhibition", "Safety", "Data"


def main() -> None:
    """Show the strip, and below it the page that was asked for; who may see it, the gate has decided."""
    st.set_page_config(page_title=page_title(), page_icon=str(ICON), layout="wide")
    st.html(STYLE)
    st.html(WATCH, unsafe_allow_javascript=True)
    page = st.navigation(
        [
            st.Page(nothing, title=EXHIBITIONS, icon=":material/star:", default=True),
            st.Page(nothing, title=EXHIBITION, icon=":material/museum:", url_path="exhibition"),
            st.Page(nothing, title=SAFETY, icon=":material/health_and_safety:", url_path="safety"),
            st.Page(nothing, title=DATA, icon=":material/database:", url_path="data"),
        ],
        position="top",
    )
    page.run()
    take_address()
    show_strip()
    st.title(page.title, anchor=False)
    show_body(page.title)


@explained
def show_body(title: str) -> None:
    """Show a page's own part. Filters are of no page, so that they stay as they are from page to page."""
    if title == SAFETY:
        show_feed()
    if title == DATA:
        write_address()
        show_data()
    else:
        choice = choose(is_single=title == EXHIBITION)
        write_address()
        show_left_out()
        {EXHIBITIONS: show_exhibitions, EXHIBITION: show_exhibition, SAFETY: show_safety}[title](choice)
    show_footer()


def nothing() -> None:
    """Be a page for the navigation: show_body shows all of them."""


main()
