"""The commonest form of a message, recognised by lookups that were filled by asking the rules.

Nine of ten messages are an object with `at`, `site`, `val` and perhaps `type`, in this order, as the kiosks write
them. Their press (all but `at`) and the minute of their `at` repeat, so each is judged once by `museum.live.message`
and remembered. A message that is not found here is judged there: this may know too little, but never anything else
than the rules.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from museum.kiosk import Reference, Rules
from museum.live.message import judge_message

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND_US = 1_000_000
SECONDS_A_MINUTE = 60
SOME_TIME = b'{"at": "2000-01-03T12:00:00+00:00", '
SOME_PRESS = b'"site": "%d", "val": %d}'
MOST_REMEMBERED = 10_000

_COMMON = re.compile(
    rb'\{"at": "(\d{4}-\d\d-\d\dT\d\d:\d\d:)(\d\d)(?:\.(\d{6}))?([+-]\d\d:\d\d)", '
    rb'("site": "[0-9A-Za-z]{1,9}", "val": -?\d{1,5}(?:, "type": -?\d{1,5})?\})'
)

Key = TypeVar("Key")
Value = TypeVar("Value")
GoodPress = tuple[int, int, int, int | None]
"""`at` in microseconds since 2000, site, val, type."""


class FastPresses:
    """Recognises good messages of the common form under one set of rules and one reference."""

    def __init__(self, rules: Rules, reference: Reference) -> None:
        """Remember nothing yet."""
        self._rules = rules
        self._reference = reference
        self._always_open = Rules(rules.timezone)
        self._timeless = Reference(
            reference.sites, reference.ratings, reference.incident_types, datetime.max.replace(tzinfo=UTC)
        )
        self._latest = (reference.latest_at - EPOCH) // MICROSECOND
        self._presses: dict[bytes, tuple[int, int, int | None] | None] = {}
        self._minutes: dict[tuple[bytes, bytes], int | None] = {}

    def follow(self, reference: Reference) -> FastPresses:
        """Return lookups for a later reference; what is remembered stays true while only time has moved on."""
        known = self._reference
        if (known.sites, known.ratings, known.incident_types) != (
            reference.sites, reference.ratings, reference.incident_types,
        ):  # fmt: skip
            return FastPresses(self._rules, reference)
        self._latest = (reference.latest_at - EPOCH) // MICROSECOND
        return self

    def read(self, raw: bytes | None) -> GoodPress | None:
        """Return a good press, or None for a message that the rules must see."""
        found = _COMMON.fullmatch(raw) if raw else None
        if found is None:
            return None
        minute, seconds, fraction, offset, rest = found.groups()
        press = self._presses[rest] if rest in self._presses else self._learn_press(rest)
        place = (minute, offset)
        began = self._minutes[place] if place in self._minutes else self._learn_minute(minute, offset)
        second = int(seconds)
        if press is None or began is None or second >= SECONDS_A_MINUTE:
            return None
        at = began + second * SECOND_US + int(fraction or 0)
        return (at, *press) if at <= self._latest else None

    def _learn_press(self, rest: bytes) -> tuple[int, int, int | None] | None:
        """Ask the rules about site, val and type."""
        verdict = judge_message(SOME_TIME + rest, self._always_open, self._timeless)
        event = verdict.event if verdict.is_good else None
        press = (event.site, event.val, event.type) if event else None
        _remember(self._presses, rest, press)
        return press

    def _learn_minute(self, minute: bytes, offset: bytes) -> int | None:
        """Ask the rules about a minute's first and last moment; opening hours have no gap between two open moments."""
        ends = []
        for second in (b"00.000000", b"59.999999"):
            if not self._reference.sites or not self._reference.ratings:
                return None
            press = SOME_PRESS % (min(self._reference.sites), min(self._reference.ratings))
            verdict = judge_message(
                b'{"at": "' + minute + second + offset + b'", ' + press, self._rules, self._timeless
            )
            ends.append(verdict.event.at if verdict.is_good and verdict.event else None)
        began = (ends[0] - EPOCH) // MICROSECOND if ends[0] and ends[1] else None
        _remember(self._minutes, (minute, offset), began)
        return began


def _remember(lookup: dict[Key, Value], key: Key, value: Value) -> None:
    """Keep a lookup small, whatever comes."""
    if len(lookup) >= MOST_REMEMBERED:
        lookup.clear()
    lookup[key] = value
