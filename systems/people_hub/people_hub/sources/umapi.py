"""The university's API gateway: OAuth client credentials, rows in pages of up to 1,000.

A listing ends where nothing follows its last row, however many rows the gateway gives at once. One row alone comes as
an object instead of a list. An answer without its envelope is an error. The gateway tells neither changes nor
deletions, so every listing is whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from etlkit.errors import SourceError
from people_hub.bronze.stream import Listing
from people_hub.hub_settings import UmapiSettings
from people_hub.sources.http_client import HttpClient, Token
from people_hub.sources.json_bodies import read_json

PAGE_ROWS = 1000
SCOPE = "department"
NAME = "the API gateway"


def list_rows(settings: UmapiSettings, path: str, envelope: tuple[str, str]) -> Listing:
    """Return every row of a resource, e.g. Department/v2/DeptData in ("DepartmentList", "DeptData")."""
    listing = Listing(iter(()))
    listing.records = _rows(settings, path, envelope, listing)
    return listing


def check(settings: UmapiSettings) -> str:
    """Fetch one department; return what was found."""
    with HttpClient(NAME, settings, partial(_fetch_token, settings)) as client:
        rows = _page(client, settings, "Department/v2/DeptData", ("DepartmentList", "DeptData"), 0, 1)
    return f"{settings.um_base_url} answers, {len(rows)} department read"


def _rows(settings: UmapiSettings, path: str, envelope: tuple[str, str], listing: Listing) -> Iterator[Any]:
    """Yield rows page by page.

    Every page begins with the last row of the one before. Where it does not, rows came or went meanwhile and one may
    have slipped between two pages, so the listing proves nothing about what it lacks.
    """
    with HttpClient(NAME, settings, partial(_fetch_token, settings)) as client:
        rows = _page(client, settings, path, envelope, 0, PAGE_ROWS)
        first = rows[0] if rows else None
        start = len(rows)
        yield from rows
        while rows:
            last = rows[-1]
            rows = _page(client, settings, path, envelope, start - 1, PAGE_ROWS)
            if not rows or (rows[0] == first and first != last):
                what = "nothing" if not rows else "the very first row"
                raise SourceError(
                    f"{path}: row {start:,} was there, and asked for again the gateway sends {what}. "
                    "The listing is incomplete; run again."
                )
            start += len(rows) - 1
            if rows[0] == last:
                rows = rows[1:]
            else:
                listing.is_full = False
                listing.notes = [f"rows of {path} moved while they were read: nothing counts as vanished this time"]
            yield from rows


def _page(
    client: HttpClient, settings: UmapiSettings, path: str, envelope: tuple[str, str], start: int, count: int
) -> list[Any]:
    """Return the rows of one page; SourceError for an answer that is not one."""
    url = f"{settings.um_base_url}/{settings.um_category_id}/{path}"
    with client.body("GET", url, params={"$start_index": start, "$count": count}) as body:
        answer = read_json(body, url)
    outer, inner = envelope
    found = answer.get(outer) if isinstance(answer, dict) else None
    rows = found.get(inner) if isinstance(found, dict) else None
    if isinstance(rows, dict):
        return [rows]
    if not isinstance(rows, list):
        raise SourceError(
            f"{url} from row {start:,}: the answer has no list {outer}.{inner} but begins with "
            f"{json.dumps(answer)[:80]!r}. Nothing more was asked."
        )
    if len(rows) > count:
        raise SourceError(
            f"{url} sent {len(rows):,} rows where {count:,} were asked for; its paging is not understood."
        )
    return rows


def _fetch_token(settings: UmapiSettings, client: HttpClient) -> Token:
    """Return a new token."""
    data = client.call_without_token(
        "POST",
        settings.um_oauth_url,
        data={
            "grant_type": "client_credentials",
            "client_id": settings.um_client_key.get_secret_value(),
            "client_secret": settings.um_client_secret.get_secret_value(),
            "scope": SCOPE,
        },
    )
    try:
        answer = json.loads(data)
        return Token(str(answer["access_token"]), float(answer["expires_in"]))
    except (ValueError, KeyError, TypeError):
        raise SourceError(f"{settings.um_oauth_url} sent no token with its life time; check UM_OAUTH_URL.") from None
