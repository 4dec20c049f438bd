"""A statement of sql/dashboard becomes a frame or rows, with its text as it is shown (`dashboard.names`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from dashboard.names import MOST_LETTERS, shown
from etlkit.postgres import Cursor, run_file

SQL = Path(__file__).resolve().parent.parent / "sql" / "dashboard"


def read_rows(
    cursor: Cursor, name: str, parameters: dict[str, Any] | None = None, *, most: int = MOST_LETTERS
) -> list[dict[str, Any]]:
    """Run a statement and return its rows by the names of their columns; texts have at most so many letters."""
    run_file(cursor, SQL / f"{name}.sql", parameters)
    columns = _columns(cursor)
    return [dict(zip(columns, (_readable(value, most) for value in row), strict=True)) for row in cursor.fetchall()]


def read_frame(
    cursor: Cursor, name: str, parameters: dict[str, Any] | None = None, *, most: int = MOST_LETTERS
) -> pd.DataFrame:
    """Run a statement and return its rows, with its columns even when there are none."""
    rows = read_rows(cursor, name, parameters, most=most)
    return pd.DataFrame([list(row.values()) for row in rows], columns=_columns(cursor))


def _readable(value: Any, most: int) -> Any:
    """Return a value of the database with its text as it is shown."""
    if isinstance(value, str):
        return shown(value, most)
    return [_readable(item, most) for item in value] if isinstance(value, list) else value


def _columns(cursor: Cursor) -> list[str]:
    """Return the names of the columns of the last statement."""
    return [column.name for column in cursor.description or ()]
