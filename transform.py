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
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from tqdm import tqdm

from etlkit.console import Outcome
from etlkit.errors import SourceError
from etlkit.process import exit_process
from museum.batch import bucket_files
from museum.batch.combined_csv import UNFINISHED_DIR, remove_leftovers, writing_combined
from museum.batch.duck import duckdb_errors
from museum.batch.judging import FileToJudge, judge_files
from museum.batch.kiosk_files import foreign_form
from museum.batch.manifest import (
    EXHIBITION_COLUMNS,
    EXHIBITION_FILE,
    JUDGED_DIR,
    REJECTS_FILE,
    SPILL_DIR,
    CombinedFiles,
    CombinedManifest,
    KioskObject,
    read_combined_manifest,
)
from museum.batch.rejects import RejectedRow
from museum.command import Command, Summary, argument_parser, outcome_of, run_stage
from museum.exhibitions import Exhibition, ParsedExhibitions, last_of_each, parse_exhibition_file
from museum.kiosk import Reference, Rules, default_reference
from museum.settings import MuseumSettings

TRANSFORM_VERSION = 3
"""Part of the fingerprint: raise it when the combined files' content or form changes."""

FLOOR_SEPARATOR = "; "
LOG = logging.getLogger(__name__)


@dataclass
class TransformSummary(Summary):
    """What the transform read and wrote; the manifest has the details."""

    stage: ClassVar[str] = "transform"
    files: CombinedFiles
    was_untouched: bool
    ignored: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def has_new_rejects(self) -> bool:
        """Tell whether this run rejected records."""
        return self.files.manifest.rejected > 0 and not self.was_untouched

    def lines(self) -> list[str]:
        """Return the summary's lines."""
        manifest, totals = self.files.manifest, self.files.manifest.totals
        untouched = ", combined files untouched" if self.was_untouched else ""
        files = f"{len(manifest.kiosk_objects):,} kiosk files ({totals['size_bytes']:,} bytes)"
        counts = f"{totals['rows']:,} rows in; {manifest.exhibitions:,} exhibitions; {manifest.rejected:,} rejected"
        lines = [f"transform  {self.seconds:6.1f} s  {files}: {counts}{untouched}"]
        if totals["out_of_hours"] or totals["ambiguous"]:
            twice = f"; in the hour that occurs twice: {totals['ambiguous']:,}" if totals["ambiguous"] else ""
            lines.append(f"           out of hours, kept: {totals['out_of_hours']:,}{twice}")
        return lines

    def sentence(self) -> str:
        """Return the outcome of a run that ends with the transform."""
        manifest = self.files.manifest
        done = "Nothing new:" if self.was_untouched else "Combined"
        good = manifest.totals["rows"] - sum(item.rejected for item in manifest.kiosk_objects)
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in manifest.reasons.items())
        return f"{done} {good:,} good rows, {manifest.rejected:,} rejected{f' ({reasons})' if reasons else ''}."

    def figures(self) -> dict[str, Any]:
        """Return the stage's part of the run's figures."""
        manifest, totals = self.files.manifest, self.files.manifest.totals
        return {
            "seconds": round(self.seconds, 3),
            "objects": len(manifest.kiosk_objects) + len(manifest.exhibition_keys),
            "bytes": totals["size_bytes"],
            "rows_in": totals["rows"],
            "rejected": manifest.rejected,
            "rejected_by_reason": manifest.reasons,
            "out_of_hours": totals["out_of_hours"],
            "ambiguous_hour": totals["ambiguous"],
            "exhibitions": manifest.exhibitions,
            "described_differently": manifest.differing,
            "ignored": self.ignored,
            "untouched": self.was_untouched,
        }


