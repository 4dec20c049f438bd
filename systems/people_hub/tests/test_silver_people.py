"""People: who wins, what differs, what is missing, who is nobody or twice there."""

from __future__ import annotations

import itertools

import pytest
from silver_case import AD, MCOM, TDX, UMAPI

pytestmark = pytest.mark.database


WORDS = {
    TDX: {"FirstName": "Ftdx", "LastName": "Ltdx", "FullName": "Ptdx", "PrimaryEmail": "tdx@x.org", "WorkPhone": "tdx",
          "MobilePhone": "mtdx", "Title": "Jtdx", "DefaultAccountID": 1, "ExternalID": "tdx", "WorkCity": "Ctdx",
          "ReportsToUID": "boss", "BEID": "b", "SecurityRoleName": "s"},
    UMAPI: {"FirstName": "Fumich", "LastName": "Lumich", "Name": "Numich", "Work_Phone": "umich",
            "UniversityJobTitle": "Jumich", "DepartmentJobTitle": "Dumich", "DepartmentId": "DU", "Work_City": "Cumich",
            "Jobcode": "J"},
    MCOM: {"givenName": "Fmcom", "sn": ["Lmcom"], "displayName": "Pmcom", "mail": "mcom@x.org",
    "telephoneNumber": "mcom",
           "umichTitle": "Jmcom", "gidNumber": "gm", "homeDirectory": "hm", "loginShell": "lm", "ou": ["Staff"]},
    AD: {"givenName": "Fad", "sn": "Lad", "displayName": "Nad", "mail": "ad@x.org", "telephoneNumber": "ad",
         "mobile": "mad", "title": "Jad", "uidNumber": "ua", "gidNumber": "ga", "homeDirectory": "ha",
         "loginShell": "la",
         "userAccountControl": "512"},
}  # fmt: skip


WINNERS = {
    "first_name": [(TDX, "Ftdx"), (UMAPI, "Fumich"), (MCOM, "Fmcom"), (AD, "Fad")],
    "last_name": [(TDX, "Ltdx"), (UMAPI, "Lumich"), (MCOM, "Lmcom"), (AD, "Lad")],
    "full_name": [(TDX, "Ltdx, Ftdx"), (UMAPI, "Lumich, Fumich"), (MCOM, "Lmcom, Fmcom"), (AD, "Lad, Fad")],
    "preferred_name": [(TDX, "Ptdx"), (MCOM, "Pmcom")],
    "primary_email": [(TDX, "tdx@x.org"), (MCOM, "mcom@x.org"), (AD, "ad@x.org")],
    "work_phone": [(TDX, "tdx"), (UMAPI, "umich"), (MCOM, "mcom"), (AD, "ad")],
    "mobile_phone": [(TDX, "mtdx"), (AD, "mad")],
    "department_id": [(UMAPI, "DU"), (TDX, "DT")],
    "job_title": [(UMAPI, "Jumich"), (MCOM, "Jmcom"), (TDX, "Jtdx"), (AD, "Jad")],
    "work_city": [(TDX, "Ctdx"), (UMAPI, "Cumich")],
    "ldap_gid_number": [(MCOM, "gm"), (AD, "ga")],
    "home_directory": [(MCOM, "hm"), (AD, "ha")],
    "login_shell": [(MCOM, "lm"), (AD, "la")],
    "department_job_title": [(UMAPI, "Dumich")],
    "primary_job_code": [(UMAPI, "J")],
    "reports_to_uid": [(TDX, "boss")],
    "tdx_beid": [(TDX, "b")],
    "tdx_security_role_name": [(TDX, "s")],
    "tdx_external_id": [(TDX, "tdx")],
}


def test_the_first_source_that_says_anything_wins_whoever_else_is_there(silver):
    silver.put("tdx/department", {"ID": 1, "Name": "T", "Code": "DT", "IsActive": True})
    subsets = [subset for size in range(1, 5) for subset in itertools.combinations((TDX, UMAPI, MCOM, AD), size)]
    for number, subset in enumerate(subsets):
        silver.put_person(f"p{number}", {source: WORDS[source] for source in subset})
    assert silver.transform().exit_code == 0
    for number, subset in enumerate(subsets):
        person = silver.person(f"p{number}")
        assert person["source_system"] == "+".join(sorted(subset))
        for field, candidates in WINNERS.items():
            expected = next((value for source, value in candidates if source in subset), None)
            assert person[field] == expected, (subset, field)
        missing = [flag for flag in person["quality_flags"] if flag.endswith("_source")]
        assert missing == sorted(f"missing_{source}_source" for source in {TDX, UMAPI, MCOM, AD} - {*subset})


