"""Transform: `bucket_data/` -> `combined_data/`: two combined CSV files and the rejected rows.

In come exhibition JSON and kiosk CSV files, out go `combined_exhibition_data.csv` (pandas),
`combined_museum_data.csv` (DuckDB, streaming, sorted by `at`), `rejected_rows.jsonl`, and every file's rows as they
were judged. Rows are judged by what they show; of what only a database knows, the exhibition files and the brief's
labels stand in. A re-run over unchanged input leaves the files untouched and an unchanged file is not judged again; new
files are written under temporary names and moved into place together, the manifest last.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin()

import csv
import hashlib
import json
import logging
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from etlkit.console import Outcome
from etlkit.errors import EtlError, SourceError
from etlkit.process import exit_process
from etlkit.signals import stopping_signal
from museum.combined import (
    EXHIBITION_FILE,
    JUDGED_DIR,
    LOCAL_FILES,
    REJECTS_FILE,
    CombinedFiles,
    CombinedManifest,
    KioskObject,
    RejectedRow,
    read_combined_manifest,
)
from museum.combining import SPILL_DIR, UNFINISHED_DIR, CombiningFiles, remove_leftovers
from museum.console import run_stage
from museum.duck import duckdb_errors
from museum.exhibitions import Exhibition, ParsedExhibitions, last_of_each, parse_exhibition_file
from museum.kiosk import Reference, Rules, default_reference
from museum.kiosk_files import KioskFile, foreign_form, inspect_file
from museum.kiosk_judge import FileToJudge, judge_files
from museum.objects import (
    ascii_key,
    data_folder_lock,
    exhibition_pattern,
    is_look_alike,
    kiosk_pattern,
    natural_order,
    read_manifest,
)
from museum.settings import Command, argument_parser

TRANSFORM_VERSION = 3
"""Part of the fingerprint: raise it when the combined files' content or form changes."""

EXHIBITION_COLUMNS = [
    "exhibition_name", "exhibition_code", "floor", "department", "start_date", "description", "object", "record",
]  # fmt: skip
FLOOR_SEPARATOR = "; "


@dataclass
class TransformSummary:
    """What the transform read and wrote; the manifest has the details."""

    combined: CombinedFiles
    seconds: float = 0.0
    was_untouched: bool = False
    ignored: list[str] = field(default_factory=list)

    @property
    def manifest(self) -> CombinedManifest:
        """Return what was counted."""
        return self.combined.manifest

    def lines(self) -> list[str]:
        """Return the summary's lines."""
        manifest = self.manifest
        untouched = ", combined files untouched" if self.was_untouched else ""
        files = f"{len(manifest.kiosk_objects):,} kiosk files ({manifest.size_bytes:,} bytes)"
        counts = f"{manifest.rows:,} rows in; {manifest.exhibitions:,} exhibitions; {manifest.rejected:,} rejected"
        lines = [f"transform  {self.seconds:6.1f} s  {files}: {counts}{untouched}"]
        if manifest.out_of_hours or manifest.ambiguous:
            twice = f"; in the hour that occurs twice: {manifest.ambiguous:,}" if manifest.ambiguous else ""
            lines.append(f"           out of hours, kept: {manifest.out_of_hours:,}{twice}")
        return lines


def combine_exhibition_files(
    paths: Sequence[tuple[str, Path]], combined_path: Path, logger: logging.Logger | None = None
) -> tuple[list[Exhibition], ParsedExhibitions, list[str]]:
    """Write the exhibitions of JSON files, given in natural key order as (key, path), to one CSV file.

    The file has one line an exhibition: exhibition_name, exhibition_code, floor (several joined by "; "), department,
    start_date (ISO), description, object, record. Returns the exhibitions, all that was parsed, and a sentence for each
    description that another one replaced.
    """
    log = logger or logging.getLogger(__name__)
    parsed = ParsedExhibitions()
    for key, path in paths:
        parse_exhibition_file(key, path.read_bytes(), parsed)
    exhibitions, differing = last_of_each(parsed.exhibitions)
    frame = pd.DataFrame(
        [
            {
                "exhibition_name": item.name,
                "exhibition_code": item.code,
                "floor": FLOOR_SEPARATOR.join(item.floors),
                "department": item.department,
                "start_date": item.start_date.isoformat() if item.start_date else None,
                "description": item.description,
                "object": item.key,
                "record": item.position,
            }
            for item in exhibitions
        ],
        columns=EXHIBITION_COLUMNS,
    )
    frame.to_csv(combined_path, index=False, lineterminator="\n", quoting=csv.QUOTE_ALL)
    log.debug("%s exhibitions of %s files combined", len(exhibitions), len(paths))
    sentences = [
        f"{winner.code} is described differently by {loser.key} and {winner.key}; the last one wins"
        for loser, winner in differing
    ]
    return exhibitions, parsed, sentences


