"""A section as files: its figures as CSV, its chart as a picture."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import altair as alt
from altair.utils.schemapi import debug_mode

from dashboard.charts import AnyChart, fitted
from dashboard.drawing import PNG, SVG, Renderer
from dashboard.sections import Section

PICTURE_WIDTH = 900
MARGIN = 12


def csv_of(section: Section) -> bytes:
    """Return a section's figures as CSV that Excel opens as UTF-8; `dashboard.names` has made its text harmless."""
    return section.table.to_csv(index=False, lineterminator="\r\n").encode("utf-8-sig")


def picture_of(section: Section, about: str) -> bytes:
    """Return a section's chart as PNG on white, with its title and what it is of. DrawingError when there is none."""
    if section.chart is None:
        raise ValueError(f"{section.title} has no chart")
    with Renderer() as renderer:
        title = alt.TitleParams(section.title, subtitle=[about, section.note], anchor="start", offset=10)
        return base64.b64decode(
            draw(renderer, section.chart, PICTURE_WIDTH, PNG, title=title, background="white", padding=MARGIN)
        )


def draw(renderer: Renderer, make: Callable[[], AnyChart], width: int, form: str = SVG, **properties: Any) -> str:
    """Return a chart of a width in pixels in one of the renderer's forms."""
    # the tests hold charts against Vega-Lite's schema; here that would take a quarter of the time
    with debug_mode(arg=False), alt.data_transformers.enable("default", max_rows=None):
        specification = fitted(make()).properties(width=width, **properties).to_dict()
    specification["config"] |= {"aria": False, "view": {"stroke": None}}
    return renderer.draw(specification, form)


def file_name(page: str, title: str, ending: str) -> str:
    """Return a file's name that says what it holds, of plain letters."""
    words = re.findall(r"[a-z0-9]+", f"museum {page} {title}".lower())
    return f"{'-'.join(words)[:100]}.{ending}"