def combine_exhibition_files(
    paths: Sequence[tuple[str, Path]], combined_path: Path, logger: logging.Logger = LOG
) -> tuple[list[Exhibition], ParsedExhibitions, list[str]]:
    """Write the exhibitions of JSON files, given in natural key order as (key, path), to one CSV file, a line each.

    Returns the exhibitions, all that was parsed, and a sentence for each description that another one replaced.
    """
    parsed = ParsedExhibitions()
    for key, path in paths:
        parse_exhibition_file(key, path.read_bytes(), parsed)
    exhibitions, differing = last_of_each(parsed.exhibitions)
    rows = [
        (item.name, item.code, FLOOR_SEPARATOR.join(item.floors), item.department,
         item.start_date and item.start_date.isoformat(), item.description, item.key, item.position)
        for item in exhibitions
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=EXHIBITION_COLUMNS)
    frame.to_csv(combined_path, index=False, lineterminator="\n", quoting=csv.QUOTE_ALL)
    logger.debug("%s exhibitions of %s files combined", len(exhibitions), len(paths))
    sentences = [
        f"{winner.code} is described differently by {loser.key} and {winner.key}; the last one wins"
        for loser, winner in differing
    ]
    return exhibitions, parsed, sentences


def combine_kiosk_files(
    files: Sequence[FileToJudge], combined_dir: Path, rules: Rules, reference: Reference, logger: logging.Logger = LOG
) -> list[KioskObject]:
    """Judge kiosk files, given in natural key order, append their rejected rows to the rejects file, and count."""
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
        tqdm(judging, "transform", len(files), unit="file", disable=None, leave=False) as progress,
    ):
        for result in progress:
            with (judged_dir / result.rejects_file).open("rb") as file:
                shutil.copyfileobj(file, rejects)
            counted.append(result)
            was_known = ", as judged before" if known.get(result.key) is result else ""
            logger.debug(
                "%s: %s rows, %s combined, %s rejected%s",
                result.key, result.rows, result.combined, result.rejected, was_known,
            )  # fmt: skip
    return counted


@contextmanager
def transform(
    command: Command, keys: Sequence[str] | None = None, logger: logging.Logger = LOG, *, wait: bool = True
) -> Iterator[tuple[TransformSummary, Callable[[], None]]]:
    """Combine the files below `bucket_data/`: of the given keys (a listing), or every one that matches.

    Yields the summary and `finish`, which returns once the combined files are in their places; without `wait` a load
    may begin before that. Raises SourceError when there is no folder to read.
    """
    started = time.monotonic()
    settings = command.museum
    bucket_dir, combined_dir, prefix = settings.bucket_dir, settings.combined_dir, settings.museum_key_prefix
    if not bucket_dir.is_dir():
        raise SourceError(
            f"there is no folder {bucket_dir}. Run the extract first, or pass --data-dir. Nothing was loaded."
        )
    kiosk_keys, exhibition_keys, ignored = select_keys(bucket_dir, prefix, keys)
    patterns = f"{prefix}_hist_data_N.csv or {prefix}_exhibition_NAME.json"
    for key in filter(bucket_files.is_look_alike, ignored):
        shown = bucket_files.ascii_key(key)
        logger.warning("%s is not taken: its name is not %s (letters, digits, hyphens)", shown, patterns)
    if others := [key for key in ignored if not bucket_files.is_look_alike(key)]:
        logger.info("not kiosk or exhibition files, ignored: %s", ", ".join(map(bucket_files.ascii_key, others)))
    bucket = bucket_files.read_manifest(bucket_dir).bucket or settings.museum_bucket
    files = [FileToJudge.read(key, bucket_dir / key, settings.rules) for key in kiosk_keys]
    exhibition_paths = [(key, bucket_dir / key) for key in exhibition_keys]
    fingerprint = _fingerprint(bucket, files, exhibition_paths, settings)
    manifest = read_combined_manifest(combined_dir)
    was_untouched = bool(manifest and manifest.fingerprint == fingerprint and manifest.holds_at(command.latest_at))
    if manifest is None or not was_untouched:
        manifest = _judge(command, bucket, files, exhibition_paths, fingerprint, logger)
    for warning in manifest.warnings:
        logger.warning(warning)
    if not kiosk_keys:
        logger.warning("there is no kiosk file (%s_hist_data_N.csv) in %s", prefix, bucket_dir)
    if was_untouched:
        remove_leftovers(combined_dir, manifest)
    folder = combined_dir if was_untouched or wait else combined_dir / UNFINISHED_DIR
    summary = TransformSummary(CombinedFiles(combined_dir, folder, manifest), was_untouched, ignored)
    finished = nullcontext[Callable[[], None]](lambda: None)
    with finished if was_untouched else writing_combined(combined_dir, manifest) as finish:
        if wait:
            finish()
        summary.seconds = time.monotonic() - started
        for line in summary.lines():
            logger.info(line)
        yield summary, finish


