"""Run the tests against mutants of what guards data; see CONTRIBUTING.md and docs/decisions/0014-mutants.md."""

from __future__ import annotations

import argparse
import re
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from mutants.judging import OUTCOMES, Verdict, judge
from mutants.modules import module_mutants
from mutants.mutant import Mutant
from mutants.reasons import REASONS, read_reasons
from mutants.statements import statement_mutants
from mutants.systems import PROJECT_DIR, SYSTEMS, mutated_files
from mutants.trees import TestsFailError


def main() -> int:
    """Try the mutants; return 1 when one survives without a reason, or a reason's mutant is not there any more."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--system", choices=SYSTEMS, help="only this system's mutants")
    parser.add_argument("--only", default="", metavar="PATTERN", help="only where `file: change` matches this")
    parser.add_argument("--workers", type=int, default=2, help="how many are tried at a time")
    parser.add_argument("--seconds", type=float, default=900, help="the limit of one mutant's tests")
    parser.add_argument("--list", action="store_true", help="only list them")
    flags = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job would pass over the first
        signal.signal(number, signal.default_int_handler)
    reasons = read_reasons()
    verdicts: list[Verdict] = []
    files = {file for name in SYSTEMS for file in mutated_files(name)}
    missing = [key for key in reasons if key[0] not in files]
    for name in [flags.system] if flags.system else SYSTEMS:
        mutants = list(_mutants(name))
        there = {(mutant.file, mutant.change) for mutant in mutants}
        missing += [key for key in reasons if key[0] in mutated_files(name) and key not in there]
        chosen = [mutant for mutant in mutants if re.search(flags.only, f"{mutant.file}: {mutant.change}")]
        if flags.list:
            print(*(f"{mutant.file}: {mutant.change}" for mutant in chosen), sep="\n")
        elif chosen:
            for verdict in judge(name, chosen, reasons, flags.workers, flags.seconds):
                print(f"{verdict.outcome} {verdict.seconds:.0f} s {verdict.mutant.file}: {verdict.mutant.change}")
                sys.stdout.flush()
                verdicts.append(verdict)
    if not flags.list:
        print(*_table(verdicts), sep="\n")
    survivors = [verdict.mutant for verdict in verdicts if verdict.outcome == "survived"]
    for mutant in survivors:
        print(f"survived: {mutant.file}\n    {mutant.change}")
    for file, change in missing:
        print(f"{REASONS.name} excuses what is not there: {file}\n    {change}")
    return 1 if survivors or missing else 0


def _mutants(name: str) -> Iterator[Mutant]:
    """Yield a system's mutants, file by file."""
    for file in mutated_files(name):
        text = (PROJECT_DIR / file).read_text(encoding="utf-8")
        yield from (statement_mutants if file.endswith(".sql") else module_mutants)(file, text)


def _table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yield the lines of the result."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for verdict in verdicts:
        counts[verdict.mutant.file][verdict.outcome] += 1
    rows = [*counts.items(), ("all", sum(counts.values(), Counter()))]
    width = max(len(name) for name, _ in rows)
    yield "  ".join(["file".ljust(width), "mutants", *OUTCOMES])
    for name, found in rows:
        figures = (str(found[outcome]).rjust(len(outcome)) for outcome in OUTCOMES)
        yield "  ".join([name.ljust(width), str(found.total()).rjust(len("mutants")), *figures])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TestsFailError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
