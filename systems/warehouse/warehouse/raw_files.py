"""Raw files: in come a source's files, out goes a folder of the target that keeps them, and what is known of them.

What is known is written last: a folder without it is half-written and goes with the next run. A run can be repeated
from it without the source.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from etlkit.errors import ConfigError, DataError
from warehouse.configuration import DatasetConfig
from warehouse.naming import raw_prefix
from warehouse.publishing import SOURCE_FILE
from warehouse.sources.archives import extract, member_names, newest_member
from warehouse.sources.download import Fetched, Patience, download
from warehouse.sources.releases import day_in_name, fetch_release, find_release
from warehouse.targets.target import Target

ARCHIVE = "source.zip"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Source:
    """What a run reads: local copies of the files by name, and what is known of where they came from."""

    files: Mapping[str, Path]
    """The files that fill tables."""
    kept: Mapping[str, Path]
    """What is kept beside them: the archive that they came in."""
    sha256: str
    """The hash of the archive, or of all the files together."""
    fetched: Fetched | None = None
    modified: datetime | None = None
    release: date | None = None
    """The day of the release, where the source has releases."""

    @property
    def known(self) -> dict[str, Any]:
        """Return what is written down of it."""
        return {
            "sha256": self.sha256,
            "modified": self.modified and self.modified.isoformat(),
            "release": self.release and self.release.isoformat(),
            "fetched": self.fetched and asdict(self.fetched),
            "files": {
                name: {"bytes": path.stat().st_size, "sha256": hash_of(path)}
                for name, path in sorted(self.files.items())
            },
        }


def fetch_archive(dataset: DatasetConfig, folder: Path, patience: Patience, known: Fetched | None) -> Source | None:
    """Download a dataset's archive and take its files out; None where the source says it is the known one."""
    if dataset.source_url is None:
        raise ConfigError(f"{dataset.dataset} has no source_url, and other sources are not read yet.")
    archive = folder / ARCHIVE
    fetched = download(dataset.source_url, archive, patience, known)
    return None if fetched is None else _from_archive(dataset, archive, folder, fetched, fetched.url)


def fetch_nlm_release(
    dataset: DatasetConfig,
    folder: Path,
    patience: Patience,
    read_key: Callable[[], str | None],
    wanted: date | None,
    known: date | None,
) -> Source | None:
    """Download a release and take its files out; None where it is the known one, for which no key is read.

    Raises ConfigError without a key, DataError for a release that is not the one that was asked for.
    """
    service = dataset.nlm_release
    if service is None:
        raise ConfigError(f"{dataset.dataset} has no nlm_release.")
    release = find_release(service, wanted, folder, patience)
    if release.day == known:
        return None
    if not (key := read_key()):
        raise ConfigError(
            f"{dataset.dataset} needs a key of NLM to download.", "Set UMLS_API_KEY or UMLS_API_KEY_SECRET_ID."
        )
    archive = folder / ARCHIVE
    fetched = fetch_release(service, release, key, archive, patience)
    source = _from_archive(dataset, archive, folder, fetched, fetched.url)
    for name in member_names(archive):
        if (day := day_in_name(name)) and day != release.day:
            raise DataError(
                f"{fetched.url} sent the release of {day}, not that of {release.day}.", "Nothing was published."
            )
    return replace(source, release=release.day)


def from_archive(dataset: DatasetConfig, archive: Path, folder: Path, release: date | None = None) -> Source:
    """Take a dataset's files out of an archive of this machine; that of a release may say its day in its name."""
    if not archive.is_file():
        raise ConfigError(f"--from-file: there is no file {archive}.")
    day = release or day_in_name(archive.name)
    if dataset.nlm_release and day is None:
        raise ConfigError(f"--from-file: {archive.name} does not say of which day it is.", "Give --release-date.")
    return replace(_from_archive(dataset, archive, folder, None, archive.name), release=day)


def fetch_endpoints(dataset: DatasetConfig, folder: Path, patience: Patience) -> Source:
    """Download the answer of every endpoint; those that fill no table are kept beside the others."""
    files: dict[str, Path] = {}
    kept: dict[str, Path] = {}
    for endpoint, url in (dataset.api_endpoints or {}).items():
        path = folder / f"answer-{endpoint}"
        download(url, path, patience)
        (files if dataset.table_of(endpoint) else kept)[f"{endpoint}.json"] = path
    return Source(files, kept, _hash_of_all(files))


