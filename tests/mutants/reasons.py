"""The mutants that may live, each with its reason."""

from __future__ import annotations

import tomllib
from pathlib import Path

REASONS = Path(__file__).parent / "reasons.toml"


def read_reasons() -> dict[tuple[str, str], str]:
    """Return the reason of each excused mutant, by file and change."""
    with REASONS.open("rb") as stream:
        groups = tomllib.load(stream)["reason"]
    return {(group["file"], change): group["why"] for group in groups for change in group["changes"]}
