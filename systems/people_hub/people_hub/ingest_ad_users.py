#!/usr/bin/env python3
"""Active Directory people -> bronze (active_directory, user): what changed on the same server, or everything; by hash.

Who is gone is seen by a whole listing only: run it with --full-sync once a day.
"""

from people_hub.bronze.stream import Stream, key_of
from people_hub.hub_settings import ActiveDirectorySettings
from people_hub.script import run_script
from people_hub.sources import active_directory

SINGLE_VALUED = (
    "givenName", "sn", "title", "department", "telephoneNumber", "mobile", "uidNumber", "gidNumber", "homeDirectory",
    "loginShell", "accountExpires", "pwdLastSet", "primaryGroupID", "lastLogon", "lastLogonTimestamp",
)  # fmt: skip

STREAM = Stream(
    source_system="active_directory",
    entity_type="user",
    settings=ActiveDirectorySettings,
    key=key_of("objectGUID"),
    listing=lambda settings, request: active_directory.list_entries(
        settings, request, "(&(objectClass=person)(cn=*))", SINGLE_VALUED, is_incremental=True
    ),
    check=active_directory.check,
    volatile=active_directory.VOLATILE,
)


def main() -> None:
    """Run the script from the command line."""
    run_script(STREAM, __file__)


if __name__ == "__main__":
    main()
