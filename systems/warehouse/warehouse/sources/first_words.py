"""What a server sent in place of what was asked: its first words, for an error that a person reads."""

from __future__ import annotations

from collections.abc import Iterable

from etlkit.logs import redact

FIRST_BYTES = 600
_SHOWN = 120


def first_words(content: bytes, hidden: Iterable[str] = ()) -> str:
    """Return how an answer begins, in one line; what is hidden is blanked out before anything is cut."""
    words = " ".join(content[:FIRST_BYTES].decode("utf-8", errors="replace").split())
    return redact(words, hidden)[:_SHOWN]
