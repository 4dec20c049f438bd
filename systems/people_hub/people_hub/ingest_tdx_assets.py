#!/usr/bin/env python3
"""TeamDynamix assets -> bronze (tdx, asset): what was modified since the last time, repeats dropped by hash.

An asset that is gone is seen by a whole listing only: run it with --full-sync once a day.
"""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from functools import partial

from people_hub.script import run_script
from people_hub.sources import tdx

STREAM = tdx.stream("asset", "ID", tdx.list_assets)
main = partial(run_script, STREAM, __file__)

if __name__ == "__main__":
    main()
