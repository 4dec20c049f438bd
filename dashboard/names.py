"""Names as they are shown: whatever the database holds becomes text that tables, charts and spreadsheets take."""

from __future__ import annotations

import hashlib
import re

MOST_LETTERS = 250
"""Longer names are cut: no page has a place for them."""

_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters
    "\u2028\u2029\u202a-\u202e\u2066-\u2069"  # line ends, and what turns the direction of text
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"  # half characters, and no characters
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))
    + "]"
)
_FORMULA = re.compile(r"\s*([=@\uff1d\uff20]|[+\-\uff0b\uff0d](?!\d+$))")
"""What a spreadsheet computes, in the wide letters of East Asia too; `-1` is a floor."""

_OBJECT = {
    "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__", "__proto__", "constructor",
    "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf",
}  # fmt: skip
"""What every object of JavaScript has: a chart with a bar of that name stays empty."""


def shown(text: str, most: int = MOST_LETTERS) -> str:
    r"""Return text without what no page can show; different texts stay different.

    What cannot be printed is written as an escape (`\x0b`), what a spreadsheet would compute, or a chart would take for
    its own, gets an apostrophe before it, and what is too long is cut and ends with a sign of its own.
    """
    clean = _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    if _FORMULA.match(clean) or clean in _OBJECT:
        clean = f"'{clean}"
    if len(clean) <= most:
        return clean
    sign = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{clean[:most]}... ({sign})"
