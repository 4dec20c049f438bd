"""Name the statements that no test of a traced run opened, and end with 1 if there are any.

In comes the trace that mutants/tracing writes, by path; nothing is written. `make test-postgres-15` ends with it,
so that every statement has run on the oldest Postgres.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parent.parent
STATEMENTS = ("*.sql", "etlkit/sql/**/*.sql", "sql/**/*.sql", "systems/*/*.sql", "systems/*/*/sql/**/*.sql")
OF_DEMOS = PROJECT_DIR / "sql" / "demo"
"""They have a server of their own, which is never the oldest."""


def untried(trace: Path) -> list[str]:
    """Return the statements that are not in the trace."""
    tried = {Path(line.rpartition("\t")[2]).resolve() for line in trace.read_text(encoding="utf-8").splitlines()}
    found = {path for pattern in STATEMENTS for path in PROJECT_DIR.glob(pattern)}
    return sorted(str(path.relative_to(PROJECT_DIR)) for path in found - tried if path.parent != OF_DEMOS)


if __name__ == "__main__":
    if missing := untried(Path(sys.argv[1])):
        sys.exit(f"error: no test marked database runs {', '.join(missing)}")
