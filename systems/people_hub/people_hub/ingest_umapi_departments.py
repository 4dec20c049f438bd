#!/usr/bin/env python3
"""UMAPI departments -> bronze (umich_api, department): a whole listing each time, changes by content hash."""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from functools import partial

from people_hub.bronze.stream import Stream, key_of
from people_hub.hub_settings import UmapiSettings
from people_hub.script import run_script
from people_hub.sources import umapi

STREAM = Stream(
    source_system="umich_api",
    entity_type="department",
    settings=UmapiSettings,
    key=key_of("DeptId"),
    listing=lambda settings, _request: umapi.list_rows(
        settings, "Department/v2/DeptData", ("DepartmentList", "DeptData")
    ),
    check=umapi.check,
)

main = partial(run_script, STREAM, __file__)

if __name__ == "__main__":
    main()
