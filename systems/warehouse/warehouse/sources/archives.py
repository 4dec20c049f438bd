"""Archives: in comes a zip, out come the files that are wanted of it, whole and none else.

A member's name is never a path here. What an archive could do harm with is refused before anything is written: two
files of one name, a file that is encrypted, missing, or far larger than it says or than its packed bytes can honestly
be.
"""

from __future__ import annotations

import errno
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, BinaryIO

from etlkit.errors import DataError, RetryableError
from warehouse.sources.first_words import FIRST_BYTES, first_words

LARGEST_MEMBER = 20 << 30
LARGEST_RATIO = 200
_RATIO_FROM = 16 << 20
"""Below so many bytes a ratio says nothing."""
_CHUNK = 1 << 20
_ENCRYPTED = 0x1
_OF_THE_ARCHIVE = (None, errno.EINVAL)
"""What bz2's reader has for its own errors, and what a place before the file's begin has; others are this machine's."""


def extract(
    archive: Path, table_of: Callable[[str], str | None], folder: Path, told: str, within: str | None = None
) -> dict[str, Path]:
    """Write the wanted members, of one folder of the archive or of all; return their paths by the names' last part.

    Raises DataError for an archive that is none or that could do harm, RetryableError for one that is damaged.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return _extract(opened, table_of, folder, told, within)
    except zipfile.BadZipFile as error:
        with archive.open("rb") as file:
            require_zip(file.read(FIRST_BYTES), told)
        raise RetryableError(f"{told} is damaged: {error}.", "Nothing was published; run again.") from None
    except (NotImplementedError, ValueError) as error:  # a version that is none, a name that is no UTF-8
        raise DataError(f"{told}: its list of files cannot be read: {error}.", "Nothing was published.") from None


def require_zip(start: bytes, told: str, hidden: Iterable[str] = ()) -> None:
    """Raise DataError with the first words of what is sent in a zip's place."""
    if not start.startswith(b"PK"):
        words = first_words(start, hidden)
        raise DataError(f"{told} is not a zip; it begins with: {words!r}.", "Nothing was published.")


def member_names(archive: Path) -> list[str]:
    """Return the names that an archive has."""
    with zipfile.ZipFile(archive) as opened:
        return opened.namelist()


def newest_member(archive: Path) -> datetime | None:
    """Return the latest date that an archive gives a member, which has no zone and is taken for UTC."""
    with zipfile.ZipFile(archive) as opened:
        dates = [info.date_time for info in opened.infolist()]
    try:
        return max(datetime(*date, tzinfo=UTC) for date in dates)
    except ValueError:
        return None


def _extract(
    opened: zipfile.ZipFile, table_of: Callable[[str], str | None], folder: Path, told: str, within: str | None
) -> dict[str, Path]:
    """Write the wanted members."""
    wanted: dict[str, zipfile.ZipInfo] = {}
    for info in opened.infolist():
        name = _basename(info.filename)
        if info.is_dir() or table_of(name) is None or not _is_within(info.filename, within):
            continue
        if name.lower() in {other.lower() for other in wanted}:
            raise DataError(f"{told} has two files called {name}.", "Which one is meant cannot be known.")
        if info.flag_bits & _ENCRYPTED:
            raise DataError(f"{told}: {name} is encrypted.", "Nothing was published.")
        if info.filename.startswith(("/", "\\")) or ".." in info.filename.replace("\\", "/").split("/"):
            raise DataError(
                f"{told} has a file that wants to lie outside: {info.filename!r}.", "Nothing was published."
            )
        wanted[name] = info
    found = {}
    for number, (name, info) in enumerate(wanted.items()):
        path = folder / f"member-{number}"
        try:
            with opened.open(info) as member, path.open("wb") as file:
                _copy(member, file, info, f"{told}: {name}")
        except (zlib.error, lzma.LZMAError, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _OF_THE_ARCHIVE:
                raise
            raise RetryableError(f"{told}: {name} is damaged: {error}.", "Nothing was published; run again.") from None
        except NotImplementedError as error:
            raise DataError(f"{told}: {name}: {error}.", "Nothing was published.") from None
        found[name] = path
    return found


def _copy(member: IO[bytes], file: BinaryIO, info: zipfile.ZipInfo, told: str) -> None:
    """Write a member, and count the bytes that really come."""
    size = 0
    while chunk := member.read(_CHUNK):
        size += len(chunk)
        ratio = size / max(1, info.compress_size)
        if size > LARGEST_MEMBER or (size > _RATIO_FROM and ratio > LARGEST_RATIO):
            raise DataError(
                f"{told} grows to more than {size:,} bytes from {info.compress_size:,}: a zip bomb.",
                "Nothing was published.",
            )
        file.write(chunk)


def _is_within(name: str, folder: str | None) -> bool:
    """Tell whether a member lies in a folder of the archive's root, whatever its case."""
    return folder is None or name.replace("\\", "/").lower() == f"{folder}/{_basename(name)}".lower()


def _basename(name: str) -> str:
    """Return the last part of a member's name."""
    return name.replace("\\", "/").rsplit("/", 1)[-1]
