"""Groups: what they are called, how two records meet, and who their members are."""

from __future__ import annotations

import json

import pytest
from silver_case import AD

pytestmark = pytest.mark.database


def test_an_external_member_has_an_address(silver):
    silver.put("mcommunity_ldap/group", {"gidNumber": "1", "dn": "cn=g,dc=x", "rfc822mail": ["bad one", "ok@x.org"]})
    assert silver.transform().exit_code == 3
    assert silver.hub.query("select member_key from silver.group_members") == [("ok@x.org",)]
    (group,) = silver.rows("silver.groups")
    assert "malformed_email_mcommunity_ldap" in group["quality_flags"]
    silver.put("mcommunity_ldap/group", {"gidNumber": "1", "dn": "cn=g,dc=x", "rfc822mail": ["ok@x.org"]})
    assert silver.transform().exit_code == 0
    (group,) = silver.rows("silver.groups")
    assert "malformed_email_mcommunity_ldap" not in group["quality_flags"]
    assert silver.hub.rejects() == []


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


MCOMMUNITY_GROUP = {
    "gidNumber": "1", "dn": "cn=lab one,dc=x", "cn": ["lab one", "l1", "LAB ONE"], "umichGroupEmail": "one@m.org",
    "umichDescription": "by mcommunity", "umichPrivate": "TRUE", "Membersonly": "FALSE", "joinable": "TRUE",
    "umichExpiryTimestamp": "20270103080000Z",
}  # fmt: skip
AD_GROUP = {
    "objectGUID": "a", "dn": "CN=Lab One,OU=MCommADSync,DC=x", "sAMAccountName": "lab-1", "mail": "one@a.org",
    "description": "by ad", "groupType": "-2147483646",
}  # fmt: skip


def test_a_groups_fields_come_from_whom_is_asked_first(silver):
    silver.put(
        "mcommunity_ldap/group", MCOMMUNITY_GROUP, {**MCOMMUNITY_GROUP, "gidNumber": "2", "dn": "cn=lab two,dc=x"}
    )
    silver.put("active_directory/group", AD_GROUP, {**AD_GROUP, "objectGUID": "c", "dn": "CN=Lab Three,DC=x"})
    assert silver.transform().exit_code == 0
    rows = {row["group_id"]: row for row in silver.rows("silver.groups")}
    both, mcommunity, ad = (rows[f"lab {n}"] for n in ("one", "two", "three"))
    names = ("group_name", "distinguished_name", "group_email", "description", "aliases", "source_system")
    assert [both[name] for name in names] == [
        "Lab One", "cn=lab one,ou=mcommadsync,dc=x", "one@m.org", "by mcommunity", ["l1"],
        "active_directory+mcommunity_ldap",
    ]  # fmt: skip
    assert [mcommunity[name] for name in names] == [
        "lab two", "cn=lab two,dc=x", "one@m.org", "by mcommunity", ["LAB ONE", "l1", "lab one"], "mcommunity_ldap",
    ]  # fmt: skip
    assert [ad[name] for name in names] == [
        "Lab Three", "cn=lab three,dc=x", "one@a.org", "by ad", [], "active_directory",
    ]  # fmt: skip
    assert both["quality_flags"] == ["description_mismatch", "email_mismatch", "no_members"]
    assert mcommunity["quality_flags"] == ["missing_active_directory_source", "no_members"]
    assert ad["quality_flags"] == ["missing_mcommunity_ldap_source", "no_members"]
    kinds = (
        "is_security_group",
        "is_distribution_group",
        "is_mcomm_adsync",
        "is_private",
        "is_members_only",
        "is_joinable",
    )
    assert [[row[kind] for kind in kinds] for row in (both, mcommunity, ad)] == [
        [True, False, True, True, False, True], [None, None, None, True, False, True],
        [True, False, False, None, None, None],
    ]  # fmt: skip


def test_an_address_that_is_none_gives_way_to_the_other_directorys(silver):
    silver.put(
        "mcommunity_ldap/group",
        *({"gidNumber": str(n), "dn": f"cn=g{n},dc=x", "umichGroupEmail": email, "umichDescription": "d"}
          for n, email in enumerate(("bad one@m.org", "bare", "", "bad two@m.org", "good@m.org"))),
    )  # fmt: skip
    silver.put(
        "active_directory/group",
        *({"objectGUID": str(n), "dn": f"CN=g{n},DC=x", "mail": email, "description": "d"}
          for n, email in enumerate(("a@a.org", "", "", "worse", "worst", ""))),
    )  # fmt: skip
    assert silver.transform().exit_code == 3
    found = {row["group_id"]: (row["group_email"], row["quality_flags"][:-1]) for row in silver.rows("silver.groups")}
    mcommunity, ad = "malformed_email_mcommunity_ldap", "malformed_email_active_directory"
    assert found == {
        "g0": ("a@a.org", [mcommunity]), "g1": (None, ["missing_email"]), "g2": (None, ["missing_email"]),
        "g3": (None, [ad, mcommunity, "missing_email"]), "g4": ("good@m.org", [ad]),
        "g5": (None, ["missing_mcommunity_ldap_source"]),
    }  # fmt: skip
    kept = silver.hub.query("select position, raw from meta.rejected_records where resolved_at is null order by 1")
    assert {position: json.loads(bytes(raw)) for position, raw in kept} == {
        "g0": {"mcommunity_ldap": "bad one@m.org"}, "g4": {"active_directory": "worst"},
        "g3": {"active_directory": "worse", "mcommunity_ldap": "bad two@m.org"},
    }  # fmt: skip