def combine_kiosk_files(
    files: Sequence[FileToJudge],
    combined_dir: Path,
    rules: Rules,
    reference: Reference,
    logger: logging.Logger | None = None,
) -> list[KioskObject]:
    """Judge kiosk files, given in natural key order, and append their rejected rows to the unfinished rejects file.

    Their good rows are then ready to be merged and loaded. Returns what was counted a file.
    """
    log = logger or logging.getLogger(__name__)
    unfinished_dir = combined_dir / UNFINISHED_DIR
    previous = read_combined_manifest(combined_dir)
    known = {item.key: item for item in previous.kiosk_objects} if previous else {}
    judged_dir = combined_dir / JUDGED_DIR
    judged_dir.mkdir(exist_ok=True)
    counted = []
    judging = judge_files(files, judged_dir, unfinished_dir / SPILL_DIR, rules, reference, known)
    with (
        duckdb_errors("judging the kiosk files", f"Is the disk of {combined_dir} full? Then free space and run again."),
        closing(judging),
        (unfinished_dir / REJECTS_FILE).open("ab") as rejects,
        tqdm(judging, "transform", len(files), unit="file", disable=not sys.stderr.isatty(), leave=False) as progress,
    ):
        for result in progress:
            with (judged_dir / result.rejects_file).open("rb") as file:
                shutil.copyfileobj(file, rejects)
            counted.append(result)
            was_known = ", as judged before" if known.get(result.key) is result else ""
            log.debug(
                "%s: %s rows, %s combined, %s rejected%s",
                result.key, result.rows, result.combined, result.rejected, was_known,
            )  # fmt: skip
    return counted


def transform(
    command: Command, keys: Sequence[str] | None = None, logger: logging.Logger | None = None
) -> TransformSummary:
    """Combine the files below `bucket_data/`: of the given keys (a listing), or every one that matches.

    Raises SourceError when there is no folder to read.
    """
    started = time.monotonic()
    log = logger or logging.getLogger(__name__)
    with transforming(command, keys, log) as summary:
        summary.combined.finish()
        summary.seconds = time.monotonic() - started
        for line in summary.lines():
            log.info(line)
    return summary


@contextmanager
def transforming(
    command: Command, keys: Sequence[str] | None = None, logger: logging.Logger | None = None
) -> Iterator[TransformSummary]:
    """Do the same, and yield once the rows are judged: a load may begin while the combined file is being written.

    At the end the files are finished, also when the body failed, unless it was a signal that ended it.
    """
    started = time.monotonic()
    log = logger or logging.getLogger(__name__)
    settings = command.museum
    bucket_dir, combined_dir = settings.bucket_dir, settings.combined_dir
    if not bucket_dir.is_dir():
        raise SourceError(
            f"there is no folder {bucket_dir}. Run the extract first, or pass --data-dir. Nothing was loaded."
        )
    kiosk_keys, exhibition_keys, ignored = select_keys(bucket_dir, settings.museum_key_prefix, keys)
    patterns = f"{settings.museum_key_prefix}_hist_data_N.csv or {settings.museum_key_prefix}_exhibition_NAME.json"
    for key in filter(is_look_alike, ignored):
        log.warning("%s is not taken: its name is not %s (letters, digits, hyphens)", ascii_key(key), patterns)
    if others := [key for key in ignored if not is_look_alike(key)]:
        log.info("not kiosk or exhibition files, ignored: %s", ", ".join(map(ascii_key, others)))
    bucket = settings.museum_bucket if keys is not None else read_manifest(bucket_dir).bucket or settings.museum_bucket
    files = [_file_to_judge(key, bucket_dir / key, settings.rules) for key in kiosk_keys]
    exhibition_paths = [(key, bucket_dir / key) for key in exhibition_keys]
    fingerprint = _fingerprint(bucket, files, exhibition_paths, settings.rules)
    manifest = read_combined_manifest(combined_dir)
    if manifest is not None and manifest.fingerprint == fingerprint and manifest.holds_at(command.latest_at):
        combined, was_untouched = CombinedFiles(combined_dir, manifest), True
        remove_leftovers(combined_dir, manifest)
    else:
        combined, was_untouched = _combine(command, bucket, files, exhibition_paths, combined_dir, log), False
    for warning in combined.manifest.warnings:
        log.warning(warning)
    if not kiosk_keys:
        name = f"{settings.museum_key_prefix}_hist_data_N.csv"
        log.warning("there is no kiosk file (%s) in %s", name, bucket_dir)
    with finishing(combined, log):
        yield TransformSummary(combined, time.monotonic() - started, was_untouched, ignored)


