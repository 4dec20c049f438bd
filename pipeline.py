"""Pipeline: extract -> transform -> load, with one summary, one exit code and one line of run history.

Without --push nothing touches a database; with it the run holds the lock `museum:batch` from before the extract to
the end, so two overlapping cron jobs never meet. A re-run is safe because every stage is.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin()

import argparse
import logging
from collections.abc import Sequence
from contextlib import nullcontext

from etlkit.console import Outcome
from etlkit.errors import DataError
from etlkit.process import exit_process
from extract import extract
from load import load_data_to_db, open_target
from museum.batch.bucket_files import data_folder_lock
from museum.batch.manifest import REJECTS_FILE, CombinedManifest
from museum.command import Command, Summary, argument_parser, outcome_of, run_stage, setup_logging
from museum.settings import MuseumSettings
from transform import transform

__all__ = ["main", "run_pipeline", "setup_logging"]  # setup_logging is the founding name

EXAMPLES = """\
  python pipeline.py --push                  # S3 -> bucket_data/ -> combined_data/ -> Postgres
  python pipeline.py --skip-extract --push   # local files only
  python pipeline.py                         # extract and transform, no database
  python pipeline.py --push --dry-run        # everything, rolled back"""


def run_pipeline(command: Command, logger: logging.Logger) -> Outcome:
    """Extract, transform, load, as far as the flags ask for; the load begins while the combined file is written."""
    flags = command.flags
    with (
        open_target(command, logger) if flags.push else nullcontext() as target,
        data_folder_lock(command.museum.museum_data_dir),
    ):
        extracted = None if flags.skip_extract else extract(command, logger)
        keys = extracted.safe_keys if extracted else None
        with transform(command, keys, logger, wait=target is None) as (transformed, finish):
            stages: list[Summary] = [extracted, transformed] if extracted else [transformed]
            if target is None:
                check_rejects(transformed.files.manifest, command.museum)
                return outcome_of(*stages)
            earlier = {stage.stage: stage.figures() for stage in stages}
            loaded = load_data_to_db(target, command, transformed.files, logger, before_commit=finish, earlier=earlier)
    return outcome_of(*stages, loaded)


def check_rejects(manifest: CombinedManifest, settings: MuseumSettings) -> None:
    """Raise DataError when a transform, with which the run ends, rejected too much."""
    rows = manifest.totals["rows"]
    if settings.is_too_many(manifest.rejected, rows):
        raise DataError(
            f"{manifest.rejected:,} of {rows:,} rows were rejected, --max-rejects is "
            f"{settings.museum_max_rejects}. The rejected rows are in {settings.combined_dir / REJECTS_FILE}."
        )


def pipeline_parser() -> argparse.ArgumentParser:
    """Return the parser of the pipeline's command line."""
    summary = "The museum's kiosk data: from the S3 bucket to Postgres."
    parser = argument_parser("pipeline.py", summary, EXAMPLES, ("files", "source", "database", "load"))
    parser.add_argument("--push", action="store_true", help="load into Postgres; without it no database is touched")
    parser.add_argument("--skip-extract", action="store_true", help="use the files of bucket_data/ as they are")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline from the command line and return its exit code."""
    flags = pipeline_parser().parse_args(arguments)
    return run_stage(flags, run_pipeline, with_database=flags.push)


if __name__ == "__main__":
    exit_process(main())
