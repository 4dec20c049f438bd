#!/usr/bin/env python3
"""Whole TeamDynamix assets -> bronze (tdx, asset_detail), one call each.

What is new or changed in the listing comes first, then the details that were fetched longest ago.
"""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from functools import partial

from people_hub.script import run_script
from people_hub.sources import tdx

STREAM = tdx.detail_stream("asset", "ID", "{app}/assets")
main = partial(run_script, STREAM, __file__)

if __name__ == "__main__":
    main()
