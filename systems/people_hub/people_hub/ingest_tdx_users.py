#!/usr/bin/env python3
"""TeamDynamix people -> bronze (tdx, user): the active ones of every department, whole each time, changes by hash.

A search leaves attributes, groups and permissions out; enrich_tdx_users.py fetches those into a stream of their own.
"""

from people_hub.bronze.stream import Stream, key_of
from people_hub.hub_settings import TdxSettings
from people_hub.script import run_script
from people_hub.sources import tdx

STREAM = Stream(
    source_system="tdx",
    entity_type="user",
    settings=TdxSettings,
    key=key_of("UID"),
    listing=tdx.list_users,
    check=tdx.check,
)


def main() -> None:
    """Run the script from the command line."""
    run_script(STREAM, __file__)


if __name__ == "__main__":
    main()
