"""Archive: reviews of months that are over, from Postgres to files of a bucket, and back.

`export` writes a file a month, `remove` takes from the database what its file surely holds, `restore` brings months
back from their files. Each month is a transaction, which moves the border that tells the archive's time from the
database's; so a review lies on one side of it, whatever is killed when. Again is safe: a file that is there is not
written anew, and a month before the border is not looked at.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin()

import argparse
import base64
import hashlib
import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import IO, Any, ClassVar, NamedTuple
from zoneinfo import ZoneInfo

from etlkit.console import Outcome
from etlkit.copying import copy_stream
from etlkit.errors import ConfigError, DataError, SourceError
from etlkit.postgres import Cursor, load_errors, only_value, run_file, unit_of_work
from etlkit.process import exit_process
from etlkit.runs import RunFigures, complete_run
from extract import get_s3_client
from museum.batch.s3_errors import source_errors
from museum.command import SOURCE_FLAGS, Command, Summary, add_settings_flags, argument_parser, outcome_of, run_stage
from museum.database import RunningRun, open_museum_run
from museum.hourly import find_differences, fold_hours
from museum.settings import ARCHIVED_FILE, SQL

EXAMPLES = """\
  python archive.py export 2024-01     # reviews of before January 2024, a file a month
  python archive.py remove 2024-01     # take out of the database what these files hold
  python archive.py restore 2023-11    # bring November 2023 and all later months back"""
EXIT_CODES = (
    "exit codes: 0 done, or nothing to do; 1 failed or refused, months before that stay as they are then; 2 usage or\n"
    "settings; 4 another run holds the lock; 5 done, but standard output did not take the outcome; 129/130/143 stopped"
)
STATEMENTS = SQL / "archive"
BLOCK_BYTES = 1 << 20
MONTH = r"[12]\d{3}-(?:0[1-9]|1[0-2])"
STAYS = "This month and later ones stay in the database."
DONE = {"export": "Exported", "remove": "Moved", "restore": "Restored"}
DOING = {"export": "exporting", "remove": "removing", "restore": "restoring"}
WOULD_DO = {"export": "Would export", "remove": "Would move", "restore": "Would restore"}


class Month(NamedTuple):
    """A month of the museum's local time: from `begins_at` up to, but not including, `ends_at`."""

    name: str
    begins_at: datetime
    ends_at: datetime

    @classmethod
    def read(cls, name: str, zone: ZoneInfo) -> Month:
        """Return the month of a text such as 2024-01; ConfigError where it begins within an hour of UTC."""
        year, month = (int(part) for part in name.split("-"))
        ends_at = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone)
        found = cls(name, datetime(year, month, 1, tzinfo=zone), ends_at)
        if any(moment.astimezone(UTC).minute for moment in (found.begins_at, found.ends_at)):
            raise ConfigError(f"{name} does not begin and end at whole hours of UTC in {zone}. Nothing was touched.")
        return found


@dataclass
class ArchiveSummary(Summary):
    """How many reviews of which months were moved, and where the border is then."""

    stage: ClassVar[str] = "archive"
    action: str
    dry_run: bool
    months: dict[str, int] = field(default_factory=dict)
    already_there: list[str] = field(default_factory=list)
    border: datetime | None = None

    @property
    def reviews(self) -> int:
        """Return how many reviews the months have."""
        return sum(self.months.values())

    def lines(self) -> list[str]:
        """Return a line a month."""
        return [
            f"{month}  {reviews:>12,} reviews{', its file was there' if month in self.already_there else ''}"
            for month, reviews in self.months.items()
        ]

    def sentence(self) -> str:
        """Return the outcome."""
        border = f"{self.border:%Y-%m-%d %H:%M %Z}" if self.border else ""
        where = f"The archive has all reviews of before {border}." if border else "All reviews are in the database."
        if not self.months:
            return f"Nothing to {self.action}. {where}"
        done = (WOULD_DO if self.dry_run else DONE)[self.action]
        months = "1 month" if len(self.months) == 1 else f"{len(self.months)} months"
        return f"{done} {self.reviews:,} reviews of {months}. {where}"

    def figures(self) -> dict[str, Any]:
        """Return the figures for the JSON object and the run's history."""
        counted = {name: value for name, value in asdict(self).items() if name != "dry_run"}
        return {**counted, "reviews": self.reviews, "border": self.border and self.border.isoformat()}


