"""Addresses of S3: in comes s3://bucket/prefix, out go the bucket and the prefix."""

from __future__ import annotations

from urllib.parse import urlsplit

from etlkit.errors import ConfigError


def bucket_and_prefix(url: str) -> tuple[str, str]:
    """Return the bucket of s3://bucket/prefix, and the prefix with a `/` at its end, if there is one."""
    parts = urlsplit(url)
    if parts.scheme not in ("s3", "s3a") or not parts.netloc or parts.query or parts.fragment:
        raise ConfigError(f"{url!r} is neither a folder nor an address such as s3://bucket/prefix.")
    path = parts.path.strip("/")
    return parts.netloc, f"{path}/" if path else ""
