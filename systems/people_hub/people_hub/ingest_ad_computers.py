#!/usr/bin/env python3
"""Active Directory computers -> bronze (active_directory, computer): a whole listing each time, changes by hash."""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from functools import partial

from people_hub.script import run_script
from people_hub.sources import active_directory

SINGLE_VALUED = (
    "dNSHostName", "operatingSystem", "operatingSystemVersion", "operatingSystemServicePack", "pwdLastSet", "lastLogon",
    "lastLogonTimestamp",
)  # fmt: skip

STREAM = active_directory.stream("computer", "(objectClass=computer)", SINGLE_VALUED)
main = partial(run_script, STREAM, __file__)

if __name__ == "__main__":
    main()