FIELDS = {
    "name_mismatch": [
        {TDX: "FirstName", UMAPI: "FirstName", MCOM: "givenName", AD: "givenName"},
        {TDX: "LastName", UMAPI: "LastName", MCOM: "sn", AD: "sn"},
    ],
    "email_mismatch": [{TDX: "PrimaryEmail", MCOM: "mail", AD: "mail"}],
    "empl_id_mismatch": [{TDX: "ExternalID", UMAPI: "EmplId"}],
    "department_id_mismatch": [{TDX: "DefaultAccountID", UMAPI: "DepartmentId"}],
    "preferred_name_conflict": [{TDX: "FullName", MCOM: "displayName"}],
    "work_phone_conflict": [{TDX: "WorkPhone", UMAPI: "Work_Phone", MCOM: "telephoneNumber", AD: "telephoneNumber"}],
    "mobile_phone_conflict": [{TDX: "MobilePhone", AD: "mobile"}],
    "job_title_conflict": [{TDX: "Title", UMAPI: "UniversityJobTitle", MCOM: "umichTitle", AD: "title"}],
    "uid_number_conflict": [{MCOM: "uidNumber", AD: "uidNumber"}],
}


def test_what_two_sources_say_differently_is_flagged_once_for_any_two_of_them(silver):
    """Every pair of sources, each field alone: the same value is no flag, another one is exactly this flag."""
    silver.put(
        "tdx/department", {"ID": 1, "Name": "T", "Code": "1", "IsActive": True}, {"ID": 2, "Name": "U", "Code": "2"}
    )
    expected, number = {}, 0
    for flag, groups in FIELDS.items():
        for fields in groups:
            for (one, first), (other, second) in itertools.combinations(fields.items(), 2):
                for differs in (False, True):
                    name, number = f"p{number}", number + 1
                    same, another = ("1@x.org", "2@x.org") if "email" in flag else ("1", "2")
                    if first == "EmplId" or second == "EmplId":
                        same = f"empl-{name}" if not differs else "1"
                        another = same
                    records = {one: {first: same}, other: {second: another if differs else same}}
                    if "uidNumber" in (first, second):
                        records[MCOM]["uidNumber"] = f"9{number}"
                        records[AD]["uidNumber"] = f"9{number}" if not differs else "1"
                    if UMAPI in records:
                        records[UMAPI].pop("EmplId", None)
                    silver.put_person(name, records)
                    expected[name] = [flag] if differs else []
    assert silver.transform().exit_code == 0
    for name, flags in expected.items():
        found = silver.person(name)["quality_flags"]
        assert [flag for flag in found if flag.endswith(("_mismatch", "_conflict"))] == flags, name
    blank = {TDX: {"FirstName": "A", "Title": "x"}, MCOM: {"givenName": None, "umichTitle": " "}}
    silver.put_person("blank", blank)
    silver.transform()
    assert not [f for f in silver.person("blank")["quality_flags"] if f.endswith(("_mismatch", "_conflict"))]


def test_flags_stand_in_order_and_cost_what_the_score_lacks(silver):
    silver.put_person(
        "odd1", {TDX: {"PrimaryEmail": "bad", "FirstName": "A", "IsActive": None}, MCOM: {"mail": "c@x.org"}}
    )
    silver.transform()
    person = silver.person("odd1")
    assert person["quality_flags"] == sorted(person["quality_flags"])
    assert person["data_quality_score"] == round(
        1
        - sum(
            0.1 if flag.endswith("_source") else 0.05 for flag in person["quality_flags"] if flag.startswith("missing_")
        ),
        2,
    )


def test_several_records_of_one_source_are_judged_living_then_active_then_lowest_key(silver):
    twins = [
        {"UID": "u1", "AlternateID": "twin", "IsActive": False, "Title": "inactive"},
        {"UID": "u3", "AlternateID": "twin", "IsActive": True, "Title": "third"},
        {"UID": "u2", "AlternateID": "twin", "IsActive": True, "Title": "second"},
    ]
    silver.put("tdx/user", *twins)
    silver.put(
        "mcommunity_ldap/user",
        *({"uidNumber": n, "uid": "twin", "displayName": n, "ou": ["Staff"]} for n in ("10", "9")),
    )
    silver.put("active_directory/user", *(
        {"objectGUID": n, "sAMAccountName": "twin", "userAccountControl": uac}
        for n, uac in (("a1", "514"), ("a2", "512"))
    ))  # fmt: skip
    silver.transform()
    person = silver.person("twin")
    assert (person["tdx_user_uid"], person["ldap_uid_number"], person["ad_object_guid"]) == ("u2", "9", "a2")
    assert {"duplicate_tdx_record", "duplicate_mcommunity_record", "duplicate_ad_record"} <= {*person["quality_flags"]}
    silver.bury("tdx/user", "u2", "u3")
    silver.transform()
    person = silver.person("twin")
    assert person["job_title"] == "inactive"
    assert "duplicate_tdx_record" not in person["quality_flags"]


