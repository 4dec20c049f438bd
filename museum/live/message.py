"""The rules for a live message: one JSON object a press, judged by the same rules as a row of a file.

In come a message's raw bytes, out comes a `Verdict` of `museum.kiosk`. What JSON adds is its types: `at` and `site` are
texts, `val` and `type` whole numbers; null or another type is bad, not missing. Other fields are ignored. Whatever the
bytes are, they get a verdict and never an exception.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NoReturn

from museum.kiosk import (
    BAD,
    LARGEST_CODE,
    MISSING,
    Event,
    Reference,
    Rules,
    Unusable,
    Verdict,
    judge,
    parse_at,
)

MESSAGE_REASONS = (
    "no_value", "overlong_message", "bad_encoding", "not_json", "repeated_field", "not_an_object", "refused",
)  # fmt: skip
LONGEST_MESSAGE = 65_536
"""In bytes; a press takes a hundred."""
LONGEST_NUMBER = 18

_SITE = re.compile(r"0|[1-9]\d{0,8}", re.ASCII)


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
    return _judge_fields(fields, rules, reference, create_time)


def _judge_fields(
    fields: Mapping[str, Any], rules: Rules, reference: Reference, create_time: datetime | None
) -> Verdict:
    """Judge an object's fields."""
    at, is_ambiguous = _at(fields, rules)
    if at is MISSING and create_time is not None:
        at = create_time
    verdict = judge(at, _site(fields), _number(fields, "val"), _number(fields, "type"), rules, reference)
    if is_ambiguous and verdict.event:
        event = verdict.event
        return Verdict(Event(event.at, event.site, event.val, event.type, is_ambiguous=True), verdict.reasons)
    return verdict


def _at(fields: Mapping[str, Any], rules: Rules) -> tuple[datetime | Unusable, bool]:
    """Return the moment, and whether it is one of an hour that occurs twice."""
    if "at" not in fields:
        return MISSING, False
    text = fields["at"]
    return parse_at(text, rules) if isinstance(text, str) and text else (BAD, False)


def _site(fields: Mapping[str, Any]) -> int | Unusable:
    """Return the kiosk's number, which JSON gives as a text without sign or leading zeros."""
    if "site" not in fields:
        return MISSING
    text = fields["site"]
    return int(text) if isinstance(text, str) and _SITE.fullmatch(text) else BAD


def _number(fields: Mapping[str, Any], name: str) -> int | Unusable:
    """Return a whole number; true and 1.0 are none."""
    if name not in fields:
        return MISSING
    value = fields[name]
    return value if type(value) is int and -LARGEST_CODE <= value <= LARGEST_CODE else BAD


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's fields; raise an error where one is named twice."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _RepeatedFieldError
    return fields


def _short_number(digits: str) -> int | Unusable:
    """Return a whole number that fits a machine word."""
    return int(digits) if len(digits) <= LONGEST_NUMBER else BAD


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python takes and JSON does not have."""
    raise ValueError(name)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_without_repeats, parse_int=_short_number, parse_constant=_refuse_constant
)
