"""The MCommunity directory: people and groups under one base, from a server that answers with 350 entries at most."""

from __future__ import annotations

from collections.abc import Collection

from people_hub.bronze.stream import Listing
from people_hub.hub_settings import McommunitySettings
from people_hub.sources.directory import Directory, Search, count_base, read_entries


def list_entries(
    settings: McommunitySettings, folder: str, ldap_filter: str, partition_by: str, single_valued: Collection[str]
) -> Listing:
    """Return every entry of a folder that a filter fits."""
    search = Search(f"{folder},{settings.mcommunity_ldap_base}", ldap_filter, partition_by, frozenset(single_valued))
    listing = Listing(iter(()))
    listing.records = read_entries(_directory(settings), search, on_referral=listing.lack)
    return listing


def check(settings: McommunitySettings) -> str:
    """Log in and read the base entry; return what was found."""
    return count_base(_directory(settings), settings.mcommunity_ldap_base)


def _directory(settings: McommunitySettings) -> Directory:
    return Directory(
        "MCommunity",
        settings.mcommunity_ldap_server,
        settings.mcommunity_ldap_port,
        settings.mcommunity_ldap_user,
        settings.mcommunity_ldap_password,
        settings.mcommunity_ldap_ca_file,
        settings.ldap_timeout_seconds,
        settings.ldap_page_size,
    )