def test_a_directory_that_is_gone_says_nothing_of_a_group_that_lives_and_all_of_one_that_is_gone(silver):
    silver.put("mcommunity_ldap/group", {**MCOMMUNITY_GROUP, "gidNumber": "4", "dn": "cn=differed,dc=x"})
    silver.put("active_directory/group", {**AD_GROUP, "objectGUID": "differed", "dn": "CN=differed,DC=x"})
    for number, name in enumerate(("alive", "left", "gone"), 1):
        silver.put("mcommunity_ldap/group", {
            **MCOMMUNITY_GROUP, "gidNumber": str(number), "dn": f"cn={name},dc=x", "rfc822mail": ["bad one"],
            "owner": ["uid=nobody,dc=x"], "member": ["uid=nobody,dc=x"],
        })  # fmt: skip
        silver.put("active_directory/group", {
            **AD_GROUP, "objectGUID": name, "dn": f"CN={name},DC=x", "mail": "bad", "managedBy": "CN=nobody,DC=x",
        })  # fmt: skip
    silver.transform()
    silver.bury("mcommunity_ldap/group", "1", "3", "4")
    silver.bury("active_directory/group", "left", "gone", "differed")
    silver.transform()
    alive, left, gone = (silver.rows("silver.groups", group_id=name)[0] for name in ("alive", "left", "gone"))
    assert (alive["description"], alive["source_system"], alive["is_active"]) == ("by ad", "active_directory", True)
    assert alive["quality_flags"] == [
        "invalid_owner_reference", "malformed_email_active_directory", "missing_mcommunity_ldap_source", "no_members",
    ]  # fmt: skip
    assert (left["ad_group_guid"], left["source_system"], left["mcommunity_gid"]) == (None, "mcommunity_ldap", "2")
    assert left["quality_flags"] == [
        "invalid_owner_reference", "malformed_email_mcommunity_ldap", "missing_active_directory_source",
    ]  # fmt: skip
    (differed,) = silver.rows("silver.groups", group_id="differed")
    assert differed["quality_flags"] == [
        "missing_active_directory_source", "missing_mcommunity_ldap_source", "no_live_source", "no_members",
    ]  # fmt: skip
    assert (gone["description"], gone["source_system"], gone["is_active"]) == ("by mcommunity", "", False)
    assert gone["quality_flags"] == [
        "invalid_owner_reference", "missing_active_directory_source", "missing_mcommunity_ldap_source",
        "no_live_source",
    ]  # fmt: skip
    kept = silver.hub.query("select position from meta.rejected_records where resolved_at is null order by 1")
    assert kept == [("alive",), ("left",)]
    before = silver.versions_written()
    silver.transform("--full-sync", only=["groups"])
    assert {row for row in silver.versions_written() if row[0] == "groups"} == {
        row for row in before if row[0] == "groups"
    }


def test_an_owner_is_invalid_where_one_is_unknown_and_no_member_counts_as_owner(silver):
    silver.put_person("ann", {AD: {}})
    silver.put("active_directory/group", *(
        {"objectGUID": name, "dn": f"CN={name},DC=x", "description": "d", **more} for name, more in {
            "known": {"managedBy": "CN=ann,OU=A,DC=x", "member": ["CN=ann,OU=A,DC=x"]},
            "unknown": {"managedBy": "CN=x,DC=x", "member": ["CN=ann,OU=A,DC=x"]},
            "member": {"member": ["CN=x,DC=x"]},
            "owned": {"managedBy": "CN=ann,OU=A,DC=x"},
        }.items()
    ))  # fmt: skip
    silver.transform()
    found = {row["group_id"]: row["quality_flags"] for row in silver.rows("silver.groups")}
    missing = "missing_mcommunity_ldap_source"
    assert found == {
        "known": [missing], "unknown": ["invalid_owner_reference", missing], "member": [missing],
        "owned": [missing, "no_members"],
    }  # fmt: skip