class MonthFile:
    """A month's file on its way: what was written to it, and the SHA-256 of that."""

    def __init__(self, file: IO[bytes] | None = None) -> None:
        """Write into a file, or hash only."""
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, block: bytes) -> None:
        """Take the next block."""
        self._hash.update(block)
        if self._file:
            self._file.write(block)

    @property
    def sha256(self) -> str:
        """Return the hash so far, in hexadecimal digits."""
        return self._hash.hexdigest()


class Store:
    """The bucket in which the months' files lie."""

    def __init__(self, command: Command, log: logging.Logger) -> None:
        """Open it; raises ConfigError where no archive is named."""
        if not command.museum.museum_archive:
            raise ConfigError("no archive was named.", "Set MUSEUM_ARCHIVE=s3://BUCKET/PREFIX/. Nothing was touched.")
        self._place = command.museum.museum_archive
        self._client = get_s3_client(command.museum, log)

    def address(self, month: str) -> str:
        """Return the address of a month's file."""
        return self._place + ARCHIVED_FILE.format(month=month)

    def months(self) -> list[str]:
        """Return the months of which a file is there. Raises SourceError."""
        name = re.compile(re.escape(self.address("MONTH")).replace("MONTH", f"({MONTH})"), re.ASCII)
        with self._asked("listing", self._place) as (bucket, prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return [found[1] for key in keys if (found := name.fullmatch(f"s3://{bucket}/{key}"))]

    def write(self, address: str, file: IO[bytes], sha256: str) -> None:
        """Put a file there; S3 holds it against its hash. Raises SourceError."""
        file.seek(0)
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with self._asked("writing", address) as (bucket, key):
            self._client.put_object(Bucket=bucket, Key=key, Body=file, ChecksumSHA256=checksum)

    def read(self, address: str, file: IO[bytes] | None = None) -> str | None:
        """Read a file whole, into another one if given; return its SHA-256, None where there is none."""
        read = MonthFile(file)
        with self._asked("reading", address) as (bucket, key):
            try:
                body = self._client.get_object(Bucket=bucket, Key=key)["Body"]
            except self._client.exceptions.NoSuchKey:
                return None
            for block in body.iter_chunks(BLOCK_BYTES):
                read.write(block)
        return read.sha256

    @contextmanager
    def _asked(self, doing: str, address: str) -> Iterator[tuple[str, str]]:
        """Yield a file's bucket and key; what S3 refuses is a SourceError with this program's advice."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        try:
            with source_errors(bucket, key, doing):
                yield bucket, key
        except SourceError as error:
            advice = error.advice.replace("--bucket", "--archive")
            advice = advice.replace("Nothing was loaded", "The month was left as it is")
            raise SourceError(error.problem, advice) from error


@dataclass
class Archiving:
    """One run over one connection."""

    running: RunningRun
    command: Command
    store: Store
    log: logging.Logger
    removed_before: datetime | None = None
    """Where the border is now, or would be in a dry run."""

    def run(self) -> ArchiveSummary:
        """Do what the command asks for, month after month, and complete the run."""
        action, zone = self.command.flags.action, self.command.museum.rules.timezone
        summary = ArchiveSummary(action, self.command.dry_run)
        border = Month.read(self.command.flags.month, zone).begins_at
        if action != "restore" and border > self.command.now:
            raise ConfigError(f"{self.command.flags.month} has not begun yet. Nothing was touched.")
        step = {"export": self._export, "remove": self._remove, "restore": self._restore}[action]
        for name in self._months(border):
            self.running.keep_connected(self.log)
            step(Month.read(name, zone), summary)
        with unit_of_work(self.running.connection) as cursor:
            cursor.execute("select max(ends_at) from archived_month")
            ends_at = only_value(cursor)
            summary.border = ends_at and ends_at.astimezone(zone)
            complete_run(cursor, self.running.run, RunFigures(summary.reviews, 0, 0, {"archive": summary.figures()}))
        for line in summary.lines():
            self.log.info(line)
        return summary

    def _months(self, border: datetime) -> list[str]:
        """Return the months to work on: the next one after the border first, and of a restore the last one.

        A month that has a file and no reviews any more is one of them, since its file must not hold any either.
        """
        values = {"timezone": self.command.museum.museum_timezone, "before": border}
        with unit_of_work(self.running.connection) as cursor:
            if self.command.flags.action == "restore":
                cursor.execute(
                    "select to_char(month, 'YYYY-MM') from archived_month where ends_at > %s order by month desc",
                    (border,),
                )
                return [name for (name,) in cursor.fetchall()]
            run_file(cursor, STATEMENTS / "list_months.sql", values)
            names = [name for name, _reviews in cursor.fetchall()]
            cursor.execute("select max(to_char(month, 'YYYY-MM')) from archived_month")
            last = only_value(cursor) or ""
        if names and names[0] <= last:
            raise ConfigError(
                f"{last} was moved already, but by the clocks of {self.command.museum.museum_timezone} it has reviews "
                "here. Set MUSEUM_TIMEZONE to what it was then, or restore all months first. Nothing was touched."
            )
        return sorted({*names, *(name for name in self.store.months() if last < name < self.command.flags.month)})

    def _export(self, month: Month, summary: ArchiveSummary) -> None:
        """Write a month's file, unless the same is there; another one is replaced only where that was asked for."""
        address = self.store.address(month.name)
        with tempfile.TemporaryFile() as file:
            with unit_of_work(self.running.connection) as cursor:
                summary.months[month.name], sha256 = copy_month(cursor, month, file)
            found = self.store.read(address)
            if found == sha256:
                summary.already_there.append(month.name)
            elif found and not self.command.flags.replace:
                raise DataError(
                    f"{address} is there with other rows than the database has of {month.name}.",
                    "If the database is right, run again with --replace. The file was left as it is.",
                )
            elif not self.command.dry_run:
                self.store.write(address, file, sha256)

    def _remove(self, month: Month, summary: ArchiveSummary) -> None:
        """Take a month out of the database when its file holds just these rows; the border moves behind it."""
        address = self.store.address(month.name)
        found = self.store.read(address)
        advice = f"Run first: python archive.py export {self.command.flags.month}. {STAYS}"
        if found is None:
            raise DataError(f"{address} is not there.", advice)
        with unit_of_work(self.running.connection, dry_run=self.command.dry_run) as cursor:
            cursor.execute("select hold_border(true)")
            reviews, sha256 = copy_month(cursor, month)
            if sha256 != found:
                raise DataError(f"{address} does not hold what the database has of {month.name}.", advice)
            run_file(cursor, STATEMENTS / "find_left_behind.sql", {"since": self.removed_before, **month._asdict()})
            if only_value(cursor):
                raise DataError(f"reviews of before {month.name} have come meanwhile.", advice)
            if wrong := find_differences(cursor, month.begins_at, month.ends_at):
                raise DataError(f"{month.name}: {wrong.sentence()}.", f"Run python load.py --rebuild-hours. {STAYS}")
            place = {"object": address, "sha256": sha256, "run_id": str(self.running.run.run_id)}
            values = {**month._asdict(), "month": f"{month.name}-01", **place}
            run_file(cursor, STATEMENTS / "remove_month.sql", values)
            summary.months[month.name] = _same(only_value(cursor), reviews, month)
        self.removed_before = month.ends_at

    def _restore(self, month: Month, summary: ArchiveSummary) -> None:
        """Bring a month back from the very file that it was moved to; the border moves before it."""
        with unit_of_work(self.running.connection) as cursor:
            cursor.execute("select object, sha256, reviews from archived_month where month = %s", (f"{month.name}-01",))
            address, sha256, reviews = cursor.fetchone() or ("", "", 0)
        with tempfile.TemporaryFile() as file:
            if self.store.read(address, file) != sha256:
                raise DataError(
                    f"{address} is not the file that {month.name} was moved to.",
                    "Bring that version of it back. The month stays there.",
                )
            file.seek(0)
            with unit_of_work(self.running.connection, dry_run=self.command.dry_run) as cursor:
                cursor.execute("select hold_border(true)")
                create, copy = STATEMENTS / "create_staging_archive.sql", STATEMENTS / "copy_staging_archive.sql"
                run_file(cursor, create)
                copy_stream(cursor, copy, file)
                run_file(cursor, STATEMENTS / "restore_month.sql", {"month": f"{month.name}-01"})
                summary.months[month.name] = _same(only_value(cursor), reviews, month)
                fold_hours(cursor)


def copy_month(cursor: Cursor, month: Month, file: IO[bytes] | None = None) -> tuple[int, str]:
    """Copy a month's reviews into a file, or nowhere; return how many they are and the SHA-256 of their CSV."""
    written = MonthFile(file)
    # Postgres reckons the small index on time dearer than it is, and would read all presses.
    cursor.execute("set local enable_seqscan = off")
    statement = (STATEMENTS / "copy_month.sql").read_text(encoding="utf-8")
    cursor.copy_expert(cursor.mogrify(statement, month._asdict()).decode(), written)
    return cursor.rowcount, written.sha256


def _same(counted: int, expected: int, month: Month) -> int:
    """Return a count that is right; DataError for another one."""
    if counted != expected:
        raise DataError(
            f"the reviews of {month.name} do not add up: {expected:,} were to be moved, {counted:,} were. They stay. "
            "This is a defect; please report it with the log file."
        )
    return counted


def main(arguments: list[str] | None = None) -> int:
    """Run the archive from the command line."""
    summary = "Move reviews of months that are over to files of a bucket, and back."
    parser = argument_parser("archive.py", summary, EXAMPLES, ("database",), exit_codes=EXIT_CODES)
    parser.add_argument("action", choices=DONE, help="write files, take their months out, or bring months back")
    parser.add_argument("month", metavar="MONTH", type=_month, help="YYYY-MM: where the archive ends and we begin")
    parser.add_argument("--dry-run", action="store_true", help="do everything but write and move; figures say would")
    parser.add_argument("--replace", action="store_true", help="let export replace files that differ")
    where = parser.add_argument_group("where the archive is")
    archive = ("--archive", "URL", "museum_archive", "MUSEUM_ARCHIVE, s3://BUCKET/PREFIX/")
    add_settings_flags(where, archive, *(flag for flag in SOURCE_FLAGS if flag[0] != "--bucket"))
    return run_stage(parser.parse_args(arguments), run_archive, with_database=True)


def run_archive(command: Command, logger: logging.Logger) -> Outcome:
    """Do what the flags ask for and return the outcome."""
    flags = command.flags
    store = Store(command, logger)
    metadata = {"action": flags.action, "month": flags.month, "archive": command.museum.museum_archive}
    with (
        open_museum_run(command, logger, "archive", "museum archive", metadata) as running,
        load_errors(f"{DOING[flags.action]} months", "The month was left as it is; those before it are done."),
    ):
        return outcome_of(Archiving(running, command, store, logger).run())


def _month(text: str) -> str:
    """Accept a month such as 2024-01."""
    if not re.fullmatch(MONTH, text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a month, e.g. 2024-01")
    return text


if __name__ == "__main__":
    exit_process(main())
