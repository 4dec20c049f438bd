#!/usr/bin/env python3
"""TeamDynamix departments -> bronze (tdx, department): what was modified since the last time, repeats dropped by hash.

A department that is gone is seen by a whole listing only: run it with --full-sync once a day.
"""

from people_hub.bronze.stream import Stream, key_of
from people_hub.hub_settings import TdxSettings
from people_hub.script import run_script
from people_hub.sources import tdx

STREAM = Stream(
    source_system="tdx",
    entity_type="department",
    settings=TdxSettings,
    key=key_of("ID"),
    listing=tdx.list_departments,
    check=tdx.check,
)


def main() -> None:
    """Run the script from the command line."""
    run_script(STREAM, __file__)


if __name__ == "__main__":
    main()
