"""TeamDynamix: a JWT by administrator's key, login or static token, whole arrays without paging, details one by one.

A call's limit (usually 60 a minute for each endpoint) comes with its headers and is kept. Departments and assets can be
asked for what was modified since the source's own last time; what the server sends beyond that is left out here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import jwt

from etlkit.errors import SourceError
from people_hub.bronze.stream import FailedRecord, Listing, Request, Stream, key_of
from people_hub.hub_settings import TdxSettings
from people_hub.sources.http_client import HttpClient, NotFoundError, Token
from people_hub.sources.json_bodies import read_array, read_json

NAME = "TeamDynamix"
MOST_ACCOUNTS = 200
"""So many departments one search for people takes."""
DETAILS_AT_ONCE = 50
FAILURES_IN_A_ROW = 5
MODIFIED = "ModifiedDate"


def open_client(settings: TdxSettings) -> HttpClient:
    """Return a client that logs in when it is first used."""
    return HttpClient(NAME, settings, partial(_fetch_token, settings))


def check(settings: TdxSettings) -> str:
    """Log in and read the departments; return what was found."""
    with open_client(settings) as client:
        count = sum(1 for _ in _listed(client, "GET", f"{settings.tdx_base_url}/accounts"))
    return f"{settings.tdx_base_url} answers, {count:,} active departments"


def stream(entity_type: str, key: str, listing: Callable[[Any, Request], Listing], **details: Any) -> Stream:
    """Return the stream of one of TeamDynamix's listings."""
    return Stream("tdx", entity_type, TdxSettings, key_of(key), listing, check, **details)


def detail_stream(detail_of: str, key: str, path: str) -> Stream:
    """Return the stream of the whole records of a listing, one call each."""
    listing = partial(fetch_details, path=path, key=key)
    return stream(f"{detail_of}_detail", key, listing, detail_of=detail_of, batch_size=DETAILS_AT_ONCE)


def list_departments(settings: TdxSettings, request: Request) -> Listing:
    """Return the departments, all of them or those modified since the watermark."""
    return _modified_since(settings, request, "GET", "accounts")


def list_assets(settings: TdxSettings, request: Request) -> Listing:
    """Return the assets, all of them or those modified since the watermark."""
    return _modified_since(settings, request, "POST", f"{settings.tdx_app_id}/assets/search")


def list_users(settings: TdxSettings, request: Request) -> Listing:
    """Return the active people of every department, those departments that are not active any more included."""
    listing = Listing(iter(()))
    listing.records = _people(settings, request, listing)
    return listing


def fetch_details(settings: TdxSettings, request: Request, path: str, key: str) -> Listing:
    """Return the full records that are due, one call each; one that cannot be had is kept as a reject."""
    return Listing(_details(settings, request, path, key), is_full=False)


def _modified_since(settings: TdxSettings, request: Request, method: str, path: str) -> Listing:
    """Return a listing that starts a little before the newest modification that an earlier one saw."""
    since = None
    if request.watermark:
        since = _moment(request.watermark.get("modified"))
        since = since - timedelta(minutes=settings.tdx_overlap_minutes) if since else None
    listing = Listing(iter(()), is_full=since is None, watermark=request.watermark)
    listing.records = _modified(settings, method, path, since, listing)
    return listing


def _modified(settings: TdxSettings, method: str, path: str, since: datetime | None, listing: Listing) -> Iterator[Any]:
    """Yield records modified since a moment, and those that do not say when; keep the newest moment for next time."""
    asked = {"ModifiedDateFrom": since.isoformat().replace("+00:00", "Z")} if since else {}
    arguments: dict[str, Any] = {"params": asked} if method == "GET" else {"json": asked}
    newest = _moment((listing.watermark or {}).get("modified"))
    with open_client(settings) as client:
        for record in _listed(client, method, f"{settings.tdx_base_url}/{path}", **arguments):
            modified = _moment(record.get(MODIFIED)) if isinstance(record, dict) else None
            if since and modified and modified < since:
                listing.passed_over += 1
                continue
            if modified and (newest is None or modified > newest):
                newest = modified
            yield record
        now = client.source_time or datetime.now(UTC)
        if newest and newest > now:
            newest = now  # a date of the future would hide every change until then
            listing.notes = ["some records were modified in the future, as their source says"]
    if newest:
        listing.watermark = {"modified": newest.isoformat()}


