"""Merging kiosk files with DuckDB: streaming, sorted by time, in memory that does not grow with the rows.

DuckDB understands the commonest form of a row by looking its texts up in tables that were made by trying them on the
rules; every other row is given to the rules themselves, one by one. So the rules are written once, in `museum.kiosk`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import TextIO

import duckdb

from etlkit.errors import DataError
from museum.combined import KioskObject, RejectedRow
from museum.kiosk import Event, Reference, Rules, judge_line, judge_text
from museum.kiosk_files import KioskFile, kept_bytes, read_rows, write_plain_copy

SQL = Path(__file__).resolve().parent.parent / "sql" / "transform"
MEMORY_LIMIT = "200MB"
MOST_THREADS = 4
JUDGED_BATCH_ROWS = 20_000
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2100, 1, 1)
SOME_TIME = "2000-01-03 12:00:00"


@contextmanager
def merge_errors(spill_dir: Path) -> Iterator[None]:
    """Turn a DuckDB error into one line."""
    try:
        yield
    except duckdb.Error as error:
        first_line = str(error).splitlines()[0]
        raise DataError(
            f"merging the kiosk files failed: {first_line}. Nothing was loaded. Temporary files were in {spill_dir}; "
            "if its disk is full, free space and run again."
        ) from error


class KioskMerge:
    """One merge: add files in natural order, then write the combined file."""

    def __init__(self, spill_dir: Path, rules: Rules, reference: Reference) -> None:
        """Open an empty merge whose larger-than-memory parts go to spill_dir."""
        spill_dir.mkdir(parents=True, exist_ok=True)
        self._spill_dir = spill_dir
        self.rules = rules
        self.reference = reference
        self._keys: list[str] = []
        self._database = duckdb.connect(
            config={
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": str(spill_dir),
                "threads": min(os.cpu_count() or 1, MOST_THREADS),
                # it takes a CSV for a few rows and would hold the whole file to join it to a small lookup
                "disabled_optimizers": "build_side_probe_side,join_order",
            }
        )
        self._run("create_kiosk")
        self._make_lookups()

    def close(self) -> None:
        """Free the merge's memory and temporary files."""
        self._database.close()

    def add_file(self, key: str, file: KioskFile, content_hash: str, rejects: TextIO) -> KioskObject:
        """Add a file's good rows to the merge and its bad ones to the rejects file; return what was counted."""
        result = KioskObject(key, content_hash, file.size_bytes, list(file.columns), problem=file.problem)
        if file.problem:
            result.reasons = {file.problem: 1}
            rejects.write(RejectedRow("kiosk", key, 0, (file.problem,), kept_bytes(file.path)).to_json())
            return result
        self._keys.append(key)
        number = len(self._keys)
        self._run(
            "read_kiosk_file",
            path=str(self._readable(file)),
            columns=dict.fromkeys((*file.columns, "surplus"), "VARCHAR"),
            object_number=number,
            latest_at=self.reference.latest_at.astimezone(UTC).replace(tzinfo=None),
            reject_out_of_hours=self.rules.reject_out_of_hours,
            **self._hours,
        )
        counts = self._run("count_kiosk_file", object_number=number, **self._hours).fetchone() or (0, 0, 0)
        result.rows, result.combined, result.out_of_hours = counts
        if result.rows > result.combined:
            self._judge_unknown_rows(file, number, result, rejects)
        return result

    def write(self, path: Path) -> None:
        """Write the combined file, sorted."""
        self._run("write_combined", keys=self._keys, path=str(path))

    def last_at(self) -> datetime | None:
        """Return the latest moment of all combined rows."""
        found = self._run("find_last_at").fetchone()
        return found[0].replace(tzinfo=UTC) if found and found[0] else None

    def _readable(self, file: KioskFile) -> Path:
        """Return the file, or a copy of it that DuckDB can read."""
        if file.is_plain:
            return file.path
        copy_path = self._spill_dir / "plain.csv"
        write_plain_copy(file.path, copy_path)
        return copy_path

    @property
    def _hours(self) -> dict[str, object]:
        return {"opening": self.rules.opening, "closing": self.rules.closing}

    def _run(self, name: str, **parameters: object) -> duckdb.DuckDBPyConnection:
        """Run a statement of sql/transform."""
        return self._database.execute((SQL / f"{name}.sql").read_text(encoding="utf-8"), parameters or None)

    def _make_lookups(self) -> None:
        """Fill the lookups of the fast path by asking the rules."""
        spans = list(_spans_of_equal_offset(self.rules))
        self._run(
            "create_day",
            first_days=[span[0] for span in spans],
            last_days=[span[1] for span in spans],
            offsets=[span[2] for span in spans],
        )
        sites = sorted(self.reference.sites)
        self._run("create_known_site", site_texts=[str(site) for site in sites], sites=sites)
        presses = list(_good_presses(self.rules, self.reference))
        self._run(
            "create_known_press",
            val_texts=[val_text for val_text, _, _ in presses],
            type_texts=[type_text for _, type_text, _ in presses],
            vals=[event.val for _, _, event in presses],
            types=[event.type for _, _, event in presses],
        )

    def _judge_unknown_rows(self, file: KioskFile, number: int, result: KioskObject, rejects: TextIO) -> None:
        """Give the rows that the fast path left open to the rules, in the file's order."""
        reasons: Counter[str] = Counter()
        accepted: list[tuple[Event, int]] = []
        for row_number, raw in self._unknown_rows(file, number, result.rows - result.combined):
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
            if len(accepted) >= JUDGED_BATCH_ROWS:
                self._add_judged_rows(accepted, number)
                accepted = []
        if accepted:
            self._add_judged_rows(accepted, number)
        result.reasons = dict(sorted(reasons.items()))

    def _unknown_rows(self, file: KioskFile, number: int, expected: int) -> Iterator[tuple[int, bytes]]:
        """Yield number and bytes of the rows to judge; DataError when the file does not hold as many any more."""
        found = 0
        with self._database.cursor() as cursor:
            statement = (SQL / "list_unknown_rows.sql").read_text(encoding="utf-8")
            numbers = _fetched(cursor.execute(statement, {"object_number": number}))
            for row in read_rows(file, numbers):
                found += 1
                yield row
        if found != expected:
            raise DataError(
                f"{file.path.name}: {expected:,} rows were to be judged, {found:,} are there; the file changed while "
                "it was read. Nothing was loaded; run again."
            )

    def _add_judged_rows(self, accepted: list[tuple[Event, int]], number: int) -> None:
        """Add a batch of rows that the rules typed."""
        offsets = [_offset_minutes(event.at, self.rules) for event, _ in accepted]
        self._run(
            "add_judged_rows",
            at_utc=[event.at.astimezone(UTC).replace(tzinfo=None) for event, _ in accepted],
            offset_minutes=offsets,
            site=[event.site for event, _ in accepted],
            val=[event.val for event, _ in accepted],
            type=[event.type for event, _ in accepted],
            row_number=[row_number for _, row_number in accepted],
            object_number=number,
        )