def test_a_uniqname_that_moves_takes_its_person_along_and_leaves_nobody(silver):
    silver.put_person("old1", {TDX: {"Title": "x"}})
    silver.transform()
    silver.put("tdx/user", {"UID": "uid-old1", "AlternateID": "new1", "Title": "x", "IsActive": True})
    result = silver.transform(only=["users"])
    assert result.counts == (1, 0, 0, 1, 0)
    assert silver.person("old1") is None
    assert silver.person("new1")["tdx_user_uid"] == "uid-old1"


def test_a_supervisor_who_gets_a_uniqname_late_reaches_the_supervised(silver):
    silver.put_person("worker", {UMAPI: {"SupervisorId": "77"}})
    silver.put("umich_api/user", {"EmplId": "77", "EmplRcd": 0, "UniqName": ""})
    silver.transform()
    assert "invalid_supervisor_reference" in silver.person("worker")["quality_flags"]
    silver.put_person("chief", {TDX: {"ExternalID": "77"}})
    silver.transform()
    worker = silver.person("worker")
    assert worker["primary_supervisor_uniqname"] == "chief"
    assert "invalid_supervisor_reference" not in worker["quality_flags"]
    assert silver.person("chief")["umich_empl_id"] == "77"
    silver.put("umich_api/user", {"EmplId": "77", "EmplRcd": 1, "UniqName": "OTHER"})
    silver.transform()
    assert silver.person("worker")["primary_supervisor_uniqname"] == "other"


def test_a_code_that_changes_in_teamdynamix_reaches_the_people_of_its_number(silver):
    silver.put("tdx/department", {"ID": 5, "Name": "Five", "Code": "A", "IsActive": True})
    silver.put_person("p1", {TDX: {"DefaultAccountID": 5}})
    silver.transform()
    silver.put("tdx/department", {"ID": 5, "Name": "Five", "Code": "B", "IsActive": True})
    silver.transform()
    assert (silver.person("p1")["department_id"], silver.person("p1")["department_name"]) == ("B", "Five")
    silver.bury("tdx/department", "5")
    silver.transform()
    assert silver.person("p1")["department_id"] == "B"
    (department,) = silver.rows("silver.departments", dept_id="B")
    assert (department["is_active"], department["quality_flags"][-1]) == (False, "no_live_source")


def test_what_is_gone_says_its_last_and_comes_back_with_what_it_says_then(silver):
    silver.put_person("p1", {TDX: {"Title": "x", "PrimaryEmail": "bad", "IsEmployee": True}})
    assert silver.transform().exit_code == 3
    silver.bury("tdx/user", "uid-p1")
    assert silver.transform().exit_code == 0
    person = silver.person("p1")
    assert (person["job_title"], person["is_active"], person["is_employee"]) == ("x", False, False)
    assert "no_live_source" in person["quality_flags"]
    assert "malformed_email_tdx" not in person["quality_flags"]
    assert silver.hub.rejects() == []
    silver.put_person("p1", {TDX: {"Title": "y"}})
    silver.transform()
    assert (silver.person("p1")["job_title"], silver.person("p1")["is_active"]) == ("y", True)


def test_a_detail_gives_only_what_the_search_lacks(silver):
    silver.put_person("p1", {TDX: {"Title": None, "FirstName": "search"}})
    silver.put(
        "tdx/user_detail",
        {"UID": "uid-p1", "Title": "detail", "FirstName": "detail", "GroupIDs": [2, 1, 2], "BEID": "b"},
    )
    silver.transform()
    person = silver.person("p1")
    assert (person["job_title"], person["first_name"], person["tdx_beid"]) == (None, "search", "b")
    assert person["tdx_group_ids"] == [1, 2]
    silver.bury("tdx/user_detail", "uid-p1")
    silver.transform()
    assert silver.person("p1")["tdx_group_ids"] == [1, 2]  # the search's tombstone counts for both
