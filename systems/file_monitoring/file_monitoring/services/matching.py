"""Which expected file an object is: a pure function of the key and of the active files.

Levels, the first that hits decides: the file's s3_url; the layout agency/SLUG/files/NAME/DATE/HOUR/data.EXT; a folder
of the agency's slug and the name; a name with a date's place or a star; both names with their dates masked. Exact case
comes before any case. A name alone, without its agency, decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone, tzinfo
from functools import lru_cache

import re2

from file_monitoring.scoring.values import compile_pattern

TOKENS = {
    "{YYYY}": "[0-9]{4}",
    "%Y": "[0-9]{4}",
    "%j": "[0-9]{3}",
    **dict.fromkeys(("{YY}", "{MM}", "{DD}", "{HH}", "{mm}", "{ss}", "%y", "%m", "%d", "%H", "%M", "%S"), "[0-9]{2}"),
    "*": "(?s:.*)",
}
"""What stands in a file's name for a part of a date, or for anything."""
_TOKEN = re.compile("|".join(re.escape(token) for token in TOKENS))
_TOKENS_APART = re.compile(f"({_TOKEN.pattern})")
_DATED = re.compile(r"(?P<y>(?:19|20)\d\d)(?P<s>[-_]?)(?P<m>0[1-9]|1[0-2])(?P=s)(?P<d>0[1-9]|[12]\d|3[01])", re.ASCII)
_TIME = re.compile(r"[T_-]?(?:[01]\d|2[0-3])(?:[0-5]\d){0,2}(?!\d)", re.ASCII)
_LAYOUT = re.compile(
    r"(?:.*/)?agency/(?P<slug>[^/]+)/files/(?P<name>[^/]+)/(?P<date>\d{4}-\d{2}-\d{2})/(?P<hour>\d{2})/[^/]+", re.ASCII
)


@dataclass(frozen=True)
class Candidate:
    """What of an active file decides whether an object is it."""

    pk: int
    s3_url: str
    file_name: str
    agency_slug: str


class Ambiguous(Exception):
    """More than one file is hit; who looks after them must make their names differ."""

    def __init__(self, numbers: Sequence[int]) -> None:
        """Keep the files' ids."""
        super().__init__(f"more than one active file matches: {', '.join(map(str, sorted(numbers)))}")
        self.numbers = tuple(sorted(numbers))


def match_file(bucket: str, key: str, candidates: Iterable[Candidate]) -> int | None:
    """Return the id of the file that an object is, None where none is expected; raises Ambiguous."""
    known = list(candidates)
    for level in (_by_url, _by_layout, _by_folder, _by_pattern, _by_masked_name):
        for fold in (str, str.casefold):
            test = level(bucket, key, fold)
            if test is None:
                continue
            hits = [candidate.pk for candidate in known if test(candidate)]
            if len(hits) > 1:
                raise Ambiguous(hits)
            if hits:
                return hits[0]
    return None


Fold = Callable[[str], str]
Test = Callable[[Candidate], bool]


def _by_url(bucket: str, key: str, fold: Fold) -> Test:
    """Compare with the whole address."""
    address = fold(f"{bucket}/{key}")
    return lambda candidate: bool(candidate.s3_url) and fold(_without_scheme(candidate.s3_url)) == address


def _by_layout(_bucket: str, key: str, fold: Fold) -> Test | None:
    """Compare with slug and name of the dated layout."""
    found = _LAYOUT.fullmatch(key)
    if not found:
        return None
    slug, name = fold(found["slug"]), fold(found["name"])
    return lambda candidate: fold(candidate.agency_slug) == slug and fold(candidate.file_name) == name


def _by_folder(_bucket: str, key: str, fold: Fold) -> Test:
    """Compare a folder with the slug, and the name."""
    *folders, name = (fold(part) for part in key.split("/"))
    return lambda candidate: fold(candidate.file_name) == name and _is_of(candidate, folders, fold)


def _by_pattern(_bucket: str, key: str, fold: Fold) -> Test:
    """Compare the name with one that has places for a date, or stars."""
    *folders, name = (fold(part) for part in key.split("/"))
    return lambda candidate: (
        _TOKEN.search(candidate.file_name) is not None
        and _is_of(candidate, folders, fold)
        and _as_test(_folded_outside_tokens(candidate.file_name, fold))(name)
    )


def _by_masked_name(_bucket: str, key: str, fold: Fold) -> Test | None:
    """Compare the names without the dates in them."""
    *folders, name = (fold(part) for part in key.split("/"))
    masked = _masked(name)
    if masked == name:
        return None
    return lambda candidate: _is_of(candidate, folders, fold) and _masked(fold(candidate.file_name)) == masked


def _folded_outside_tokens(name: str, fold: Fold) -> str:
    """Return a name in the form in which names are compared, its places for a date as they are."""
    return "".join(part if part in TOKENS else fold(part) for part in _TOKENS_APART.split(name))


def _is_of(candidate: Candidate, folders: Sequence[str], fold: Fold) -> bool:
    """Tell whether one of the folders is the agency's."""
    return fold(candidate.agency_slug) in folders


def _without_scheme(url: str) -> str:
    """Return an address as bucket/key."""
    return re.sub(r"(?i)^s3[an]?://", "", url.strip()).lstrip("/")


@lru_cache(maxsize=1024)
def _as_test(name: str) -> Callable[[str], bool]:
    """Return the test of a name with places for a date or for anything; RE2's, so that no name takes long."""
    parts, end = [], 0
    for found in _TOKEN.finditer(name):
        parts += [re2.escape(name[end : found.start()]), TOKENS[found.group()]]
        end = found.end()
    parts.append(re2.escape(name[end:]))
    return compile_pattern("".join(parts))


def _masked(name: str) -> str:
    """Return a name with every date in it, and the time behind it, as a mark."""
    parts, end = [], 0
    for found in _DATED.finditer(name):
        if found.start() < end or not _is_date(found):
            continue
        time = _TIME.match(name, found.end())
        stop = time.end() if time else found.end()
        if (found.start() and name[found.start() - 1].isdigit()) or name[stop : stop + 1].isdigit():
            continue  # part of a longer number
        parts.append(name[end : found.start()] + "\0")
        end = stop
    return "".join(parts) + name[end:]


def _is_date(found: re.Match[str]) -> bool:
    """Tell whether a run of digits is a day of the calendar."""
    try:
        date(int(found["y"]), int(found["m"]), int(found["d"]))
    except ValueError:
        return False
    return True


def run_of(key: str, event_time: datetime, zone: tzinfo) -> tuple[date, int]:
    """Return the date and hour of a run: those of a dated key, else the event's in the zone, never the clock's."""
    if found := _LAYOUT.fullmatch(key):
        try:
            return date.fromisoformat(found["date"]), datetime.strptime(found["hour"], "%H").replace(
                tzinfo=timezone.utc
            ).hour
        except ValueError:
            pass  # a folder that looks like a date and is none
    local = event_time.astimezone(zone)
    return local.date(), local.hour
