"""What the fast path knows: texts and times that need no judging, found by trying them on the rules.

DuckDB looks these up (create_day.sql, create_known_press.sql in sql/kiosk_file/); a row that is not found there is
judged by `museum.kiosk` itself, so a lookup may know too little but never anything else than the rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import groupby, pairwise, product
from operator import itemgetter
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
def spans_of_known_offset(timezone: ZoneInfo, earliest: date, latest: date) -> tuple[OffsetSpan, ...]:
    """Return the days of a span whose offsets are known in whole minutes; other days are left to the rules."""
    first_day, last_day = max(earliest, FIRST_DAY), min(latest, LAST_DAY)
    days = [first_day + timedelta(days=number) for number in range((last_day - first_day).days + 2)]
    offsets = [_offset(day, 0, timezone) for day in days]
    spans: list[OffsetSpan | None] = []
    # The day after the last only ends it: it begins no pair.
    for (offset, following), group in groupby(zip(pairwise(offsets), days, strict=False), key=itemgetter(0)):
        run = [day for _, day in group]
        if offset != following:
            spans.extend(_change(day, offset, following, timezone) for day in run)
        elif offset.seconds % 60 == 0:
            spans.append(OffsetSpan(run[0], run[-1], offset // timedelta(minutes=1)))
    return tuple(span for span in spans if span)


def _change(day: date, offset: timedelta, later: timedelta, timezone: ZoneInfo) -> OffsetSpan | None:
    """Return a day on which the clocks change once, None for a day on which they do anything stranger."""
    before = [hour for hour in range(HOURS_A_DAY) if _is_sure(day, hour, offset, timezone)]
    after = [hour for hour in range(HOURS_A_DAY) if _is_sure(day, hour, later, timezone)]
    begin, end = len(before), HOURS_A_DAY - len(after)
    is_one_change = before == list(range(begin)) and after == list(range(end, HOURS_A_DAY))
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
    return datetime.combine(day, time(hour, minute, fold=fold), timezone).utcoffset() or timedelta()


def good_presses(rules: Rules, reference: Reference) -> Iterator[tuple[str, str, Event]]:
    """Yield (text of val, text of type, event) of every combination that the rules call good."""
    if not reference.sites:
        return
    site = str(min(reference.sites))
    codes = sorted({-1, *reference.ratings, *reference.incident_types})
    texts = ["", *(form for code in codes for form in (str(code), f"{code}.0"))]
    timeless = replace(reference, latest_at=datetime.max.replace(tzinfo=UTC))
    always_open = Rules(rules.timezone)
    for val_text, type_text in product(texts, texts):
        verdict = judge_text(SOME_TIME, site, val_text, type_text, always_open, timeless)
        if verdict.is_good and verdict.event:
            yield val_text, type_text, verdict.event
