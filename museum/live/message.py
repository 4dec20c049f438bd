"""The rules for a live message: one JSON object a press, judged by the same rules as a row of a file.

In come a message's raw bytes, out comes a `Verdict` of `museum.kiosk`. What JSON adds is its types: `at` and `site` are
texts, `val` and `type` whole numbers; null or another type is bad, not missing. Other fields are ignored. Whatever the
bytes are, they get a verdict and never an exception.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NoReturn

from museum.binary_copy import pressed_at
from museum.kiosk import BAD, LARGEST_CODE, MISSING, Reference, Rules, Unusable, Verdict, judge, parse_at

MESSAGE_REASONS = (
    "no_value", "overlong_message", "bad_encoding", "not_json", "repeated_field", "not_an_object", "refused",
)  # fmt: skip
LONGEST_MESSAGE = 65_536
"""In bytes; a press takes a hundred."""
LONGEST_NUMBER = 18

_SITE = re.compile(r"0|[1-9]\d{0,8}", re.ASCII)

SECOND_US = 1_000_000
SECONDS_A_MINUTE = 60
SOME_TIME = b'{"at": "2000-01-03T12:00:00+00:00", '
SOME_PRESS = b'"site": "%d", "val": %d}'
MOST_REMEMBERED = 10_000

_COMMON = re.compile(
    rb'\{"at": "(\d{4}-\d\d-\d\dT\d\d:\d\d:)(\d\d)(?:\.(\d{6}))?([+-]\d\d:\d\d)", '
    rb'("site": "[0-9A-Za-z]{1,9}", "val": -?\d{1,5}(?:, "type": -?\d{1,5})?\})'
)
GoodPress = tuple[int, int, int, int | None]
"""`at` in microseconds since 2000, site, val, type."""


class _RepeatedFieldError(ValueError):
    """An object names a field twice, so it says two things."""


def judge_message(
    raw: bytes | None, rules: Rules, reference: Reference, create_time: datetime | None = None
) -> Verdict:
    """Judge one message; a `create_time` stands in for an absent `at`."""
    if raw is None:
        return Verdict(None, ("no_value",))
    if len(raw) > LONGEST_MESSAGE:
        return Verdict(None, ("overlong_message",))
    try:
        fields = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return Verdict(None, ("bad_encoding",))
    except _RepeatedFieldError:
        return Verdict(None, ("repeated_field",))
    except (ValueError, RecursionError):
        return Verdict(None, ("not_json",))
    if not isinstance(fields, dict):
        return Verdict(None, ("not_an_object",))
    at, is_ambiguous = _at(fields["at"], rules) if "at" in fields else (create_time or MISSING, False)
    site = _site(fields["site"]) if "site" in fields else MISSING
    val = _number(fields["val"]) if "val" in fields else MISSING
    type_ = _number(fields["type"]) if "type" in fields else MISSING
    verdict = judge(at, site, val, type_, rules, reference)
    return verdict.as_ambiguous() if is_ambiguous else verdict


def _at(text: object, rules: Rules) -> tuple[datetime | Unusable, bool]:
    """Return the moment, and whether it is one of an hour that occurs twice."""
    return parse_at(text, rules) if isinstance(text, str) and text else (BAD, False)


def _site(text: object) -> int | Unusable:
    """Return the kiosk's number, which JSON gives as a text without sign or leading zeros."""
    return int(text) if isinstance(text, str) and _SITE.fullmatch(text) else BAD


def _number(value: object) -> int | Unusable:
    """Return a whole number; true and 1.0 are none."""
    return value if type(value) is int and -LARGEST_CODE <= value <= LARGEST_CODE else BAD


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's fields; raise an error where one is named twice."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _RepeatedFieldError
    return fields


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python takes and JSON does not have."""
    raise ValueError(name)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_without_repeats,
    parse_int=lambda digits: int(digits) if len(digits) <= LONGEST_NUMBER else BAD,
    parse_constant=_refuse_constant,
)


class KnownMessages:
    """Good messages of the commonest form, recognised by what was found by asking the rules.

    Nine of ten messages are an object with `at`, `site`, `val` and perhaps `type`, in this order, as the kiosks write
    them. Their press (all but `at`) and the minute of their `at` repeat, so each is judged once and remembered. What is
    not found here is judged by the rules: this may know too little, but never anything else than they.
    """

    def __init__(self, rules: Rules, reference: Reference) -> None:
        """Remember nothing yet."""
        self._rules = rules
        self._timeless = replace(reference, latest_at=datetime.max.replace(tzinfo=UTC), archived_before=None)
        self._bound(reference)
        self._press = lru_cache(MOST_REMEMBERED)(self._judge_press)
        self._minute = lru_cache(MOST_REMEMBERED)(self._judge_minute)

    def follow(self, reference: Reference) -> KnownMessages:
        """Return lookups for a later reference; what is remembered stays true while only the bounds have moved."""
        if replace(reference, latest_at=self._timeless.latest_at, archived_before=None) != self._timeless:
            return KnownMessages(self._rules, reference)
        self._bound(reference)
        return self

    def _bound(self, reference: Reference) -> None:
        """Take the earliest and the latest moment of a reference; what lies outside of them the rules must see."""
        self._earliest = pressed_at(reference.archived_before or datetime.min.replace(tzinfo=UTC))
        self._latest = pressed_at(reference.latest_at)

    def read(self, raw: bytes | None) -> GoodPress | None:
        """Return a good press, or None for a message that the rules must see."""
        found = _COMMON.fullmatch(raw) if raw else None
        if found is None:
            return None
        minute, seconds, fraction, offset, rest = found.groups()
        press, began, second = self._press(rest), self._minute(minute, offset), int(seconds)
        if press is None or began is None or second >= SECONDS_A_MINUTE:
            return None
        at = began + second * SECOND_US + int(fraction or 0)
        return (at, *press) if self._earliest <= at <= self._latest else None

    def _judge_press(self, rest: bytes) -> tuple[int, int, int | None] | None:
        """Ask the rules about site, val and type, at a time when the museum is always open."""
        verdict = judge_message(SOME_TIME + rest, Rules(self._rules.timezone), self._timeless)
        event = verdict.event if verdict.is_good else None
        return (event.site, event.val, event.type) if event else None

    def _judge_minute(self, minute: bytes, offset: bytes) -> int | None:
        """Ask the rules about a minute's first and last moment; opening hours have no gap between two open moments."""
        if not self._timeless.sites or not self._timeless.ratings:
            return None
        press = SOME_PRESS % (min(self._timeless.sites), min(self._timeless.ratings))
        moments = (b'{"at": "' + minute + second + offset + b'", ' + press for second in (b"00.000000", b"59.999999"))
        first, last = (judge_message(raw, self._rules, self._timeless) for raw in moments)
        return pressed_at(first.event.at) if first.event and first.is_good and last.is_good else None
