"""COPY's binary format for rows of fixed length, written by numpy from columns.

It costs the server half of what text does: nothing is parsed, neither times nor numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

BINARY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
BINARY_TRAILER = b"\xff\xff"
SMALLINT, INTEGER, BIGINT, TIMESTAMPTZ = ">i2", ">i4", ">i8", ">i8"
NULL = ""
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

StagedPress = tuple[int, int, int, int | None, int, int]
"""A row of staging_kiosk: `at` in microseconds since 2000, site, val, type, source id, row or offset."""


def pressed_at(moment: datetime) -> int:
    """Return a moment as Postgres keeps it: microseconds since 2000-01-01 UTC."""
    return (moment - EPOCH) // MICROSECOND


def records(*columns: tuple[str, Any]) -> bytes:
    """Return rows in COPY's binary format, of (type, values) a column; NULL has neither."""
    fields = [("count", SMALLINT)]
    for number, (kind, _) in enumerate(columns):
        fields += [(f"length {number}", INTEGER)] + ([(f"value {number}", kind)] if kind else [])
    rows = np.empty(len(columns[0][1]), dtype=fields)
    rows["count"] = len(columns)
    for number, (kind, values) in enumerate(columns):
        rows[f"length {number}"] = np.dtype(kind).itemsize if kind else -1
        if kind:
            rows[f"value {number}"] = values
    return rows.tobytes()


def press_records(at: Any, site: Any, val: Any, type_: Any, source_id: Any, position: Any) -> bytes:
    """Return rows of staging_kiosk from their columns; `type_` is None for ratings, which have none."""
    typed = (NULL, None) if type_ is None else (SMALLINT, type_)
    return records((TIMESTAMPTZ, at), (INTEGER, site), (SMALLINT, val), typed, (INTEGER, source_id), (BIGINT, position))


def event_records(ids: Any, exhibition_id: Any, at: Any, code: Any, source_id: Any, position: Any) -> bytes:
    """Return rows of review or incident from their columns; `code` is the rating or the incident's type."""
    return records(
        (BIGINT, ids), (INTEGER, exhibition_id), (TIMESTAMPTZ, at), (SMALLINT, code), (INTEGER, source_id),
        (BIGINT, position),
    )  # fmt: skip


def press_blocks(presses: Sequence[StagedPress]) -> Iterator[bytes]:
    """Yield presses for staging_kiosk, as sql/press/copy_staging_kiosk.sql takes them."""
    yield BINARY_HEADER
    for has_type in (False, True):
        if some := [press for press in presses if (press[3] is not None) == has_type]:
            at, site, val, type_, source_id, position = zip(*some, strict=True)
            yield press_records(at, site, val, type_ if has_type else None, source_id, position)
    yield BINARY_TRAILER
