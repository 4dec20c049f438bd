"""The Active Directory: entries by page, identified by objectGUID, incrementally by one server's own change numbers.

`uSNChanged` counts on each domain controller for itself, so the watermark holds the controller's name; another one that
answers is read whole. `whenChanged` would differ from controller to controller too, and is a clock.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from people_hub.bronze.stream import Listing, Request, Stream, key_of
from people_hub.hub_settings import ActiveDirectorySettings
from people_hub.sources.directory import Directory, Search, count_base, read_entries, root_attributes

SINGLE_VALUED = frozenset(
    {
        "cn", "sAMAccountName", "displayName", "distinguishedName", "userPrincipalName", "mail", "description",
        "userAccountControl", "whenCreated", "whenChanged", "uSNChanged", "uSNCreated", "managedBy", "name",
    }
)  # fmt: skip
"""Single-valued in every entry that the hub reads."""
VOLATILE = frozenset(
    {
        "uSNChanged", "whenChanged", "dSCorePropagationData", "lastLogon", "lastLogonTimestamp", "logonCount",
        "badPwdCount", "badPasswordTime", "lastLogoff",
    }
)  # fmt: skip
"""What changes at every login, or differs from one domain controller to the next."""
ACTIVITY = ("lastLogonTimestamp",)
_SERVER, _NUMBER = "dsServiceName", "highestCommittedUSN"


def stream(
    entity_type: str, ldap_filter: str, single_valued: Collection[str], *, is_incremental: bool = False
) -> Stream:
    """Return the stream of the entries that a filter fits, identified by objectGUID."""
    return Stream(
        source_system="active_directory",
        entity_type=entity_type,
        settings=ActiveDirectorySettings,
        key=key_of("objectGUID"),
        listing=lambda settings, request: list_entries(
            settings, request, ldap_filter, single_valued, is_incremental=is_incremental
        ),
        check=check,
        volatile=VOLATILE,
        activity=ACTIVITY,
    )


def list_entries(
    settings: ActiveDirectorySettings,
    request: Request,
    ldap_filter: str,
    single_valued: Collection[str] = (),
    *,
    is_incremental: bool = False,
) -> Listing:
    """Return every entry that a filter fits, or only those changed since the watermark where that is wanted."""
    listing = Listing(iter(()))
    search = Search(settings.ad_search_base, ldap_filter, "cn", SINGLE_VALUED | frozenset(single_valued))

    def narrow(session: Any) -> str | None:
        """Ask the server that is about to be searched how far it has counted, and since when it is asked."""
        root = root_attributes(session, [_SERVER, _NUMBER])
        if _SERVER not in root or not root.get(_NUMBER, "").isdecimal():
            return None
        listing.watermark = {"server": root[_SERVER], "usn": int(root[_NUMBER])}
        known = request.watermark or {}
        if known.get("server") != root[_SERVER] or known["usn"] > int(root[_NUMBER]):
            return None
        listing.is_full = False
        return f"(&{ldap_filter}(uSNChanged>={known['usn']}))"

    ask = {"narrow": narrow} if is_incremental else {}
    listing.records = read_entries(_directory(settings), search, on_referral=listing.lack, **ask)
    return listing


def check(settings: ActiveDirectorySettings) -> str:
    """Log in and read the base entry; return what was found."""
    return count_base(_directory(settings), settings.ad_search_base)


def _directory(settings: ActiveDirectorySettings) -> Directory:
    return Directory(
        "the Active Directory",
        settings.ad_server,
        settings.ad_port,
        settings.ad_user,
        settings.ad_password,
        settings.ad_ca_file,
        settings.ldap_timeout_seconds,
        settings.ldap_page_size,
    )
