"""The rules for kiosk presses: one place that says what a valid press is and why another is rejected.

In come the four fields `at, site, val, type` as text (or, from the live stream, as JSON values) and a `Reference` of
what is known; out comes a `Verdict`: a typed `Event`, or all the reasons against it. Nothing here reads a clock, a
file or a database, so the same row always gets the same verdict.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import NewType
from zoneinfo import ZoneInfo

Site = NewType("Site", int)
"""A kiosk's number, from 0; site n stands in the exhibition whose code is EXH_0n and whose id is n + 1."""

KIOSK_COLUMNS = ("at", "site", "val", "type")
INCIDENT_VAL = -1
RATING_LABELS = {0: "Terrible", 1: "Bad", 2: "Neutral", 3: "Good", 4: "Amazing"}
INCIDENT_LABELS = {0: "assistance", 1: "emergency"}
LARGEST_SITE = 999_999_999
LARGEST_CODE = 32_767
HOURS_A_DAY, MINUTES_AN_HOUR = 24, 60

ROW_REASONS = (
    "missing_at", "bad_at", "too_old", "archived", "future_at", "out_of_hours", "missing_site", "unknown_site",
    "missing_val", "bad_val", "missing_type", "bad_type", "field_count", "bad_encoding", "repeated_header",
)  # fmt: skip
FILE_ONLY_REASONS = frozenset({"field_count", "repeated_header"})
RESTORED = "restored"
"""What a file's row that was `archived` has instead once a month is brought back, until it is judged again."""
REJUDGED_REASONS = (RESTORED, "future_at", "unknown_site", "bad_val", "bad_type")
"""Reasons that may pass: time goes on, and exhibitions and buttons are data that can be added."""
LONDON = ZoneInfo("Europe/London")
EARLIEST = date(2000, 1, 1)
RULES_VERSION = 2
"""Raise it when the same row gets another verdict: every object is then judged anew, once."""

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_DAY_FIRST = re.compile(r"(\d\d)/(\d\d)/(\d{4}) (\d\d):(\d\d)(?::(\d\d))?", re.ASCII)
_WHOLE_NUMBER = re.compile(r"([+-]?\d{1,9})(?:\.0+)?", re.ASCII)


class Unusable(Enum):
    """Why a field has no value."""

    MISSING = "missing"
    BAD = "bad"


MISSING, BAD = Unusable.MISSING, Unusable.BAD
Code = int | Unusable


@dataclass(frozen=True, slots=True)
class Rules:
    """The museum's settings that decide about a row."""

    timezone: ZoneInfo = LONDON
    opening: time = time(8, 45)
    closing: time = time(18, 15)
    reject_out_of_hours: bool = False
    earliest: date = EARLIEST

    @property
    def fingerprint(self) -> str:
        """Return a short text that changes when the rules change, so that stored rows can be judged anew."""
        hours = f"{self.opening:%H:%M:%S}-{self.closing:%H:%M:%S}" if self.reject_out_of_hours else "any"
        return f"rules {RULES_VERSION}, {self.timezone.key}, {hours}, from {self.earliest}"

    def is_too_old(self, at: datetime) -> bool:
        """Tell whether a moment lies before the first local day that is believed."""
        return at.astimezone(self.timezone).date() < self.earliest

    def is_out_of_hours(self, at: datetime) -> bool:
        """Tell whether the museum was closed at a moment; opening and closing time themselves are open."""
        return not self.opening <= at.astimezone(self.timezone).time() <= self.closing


@dataclass(frozen=True, slots=True)
class Reference:
    """What a row is held against: known sites, ratings and incident types, and the latest believable moment.

    Reviews of before `archived_before`, if there is such a border, lie in the archive, and no more are taken.
    """

    sites: frozenset[int]
    ratings: frozenset[int]
    incident_types: frozenset[int]
    latest_at: datetime
    archived_before: datetime | None = None

    def is_archived(self, at: datetime, val: Code) -> bool:
        """Tell whether a press is a review of the archive's time; requests for help always stay in the database."""
        border = self.archived_before
        return border is not None and at < border and isinstance(val, int) and val != INCIDENT_VAL


@dataclass(frozen=True, slots=True)
class Event:
    """A press: an aware time, the site, -1 or a rating, and the incident's type."""

    at: datetime
    site: int
    val: int
    type: int | None
    is_ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The event of a well-formed row, and the reasons against it; beside an event they are only the reference's."""

    event: Event | None
    reasons: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Tell whether the press counts."""
        return not self.reasons

    def as_ambiguous(self) -> Verdict:
        """Return the same of a press in an hour that occurs twice."""
        return Verdict(self.event and replace(self.event, is_ambiguous=True), self.reasons)


def default_reference(sites: frozenset[int], latest_at: datetime) -> Reference:
    """Return the reference that stands in for the database: the brief's labels and the given sites."""
    return Reference(sites, frozenset(RATING_LABELS), frozenset(INCIDENT_LABELS), latest_at)


