#!/usr/bin/env python3
"""Bronze -> silver.users: one record a person, from UMAPI, MCommunity, the Active Directory and TeamDynamix.

They meet by uniqname; an e-mail is never a key. Built anew are the people of records whose version is new, of employee
numbers and supervisors that these touch, and of departments that came, went or were renamed.
"""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from functools import partial

from people_hub.script import run_script
from people_hub.silver.transform import Transform

TRANSFORM = Transform(
    entity_type="user",
    table="users",
    reads=("umich_api/user", "mcommunity_ldap/user", "active_directory/user", "tdx/user", "tdx/user_detail"),
    needs=("departments",),
    steps=(
        "stage_stale_head",
        "create_touched_number",
        "mark_stale_people",
        "mark_touched_numbers",
        "fill_umapi_employees",
        "fill_mcommunity_users",
        "fill_ad_users",
        "fill_tdx_users",
        "mark_stale_people",
        "mark_touched_numbers",
        "mark_employees",
        "resolve_uniqnames",
        "mark_employees",
        "mark_departments",
        "delete_known_departments",
        "fill_known_departments",
        "delete_known_accounts",
        "fill_known_accounts",
        "mark_everybody",
        "stage_person",
        "stage_record",
        "fill_users",
        "delete_users",
        "reject_nameless",
    ),
    counts=("count_left_out",),
)

main = partial(run_script, TRANSFORM, __file__)

if __name__ == "__main__":
    main()
