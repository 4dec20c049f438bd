"""The exported report: one HTML file with pictures and tables, for mail or an S3 website; it opens without a network.

In come the figures of a period, out goes the file, replaced as a whole when it is complete; a second export of the same
state writes the same page but for the time in its head.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import altair as alt
import jinja2
import pandas as pd
from markupsafe import Markup, escape

from dashboard.charts import AnyChart, fitted
from dashboard.drawing import Renderer
from dashboard.figures import Catalogue, read_data_figures, read_exhibition_figures, read_safety_figures
from dashboard.sections import (
    UNDRAWN,
    Section,
    Tile,
    data_sections,
    data_tiles,
    exhibition_sections,
    exhibition_tiles,
    safety_sections,
    safety_tiles,
)
from dashboard.selection import Selection
from etlkit.errors import ConfigError
from etlkit.postgres import Cursor

LOGGER = logging.getLogger("museum.dashboard")
TEMPLATE = Path(__file__).with_name("report.html")
CHART_WIDTH = 560
WIDE_CHART_WIDTH = 1180
MOST_ROWS = 400
"""A table's longest length, so that years of hours still make a page that can be mailed."""


@dataclass(frozen=True)
class Page:
    """A page of the report."""

    title: str
    tiles: list[Tile]
    sections: list[dict[str, Any]]


@dataclass(frozen=True)
class Column:
    """A column's head."""

    title: str
    is_number: bool


@dataclass(frozen=True)
class Heading:
    """What the report says about itself."""

    museum: str
    database: str
    choice: str
    timezone: str
    made: datetime


@dataclass(frozen=True)
class Report:
    """The page, how many charts there are to it, and which of them could not be drawn."""

    page: str
    charts: int
    undrawn: list[str]


def render_report(cursor: Cursor, catalogue: Catalogue, selection: Selection | None, heading: Heading) -> Report:
    """Return the report as HTML; without a selection there are no presses yet, and only the data page has figures."""
    timezone = heading.timezone
    contents = []
    if selection is not None:
        exhibitions = read_exhibition_figures(cursor, catalogue, selection)
        safety = read_safety_figures(cursor, catalogue, selection)
        contents += [
            ("Exhibitions", exhibition_tiles(exhibitions), exhibition_sections(exhibitions)),
            ("Safety", safety_tiles(safety), safety_sections(safety)),
        ]
    data = read_data_figures(cursor)
    contents.append(("Data", data_tiles(data, heading.made, timezone), data_sections(data, timezone)))
    with Renderer() as renderer:
        pages = [
            Page(title, tiles, [_laid_out(title, section, renderer) for section in sections])
            for title, tiles, sections in contents
        ]
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["zip"] = zip
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        heading=heading,
        period=str(selection.period) if selection else "",
        made=f"{heading.made.astimezone(ZoneInfo(timezone)):%-d %B %Y %H:%M}",
        pages=pages,
        left_out_says=catalogue.left_out_says,
        undrawn_says=UNDRAWN,
    )
    charts = [(page.title, section) for page in pages for section in page.sections if section["has_chart"]]
    undrawn = [f"{title}, {section['title']}" for title, section in charts if not section["picture"]]
    return Report(page, len(charts), undrawn)


def write_report(path: Path, page: str) -> int:
    """Put the page in place as a whole; return its size in bytes. ConfigError when it cannot be written there."""
    content = page.encode()
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is there and is no file. Correct --export. Nothing was written.")
    try:
        descriptor, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(unfinished).chmod(0o666 & ~_umask())
            os.replace(unfinished, path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(unfinished).unlink()
            raise
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}. Correct --export. Nothing was written."
        ) from error
    return len(content)


def _umask() -> int:
    """Return which rights new files do not get here."""
    current = os.umask(0)
    os.umask(current)
    return current


def _laid_out(page: str, section: Section, renderer: Renderer) -> dict[str, Any]:
    """Return a section as the template takes it."""
    table = section.table
    return {
        "title": section.title,
        "note": section.note,
        "is_wide": section.is_wide,
        "has_chart": section.chart is not None,
        "picture": _picture(page, section, section.chart, renderer) if section.chart is not None else "",
        "columns": [Column(str(name).replace("_", " "), pd.api.types.is_numeric_dtype(table[name])) for name in table],
        "rows": [[_cell(value) for value in row] for row in table.head(MOST_ROWS).itertuples(index=False)],
        "left_out": max(len(table) - MOST_ROWS, 0),
    }


def _picture(page: str, section: Section, make: Callable[[], AnyChart], renderer: Renderer) -> Markup:
    """Return a chart as SVG that a screen reader can name; nothing, and a warning, where there can be none."""
    try:
        sized = fitted(make()).properties(width=WIDE_CHART_WIDTH if section.is_wide else CHART_WIDTH)
        with alt.data_transformers.enable("default", max_rows=None):
            svg = renderer.draw(sized.configure(aria=False).configure_view(stroke=None).to_dict())
    except Exception as error:  # noqa: BLE001 - whatever a library makes of odd data, the other charts are drawn
        why = " ".join(str(error).split())
        LOGGER.warning("the chart %s of the page %s could not be drawn: %s", section.title, page, why)
        return Markup("")
    label = escape(f"{section.title}, {section.note}".strip(", "))
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))  # noqa: S704 - made by the chart library, which escapes


def _cell(value: Any) -> str:
    """Return a table's cell as people read it."""
    if value is None or (not isinstance(value, (list, str)) and pd.isna(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return str(value)
