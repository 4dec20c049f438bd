"""Mutants tried against the tests that guard their files, several at a time, each in a copy of the project."""

from __future__ import annotations

import queue
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from mutants.mutant import Mutant
from mutants.systems import SYSTEMS, System, guards
from mutants.trees import TestsFailError, Tree, new_tree
from mutants.uses import find_uses

OUTCOMES = ("killed", "timed out", "survived", "excused")
PASSED, FAILED, INTERRUPTED, USAGE = 0, 1, 2, 4


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    outcome: str
    seconds: float = 0.0


def judge(
    name: str, mutants: Sequence[Mutant], excused: Collection[tuple[str, str]], workers: int, seconds: float
) -> Iterator[Verdict]:
    """Yield the verdict on each mutant of a system, in their order; each has so many seconds.

    Raises TestsFailError when the tests fail without any mutant.
    """
    system = SYSTEMS[name]
    trees: queue.SimpleQueue[Tree] = queue.SimpleQueue()
    with ExitStack() as stack:
        first, *others = [stack.enter_context(new_tree()) for _ in range(workers)]
        for tree in (first, *others):
            trees.put(tree)
        tests = _tests(name, system, {mutant.file for mutant in mutants}, first, workers)

        def verdict_on(mutant: Mutant) -> Verdict:
            if (mutant.file, mutant.change) in excused:
                return Verdict(mutant, "excused")
            tree = trees.get()
            try:
                return _try(mutant, tree, system, tests.get(mutant.file, ()), seconds)
            finally:
                trees.put(tree)

        pool = ThreadPoolExecutor(workers)
        stack.callback(_stop, pool, (first, *others))
        yield from pool.map(verdict_on, mutants)


def _stop(pool: ThreadPoolExecutor, trees: Iterable[Tree]) -> None:
    """Begin no further mutant, and end those that are being tried."""
    pool.shutdown(wait=False, cancel_futures=True)
    for tree in trees:
        tree.interrupt()
    pool.shutdown()


def _tests(name: str, system: System, files: set[str], tree: Tree, workers: int) -> Mapping[str, Sequence[str]]:
    """Return the tests of each file, which pass without a mutant."""
    tests: dict[str, Sequence[str]] = {file: used for file, used in guards(name).items() if file in files}
    if modules := sorted({module for used in tests.values() for module in used}):
        tree.test(system, modules, [f"-n{workers}"]).require_success()
    if not files <= tests.keys():
        tests = {**find_uses(name, system, tree, workers), **tests}
    return tests


def _try(mutant: Mutant, tree: Tree, system: System, tests: Sequence[str], seconds: float) -> Verdict:
    """Run the tests of a mutant's file against it, until one fails."""
    if not tests:
        return Verdict(mutant, "survived")
    start = time.monotonic()
    with tree.changed(mutant.file, mutant.text):
        run = tree.test(system, tests, ["-x"], seconds)
    took = time.monotonic() - start
    if run.code is None or "Failed: Timeout" in run.output:
        return Verdict(mutant, "timed out", took)
    if run.code == PASSED:
        return Verdict(mutant, "survived", took)
    if run.code in (FAILED, INTERRUPTED) or (run.code == USAGE and mutant.file.endswith(".py")):
        return Verdict(mutant, "killed", took)
    raise TestsFailError(run)
