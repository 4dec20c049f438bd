"""The strip above every page: whether all is alive, anew every second; it calls emergencies out on every page."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import jinja2
import streamlit as st

from dashboard.data_sections import BAD, NONE, SLOW, WELL, Sign, consumer_sign, press_sign
from dashboard.safety_figures import Incident
from dashboard.sections import age, moment
from dashboard.show import plain
from dashboard.state import Pulse
from dashboard.viewing import older_emergencies, pulse_now, recent_emergencies, settings, timezone
from etlkit.errors import EtlError

LOGGER = logging.getLogger("museum.dashboard")
TEMPLATE = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(
    Path(__file__).with_name("strip.html").read_text(encoding="utf-8")
)
STRIP_SECONDS = 1.0
CALLED_OUT_FOR = timedelta(minutes=10)
MOST_CALLS = 3
"""So many emergencies at once are called out one by one; more of them in one call."""

MARKS = {WELL: "●", SLOW: "▲", BAD: "✖", NONE: "·"}
SEEN, FAILED_SINCE, KNOWN, ALARMS, COUNT = "seen", "failed_since", "known_emergencies", "alarms", "emergencies_now"


@dataclass(frozen=True)
class Seen:
    """What a look at the database saw."""

    at: datetime
    pulse: Pulse
    recent: list[Incident]
    older: list[Incident]


def page_title() -> str:
    """Return the title of the browser's tab, with the number of emergencies of the last hour."""
    count = st.session_state.get(COUNT, 0)
    return f"({count}) {settings().museum_name}" if count else settings().museum_name


@st.fragment(run_every=STRIP_SECONDS)
def show_strip() -> None:
    """Show whether presses come in, and call out new emergencies; without the database, since when that is unknown."""
    place = st.empty()
    now = datetime.now(UTC)
    if FAILED_SINCE in st.session_state:
        place.html(_rendered(now))  # a look at a database that is away may take long, and the beat must not stop
    try:
        seen = Seen(now, pulse_now(), recent_emergencies(), older_emergencies())
    except EtlError as error:
        if FAILED_SINCE not in st.session_state:
            LOGGER.warning("the strip: %s", error)
        st.session_state.setdefault(FAILED_SINCE, now)
    else:
        st.session_state.pop(FAILED_SINCE, None)
        st.session_state[SEEN] = seen
        _call_out(seen.recent, now)
    place.html(_rendered(now))


def _rendered(now: datetime) -> str:
    """Return the strip as HTML; what the data says is escaped."""
    seen: Seen | None = st.session_state.get(SEEN)
    failed_since: datetime | None = st.session_state.get(FAILED_SINCE)
    zone = timezone()
    signs = []
    if failed_since is not None:
        since = f"{failed_since.astimezone(ZoneInfo(zone)):%H:%M:%S}"
        signs.append(Sign("Database", f"cannot be read since {since}; what stands here is of then", BAD))
    if seen is not None:
        live = consumer_sign(seen.pulse, seen.at, zone)
        # nobody knows whether a consumer still runs while the database, where it says so, is away
        signs.append(live if failed_since is None else replace(live, kind=NONE))
        signs += [press_sign(seen.pulse, now, zone), _emergency_sign(seen, now)]
    if failed_since is None:
        signs.append(Sign("Database", "answers", WELL))
    return TEMPLATE.render(
        signs=signs,
        marks=MARKS,
        beat=f"{now.astimezone(ZoneInfo(zone)):%H:%M:%S}",
        alarms=st.session_state.get(ALARMS, 0),
    )


def _emergency_sign(seen: Seen, now: datetime) -> Sign:
    """Say when and where the last emergency was, and how many there were within the last hour."""
    name = "Last emergency"
    latest = next(iter([*seen.recent, *seen.older]), None)
    if latest is None:
        return Sign(name, "none yet")
    says = f"{age(latest['at'], now)}, {where(latest)}"
    at = moment(latest["at"], timezone())
    if not seen.recent:
        return Sign(name, says, NONE, at)
    return Sign(name, f"{says}; {len(seen.recent)} within the last hour", BAD, at)


def _call_out(emergencies: list[Incident], now: datetime) -> None:
    """Call out the emergencies of the last minutes that this viewer has not seen since the page was opened."""
    known = st.session_state.get(KNOWN)
    numbers = {emergency["incident_id"] for emergency in emergencies}
    new = [
        emergency
        for emergency in emergencies
        if known is not None and emergency["incident_id"] not in known and now - emergency["at"] < CALLED_OUT_FOR
    ]
    single = new if len(new) <= MOST_CALLS else new[: MOST_CALLS - 1]
    for emergency in single:
        _toast(f"**Emergency**: {plain(where(emergency))}")
    if rest := len(new) - len(single):
        _toast(f"**{rest} more emergencies**: see the page Safety")
    st.session_state[KNOWN] = (known or set()) | numbers
    st.session_state[ALARMS] = st.session_state.get(ALARMS, 0) + len(new)
    if st.session_state.get(COUNT, 0) != len(emergencies):
        st.session_state[COUNT] = len(emergencies)
        st.set_page_config(page_title=page_title())


def _toast(text: str) -> None:
    """Call something out."""
    st.toast(text, icon=":material/emergency:", duration="long")


def where(incident: Incident) -> str:
    """Say where help is needed."""
    return f"{incident['exhibition']}{', floor ' if incident['floors'] else ''}{incident['floors'] or ''}"
