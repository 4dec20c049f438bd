"""The client of TMDB: in comes the name of a list, out go its pages in order, whole, or an error.

A page is used when all of it has arrived and is what it should be. What may pass (a limit, a broken server, a lost
connection) is tried again; everything else ends the list at once. It only reads, so a re-run is safe. The key travels
in a header, or in the address where TMDB knows no other way, and neither errors nor logs hold an address with it.
"""

from __future__ import annotations

import json
import logging
import math
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from pyrate_limiter import Limiter, Rate
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_any,
    stop_when_event_set,
)
from tenacity.wait import wait_random_exponential
from urllib3.exceptions import HTTPError

from binge_works.binge_settings import LAST_PAGE, TmdbSettings
from etlkit.errors import EtlError, RetryableError, SourceError
from etlkit.logs import redact

CONNECTIONS = 4
CONNECT_SECONDS = 5
LONGEST_WAIT = 60.0
SLOWEST_PAGE_SECONDS = 120
LARGEST_PAGE_BYTES = 16_000_000
LONGEST_NUMBER = 1000
_CHUNK = 65_536
_RETRIED = {429, 500, 502, 503, 504}
_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)

logger = logging.getLogger(__name__)
logging.getLogger("urllib3").setLevel(logging.INFO)  # below, its lines show addresses, where the key may stand


@dataclass(frozen=True)
class Page:
    """One page of a list."""

    number: int
    results: list[Any]
    total_pages: int


class LimitedError(RetryableError):
    """TMDB asks to wait."""

    def __init__(self, message: str, wait_seconds: float) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class _Key(requests.auth.AuthBase):
    """Sends a read access token in a header, an API key in the address, and nothing that ~/.netrc holds."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the key into a request."""
        if _TOKEN.fullmatch(self._key):
            request.headers["Authorization"] = f"Bearer {self._key}"
        else:
            request.prepare_url(request.url, {"api_key": self._key})
        return request


class Tmdb:
    """Calls to TMDB: at most four at a time, and no more a second than the settings say."""

    def __init__(self, settings: TmdbSettings) -> None:
        """Keep the settings; nothing is called yet."""
        self._settings = settings
        pause_ms = math.ceil(1000 / settings.tmdb_calls_per_second)
        self._limiter = Limiter(Rate(1, pause_ms), buffer_ms=0)  # evenly: no second's calls come all at once
        self._connections = threading.Semaphore(CONNECTIONS)
        self._sessions = threading.local()
        self._opened: list[requests.Session] = []

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close its connections."""
        for session in self._opened:
            session.close()

    def check(self) -> str:
        """Prove that TMDB answers and takes the key; return what was found."""
        self._get("/configuration", {}, threading.Event())
        return f"{self._settings.tmdb_base_url} takes the key"

    def pages(self, endpoint: str) -> Iterator[Page]:
        """Yield the pages of a list in their order, up to the last one that TMDB gives out.

        Raises SourceError for a list that is empty or not whole, and for whatever TMDB refuses.
        """
        is_given_up = threading.Event()
        first = self._page(endpoint, 1, is_given_up)
        if not first.results:
            raise SourceError(f"TMDB: {endpoint} is empty.", "Nothing was loaded.")
        yield first
        last = min(first.total_pages, LAST_PAGE, self._settings.tmdb_max_pages)
        pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="tmdb")
        try:
            for page in pool.map(lambda number: self._page(endpoint, number, is_given_up), range(2, last + 1)):
                if not page.results and page.total_pages >= page.number:
                    raise SourceError(
                        f"TMDB: page {page.number} of {endpoint} is empty, {page.total_pages} pages were promised.",
                        "The list is not whole; nothing was loaded. Run again.",
                    )
                yield page
        finally:
            is_given_up.set()  # ends the waits of those who would try again
            pool.shutdown(wait=False, cancel_futures=True)  # a call under way may hang as long as its time-out

    def _page(self, endpoint: str, number: int, is_given_up: threading.Event) -> Page:
        """Return one page."""
        body = self._get(endpoint, {"page": str(number), "language": self._settings.tmdb_language}, is_given_up)
        where = f"TMDB: page {number} of {endpoint}"
        try:
            document = json.loads(body, parse_constant=_no_number, parse_int=_whole_number)
        except (ValueError, RecursionError) as error:
            begins = self._without_key(body[:10_000].decode("utf-8", "replace"))[:60]
            raise SourceError(f"{where} is no JSON ({error}); it begins with {begins!r}.", _UNTOUCHED) from None
        if not isinstance(document, dict) or not isinstance(document.get("results"), list):
            raise SourceError(f"{where} has no results.", _UNTOUCHED)
        total = document.get("total_pages")
        if not isinstance(total, int) or isinstance(total, bool) or document.get("page") != number:
            says = self._without_key(f"page {document.get('page')!r} of {total!r}")[:200]
            raise SourceError(f"{where} says {says}, expected {number} of a number.", _UNTOUCHED)
        if total < 1 and document["results"]:
            raise SourceError(f"{where} has items, and says that there are {total} pages.", _UNTOUCHED)
        return Page(number, document["results"], total)

    def _get(self, path: str, parameters: dict[str, str], is_given_up: threading.Event) -> bytes:
        """Call until there is a whole body, as often as the settings allow or until the list is given up."""

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.wait_seconds if isinstance(error, LimitedError) else 0.0
            return max(wait_random_exponential(self._settings.tmdb_backoff_seconds, LONGEST_WAIT)(state), asked)

        def tell(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            what = error.problem.rstrip(".") if isinstance(error, EtlError) else error
            seconds = state.next_action.sleep if state.next_action else 0
            logger.info("%s; attempt %s follows in %.1f s", what, state.attempt_number + 1, seconds)

        retrying = Retrying(
            stop=stop_any(stop_after_attempt(self._settings.tmdb_attempts), stop_when_event_set(is_given_up)),
            wait=wait,
            sleep=sleep_using_event(is_given_up),
            retry=retry_if_exception_type(RetryableError),
            before_sleep=tell,
            reraise=True,
        )
        return retrying(self._call, path, parameters, is_given_up)

    def _call(self, path: str, parameters: dict[str, str], is_given_up: threading.Event) -> bytes:
        """Call once; errors name the path alone and have no cause, since a cause may hold the address with the key."""
        self._limiter.try_acquire("tmdb")
        if is_given_up.is_set():
            raise SourceError("the list was given up.")  # in a thread that nobody waits for
        where = f"TMDB: {path}" + (f" page {parameters['page']}" if "page" in parameters else "")
        timeout = (CONNECT_SECONDS, self._settings.tmdb_timeout_seconds)
        url = self._settings.tmdb_base_url + path
        try:
            with (
                self._connections,
                self._session().get(
                    url,
                    params=parameters,
                    auth=_Key(self._settings.tmdb_api_key.get_secret_value()),
                    stream=True,
                    timeout=timeout,
                    allow_redirects=False,
                ) as response,
            ):
                body = _read(where, response)
                _raise_for_status(where, response, self._without_key(_words(body))[:200])
                return body
        except (requests.RequestException, HTTPError) as error:
            cause = _root_cause(error)
            text = " ".join(str(cause).split()) if not isinstance(cause, requests.RequestException) else ""
            text = self._without_key(text)
            failure = f"{where} broke off or cannot be reached ({type(cause).__name__} {text}".rstrip() + ")."
            raise RetryableError(
                failure, f"Check {self._settings.tmdb_base_url} and the network. {_UNTOUCHED}"
            ) from None

    def _without_key(self, text: str) -> str:
        """Return what somebody else said without the key, which they may have repeated."""
        return redact(text, [self._settings.tmdb_api_key.get_secret_value()])

    def _session(self) -> requests.Session:
        """Return this thread's connection."""
        session: requests.Session | None = getattr(self._sessions, "session", None)
        if session is None:
            session = self._sessions.session = requests.Session()
            self._opened.append(session)
            host = urlsplit(self._settings.tmdb_base_url).hostname or ""
            session.trust_env = host not in ("localhost", "127.0.0.1", "::1")  # proxies are for others
        return session


