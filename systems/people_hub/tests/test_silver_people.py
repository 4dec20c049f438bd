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
LACKS = {
    "missing_email": "primary_email", "missing_job_title": "job_title", "missing_department_id": "department_id",
    "missing_name": "full_name",
}  # fmt: skip


def test_the_first_source_that_says_anything_wins_whoever_else_is_there(silver):
    silver.put("tdx/department", {"ID": 1, "Name": "T", "Code": "DT", "IsActive": True})
    subsets = [subset for size in range(1, 5) for subset in itertools.combinations((TDX, UMAPI, MCOM, AD), size)]
    for number, subset in enumerate(subsets):
        silver.put_person(f"p{number}", {source: WORDS[source] for source in subset})
    phones = [
        (TDX, "MobilePhone"), (AD, "mobile"), (TDX, "WorkPhone"), (UMAPI, "Work_Phone"), (MCOM, "telephoneNumber"),
        (AD, "telephoneNumber"),
    ]  # fmt: skip
    for number, (source, field) in enumerate(phones):
        silver.put_person(f"phone{number}", {source: {field: "1"}})
    assert silver.transform().exit_code == 0
    for number, subset in enumerate(subsets):
        person = silver.person(f"p{number}")
        assert person["source_system"] == "+".join(sorted(subset))
        for field, candidates in WINNERS.items():
            expected = next((value for source, value in candidates if source in subset), None)
            assert person[field] == expected, (subset, field)
        for flag, field in LACKS.items():
            assert (flag in person["quality_flags"]) == (person[field] is None), (subset, flag)
        has_phone = person["work_phone"] or person["mobile_phone"]
        assert ("no_phone_number" in person["quality_flags"]) == (not has_phone)
        missing = [flag for flag in person["quality_flags"] if flag.endswith("_source")]
        assert missing == sorted(f"missing_{source}_source" for source in {TDX, UMAPI, MCOM, AD} - {*subset})
    for number, _ in enumerate(phones):
        assert "no_phone_number" not in silver.person(f"phone{number}")["quality_flags"]


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


def test_several_appointments_are_told_in_their_order_and_the_first_one_speaks(silver):
    appointments = [
        {"EmplId": "50", "EmplRcd": 1, "DepartmentId": "D1", "Jobcode": "J1", "SupervisorId": "91"},
        {"EmplId": "60", "EmplRcd": 0, "DepartmentId": "D0", "Jobcode": "J0", "SupervisorId": "90",
         "UniversityJobTitle": "", "DepartmentJobTitle": "by department"},
        {"EmplId": "70", "EmplRcd": 0, "DepartmentId": "D1", "Jobcode": "J2", "SupervisorId": "92",
         "UniversityJobTitle": "third"},
        {"EmplId": "40", "EmplRcd": 2, "DepartmentId": "", "Jobcode": "", "SupervisorId": ""},
    ]  # fmt: skip
    silver.put("umich_api/user", *({"UniqName": "MANY", **one} for one in appointments))
    silver.put_person("one", {UMAPI: {"EmplId": "1", "DepartmentId": "D2", "Jobcode": "J3", "SupervisorId": "93"}})
    silver.put_person("bare", {UMAPI: {"EmplId": "2"}, TDX: {"ExternalID": "70"}})
    silver.put_person("also", {UMAPI: {"EmplId": "3"}, TDX: {"ExternalID": "3"}})
    silver.transform()
    many = silver.person("many")
    assert many["umich_empl_id"] == "60"
    assert many["umich_empl_ids"] == ["60", "70", "50", "40"]
    assert many["department_ids"] == ["D0", "D1"]
    assert many["job_codes"] == ["J0", "J2", "J1"]
    assert many["supervisor_ids"] == ["90", "92", "91"]
    assert (many["job_title"], many["department_id"], many["primary_job_code"]) == ("by department", "D0", "J0")
    one, bare = silver.person("one"), silver.person("bare")
    lists = ("umich_empl_ids", "department_ids", "job_codes", "supervisor_ids")
    assert [one[name] for name in lists] == [["1"], ["D2"], ["J3"], ["93"]]
    assert [bare[name] for name in lists] == [["2"], [], [], []]
    assert "empl_id_mismatch" in bare["quality_flags"]
    assert "empl_id_mismatch" not in silver.person("also")["quality_flags"]
    silver.put_person("only", {TDX: {}})
    silver.transform()
    assert [silver.person("only")[name] for name in lists] == [[], [], [], []]


