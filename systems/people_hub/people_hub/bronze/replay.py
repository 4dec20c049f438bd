"""Which rejected records may be judged again: those that are good by today's rules.

In comes a kept original, out go its key and record, or nothing. Pure: twice gives the same.
"""

from __future__ import annotations

import json
from typing import Any

from people_hub.bronze.canonical import BadRecordError, read_content
from people_hub.bronze.stream import Stream

AMBIGUOUS = "duplicate_key_in_run"
"""The reason of a record that had another's key: only its source can say which of the two is right."""


def replayable(stream: Stream, original: bytes) -> tuple[str, dict[str, Any]] | None:
    """Return a kept record and its key when it has one and can be stored today, else None."""
    try:
        record: dict[str, Any] = json.loads(original)
        read_content(record, stream.volatile)
        return stream.external_id(record), record
    except (BadRecordError, ValueError, RecursionError):
        return None
