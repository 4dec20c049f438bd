"""One way to call a REST source: timeouts, bounded retries, rate limits, a token that is renewed, whole bodies.

In comes a call, out goes its whole body, in memory or in a temporary file, or an error: a call that failed never looks
like an empty answer. A body is used only when all of it has arrived, so a retry repeats no record.
"""

from __future__ import annotations

import logging
import re
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import IO, Any, Self
from urllib.parse import urlsplit

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter
from urllib3.exceptions import HTTPError

from etlkit.errors import EtlError, RetryableError, SourceError
from people_hub.hub_settings import HttpSettings

IN_MEMORY_BYTES = 8_000_000
RENEW_BEFORE_SECONDS = 60
SHORTEST_LIMIT_WAIT = 5.0
LONGEST_WAIT = 300.0
SLOWEST_ANSWER_SECONDS = 900
_CHUNK = 65_536
_RETRYABLE = {408, 425}
"""Beside 429 and every 5xx."""
_UNAUTHORIZED, _TOO_MANY, _NOT_FOUND = 401, 429, 404

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Token:
    """A token and for how many seconds it is good; None for one that does not say."""

    value: str
    seconds: float | None = None


class _BearerToken(requests.auth.AuthBase):
    """Sends the token and nothing else, whatever ~/.netrc holds for the host."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the token into a request."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class LimitedError(RetryableError):
    """The source asks to wait."""

    def __init__(self, message: str, wait_seconds: float) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class NotFoundError(SourceError):
    """The source knows nothing under this address."""


class _ExpiredError(SourceError):
    """The source did not take the token."""


class HttpClient:
    """Calls to one REST source, with its token."""

    def __init__(self, name: str, settings: HttpSettings, fetch_token: Callable[[HttpClient], Token]) -> None:
        """Keep how to log in; nothing is called yet."""
        self._name = name
        self._settings = settings
        self._fetch_token = fetch_token
        self._session = requests.Session()
        self._verify = str(settings.http_ca_file) if settings.http_ca_file else None
        self.source_time: datetime | None = None
        """What the source's own clock said in its last answer."""
        self._token: Token | None = None
        self._token_until = 0.0
        self._free_at: dict[str, float] = {}

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close its connections."""
        self._session.close()

    @contextmanager
    def body(self, method: str, url: str, *, endpoint: str | None = None, **arguments: Any) -> Iterator[IO[bytes]]:
        """Call with the token; yield the whole body as a file, read from its beginning.

        `endpoint` names the calls that share one rate limit. Raises NotFoundError for 404, SourceError for every other
        refusal and when the attempts are used up.
        """
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
            try:
                self._retrying()(self._call, file, method, url, endpoint or url, self._current_token(), arguments)
            except _ExpiredError:
                self._token = None  # it was renewed early enough, and yet it is over: once more with a new one
                token = self._current_token()
                try:
                    self._retrying()(self._call, file, method, url, endpoint or url, token, arguments)
                except _ExpiredError as error:
                    raise SourceError(f"{error}, nor a new one. Check the login of {self._name}.") from error
            file.seek(0)
            yield file

    def call_without_token(self, method: str, url: str, **arguments: Any) -> bytes:
        """Call without a token, as a login does; return the whole body."""
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
            try:
                self._retrying()(self._call, file, method, url, url, None, arguments)
            except _ExpiredError as error:
                raise SourceError(f"{self._name} refuses the login at {url}. Check its settings.") from error
            file.seek(0)
            return file.read()

    def _current_token(self) -> str:
        """Return the token, a new one when the old one has less than a minute."""
        if self._token is None or time.monotonic() >= self._token_until:
            self._token = self._fetch_token(self)
            if not re.fullmatch(r"[!-~]+", self._token.value):
                raise SourceError(f"{self._name} gave a token that cannot be sent; check its address and login.")
            seconds = self._token.seconds
            # of a token that lives shorter than two minutes, half its life
            lead = min(RENEW_BEFORE_SECONDS, seconds / 2) if seconds is not None else 0
            self._token_until = time.monotonic() + seconds - lead if seconds is not None else float("inf")
            logger.debug("a new token of %s, good for %s s", self._name, seconds)
        return self._token.value

    def _retrying(self) -> Retrying:
        """Return the rule by which a call is repeated: as often as the settings say, and as late as the source asks."""
        usual = wait_exponential_jitter(
            multiplier=self._settings.http_backoff_seconds, max=60, jitter=self._settings.http_backoff_seconds
        )

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.wait_seconds if isinstance(error, LimitedError) else 0.0
            return max(usual(state), asked)

        def tell(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            seconds = state.next_action.sleep if state.next_action else 0
            what = error.problem.rstrip(".") if isinstance(error, EtlError) else error
            logger.info("⚠️ %s; attempt %s follows in %.1f s", what, state.attempt_number + 1, seconds)

        return Retrying(
            stop=stop_after_attempt(self._settings.http_attempts),
            wait=wait,
            retry=retry_if_exception_type(RetryableError),
            before_sleep=tell,
            reraise=True,
        )

    def _call(
        self, file: IO[bytes], method: str, url: str, endpoint: str, token: str | None, arguments: Mapping[str, Any]
    ) -> None:
        """Call once and write the body into the file; raise what the status or the connection says."""
        file.seek(0)
        file.truncate()
        self._wait_for_limit(endpoint)
        started = time.monotonic()
        is_here = (urlsplit(url).hostname or "") in ("localhost", "127.0.0.1", "::1")
        self._session.trust_env = not is_here  # proxies are for others
        where = f"{self._name}: {method} {url}"
        try:
            with self._session.request(
                method,
                url,
                auth=_BearerToken(token),
                verify=self._verify,
                stream=True,
                timeout=self._settings.http_timeout_seconds,
                allow_redirects=False,
                **arguments,
            ) as response:
                self._note_limit(endpoint, response)
                _raise_for_status(where, response)
                while chunk := response.raw.read1(_CHUNK, decode_content=True):
                    file.write(chunk)
                    if time.monotonic() - started > SLOWEST_ANSWER_SECONDS:
                        raise RetryableError(f"{where} has not sent all after {SLOWEST_ANSWER_SECONDS} s")
        except (requests.RequestException, HTTPError) as error:
            cause = _root_cause(error)
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise SourceError(
                    f"{where}: the certificate is not trusted ({cause.verify_message}). If it is your own authority's, "
                    "name its certificate in HTTP_CA_FILE."
                ) from error
            text = " ".join(f"{type(cause).__name__} {cause}".split())
            raise RetryableError(
                f"{where} broke off or cannot be reached ({text}).",
                "Check its address and the network, then run again.",
            ) from error

    def _wait_for_limit(self, endpoint: str) -> None:
        """Wait while the source said that this endpoint's calls are used up."""
        seconds = self._free_at.pop(endpoint, 0.0) - time.monotonic()
        if seconds > 0:
            logger.info("📈 %s allows no more calls of %s for %.1f s", self._name, endpoint, seconds)
            time.sleep(seconds)

    def _note_limit(self, endpoint: str, response: requests.Response) -> None:
        """Remember the source's time, and when calls are free again if this was the last one allowed."""
        self.source_time = _moment(response.headers.get("Date")) or self.source_time
        if response.headers.get("X-RateLimit-Remaining", "").strip() == "0":
            seconds = _seconds_until(response, response.headers.get("X-RateLimit-Reset"))
            if seconds is not None:
                self._free_at[endpoint] = time.monotonic() + min(seconds, LONGEST_WAIT)


