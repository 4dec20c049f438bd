"""The smallest system that keeps the laws: numbers from a file into one table, and a program to start from.

    python tests/etlkit/smallest_system.py [--dry-run] [--json] [--log-level LEVEL]

DEFECT names a law to break, so that the suite of laws can be seen to fail.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin()

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from etlkit.console import Outcome, Session, run_session
from etlkit.locks import release_advisory_lock
from etlkit.logs import configure_logging
from etlkit.postgres import Schema, connect, load_errors, process_name, unit_of_work
from etlkit.process import exit_process
from etlkit.rejects import Reject, create_staging, fill_rejected_records, stage_rejects
from etlkit.runs import Run, RunFigures, complete_run, open_run
from etlkit.settings import DatabaseSettings, Settings, load_settings, secret_values

SCHEMA_FILE = Path(__file__).with_name("smallest_schema.sql")
SCHEMA = Schema("smallest", 1, f"psql -f {SCHEMA_FILE}")
LOCK_NAME = "smallest:numbers"
STORE = "insert into number (position, n) values (%s, %s) on conflict (position) do nothing"
OPEN = "select count(*) from meta.rejected_records where resolved_at is null"


class FileSettings(Settings):
    """Where the numbers are."""

    numbers_file: Path
    log_file: Path


@dataclass(kw_only=True)
class Load(Session):
    """A load under way."""

    run: Run
    file: FileSettings
    database: DatabaseSettings


def has_defect(name: str) -> bool:
    return os.environ.get("DEFECT") == name


def open_load(flags: argparse.Namespace) -> Load:
    if has_defect("half the settings"):
        load_settings((FileSettings,), {}, None)
    file, database = load_settings((FileSettings, DatabaseSettings), {}, None)
    if has_defect("unknown database"):
        database = database.model_copy(update={"db_name": "postgres"})
    secrets = [] if has_defect("secret") else secret_values((file, database))
    console = sys.stderr if flags.json else sys.stdout
    logger = configure_logging("smallest", file.log_file, level=flags.log_level, console=console, secrets=secrets)
    run = Run(uuid4(), "smallest", "numbers", flags.dry_run and not has_defect("dry run history"))
    trailer = f"{'Dry run' if flags.dry_run else 'Run'} {run.run_id}, log {file.log_file}"
    if has_defect("last line"):
        trailer = ""
    return Load(logger, secrets, None, trailer, {"run_id": run.run_id}, run=run, file=file, database=database)


def load(session: Load, *, dry_run: bool) -> Outcome:
    """Store every number once, keep what is none, and say the sum."""
    session.logger.debug("logging in with %s", session.database.db_password.get_secret_value())
    if has_defect("traceback"):
        session.logger.error("Traceback (most recent call last):")
    lock_name = f"{LOCK_NAME} {session.run.run_id}" if has_defect("lock") else LOCK_NAME
    name = process_name("smallest", session.run.run_id)
    with (
        open_run(
            session.run, SCHEMA, [lock_name], lambda: connect(session.database, name), session.logger
        ) as connection,
        load_errors("storing numbers"),
        unit_of_work(connection, dry_run=dry_run and not has_defect("dry run")) as cursor,
    ):
        if has_defect("lent right"):
            cursor.execute("create function anybody_may() returns integer language sql return 1")
        if has_defect("lock given back"):
            release_advisory_lock(connection, lock_name)
        lines = session.file.numbers_file.read_bytes().splitlines()
        source = str(session.file.numbers_file)
        stored, bad = 0, []
        cursor.execute("select count(*) from number where position = any(%s)", (list(map(str, range(len(lines) + 1))),))
        (there,) = cursor.fetchone()
        for position, line in enumerate(lines, start=1):
            if not line.isdigit():
                bad.append(
                    Reject(source, str(position), line, ("x",) if has_defect("no reason") else ("not_a_number",))
                )
                continue
            place = f"{uuid4()}" if has_defect("twice") else str(position)
            cursor.execute(STORE, (place, int(line)))
            stored += cursor.rowcount
            if has_defect("row by row"):
                connection.commit()
        create_staging(cursor)
        stage_rejects(cursor, bad[1:] if has_defect("lost") else bad)
        rejected = fill_rejected_records(cursor, session.run.run_id)
        complete_run(cursor, session.run, RunFigures(len(lines), stored, 0, {}))
        cursor.execute(OPEN)
        (still_open,) = cursor.fetchone()
    would = "would be " if dry_run else ""
    sentence = f"{len(lines)} in = {stored} {would}stored + {there} there + {len(bad)} {would}rejected."
    if still_open and not rejected.new:
        sentence += f" {still_open} earlier rejects are still open."
    figures = {"in": len(lines), "stored": stored, "there": there, "rejected": rejected.new}
    return Outcome(sentence, figures, rejected.new > 0)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--log-level", default="INFO")
    flags = parser.parse_args(arguments)
    return run_session(
        lambda: open_load(flags), lambda session: load(session, dry_run=flags.dry_run), as_json=flags.json
    )


if __name__ == "__main__":
    exit_process(main())
