"""The gold run: in come published bronze tables, out go the snapshot that they make and its history, published at once.

The whole history is written anew and judged below `temp/`, and moved in at last; there is no moment at which a key has
two current versions or none. The same day again replaces that day. Whatever ends a run early leaves the history as it
was before.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis

from etlkit.errors import ConfigError, DataError
from warehouse.catalog import Catalog
from warehouse.configuration import GoldConfig, config_hash
from warehouse.engines.engine import Engine
from warehouse.gates import Observed, Verdict, judge, judge_rejected, observe, require_passed
from warehouse.history import HASH_VERSION, OPEN, Tracking, aligned, changes, changes_by_column, versions
from warehouse.naming import run_moment, run_prefix
from warehouse.publishing import Pointer, Publication
from warehouse.quarantine import BadRow, BadRows
from warehouse.silver.rules import RULES
from warehouse.silver.snapshot import REASON, Snapshot
from warehouse.staging import Staging
from warehouse.targets.target import Target

if TYPE_CHECKING:
    from ibis.expr import types as ir


@dataclass(frozen=True)
class GoldOptions:
    """What a user may ask of a run."""

    run_id: str
    as_of: date | None = None
    """The day that the snapshot is of; that of the run id where nothing is said."""
    accepts_mass_change: bool = False
    is_forced: bool = False
    is_dry: bool = False

    @property
    def day(self) -> date:
        """Return the day that the snapshot is of."""
        return self.as_of or run_moment(self.run_id).date()


@dataclass(frozen=True)
class Change:
    """What a day does to the history: how many keys are new, changed, gone; by column, in what they changed."""

    before: int
    new: int
    changed: int
    gone: int
    by_column: Mapping[str, int]

    @property
    def unchanged(self) -> int:
        """Return how many keys stay what they are."""
        return self.before - self.changed - self.gone

    @property
    def share(self) -> float:
        """Return how many per cent of the keys that were current changed or are gone."""
        return 100 * (self.changed + self.gone) / self.before if self.before else 0.0

    @property
    def share_gone(self) -> float:
        """Return how many per cent of the keys that were current are gone."""
        return 100 * self.gone / self.before if self.before else 0.0

    def __str__(self) -> str:
        """Return it for a person."""
        columns = ", ".join(f"{name} {count:,}" for name, count in self.by_column.items() if count)
        within = f" ({columns})" if columns else ""
        return f"{self.new:,} new, {self.changed:,} changed{within}, {self.gone:,} gone, {self.unchanged:,} unchanged"


@dataclass(frozen=True)
class SideDone:
    """What became of a source table's rows."""

    source: str
    rows: int
    left_out: Mapping[str, int]
    """By reason."""

    def __str__(self) -> str:
        """Return it for a person."""
        parts = [f"{self.rows - sum(self.left_out.values()):,} in the snapshot"]
        parts += [f"{count:,} left out: {reason}" for reason, count in sorted(self.left_out.items())]
        return f"{self.source}: {self.rows:,} rows = {' + '.join(parts)}"


@dataclass(frozen=True)
class GoldDone:
    """How a run ended."""

    run_id: str
    as_of: date
    is_published: bool = False
    current_run: str | None = None
    """Of unchanged sources: the run that stays."""
    still_open: int = 0
    change: Change | None = None
    snapshot: Observed | None = None
    versions: int = 0
    sides: tuple[SideDone, ...] = ()
    verdicts: Mapping[str, list[Verdict]] = field(default_factory=dict)

    @property
    def quarantined(self) -> int:
        """Return how many rows of the sources are left out."""
        return self.snapshot.quarantined if self.snapshot else 0

    @property
    def lines(self) -> list[str]:
        """Return what became of each source's rows, and of the keys."""
        change = [f"as of {self.as_of}: {self.change}"] if self.change else []
        return [*map(str, self.sides), *change]

    @property
    def sentence(self) -> str:
        """Return how it ended."""
        if self.snapshot is None:
            told = f"; {self.still_open:,} left out rows are still open" if self.still_open else ""
            return f"the sources have not changed; run {self.current_run} stays{told}."
        would = "published" if self.is_published else "would be published (dry run)"
        left_out = f"; {self.quarantined:,} rows of the sources left out" if self.quarantined else ""
        return (
            f"{self.versions:,} versions of {self.snapshot.rows:,} current keys {would} as run {self.run_id}{left_out}."
        )

    @property
    def told(self) -> dict[str, Any]:
        """Return what a JSON object says of it."""
        if self.snapshot is None or self.change is None:
            return {}
        return {
            "as_of": self.as_of.isoformat(),
            "versions": self.versions,
            "change": {**vars(self.change), "unchanged": self.change.unchanged},
            "sources": [vars(side) for side in self.sides],
            "snapshot": self.snapshot.as_told,
            "gates": {name: [vars(verdict) for verdict in found] for name, found in self.verdicts.items()},
        }


