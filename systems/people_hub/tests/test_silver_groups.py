"""Groups: what they are called, how two records meet, and who their members are."""

from __future__ import annotations

import pytest
from silver_case import AD

pytestmark = pytest.mark.database


def test_an_external_member_has_an_address(silver):
    silver.put("mcommunity_ldap/group", {"gidNumber": "1", "dn": "cn=g,dc=x", "rfc822mail": ["bad one", "ok@x.org"]})
    assert silver.transform().exit_code == 3
    assert silver.hub.query("select member_key from silver.group_members") == [("ok@x.org",)]
    (group,) = silver.rows("silver.groups")
    assert "malformed_email_mcommunity_ldap" in group["quality_flags"]


def test_a_tombstoned_group_lends_no_name(silver):
    silver.put(
        "mcommunity_ldap/group",
        {"gidNumber": "1", "dn": "cn=lab-a,dc=x"},
        {"gidNumber": "2", "dn": "cn=lab-a,ou=y,dc=x"},
    )
    silver.put("active_directory/group", {"objectGUID": "g", "dn": "CN=lab-b,DC=x", "gidNumber": "1"}, {
        "objectGUID": "h", "dn": "CN=lab-c,DC=x", "member": ["CN=lab-b,DC=x"],
    })  # fmt: skip
    silver.transform()
    assert [row["group_id"] for row in silver.rows("silver.groups")] == ["lab-b", "lab-c"]
    silver.bury("active_directory/group", "g")
    silver.transform()
    found = {row["group_id"]: row["source_system"] for row in silver.rows("silver.groups")}
    assert found == {"lab-a": "mcommunity_ldap", "lab-b": "", "lab-c": "active_directory"}
    ids = {row["group_id"] for row in silver.rows("silver.groups")}
    members = silver.hub.query("select member_key from silver.group_members where member_type = 'group'")
    assert {key for (key,) in members} <= ids


def test_groups_meet_by_number_where_their_names_do_not(silver):
    silver.put("mcommunity_ldap/group", {"gidNumber": "7", "dn": "cn=lab seven,dc=x", "umichGroupEmail": "seven"})
    silver.put("active_directory/group", {
        "objectGUID": "g7", "dn": "CN=Lab-7,DC=x", "gidNumber": "7", "description": "seven", "mail": "7@x.org",
        "groupType": "2",
    })  # fmt: skip
    silver.transform()
    (group,) = silver.rows("silver.groups")
    assert (group["group_id"], group["mcommunity_gid"], group["ad_group_guid"]) == ("lab-7", "7", "g7")
    assert group["group_email"] == "7@x.org"  # without HUB_MAIL_DOMAIN a bare name is no address
    assert (group["is_security_group"], group["is_distribution_group"]) == (False, True)
    silver.hub.set(HUB_MAIL_DOMAIN="x.edu")
    silver.transform()
    (group,) = silver.rows("silver.groups")
    assert (group["group_email"], "email_mismatch" in group["quality_flags"]) == ("seven@x.edu", True)


def test_members_follow_who_is_known(silver):
    silver.put(
        "active_directory/group", {"objectGUID": "g", "dn": "CN=G,DC=x", "member": ["CN=late,OU=A,DC=x", "CN=G,DC=x"]}
    )
    silver.transform()
    ask = "select member_type, member_key from silver.group_members order by 1"
    assert silver.hub.query(ask) == [("group", "g"), ("unknown", "cn=late,ou=a,dc=x")]
    silver.put_person("late", {AD: {}})
    silver.transform()
    assert silver.hub.query(ask) == [("group", "g"), ("user", "late")]
    assert silver.hub.query("select group_id, is_direct from silver.v_user_group_memberships") == [("g", True)]
    silver.bury("active_directory/group", "g")
    silver.transform()
    assert silver.hub.query("select count(*) from silver.v_user_group_memberships") == [(0,)]
    assert silver.hub.query(ask) == [("group", "g"), ("user", "late")]  # its last contents
