#!/usr/bin/env python3
"""Bronze -> silver.departments: one record a department, from the API gateway and TeamDynamix.

They meet by the department's code. The gateway names it and says where it belongs; TeamDynamix says whether it is
active, who manages it and which one is above it. They are few, so all are built when one changed; what differs is
written.
"""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from functools import partial

from people_hub.script import run_script
from people_hub.silver.transform import Transform

TRANSFORM = Transform(
    entity_type="department",
    table="departments",
    reads=("umich_api/department", "tdx/department", "tdx/department_detail"),
    is_matched_whole=True,
    steps=(
        "stage_stale_head",
        "fill_umapi_departments",
        "fill_tdx_departments",
        "mark_all_departments",
        "stage_record",
        "fill_departments",
        "delete_departments",
        "reject_keyless",
    ),
)

main = partial(run_script, TRANSFORM, __file__)

if __name__ == "__main__":
    main()
