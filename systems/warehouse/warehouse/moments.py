"""Forms of dates and timestamps, such as yyyyMMdd: the pattern that a text must match, and where its parts stand."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_WIDTHS = {"yyyy": 4, "MM": 2, "dd": 2, "HH": 2, "mm": 2, "ss": 2}
_PATTERNS = {
    "yyyy": r"(?:[0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})",
    "MM": "(?:0[1-9]|1[0-2])",
    "dd": "(?:0[1-9]|[12][0-9]|3[01])",
    "HH": "(?:[01][0-9]|2[0-3])",
    "mm": "[0-5][0-9]",
    "ss": "[0-5][0-9]",
}
_PART = re.compile("|".join(_WIDTHS) + "|(.)", re.DOTALL)
_DATE = ("yyyy", "MM", "dd")
_TIME = ("HH", "mm", "ss")


class FormatError(ValueError):
    """A form that cannot be read."""


@dataclass(frozen=True)
class MomentFormat:
    """A form of fixed width; raises FormatError for one that lacks a part or has it twice."""

    text: str
    has_time: bool
    pattern: str = field(init=False)
    places: dict[str, int] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Read the form."""
        pattern, places, place = "", {}, 0
        for found in _PART.finditer(self.text):
            part = found[0]
            if part in places or (part.isalpha() and part not in _WIDTHS and part != "T"):
                raise FormatError(f"format {self.text!r} is not understood at {part!r}; parts are {', '.join(_WIDTHS)}")
            if part in _WIDTHS:
                places[part] = place
            pattern += _PATTERNS.get(part) or re.escape(part)
            place += len(part)
        wanted = {*_DATE, *_TIME} if self.has_time else {*_DATE}
        if places.keys() != wanted:
            raise FormatError(f"format {self.text!r} has not exactly the parts {', '.join(sorted(wanted))}")
        object.__setattr__(self, "pattern", rf"^{pattern}\z")
        object.__setattr__(self, "places", places)

    def part(self, name: str) -> tuple[int, int]:
        """Return where a part begins, and how long it is."""
        return self.places[name], _WIDTHS[name]
