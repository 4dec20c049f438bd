"""The exported report: one HTML file with pictures and tables, for mail or an S3 website; it opens without a network.

In come the figures of a period, out goes the file, replaced as a whole when it is complete; a second export of the same
state writes the same page but for the time in its head.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterable
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
from dashboard.figures import Catalogue, read_data_figures, read_exhibition_figures, read_safety_figures
from dashboard.sections import (
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


def render_report(cursor: Cursor, catalogue: Catalogue, selection: Selection | None, heading: Heading) -> str:
    """Return the report as HTML; without a selection there are no presses yet, and only the data page has figures."""
    timezone = heading.timezone
    pages = []
    if selection is not None:
        exhibitions = read_exhibition_figures(cursor, catalogue, selection)
        safety = read_safety_figures(cursor, catalogue, selection)
        pages += [
            Page("Exhibitions", exhibition_tiles(exhibitions), _drawn(exhibition_sections(exhibitions))),
            Page("Safety", safety_tiles(safety), _drawn(safety_sections(safety))),
        ]
    data = read_data_figures(cursor)
    pages.append(Page("Data", data_tiles(data, heading.made, timezone), _drawn(data_sections(data, timezone))))
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["zip"] = zip
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        heading=heading,
        period=str(selection.period) if selection else "",
        made=f"{heading.made.astimezone(ZoneInfo(timezone)):%-d %B %Y %H:%M}",
        pages=pages,
    )


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


def _drawn(sections: Iterable[Section]) -> list[dict[str, Any]]:
    """Return sections as the template takes them."""
    drawn = []
    for section in sections:
        table = section.table
        columns = [Column(str(name).replace("_", " "), pd.api.types.is_numeric_dtype(table[name])) for name in table]
        rows = [[_cell(value) for value in row] for row in table.head(MOST_ROWS).itertuples(index=False)]
        drawn.append(
            {
                "title": section.title,
                "note": section.note,
                "is_wide": section.is_wide,
                "picture": _picture(section) if section.chart is not None else "",
                "columns": columns,
                "rows": rows,
                "left_out": max(len(table) - MOST_ROWS, 0),
            }
        )
    return drawn


def _picture(section: Section) -> Markup:
    """Return a chart as SVG that a screen reader can name."""
    chart: AnyChart = section.chart  # type: ignore[assignment]  # asked for only where there is one
    sized = fitted(chart).properties(width=WIDE_CHART_WIDTH if section.is_wide else CHART_WIDTH)
    buffer = io.StringIO()
    with alt.data_transformers.enable("default", max_rows=None):
        sized.configure(aria=False).configure_view(stroke=None).save(buffer, format="svg")
    label = escape(f"{section.title}, {section.note}".strip(", "))
    svg = buffer.getvalue()
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