def test_twins_are_told_apart_by_life_activity_and_the_shortest_lowest_key(silver):
    """Of each source: an inactive one of the lowest key, active ones of keys that text and number order differently."""
    keys = [("2", False), ("31", True), ("100", True), ("30", True), ("32", True)]
    silver.put("tdx/user", *({"UID": k, "AlternateID": "twin", "IsActive": active} for k, active in keys))
    silver.put("mcommunity_ldap/user", *(
        {"uidNumber": k, "uid": "twin", "dn": f"uid=twin,ou={k}", "ou": ["Staff"] if active else []}
        for k, active in keys
    ))  # fmt: skip
    silver.put("active_directory/user", *(
        {"objectGUID": k, "sAMAccountName": "twin", "userAccountControl": "512" if active else "514"}
        for k, active in keys
    ))  # fmt: skip
    silver.transform()
    person = silver.person("twin")
    assert (person["tdx_user_uid"], person["ldap_uid_number"], person["ad_object_guid"]) == ("30", "30", "30")


def test_a_source_that_is_gone_says_nothing_of_who_lives_and_all_of_who_is_gone(silver):
    silver.put("tdx/department", {"ID": 1, "Name": "T", "Code": "DT", "IsActive": True})
    for name in ("alive", "gone"):
        silver.put_person(name, WORDS)
    silver.put_person("bad", {MCOM: {"mail": "bad"}, AD: {"mail": "bad"}})
    silver.put("tdx/user", {"UID": "twin", "AlternateID": "gone"})
    silver.put("mcommunity_ldap/user", {"uidNumber": "twin", "uid": "gone", "mail": "bad"})
    silver.put("active_directory/user", {"objectGUID": "twin", "sAMAccountName": "gone", "mail": "bad"})
    silver.transform()
    for stream, word in (("tdx", "uid"), ("mcommunity_ldap", "uidn"), ("active_directory", "guid")):
        silver.bury(f"{stream}/user", f"{word}-gone", f"{word}-bad", "twin")
    silver.bury("umich_api/user", "empl-gone:0", "empl-alive:0")
    silver.bury("tdx/user", "uid-alive")
    silver.bury("mcommunity_ldap/user", "uidn-alive")
    silver.transform()
    alive, gone = silver.person("alive"), silver.person("gone")
    assert (alive["first_name"], alive["source_system"], alive["is_active"]) == ("Fad", "active_directory", True)
    assert [alive[name] for name in ("umich_empl_id", "tdx_user_uid", "ldap_gid_number")] == [None, None, "ga"]
    assert alive["quality_flags"] == [
        "missing_department_id", "missing_mcommunity_ldap_source", "missing_tdx_source", "missing_umich_api_source",
    ]  # fmt: skip
    assert (gone["first_name"], gone["source_system"], gone["is_active"]) == ("Ftdx", "", False)
    assert gone["quality_flags"] == [
        "invalid_department_reference", "missing_active_directory_source", "missing_mcommunity_ldap_source",
        "missing_tdx_source", "missing_umich_api_source", "no_live_source",
    ]  # fmt: skip
    assert not [flag for flag in silver.person("bad")["quality_flags"] if flag.startswith("malformed")]
    silver.bury("active_directory/user", "guid-alive")
    silver.put_person("alive", {MCOM: {**WORDS[MCOM], "title": "x"}})
    silver.transform()
    alive = silver.person("alive")
    assert (alive["first_name"], alive["source_system"]) == ("Fmcom", "mcommunity_ldap")


def test_whoever_of_that_number_lives_and_stands_first_supervises(silver):
    """UMAPI before TeamDynamix, the living before the gone, the active before others, then the lowest appointment."""
    silver.put("umich_api/user", *(
        {"EmplId": number, "EmplRcd": rcd, "UniqName": name}
        for number, rcd, name in (("1", 1, "second"), ("1", 0, "first"), ("2", 0, "left"), ("7", 5, "late"))
    ))  # fmt: skip
    silver.put("tdx/user", *(
        {"UID": uid, "AlternateID": name, "ExternalID": number, "IsActive": active}
        for uid, name, number, active in (
            ("a1", "tdxone", "1", True), ("b1", "tdxtwo", "2", True), ("c1", "sleeps", "3", False),
            ("c30", "wakes", "3", True), ("c200", "wakestoo", "3", True), ("d1", "lowtoo", "4", True),
            ("d0", "low", "4", True), ("e1", "alone", "5", None), ("f", "short", "7", True), ("g", "", "8", True),
            ("g1", "named", "8", True),
        )
    ))  # fmt: skip
    for number in "12345678":
        silver.put_person(f"worker{number}", {UMAPI: {"EmplId": f"8{number}", "SupervisorId": number}})
    silver.bury("umich_api/user", "2:0")
    silver.transform()
    found = {n: silver.person(f"worker{n}")["primary_supervisor_uniqname"] for n in "12345678"}
    assert found == {
        "1": "first", "2": "tdxtwo", "3": "wakes", "4": "low", "5": "alone", "6": None, "7": "late", "8": "named",
    }  # fmt: skip
    silver.put("tdx/user", {"UID": "d0", "AlternateID": "low", "ExternalID": "4", "IsActive": True, "Title": "new"})
    silver.transform()  # its row lies last now
    assert silver.person("worker4")["primary_supervisor_uniqname"] == "low"


