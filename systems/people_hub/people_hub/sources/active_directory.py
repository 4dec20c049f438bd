"""The Active Directory: entries by page, identified by objectGUID, incrementally by one server's own change numbers.

`uSNChanged` counts on each domain controller for itself, so the watermark holds the controller's name; another one that
answers is read whole. `whenChanged` would differ from controller to controller too, and is a clock.
"""

from __future__ import annotations

from collections.abc import Collection

from people_hub.bronze.stream import Listing, Request
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
_SERVER, _NUMBER = "dsServiceName", "highestCommittedUSN"


def list_entries(
    settings: ActiveDirectorySettings,
    request: Request,
    ldap_filter: str,
    single_valued: Collection[str] = (),
    *,
    is_incremental: bool = False,
) -> Listing:
    """Return every entry that a filter fits, or only those changed since the watermark where that is wanted."""
    directory = _directory(settings)
    watermark = None
    is_full = True
    if is_incremental:
        root = root_attributes(directory, [_SERVER, _NUMBER])
        if _SERVER in root and root.get(_NUMBER, "").isdecimal():
            watermark = {"server": root[_SERVER], "usn": int(root[_NUMBER])}
        known = request.watermark or {}
        if watermark and known.get("server") == watermark["server"] and known["usn"] <= watermark["usn"]:
            ldap_filter = f"(&{ldap_filter}(uSNChanged>={known['usn']}))"
            is_full = False
    search = Search(settings.ad_search_base, ldap_filter, "cn", SINGLE_VALUED | frozenset(single_valued))
    return Listing(read_entries(directory, search), is_full, watermark)


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
