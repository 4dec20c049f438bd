#!/usr/bin/env python3
"""MCommunity groups -> bronze (mcommunity_ldap, group): every group with members, changes by content hash."""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from functools import partial

from people_hub.bronze.stream import Stream, key_of
from people_hub.hub_settings import McommunitySettings
from people_hub.script import run_script
from people_hub.sources import mcommunity

SINGLE_VALUED = (
    "gidNumber", "umichGroupEmail", "umichPrivate", "joinable", "Membersonly", "umichExpiryTimestamp",
)  # fmt: skip

STREAM = Stream(
    source_system="mcommunity_ldap",
    entity_type="group",
    settings=McommunitySettings,
    key=key_of("gidNumber"),
    listing=lambda settings, _request: mcommunity.list_entries(
        settings, "ou=User Groups,ou=Groups", "(&(member=*)(gidNumber=*))", "cn", SINGLE_VALUED
    ),
    check=mcommunity.check,
)

main = partial(run_script, STREAM, __file__)

if __name__ == "__main__":
    main()