_UNTOUCHED = "Nothing was loaded."


def _no_number(name: str) -> None:
    """Refuse NaN and Infinity, which JSON does not know."""
    raise ValueError(f"{name} is no number")


def _whole_number(digits: str) -> int | str:
    """Return a whole number; one that is too long for Python stays a text, which no item may have in its place."""
    return int(digits) if len(digits) <= LONGEST_NUMBER else digits


def _read(where: str, response: requests.Response) -> bytes:
    """Return a whole body, of bounded size and in bounded time."""
    started, chunks, size = time.monotonic(), [], 0
    while chunk := response.raw.read1(_CHUNK, decode_content=True):  # what is there: a slow body does not hold it up
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_PAGE_BYTES:
            raise SourceError(f"{where} is larger than {LARGEST_PAGE_BYTES:,} bytes.", _UNTOUCHED)
        if time.monotonic() - started > SLOWEST_PAGE_SECONDS:
            raise RetryableError(f"{where} has not arrived after {SLOWEST_PAGE_SECONDS} s.", _UNTOUCHED)
    return b"".join(chunks)


def _raise_for_status(where: str, response: requests.Response, words: str) -> None:
    """Raise for every status but 200: whether to wait and repeat, or to give up, in TMDB's own words."""
    status = response.status_code
    if status == requests.codes.ok:
        return
    what = f"{where} answers {status}{words}."
    if status in _RETRIED:
        raise LimitedError(what, min(_seconds_until(response.headers), LONGEST_WAIT))
    if status == requests.codes.unauthorized:
        raise SourceError(what, f"Check TMDB_API_KEY. {_UNTOUCHED}")
    raise SourceError(what, f"Check TMDB_BASE_URL. {_UNTOUCHED}")


def _words(body: bytes) -> str:
    """Return what TMDB says about a refusal."""
    try:
        message = json.loads(body)["status_message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return f": {' '.join(str(message).split())[:10_000].rstrip('.')}"


def _seconds_until(headers: Any) -> float:
    """Return how long Retry-After asks to wait: a number of seconds, or a date on TMDB's own clock."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    moment = _moment(text)
    now = _moment(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (moment - now).total_seconds()) if moment else 0.0


def _moment(text: str) -> datetime | None:
    """Return the moment of an HTTP date, None for what is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _root_cause(error: BaseException) -> BaseException:
    """Return the innermost reason of a nested error."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return error
