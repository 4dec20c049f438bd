"""What the fast path knows: texts and times that need no judging, found by trying them on the rules.

DuckDB looks these up (sql/transform/create_day.sql, create_known_press.sql); a row that is not found there is judged by
`museum.kiosk` itself, so a lookup may know too little but never anything else than the rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import product
from typing import NamedTuple
from zoneinfo import ZoneInfo

from museum.kiosk import Event, Reference, Rules, judge_text

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2100, 1, 1)
SOME_TIME = "2000-01-03 12:00:00"
HOURS_A_DAY = 24


class OffsetSpan(NamedTuple):
    """Days with one UTC offset, or one day on which the clocks change: unknown from one time of day until another."""

    first_day: date
    last_day: date
    offset_minutes: int
    changes_from: time | None = None
    changes_until: time | None = None
    later_offset_minutes: int | None = None


@cache
def spans_of_known_offset(timezone: ZoneInfo) -> tuple[OffsetSpan, ...]:
    """Return the days whose offsets are known in whole minutes; other days are left to the rules."""
    one_day = timedelta(days=1)
    spans = []
    first, day, offset = FIRST_DAY, FIRST_DAY, _offset(FIRST_DAY, 0, timezone)
    while day < LAST_DAY:
        following = _offset(day + one_day, 0, timezone)
        if following != offset:
            spans += [_span(first, day - one_day, offset), _change(day, offset, following, timezone)]
            first, offset = day + one_day, following
        day += one_day
    spans.append(_span(first, LAST_DAY - one_day, offset))
    return tuple(span for span in spans if span)


def _span(first: date, last: date, offset: timedelta) -> OffsetSpan | None:
    """Return the days of one offset, None when there are none or it is no whole number of minutes."""
    if last < first or offset.seconds % 60:
        return None
    return OffsetSpan(first, last, offset // timedelta(minutes=1))


def _change(day: date, offset: timedelta, later: timedelta, timezone: ZoneInfo) -> OffsetSpan | None:
    """Return a day on which the clocks change once, None for a day on which they do anything stranger."""
    is_of = {
        known: [hour for hour in range(HOURS_A_DAY) if _is_sure(day, hour, known, timezone)]
        for known in (offset, later)
    }
    begin, end = len(is_of[offset]), HOURS_A_DAY - len(is_of[later])
    is_one_change = is_of[offset] == list(range(begin)) and is_of[later] == list(range(end, HOURS_A_DAY))
    if not is_one_change or end == HOURS_A_DAY or offset.seconds % 60 or later.seconds % 60:
        return None
    minute = timedelta(minutes=1)
    return OffsetSpan(day, day, offset // minute, time(begin), time(end), later // minute)


def _is_sure(day: date, hour: int, offset: timedelta, timezone: ZoneInfo) -> bool:
    """Tell whether all times of an hour have this offset and occur once."""
    ends = [_offset(day, hour, timezone, minute=minute, fold=fold) for minute in (0, 59) for fold in (0, 1)]
    return all(found == offset for found in ends)


def _offset(day: date, hour: int, timezone: ZoneInfo, *, minute: int = 0, fold: int = 0) -> timedelta:
    """Return the museum's offset at a local time."""
    local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=timezone, fold=fold)
    return local.utcoffset() or timedelta()


def good_presses(rules: Rules, reference: Reference) -> Iterator[tuple[str, str, Event]]:
    """Yield (text of val, text of type, event) of every combination that the rules call good."""
    if not reference.sites:
        return
    site = str(min(reference.sites))
    codes = sorted({-1, *reference.ratings, *reference.incident_types})
    texts = ["", *(form for code in codes for form in (str(code), f"{code}.0"))]
    timeless = Reference(reference.sites, reference.ratings, reference.incident_types, datetime.max.replace(tzinfo=UTC))
    always_open = Rules(rules.timezone)
    for val_text, type_text in product(texts, texts):
        verdict = judge_text(SOME_TIME, site, val_text, type_text, always_open, timeless)
        if verdict.is_good and verdict.event:
            yield val_text, type_text, verdict.event
