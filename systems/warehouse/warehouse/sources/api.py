"""Answers of an API: in comes a JSON file, out go the records at the place in it that the configuration names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etlkit.errors import DataError
from warehouse.configuration import DatasetConfig
from warehouse.sources.first_words import first_words

LARGEST_ANSWER = 256 << 20
"""An answer is read whole, and takes several times its size."""
_STAYS = "Nothing was published."


def read_records(file: Path, name: str, dataset: DatasetConfig) -> list[Mapping[str, Any]]:
    """Return the records of an endpoint's answer; DataError for an answer that is no JSON or has none there.

    Numbers are the texts that stand there: as Python's own they would be rounded, or written in another way.
    """
    place = dataset.record_paths[name.rsplit("/", 1)[-1].lower().removesuffix(".json")]
    if file.stat().st_size > LARGEST_ANSWER:
        raise DataError(f"{name} is larger than {LARGEST_ANSWER:,} bytes, which no answer may be.", _STAYS)
    content = file.read_bytes()
    try:
        found = json.loads(content, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise DataError(f"{name} is no JSON; it begins with: {first_words(content)!r}.", _STAYS) from None
    for step in place.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise DataError(f"{name} has no records at {place}.", _STAYS)
    return found