def from_folder(dataset: DatasetConfig, source: Target, folder: Path) -> Source:
    """Bring the objects of a folder or bucket that fill tables; DataError where one of its tables gets none."""
    files = {}
    for number, stored in enumerate(source.stored("")):
        if dataset.table_of(stored.key):
            if not stored.key.isprintable():
                raise DataError(f"{source.url} has {stored.key!r}, a name that no table can hold.", "Rename the file.")
            files[stored.key] = folder / f"object-{number}"
            source.download(stored.key, files[stored.key])
    filled = {dataset.table_of(name) for name in files}
    if missing := [pattern for pattern, table in dataset.file_table_mapping.items() if table not in filled]:
        raise DataError(f"{source.url} has no {', '.join(missing)}.", "Nothing was published.")
    return Source(files, {}, _hash_of_all(files))


def from_raw(dataset: DatasetConfig, target: Target, run_id: str, folder: Path) -> Source:
    """Bring the raw files of an earlier run, and check that they are what was written down."""
    prefix = raw_prefix(dataset.dataset, run_id)
    tagged = target.read(prefix + SOURCE_FILE)
    if tagged is None:
        ids = sorted({key.key.split("/")[2] for key in target.stored(f"raw/{dataset.dataset}/")})
        there = ", ".join(one.removeprefix("run_id=") for one in ids) or "none"
        raise ConfigError(f"--from-raw: {dataset.dataset} has no raw files of run {run_id}; there are {there}.")
    known = json.loads(tagged.content)
    files = {}
    for number, (name, told) in enumerate(known["files"].items()):
        path = folder / f"raw-{number}"
        target.download(prefix + name, path)
        if hash_of(path) != told["sha256"]:
            raise DataError(f"{target.location(prefix + name)} is not what was stored: its hash differs.")
        files[name] = path
    modified = datetime.fromisoformat(known["modified"]) if known["modified"] else None
    fetched = Fetched(**known["fetched"]) if known["fetched"] else None
    release = date.fromisoformat(known["release"]) if known.get("release") else None
    return Source(files, {}, known["sha256"], fetched, modified, release)


def store_raw(source: Source, dataset: DatasetConfig, target: Target, run_id: str) -> None:
    """Keep a source's files; ConfigError where the run has some, DataError for a name of ours."""
    prefix = raw_prefix(dataset.dataset, run_id)
    if next(target.stored(prefix), None):
        raise ConfigError(f"{target.location(prefix)} is there already; give another --run-id.")
    if taken := source.files.keys() & {*source.kept, SOURCE_FILE}:
        raise DataError(f"the source has a file {min(taken)}, a name that is ours beside the raw files.", "Rename it.")
    for name, path in {**source.kept, **source.files}.items():
        target.upload(path, prefix + name)
    target.write(prefix + SOURCE_FILE, json.dumps(source.known, indent=1, sort_keys=True).encode())


def _hash_of_all(files: Mapping[str, Path]) -> str:
    """Return a hash of files and their names."""
    told = "".join(f"{hash_of(path)} {name}\n" for name, path in sorted(files.items()))
    return hashlib.sha256(told.encode()).hexdigest()


def hash_of(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_archive(dataset: DatasetConfig, archive: Path, folder: Path, fetched: Fetched | None, told: str) -> Source:
    """Take the files out of an archive; DataError where one that fills a table is missing."""
    files = extract(archive, dataset.table_of, folder, told, dataset.archive_folder)
    filled = [dataset.table_of(name) for name in files]
    missing = [pattern for pattern, table in dataset.file_table_mapping.items() if table not in filled]
    if missing:
        raise DataError(f"{told} has no {', '.join(missing)}.", "Nothing was published; see file_table_mapping.")
    if twice := {table for table in filled if filled.count(table) > 1}:
        raise DataError(f"{told} has several files for {', '.join(sorted(str(one) for one in twice))}.")
    modified = (fetched and fetched.modified) or newest_member(archive)
    return Source(files, {ARCHIVE: archive}, hash_of(archive), fetched, modified)