def test_an_address_is_one_sources_as_a_whole(silver):
    tdx = {"WorkAddress": "At", "WorkCity": "Ct", "WorkState": "St", "WorkZip": "Zt", "WorkCountry": "Lt"}
    umapi = {"Work_Address1": "Au", "Work_City": "Cu", "Work_State": "Su", "Work_Postal": "Zu", "Work_Country": "Lu"}
    names = ("work_address", "work_city", "work_state", "work_postal", "work_country")
    for number, word in enumerate(tdx):
        silver.put_person(f"p{number}", {TDX: {word: tdx[word]}, UMAPI: umapi})
    silver.put_person("umapi", {TDX: {}, UMAPI: umapi})
    silver.transform()
    for number, name in enumerate(names):
        person = silver.person(f"p{number}")
        assert [person[one] for one in names] == [[*tdx.values()][number] if one == name else None for one in names]
    assert [silver.person("umapi")[name] for name in names] == [*umapi.values()]


def test_a_uid_number_and_a_title_come_from_whoever_has_one(silver):
    silver.put_person("both", {MCOM: {}, AD: {"uidNumber": "77"}})
    silver.put_person("ad", {AD: {"uidNumber": "78"}})
    silver.put_person("titles", {UMAPI: {"UniversityJobTitle": "u", "DepartmentJobTitle": "d"}})
    silver.transform()
    assert (silver.person("both")["ldap_uid_number"], silver.person("ad")["ldap_uid_number"]) == ("uidn-both", "78")
    titles = silver.person("titles")
    assert (titles["job_title"], titles["department_job_title"]) == ("u", "d")


def test_a_full_name_is_the_winners_parts_else_what_a_source_calls_it(silver):
    silver.put_person("parts", {TDX: {"FirstName": "F"}, MCOM: {"sn": ["L"]}, UMAPI: {"Name": "N"}})
    silver.put_person("umapi", {TDX: {"FirstName": "F"}, UMAPI: {"Name": "N"}, AD: {"displayName": "D"}})
    silver.put_person("shown", {UMAPI: {}, AD: {"displayName": "D"}})
    silver.transform()
    found = [silver.person(name)["full_name"] for name in ("parts", "umapi", "shown")]
    assert found == ["L, F", "N", "D"]


def test_active_is_who_any_living_source_calls_so(silver):
    said = {
        "tdx": {TDX: {"IsActive": True}}, "notdx": {TDX: {"IsActive": False}},
        "ad": {AD: {"userAccountControl": "512"}},
        "noad": {AD: {"userAccountControl": "514"}}, "umapi": {UMAPI: {}}, "mcom": {MCOM: {"ou": ["Staff"]}},
        "alumni": {MCOM: {"ou": ["Alumni"]}}, "staff": {TDX: {"IsActive": False, "IsEmployee": True}},
    }  # fmt: skip
    for name, records in said.items():
        silver.put_person(name, records)
    silver.transform()
    found = {name: (silver.person(name)["is_active"], silver.person(name)["is_employee"]) for name in said}
    assert found == {
        "tdx": (True, False), "notdx": (False, False), "ad": (True, False), "noad": (False, False),
        "umapi": (True, True),
        "mcom": (True, False), "alumni": (False, False), "staff": (False, True),
    }  # fmt: skip
    disabled = {name: silver.person(name)["ad_account_disabled"] for name in ("ad", "noad", "tdx")}
    assert disabled == {"ad": False, "noad": True, "tdx": None}
    affiliations = {name: silver.person(name)["mcommunity_ou_affiliations"] for name in ("mcom", "alumni", "tdx")}
    assert affiliations == {"mcom": ["Staff"], "alumni": ["Alumni"], "tdx": []}


def test_a_bad_address_of_any_source_is_kept_and_resolved_when_mended(silver):
    fields = {TDX: "PrimaryEmail", MCOM: "mail", AD: "mail"}
    for source, field in fields.items():
        silver.put_person(f"of{source[:3]}", {source: {field: f"bad {source}"}})
    silver.put_person("ofall", {source: {field: f"bad {source}"} for source, field in fields.items()})
    assert silver.transform().exit_code == 3
    ask = "select position, raw from meta.rejected_records where resolved_at is null order by 1"
    kept = {position: bytes(raw).decode() for position, raw in silver.hub.query(ask)}
    assert sorted(kept) == ["ofact", "ofall", "ofmco", "oftdx"]
    assert all(f"bad {source}" in kept["ofall"] and f"bad {source}" in kept[f"of{source[:3]}"] for source in fields)
    assert "null" not in "".join(kept.values())
    silver.put_person("ofmco", {MCOM: {"mail": "good@x.org"}})
    assert silver.transform().exit_code == 0
    assert [position for position, _ in silver.hub.query(ask)] == ["ofact", "ofall", "oftdx"]
