"""National Drug Codes: which texts have three parts, and their eleven digits.

The rule is FDA's and NCPDP's: 4-4-2, 5-3-2 and 5-4-1 are filled up to 5-4-2 with a zero. Ten digits without dashes
may be any of the three, so they are none; eleven are taken as they are.
"""

from __future__ import annotations

import ibis
from ibis.expr import types as ir

ELEVEN_DIGITS = r"^[0-9]{11}\z"
DASHED = r"^(?:[0-9]{4}-[0-9]{4}-[0-9]{2}|[0-9]{5}-[0-9]{3}-[0-9]{2}|[0-9]{5}-[0-9]{4}-[0-9]{1,2})\z"
_PARTS = (5, 4, 2)


def ndc_11(text: ir.StringValue) -> ir.StringValue:
    """Return the eleven digits of a code; null for a text that is none, or of which it is not certain."""
    parts = text.split("-")
    padded = [parts[number].lpad(width, "0") for number, width in enumerate(_PARTS)]
    return ibis.cases(
        (text.re_search(ELEVEN_DIGITS), text), (text.re_search(DASHED), padded[0] + padded[1] + padded[2])
    )