def _people(settings: TdxSettings, request: Request, listing: Listing) -> Iterator[Any]:
    """Yield people, searched for by some departments at once.

    A department without a number cannot be asked for: then nobody of it comes, and nobody counts as vanished.
    """
    url = f"{settings.tdx_base_url}/people/search"
    with open_client(settings) as client:
        listed = [_account(record) for record in _listed(client, "GET", f"{settings.tdx_base_url}/accounts")]
        active = [number for number in listed if number is not None]
        if missing := len(listed) - len(active):
            listing.lack(f"the people of {missing:,} departments without a number")
        known = (int(key) for key in request.known_keys("department") if key.isdecimal())
        accounts = sorted({*active, *known})
        if not accounts:
            raise SourceError(f"{NAME} lists no department, so nobody could be searched for.")
        for first in range(0, len(accounts), MOST_ACCOUNTS):
            some = accounts[first : first + MOST_ACCOUNTS]
            yield from _listed(client, "POST", url, json={"AccountIDs": some, "IsActive": True})


def _details(settings: TdxSettings, request: Request, path: str, key: str) -> Iterator[Any]:
    """Yield full records, one call each; SourceError after five in a row that failed for another reason than 404."""
    failures = 0
    with open_client(settings) as client:
        for due in request.due():
            url = f"{settings.tdx_base_url}/{path.format(app=settings.tdx_app_id)}/{due}"
            try:
                record = _detail(client, url, path)
            except NotFoundError:
                yield FailedRecord(due, "not_found")
                continue
            except SourceError as error:
                failures += 1
                if failures == FAILURES_IN_A_ROW:
                    raise
                yield FailedRecord(due, f"not_answered: {error}")
                continue
            failures = 0
            yield record if str(record.get(key)) == due else FailedRecord(due, f"other_key: {record.get(key)}")


def _detail(client: HttpClient, url: str, path: str) -> dict[str, Any]:
    """Return one full record."""
    with client.body("GET", url, endpoint=path) as body:
        record = read_json(body, url)
    if not isinstance(record, dict):
        raise SourceError(f"{url} sent no record but {str(record)[:80]!r}")
    return record


def _account(record: object) -> int | None:
    """Return a listed department's number, None when it has none."""
    number = record.get("ID") if isinstance(record, dict) else None
    if isinstance(number, float) and number.is_integer():
        return int(number)
    if isinstance(number, str) and number.isdecimal():
        return int(number)
    if isinstance(number, int) and not isinstance(number, bool):
        return number
    return None


def _listed(client: HttpClient, method: str, url: str, **arguments: Any) -> Iterator[Any]:
    """Yield the items of the array that a call answers with."""
    with client.body(method, url, **arguments) as body:
        yield from read_array(body, url)


def _fetch_token(settings: TdxSettings, client: HttpClient) -> Token:
    """Return a token by the first way that is configured: administrator's key, login, static token."""
    if settings.tdx_beid and settings.tdx_web_services_key:
        path, login = (
            "auth/loginadmin",
            {
                "BEID": settings.tdx_beid.get_secret_value(),
                "WebServicesKey": settings.tdx_web_services_key.get_secret_value(),
            },
        )
    elif settings.tdx_username and settings.tdx_password:
        path, login = (
            "auth",
            {
                "UserName": settings.tdx_username,
                "Password": settings.tdx_password.get_secret_value(),
            },
        )
    else:
        return _read_token(settings.tdx_api_token.get_secret_value() if settings.tdx_api_token else "", "TDX_API_TOKEN")
    url = f"{settings.tdx_base_url}/{path}"
    text = client.call_without_token("POST", url, json=login).decode("utf-8", "replace")
    return _read_token(text.strip().strip('"'), url)


def _read_token(text: str, where: str) -> Token:
    """Return a JWT with the time it has left; SourceError for anything else."""
    try:
        claims: Mapping[str, Any] = jwt.decode(text, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise SourceError(f"{where} gives no JWT ({error}). Check TDX_BASE_URL and the login.") from None
    ends = claims.get("exp")
    if not isinstance(ends, (int, float)):
        return Token(text)
    begins = claims.get("iat") if where != "TDX_API_TOKEN" else None
    # a fresh token's own beginning is the source's clock, which may differ from ours
    return Token(text, float(ends) - (float(begins) if isinstance(begins, (int, float)) else time.time()))


def _moment(text: object) -> datetime | None:
    """Return an ISO moment, in UTC where it has no offset; None for what is none or stands for never."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment if moment.year > 1 else None
