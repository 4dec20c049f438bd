"""Extract: objects of the bucket whose key begins with `lmnh` -> `bucket_data/`, mirrored by key.

In comes an S3 bucket, out go files below `bucket_data/` and a manifest of what was fetched. A re-run downloads only
what is new or changed (ETag, size and local time are compared); every file is written under a temporary name, its
size checked and only then moved into place, so a kill leaves either the old file or the new one.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin()

import logging
import os
import shutil
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar

from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from s3transfer.subscribers import BaseSubscriber
from tqdm import tqdm

from etlkit.aws import aws_session
from etlkit.console import Outcome
from etlkit.errors import ConfigError, SourceError
from etlkit.process import exit_process
from museum.batch import bucket_files
from museum.batch.s3_errors import not_s3, source_errors
from museum.command import Command, Summary, argument_parser, outcome_of, run_stage
from museum.settings import MuseumSettings

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

RETRIES = 5
CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 15
PARALLEL_DOWNLOADS = 8
DOWNLOADING_DIR = ".downloading"
LOG = logging.getLogger(__name__)


@dataclass
class ExtractSummary(Summary):
    """What the extract found and fetched."""

    stage: ClassVar[str] = "extract"
    seconds: float = 0.0
    objects: int = 0
    downloaded: int = 0
    already_here: int = 0
    bytes_downloaded: int = 0
    unsafe_keys: dict[str, str] = field(default_factory=dict)
    not_fetched: dict[str, str] = field(default_factory=dict)
    safe_keys: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the summary's line."""
        unsafe = f", unsafe keys skipped: {len(self.unsafe_keys)}" if self.unsafe_keys else ""
        unsafe += f", not fetched: {len(self.not_fetched)}" if self.not_fetched else ""
        counts = f"{self.objects:,} objects: {self.downloaded:,} downloaded ({self.bytes_downloaded:,} bytes)"
        return [f"extract    {self.seconds:6.1f} s  {counts}, {self.already_here:,} already here{unsafe}"]

    def sentence(self) -> str:
        """Return the outcome of a run that ends with the extract."""
        return f"Extracted {self.downloaded:,} new objects."

    def figures(self) -> dict[str, Any]:
        """Return the stage's part of the run's figures."""
        return {
            "seconds": round(self.seconds, 3),
            "objects": self.objects,
            "downloaded": self.downloaded,
            "bytes": self.bytes_downloaded,
            "already_here": self.already_here,
            "unsafe_keys": self.unsafe_keys,
            "not_fetched": self.not_fetched,
        }


def get_s3_client(settings: MuseumSettings, logger: logging.Logger = LOG) -> S3Client:
    """Return an S3 client with bounded retries; without keys in the settings boto3's own chain is used."""
    logger.debug("S3 endpoint %s", settings.museum_endpoint_url or "AWS")
    try:
        return aws_session(settings).client(
            "s3",
            endpoint_url=settings.museum_endpoint_url,
            config=Config(
                retries={"total_max_attempts": RETRIES, "mode": "standard"},
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                read_timeout=READ_TIMEOUT_SECONDS,
                max_pool_connections=PARALLEL_DOWNLOADS * 2,
            ),
        )
    except (ValueError, BotoCoreError) as error:
        raise ConfigError(
            f"no S3 client for endpoint {settings.museum_endpoint_url!r}: {error}. "
            "Correct --endpoint-url or the AWS settings. Nothing was touched."
        ) from error


def list_objects(
    client: S3Client, bucket: str, prefix: str = "lmnh", logger: logging.Logger = LOG
) -> list[bucket_files.RemoteObject]:
    """Return every object whose key begins with the prefix; raises SourceError when the bucket cannot be listed."""
    found: list[bucket_files.RemoteObject] = []
    with source_errors(bucket):
        is_truncated = True
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            if "IsTruncated" not in page:
                kind = page["ResponseMetadata"]["HTTPHeaders"].get("content-type", "no content type")
                raise not_s3(f"the listing of bucket {bucket}", f"{kind} without a listing in it")
            is_truncated = page["IsTruncated"]
            try:
                found.extend(
                    bucket_files.RemoteObject(entry["Key"], entry["ETag"].strip('"'), entry["Size"])
                    for entry in page.get("Contents", [])
                )
            except KeyError as error:
                raise not_s3(f"the listing of bucket {bucket}", f"an object without {error}") from error
        if is_truncated:
            raise not_s3(f"the listing of bucket {bucket}", "it says that it goes on, but not where")
    logger.debug("%s objects of s3://%s begin with %s", len(found), bucket, prefix)
    return found


