"""What a file may cost before it is refused as a bomb."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20
LONGEST_CELL = MIB
"""Characters of a cell, and of a line."""
MOST_HEADER_COLUMNS = 16_384
"""As many as a sheet has."""


@dataclass(frozen=True)
class Limits:
    """The sizes that the settings allow, in bytes."""

    file_bytes: int = 5 * 1024 * MIB
    unpacked_bytes: int = 10 * 1024 * MIB
    """What an archive or a workbook may become, and the plain file that is made of one."""
    part_bytes: int = 64 * MIB
    """What any part of a workbook but a sheet may become, since it is read into memory whole."""
    engine_bytes: int = 140 * MIB
    """What the fast path may hold in memory."""
    keys_in_memory: int = 500_000
    """Keys that the judge remembers before they go to disk."""
