"""The bronze run: in comes a dataset's source, out go its tables, published together, or nothing.

Kill-and-fill: everything is made anew below `temp/`, judged there, and moved in at last. An unchanged source under an
unchanged configuration is not read again. Whatever ends a run early leaves what was published before, and the next run
removes what is left of it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import ibis

from etlkit.errors import ConfigError, DataError
from warehouse.catalog import Catalog
from warehouse.columns import TypedTable, layout_of, typed
from warehouse.configuration import DatasetConfig, config_hash
from warehouse.engines.engine import Engine
from warehouse.gates import Observed, Verdict, judge, judge_age, judge_rejected, observe, require_passed
from warehouse.naming import run_prefix
from warehouse.publishing import Pointer, Publication
from warehouse.quarantine import Quarantine, count_blank
from warehouse.raw_files import (
    Source,
    fetch_archive,
    fetch_endpoints,
    fetch_nlm_release,
    from_archive,
    from_folder,
    from_raw,
    store_raw,
)
from warehouse.sources.api import read_records
from warehouse.sources.download import Fetched, Patience
from warehouse.staging import Staging
from warehouse.targets.target import Target
from warehouse.work_files import Form, WorkFile, add_file, read_header, write_records


@dataclass(frozen=True)
class Options:
    """What a user may ask of a run."""

    run_id: str
    from_raw: str | None = None
    from_file: Path | None = None
    is_forced: bool = False
    is_dry: bool = False
    patience: Patience = field(default_factory=Patience)
    release_date: date | None = None
    """Which release is wanted of a source that has some; the current one where nothing is said."""
    read_key: Callable[[], str | None] = lambda: None
    """Reads the key of a source that wants one, when it is asked."""


@dataclass(frozen=True)
class TableDone:
    """What became of one table: where its rows went."""

    table: str
    rows_in: int
    observed: Observed
    bad_rows_file: Path
    """Of those that are quarantined; it is there if there are any."""
    blank: int
    schema: list[tuple[str, str]]


@dataclass(frozen=True)
class RunDone:
    """How a run ended."""

    run_id: str
    is_published: bool
    tables: list[TableDone] = field(default_factory=list)
    verdicts: Mapping[str, list[Verdict]] = field(default_factory=dict)
    current_run: str | None = None
    """Of an unchanged source: the run that stays."""
    still_open: int = 0
    """Of an unchanged source: how many rows of the run that stays are quarantined."""

    @property
    def quarantined(self) -> int:
        """Return how many rows are quarantined."""
        return sum(done.observed.quarantined for done in self.tables)

    @property
    def told(self) -> dict[str, Any]:
        """Return what a JSON object says of it."""
        return {
            "tables": {
                one.table: {
                    "rows_in": one.rows_in,
                    **one.observed.as_told,
                    "gates": [vars(verdict) for verdict in self.verdicts.get(one.table, ())],
                }
                for one in self.tables
            }
        }

    @property
    def lines(self) -> list[str]:
        """Return what became of each table's rows."""
        return [
            f"{one.table}: {one.rows_in:,} rows in = {one.observed.rows:,} typed + "
            f"{one.observed.quarantined:,} quarantined"
            + "".join(f"; {count:,} bad {name} became null" for name, count in one.observed.nulled.items() if count)
            + "".join(f"; {count:,} {name} repaired" for name, count in one.observed.repaired.items() if count)
            for one in self.tables
        ]

    @property
    def sentence(self) -> str:
        """Return how it ended."""
        if not self.tables:
            told = f"; {self.still_open:,} quarantined rows are still open" if self.still_open else ""
            return f"the source has not changed; run {self.current_run} stays{told}."
        rows = sum(one.observed.rows for one in self.tables)
        would = "published" if self.is_published else "would be published (dry run)"
        quarantined = f"; {self.quarantined:,} rows quarantined" if self.quarantined else ""
        return f"{rows:,} rows of {len(self.tables)} table(s) {would} as run {self.run_id}{quarantined}."


