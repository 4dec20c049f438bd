#!/usr/bin/env python3
"""Whole TeamDynamix departments -> bronze (tdx, department_detail), one call each.

What is new or changed in the listing comes first, then the details that were fetched longest ago.
"""

from functools import partial

from people_hub.bronze.stream import Stream, key_of
from people_hub.hub_settings import TdxSettings
from people_hub.script import run_script
from people_hub.sources import tdx

STREAM = Stream(
    source_system="tdx",
    entity_type="department_detail",
    settings=TdxSettings,
    key=key_of("ID"),
    listing=partial(tdx.fetch_details, path="accounts", key="ID"),
    check=tdx.check,
    detail_of="department",
    batch_size=tdx.DETAILS_AT_ONCE,
)


def main() -> None:
    """Run the script from the command line."""
    run_script(STREAM, __file__)


if __name__ == "__main__":
    main()
