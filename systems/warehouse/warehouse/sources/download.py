"""Downloads: in comes an address, out goes a file that arrived whole, or an error.

What may pass (a limit, a broken server, a lost connection, a body that is shorter than promised) is tried again;
another refusal ends it at once. It only reads, so a re-run is safe. No line tells the query of an address, where a
key may stand.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential
from urllib3.exceptions import HTTPError

from etlkit.errors import EtlError, RetryableError, SourceError
from etlkit.logs import redact
from warehouse.sources.first_words import FIRST_BYTES, first_words

USER_AGENT = "etl-suite-warehouse/0.1 (data pipeline; contact the operator of this host)"
"""FDA sends a client that does not name itself to a page of its own."""
LONGEST_WAIT = 60.0
LARGEST_DOWNLOAD = 20 << 30
_CHUNK = 1 << 18
_NOT_MODIFIED = 304
_OK = 200
_RETRIED = {408, 429, 500, 502, 503, 504}

logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # its warnings, too, show addresses, where a key may stand


@dataclass(frozen=True)
class Patience:
    """How often and how long a source is asked."""

    attempts: int = 4
    backoff_seconds: float = 1.0
    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    whole_seconds: float = 1800.0


@dataclass(frozen=True)
class Fetched:
    """A file that arrived: where from, how large, its hash, and what the server says of its version."""

    url: str
    bytes: int
    sha256: str
    etag: str | None
    last_modified: str | None

    @property
    def modified(self) -> datetime | None:
        """Return when the server says that the file was modified."""
        return _moment(self.last_modified)


class _LimitedError(RetryableError):
    """The server asks to wait."""

    def __init__(self, message: str, wait_seconds: float) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


def download(
    url: str, path: Path, patience: Patience, known: Fetched | None = None, hidden: Iterable[str] = ()
) -> Fetched | None:
    """Bring a file; None where the server says that it is still the known one.

    Raises SourceError in the words of whoever refused, without what shall stay hidden of them; RetryableError when
    trying again did not help.
    """
    retrying = Retrying(
        stop=stop_after_attempt(patience.attempts),
        retry=retry_if_exception_type(RetryableError),
        wait=lambda state: _wait(state, patience),
        reraise=True,
    )
    return retrying(_attempt, url, path, patience, known, hidden)


def told_url(url: str) -> str:
    """Return an address without what may be secret in it."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _attempt(url: str, path: Path, patience: Patience, known: Fetched | None, hidden: Iterable[str]) -> Fetched | None:
    """Ask once."""
    where = told_url(url)
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    if known and known.url == where:
        headers |= {"If-None-Match": known.etag} if known.etag else {}
        headers |= {"If-Modified-Since": known.last_modified} if known.last_modified and not known.etag else {}
    deadline = time.monotonic() + patience.whole_seconds
    try:
        with requests.Session() as session:
            session.trust_env = True
            with session.get(
                url, headers=headers, stream=True, timeout=(patience.connect_seconds, patience.read_seconds)
            ) as answer:
                if answer.status_code == _NOT_MODIFIED and known:
                    return None
                _require_ok(answer, where, hidden)
                size, digest = _write(answer, path, where, deadline)
                return Fetched(where, size, digest, answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
    except EtlError:
        raise
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, HTTPError) as error:
        raise RetryableError(f"{where}: {_reason(error)}.", "Nothing was published; run again.") from None
    except (requests.RequestException, ValueError) as error:  # a header that no library can read is a ValueError
        raise SourceError(f"{where}: {_reason(error)}.", "Nothing was published.") from None


def _write(answer: requests.Response, path: Path, where: str, deadline: float) -> tuple[int, str]:
    """Write a body into a file; return its bytes and hash. RetryableError where it is not as long as promised."""
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        # read1 gives what has come; a whole chunk of a source that drips would be waited for beyond the deadline
        while chunk := answer.raw.read1(_CHUNK, decode_content=False):
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            if size > LARGEST_DOWNLOAD:
                raise SourceError(f"{where} sends more than {LARGEST_DOWNLOAD:,} bytes.", "Nothing was published.")
            if time.monotonic() > deadline:
                raise RetryableError(f"{where} sends too slowly: {size:,} bytes came in time.", "Run again.")
    promised = answer.headers.get("Content-Length", "")
    if promised.isascii() and promised.isdigit() and int(promised) != size:
        raise RetryableError(f"{where} sent {size:,} bytes of {int(promised):,}.", "The file is not whole; run again.")
    return size, digest.hexdigest()


def _require_ok(answer: requests.Response, where: str, hidden: Iterable[str]) -> None:
    """Raise for an answer that is none."""
    if answer.status_code == _OK:
        return
    words = first_words(answer.raw.read(FIRST_BYTES, decode_content=True), hidden)
    reason = redact(str(answer.reason), hidden)
    said = f"{where} answers {answer.status_code} {reason}".rstrip() + (f": {words}" if words else "")
    if answer.status_code in _RETRIED:
        raise _LimitedError(f"{said}.", _asked_wait(answer))
    raise SourceError(f"{said}.", "Nothing was published.")


def _asked_wait(answer: requests.Response) -> float:
    """Return how many seconds the server asks to wait, in either form of Retry-After."""
    asked = answer.headers.get("Retry-After", "")
    if asked.isascii() and asked.isdigit():
        return float(asked)
    moment = _moment(asked)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds()) if moment else 0.0


def _wait(state: RetryCallState, patience: Patience) -> float:
    """Return the seconds until the next attempt: what the server asks, else more each time, by chance."""
    chance = wait_random_exponential(multiplier=patience.backoff_seconds, max=LONGEST_WAIT)(state)
    error = state.outcome.exception() if state.outcome else None
    asked = error.wait_seconds if isinstance(error, _LimitedError) else 0.0
    return min(LONGEST_WAIT, max(chance, asked))


def _moment(text: str | None) -> datetime | None:
    """Return a date of HTTP; None for what is none."""
    try:
        found = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _reason(error: BaseException) -> str:
    """Return what went wrong without the address, which libraries repeat whole."""
    deepest = error
    while deepest.__cause__ or deepest.__context__:
        deepest = deepest.__cause__ or deepest.__context__ or deepest
    words = " ".join(str(deepest).split()) or type(deepest).__name__
    return words if "://" not in words and "/" not in words.replace("I/O", "") else type(deepest).__name__