def select_combined_rows(combined_path: Path, part_path: Path, keys: Iterable[str]) -> None:
    """Write the rows of some objects of a combined file to another file, streaming."""
    with duckdb.connect(config={"memory_limit": MEMORY_LIMIT}) as database:
        statement = (SQL / "select_combined.sql").read_text(encoding="utf-8")
        database.execute(statement, {"path": str(combined_path), "part_path": str(part_path), "keys": sorted(keys)})


def _fetched(cursor: duckdb.DuckDBPyConnection) -> Iterator[int]:
    """Yield the single column of a result, some thousand rows at a time."""
    while rows := cursor.fetchmany(JUDGED_BATCH_ROWS):
        for (value,) in rows:
            yield value


def _offset_minutes(at: datetime, rules: Rules) -> int:
    """Return the museum's offset at a moment; 0 (shown as UTC) for old offsets that are no whole minutes."""
    offset = at.astimezone(rules.timezone).utcoffset() or timedelta()
    return offset // timedelta(minutes=1) if offset.seconds % 60 == 0 else 0


def _spans_of_equal_offset(rules: Rules) -> Iterator[tuple[date, date, int]]:
    """Yield (first day, last day, offset in minutes) of the days on which the clocks do not change."""

    def offset_at(day: date) -> timedelta:
        return datetime(day.year, day.month, day.day, tzinfo=rules.timezone).utcoffset() or timedelta()

    one_day = timedelta(days=1)
    first, offset, day = FIRST_DAY, offset_at(FIRST_DAY), FIRST_DAY
    while day < LAST_DAY:
        following = offset_at(day + one_day)
        if following != offset:
            if day > first:
                yield first, day - one_day, offset // timedelta(minutes=1)
            first, offset = day + one_day, following
        day += one_day
    yield first, LAST_DAY - one_day, offset // timedelta(minutes=1)


def _good_presses(rules: Rules, reference: Reference) -> Iterator[tuple[str, str, Event]]:
    """Yield (text of val, text of type, event) of every combination that the rules call good."""
    if not reference.sites:
        return
    site = str(min(reference.sites))
    codes = sorted({-1, *reference.ratings, *reference.incident_types})
    texts = ["", *(form for code in codes for form in (str(code), f"{code}.0"))]
    timeless = Reference(reference.sites, reference.ratings, reference.incident_types, datetime.max.replace(tzinfo=UTC))
    always_open = Rules(rules.timezone)
    for val_text, type_text in product(texts, texts):
        verdict = judge_text(SOME_TIME, site, val_text, type_text, always_open, timeless)
        if verdict.is_good and verdict.event:
            yield val_text, type_text, verdict.event
