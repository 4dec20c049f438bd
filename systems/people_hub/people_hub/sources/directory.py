"""LDAP directories, read completely: TLS verified, the result code checked on every page, ways round a server's cap.

In comes a search, out go all its entries as plain records, or SourceError. A server that cuts an answer off (result
code 4) is asked again by prefixes of an attribute, `(uid=a*)`, `(uid=b*)`, ..., as the entries that did come suggest,
each split further while it is cut off, and once more for everything that begins with none of them, so that nothing is
missed. ldap3 reports a cut answer by its result code only.
"""

from __future__ import annotations

import base64
import re
import ssl
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ldap3 import ALL_ATTRIBUTES, BASE, NONE, SIMPLE, SUBTREE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPCommunicationError, LDAPException
from ldap3.protocol.formatters.formatters import format_sid
from ldap3.utils.conv import escape_filter_chars
from pydantic import SecretStr
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from etlkit.errors import RetryableError, SourceError

SUCCESS = 0
CUT_OFF = {3: "time limit", 4: "size limit", 11: "administrative limit"}
BUSY = {51, 52}
HELD_ENTRIES = 2000
"""So many entries of a search wait for its end, so that a cut answer can be thrown away and asked for in parts."""
CONNECT_SECONDS = 10
ATTEMPTS = 3
SMALLEST_PAGE = 20
LONGEST_PREFIX = 64
PAGED_RESULTS = "1.2.840.113556.1.4.319"
_RANGE = re.compile(r"(?P<name>[^;]+);range=(?P<first>\d+)-(?P<last>\d+|\*)", re.IGNORECASE)


@dataclass(frozen=True)
class Directory:
    """Where a directory is and who asks."""

    name: str
    server: str
    port: int
    user: str
    password: SecretStr
    ca_file: Path | None
    timeout_seconds: int
    page_size: int


@dataclass(frozen=True)
class Search:
    """What is asked for: every entry under a base that a filter fits.

    `partition_by` is the attribute by whose beginning a cut answer is asked for in parts; it must be searchable by
    substring. `single_valued` attributes become a text, all others a sorted list.
    """

    base: str
    filter: str
    partition_by: str
    single_valued: frozenset[str] = frozenset()
    guids: frozenset[str] = frozenset({"objectguid"})
    sids: frozenset[str] = frozenset({"objectsid"})
    attributes: tuple[str, ...] = (ALL_ATTRIBUTES,)


@dataclass
class _Session:
    """An open connection, and how many entries its server gives in one page."""

    connection: Connection
    directory: Directory
    page_size: int


@dataclass
class _Part:
    """A part of a search: entries whose attribute begins with a prefix."""

    prefix: str = ""
    alphabet: list[str] = field(default_factory=list)
    """The characters that follow the prefix, as far as entries have shown them."""


class _CutOffError(Exception):
    """The server sent only a part; what it sent is thrown away."""

    def __init__(self, entries: list[Mapping[str, Any]]) -> None:
        super().__init__("the answer was cut off")
        self.entries = entries


@contextmanager
def opened(directory: Directory) -> Iterator[_Session]:
    """Connect by TLS with a verified certificate and log in; SourceError when either is refused."""
    where = f"{directory.name} at {directory.server}:{directory.port}"
    tls = Tls(
        validate=ssl.CERT_REQUIRED,
        version=ssl.PROTOCOL_TLS_CLIENT,
        ca_certs_file=str(directory.ca_file) if directory.ca_file else None,
        sni=directory.server,
    )
    server = Server(
        directory.server, directory.port, use_ssl=True, tls=tls, get_info=NONE, connect_timeout=CONNECT_SECONDS
    )
    connection = Connection(
        server,
        user=directory.user,
        password=directory.password.get_secret_value(),
        authentication=SIMPLE,
        receive_timeout=directory.timeout_seconds,
        auto_referrals=False,
        check_names=False,
        return_empty_attributes=False,
    )
    try:
        if not connection.bind():
            raise SourceError(
                f"{where} refuses the login of {directory.user}: {connection.result['description']} "
                f"({connection.result['result']}). Check user and password."
            )
        yield _Session(connection, directory, directory.page_size)
    except (LDAPException, ssl.SSLError, OSError) as error:
        raise _as_source_error(where, error) from error
    finally:
        _close(connection)


def read_entries(directory: Directory, search: Search) -> Iterator[dict[str, Any]]:
    """Yield every entry of a search as a record with its `dn`; raises SourceError unless all of them came."""
    with opened(directory) as session:
        for entry in _every_part(session, search):
            fetch = _range_fetcher(session, entry["dn"])
            yield read_entry(entry, search, fetch)


