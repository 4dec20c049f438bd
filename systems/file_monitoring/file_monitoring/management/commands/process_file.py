"""python manage.py process_file: score one object of S3, or one local file."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError

from etlkit.console import Outcome, Session, run_session
from etlkit.errors import ConfigError, DataError, LoadError
from file_monitoring.console import open_session, require_database
from file_monitoring.scoring.findings import FailedRows
from file_monitoring.scoring.score import Score, score_file
from file_monitoring.services.contract import require_tables
from file_monitoring.services.definitions import definition_of_file
from file_monitoring.services.events import BadMessage, Ignored, parse_message
from file_monitoring.services.ingestion import Ingested, NeverScored, process_s3_file
from file_monitoring.services.scratch import scratch_folder

STATUS_TOLD = {
    "unchanged": "This very object is scored already; --force scores it again.",
    "older": "A newer object of this run is scored already; --force scores this one all the same.",
    "unknown": "No active file is expected under this key. Nothing was written.",
    "gone": "The object is not there. Nothing was written.",
    "replaced": "The object was replaced meanwhile; run again. Nothing was written.",
}


class Command(BaseCommand):
    """Score one object of S3, or with --local one file of this machine."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the flags."""
        parser.add_argument("--bucket", help="the bucket of the object")
        parser.add_argument("--key", help="the key of the object, as it is")
        parser.add_argument(
            "--local", type=Path, metavar="PATH", help="a file of this machine; needs neither S3 nor a database"
        )
        parser.add_argument("--definition", type=Path, metavar="FILE", help="with --local: its definition, as JSON")
        parser.add_argument("--force", action="store_true", help="score it again where it is scored")
        parser.add_argument("--dry-run", action="store_true", help="score it and write nothing")
        parser.add_argument(
            "--report", type=Path, metavar="CSV", help="write every failing row there: row, check, column, rule"
        )
        parser.add_argument("--json", action="store_true", help="print the outcome as one JSON object")

    def handle(self, **flags: Any) -> None:
        """Run the command and end the process with its exit code."""
        raise SystemExit(
            run_session(
                lambda: open_session(as_json=flags["json"]),
                lambda session: _run(session, flags),
                as_json=flags["json"],
                failure="Nothing was scored: %s",
            )
        )


def _run(session: Session, flags: dict[str, Any]) -> Outcome:
    """Score what the flags name."""
    if flags["report"] and any(_is_same(flags["report"], flags[name]) for name in ("local", "definition")):
        raise ConfigError("--report would overwrite what is read.", "Nothing was touched.")
    if flags["local"]:
        if not flags["dry_run"] or flags["bucket"] or flags["key"]:
            raise ConfigError("--local is for --dry-run alone, without --bucket and --key.", "Nothing was touched.")
        return _outcome(session, Ingested("scored", "", str(flags["local"]), score=_score_local(flags)), dry_run=True)
    if not flags["bucket"] or not flags["key"] or flags["definition"]:
        raise ConfigError(
            "name an object by --bucket and --key, or a file by --local with --definition.", "Nothing was touched."
        )
    require_database()
    try:
        require_tables()
        return _outcome(session, _score_object(flags), dry_run=flags["dry_run"])
    except DatabaseError as error:
        raise LoadError(
            f"the database refused: {' '.join(str(error).split())}.", "The transaction was rolled back."
        ) from error


def _is_same(report: Path, other: Path | None) -> bool:
    """Tell whether two paths are one file."""
    return other is not None and report.exists() and other.exists() and report.samefile(other)


def _score_local(flags: dict[str, Any]) -> Score:
    """Score a file of this machine."""
    path: Path = flags["local"]
    if not path.is_file():
        raise ConfigError(f"{path} is no file.", "Nothing was touched.")
    definition = definition_of_file(flags["definition"]) if flags["definition"] else None
    with scratch_folder(settings.MONITOR.scratch_dir) as folder:
        if flags["report"] is None:
            return score_file(path, path.name, definition, settings.MONITOR.limits, scratch=folder)
        with FailedRows(flags["report"]) as report:
            return score_file(path, path.name, definition, settings.MONITOR.limits, report=report, scratch=folder)


def _score_object(flags: dict[str, Any]) -> Ingested:
    """Score an object of S3 as an event of the developer's form would have it scored."""
    try:
        refs = parse_message(json.dumps({"bucket": flags["bucket"], "key": flags["key"]}))
        if isinstance(refs, Ignored):
            raise DataError(f"{refs.why}.")
        (ref,) = refs
        return process_s3_file(
            ref.bucket, ref.key, ref=ref, force=flags["force"], dry_run=flags["dry_run"], report=flags["report"]
        )
    except (BadMessage, NeverScored) as error:
        raise DataError(f"{error}.") from error


def _outcome(session: Session, done: Ingested, *, dry_run: bool) -> Outcome:
    """Tell what became of an object."""
    figures = {**done.told, "dry_run": dry_run}
    if done.score is None:
        is_wrong = done.status not in ("unchanged", "older")
        return Outcome(STATUS_TOLD[done.status], figures, gravest=int(is_wrong))
    score = done.score
    for category, points in score.deductions.items():
        if points:
            session.logger.info("%4d  %-12s %s", -points, category, score.details(category))
    for warning in score.warnings:
        session.logger.info("      warning      %s", warning)
    verdict = "passed" if score.passed else "failed"
    where = f"run {done.run_id}"
    if dry_run:
        where = "would be kept" if done.status == "scored" else f"would not be kept: {STATUS_TOLD[done.status]}"
    return Outcome(
        f"{done.key}: {score.score} points, {verdict}; {where.rstrip('.')}.", figures, has_new_rejects=not score.passed
    )