def select_keys(bucket_dir: Path, prefix: str, listed: Sequence[str] | None) -> tuple[list[str], list[str], list[str]]:
    """Return the keys of kiosk files, of exhibition files and of everything else, each in natural order."""
    found = {path.name for path in bucket_dir.iterdir() if path.is_file() and not path.name.startswith(".")}
    names = sorted(found if listed is None else found & set(listed), key=bucket_files.natural_order)
    kiosk = [name for name in names if bucket_files.is_kiosk_key(name, prefix)]
    exhibition = [name for name in names if bucket_files.is_exhibition_key(name, prefix)]
    chosen = {*kiosk, *exhibition}
    nested = [key for key in listed or () if "/" in key]
    return kiosk, exhibition, [name for name in (*names, *nested) if name not in chosen]


def _judge(
    command: Command,
    bucket: str,
    files: list[FileToJudge],
    exhibition_paths: list[tuple[str, Path]],
    fingerprint: str,
    logger: logging.Logger,
) -> CombinedManifest:
    """Judge all files; the exhibitions and the rejected rows lie in the unfinished folder then."""
    unfinished = command.museum.combined_dir / UNFINISHED_DIR
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    exhibitions, parsed, differing = combine_exhibition_files(exhibition_paths, unfinished / EXHIBITION_FILE, logger)
    with (unfinished / REJECTS_FILE).open("w", encoding="utf-8") as rejects:
        for bad in parsed.rejects:
            rejects.write(RejectedRow("exhibition", bad.key, bad.position, bad.reasons, bad.raw).to_json())
    reference = default_reference(frozenset(item.site for item in exhibitions), command.latest_at)
    file_warnings = [item.warning for item in files if item.warning]
    return CombinedManifest(
        fingerprint=fingerprint,
        bucket=bucket,
        kiosk_objects=combine_kiosk_files(files, command.museum.combined_dir, command.museum.rules, reference, logger),
        exhibition_keys=[key for key, _ in exhibition_paths],
        exhibition_records=len(parsed.exhibitions) + len(parsed.rejects),
        exhibition_rejects=len(parsed.rejects),
        exhibitions=len(exhibitions),
        exhibition_reasons=dict(Counter(reason for bad in parsed.rejects for reason in bad.reasons)),
        differing=differing,
        warnings=[*_exhibition_warnings(parsed), *differing, *file_warnings],
        has_combined_csv=command.museum.museum_combined_csv,
    )


def _exhibition_warnings(parsed: ParsedExhibitions) -> Iterator[str]:
    """Yield a sentence for every exhibition that was rejected or holds keys that nobody knows."""
    for key, names in sorted(parsed.unknown_keys.items()):
        yield f"{key}: unknown keys ignored: {', '.join(sorted(map(bucket_files.ascii_key, names)))}"
    for key, names in sorted(parsed.cleaned.items()):
        yield f"{key}: control characters taken out of {', '.join(sorted(names))}"
    for bad in parsed.rejects:
        form = None if bad.position else foreign_form(bad.raw)
        place = f"record {bad.position}" if bad.position else "the whole file"
        reasons = ", ".join(bad.reasons)
        yield f"{bad.key}, {place}: {f'it is {form} ({reasons})' if form else reasons}"


def _fingerprint(
    bucket: str, files: list[FileToJudge], exhibition_paths: list[tuple[str, Path]], settings: MuseumSettings
) -> str:
    """Return a hash over everything that the combined files depend on."""
    rules = settings.rules
    parts: list[Any] = [TRANSFORM_VERSION, bucket, rules.fingerprint, f"{rules.opening}-{rules.closing}"]
    if not settings.museum_combined_csv:
        parts.append("without the sorted file")
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
    return run_stage(parser.parse_args(arguments), run_transform, with_database=False)


def run_transform(command: Command, logger: logging.Logger) -> Outcome:
    """Run the transform alone and return the outcome."""
    with bucket_files.data_folder_lock(command.museum.museum_data_dir), transform(command, None, logger) as (done, _):
        return outcome_of(done)


if __name__ == "__main__":
    exit_process(main())
