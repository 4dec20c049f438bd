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
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig, create_transfer_manager
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError
from s3transfer.exceptions import RetriesExceededError
from s3transfer.subscribers import BaseSubscriber
from tqdm import tqdm
from urllib3.exceptions import IncompleteRead as IncompleteReadError

from etlkit.console import Outcome
from etlkit.errors import ConfigError, SourceError
from etlkit.process import exit_process
from museum.console import run_stage
from museum.objects import (
    ExtractManifest,
    RemoteObject,
    ascii_key,
    data_folder_lock,
    key_problem,
    local_path,
    read_manifest,
    write_manifest,
)
from museum.settings import Command, MuseumSettings, argument_parser

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

RETRIES = 5
CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 15
PARALLEL_DOWNLOADS = 8
DOWNLOADING_DIR = ".downloading"
_CREDENTIAL_CODES = {
    "AccessDenied", "AuthFailure", "ExpiredToken", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken",
    "SignatureDoesNotMatch", "403", "Forbidden",
}  # fmt: skip
_MISSING_CODES = {"NoSuchBucket", "404", "NotFound"}


@dataclass
class ExtractSummary:
    """What the extract found and fetched."""

    seconds: float = 0.0
    objects: int = 0
    downloaded: int = 0
    already_here: int = 0
    bytes_downloaded: int = 0
    unsafe_keys: dict[str, str] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return the summary's line."""
        unsafe = f", unsafe keys skipped: {len(self.unsafe_keys)}" if self.unsafe_keys else ""
        return (
            f"extract    {self.seconds:6.1f} s  {self.objects:,} objects: {self.downloaded:,} downloaded "
            f"({self.bytes_downloaded:,} bytes), {self.already_here:,} already here{unsafe}"
        )


def get_s3_client(settings: MuseumSettings, logger: logging.Logger | None = None) -> S3Client:
    """Return an S3 client with bounded retries; without keys in the settings boto3's own chain is used."""
    if logger:
        logger.debug("S3 endpoint %s", settings.museum_endpoint_url or "AWS")
    try:
        return boto3.client(
            "s3",
            endpoint_url=settings.museum_endpoint_url,
            aws_access_key_id=settings.aws_access_key.get_secret_value() if settings.aws_access_key else None,
            aws_secret_access_key=settings.aws_secret_key.get_secret_value() if settings.aws_secret_key else None,
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
    client: S3Client, bucket: str, prefix: str = "lmnh", logger: logging.Logger | None = None
) -> list[RemoteObject]:
    """Return every object of the bucket whose key begins with the prefix, over as many pages as it takes.

    Raises SourceError for wrong credentials, a missing bucket or no network.
    """
    found: list[RemoteObject] = []
    with _source_errors(bucket):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            found.extend(
                RemoteObject(entry["Key"], entry["ETag"].strip('"'), entry["Size"])
                for entry in page.get("Contents", [])
            )
    if logger:
        logger.debug("%s objects of s3://%s begin with %s", len(found), bucket, prefix)
    return found


def download_objects(
    client: S3Client,
    bucket: str,
    objects: list[RemoteObject],
    bucket_dir: Path,
    logger: logging.Logger | None = None,
) -> ExtractSummary:
    """Mirror objects below bucket_dir, in parallel, leaving alone what is here already.

    Raises SourceError when an object cannot be fetched whole; what was fetched before stays and is not fetched again.
    """
    log = logger or logging.getLogger(__name__)
    summary = ExtractSummary(objects=len(objects), keys=[remote.key for remote in objects])
    bucket_dir.mkdir(parents=True, exist_ok=True)
    manifest = read_manifest(bucket_dir)
    if manifest.bucket != bucket:
        manifest = ExtractManifest(bucket=bucket)
    wanted: list[tuple[RemoteObject, Path]] = []
    keys = set(summary.keys)
    for remote in objects:
        path = _mirrored_path(bucket_dir, remote.key, keys, summary)
        if path is None:
            continue
        if manifest.holds(remote, path):
            summary.already_here += 1
        else:
            wanted.append((remote, path))
    for key, problem in sorted(summary.unsafe_keys.items()):
        log.warning("skipped the key %s: %s", ascii_key(key), problem)
    try:
        _download_all(client, bucket, wanted, bucket_dir / DOWNLOADING_DIR, manifest, summary)
    finally:
        shutil.rmtree(bucket_dir / DOWNLOADING_DIR, ignore_errors=True)
        write_manifest(bucket_dir, manifest)
    return summary


def extract(command: Command, logger: logging.Logger | None = None) -> ExtractSummary:
    """Run the whole stage for a command's settings."""
    started = time.monotonic()
    log = logger or logging.getLogger(__name__)
    settings = command.museum
    bucket, prefix = settings.museum_bucket, settings.museum_key_prefix
    with closing(get_s3_client(settings, log)) as client:
        objects = list_objects(client, bucket, prefix, log)
        if not objects:
            log.warning("the bucket %s holds no key that begins with %s", bucket, prefix)
        summary = download_objects(client, bucket, objects, settings.bucket_dir, log)
    summary.seconds = time.monotonic() - started
    log.info(summary.line())
    return summary


