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
from typing import Any

from etlkit.console import Outcome
from etlkit.errors import DataError
from etlkit.process import exit_process
from extract import extract, extract_figures
from load import load_data_to_db, load_outcome, open_target
from museum.combined import REJECTS_FILE
from museum.console import run_stage, setup_logging
from museum.database import RunningRun
from museum.objects import data_folder_lock
from museum.settings import Command, argument_parser
from transform import transform, transform_figures, transform_sentence, transforming

__all__ = ["main", "run_pipeline", "setup_logging"]  # setup_logging is the founding name

EXAMPLES = """\
  python pipeline.py --push                  # S3 -> bucket_data/ -> combined_data/ -> Postgres
  python pipeline.py --skip-extract --push   # local files only
  python pipeline.py                         # extract and transform, no database
  python pipeline.py --push --dry-run        # everything, rolled back"""


def run_pipeline(command: Command, logger: logging.Logger) -> Outcome:
    """Run the stages that the flags ask for and return the outcome."""
    flags = command.flags
    with (
        open_target(command, logger) if flags.push else nullcontext() as target,
        data_folder_lock(command.museum.museum_data_dir),
    ):
        figures: dict[str, Any] = {}
        keys = None
        if not flags.skip_extract:
            extracted = extract(command, logger)
            keys = [key for key in extracted.keys if key not in extracted.unsafe_keys]
            figures["extract"] = extract_figures(extracted)
        if isinstance(target, RunningRun):
            return _load_while_combining(target, command, keys, logger, figures)
        transformed = transform(command, keys, logger)
        figures["transform"] = transform_figures(transformed)
    manifest = transformed.manifest
    if command.reject_limit.is_exceeded(manifest.rejected, manifest.rows):
        raise DataError(
            f"{manifest.rejected:,} of {manifest.rows:,} rows were rejected, --max-rejects is {command.reject_limit}. "
            f"The rejected rows are in {command.museum.combined_dir / REJECTS_FILE}."
        )
    has_new_rejects = manifest.rejected > 0 and not transformed.was_untouched
    return Outcome(transform_sentence(transformed), figures, has_new_rejects)


def _load_while_combining(
    target: RunningRun, command: Command, keys: Sequence[str] | None, logger: logging.Logger, figures: dict[str, Any]
) -> Outcome:
    """Transform and load; the database works while the combined file is still being written."""
    with transforming(command, keys, logger) as transformed:
        for line in transformed.lines():
            logger.info(line)
        figures["transform"] = transform_figures(transformed)
        loaded = load_data_to_db(target, command, transformed.combined, logger, earlier_stages=figures)
    outcome = load_outcome(loaded, command)
    return Outcome(outcome.sentence, {**figures, **outcome.figures}, outcome.has_new_rejects)


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