def download_objects(
    client: S3Client,
    bucket: str,
    objects: list[bucket_files.RemoteObject],
    bucket_dir: Path,
    logger: logging.Logger = LOG,
    prefix: str = "lmnh",
) -> ExtractSummary:
    """Mirror new and changed objects below bucket_dir; what no stage reads comes last, its failure is a warning.

    Raises SourceError when an object that a stage reads cannot be fetched whole; what was fetched before stays.
    """
    summary = ExtractSummary(objects=len(objects))
    bucket_dir.mkdir(parents=True, exist_ok=True)
    found = bucket_files.read_manifest(bucket_dir)
    manifest = found if found.bucket == bucket else bucket_files.ExtractManifest(bucket)
    read_by_a_stage: list[tuple[bucket_files.RemoteObject, Path]] = []
    others: list[tuple[bucket_files.RemoteObject, Path]] = []
    keys = {remote.key for remote in objects}
    for remote in objects:
        key, path = remote.key, bucket_dir / remote.key
        problem = _key_problem(bucket_dir, key, keys)
        if problem == "folder marker":
            summary.objects -= 1
        elif problem:
            summary.unsafe_keys[key] = problem
        elif manifest.holds(remote, path):
            summary.already_here += 1
        elif bucket_files.is_kiosk_key(key, prefix) or bucket_files.is_exhibition_key(key, prefix):
            read_by_a_stage.append((remote, path))
        else:
            others.append((remote, path))
    summary.safe_keys = [remote.key for remote in objects if remote.key not in summary.unsafe_keys]
    for key, problem in sorted(summary.unsafe_keys.items()):
        logger.warning("skipped the key %s: %s", bucket_files.ascii_key(key), problem)
    try:
        _download_all(client, bucket, read_by_a_stage, bucket_dir / DOWNLOADING_DIR, manifest, summary)
        _download_all(client, bucket, others, bucket_dir / DOWNLOADING_DIR, manifest, summary, tolerant=logger)
    finally:
        shutil.rmtree(bucket_dir / DOWNLOADING_DIR, ignore_errors=True)
        bucket_files.write_manifest(bucket_dir, manifest)
    return summary


def extract(command: Command, logger: logging.Logger = LOG) -> ExtractSummary:
    """Run the whole stage for a command's settings."""
    started = time.monotonic()
    settings = command.museum
    bucket, prefix = settings.museum_bucket, settings.museum_key_prefix
    with closing(get_s3_client(settings, logger)) as client:
        objects = list_objects(client, bucket, prefix, logger)
        if not objects:
            logger.warning("the bucket %s holds no key that begins with %s", bucket, prefix)
        summary = download_objects(client, bucket, objects, settings.bucket_dir, logger, prefix)
    summary.seconds = time.monotonic() - started
    logger.info(summary.lines()[0])
    return summary


def _key_problem(bucket_dir: Path, key: str, keys: set[str]) -> str | None:
    """Return why a key of the listing must not be written below bucket_dir, None when it may."""
    if problem := bucket_files.key_problem(key):
        return problem
    path = bucket_files.local_path(bucket_dir, key)
    if path is None:
        return "a link in the folder leads outside"
    folders = [str(folder) for folder in PurePosixPath(key).parents][:-1]
    is_taken = path.is_dir() or any(f in keys or (bucket_dir / f).is_file() for f in folders)
    return "a file and a folder of the same name" if is_taken else None


