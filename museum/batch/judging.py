"""Judging kiosk files with DuckDB: each becomes one Parquet file of its good rows and one file of its rejected rows.

DuckDB understands the commonest form of a row by looking its texts up in tables that were made by trying them on the
rules; every other row is given to the rules themselves, one by one. So the rules are written once, in `museum.kiosk`.
Files are streamed, in memory that does not grow with their rows. What a file becomes depends on its content, the rules
and the reference alone and is moved into place when it is whole, so the next run may use it again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter, deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import NamedTuple, TextIO

import duckdb

from etlkit.errors import DataError, SourceError
from museum.batch.bucket_files import written_whole
from museum.batch.duck import BATCH_ROWS, DuckDB, duckdb_errors
from museum.batch.kiosk_files import KEPT_BYTES, KioskFile, inspect_file, read_rows, write_plain_copy
from museum.batch.known_rows import OffsetSpan, good_presses, spans_of_known_offset
from museum.batch.manifest import LOCAL_FILES, REJECTS_FILE, SPILL_DIR, CombinedFiles, CombinedManifest, KioskObject
from museum.batch.rejects import RejectedRow
from museum.kiosk import Event, Reference, Rules, judge_line

JUDGE_VERSION = 2
"""Part of every judged file's name: raise it when the verdicts or the form of the files change."""

MOST_JUDGES = 2
PLAIN_DIR = "plain"
MEMORY_LIMIT = "64MB"
STOPPING_SECONDS = 0.05


class FileToJudge(NamedTuple):
    """A kiosk file, its object's key, and the hash by which the ledger knows its content under these rules."""

    key: str
    file: KioskFile
    content_hash: str

    @classmethod
    def read(cls, key: str, path: Path, rules: Rules) -> FileToJudge:
        """Read a file's hash and header."""
        file = inspect_file(path)
        return cls(key, file, f"sha256:{file.sha256} under {rules.fingerprint}")

    @property
    def warning(self) -> str | None:
        """Return a sentence for a file that is rejected as a whole."""
        if not self.file.problem:
            return None
        return f"{self.key}: {self.file.detail} ({self.file.problem}); rows of earlier runs, if there are any, stay"


def judge_files(
    files: Sequence[FileToJudge],
    judged_dir: Path,
    spill_dir: Path,
    rules: Rules,
    reference: Reference,
    known: Mapping[str, KioskObject],
) -> Generator[KioskObject, None, None]:
    """Judge files, several at a time, and yield the counts in their order; raises what `judge_file` raises.

    A known object (by key) is taken over as it is when nothing that its verdicts depend on has changed.
    """

    def is_known(item: FileToJudge) -> bool:
        found = known.get(item.key)
        name = judged_name(item.key, item.content_hash, rules, reference)
        return found is not None and found.judged == name and found.holds_at(reference.latest_at)

    fresh = [item for item in files if not is_known(item)]
    judges = [KioskJudge(judged_dir, spill_dir / str(n), rules, reference) for n in range(min(MOST_JUDGES, len(fresh)))]
    idle = deque(judges)  # never empty when a thread asks: there are no more threads than judges

    def judge_one(item: FileToJudge) -> KioskObject:
        judge = idle.pop()
        try:
            return judge.judge_file(item.key, item.file, item.content_hash)
        finally:
            idle.append(judge)

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


def judge_plain_file(path: Path, combined_dir: Path, rules: Rules, reference: Reference) -> CombinedFiles:
    """Judge a file that was in no bucket, anew each time, for the load alone; SourceError if it cannot be read."""
    path = path.resolve()
    try:
        file = FileToJudge.read(str(path), path, rules)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}. Nothing was loaded.") from error
    folder = combined_dir / PLAIN_DIR / hashlib.sha256(bytes(path)).hexdigest()[:12]
    warnings = [file.warning] if file.warning else []
    combined = CombinedFiles(folder, folder, CombinedManifest("", LOCAL_FILES, [], [], warnings=warnings))
    shutil.rmtree(folder, ignore_errors=True)
    combined.judged_dir.mkdir(parents=True)
    advice = f"Is the disk of {folder} full? Then free space and run again."
    judging = judge_files([file], combined.judged_dir, folder / SPILL_DIR, rules, reference, {})
    with duckdb_errors("judging the file", advice), closing(judging):
        combined.manifest.kiosk_objects.extend(judging)
    shutil.rmtree(folder / SPILL_DIR, ignore_errors=True)
    shutil.copyfile(combined.judged_dir / combined.manifest.kiosk_objects[0].rejects_file, folder / REJECTS_FILE)
    return combined


