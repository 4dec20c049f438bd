"""What is mutated, and by which tests each system guards it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
_HUB = "systems/people_hub"
_BRONZE = f"{_HUB}/people_hub/bronze"


@dataclass(frozen=True)
class System:
    """A system's folder, the patterns of its test modules and of its statements, and its modules with their tests."""

    folder: str
    tests: tuple[str, ...]
    statements: tuple[str, ...]
    modules: dict[str, tuple[str, ...]] = field(default_factory=dict)


SYSTEMS = {
    "museum": System(
        ".",
        ("tests/test_*.py", "tests/live/test_*.py", "tests/dashboard/test_*.py"),
        ("sql/load/*.sql", "sql/live/*.sql"),
        {
            "museum/accounting.py": (
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
        (f"{_HUB}/people_hub/sql/*.sql",),
        {
            f"{_HUB}/people_hub/accounting.py": ("tests/test_hub_edges.py", "tests/test_changes.py"),
            f"{_BRONZE}/canonical.py": ("tests/test_hub_edges.py", "tests/test_canonical.py"),
            f"{_BRONZE}/fingerprints.py": ("tests/test_hub_edges.py", "tests/test_fingerprints.py"),
        },
    ),
}


def mutated_files(name: str) -> list[str]:
    """Return what is mutated of a system."""
    system = SYSTEMS[name]
    statements = sorted(path for pattern in system.statements for path in PROJECT_DIR.glob(pattern))
    return [*(str(path.relative_to(PROJECT_DIR)) for path in statements), *system.modules]