def _download_all(
    client: S3Client,
    bucket: str,
    wanted: list[tuple[bucket_files.RemoteObject, Path]],
    downloading: Path,
    manifest: bucket_files.ExtractManifest,
    summary: ExtractSummary,
    *,
    tolerant: logging.Logger | None = None,
) -> None:
    """Fetch objects and move each whole one into place; a failure ends the others, or warns the `tolerant` log."""
    if not wanted:
        return
    shutil.rmtree(downloading, ignore_errors=True)
    downloading.mkdir(parents=True)
    config = TransferConfig(max_concurrency=PARALLEL_DOWNLOADS, num_download_attempts=RETRIES)
    total = sum(remote.size_bytes for remote, _ in wanted)
    with tqdm(total=total, unit="B", unit_scale=True, desc="extract", disable=None, leave=False) as bar:
        manager = create_transfer_manager(client, config)
        ended: SimpleQueue[int] = SimpleQueue()
        futures = []
        try:
            for number, (remote, _) in enumerate(wanted):
                watch = _Download(number, remote, bar, ended)
                unfinished = str(downloading / str(number))
                futures.append(manager.download(bucket, remote.key, unfinished, subscribers=[watch]))
            for _ in wanted:
                number = ended.get()
                remote, path = wanted[number]
                try:
                    with source_errors(bucket, remote.key):
                        futures[number].result()
                        _move_into_place(remote, downloading / str(number), path)
                except SourceError as error:
                    if tolerant is None:
                        raise
                    summary.not_fetched[remote.key] = error.problem
                    tolerant.warning("%s No stage reads it, so the run goes on", error.problem)
                    continue
                manifest.note(remote, path)
                summary.downloaded += 1
                summary.bytes_downloaded += remote.size_bytes
        except BaseException:  # nobody waits for the manager then: its threads may hang on a stalled body
            for future in futures:
                future.cancel()
            raise
        manager.shutdown()


def _move_into_place(remote: bucket_files.RemoteObject, unfinished: Path, path: Path) -> None:
    """Check a downloaded file's size and rename it."""
    size_bytes = unfinished.stat().st_size
    if size_bytes != remote.size_bytes:
        raise SourceError(
            f"{bucket_files.ascii_key(remote.key)}: {size_bytes:,} bytes arrived, the listing says "
            f"{remote.size_bytes:,}; it may have been replaced meanwhile.",
            "Nothing was loaded; run again.",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(unfinished, path)


class _Download(BaseSubscriber):
    """One download: tells what the listing said, moves the progress bar, and says when it has ended."""

    def __init__(self, number: int, remote: bucket_files.RemoteObject, bar: Any, ended: SimpleQueue[int]) -> None:
        self._number, self._remote, self._bar, self._ended = number, remote, bar, ended

    def on_queued(self, future: Any, **_: Any) -> None:
        """Spare a HEAD request, whose refusal would come without words; another object by now is refused."""
        future.meta.provide_transfer_size(self._remote.size_bytes)
        future.meta.provide_object_etag(f'"{self._remote.etag}"')

    def on_progress(self, future: Any, bytes_transferred: int, **_: Any) -> None:  # noqa: ARG002 - s3transfer calls it so
        """Take note of arrived bytes (negative ones before a retry)."""
        self._bar.update(bytes_transferred)

    def on_done(self, future: Any, **_: Any) -> None:  # noqa: ARG002 - s3transfer calls it so
        """Put the number where the extract waits."""
        self._ended.put(self._number)


def main(arguments: list[str] | None = None) -> int:
    """Run the extract from the command line."""
    parser = argument_parser(
        "extract.py",
        "Mirror the museum's objects from S3 into bucket_data/.",
        "  python extract.py\n  python extract.py --bucket my-bucket --endpoint-url http://127.0.0.1:5000",
        ("files", "source"),
    )
    return run_stage(parser.parse_args(arguments), run_extract, with_database=False)


def run_extract(command: Command, logger: logging.Logger) -> Outcome:
    """Run the extract alone and return the outcome."""
    with bucket_files.data_folder_lock(command.museum.museum_data_dir):
        return outcome_of(extract(command, logger))


if __name__ == "__main__":
    exit_process(main())
