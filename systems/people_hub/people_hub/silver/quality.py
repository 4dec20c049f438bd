"""What silver's records lack: scores, flags and conflicts by entity and source, for the shell and as a page.

In come the quality views of silver, out go rows to print, or one HTML file that needs nothing beside it. It only reads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from tabulate import tabulate

from etlkit.errors import LoadError
from etlkit.postgres import Cursor, fetch_dicts
from people_hub.silver.transform import SQL

WORST = 20
WORST_ON_PAGE = 500
FLAGS_ON_PAGE = 500
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Quality:
    """What the views say, the worst first everywhere."""

    entities: Rows
    sources: Rows
    flags: Rows
    worst: Rows

    @property
    def absent(self) -> list[str]:
        """Return the sources that no living record comes from, of entities that have records."""
        known = {row["entity"] for row in self.entities}
        return [
            f"{row['source']} of {row['entity']}s"
            for row in self.sources
            if row["entity"] in known and not row["records"]
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return it for --json."""
        return {
            "entities": self.entities,
            "sources": self.sources,
            "flags": self.flags,
            "worst": self.worst,
            "sources_without_a_record": self.absent,
        }

    def lines(self) -> list[str]:
        """Return it as tables for the shell."""
        if not self.entities:
            return ["silver is empty: python -m people_hub transform"]
        blocks = [
            ("📊 Quality by entity", _table(self.entities)),
            ("📊 Quality by source", _table(self.sources)),
            ("📊 Flags, those that cost most first", _table(self.flags) if self.flags else "none"),
            (
                f"📊 Worst records, {len(self.worst)} of {sum(row['flagged'] for row in self.entities):,} with a flag",
                _table([{**row, "quality_flags": ", ".join(row["quality_flags"])} for row in self.worst])
                if self.worst
                else "none",
            ),
        ]
        lines = [line for title, table in blocks for line in (title, table, "")]
        return lines + [f"⚠️ no living record comes from {name}" for name in self.absent]


def read_quality(cursor: Cursor, worst: int = WORST) -> Quality:
    """Return the quality of all of silver, with so many of the worst records."""
    folder = SQL / "silver"
    return Quality(
        fetch_dicts(cursor, folder / "list_quality_of_entities.sql"),
        fetch_dicts(cursor, folder / "list_quality_of_sources.sql"),
        fetch_dicts(cursor, folder / "list_quality_of_flags.sql"),
        fetch_dicts(cursor, folder / "list_worst_records.sql", {"limit": worst}),
    )


def export_page(quality: Quality, path: Path, now: datetime) -> int:
    """Write the quality as one HTML file, whole or not at all; return its size in bytes.

    Raises LoadError when it cannot be written.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("quality_page.html").render(
        quality=quality,
        now=now,
        shown_key=_shown_key(quality.worst),
        most_flags=FLAGS_ON_PAGE,
        costs={row["flag"]: row["cost"] for row in quality.flags},
    )
    path = path.resolve()  # a link stays one
    partial = path.with_name(f"{path.name}.{os.getpid()}.part") if path.name else path
    try:
        if path.exists() and not path.is_file():
            raise LoadError(f"{path} is no file that can be written. Nothing was changed.")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise LoadError(f"{path} cannot be written: {error.strerror or error}. Nothing was changed.") from error
    return len(text.encode())


def explained_lines(rows: Rows, costs: Mapping[str, Any]) -> list[str]:
    """Return what each source says of a record's fields, which one won, and every flag with what it cost."""
    names = list(dict.fromkeys(name for row in rows for name, _value in _pairs(row["said"])))
    shown = []
    for row in rows:
        said = dict(_pairs(row["said"]))
        winner = winner_of(row)
        cells = [
            f"{said[name]}{' <-' if name == winner else ''}" if said.get(name) is not None else "" for name in names
        ]
        shown.append([row["field"], "" if row["value"] is None else row["value"], *cells])
    lines = [
        tabulate(shown, ["field", "silver", *names], tablefmt="simple", disable_numparse=True, maxcolwidths=40),
        "",
    ]
    flags = rows[0]["quality_flags"]
    lines += [f"{flag:<40} {f'-{costs[flag]}' if costs[flag] else 'free'}" for flag in flags] or ["no flags"]
    total = " ".join(f"- {costs[flag]}" for flag in flags if costs[flag])
    return [*lines, f"score: {f'1.00 {total} = ' if total else ''}{rows[0]['data_quality_score']}"]


def winner_of(row: Mapping[str, Any]) -> str | None:
    """Return which source a field's value was taken from: the first that says it."""
    return next((name for name, value in _pairs(row["said"]) if value is not None and value == row["value"]), None)


def _shown_key(worst: Rows) -> str:
    """Return a key that may be pasted into a shell: of one that may not, what stands for it."""
    key = str(worst[0]["record_key"]) if worst else ""
    return key if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}", key) else "KEY"


def _pairs(said: list[str | None]) -> list[tuple[str, str | None]]:
    """Return (source, value) of an array in which they take turns."""
    return [(str(said[place]), said[place + 1]) for place in range(0, len(said), 2)]


def _table(rows: Rows) -> str:
    """Return rows as a table, their columns' names as headers."""
    shown = [
        {name.replace("_", " "): f"{value:,}" if isinstance(value, int) else value for name, value in row.items()}
        for row in rows
    ]
    widths = [80 if name == "quality_flags" else None for name in rows[0]]
    return tabulate(shown, headers="keys", tablefmt="simple", disable_numparse=True, maxcolwidths=widths)
