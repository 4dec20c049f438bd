#!/usr/bin/env python3
"""UMAPI employees -> bronze (umich_api, user): one record an appointment, a whole listing each time, changes by hash.

A person with two appointments is two records, so the key is the person's number and the appointment's.
"""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from functools import partial

from people_hub.bronze.stream import Stream, key_of
from people_hub.hub_settings import UmapiSettings
from people_hub.script import run_script
from people_hub.sources import umapi

STREAM = Stream(
    source_system="umich_api",
    entity_type="user",
    settings=UmapiSettings,
    key=key_of("EmplId", "EmplRcd"),
    listing=lambda settings, _request: umapi.list_rows(
        settings, "Department/v2/DeptEmpData", ("DeptEmpInfo", "DeptEmpData")
    ),
    check=umapi.check,
)

main = partial(run_script, STREAM, __file__)

if __name__ == "__main__":
    main()
