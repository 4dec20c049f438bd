"""Judging kiosk files with DuckDB: each becomes one Parquet file of its good rows and one file of its rejected rows.

DuckDB understands the commonest form of a row by looking its texts up in tables that were made by trying them on the
rules; every other row is given to the rules themselves, one by one. So the rules are written once, in `museum.kiosk`.
Files are streamed, in memory that does not grow with their rows. What a file becomes depends on its content, the rules
and the reference alone and is moved into place when it is whole, so the next run may use it again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from time import sleep
from typing import TextIO

import duckdb

from etlkit.errors import DataError
from museum.combined import KioskObject, RejectedRow
from museum.duck import BATCH_ROWS, DuckDB
from museum.fast_path import OffsetSpan, good_presses, spans_of_known_offset
from museum.kiosk import Event, Reference, Rules, judge_line
from museum.kiosk_files import KioskFile, kept_bytes, read_rows, write_plain_copy

JUDGE_VERSION = 2
"""Part of every judged file's name: raise it when the verdicts or the form of the files change."""

MOST_JUDGES = 2
MEMORY_LIMIT = "64MB"
STOPPING_SECONDS = 0.05


@dataclass(frozen=True)
class FileToJudge:
    """A kiosk file, its object's key, and the hash by which the ledger knows its content."""

    key: str
    file: KioskFile
    content_hash: str


def judge_files(
    files: Sequence[FileToJudge],
    judged_dir: Path,
    spill_dir: Path,
    rules: Rules,
    reference: Reference,
    known: Mapping[str, KioskObject],
) -> Generator[KioskObject, None, None]:
    """Judge files, several at a time, and yield what was counted in their order; known ones (by key) as they are.

    A known object is taken over when nothing that its verdicts depend on has changed. Raises what `judge_file` raises.
    """

    def is_known(item: FileToJudge) -> bool:
        found = known.get(item.key)
        name = judged_name(item.key, item.content_hash, rules, reference)
        return found is not None and found.judged == name and found.holds_at(reference.latest_at)

    fresh = [item for item in files if not is_known(item)]
    judges = [KioskJudge(judged_dir, spill_dir / str(n), rules, reference) for n in range(min(MOST_JUDGES, len(fresh)))]
    idle: SimpleQueue[KioskJudge] = SimpleQueue()
    for judge in judges:
        idle.put(judge)

    def judge_one(item: FileToJudge) -> KioskObject:
        judge = idle.get()
        try:
            return judge.judge_file(item.key, item.file, item.content_hash)
        finally:
            idle.put(judge)

    pool = ThreadPoolExecutor(max(len(judges), 1), thread_name_prefix="judge")
    judged: dict[str, Future[KioskObject]] = {}
    try:
        for item in fresh:
            judged[item.key] = pool.submit(judge_one, item)
        for item in files:
            yield judged[item.key].result() if item.key in judged else known[item.key]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        while not all(future.done() for future in judged.values()):  # they are, unless something failed
            for judge in judges:
                judge.stop()
            sleep(STOPPING_SECONDS)
        for judge in judges:
            judge.close()


def judged_name(key: str, content_hash: str, rules: Rules, reference: Reference) -> str:
    """Return the name of what an object of this content becomes under these rules and this reference."""
    known = [sorted(part) for part in (reference.sites, reference.ratings, reference.incident_types)]
    parts = [JUDGE_VERSION, key, content_hash, rules.fingerprint, f"{rules.opening}-{rules.closing}", known]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