class BronzeRun:
    """One run of one dataset."""

    def __init__(
        self,
        dataset: DatasetConfig,
        target: Target,
        open_engine: Callable[[], Engine],
        open_source: Callable[[str], Target],
        options: Options,
        catalog: Catalog | None = None,
    ) -> None:
        """Keep what the run needs; nothing is touched yet. `open_source` opens a folder or bucket to read from."""
        self._catalog = catalog
        self._dataset = dataset
        self._target = target
        self._open_engine = open_engine
        self._open_source = open_source
        self._options = options
        self._publication = Publication(target, dataset.dataset, dataset.layers)
        self._form = Form(dataset.encoding, dataset.delimiter, dataset.quote_mark)
        self._release: date | None = None
        self._config_hash = config_hash(dataset)
        self._pointer: Pointer | None = None

    def run(self) -> RunDone:
        """Do it: source, raw, tables, gates, publication.

        Raises SourceError, DataError and LockedError; whichever it is, what was published before stays.
        """
        options, dataset = self._options, self._dataset
        lock = self._target.lock(dataset.dataset, f"run {options.run_id}")
        with nullcontext() if options.is_dry else lock, tempfile.TemporaryDirectory(prefix="warehouse-") as name:
            folder = Path(name)
            if not options.is_dry:
                self._publication.tidy(self._catalog)
            if self._publication.manifest(options.run_id):
                raise ConfigError(f"{dataset.dataset} has a run {options.run_id} already; give another --run-id.")
            self._pointer = self._publication.pointer()
            current = self._current()
            source = self._source(current, folder)
            if source is None or self._is_unchanged(source, current):
                return _unchanged(options.run_id, current)
            if not options.is_dry and not options.from_raw:
                store_raw(source, dataset, self._target, options.run_id)
            with self._engine() as engine:
                staging = Staging(self._target, engine, dataset.dataset, options.run_id, folder)
                return self._make(staging, source, current)

    def _current(self) -> dict[str, Any] | None:
        """Return the current run's manifest; with --force a run goes on where that is lost."""
        try:
            return self._publication.current()
        except DataError:
            if not self._options.is_forced:
                raise
            return None

    def _source(self, current: Mapping[str, Any] | None, folder: Path) -> Source | None:
        """Return what is read; None where the source says that it has not changed."""
        options, dataset = self._options, self._dataset
        if options.from_raw:
            return from_raw(dataset, self._target, options.from_raw, folder)
        if dataset.source_prefix is not None:
            return from_folder(dataset, self._open_source(str(options.from_file or dataset.source_prefix)), folder)
        if options.from_file:
            return from_archive(dataset, options.from_file, folder, options.release_date)
        if dataset.api_endpoints is not None:
            return fetch_endpoints(dataset, folder, options.patience)
        may_stay = current and current["config_hash"] == self._config_hash and not options.is_forced
        told = current["source"] if current and may_stay else {}
        if dataset.nlm_release is not None:
            known = date.fromisoformat(told["release"]) if told.get("release") else None
            return fetch_nlm_release(dataset, folder, options.patience, options.read_key, options.release_date, known)
        return fetch_archive(
            dataset, folder, options.patience, Fetched(**told["fetched"]) if told.get("fetched") else None
        )

    def _is_unchanged(self, source: Source, current: Mapping[str, Any] | None) -> bool:
        """Tell whether the current run was made of the same bytes under the same configuration."""
        if current is None or self._options.is_forced or self._options.from_raw:
            return False
        return (source.sha256, self._config_hash) == (current["source"]["sha256"], current["config_hash"])

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        """Open the engine for as long as it is needed."""
        engine = self._open_engine()
        try:
            yield engine
        finally:
            engine.close()

    def _make(self, staging: Staging, source: Source, current: Mapping[str, Any] | None) -> RunDone:
        """Make the tables, judge them, publish them."""
        dataset, run_id = self._dataset, self._options.run_id
        works = self._works(source, staging.folder)
        self._release = source.release
        verdicts = {dataset.dataset: judge_age(dataset, run_id, source.modified)}
        require_passed(dataset.dataset, verdicts)
        done = []
        try:
            for table in dataset.tables:
                found = self._make_table(staging, table, works[table])
                done.append(found)
                earlier = current["tables"].get(table, {}).get("rows") if current else None
                verdicts[table] = [
                    judge_rejected(dataset.data_quality.of(table), found.rows_in, found.observed.quarantined),
                    *judge(dataset.data_quality.of(table), found.observed, earlier),
                ]
            require_passed(dataset.dataset, verdicts)
            if not self._options.is_dry:
                self._publish(staging, source, done, verdicts)
        finally:
            staging.clear()
        return RunDone(run_id, not self._options.is_dry, done, verdicts)

    def _works(self, source: Source, folder: Path) -> dict[str, list[WorkFile]]:
        """Return the work files of each table, of which each has one header that fits the configuration."""
        dataset = self._dataset
        works: dict[str, list[WorkFile]] = {table: [] for table in dataset.tables}
        for name, file in source.files.items():
            table = dataset.table_of(name)
            if table is None:
                continue
            path = folder / f"work-{table}-{len(works[table])}"
            if dataset.api_endpoints:
                work = write_records(read_records(file, name, dataset), name, file, path)
                layout_of(work.header, table, dataset, name)
                works[table].append(work)
                continue
            form = replace(self._form, columns=dataset.rrf_columns.get(table, ()))
            header = read_header(file, name, form)
            layout_of(header, table, dataset, name)  # refused before any table is touched
            known = next((one for one in works[table] if one.header == header), None)
            if known is None:
                known = WorkFile(path, header, form.delimiter, is_of_several=dataset.source_prefix is not None)
                works[table].append(known)
            add_file(known, file, name, form)
        if missing := [table for table, found in works.items() if not found]:
            raise DataError(
                f"{dataset.dataset}: the source has no file for {', '.join(missing)}.", "Nothing was published."
            )
        return works

    def _make_table(self, staging: Staging, table: str, works: list[WorkFile]) -> TableDone:
        """Type one table into Parquet and account for every line of its files."""
        dataset, run_id, engine = self._dataset, self._options.run_id, staging.engine
        every = [self._typed(staging, table, number, work) for number, work in enumerate(works)]
        written = staging.place(table)
        parts = [one.rows(run_id, self._release) for one in every]
        rows = ibis.union(*parts) if len(parts) > 1 else parts[0]
        engine.write_parquet(rows, written)
        read = engine.read_parquet(written)
        stored = engine.fetch_one(read.aggregate(rows=read.count()))["rows"]
        bad = Quarantine(staging.folder / f"quarantine-{table}", table, self._dataset, self._form)
        blank = self._account(engine, every, table, stored, bad)
        names = [name for name in rows.columns if not name.startswith("meta_")]
        observed = observe(engine, read, dataset.data_quality.of(table), names, bad.count)
        schema = [(name, str(kind)) for name, kind in rows.schema().items()]
        lines = sum(work.lines for work in works)
        return TableDone(table, lines - blank, observed, bad.path, blank, schema)

    def _typed(self, staging: Staging, table: str, number: int, work: WorkFile) -> TypedTable:
        """Return the typed columns of a work file."""
        texts = staging.engine.read_texts(work, staging.shared(work.path, f"{table}-{number}"))
        return typed(texts, work, layout_of(work.header, table, self._dataset, work.told), table, self._dataset)

    def _account(self, engine: Engine, every: list[TypedTable], table: str, stored: int, bad: Quarantine) -> int:
        """Quarantine bad rows; return the number of blank lines. DataError where a line is neither here nor there."""
        dataset, lines = self._dataset, sum(one.work.lines for one in every)
        if stored == lines:
            return 0
        gates, left = dataset.data_quality.of(table), lines - stored
        if not judge_rejected(gates, lines, left).passed:  # too many, unless most of them are blank
            blank = sum(count_blank(one.work) for one in every)
            require_passed(dataset.dataset, {table: [judge_rejected(gates, lines - blank, left - blank)]})
        with bad:
            blank = sum(bad.take(one.work, engine.stream(one.bad_lines())) for one in every)
        if stored + bad.count + blank != lines:
            raise DataError(
                f"{dataset.dataset}, {table}: of {lines:,} lines {stored:,} were typed, {bad.count:,} quarantined and "
                f"{blank:,} blank: the sum is not right.",
                "Nothing was published; please report it.",
            )
        if bad.ending:
            raise DataError(
                f"{dataset.dataset}: {bad.ending:,} row(s) have a value that shall end the run: "
                f"{'; '.join(bad.examples)}.",
                "What was published before stays.",
            )
        return blank

    def _publish(
        self, staging: Staging, source: Source, done: list[TableDone], verdicts: Mapping[str, list[Verdict]]
    ) -> None:
        """Bring everything below `temp/`, and publish it from there."""
        dataset, run_id = self._dataset, self._options.run_id
        tables: dict[str, Any] = {}
        for one in done:
            tables[one.table] = {
                **one.observed.as_told,
                "rows_in": one.rows_in,
                "blank": one.blank,
                "files": staging.take(one.table, run_prefix(dataset, one.table, run_id)),
                "schema": one.schema,
                "gates": [vars(verdict) for verdict in verdicts[one.table]],
            }
            if one.observed.quarantined:
                tables[one.table]["quarantine"] = staging.take_quarantine(one.table, one.bad_rows_file)
        manifest = {
            "dataset": dataset.dataset,
            "layer": dataset.layer,
            "engine": staging.engine.name,
            "raw_run_id": self._options.from_raw or run_id,
            "config_hash": self._config_hash,
            "source": source.known,
            "gates": [vars(verdict) for verdict in verdicts[dataset.dataset]],
            "tables": tables,
        }
        self._publication.publish(run_id, manifest, staging.moved, self._pointer, self._catalog)


def _unchanged(run_id: str, current: Mapping[str, Any] | None) -> RunDone:
    """Return the end of a run that found nothing new."""
    if current is None:
        return RunDone(run_id, is_published=False)
    still_open = sum(told["quarantined"] for told in current["tables"].values())
    return RunDone(run_id, is_published=False, current_run=current["run_id"], still_open=still_open)