@contextmanager
def finishing(combined: CombinedFiles, logger: logging.Logger) -> Iterator[CombinedFiles]:
    """Finish combined files at the end, also when the body failed; after a signal their writing is broken off."""
    try:
        yield combined
        combined.finish()
    except BaseException as error:
        # a library that was waiting in C may have turned the signal's exception into one of its own
        if stopping_signal() or not isinstance(error, Exception):
            combined.abandon()
            raise
        try:
            combined.finish()
        except (EtlError, OSError) as second:
            logger.debug("the combined files could not be finished either: %s", second)
        except BaseException:
            combined.abandon()
            raise
        raise


def select_keys(bucket_dir: Path, prefix: str, listed: Sequence[str] | None) -> tuple[list[str], list[str], list[str]]:
    """Return the keys of kiosk files, of exhibition files and of everything else, each in natural order."""
    found = sorted((path.name for path in bucket_dir.iterdir() if path.is_file()), key=natural_order)
    wanted = None if listed is None else set(listed)
    found = [name for name in found if not name.startswith(".") and (wanted is None or name in wanted)]
    nested = [key for key in listed or () if "/" in key]
    kiosk = [name for name in found if kiosk_pattern(prefix).fullmatch(name)]
    exhibition = [name for name in found if exhibition_pattern(prefix).fullmatch(name)]
    chosen = {*kiosk, *exhibition}
    return kiosk, exhibition, [name for name in (*found, *nested) if name not in chosen]


def content_hash(file: KioskFile, rules: Rules) -> str:
    """Return what the ledger compares: the file's bytes and the rules."""
    return f"sha256:{file.sha256} under {rules.fingerprint}"


def combine_plain_file(
    command: Command, path: Path, combined_dir: Path, reference: Reference, logger: logging.Logger | None = None
) -> CombinedFiles:
    """Combine one kiosk file that is not of the bucket into its own combined files, judged by the given reference.

    Raises SourceError when the file cannot be read. The caller finishes the files (`finishing`).
    """
    try:
        file = _file_to_judge(str(path), path, command.museum.rules)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}. Nothing was loaded.") from error
    log = logger or logging.getLogger(__name__)
    return _combine(command, LOCAL_FILES, [file], [], combined_dir, log, reference)


def _file_to_judge(key: str, path: Path, rules: Rules) -> FileToJudge:
    """Read a file's hash and header."""
    file = inspect_file(path)
    return FileToJudge(key, file, content_hash(file, rules))


def _combine(
    command: Command,
    bucket: str,
    files: list[FileToJudge],
    exhibition_paths: list[tuple[str, Path]],
    combined_dir: Path,
    log: logging.Logger,
    reference: Reference | None = None,
) -> CombiningFiles:
    """Judge all files and begin to write the combined ones anew."""
    unfinished = combined_dir / UNFINISHED_DIR
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    exhibitions, parsed, differing = combine_exhibition_files(exhibition_paths, unfinished / EXHIBITION_FILE, log)
    with (unfinished / REJECTS_FILE).open("w", encoding="utf-8") as rejects:
        for bad in parsed.rejects:
            rejects.write(RejectedRow("exhibition", bad.key, bad.position, bad.reasons, bad.raw).to_json())
    if reference is None:
        reference = default_reference(frozenset(item.site for item in exhibitions), command.latest_at)
    rules = command.museum.rules
    manifest = CombinedManifest(
        fingerprint=_fingerprint(bucket, files, exhibition_paths, rules),
        bucket=bucket,
        kiosk_objects=combine_kiosk_files(files, combined_dir, rules, reference, log),
        exhibition_keys=[key for key, _ in exhibition_paths],
        exhibition_records=len(parsed.exhibitions) + len(parsed.rejects),
        exhibition_rejects=len(parsed.rejects),
        exhibitions=len(exhibitions),
        exhibition_reasons=dict(Counter(reason for bad in parsed.rejects for reason in bad.reasons)),
        differing=differing,
        warnings=[*_exhibition_warnings(parsed), *differing, *_file_warnings(files)],
    )
    return CombiningFiles(combined_dir, manifest)