def count_base(directory: Directory, base: str) -> str:
    """Read the base entry of a directory; return what was found, raise SourceError when it is not there."""
    with opened(directory) as session:
        entries, _cookie = _page(session, base, "(objectClass=*)", ("1.1",), BASE, None)
    if not entries:
        raise SourceError(f"{directory.name} shows no entry {base} to {directory.user}.")
    return f"{directory.server}:{directory.port} answers, {base} is there"


def root_attributes(directory: Directory, names: Sequence[str]) -> dict[str, str]:
    """Return attributes of the server's root entry, those that it has."""
    with opened(directory) as session:
        entries, _cookie = _page(session, "", "(objectClass=*)", tuple(names), BASE, None)
    found = entries[0]["raw_attributes"] if entries else {}
    return {name: values[0].decode() for name, values in found.items() if values}


def read_entry(
    entry: Mapping[str, Any], search: Search, fetch_range: Callable[[str], Mapping[str, list[bytes]]]
) -> dict[str, Any]:
    """Return an entry's record: texts, sorted lists, identifiers in their canonical text.

    A long attribute that comes in ranges (`member;range=0-1499`) is fetched to its end by `fetch_range`.
    """
    record: dict[str, Any] = {"dn": entry["dn"]}
    for name, values in _whole_attributes(entry["raw_attributes"], fetch_range).items():
        lower = name.lower()
        if lower in search.guids:
            texts = [str(uuid.UUID(bytes_le=value)) for value in values]
        elif lower in search.sids:
            texts = [format_sid(value) for value in values]
        else:
            texts = [_text(value) for value in values]
        is_single = len(texts) == 1 and (lower in search.guids | search.sids or name in search.single_valued)
        record[name] = texts[0] if is_single else sorted(set(texts))
    return record


def _whole_attributes(
    attributes: Mapping[str, list[bytes]], fetch_range: Callable[[str], Mapping[str, list[bytes]]]
) -> dict[str, list[bytes]]:
    """Return attributes with all their values, also of those that the server gives in ranges."""
    whole: dict[str, list[bytes]] = {}
    for described, values in attributes.items():
        found = _RANGE.fullmatch(described)
        if not found:
            # beside a range the server sends the plain name too, without values
            whole.setdefault(described, []).extend(values)
            continue
        name = found["name"]
        collected = whole.setdefault(name, [])
        collected.extend(values)
        while found["last"] != "*":
            following = int(found["last"]) + 1
            answer = fetch_range(f"{name};range={following}-*")
            ranges = [(_RANGE.fullmatch(key), more) for key, more in answer.items()]
            found, more = next(
                ((match, more) for match, more in ranges if match and match["name"].lower() == name.lower()), (None, [])
            )
            if found is None or int(found["first"]) != following:
                raise SourceError(f"the values of {name} from {following:,} on were asked for and did not come")
            collected.extend(more)
    return {name: values for name, values in whole.items() if values}


def _every_part(session: _Session, search: Search) -> Iterator[Mapping[str, Any]]:
    """Yield every entry: of the whole search if the server allows, else of its parts."""
    parts = [_Part()]
    while parts:
        part = parts.pop()
        try:
            yield from _held_back(_pages(session, search, _part_filter(search, part.prefix)))
        except _CutOffError as error:
            _learn(session, search, part, error.entries)
            if len(part.prefix) >= LONGEST_PREFIX:
                raise SourceError(
                    f"{session.directory.name}: the entries whose {search.partition_by} have {LONGEST_PREFIX} equal "
                    "characters are cut off still; the listing is incomplete."
                ) from None
            yield from _exact_and_other(session, search, part)
            parts.extend(_Part(part.prefix + char) for char in reversed(part.alphabet))


def _exact_and_other(session: _Session, search: Search, part: _Part) -> Iterator[Mapping[str, Any]]:
    """Yield what belongs to a cut part but to none of the parts it is split into; learn the characters it lacks."""
    while True:
        exceptions = "".join(
            f"(!({search.partition_by}={escape_filter_chars(part.prefix + char)}*))" for char in part.alphabet
        )
        rest = f"(&{_part_filter(search, part.prefix)}{exceptions})"
        try:
            yield from _held_back(_pages(session, search, rest), limit=None)
        except _CutOffError as error:
            _learn(session, search, part, error.entries)
        else:
            return


