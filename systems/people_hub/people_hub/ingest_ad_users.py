#!/usr/bin/env python3
"""Active Directory people -> bronze (active_directory, user): what changed on the same server, or everything; by hash.

Who is gone is seen by a whole listing only: run it with --full-sync once a day.
"""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from functools import partial

from people_hub.script import run_script
from people_hub.sources import active_directory

SINGLE_VALUED = (
    "givenName", "sn", "title", "department", "telephoneNumber", "mobile", "uidNumber", "gidNumber", "homeDirectory",
    "loginShell", "accountExpires", "pwdLastSet", "primaryGroupID", "lastLogon", "lastLogonTimestamp",
)  # fmt: skip

STREAM = active_directory.stream("user", "(&(objectClass=person)(cn=*))", SINGLE_VALUED, is_incremental=True)
main = partial(run_script, STREAM, __file__)

if __name__ == "__main__":
    main()