def _raise_for_status(where: str, response: requests.Response) -> None:
    """Raise for every status but 200: whether to repeat, to renew the token, or to give up."""
    status = response.status_code
    if status == requests.codes.ok:
        return
    if status == _UNAUTHORIZED:
        raise _ExpiredError(f"{where} does not take the token")
    if status == _NOT_FOUND:
        raise NotFoundError(f"{where} answers 404: there is nothing. Check the address.")
    if status == _TOO_MANY:
        asked = _seconds_until(response, response.headers.get("Retry-After"))
        if asked is None:
            asked = _seconds_until(response, response.headers.get("X-RateLimit-Reset")) or 0.0
        wait = min(max(asked, SHORTEST_LIMIT_WAIT), LONGEST_WAIT)
        raise LimitedError(f"{where} answers 429: too many calls", wait)
    if status in _RETRYABLE or status >= requests.codes.server_error:
        asked = _seconds_until(response, response.headers.get("Retry-After")) or 0.0
        raise LimitedError(f"{where} answers {status}", min(asked, LONGEST_WAIT))
    raise SourceError(
        f"{where} answers {status} {response.reason}; nothing more was asked. "
        "Check the address and what the login may see."
    )


def _seconds_until(response: requests.Response, text: str | None) -> float | None:
    """Return the seconds until a moment that the source names: a number of seconds, or a date on its own clock."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text)
    moment = _moment(text)
    if moment is None:
        return None
    now = _moment(response.headers.get("Date")) or datetime.now(UTC)
    return max(0.0, (moment - now).total_seconds())


def _moment(text: str | None) -> datetime | None:
    """Return the moment of an HTTP date, None for what is none."""
    try:
        moment = parsedate_to_datetime(text) if text else None
    except (TypeError, ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def _root_cause(error: BaseException) -> BaseException:
    """Return the innermost reason of a nested error."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return error
