"""Judged rows on their way into Postgres: Parquet in, COPY's binary format out, a block at a time.

Nothing is kept between blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import numpy as np
import pandas as pd

from museum.binary_copy import (
    BIGINT,
    BINARY_HEADER,
    BINARY_TRAILER,
    INTEGER,
    NULL,
    SMALLINT,
    TIMESTAMPTZ,
    records,
)
from museum.duck import DuckDB
from museum.kiosk import Reference

MEMORY_LIMIT = "32MB"
VECTORS_A_BLOCK = 8
"""DuckDB hands rows over in vectors of 2,048."""


@dataclass(frozen=True)
class JudgedObject:
    """An object's judged rows and its number in the ledger."""

    rows_path: Path
    source_id: int


class JudgedRows:
    """The judged rows of some objects, sorted by what the database will say of them."""

    def __init__(self, objects: Sequence[JudgedObject], accepted: Reference) -> None:
        """Open a reader; `accepted` is what the database surely accepts, and with no site in it all rows are staged."""
        self.objects = objects
        self._accepted = {
            "latest_at": accepted.latest_at.astimezone(UTC).replace(tzinfo=None),
            "sites": sorted(accepted.sites),
            "ratings": sorted(accepted.ratings),
            "incident_types": sorted(accepted.incident_types),
        }
        self._duck = DuckDB(None, memory_limit=MEMORY_LIMIT, threads=1)

    def close(self) -> None:
        """Free the reader's memory."""
        self._duck.close()

    def staging_blocks(self) -> Iterator[bytes]:
        """Yield the rows for staging_kiosk: at, site, val, type, source_id, row."""
        yield BINARY_HEADER
        for rows in self._rows("staging"):
            for is_rating, part in rows.groupby(rows["type"].isna()):
                type_ = (NULL, None) if is_rating else (SMALLINT, part["type"])
                yield records(
                    (TIMESTAMPTZ, part["at"]), (INTEGER, part["site"]), (SMALLINT, part["val"]), type_,
                    (INTEGER, part["source_id"]), (BIGINT, part["row_number"]),
                )  # fmt: skip
        yield BINARY_TRAILER

    def event_blocks(self, kind: str, exhibition_ids: Mapping[int, int], first_id: int) -> Iterator[bytes]:
        """Yield the rows for review or incident: id, exhibition_id, at, rating or type, source_id, position."""
        sites = np.array(sorted(exhibition_ids))
        ids_by_site = np.array([exhibition_ids[site] for site in sites])
        code = "val" if kind == "review" else "type"
        yield BINARY_HEADER
        for rows in self._rows(kind):
            exhibition = ids_by_site[np.searchsorted(sites, rows["site"])]
            yield records(
                (BIGINT, np.arange(first_id, first_id + len(rows))), (INTEGER, exhibition), (TIMESTAMPTZ, rows["at"]),
                (SMALLINT, rows[code]), (INTEGER, rows["source_id"]), (BIGINT, rows["row_number"]),
            )  # fmt: skip
            first_id += len(rows)
        yield BINARY_TRAILER

    def _rows(self, destination: str) -> Iterator[pd.DataFrame]:
        """Yield some rows of one destination after the other, object by object, with their source_id."""
        paths = [str(item.rows_path) for item in self.objects]
        source_ids = np.array([item.source_id for item in self.objects])
        found = self._duck.run("list_judged_rows", paths=paths, destination=destination, **self._accepted)
        while len(rows := found.fetch_df_chunk(VECTORS_A_BLOCK)):
            yield rows.assign(source_id=source_ids[rows["file_index"]])
