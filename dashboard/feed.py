"""The live feed of requests for help, newest first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from dashboard.figures import EMERGENCY
from dashboard.sections import age

TEMPLATE = Path(__file__).with_name("feed.html")


def render_feed(incidents: Iterable[Mapping[str, Any]], now: datetime) -> str:
    """Return the feed as HTML; what the data says is escaped."""
    rows = [
        {
            **incident,
            "age": age(incident["at"], now),
            "local_at": f"{incident['local_at']:%a %-d %b %Y %H:%M:%S}",
            "is_emergency": incident["incident_type_id"] == EMERGENCY,
        }
        for incident in incidents
    ]
    return jinja2.Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8")).render(incidents=rows)
