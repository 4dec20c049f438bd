"""Releases of the National Library of Medicine: in comes a kind of release, out goes the archive of one of them.

NLM's release service lists what there is, and its download service gives an archive to whoever has a key. The key
stands in the address, so no address is shown, logged or kept: errors name the service alone, and a key that a server's
own words repeat is blanked out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from botocore.exceptions import BotoCoreError, ClientError

from etlkit.errors import ConfigError, DataError
from warehouse.configuration import NlmRelease
from warehouse.sources.archives import require_zip
from warehouse.sources.download import Fetched, Patience, download, told_url
from warehouse.sources.first_words import FIRST_BYTES, first_words

if TYPE_CHECKING:
    import boto3

_LARGEST_LIST = 16 << 20
_NAMED = re.compile(r"(?:^|[_/])full_([0-9]{2})([0-9]{2})([0-9]{4})\.(?:zip|txt)$", re.IGNORECASE)


@dataclass(frozen=True)
class Release:
    """One release: its day, and the address that the download service knows it by."""

    day: date
    url: str


def find_release(service: NlmRelease, wanted: date | None, folder: Path, patience: Patience) -> Release:
    """Return the current release, or that of a day.

    Raises DataError for an answer that is no list of releases, and for a day without one.
    """
    asked = {"releaseType": service.release_type, **({} if wanted else {"current": "true"})}
    path = folder / "releases.json"
    download(f"{service.releases_url}?{urlencode(asked)}", path, patience)
    told = told_url(service.releases_url)
    found = _releases(path, told)
    if not found:
        raise DataError(f"{told} has no release of the kind {service.release_type}.", "Nothing was published.")
    if wanted is None:
        return max(found, key=lambda release: release.day)
    for release in found:
        if release.day == wanted:
            return release
    there = ", ".join(sorted({release.day.isoformat() for release in found})[-3:])
    raise DataError(f"{told} has no release of {wanted}; the latest are {there}.", "Nothing was published.")


def fetch_release(service: NlmRelease, release: Release, key: str, path: Path, patience: Patience) -> Fetched:
    """Download a release's archive; raises what `download` raises, without the key."""
    asked = urlencode({"url": release.url, "apiKey": key})
    fetched = download(f"{service.download_url}?{asked}", path, patience, hidden=[key])
    if fetched is None:  # nobody said that a version is known
        raise AssertionError
    with path.open("rb") as file:
        require_zip(file.read(FIRST_BYTES), fetched.url, [key])
    return fetched


def day_in_name(name: str) -> date | None:
    """Return the day of a release's file, such as RxNorm_full_11022026.zip; None for another name."""
    found = _NAMED.search(name)
    try:
        return date(int(found[3]), int(found[1]), int(found[2])) if found else None
    except ValueError:
        return None


def key_of_secret(session: boto3.Session, secret_id: str) -> str:
    """Return the key that a secret of AWS holds: its text, or what a JSON object there calls api_key.

    Raises ConfigError in AWS's words.
    """
    try:
        found = session.client("secretsmanager").get_secret_value(SecretId=secret_id)
        text = str(found.get("SecretString", "")).strip()
    except (ClientError, BotoCoreError) as error:
        words = " ".join(str(error).split())
        raise ConfigError(f"the secret {secret_id!r} cannot be read: {words}.", "Nothing was touched.") from None
    if text.startswith("{"):
        try:
            text = str(json.loads(text)["api_key"])
        except (ValueError, KeyError, TypeError):
            text = ""
    if not text:
        raise ConfigError(f"the secret {secret_id!r} is neither a key nor a JSON object with api_key.")
    return text


def _releases(path: Path, told: str) -> list[Release]:
    """Return the releases of an answer."""
    content = path.read_bytes()[:_LARGEST_LIST]
    try:
        answer: Any = json.loads(content)
        return [Release(date.fromisoformat(str(one["releaseDate"])[:10]), str(one["downloadUrl"])) for one in answer]
    except (ValueError, KeyError, TypeError, RecursionError):
        words = first_words(content)
        raise DataError(
            f"{told} sent no list of releases; it begins with: {words!r}.", "Nothing was published."
        ) from None