class KioskJudge:
    """Judges files against one set of rules and one reference, one file at a time."""

    def __init__(self, judged_dir: Path, spill_dir: Path, rules: Rules, reference: Reference) -> None:
        """Make the lookups; judged files go to judged_dir, whatever is larger than memory to spill_dir."""
        self.rules = rules
        self.reference = reference
        self._judged_dir = judged_dir
        self._spill_dir = spill_dir
        self._duck = DuckDB(spill_dir, memory_limit=MEMORY_LIMIT, threads=1)
        self._make_lookups()

    def stop(self) -> None:
        """Break off the file that another thread is judging."""
        self._duck.stop()

    def close(self) -> None:
        """Free memory and temporary files."""
        self._duck.close()

    def judge_file(self, key: str, file: KioskFile, content_hash: str) -> KioskObject:
        """Write a file's good rows, sorted by time, and its rejected ones; return what was counted.

        Raises DataError when the file changes meanwhile, duckdb.Error for what DuckDB cannot do.
        """
        result = KioskObject(key, content_hash, file.size_bytes, list(file.columns), problem=file.problem)
        result.judged = judged_name(key, content_hash, self.rules, self.reference)
        with (
            _written_whole(self._judged_dir / result.rejects_file) as path,
            path.open("w", encoding="utf-8") as rejects,
        ):
            if file.problem:
                result.reasons = {file.problem: 1}
                rejects.write(RejectedRow("kiosk", key, 0, (file.problem,), kept_bytes(file.path)).to_json())
            else:
                self._judge_rows(file, result, rejects)
            if not file.is_as_inspected():
                raise DataError(f"{file.path.name} changed while it was read. Nothing was loaded; run again.")
        return result

    def _judge_rows(self, file: KioskFile, result: KioskObject, rejects: TextIO) -> None:
        """Judge the rows of a readable file."""
        self._read(file, result.judged)
        result.rows, result.combined, result.out_of_hours = self._duck.row(
            "count_kiosk_file", opening=self.rules.opening, closing=self.rules.closing
        )
        if result.rows > result.combined:
            self._judge_unknown_rows(file, result, rejects)
        (last_at,) = self._duck.row("find_last_at")
        result.last_at = last_at.replace(tzinfo=UTC).isoformat() if last_at else None
        with _written_whole(self._judged_dir / result.rows_file) as path:
            self._duck.run("write_judged_rows", path=str(path))

    def _read(self, file: KioskFile, name: str) -> None:
        """Fill kiosk from a file, or from a passing copy of it when it is not of the kind that DuckDB reads."""
        if file.is_plain:
            try:
                self._fill_kiosk(file, file.path)
            except duckdb.OutOfMemoryException:  # many long lines; the copy has shorter ones
                pass
            else:
                return
        copy_path = self._spill_dir / f"{name}.csv"
        try:
            write_plain_copy(file.path, copy_path)
            self._fill_kiosk(file, copy_path)
        finally:
            copy_path.unlink(missing_ok=True)

    def _fill_kiosk(self, file: KioskFile, path: Path) -> None:
        """Fill kiosk with the rows at a path."""
        self._duck.run("create_kiosk")
        self._duck.run(
            "read_kiosk_file",
            path=str(path),
            columns=dict.fromkeys((*file.columns, "surplus"), "VARCHAR"),
            latest_at=_naive_utc(self.reference.latest_at),
            reject_out_of_hours=self.rules.reject_out_of_hours,
            opening=self.rules.opening,
            closing=self.rules.closing,
            earliest=self.rules.earliest,
        )

    def _make_lookups(self) -> None:
        """Fill the lookups of the fast path by asking the rules."""
        spans = spans_of_known_offset(self.rules.timezone)
        presses = list(good_presses(self.rules, self.reference))
        sites = sorted(self.reference.sites)
        self._duck.run("create_day", **{name: [getattr(span, name) for span in spans] for name in OffsetSpan._fields})
        self._duck.run("create_known_site", site_texts=[str(site) for site in sites], sites=sites)
        self._duck.run(
            "create_known_press",
            val_texts=[val_text for val_text, _, _ in presses],
            type_texts=[type_text for _, type_text, _ in presses],
            vals=[event.val for _, _, event in presses],
            types=[event.type for _, _, event in presses],
        )

    def _judge_unknown_rows(self, file: KioskFile, result: KioskObject, rejects: TextIO) -> None:
        """Give the rows that the fast path left open to the rules, in the file's order."""
        reasons: Counter[str] = Counter()
        accepted: list[tuple[Event, int]] = []
        for row_number, raw in self._unknown_rows(file, result.rows - result.combined):
            verdict = judge_line(raw, file.columns, self.rules, self.reference)
            if verdict.event:
                accepted.append((verdict.event, row_number))
                result.combined += 1
                result.out_of_hours += self.rules.is_out_of_hours(verdict.event.at)
                result.ambiguous += verdict.event.is_ambiguous
            if verdict.reasons:
                result.rejected += 1
                reasons.update(verdict.reasons)
                provisional = verdict.event is not None
                rejects.write(RejectedRow("kiosk", result.key, row_number, verdict.reasons, raw, provisional).to_json())
            if len(accepted) >= BATCH_ROWS:
                self._add_judged_rows(accepted)
                accepted = []
        if accepted:
            self._add_judged_rows(accepted)
        result.reasons = dict(sorted(reasons.items()))

    def _unknown_rows(self, file: KioskFile, expected: int) -> Iterator[tuple[int, bytes]]:
        """Yield number and bytes of the rows to judge; DataError when the file does not hold as many any more."""
        found = 0
        numbers = self._duck.column("list_unknown_rows")
        for row in read_rows(file, numbers):
            found += 1
            yield row
        if found != expected:
            raise DataError(
                f"{file.path.name}: {expected:,} rows were to be judged, {found:,} are there; the file changed while "
                "it was read. Nothing was loaded; run again."
            )

    def _add_judged_rows(self, accepted: list[tuple[Event, int]]) -> None:
        """Add a batch of rows that the rules typed."""
        self._duck.run(
            "add_judged_rows",
            at_utc=[_naive_utc(event.at) for event, _ in accepted],
            offset_minutes=[_offset_minutes(event.at, self.rules) for event, _ in accepted],
            site=[event.site for event, _ in accepted],
            val=[event.val for event, _ in accepted],
            type=[event.type for event, _ in accepted],
            row_number=[row_number for _, row_number in accepted],
        )


@contextmanager
def _written_whole(path: Path) -> Iterator[Path]:
    """Yield where to write a file that takes its place when it is finished."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    yield unfinished
    unfinished.replace(path)


def _naive_utc(moment: datetime) -> datetime:
    """Return a moment as DuckDB's timestamps have it."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _offset_minutes(at: datetime, rules: Rules) -> int:
    """Return the museum's offset at a moment; 0 (shown as UTC) for old offsets that are no whole minutes."""
    offset = at.astimezone(rules.timezone).utcoffset() or timedelta()
    return offset // timedelta(minutes=1) if offset.seconds % 60 == 0 else 0
