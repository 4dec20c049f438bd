"""What is mutated, and by which tests each system guards it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
_HUB = "systems/people_hub"
_BRONZE = f"{_HUB}/people_hub/bronze"
_SILVER = f"{_HUB}/people_hub/sql"


@dataclass(frozen=True)
class System:
    """What is mutated of a system.

    `tests` and `statements` are patterns: which test uses which statement is found by a run of them all. `guarded` are
    patterns of modules, and of statements that every run opens together, with their tests, quick ones first; of several
    patterns the first counts.
    """

    folder: str
    tests: tuple[str, ...]
    statements: tuple[str, ...]
    guarded: dict[str, tuple[str, ...]] = field(default_factory=dict)


_SUBJECTS = {"departments": "departments", "users": "people", "groups": "groups", "computers": "computers"}
_OF_A_RECORD = ("flags", "cases", "values", "people")
_OF_A_RUN = ("values", "flags", "cases", "fields", "runs", "laws", "histories")
"""Tests of silver's statements: a record is judged by itself, what is read and written shows over several runs."""

_HUB_NOUNS = ("head", "version", "listing", "tombstone", "detail", "reject", "stream")
_NOUNS = ("first_load", "exhibition", "hour", "message", "object", "partition", "press", "reject", "run")
"""The museum's statements that guard data; what DuckDB, pages and demos ask is left out."""

SYSTEMS = {
    "museum": System(
        ".",
        ("tests/test_*.py", "tests/live/test_*.py", "tests/dashboard/test_*.py"),
        tuple(f"sql/{noun}/*.sql" for noun in _NOUNS),
        {
            "museum/batch/load_summary.py": (
                "tests/test_load_summary.py",
                "tests/test_accounting.py",
                "tests/test_load_rejects.py",
            ),
            "museum/exhibitions.py": (
                "tests/test_exhibition_edges.py",
                "tests/test_transform.py",
                "tests/test_odd_files.py",
            ),
            "museum/kiosk.py": (
                "tests/test_kiosk_edges.py",
                "tests/test_kiosk.py",
                "tests/live/test_message.py",
                "tests/test_odd_files.py",
            ),
            "museum/live/claims.py": (
                "tests/live/test_claim_edges.py",
                "tests/live/test_live_statement_guards.py",
                "tests/live/test_topic_changes.py",
                "tests/live/test_offsets.py",
            ),
        },
    ),
    "kit": System(".", ("tests/etlkit/test_*.py",), ("etlkit/sql/[!m]*.sql",)),
    "people_hub": System(
        _HUB,
        ("tests/test_*.py",),
        tuple(f"{_HUB}/people_hub/sql/{noun}/*.sql" for noun in _HUB_NOUNS),
        {
            f"{_HUB}/people_hub/accounting.py": ("tests/test_hub_edges.py", "tests/test_changes.py"),
            f"{_BRONZE}/canonical.py": ("tests/test_hub_edges.py", "tests/test_canonical.py"),
            f"{_BRONZE}/fingerprints.py": ("tests/test_hub_edges.py", "tests/test_fingerprints.py"),
            **{
                f"{_SILVER}/{folder}/{pattern}": tuple(f"tests/test_silver_{tests}.py" for tests in (subject, *others))
                for folder, subject in _SUBJECTS.items()
                for pattern, others in (("stage_record.sql", _OF_A_RECORD), ("*.sql", _OF_A_RUN))
            },
            f"{_SILVER}/silver/*.sql": tuple(f"tests/test_silver_{tests}.py" for tests in ("people", *_OF_A_RUN)),
        },
    ),
}


def mutated_files(name: str) -> list[str]:
    """Return what is mutated of a system."""
    system = SYSTEMS[name]
    return list(dict.fromkeys((*_matching(system.statements), *_matching(system.guarded))))


def guards(name: str) -> dict[str, tuple[str, ...]]:
    """Return the tests of each file that has its own."""
    patterns = reversed(SYSTEMS[name].guarded.items())
    return {file: tests for pattern, tests in patterns for file in _matching([pattern])}


def _matching(patterns: Iterable[str]) -> list[str]:
    """Return the files of some patterns, in the order of the patterns."""
    return [str(path.relative_to(PROJECT_DIR)) for pattern in patterns for path in sorted(PROJECT_DIR.glob(pattern))]
