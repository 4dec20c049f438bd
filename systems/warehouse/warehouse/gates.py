"""The gates: in comes a written table, out goes a verdict on each gate, with what was observed and what allowed.

A failing gate leaves what is published as it is. They look at the written file, so that what is judged is what is
published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import ibis

from etlkit.errors import DataError
from warehouse.configuration import META_NULLED, META_REPAIRED, DatasetConfig, Gates
from warehouse.naming import run_moment

if TYPE_CHECKING:
    from ibis.expr import types as ir

    from warehouse.engines.engine import Engine

DEFAULT_DROP_PCT = 10.0
DEFAULT_REJECTED_PCT = 10.0
_EVERY_OTHER = "*"


@dataclass(frozen=True)
class Verdict:
    """One gate of one table: what was observed, what was allowed."""

    gate: str
    observed: float
    limit: float
    passed: bool

    def __str__(self) -> str:
        """Return it for a person."""
        return f"{self.gate}: {self.observed:g}, allowed {self.limit:g}"


@dataclass(frozen=True)
class Observed:
    """What the written table and the run say of a table."""

    rows: int
    quarantined: int
    nulls: Mapping[str, int]
    nulled: Mapping[str, int]
    """Bad values that became null, by column."""
    repaired: Mapping[str, int]
    repeated: int
    """Rows whose key another row has, too, but for one of each key."""

    @property
    def as_told(self) -> dict[str, Any]:
        """Return it for a manifest, without the columns of which there is nothing to say."""
        return {
            name: {column: count for column, count in found.items() if count} if isinstance(found, Mapping) else found
            for name, found in asdict(self).items()
        }


def observe(engine: Engine, table: ir.Table, gates: Gates, names: list[str], quarantined: int) -> Observed:
    """Ask a written table what the gates judge, in one pass and one more for the key."""
    figures: dict[str, ir.Scalar] = {"rows": table.count()}
    for number, name in enumerate(names):
        figures[f"null_{number}"] = table[name].isnull().sum()
        told_in = (("nulled", META_NULLED), ("repaired", META_REPAIRED)) if META_NULLED in table.columns else ()
        for kind, column in told_in:
            told = ibis.literal(",") + table[column].fill_null("")
            figures[f"{kind}_{number}"] = told.contains(f",{name},").sum()
    found = engine.fetch_one(table.aggregate(**figures))
    repeated = 0
    if gates.unique_key and {*gates.unique_key} <= {*names}:  # a dataset's gate binds the tables that have its columns
        keys = table.filter(*(table[name].notnull() for name in gates.unique_key))
        counted = keys.aggregate(rows=keys.count()), keys.select(*gates.unique_key).distinct()
        repeated = (
            engine.fetch_one(counted[0])["rows"] - engine.fetch_one(counted[1].aggregate(n=counted[1].count()))["n"]
        )

    def of(kind: str) -> dict[str, int]:
        return {name: int(found.get(f"{kind}_{number}") or 0) for number, name in enumerate(names)}

    return Observed(int(found["rows"]), quarantined, of("null"), of("nulled"), of("repaired"), repeated)


def judge(gates: Gates, observed: Observed, earlier_rows: int | None) -> list[Verdict]:
    """Return the verdict on every gate that binds a table."""
    return list(_verdicts(gates, observed, earlier_rows))


def judge_rejected(gates: Gates, rows_in: int, quarantined: int) -> Verdict:
    """Return the verdict on how many rows are bad, which needs no written table."""
    limit = DEFAULT_REJECTED_PCT if gates.max_rejected_pct is None else gates.max_rejected_pct
    share = 100 * quarantined / rows_in if rows_in else 0.0
    return Verdict("max_rejected_pct", round(share, 4), limit, share <= limit)


def judge_age(dataset: DatasetConfig, run_id: str, modified: datetime | None) -> list[Verdict]:
    """Return the verdict on the age of a source, which is counted from when the run began."""
    limit = dataset.data_quality.max_source_age_days
    if limit is None:
        return []
    if modified is None:
        raise DataError(
            f"{dataset.dataset}: max_source_age_days is set, but the source does not say when it was modified.",
            "Nothing was published.",
        )
    days = (run_moment(run_id) - modified).total_seconds() / 86_400
    return [Verdict("max_source_age_days", round(days, 2), limit, days <= limit)]


def require_passed(dataset: str, verdicts: Mapping[str, list[Verdict]]) -> None:
    """Raise DataError that names every gate that failed."""
    failed = [f"{table} {verdict}" for table, found in verdicts.items() for verdict in found if not verdict.passed]
    if failed:
        raise DataError(
            f"{dataset}: {len(failed)} gate(s) failed: {'; '.join(failed)}.",
            "What was published before stays. Mend the source, or change data_quality.",
        )


def _verdicts(gates: Gates, observed: Observed, earlier_rows: int | None) -> Iterator[Verdict]:
    """Yield the verdicts."""
    rows = observed.rows
    least = gates.expected_record_count_min if gates.expected_record_count_min is not None else 1
    yield Verdict("expected_record_count_min", rows, least, rows >= least)
    if earlier_rows:
        limit = DEFAULT_DROP_PCT if gates.max_drop_pct is None else gates.max_drop_pct
        drop = max(0.0, 100 * (earlier_rows - rows) / earlier_rows)
        yield Verdict("max_drop_pct", round(drop, 4), limit, drop <= limit)
    for name in (name for name in gates.required_columns or () if name in observed.nulls):
        yield _rate(
            f"critical_null_threshold of {name}", observed.nulls[name], rows, gates.critical_null_threshold or 0
        )
    limits = gates.max_null_rate or {}
    for name in limits.keys() & observed.nulls.keys():
        yield _rate(f"max_null_rate of {name}", observed.nulls[name], rows, limits[name])
    failures = gates.max_parse_failure_rate or {}
    for name, count in observed.nulled.items():
        if (allowed := failures.get(name, failures.get(_EVERY_OTHER))) is not None:
            yield _rate(f"max_parse_failure_rate of {name}", count, rows, allowed)
    if gates.unique_key and {*gates.unique_key} <= observed.nulls.keys():
        share = 100 * observed.repeated / rows if rows else 0.0
        limit = gates.max_duplicate_pct or 0.0
        yield Verdict(f"max_duplicate_pct of {', '.join(gates.unique_key)}", round(share, 4), limit, share <= limit)


def _rate(gate: str, count: int, rows: int, limit: float) -> Verdict:
    """Return the verdict on a share of the rows."""
    share = count / rows if rows else 0.0
    return Verdict(gate, round(share, 6), limit, share <= limit)