class GoldRun:
    """One run of one dataset of the gold layer."""

    def __init__(
        self,
        dataset: GoldConfig,
        target: Target,
        open_engine: Callable[[], Engine],
        options: GoldOptions,
        catalog: Catalog | None = None,
    ) -> None:
        """Keep what the run needs; nothing is touched yet."""
        self._catalog = catalog
        self._dataset = dataset
        self._target = target
        self._open_engine = open_engine
        self._options = options
        self._rule = RULES[dataset.dataset]
        self._publication = Publication(target, dataset.dataset, dataset.layers)
        self._pointer: Pointer | None = None
        business = dataset.temporal_config.business_columns
        rest = [name for name in self._rule.columns if name not in (*dataset.business_key, *business)]
        self._tracking = Tracking(dataset.business_key, business, tuple(rest))

    def run(self) -> GoldDone:
        """Do it: snapshot, gates, history, breaker, publication.

        Raises ConfigError, DataError and LockedError; whichever it is, the history stays what it was.
        """
        options, dataset = self._options, self._dataset
        lock = self._target.lock(dataset.dataset, f"run {options.run_id}")
        with nullcontext() if options.is_dry else lock, tempfile.TemporaryDirectory(prefix="warehouse-") as name:
            if not options.is_dry:
                self._publication.tidy(self._catalog)
            if self._publication.manifest(options.run_id):
                raise ConfigError(f"{dataset.dataset} has a run {options.run_id} already; give another --run-id.")
            self._pointer = self._publication.pointer()
            current = self._publication.current()
            sources = {source: self._source(source) for source in dataset.source_datasets}
            if options.day > run_moment(options.run_id).date() or options.day >= OPEN:
                raise ConfigError(f"--as-of {options.day} is after the run's own day: nobody knows it yet.")
            if current and options.day < date.fromisoformat(current["as_of"]):
                raise ConfigError(
                    f"{dataset.dataset}: --as-of {options.day} is before {current['as_of']}, the day of run "
                    f"{current['run_id']}: what came later is written already.",
                    "Give that day again or a later one, or roll back.",
                )
            if current and not options.is_forced and self._is_unchanged(current, sources):
                still_open = sum(told["quarantined"] for told in current["tables"].values())
                return GoldDone(options.run_id, options.day, current_run=current["run_id"], still_open=still_open)
            with closing(self._open_engine()) as engine:
                staging = Staging(self._target, engine, dataset.dataset, options.run_id, Path(name))
                try:
                    return self._make(staging, sources, current)
                finally:
                    staging.clear()

    def _source(self, name: str) -> dict[str, Any]:
        """Return the manifest of what a source has published; ConfigError where that is nothing or lacks a column."""
        manifest = Publication(self._target, name).current()
        if manifest is None:
            raise ConfigError(
                f"{name}, of which {self._dataset.dataset} is made, was never published.", "Run it first."
            )
        for (source, table), columns in self._rule.reads.items():
            told = manifest["tables"].get(table, {}).get("schema", ()) if source == name else None
            types = {column: kind.removeprefix("!") for column, kind in told or ()}
            if told is not None and (unfit := self._rule.unfit(columns, types)):
                raise DataError(
                    f"{name}, {table}: run {manifest['run_id']} has no {', '.join(unfit)}.",
                    "Run it again with today's configuration.",
                )
        return manifest

    def _is_unchanged(self, current: Mapping[str, Any], sources: Mapping[str, Mapping[str, Any]]) -> bool:
        """Tell whether the current run was made of the same runs of its sources under the same configuration."""
        made_of = {name: told["run_id"] for name, told in current["sources"].items()}
        same = made_of == {name: told["run_id"] for name, told in sources.items()}
        return same and current["config_hash"] == config_hash(self._dataset)

    def _make(
        self, staging: Staging, sources: Mapping[str, Mapping[str, Any]], current: Mapping[str, Any] | None
    ) -> GoldDone:
        """Make the snapshot and the history, judge them, publish them."""
        dataset, engine, options = self._dataset, staging.engine, self._options
        history, silver = dataset.tables
        snapshot = self._snapshot(staging, sources)
        engine.write_parquet(snapshot.rows, staging.place(silver))
        rows = engine.read_parquet(staging.place(silver))
        bad = BadRows(staging.folder / "left-out")
        sides = tuple(self._left_out(engine, snapshot, bad))
        observed = observe(engine, rows, dataset.data_quality, [*rows.columns], bad.count)
        gates = dataset.data_quality
        verdicts = {
            "sources": self._judge_sources(sides, current),
            silver: [*judge(gates, observed, None), *self._judge_keys(engine, rows)],
        }
        if gates.max_rejected_pct is not None:
            verdicts[silver].append(judge_rejected(gates, sum(side.rows for side in sides), bad.count))
        require_passed(dataset.dataset, {silver: verdicts[silver]})
        earlier = self._earlier(staging, current, rows)
        change = self._change(engine, earlier, rows, options.day)
        verdicts[history] = [*self._judge_change(engine, earlier, rows, change, current)]
        self._require_no_mass_change([*verdicts["sources"], *verdicts[history]], change)
        engine.write_parquet(versions(earlier, rows, self._tracking, options.day), staging.place(history))
        count = self._checked_count(engine, engine.read_parquet(staging.place(history)), observed.rows)
        done = GoldDone(
            options.run_id, options.day, not options.is_dry, change=change, snapshot=observed, versions=count,
            sides=sides, verdicts=verdicts,
        )  # fmt: skip
        if not options.is_dry:
            self._publish(staging, sources, done, bad)
        return done

    def _snapshot(self, staging: Staging, sources: Mapping[str, Mapping[str, Any]]) -> Snapshot:
        """Return the expressions of the snapshot on the source's published files."""
        tables = {}
        for number, (source, table) in enumerate(self._rule.reads):
            files = sources[source]["tables"][table]["files"]
            tables[source, table] = staging.engine.read_files(staging.brought(files, f"source-{number}"))
        return self._rule.make(tables)

    def _left_out(self, engine: Engine, snapshot: Snapshot, bad: BadRows) -> Iterator[SideDone]:
        """Keep the rows that are not in the snapshot; yield what became of each source's rows."""
        with bad:
            for (source, table), side in snapshot.sides.items():
                told = source if source == table else f"{source}, {table}"
                names = [name for name in side.columns if not name.startswith("meta_") and name != REASON]
                texts = side.select(
                    "meta_source_file", REASON, *(side[name].cast("string").name(name) for name in names)
                )
                counts: dict[str, int] = {}
                for row in engine.stream(texts.filter(texts[REASON].notnull())):
                    raw = {name: row[name] for name in names if row[name] is not None}
                    line = json.dumps(raw, ensure_ascii=False)
                    bad.add(BadRow(f"{told}: {row['meta_source_file']}", None, None, row[REASON], line))
                    counts[row[REASON]] = counts.get(row[REASON], 0) + 1
                yield SideDone(told, engine.fetch_one(side.aggregate(rows=side.count()))["rows"], counts)

    def _judge_sources(self, sides: Iterable[SideDone], current: Mapping[str, Any] | None) -> list[Verdict]:
        """Return the verdict on how many of its rows each source has lost since the run before."""
        limit = self._dataset.data_quality.max_source_drop_pct
        before = current["source_rows"] if current else {}
        drops = {
            side.source: max(0.0, 100 * (before[side.source] - side.rows) / before[side.source])
            for side in sides
            if before.get(side.source)
        }
        return [
            Verdict(f"max_source_drop_pct of {source}", round(drop, 4), limit, drop <= limit)
            for source, drop in drops.items()
        ]

    def _judge_keys(self, engine: Engine, rows: ir.Table) -> Iterator[Verdict]:
        """Yield the verdict on keys that are null or repeated: a snapshot has none."""
        key = self._dataset.business_key
        has_null = ibis.or_(*(rows[name].isnull() for name in key))
        found = engine.fetch_one(rows.aggregate(nulls=has_null.sum().fill_null(0), rows=rows.count()))
        keys = rows.select(*key).distinct()
        repeated = found["rows"] - engine.fetch_one(keys.aggregate(n=keys.count()))["n"]
        for gate, count in (("keys without a value", found["nulls"]), ("repeated keys", repeated)):
            yield Verdict(gate, int(count), 0, int(count) == 0)

    def _earlier(self, staging: Staging, current: Mapping[str, Any] | None, rows: ir.Table) -> ir.Table | None:
        """Return the versions so far, in the columns of today; None before the first run."""
        if current is None:
            return None
        told = current["tracking"]
        was = (tuple(told["key"]), tuple(told["tracked"]), told["hash_version"])
        if was[0] != self._tracking.key:
            raise ConfigError(
                f"{self._dataset.dataset}: business_key is {', '.join(self._tracking.key)}, but the history is by "
                f"{', '.join(was[0])}.",
                "A history of another key is another dataset.",
            )
        published = current["tables"][self._dataset.tables[0]]["files"]
        files = staging.engine.read_files(staging.brought(published, "history"))
        is_same = was[1:] == (tuple(sorted(self._tracking.tracked)), HASH_VERSION)
        for name in rows.columns:
            if name in files.columns and type(files[name].type()) is not type(rows[name].type()):
                raise DataError(
                    f"{self._dataset.dataset}: {name} is {rows[name].type()} today, and {files[name].type()} in the "
                    "history.",
                    "Nothing was published; a column of another type needs another name.",
                )
        return aligned(files, rows, self._tracking, is_hashed_alike=is_same)

    def _judge_change(
        self,
        engine: Engine,
        earlier: ir.Table | None,
        rows: ir.Table,
        change: Change,
        current: Mapping[str, Any] | None,
    ) -> Iterator[Verdict]:
        """Yield the verdicts on how much changes: of the days before, and of what this day has published already."""
        day, gates = self._options.day, self._dataset.data_quality
        seen = [change]
        if current and current["as_of"] == day.isoformat():
            seen.append(self._change(engine, earlier, rows, day + timedelta(days=1)))
        for gate, limit, shares in (
            ("max_change_pct", gates.max_change_pct, [one.share for one in seen]),
            ("max_gone_pct", gates.max_gone_pct, [one.share_gone for one in seen]),
        ):
            yield Verdict(gate, round(max(shares), 4), limit, max(shares) <= limit)

    def _change(self, engine: Engine, earlier: ir.Table | None, rows: ir.Table, day: date) -> Change:
        """Return what the snapshot does to the history as of a day."""
        tracking = self._tracking
        found = engine.fetch_one(changes(earlier, rows, tracking, day))
        counts = {name: int(found[name]) for name in ("before", "new", "changed", "gone")}
        by_column: dict[str, Any] = {}
        if earlier is not None and counts["changed"]:
            by_column = engine.fetch_one(changes_by_column(earlier, rows, tracking, day))
        return Change(**counts, by_column={name: int(count) for name, count in sorted(by_column.items())})

    def _require_no_mass_change(self, verdicts: Iterable[Verdict], change: Change) -> None:
        """Raise DataError for a day that changes more than it may, unless the user says that it is right."""
        failed = [str(verdict) for verdict in verdicts if not verdict.passed]
        if failed and not self._options.accepts_mass_change:
            raise DataError(
                f"{self._dataset.dataset} as of {self._options.day} would have {change}: {'; '.join(failed)}.",
                "Nothing was published. If that is right, run again with --accept-mass-change.",
            )

    def _checked_count(self, engine: Engine, history: ir.Table, keys: int) -> int:
        """Return how many versions were written; DataError where not each key of the snapshot has a current one."""
        current = history.filter(history["status"] == "current")
        distinct = current.select(*self._tracking.key).distinct()
        found = engine.fetch_one(current.aggregate(n=current.count()))["n"]
        apart = engine.fetch_one(distinct.aggregate(n=distinct.count()))["n"]
        if not keys == found == apart:
            raise DataError(
                f"{self._dataset.dataset}: of {keys:,} keys {apart:,} are current, in {found:,} versions.",
                "Nothing was published; please report it.",
            )
        count: int = engine.fetch_one(history.aggregate(n=history.count()))["n"]
        return count

    def _publish(
        self, staging: Staging, sources: Mapping[str, Mapping[str, Any]], done: GoldDone, bad: BadRows
    ) -> None:
        """Bring everything below `temp/`, and publish it from there."""
        dataset, run_id = self._dataset, self._options.run_id
        tables: dict[str, Any] = {}
        for table in dataset.tables:
            written = staging.engine.read_parquet(staging.place(table))
            tables[table] = {
                "rows": done.versions, "quarantined": 0, "nulls": {}, "nulled": {}, "repaired": {}, "repeated": 0,
                "files": staging.take(table, run_prefix(dataset, table, run_id)),
                "schema": [(name, str(kind)) for name, kind in written.schema().items()],
                "gates": [vars(verdict) for verdict in done.verdicts[table]],
            }  # fmt: skip
        if done.snapshot:
            tables[dataset.tables[1]] |= done.snapshot.as_told
        if bad.count:
            tables[dataset.tables[1]]["quarantine"] = staging.take_quarantine(dataset.tables[1], bad.path)
        manifest = {
            "dataset": dataset.dataset,
            "layer": dataset.layer,
            "engine": staging.engine.name,
            "as_of": done.as_of.isoformat(),
            "config_hash": config_hash(dataset),
            "sources": {
                name: {"run_id": told["run_id"], "sha256": told["source"]["sha256"]} for name, told in sources.items()
            },
            "source_rows": {side.source: side.rows for side in done.sides},
            "tracking": {
                "key": self._tracking.key, "tracked": sorted(self._tracking.tracked), "hash_version": HASH_VERSION,
            },
            "change": vars(done.change) if done.change else None,
            "gates": [vars(verdict) for verdict in done.verdicts["sources"]],
            "tables": tables,
        }  # fmt: skip
        self._publication.publish(run_id, manifest, staging.moved, self._pointer, self._catalog)