def _exhibition_warnings(parsed: ParsedExhibitions) -> list[str]:
    """Return a sentence for every exhibition that was rejected or holds keys that nobody knows."""
    unknown = [
        f"{key}: unknown keys ignored: {', '.join(sorted(map(ascii_key, names)))}"
        for key, names in sorted(parsed.unknown_keys.items())
    ]
    cleaned = [
        f"{key}: control characters taken out of {', '.join(sorted(names))}"
        for key, names in sorted(parsed.cleaned.items())
    ]
    rejected = []
    for bad in parsed.rejects:
        form = None if bad.position else foreign_form(bad.raw)
        place = f"record {bad.position}" if bad.position else "the whole file"
        reasons = ", ".join(bad.reasons)
        rejected.append(f"{bad.key}, {place}: {f'it is {form} ({reasons})' if form else reasons}")
    return [*unknown, *cleaned, *rejected]


def _file_warnings(files: list[FileToJudge]) -> list[str]:
    """Return a sentence for every kiosk file that is rejected as a whole."""
    return [
        f"{item.key}: {item.file.detail} ({item.file.problem}); rows of earlier runs, if there are any, stay"
        for item in files
        if item.file.problem
    ]


def _fingerprint(bucket: str, files: list[FileToJudge], exhibition_paths: list[tuple[str, Path]], rules: Rules) -> str:
    """Return a hash over everything that the combined files depend on."""
    parts: list[Any] = [TRANSFORM_VERSION, bucket, rules.fingerprint, f"{rules.opening}-{rules.closing}"]
    parts.extend((item.key, item.file.sha256) for item in files)
    parts.extend((key, hashlib.sha256(path.read_bytes()).hexdigest()) for key, path in exhibition_paths)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """Run the transform from the command line, over every matching file of the data folder."""
    parser = argument_parser(
        "transform.py",
        "Combine the files of bucket_data/ into combined_data/, bad rows apart.",
        "  python transform.py\n  python transform.py --data-dir /srv/museum --json",
        ("files",),
    )

    def body(command: Command, logger: logging.Logger) -> Outcome:
        with data_folder_lock(command.museum.museum_data_dir):
            summary = transform(command, None, logger)
        return Outcome(
            transform_sentence(summary),
            {"transform": transform_figures(summary)},
            has_new_rejects=summary.manifest.rejected > 0 and not summary.was_untouched,
        )

    return run_stage(parser.parse_args(arguments), body, with_database=False)


def transform_sentence(summary: TransformSummary) -> str:
    """Return the outcome of a run that ends with the transform."""
    manifest = summary.manifest
    done = "Nothing new:" if summary.was_untouched else "Combined"
    good = manifest.rows - sum(item.rejected for item in manifest.kiosk_objects)
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in manifest.reasons.items())
    return f"{done} {good:,} good rows, {manifest.rejected:,} rejected{f' ({reasons})' if reasons else ''}."


def transform_figures(summary: TransformSummary) -> dict[str, Any]:
    """Return the stage's part of the run's figures."""
    manifest = summary.manifest
    return {
        "seconds": round(summary.seconds, 3),
        "objects": len(manifest.kiosk_objects) + len(manifest.exhibition_keys),
        "bytes": manifest.size_bytes,
        "rows_in": manifest.rows,
        "rejected": manifest.rejected,
        "rejected_by_reason": manifest.reasons,
        "out_of_hours": manifest.out_of_hours,
        "ambiguous_hour": manifest.ambiguous,
        "exhibitions": manifest.exhibitions,
        "described_differently": manifest.differing,
        "ignored": summary.ignored,
        "untouched": summary.was_untouched,
    }


if __name__ == "__main__":
    exit_process(main())