def judge_line(raw: bytes, columns: tuple[str, ...], rules: Rules, reference: Reference) -> Verdict:
    """Judge one physical line of a kiosk file whose header names the columns in this order."""
    try:
        fields = split_line(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return Verdict(None, ("bad_encoding",))
    if fields is None or len(fields) != len(columns):
        return Verdict(None, ("field_count",))
    if tuple(field.lower() for field in [fields[0].removeprefix("\ufeff").strip('"'), *fields[1:]]) == columns:
        return Verdict(None, ("repeated_header",))
    by_name = dict(zip(columns, fields, strict=True))
    return judge_text(by_name["at"], by_name["site"], by_name["val"], by_name["type"], rules, reference)


def split_line(text: str) -> list[str] | None:
    """Return the fields of one CSV line without surrounding blanks, or None when its quotes do not match."""
    try:
        rows = list(csv.reader([text], strict=True, skipinitialspace=True))
    except csv.Error:
        return None
    return [field.strip(" \t") for field in rows[0]] if rows else []


def judge_text(at: str, site: str, val: str, type_: str, rules: Rules, reference: Reference) -> Verdict:
    """Judge the four fields of a file's row."""
    moment, is_ambiguous = parse_at(at, rules)
    codes = _code(val, -LARGEST_CODE, LARGEST_CODE), _code(type_, -LARGEST_CODE, LARGEST_CODE)
    verdict = judge(moment, _code(site, 0, LARGEST_SITE), *codes, rules, reference)
    return verdict.as_ambiguous() if is_ambiguous else verdict


def judge(at: datetime | Unusable, site: Code, val: Code, type_: Code, rules: Rules, reference: Reference) -> Verdict:
    """Judge typed fields; reasons come in the order of the columns."""
    against_row, against_reference = _judge_press(val, type_, reference)
    if isinstance(at, Unusable):
        against_row.append(f"{at.value}_at")
    else:
        if rules.is_too_old(at):
            against_row.append("too_old")
        if reference.is_archived(at, val):
            against_reference.append("archived")
        if at > reference.latest_at:
            against_reference.append("future_at")
        if rules.reject_out_of_hours and rules.is_out_of_hours(at):
            against_row.append("out_of_hours")
    if isinstance(site, Unusable):
        against_row.append("missing_site" if site is MISSING else "unknown_site")
    elif site not in reference.sites:
        against_reference.append("unknown_site")
    event = None
    if not against_row and not any(isinstance(value, Unusable) for value in (at, site, val)) and type_ is not BAD:
        event = Event(at, site, val, None if type_ is MISSING else type_)  # type: ignore[arg-type]  # just checked
    reasons = sorted((*against_row, *against_reference), key=ROW_REASONS.index)
    return Verdict(event, tuple(reasons))


def _judge_press(val: Code, type_: Code, reference: Reference) -> tuple[list[str], list[str]]:
    """Return the row's own reasons and the reference's, one at most: an incident needs a known type, a rating none."""
    if isinstance(val, Unusable):
        return [f"{val.value}_val"], []
    if val != INCIDENT_VAL:
        if val not in reference.ratings:
            return [], ["bad_val"]
        return ([] if type_ is MISSING else ["bad_type"]), []
    if isinstance(type_, Unusable):
        return [f"{type_.value}_type"], []
    return [], ([] if type_ in reference.incident_types else ["bad_type"])


def parse_at(text: str, rules: Rules) -> tuple[datetime | Unusable, bool]:
    """Return the aware moment of a text, and whether it is one of an hour that occurs twice (then its first).

    A text without offset is the museum's local time; one that the clocks skip in spring is BAD.
    """
    if not text:
        return MISSING, False
    try:
        if found := _ISO.fullmatch(text):
            year, month, day, hour, minute, second, fraction, offset = found.groups()
            micro = int((fraction or "").ljust(6, "0")[:6])
            naive = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micro)
            if offset:
                moment = _with_offset(naive, offset)
                moment.astimezone(rules.timezone)  # a moment that has no local time is of no use
                return moment, False
            return _localise(naive, rules.timezone)
        if found := _DAY_FIRST.fullmatch(text):
            day, month, year, hour, minute, second = found.groups()
            naive = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0))
            return _localise(naive, rules.timezone)
    except (ValueError, OverflowError):
        return BAD, False
    return BAD, False


def _with_offset(naive: datetime, offset: str) -> datetime:
    """Return the UTC moment of a time and its written offset; ValueError for an offset of a day or more."""
    if offset == "Z":
        return naive.replace(tzinfo=UTC)
    digits = offset[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours >= HOURS_A_DAY or minutes >= MINUTES_AN_HOUR:
        raise ValueError(offset)
    ahead = timedelta(hours=hours, minutes=minutes)
    return (naive + ahead if offset[0] == "-" else naive - ahead).replace(tzinfo=UTC)


def _localise(naive: datetime, timezone: ZoneInfo) -> tuple[datetime | Unusable, bool]:
    """Return a local time as an aware one, and whether it occurs twice."""
    first = naive.replace(tzinfo=timezone, fold=0)
    moment = first.astimezone(UTC)
    if first.utcoffset() == naive.replace(tzinfo=timezone, fold=1).utcoffset():
        return moment, False
    if moment.astimezone(timezone).replace(tzinfo=None) != naive:
        return BAD, False
    return moment, True


def _code(text: str, smallest: int, largest: int) -> Code:
    """Return a whole number, which a file may write as 3 or 3.0."""
    if not text:
        return MISSING
    found = _WHOLE_NUMBER.fullmatch(text)
    return int(found[1]) if found and smallest <= int(found[1]) <= largest else BAD
