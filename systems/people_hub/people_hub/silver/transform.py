"""What a table of silver is to its run: what it reads, what it needs, and the statements that build it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from etlkit.settings import Settings
from people_hub.hub_settings import SCHEMA_FILE, NoSettings

SQL = Path(__file__).resolve().parent.parent / "sql"
SOURCE_SYSTEM = "silver_transformation"
LOCK_NAME = "people_hub:silver"
"""One lock for all of silver: its entities refer to each other."""
ENTITY_TYPES = {"departments": "department", "users": "user", "groups": "group", "computers": "computer"}
"""What a row of each consolidated table is."""


@dataclass(frozen=True)
class Transform:
    """One consolidated table of silver.

    `steps` are statements of the folder `sql/<table>/`, in their order; `stage_x` leaves the TEMP table staging_x,
    `match_x` is repeated until it touches no row; `fill_`, `delete_` and `reject_` write. They
    fill dirty_key with what is to be built, staging_stale_head with the heads that are read anew, and staging_record
    with what is built: record_key, known_hash, entity_hash, malformed, quality and the table's columns.
    """

    entity_type: str
    table: str
    reads: tuple[str, ...]
    """The streams of bronze that it is made from, e.g. `tdx/user`."""
    steps: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """The tables of silver that it looks into; their transforms come first."""
    counts: tuple[str, ...] = ()
    """Statements that count what a person should know of beside the records, e.g. what knowingly stays out."""
    is_matched_whole: bool = False
    """All of its records are built whenever anything that they are made from has changed."""
    settings: type[Settings] = NoSettings

    @property
    def name(self) -> str:
        """Return the name in logs and of its rejects, e.g. `silver/user`."""
        return f"silver/{self.entity_type}"

    def path(self, step: str) -> Path:
        """Return a statement's file."""
        return SQL / self.table / f"{step}.sql"

    @cached_property
    def rule_version(self) -> int:
        """Return a number for the rules behind the table, so that a changed rule builds every record anew."""
        texts = [self.path(step).read_text(encoding="utf-8") for step in self.steps]
        return zlib.crc32("\n".join([SCHEMA_FILE.read_text(encoding="utf-8"), *texts]).encode())
