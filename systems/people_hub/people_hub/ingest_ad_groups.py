#!/usr/bin/env python3
"""Active Directory groups -> bronze (active_directory, group): a whole listing each time, changes by content hash.

Members beyond the server's 1,500 are followed to the last one.
"""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from functools import partial

from people_hub.script import run_script
from people_hub.sources import active_directory

SINGLE_VALUED = ("groupType", "sAMAccountType")

STREAM = active_directory.stream("group", "(objectClass=group)", SINGLE_VALUED)
main = partial(run_script, STREAM, __file__)

if __name__ == "__main__":
    main()
