#!/usr/bin/env python3
"""Bronze -> silver.computers and computer_groups: one record a computer, from TeamDynamix, KeyConfigure and AD.

They meet by a MAC, else by serial, else by name; a MAC or serial that two records of one source have matches nobody,
and two records of one source are never one computer. All are matched anew each time; what differs is written.
"""

if not __package__:  # run by its path
    import starting  # noqa: F401 - one line for what is missing

from functools import partial

from people_hub.script import run_script
from people_hub.silver.transform import Transform

TRANSFORM = Transform(
    entity_type="computer",
    table="computers",
    reads=("tdx/asset", "tdx/asset_detail", "key_client/computer", "active_directory/computer"),
    needs=("departments", "users", "groups"),
    is_matched_whole=True,
    steps=(
        "stage_stale_head",
        "fill_tdx_assets",
        "fill_keyconfigure_cards",
        "fill_ad_computers",
        "stage_machine",
        "stage_shared",
        "create_pair",
        "match_pairs",
        "stage_joined",
        "create_directory_pair",
        "match_directory",
        "stage_computer",
        "mark_all_computers",
        "stage_record",
        "fill_computers",
        "delete_computers",
        "stage_computer_group",
        "delete_computer_groups",
        "fill_computer_groups",
        "reject_keyless",
    ),
)

main = partial(run_script, TRANSFORM, __file__)

if __name__ == "__main__":
    main()