def _learn(session: _Session, search: Search, part: _Part, entries: Iterable[Mapping[str, Any]]) -> None:
    """Add the characters that follow a part's prefix in some entries; SourceError when there is no new one."""
    found = set()
    for entry in entries:
        for name, values in entry["raw_attributes"].items():
            if name.lower() != search.partition_by.lower():
                continue
            for value in values:
                text = _text(value).lower()
                if text.startswith(part.prefix) and len(text) > len(part.prefix):
                    found.add(text[len(part.prefix)])
    learnt = sorted(found - set(part.alphabet))
    if not learnt:
        raise SourceError(
            f"{session.directory.name} cuts off the entries whose {search.partition_by} begins with nothing that "
            f"{part.prefix!r} could be split by; the listing is incomplete."
        )
    part.alphabet.extend(learnt)


def _held_back(
    pages: Iterator[list[Mapping[str, Any]]], limit: int | None = HELD_ENTRIES
) -> Iterator[Mapping[str, Any]]:
    """Yield entries once the search has come to its end, or once there are so many that no cap is to be feared."""
    held: list[Mapping[str, Any]] = []
    is_holding = True
    try:
        for page in pages:
            if not is_holding:
                yield from page
                continue
            held.extend(page)
            if limit is not None and len(held) > limit:
                is_holding = False
                yield from held
                held = []
    except _CutOffError as error:
        raise _CutOffError(held + error.entries) from None
    yield from held


def _part_filter(search: Search, prefix: str) -> str:
    """Return the filter of a part."""
    if not prefix:
        return search.filter
    return f"(&{search.filter}({search.partition_by}={escape_filter_chars(prefix)}*))"


def _pages(session: _Session, search: Search, ldap_filter: str) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the pages of a search; _CutOffError as soon as the server says that it leaves something out."""
    cookie: bytes | None = None
    while True:
        entries, cookie = _page(session, search.base, ldap_filter, search.attributes, SUBTREE, cookie)
        yield entries
        if not cookie:
            return


def _page(
    session: _Session,
    base: str,
    ldap_filter: str,
    attributes: tuple[str, ...],
    scope: str,
    cookie: bytes | None,
) -> tuple[list[Mapping[str, Any]], bytes | None]:
    """Return one page's entries and the cookie of the next; raises unless the server's result code is 0."""
    connection = session.connection
    where = f"{session.directory.name}: search {ldap_filter} under {base}"

    def ask() -> int:
        connection.search(
            base,
            ldap_filter,
            scope,
            attributes=list(attributes),
            paged_size=session.page_size if scope == SUBTREE else None,
            paged_cookie=cookie,
        )
        code: int = connection.result["result"]
        if code in BUSY:
            raise RetryableError(f"{where}: {connection.result['description']} ({code})")
        return code

    code: int = Retrying(
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential_jitter(multiplier=0.5, max=10),
        retry=retry_if_exception_type(RetryableError),
        reraise=True,
    )(ask)
    entries = [found for found in connection.response or [] if found["type"] == "searchResEntry"]
    if code in CUT_OFF and not entries and not cookie and session.page_size > SMALLEST_PAGE:
        session.page_size //= 2  # a server that gives nothing at all may only find the page too large
        return _page(session, base, ldap_filter, attributes, scope, cookie)
    if code in CUT_OFF:
        raise _CutOffError(entries)
    if code != SUCCESS:
        detail = connection.result.get("message") or connection.result["description"]
        raise SourceError(f"{where}: {detail} (result {code}). The listing is incomplete.")
    control = (connection.result.get("controls") or {}).get(PAGED_RESULTS)
    return entries, (control or {}).get("value", {}).get("cookie") or None


def _range_fetcher(session: _Session, dn: str) -> Callable[[str], Mapping[str, list[bytes]]]:
    """Return how one entry's next range of values is asked for."""

    def fetch(described: str) -> Mapping[str, list[bytes]]:
        entries, _cookie = _page(session, dn, "(objectClass=*)", (described,), BASE, None)
        found: Mapping[str, list[bytes]] = entries[0]["raw_attributes"] if entries else {}
        return found

    return fetch


def _text(value: bytes) -> str:
    """Return a value as text, in base64 when it is none."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def _as_source_error(where: str, error: Exception) -> SourceError:
    """Return an error of the library or the socket in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "certificate" in text.lower() or isinstance(error, ssl.SSLError):
        return SourceError(
            f"{where}: its certificate is not trusted ({text}). Name its authority's file, e.g. AD_CA_FILE."
        )
    if isinstance(error, (LDAPCommunicationError, OSError)):
        return RetryableError(f"{where} does not answer or broke off ({text})")
    return SourceError(f"{where}: {text}")


def _close(connection: Connection) -> None:
    """Say goodbye, if there is anybody left to say it to."""
    try:
        connection.unbind()
    except (LDAPException, OSError):
        return
