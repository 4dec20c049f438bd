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
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ldap3 import ALL_ATTRIBUTES, BASE, NONE, SIMPLE, SUBTREE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPCommunicationError, LDAPException
from ldap3.protocol.formatters.formatters import format_sid
from ldap3.utils.conv import escape_filter_chars
from pyasn1.error import PyAsn1Error
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
_GUID_BYTES = 16
PAGED_RESULTS = "1.2.840.113556.1.4.319"
_CERTIFICATE = re.compile(r"certificate verify failed: (?P<why>[^(]*)", re.IGNORECASE)
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
    on_referral: Callable[[str], None] = lambda _address: None


@dataclass
class _Part:
    """A part of a search: entries whose attribute begins with a prefix, but for those that other parts have."""

    attribute: str
    prefix: str = ""
    exceptions: tuple[str, ...] = ()
    """Beginnings that earlier parts have taken, so that an entry with several values comes once."""
    alphabet: list[str] = field(default_factory=list)
    """The characters by which the part is split, as far as entries have shown them."""
    shown: set[str] = field(default_factory=set)
    """The characters that entries have shown since."""


class _CutOffError(Exception):
    """The server sent only a part."""


class _VerifiedTls(Tls):  # type: ignore[misc]  # the library has no types
    """TLS as Python itself does it: certificate and name (or address) are verified before anything is sent."""

    def __init__(self, ca_file: Path | None) -> None:
        """Keep the authority's file; the system's authorities without one."""
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - ldap3's
        """Put TLS over a connection's socket."""
        connection.socket = self._context.wrap_socket(connection.socket, server_hostname=connection.server.host)


