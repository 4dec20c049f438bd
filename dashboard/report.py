"""The exported report: one HTML file with pictures and tables, for mail or an S3 website; it opens without a network.

In come the figures of a period, out goes the file, replaced as a whole when it is complete; a second export of the same
state writes the same page but for the time in its head.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from dashboard.catalogue import Catalogue, read_catalogue
from dashboard.charts import AnyChart
from dashboard.data_sections import data_sections, data_tiles, footer
from dashboard.database import Reader
from dashboard.drawing import Renderer
from dashboard.exhibition_sections import exhibition_sections, exhibition_tiles, single_sections, single_tiles
from dashboard.figures import read_exhibition_figures, read_single_figures
from dashboard.safety_figures import EMERGENCY, read_latest_incidents, read_safety_figures
from dashboard.safety_sections import emergency_section, patrol_section, safety_sections, safety_tiles
from dashboard.sections import UNDRAWN, Section, Tile, moment, period_note
from dashboard.selection import Selection
from dashboard.settings import dashboard_settings
from dashboard.state import DataFigures, read_data_figures
from dashboard.taking_along import draw
from etlkit.errors import ConfigError
from etlkit.postgres import Cursor
from museum.command import Command

LOGGER = logging.getLogger("museum.dashboard")
TEMPLATE = Path(__file__).with_name("report.html")
PAPER_WIDTH, PHONE_WIDTH = 600, 340
"""Of a chart, in pixels: on A4 and on a screen, and on a phone; a page holds both and shows the one that fits."""

MOST_ROWS = 400
"""A table's longest length, so that years of hours still make a page that can be mailed."""

EMERGENCIES_LISTED = 200
EXHIBITIONS_PART, EXHIBITION_PART, SAFETY_PART, DATA_PART = "Exhibitions", "Exhibition", "Safety", "Data"
Choose = Callable[[Catalogue], Selection | str]
"""What is chosen of what there is, or why nothing of it can be shown."""


@dataclass(frozen=True)
class Page:
    """A page of the report."""

    title: str
    note: str
    tiles: list[Tile]
    sections: list[dict[str, Any]]


@dataclass(frozen=True)
class Column:
    """A column's head."""

    title: str
    is_number: bool


@dataclass(frozen=True)
class Report:
    """The page, its period, what is left out, how many charts there are to it, and which of them could not be drawn."""

    page: str
    period: str
    left_out_says: str
    charts: int
    undrawn: list[str]


def report_of(command: Command, reader: Reader, choose: Choose, parts: tuple[str, ...], choice: str = "") -> Report:
    """Return the report of some parts in one look; without presses it says so, and the data part alone has figures."""
    timezone = command.museum.museum_timezone
    made = command.now if command.flags.now else datetime.now(UTC)
    with reader.look() as cursor:
        catalogue = read_catalogue(cursor, timezone)
        selection = choose(catalogue)
        data = read_data_figures(cursor, made)
        contents = []
        if isinstance(selection, Selection):
            contents = [_part(part, cursor, catalogue, selection) for part in parts if part != DATA_PART]
        if DATA_PART in parts:
            contents.append((DATA_PART, "", data_tiles(data, made, timezone), data_sections(data, timezone)))
    numbers = itertools.count(1)
    with Renderer() as renderer:
        pages = [
            Page(title, note, tiles, [_laid_out(title, section, renderer, numbers) for section in sections])
            for title, note, tiles, sections in contents
        ]
    period = str(selection.period) if isinstance(selection, Selection) else ""
    charts = [(page.title, section) for page in pages for section in page.sections if section["has_chart"]]
    return Report(
        page=_rendered(
            command, data, made, pages=pages, period=period, choice=choice, left_out=catalogue.left_out_says
        ),
        period=period,
        left_out_says=catalogue.left_out_says,
        charts=len(charts),
        undrawn=[f"{title}, {section['title']}" for title, section in charts if not section["pictures"]],
    )


def _part(
    part: str, cursor: Cursor, catalogue: Catalogue, selection: Selection
) -> tuple[str, str, list[Tile], list[Section]]:
    """Return the title of a part of the report, what it says of its days, its tiles and its sections."""
    period = selection.period
    if part == EXHIBITIONS_PART:
        exhibitions = read_exhibition_figures(cursor, catalogue, selection)
        note = period_note(period, exhibitions.days, is_compared=exhibitions.before is not None)
        return part, note, exhibition_tiles(exhibitions), exhibition_sections(exhibitions)
    if part == EXHIBITION_PART:
        single = read_single_figures(cursor, catalogue, selection)
        note = period_note(period, single.figures.days, is_compared=single.figures.before is not None)
        return str(single.row["exhibition"]), note, single_tiles(single), single_sections(single)
    safety = read_safety_figures(cursor, catalogue, selection)
    emergencies = read_latest_incidents(
        cursor,
        selection.timezone,
        EMERGENCIES_LISTED,
        selection.bounds,
        exhibitions=selection.exhibitions,
        incident_type_id=EMERGENCY,
    )
    listed = emergency_section(emergencies, EMERGENCIES_LISTED)
    note = period_note(period, safety.days, is_compared=safety.totals_before is not None)
    return part, note, safety_tiles(safety), [listed, patrol_section(safety), *safety_sections(safety)]


def _rendered(command: Command, data: DataFigures, made: datetime, **contents: Any) -> str:
    """Return the report as HTML."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["zip"] = zip
    timezone = command.museum.museum_timezone
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        museum=dashboard_settings(command).museum_name,
        database=command.database.db_name if command.database else "",
        timezone=timezone,
        made=moment(made, timezone),
        footer=footer(data.pulse, data.runs, timezone),
        undrawn_says=UNDRAWN,
        **contents,
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


def _laid_out(page: str, section: Section, renderer: Renderer, numbers: Iterator[int]) -> dict[str, Any]:
    """Return a section as the template takes it."""
    table = section.table
    return {
        "title": section.title,
        "note": section.note,
        "has_chart": section.chart is not None,
        "pictures": _pictures(page, section, section.chart, renderer, numbers) if section.chart is not None else [],
        "columns": [Column(str(name).replace("_", " "), pd.api.types.is_numeric_dtype(table[name])) for name in table],
        "rows": [[_cell(value) for value in row] for row in table.head(MOST_ROWS).itertuples(index=False)],
        "left_out": max(len(table) - MOST_ROWS, 0),
    }


def _pictures(
    page: str, section: Section, make: Callable[[], AnyChart], renderer: Renderer, numbers: Iterator[int]
) -> list[Markup]:
    """Return a chart for paper and for a phone, as SVG that a screen reader can name; none where it cannot be drawn."""
    label = escape(f"{section.title}, {section.note}".strip(", "))
    pictures = []
    for kind, width in (("paper", PAPER_WIDTH), ("phone", PHONE_WIDTH)):
        try:
            svg = draw(renderer, make, width)
        except Exception as error:  # noqa: BLE001 - whatever a library makes of odd data, the other charts are drawn
            why = " ".join(str(error).split())
            LOGGER.warning("the chart %s of the page %s could not be drawn: %s", section.title, page, why)
            return []
        svg = re.sub(r' (role|aria-[a-z]+)="[^"]*"', "", svg)  # one label says it all
        # each picture names its own clips, and the page holds many
        svg = re.sub(r'(\bid="|url\(#)', rf"\g<1>chart{next(numbers)}-", svg)
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{label}" class="{kind}" ', 1).replace(
            ' class="marks"', "", 1
        )
        pictures.append(Markup(svg))  # noqa: S704 - made by the chart library, which escapes
    return pictures


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
