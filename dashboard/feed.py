"""The live feed of requests for help, newest first: those of the last hour, older ones under their day."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2

from dashboard.safety_figures import EMERGENCY, Incident
from dashboard.sections import age

OLDER_SHOWN = 5
"""So many older requests, or bursts of them, remind of what was."""

TEMPLATE = jinja2.Environment(autoescape=True).from_string(
    Path(__file__).with_name("feed.html").read_text(encoding="utf-8")
)


def render_feed(recent: list[Incident], older: list[Incident], now: datetime, timezone: str, label: str) -> str:
    """Return the feed as HTML: all the recent ones, a few of the older ones; what the data says is escaped."""
    today = now.astimezone(ZoneInfo(timezone)).date()
    repeats = [list(members) for _key, members in groupby(older, _repeat)]
    faded = [_row(members[0], now, len(members)) for members in repeats[:OLDER_SHOWN]]
    days = [(_day(day, today), list(members)) for day, members in groupby(faded, lambda row: row["local_at"].date())]
    return TEMPLATE.render(now=[_row(incident, now) for incident in recent], days=days, label=label)


def _row(incident: Incident, now: datetime, times: int = 1) -> dict[str, Any]:
    """Return a row of the feed; `times` presses of one button are one row."""
    return {
        **incident,
        "age": age(incident["at"], now),
        "local_time": f"{incident['local_at']:%H:%M:%S}",
        "is_emergency": incident["incident_type_id"] == EMERGENCY,
        "times": times,
    }


def _repeat(incident: Incident) -> tuple[Any, ...]:
    """Return what presses of one button within a minute have in common."""
    return incident["exhibition"], incident["incident_type_id"], f"{incident['local_at']:%Y-%m-%d %H:%M}"


def _day(day: Any, today: Any) -> str:
    """Return a day as people call it."""
    if day == today:
        return "Earlier today"
    return f"{'Yesterday, ' if day == today - timedelta(days=1) else ''}{day:%a %-d %b %Y}"
