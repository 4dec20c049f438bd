"""What the database knows: sites, ratings and incident types."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from etlkit.postgres import Cursor, run_file
from museum.kiosk import Reference

SQL = Path(__file__).resolve().parent.parent / "sql" / "load"


def read_reference(cursor: Cursor, latest_at: datetime) -> Reference:
    """Return the reference of the database; `latest_at` is the caller's."""
    run_file(cursor, SQL / "read_reference.sql")
    sites, ratings, incident_types = cursor.fetchone() or ([], [], [])
    return Reference(frozenset(sites), frozenset(ratings), frozenset(incident_types), latest_at)
