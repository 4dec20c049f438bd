#!/usr/bin/env python3
"""TeamDynamix people -> bronze (tdx, user): the active ones of every department, whole each time, changes by hash.

A search leaves attributes, groups and permissions out; enrich_tdx_users.py fetches those into a stream of their own.
"""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from functools import partial

from people_hub.script import run_script
from people_hub.sources import tdx

STREAM = tdx.stream("user", "UID", tdx.list_users)
main = partial(run_script, STREAM, __file__)

if __name__ == "__main__":
    main()
