#!/usr/bin/env python3
"""Bronze -> silver.groups, group_members and group_owners: one record a group, from MCommunity and AD.

They meet by name, the first part of the distinguished name, else by gidNumber. Members are those of the groups' own
lists; who is not known in silver is kept as unknown. All groups are matched anew each time; what differs is written.
"""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from functools import partial

from people_hub.hub_settings import GroupSettings
from people_hub.script import run_script
from people_hub.silver.transform import Transform

TRANSFORM = Transform(
    entity_type="group",
    table="groups",
    reads=("mcommunity_ldap/group", "active_directory/group"),
    needs=("users",),
    is_matched_whole=True,
    steps=(
        "stage_stale_head",
        "fill_mcommunity_groups",
        "fill_ad_groups",
        "stage_group",
        "stage_dn",
        "stage_member",
        "mark_all_groups",
        "stage_record",
        "fill_groups",
        "delete_groups",
        "delete_group_members",
        "fill_group_members",
        "delete_group_owners",
        "fill_group_owners",
        "reject_nameless",
    ),
    counts=("count_members",),
    settings=GroupSettings,
)

main = partial(run_script, TRANSFORM, __file__)

if __name__ == "__main__":
    main()
