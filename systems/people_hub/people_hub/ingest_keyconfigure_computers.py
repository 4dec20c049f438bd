#!/usr/bin/env python3
"""KeyConfigure computers -> bronze (key_client, computer): the newest export, one record a network card.

Changes are found by content hash; free disk and last sessions are none. Several rows of one card are one record, the
one with the latest session.
"""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from people_hub.bronze.stream import Listing, Request, Stream
from people_hub.hub_settings import FileSettings
from people_hub.script import run_script
from people_hub.sources.spreadsheets import newest_file, read_rows, require_newer

PATTERN = "keyconfigure_computers*.xlsx"
COLUMNS = ("Name", "MAC", "OEM SN", "OS", "Last Session", "Owner")
VOLATILE = frozenset(
    {"Free", "% Used", "Last Addr", "Last User", "Login", "Last Session", "Last Startup", "Last Audit"}
)
_MAC_DIGITS = 12


def list_computers(settings: FileSettings, request: Request) -> Listing:
    """Return the computers of the newest export."""
    path = newest_file(settings.hub_data_folder, PATTERN)
    listing = Listing(iter(()), watermark=require_newer(path, request.watermark))
    listing.records = _latest_of_each(read_rows(path, COLUMNS), listing)
    return listing


def mac_address(record: Mapping[str, Any]) -> str | None:
    """Return a row's MAC as twelve upper-case hexadecimal digits, None when it has no such."""
    digits = "".join(char for char in str(record.get("MAC") or "") if char not in ":-. ").upper()
    is_whole = len(digits) == _MAC_DIGITS and all(char in "0123456789ABCDEF" for char in digits)
    return digits if is_whole else None


def last_session(record: Mapping[str, Any]) -> datetime:
    """Return when a row's computer was last used; long ago for one that does not say so in a form that is known."""
    text = str(record.get("Last Session") or "")
    for form in ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y %I:%M %p", "%m/%d/%Y"):
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return datetime(1, 1, 1)


def check(settings: FileSettings) -> str:
    """Find the newest export and read its first row; return what was found."""
    path = newest_file(settings.hub_data_folder, PATTERN)
    next(read_rows(path, COLUMNS), None)
    return f"{path.name} can be read"


def _latest_of_each(rows: Iterator[dict[str, Any]], listing: Listing) -> Iterator[dict[str, Any]]:
    """Yield one row for each card, and every row without one; the older rows of a card are counted."""
    latest: dict[str, dict[str, Any]] = {}
    for row in rows:
        mac = mac_address(row)
        if mac is None:
            yield row
            continue
        known = latest.get(mac)
        if known is not None:
            listing.passed_over += 1
        if known is None or last_session(row) >= last_session(known):
            latest[mac] = row
    yield from latest.values()


STREAM = Stream(
    source_system="key_client",
    entity_type="computer",
    settings=FileSettings,
    key=mac_address,
    listing=list_computers,
    check=check,
    volatile=VOLATILE,
    activity=("Last User", "Last Session"),
)

main = partial(run_script, STREAM, __file__)

if __name__ == "__main__":
    main()
