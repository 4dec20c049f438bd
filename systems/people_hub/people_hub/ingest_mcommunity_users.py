#!/usr/bin/env python3
"""MCommunity people -> bronze (mcommunity_ldap, user): every entry of ou=People, changes by content hash."""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from functools import partial

from people_hub.bronze.stream import Stream, key_of
from people_hub.hub_settings import McommunitySettings
from people_hub.script import run_script
from people_hub.sources import mcommunity

SINGLE_VALUED = (
    "uid", "uidNumber", "gidNumber", "displayName", "givenName", "mail", "umichTitle", "telephoneNumber",
    "homeDirectory", "loginShell", "umichPostalAddress", "umichPostalAddressData",
)  # fmt: skip

STREAM = Stream(
    source_system="mcommunity_ldap",
    entity_type="user",
    settings=McommunitySettings,
    key=key_of("uidNumber"),
    listing=lambda settings, _request: mcommunity.list_entries(settings, "ou=People", "(uid=*)", "uid", SINGLE_VALUED),
    check=mcommunity.check,
)

main = partial(run_script, STREAM, __file__)

if __name__ == "__main__":
    main()
