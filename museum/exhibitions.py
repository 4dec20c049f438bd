"""The rules for exhibitions: one JSON object, or an array of them, becomes checked records.

Keys may come in any order and case. A floor may be a text, a number or a list of both, since an exhibition can span
floors. The number in the code says which kiosk stands there, so it must be unique; of several different descriptions
the last object in natural key order wins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from museum.kiosk import LARGEST_SITE, Site

EXHIBITION_REASONS = (
    "not_json", "repeated_field", "not_an_object", "bad_encoding", "missing_exhibition_id", "bad_exhibition_id",
    "missing_exhibition_name", "bad_exhibition_name", "bad_floor", "bad_department", "bad_start_date",
    "bad_description",
)  # fmt: skip
KNOWN_KEYS = frozenset({"exhibition_name", "exhibition_id", "floor", "department", "start_date", "description"})
LONGEST_NAME = 500
"""In characters; of a department or a floor Postgres's index takes 2,700 bytes."""

_CODE = re.compile(r"EXH_(\d{1,9})", re.ASCII | re.IGNORECASE)
_SLASH_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{2}|\d{4})", re.ASCII)
_ISO_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
CENTURY, FIRST_YEAR_OF_THE_LAST = 100, 50
"""Two digits from 50 on are years of the 20th century."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_BREAK = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
_LINE_END = re.compile("\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
_UNPRINTABLE = re.compile(
    "[\x01-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufff0-\ufffb"
    + "".join(f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(17))
    + "]"
)
"""Control characters, those that turn the direction of text round, and code points that stand for no character."""


@dataclass(frozen=True)
class Exhibition:
    """One described exhibition and where its description stands."""

    code: str
    name: str
    floors: tuple[str, ...]
    department: str | None
    start_date: date | None
    description: str | None
    key: str = field(compare=False)
    position: int = field(compare=False)

    @property
    def site(self) -> Site:
        """Return the kiosk's number."""
        return site_of_code(self.code)


@dataclass(frozen=True)
class RejectedExhibition:
    """A record, or a whole file at position 0, that could not be used."""

    key: str
    position: int
    raw: bytes
    reasons: tuple[str, ...]


@dataclass
class ParsedExhibitions:
    """What one or more exhibition files hold."""

    exhibitions: list[Exhibition] = field(default_factory=list)
    rejects: list[RejectedExhibition] = field(default_factory=list)
    unknown_keys: dict[str, set[str]] = field(default_factory=dict)
    cleaned: dict[str, set[str]] = field(default_factory=dict)


def site_of_code(code: str) -> Site:
    """Return the site of an exhibition's code: EXH_03 is site 3."""
    found = _CODE.fullmatch(code)
    if not found:
        raise ValueError(code)
    return Site(int(found[1]))


def parse_exhibition_file(key: str, raw: bytes, parsed: ParsedExhibitions) -> None:
    """Add the records of one file to parsed; what cannot be used is added to its rejects."""

    def reject(position: int, text: bytes, *reasons: str) -> None:
        parsed.rejects.append(RejectedExhibition(key, position, text, reasons))

    try:
        document = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=_Fields)
    except (ValueError, RecursionError) as error:
        reject(0, raw, "bad_encoding" if isinstance(error, UnicodeDecodeError) else "not_json")
        return
    for position, record in enumerate(document if isinstance(document, list) else [document], start=1):
        text = raw if document is record else json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if not isinstance(record, _Fields) or record.says_two_things:
            reject(position, text, "repeated_field" if isinstance(record, _Fields) else "not_an_object")
            continue
        fields = {name.strip().lower(): value for name, value in record.items()}
        if cleaned := _clean(fields):
            parsed.cleaned.setdefault(key, set()).update(cleaned)
        if unknown := fields.keys() - KNOWN_KEYS:
            parsed.unknown_keys.setdefault(key, set()).update(unknown)
        exhibition = _judge(key, position, fields)
        if isinstance(exhibition, Exhibition):
            parsed.exhibitions.append(exhibition)
        else:
            reject(position, text, *exhibition)


