"""The live feed of requests for help, newest first: those of the last hour, older ones under their day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2

from dashboard.safety_figures import EMERGENCY, Incident
from dashboard.sections import age
from dashboard.state import NOW_LASTS

TEMPLATE = jinja2.Environment(autoescape=True).from_string(
    Path(__file__).with_name("feed.html").read_text(encoding="utf-8")
)


def render_feed(incidents: Iterable[Incident], now: datetime, timezone: str, label: str, *, fades: bool = True) -> str:
    """Return the feed as HTML, older ones faded if so asked; what the data says is escaped."""
    today = now.astimezone(ZoneInfo(timezone)).date()
    rows = [
        {
            **incident,
            "age": age(incident["at"], now),
            "local_time": f"{incident['local_at']:%H:%M:%S}",
            "is_emergency": incident["incident_type_id"] == EMERGENCY,
        }
        for incident in incidents
    ]
    recent = [row for row in rows if now - row["at"] <= NOW_LASTS]
    older = [row for row in rows if now - row["at"] > NOW_LASTS]
    days: list[tuple[str, list[dict[str, Any]]]] = [
        (_day(day, today), list(members)) for day, members in groupby(older, lambda row: row["local_at"].date())
    ]
    return TEMPLATE.render(now=recent, days=days, label=label, fades=fades)


def _day(day: Any, today: Any) -> str:
    """Return a day as people call it."""
    if day == today:
        return "Earlier today"
    return f"{'Yesterday, ' if day == today - timedelta(days=1) else ''}{day:%a %-d %b %Y}"
