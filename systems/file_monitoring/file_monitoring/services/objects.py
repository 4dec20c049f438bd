"""An object of S3 as a file on the scratch volume: the version that the event speaks of, or nothing.

What S3 refuses for good is told apart from what may pass: an object that is gone is `ObjectGone`, one that was replaced
since is `ObjectReplaced`, anything else a RetryableError with S3's own words, and never a score.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from etlkit.aws import LONGEST_WORDS, aws_session, refusal
from etlkit.errors import RetryableError
from etlkit.settings import AwsSettings
from file_monitoring.monitor_settings import MonitorSettings
from file_monitoring.services.events import ObjectRef

BLOCK = 1 << 20
GONE = ("404", "NoSuchKey", "NoSuchVersion", "NotFound")
REPLACED = ("412", "PreconditionFailed")


class ObjectGone(Exception):
    """The object, or its version, is not there any more."""


class ObjectReplaced(Exception):
    """Another object lies under the key since the event; its own event will come."""


@dataclass(frozen=True)
class Fetched:
    """An object on disk, and what S3 says of it."""

    key: str
    size: int
    etag: str | None
    version_id: str | None
    last_modified: datetime


def client_of(service: str, settings: MonitorSettings, aws: AwsSettings) -> Any:
    """Return a boto3 client; it tries again what S3 or SQS says will pass."""
    session: Any = aws_session(aws)
    return session.client(
        service,
        region_name=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url,
        config=Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=10, read_timeout=60),
    )


def fetch(client: Any, ref: ObjectRef, target: Path, most_bytes: int) -> Fetched:
    """Write the object that an event speaks of to a file; return what S3 says of it.

    One of more bytes than are allowed is not written. Raises ObjectGone, ObjectReplaced, RetryableError. S3 answers 403
    instead of 404 where the role may not list the bucket, so 403 is no proof that the object is gone.
    """
    keys = [ref.key, *([ref.raw_key] if ref.raw_key else [])]
    for key in keys:
        try:
            return _fetch(client, ref, key, target, most_bytes)
        except ObjectGone:
            if key == keys[-1]:
                raise
    raise AssertionError("unreachable")


def _fetch(client: Any, ref: ObjectRef, key: str, target: Path, most_bytes: int) -> Fetched:
    """Read the object under one key."""
    wanted: dict[str, Any] = {"Bucket": ref.bucket, "Key": key}
    if ref.version_id and ref.version_id != "null":
        wanted["VersionId"] = ref.version_id
    elif ref.etag:
        wanted["IfMatch"] = ref.etag
    with _refusals(f"{key!r} of bucket {ref.bucket}"):
        answer = client.get_object(**wanted)
        fetched = Fetched(
            key=key,
            size=int(answer["ContentLength"]),
            etag=str(answer.get("ETag", "")).strip('"') or None,
            version_id=answer.get("VersionId"),
            last_modified=answer["LastModified"],
        )
        body = answer["Body"]
        if fetched.size > most_bytes:
            body.close()
            return fetched
        written = 0
        with target.open("wb") as file:
            for block in body.iter_chunks(BLOCK):
                written += file.write(block)
        if written != fetched.size:
            raise RetryableError(f"{written:,} of {fetched.size:,} bytes of {key!r} arrived.", "Tried again later.")
    return fetched


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Sort what S3 and the way to it refuse."""
    try:
        yield
    except ClientError as error:
        code, words = refusal(error)
        if code in GONE:
            raise ObjectGone(f"{what} is gone ({code})") from error
        if code in REPLACED:
            raise ObjectReplaced(f"{what} was replaced since the event") from error
        raise RetryableError(f"S3 refused {what} ({code}): {words}.", "Tried again later.") from error
    except (BotoCoreError, HTTPError) as error:
        words = " ".join(str(error).split())[:LONGEST_WORDS]
        raise RetryableError(f"reading {what} failed: {words}.", "Tried again later.") from error