def last_of_each(exhibitions: Iterable[Exhibition]) -> tuple[list[Exhibition], list[tuple[Exhibition, Exhibition]]]:
    """Return the last exhibition of each site, by site, and the pairs (loser, winner) whose descriptions differ."""
    winners: dict[Site, Exhibition] = {}
    differing: list[tuple[Exhibition, Exhibition]] = []
    for exhibition in exhibitions:
        earlier = winners.get(exhibition.site)
        if earlier is not None and earlier != exhibition:
            differing.append((earlier, exhibition))
        winners[exhibition.site] = exhibition
    return [winners[site] for site in sorted(winners)], differing


def parse_date(text: str) -> date | None:
    """Return a date written as D/M/YY, D/M/YYYY (digits may have a leading zero) or ISO, None for anything else."""
    if found := _SLASH_DATE.fullmatch(text):
        day, month, year = (int(part) for part in found.groups())
        if len(found[3]) < len("2000"):
            year += (20 if year < FIRST_YEAR_OF_THE_LAST else 19) * CENTURY
    elif found := _ISO_DATE.fullmatch(text):
        year, month, day = (int(part) for part in found.groups())
    else:
        return None
    try:
        return date(year, month, day)
    except ValueError:
        return None


class _Fields(dict[str, Any]):
    """A JSON object that knows whether one of its fields is there twice, in whatever case."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.says_two_things = len({name.strip().lower() for name, _ in pairs}) != len(pairs)


def _clean(fields: dict[str, Any]) -> set[str]:
    """Take what nobody can read or draw out of the texts; return the fields that had any.

    Line ends of a description become line feeds, those of any other text blanks.
    """

    def readable(text: str, name: str) -> str:
        lines = _LINE_END.sub("\n", text) if name == "description" else _BREAK.sub(" ", text)
        return _UNPRINTABLE.sub("", lines)

    cleaned = set()
    for name, value in fields.items():
        items = value if isinstance(value, list) else [value]
        texts = [readable(item, name) if isinstance(item, str) else item for item in items]
        if texts != items:
            cleaned.add(name)
            fields[name] = texts if isinstance(value, list) else texts[0]
    return cleaned


def _judge(key: str, position: int, fields: dict[str, Any]) -> Exhibition | tuple[str, ...]:
    """Return the exhibition of a record, or all the reasons against it."""
    reasons: set[str] = set()
    code = _text(fields, "exhibition_id", reasons, is_required=True)
    if code and (not _CODE.fullmatch(code) or site_of_code(code) > LARGEST_SITE):
        reasons.add("bad_exhibition_id")
    name = _text(fields, "exhibition_name", reasons, is_required=True)
    floors = _floors(fields.get("floor"))
    if floors is None:
        reasons.add("bad_floor")
    department = _text(fields, "department", reasons)
    description = _text(fields, "description", reasons)
    written_date = _text(fields, "start_date", reasons)
    start_date = parse_date(written_date) if written_date else None
    if written_date and start_date is None:
        reasons.add("bad_start_date")
    if len(name or "") > LONGEST_NAME:
        reasons.add("bad_exhibition_name")
    if len(department or "") > LONGEST_NAME:
        reasons.add("bad_department")
    if reasons or code is None or name is None or floors is None:
        return tuple(sorted(reasons, key=EXHIBITION_REASONS.index))
    return Exhibition(code.upper(), name, floors, department or None, start_date, description or None, key, position)


def _usable(value: object) -> str | None:
    """Return a text without surrounding blanks; None for anything else, and for text that Postgres cannot hold."""
    return value.strip() if isinstance(value, str) and not _UNSTORABLE.search(value) else None


def _text(fields: dict[str, Any], name: str, reasons: set[str], *, is_required: bool = False) -> str | None:
    """Return a text field; an unusable one is a reason, a missing one where it is required."""
    text = _usable(fields.get(name))
    if text is None and fields.get(name) is not None:
        reasons.add(f"bad_{name}")
    elif is_required and not text:
        reasons.add(f"missing_{name}")
    return text


def _floors(value: object) -> tuple[str, ...] | None:
    """Return the floors in order without repetition, None when one is unusable (";" separates them in the CSV)."""
    floors: list[str] = []
    for item in value if isinstance(value, list) else [] if value is None else [value]:
        text = str(item) if isinstance(item, int) and not isinstance(item, bool) else _usable(item)
        if text is None or ";" in text or len(text) > LONGEST_NAME:
            return None
        if text and text not in floors:
            floors.append(text)
    return tuple(floors)
