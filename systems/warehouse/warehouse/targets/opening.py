"""From a user's word for a target to the target: a folder, or s3://BUCKET/PREFIX."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from etlkit.aws import aws_session
from etlkit.errors import ConfigError
from etlkit.settings import AwsSettings
from warehouse.targets.bucket import Bucket
from warehouse.targets.folder import Folder
from warehouse.targets.target import Target


def open_target(url: str, login: AwsSettings, lock_seconds: float) -> Target:
    """Return the target of a path or an address; ConfigError for what is neither."""
    if "://" not in url:
        return Folder(Path(url).expanduser())
    bucket, prefix = bucket_and_prefix(url)
    return Bucket(aws_session(login), bucket, prefix, lock_seconds)


def bucket_and_prefix(url: str) -> tuple[str, str]:
    """Return the bucket of s3://bucket/prefix, and the prefix with a `/` at its end, if there is one."""
    parts = urlsplit(url)
    if parts.scheme not in ("s3", "s3a") or not parts.netloc or parts.query or parts.fragment:
        raise ConfigError(f"{url!r} is neither a folder nor an address such as s3://bucket/prefix.")
    path = parts.path.strip("/")
    return parts.netloc, f"{path}/" if path else ""
