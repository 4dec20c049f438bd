#!/usr/bin/env python3
"""Active Directory computers -> bronze (active_directory, computer): a whole listing each time, changes by hash."""

from people_hub.bronze.stream import Stream, key_of
from people_hub.hub_settings import ActiveDirectorySettings
from people_hub.script import run_script
from people_hub.sources import active_directory

SINGLE_VALUED = (
    "dNSHostName", "operatingSystem", "operatingSystemVersion", "operatingSystemServicePack", "pwdLastSet", "lastLogon",
    "lastLogonTimestamp",
)  # fmt: skip

STREAM = Stream(
    source_system="active_directory",
    entity_type="computer",
    settings=ActiveDirectorySettings,
    key=key_of("objectGUID"),
    listing=lambda settings, request: active_directory.list_entries(
        settings, request, "(objectClass=computer)", SINGLE_VALUED
    ),
    check=active_directory.check,
    volatile=active_directory.VOLATILE,
)


def main() -> None:
    """Run the script from the command line."""
    run_script(STREAM, __file__)


if __name__ == "__main__":
    main()