def _mirrored_path(bucket_dir: Path, key: str, keys: set[str], summary: ExtractSummary) -> Path | None:
    """Return where a key goes, None for one that must not be written; the summary names the unsafe ones."""
    problem = key_problem(key)
    path = None if problem else local_path(bucket_dir, key)
    if problem is None and path is None:
        problem = "a link in the folder leads outside"
    folders = [str(folder) for folder in PurePosixPath(key).parents][:-1]
    if path is not None and (path.is_dir() or any(f in keys or (bucket_dir / f).is_file() for f in folders)):
        problem, path = "a file and a folder of the same name", None
    if problem == "folder marker":
        summary.objects -= 1
    elif problem:
        summary.unsafe_keys[key] = problem
    return path


def _download_all(
    client: S3Client,
    bucket: str,
    wanted: list[tuple[RemoteObject, Path]],
    downloading: Path,
    manifest: ExtractManifest,
    summary: ExtractSummary,
) -> None:
    """Fetch objects through boto3's transfer manager into temporary names and move each into place when it is whole."""
    if not wanted:
        return
    shutil.rmtree(downloading, ignore_errors=True)
    downloading.mkdir(parents=True)
    config = TransferConfig(max_concurrency=PARALLEL_DOWNLOADS, num_download_attempts=RETRIES)
    total = sum(remote.size_bytes for remote, _ in wanted)
    with tqdm(
        total=total, unit="B", unit_scale=True, desc="extract", disable=not sys.stderr.isatty(), leave=False
    ) as bar:
        manager = create_transfer_manager(client, config)
        progress = _Progress(bar)
        try:
            transfers = []
            for number, (remote, path) in enumerate(wanted):
                unfinished = downloading / str(number)
                future = manager.download(bucket, remote.key, str(unfinished), subscribers=[progress])
                transfers.append((remote, path, unfinished, future))
            for remote, path, unfinished, future in transfers:
                with _source_errors(bucket, remote.key):
                    future.result()
                _move_into_place(remote, unfinished, path)
                manifest.note(remote, path)
                summary.downloaded += 1
                summary.bytes_downloaded += remote.size_bytes
        except Exception:
            manager.shutdown(cancel=True)
            raise
        # a signal's exception does not wait for the manager: its threads may hang on a stalled body
        manager.shutdown()


def _move_into_place(remote: RemoteObject, unfinished: Path, path: Path) -> None:
    """Check a downloaded file's size and rename it."""
    size_bytes = unfinished.stat().st_size
    if size_bytes != remote.size_bytes:
        raise SourceError(
            f"{remote.key}: {size_bytes:,} bytes arrived, the listing says {remote.size_bytes:,}; it may have been "
            "replaced meanwhile. Nothing was loaded; run again."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(unfinished, path)


class _Progress(BaseSubscriber):
    """Moves the progress bar as bytes arrive."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def on_progress(self, future: Any, bytes_transferred: int, **_: Any) -> None:  # noqa: ARG002 - s3transfer calls it so
        """Take note of arrived bytes (negative ones before a retry)."""
        self._bar.update(bytes_transferred)


@contextmanager
def _source_errors(bucket: str, key: str | None = None) -> Iterator[None]:
    """Turn what boto3 raises into one line that says what to do."""
    what = f"{ascii_key(key)} of bucket {bucket}" if key else f"bucket {bucket}"
    try:
        yield
    except NoCredentialsError as error:
        raise SourceError(
            "no AWS credentials found. Set AWS_ACCESS_KEY and AWS_SECRET_KEY, or give the machine a role. "
            "Nothing was loaded."
        ) from error
    except EndpointConnectionError as error:
        raise SourceError(
            f"cannot reach S3 for {what}: {error}. Check the network and --endpoint-url. Nothing was loaded."
        ) from error
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        if code in _CREDENTIAL_CODES:
            advice = "Check AWS_ACCESS_KEY, AWS_SECRET_KEY and that they may list and read the bucket."
            raise SourceError(f"S3 refused {what} ({code}). {advice} Nothing was loaded.") from error
        if code in _MISSING_CODES:
            raise SourceError(
                f"{what} does not exist ({code}). Check --bucket and --endpoint-url. Nothing was loaded."
            ) from error
        raise SourceError(f"S3 answered {code} for {what} after retries. Nothing was loaded.") from error
    except (BotoCoreError, Boto3Error, RetriesExceededError, IncompleteReadError) as error:
        raise SourceError(f"reading {what} failed: {error}. Nothing was loaded; run again.") from error


def extract_figures(summary: ExtractSummary) -> dict[str, Any]:
    """Return the stage's part of the run's figures."""
    return {
        "seconds": round(summary.seconds, 3),
        "objects": summary.objects,
        "downloaded": summary.downloaded,
        "bytes": summary.bytes_downloaded,
        "already_here": summary.already_here,
        "unsafe_keys": summary.unsafe_keys,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the extract from the command line."""
    parser = argument_parser(
        "extract.py",
        "Mirror the museum's objects from S3 into bucket_data/.",
        "  python extract.py\n  python extract.py --bucket my-bucket --endpoint-url http://127.0.0.1:5000",
        ("files", "source"),
    )

    def body(command: Command, logger: logging.Logger) -> Outcome:
        with data_folder_lock(command.museum.museum_data_dir):
            summary = extract(command, logger)
        return Outcome(f"Extracted {summary.downloaded:,} new objects.", {"extract": extract_figures(summary)})

    return run_stage(parser.parse_args(arguments), body, with_database=False)


if __name__ == "__main__":
    exit_process(main())
