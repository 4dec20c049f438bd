"""From a user's word for a target to the target: a folder, or s3://BUCKET/PREFIX."""

from __future__ import annotations

from pathlib import Path

from etlkit.aws import aws_session
from etlkit.settings import AwsSettings
from warehouse.bucket_url import bucket_and_prefix
from warehouse.targets.bucket import Bucket
from warehouse.targets.folder import Folder
from warehouse.targets.target import Target


def open_target(url: str, login: AwsSettings, lock_seconds: float) -> Target:
    """Return the target of a path or an address; ConfigError for what is neither."""
    if "://" not in url:
        return Folder(Path(url).expanduser())
    bucket, prefix = bucket_and_prefix(url)
    return Bucket(aws_session(login), bucket, prefix, lock_seconds)