@contextmanager
def opened(directory: Directory) -> Iterator[_Session]:
    """Connect by TLS with a verified certificate and log in; SourceError when either is refused."""
    where = f"{directory.name} at {directory.server}:{directory.port}"
    tls = _VerifiedTls(directory.ca_file)
    server = Server(
        directory.server, directory.port, use_ssl=True, tls=tls, get_info=NONE, connect_timeout=CONNECT_SECONDS
    )
    if not server.ssl or server.port != directory.port:
        raise SourceError(f"{where}: the server's name must be a bare name or address; nothing was sent.")
    connection = Connection(
        server,
        user=directory.user,
        password=directory.password.get_secret_value(),
        authentication=SIMPLE,
        receive_timeout=directory.timeout_seconds,
        auto_referrals=False,
        auto_range=False,  # the library stops quietly where a range fails; read_entry follows them strictly
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
    except (LDAPException, PyAsn1Error, ssl.SSLError, OSError) as error:
        raise _as_source_error(where, error) from error
    finally:
        _close(connection)


def read_entries(
    directory: Directory,
    search: Search,
    *,
    narrow: Callable[[_Session], str | None] = lambda _session: None,
    on_referral: Callable[[str], None] = lambda _address: None,
) -> Iterator[dict[str, Any]]:
    """Yield every entry of a search as a record with its `dn`; raises SourceError unless all of them came.

    `narrow` may ask the very server that will be searched and return another filter. `on_referral` is told of every
    part that the server keeps elsewhere; such a listing is not whole.
    """
    with opened(directory) as session:
        session.on_referral = on_referral
        search = replace(search, filter=narrow(session) or search.filter)
        for entry in _every_part(session, search):
            yield read_entry(entry, search, _range_fetcher(session, entry["dn"]))


def count_base(directory: Directory, base: str) -> str:
    """Read the base entry of a directory; return what was found, raise SourceError when it is not there."""
    with opened(directory) as session:
        entries, _cookie = _page(session, base, "(objectClass=*)", ("1.1",), BASE, None)
    if not entries:
        raise SourceError(f"{directory.name} shows no entry {base} to {directory.user}.")
    return f"{directory.server}:{directory.port} answers, {base} is there"


def root_attributes(session: _Session, names: Sequence[str]) -> dict[str, str]:
    """Return attributes of the server's root entry, those that it has."""
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
            texts = [_guid(value) for value in values]
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
            whole.setdefault(described, []).extend(values or ())
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
    parts = [_Part(search.partition_by)]
    while parts:
        part = parts.pop()
        try:
            yield from _held_back(_pages(session, search, part), HELD_ENTRIES)
        except _CutOffError:
            if len(part.prefix) >= LONGEST_PREFIX:
                raise SourceError(
                    f"{session.directory.name}: the entries whose {search.partition_by} have {LONGEST_PREFIX} equal "
                    "characters are cut off still; the listing is incomplete."
                ) from None
            _learn(session, search, part)
            yield from _the_rest(session, search, part)
            starts = [part.prefix + char for char in part.alphabet]
            split = [
                _Part(part.attribute, start, (*part.exceptions, *starts[:number]))
                for number, start in enumerate(starts)
            ]
            parts.extend(reversed(split))


def _the_rest(session: _Session, search: Search, part: _Part) -> Iterator[Mapping[str, Any]]:
    """Yield what belongs to a cut part but to none of those it is split into; learn the characters it lacks."""
    while True:
        taken = (*part.exceptions, *(part.prefix + char for char in part.alphabet))
        try:
            yield from _held_back(_pages(session, search, part, taken), None)
        except _CutOffError:
            _learn(session, search, part)
        else:
            return


def _learn(session: _Session, search: Search, part: _Part) -> None:
    """Split a part by the characters that its entries have shown too; SourceError when there is no new one."""
    learnt = sorted(part.shown - set(part.alphabet))
    if not learnt:
        raise SourceError(
            f"{session.directory.name} cuts off the entries whose {search.partition_by} begins with nothing that "
            f"{part.prefix!r} could be split by; the listing is incomplete."
        )
    part.alphabet.extend(learnt)


def _show_characters(part: _Part, entries: Iterable[Mapping[str, Any]]) -> None:
    """Note the characters that follow a part's prefix in some entries."""
    for entry in entries:
        for name, values in entry["raw_attributes"].items():
            if name.lower() != part.attribute.lower():
                continue
            for value in values:
                # as servers compare: without case, several spaces being one
                text = " ".join(unicodedata.normalize("NFKC", _text(value)).lower().split())
                if text.startswith(part.prefix) and len(text) > len(part.prefix):
                    part.shown.add(text[len(part.prefix)])


def _held_back(pages: Iterator[list[Mapping[str, Any]]], limit: int | None) -> Iterator[Mapping[str, Any]]:
    """Yield entries once the search has come to its end, or once there are so many that no cap is to be feared."""
    held: list[Mapping[str, Any]] = []
    is_holding = True
    for page in pages:
        if not is_holding:
            yield from page
            continue
        held.extend(page)
        if limit is not None and len(held) > limit:
            is_holding = False
            yield from held
            held = []
    yield from held


def _part_filter(search: Search, part: _Part, exceptions: Sequence[str]) -> str:
    """Return the filter of a part, without what begins with the exceptions."""
    starts = f"({search.partition_by}={_escaped(part.prefix)}*)" if part.prefix else ""
    others = "".join(f"(!({search.partition_by}={_escaped(start)}*))" for start in exceptions)
    return f"(&{search.filter}{starts}{others})" if starts or others else search.filter


def _escaped(text: str) -> str:
    """Return a text as it stands in a filter; a space too, which the library would strip from an end."""
    return str(escape_filter_chars(text)).replace(" ", "\\20")


def _pages(
    session: _Session, search: Search, part: _Part, exceptions: Sequence[str] | None = None
) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the pages of a part; _CutOffError as soon as the server says that it leaves something out."""
    ldap_filter = _part_filter(search, part, part.exceptions if exceptions is None else exceptions)
    cookie: bytes | None = None
    while True:
        entries, following = _page(session, search.base, ldap_filter, search.attributes, SUBTREE, cookie, part)
        yield entries
        if not following:
            return
        if following == cookie and not entries:
            raise SourceError(
                f"{session.directory.name} repeats an empty page of {ldap_filter}; nothing more was asked."
            )
        cookie = following


def _page(
    session: _Session,
    base: str,
    ldap_filter: str,
    attributes: tuple[str, ...],
    scope: str,
    cookie: bytes | None,
    part: _Part | None = None,
) -> tuple[list[Mapping[str, Any]], bytes | None]:
    """Return one page's entries and the cookie of the next; raises unless the server's result code is 0.

    For a part of a search an answer that is cut off is a _CutOffError, after its entries have shown how to split it.
    """
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
    for found in connection.response or []:
        if found["type"] == "searchResRef":
            session.on_referral(", ".join(found["uri"]))
    if part is not None:
        _show_characters(part, entries)
        if code in CUT_OFF and not entries and not cookie and session.page_size > SMALLEST_PAGE:
            session.page_size //= 2  # a server that gives nothing at all may only find the page too large
            return _page(session, base, ldap_filter, attributes, scope, cookie, part)
        if code in CUT_OFF:
            raise _CutOffError
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


def _guid(value: bytes) -> str:
    """Return an identifier in its canonical text, in base64 when it is not one."""
    return str(uuid.UUID(bytes_le=value)) if len(value) == _GUID_BYTES else base64.b64encode(value).decode()


def _as_source_error(where: str, error: Exception) -> SourceError:
    """Return an error of the library or the socket in one line."""
    text = " ".join(str(error).replace("\\", "").split()) or type(error).__name__
    told = _CERTIFICATE.search(text)
    text = told["why"].strip() if told else text
    if told or isinstance(error, ssl.SSLCertVerificationError):
        return SourceError(
            f"{where}: its certificate is not trusted ({text}). Name its authority's file, e.g. AD_CA_FILE."
        )
    if isinstance(error, (LDAPCommunicationError, OSError)):
        return RetryableError(
            f"{where} does not answer or broke off ({text}). Check its name, its port and the network, then run again."
        )
    return SourceError(f"{where}: {text}")


def _close(connection: Connection) -> None:
    """Say goodbye, if there is anybody left to say it to."""
    try:
        connection.unbind()
    except (LDAPException, OSError):
        return