def judged_name(key: str, content_hash: str, rules: Rules, reference: Reference) -> str:
    """Return the name of what an object of this content becomes under these rules and this reference."""
    known = [sorted(part) for part in (reference.sites, reference.ratings, reference.incident_types)]
    parts = [JUDGE_VERSION, key, content_hash, rules.fingerprint, f"{rules.opening}-{rules.closing}", known]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


class KioskJudge:
    """Judges files against one set of rules and one reference, one file at a time."""

    def __init__(self, judged_dir: Path, spill_dir: Path, rules: Rules, reference: Reference) -> None:
        """Make the lookups by asking the rules; judged files go to judged_dir, what memory cannot hold to spill_dir."""
        self.rules = rules
        self.reference = reference
        self._judged_dir = judged_dir
        self._spill_dir = spill_dir
        self._duck = DuckDB(spill_dir, memory_limit=MEMORY_LIMIT)
        spans = spans_of_known_offset(rules.timezone, rules.earliest, reference.latest_at.date())
        presses = list(good_presses(rules, reference))
        sites = sorted(reference.sites)
        self._duck.run("create_day", **{name: [getattr(span, name) for span in spans] for name in OffsetSpan._fields})
        self._duck.run("create_known_site", site_texts=[str(site) for site in sites], sites=sites)
        self._duck.run(
            "create_known_press",
            val_texts=[val_text for val_text, _, _ in presses],
            type_texts=[type_text for _, type_text, _ in presses],
            vals=[event.val for _, _, event in presses],
            types=[event.type for _, _, event in presses],
        )

    def stop(self) -> None:
        """Break off the file that another thread is judging."""
        self._duck.stop()

    def close(self) -> None:
        """Free memory and temporary files."""
        self._duck.close()

    def judge_file(self, key: str, file: KioskFile, content_hash: str) -> KioskObject:
        """Write a file's good and rejected rows, return the counts; DataError if it changes, duckdb.Error too."""
        result = KioskObject(key, content_hash, file.size_bytes, list(file.columns), problem=file.problem)
        result.judged = judged_name(key, content_hash, self.rules, self.reference)
        rejects_path = self._judged_dir / result.rejects_file
        with written_whole(rejects_path) as path, path.open("w", encoding="utf-8") as rejects:
            if file.problem:
                result.reasons = {file.problem: 1}
                with file.path.open("rb") as unreadable:
                    kept = unreadable.read(KEPT_BYTES)
                rejects.write(RejectedRow("kiosk", key, 0, (file.problem,), kept).to_json())
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
        with written_whole(self._judged_dir / result.rows_file) as path:
            self._duck.run("write_judged_rows", path=str(path))

    def _read(self, file: KioskFile, name: str) -> None:
        """Fill kiosk from a file, or from a passing copy of it when it is not of the kind that DuckDB reads."""
        if file.is_plain:
            with suppress(duckdb.OutOfMemoryException):  # many long lines; the copy has shorter ones
                self._fill_kiosk(file, file.path)
                return
        copy_path = self._spill_dir / f"{name}.csv"
        try:
            write_plain_copy(file.path, copy_path)
            self._fill_kiosk(file, copy_path)
        finally:
            copy_path.unlink(missing_ok=True)

    def _fill_kiosk(self, file: KioskFile, path: Path) -> None:
        """Fill kiosk with the rows at a path."""
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

    def _judge_unknown_rows(self, file: KioskFile, result: KioskObject, rejects: TextIO) -> None:
        """Give the rows that the fast path left open to the rules, in the file's order; DataError if some are gone."""
        reasons: Counter[str] = Counter()
        accepted: list[tuple[Event, int]] = []
        expected, found = result.rows - result.combined, 0
        for row_number, raw in read_rows(file, self._duck.column("list_unknown_rows")):
            found += 1
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
        if found != expected:
            raise DataError(
                f"{file.path.name}: {expected:,} rows were to be judged, {found:,} are there; the file changed while "
                "it was read. Nothing was loaded; run again."
            )
        if accepted:
            self._add_judged_rows(accepted)
        result.reasons = dict(sorted(reasons.items()))

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


def _naive_utc(moment: datetime) -> datetime:
    """Return a moment as DuckDB's timestamps have it."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def _offset_minutes(at: datetime, rules: Rules) -> int:
    """Return the museum's offset at a moment; 0 (shown as UTC) for old offsets that are no whole minutes."""
    offset = at.astimezone(rules.timezone).utcoffset() or timedelta()
    return offset // timedelta(minutes=1) if offset.seconds % 60 == 0 else 0
