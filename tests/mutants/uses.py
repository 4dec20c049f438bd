"""Which tests use which statement, and how long they take: they are run once, and again when they have changed."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mutants.systems import PROJECT_DIR, System
from mutants.trees import SECONDS, Tree

TRACING = Path(__file__).parent / "tracing"
_GROUP = re.compile(r"@\w+$")


def find_uses(name: str, system: System, tree: Tree, workers: int) -> dict[str, list[str]]:
    """Return the tests of each statement, those of few statements and quick ones first.

    Test modules that are new or changed are run once.
    """
    cache = PROJECT_DIR / ".local" / "mutants-uses" / f"{name}.json"
    known: dict[str, Any] = json.loads(cache.read_text(encoding="utf-8")) if cache.exists() else {}
    modules = {module: _digest(PROJECT_DIR / system.folder / module) for module in _modules(system)}
    stale = [module for module, digest in modules.items() if known.get(module, {}).get("digest") != digest]
    if stale:
        print(f"running {len(stale)} test modules of {name} once, to see which statements they use", flush=True)
        found = _trace(system, tree, stale, workers)
        known.update({module: {"digest": modules[module], "tests": found[module]} for module in stale})
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps(known, indent=1), encoding="utf-8")
    tests = defaultdict(list)
    used = (known[module]["tests"] for module in modules)
    for test, (seconds, statements) in (item for found in used for item in found.items()):
        for statement in statements:
            tests[statement].append((len(statements), seconds, test))
    return {statement: [test for *_, test in sorted(found)] for statement, found in tests.items()}


def _modules(system: System) -> Iterator[str]:
    """Yield a system's test modules."""
    folder = PROJECT_DIR / system.folder
    for pattern in system.tests:
        found = sorted(str(path.relative_to(folder)) for path in folder.glob(pattern))
        yield from (module for module in found if not module.endswith("test_demo.py"))  # demos leave servers behind


def _digest(path: Path) -> str:
    """Return a text that changes when a file does."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _trace(system: System, tree: Tree, modules: Iterable[str], workers: int) -> dict[str, dict[str, Any]]:
    """Run test modules; return for each the seconds and the statements of its tests."""
    statements, durations = tree.root / ".statements", tree.root / ".durations"
    for path in (statements, durations):
        path.write_text("", encoding="utf-8")
    variables = {"PYTHONPATH": str(TRACING), "STATEMENT_TRACE": str(statements), "DURATION_TRACE": str(durations)}
    tree.test(system, modules, [f"-n{workers}", "-pdurations"], SECONDS, variables).require_success()
    used: dict[str, set[str]] = defaultdict(set)
    for test, noted in _rows(statements):
        path = Path(noted)
        if path.is_relative_to(tree.root):
            used[test].add(str(path.relative_to(tree.root)))
    seconds: dict[str, float] = defaultdict(float)
    for test, duration in _rows(durations):
        seconds[test] += float(duration)
    found: dict[str, dict[str, Any]] = {module: {} for module in modules}
    for test in sorted(used.keys() & seconds.keys()):
        found[test.split("::", 1)[0]][test] = round(seconds[test], 2), sorted(used[test])
    return found


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    """Yield a trace's tests, without the group that pytest-xdist writes behind their ids, and what was noted."""
    for line in path.read_text(encoding="utf-8").splitlines():
        test, _, noted = line.rpartition("\t")
        yield _GROUP.sub("", test), noted
