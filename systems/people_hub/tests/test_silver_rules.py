"""The rules of silver, each by itself: who wins, what differs, what is missing, who is nobody or twice there."""

from __future__ import annotations

import itertools
import json
import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ldap3.utils.dn import parse_dn
from silver_case import Silver

from people_hub.silver.transform import SQL

pytestmark = pytest.mark.database

TDX, UMAPI, MCOM, AD, KEY = "tdx", "umich_api", "mcommunity_ldap", "active_directory", "key_client"
FLAG = re.compile(r"then '([a-z_]+)' end")
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


@pytest.fixture
def silver(hub):
    return Silver(hub)


def put_person(silver, name, records):
    """Store a person's records, by source."""
    keys = {
        TDX: {"UID": f"uid-{name}", "AlternateID": name, "IsActive": True},
        UMAPI: {"EmplId": f"empl-{name}", "EmplRcd": 0, "UniqName": name.upper()},
        MCOM: {"uidNumber": f"uidn-{name}", "uid": name, "dn": f"uid={name},ou=People,dc=x"},
        AD: {"objectGUID": f"guid-{name}", "sAMAccountName": name, "dn": f"CN={name},OU=A,DC=x"},
    }
    for source, record in records.items():
        silver.put(f"{source}/user", {**keys[source], **record})


def test_the_first_source_that_says_anything_wins_whoever_else_is_there(silver):
    silver.put("tdx/department", {"ID": 1, "Name": "T", "Code": "DT", "IsActive": True})
    subsets = [subset for size in range(1, 5) for subset in itertools.combinations((TDX, UMAPI, MCOM, AD), size)]
    for number, subset in enumerate(subsets):
        put_person(silver, f"p{number}", {source: WORDS[source] for source in subset})
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
                    put_person(silver, name, records)
                    expected[name] = [flag] if differs else []
    assert silver.transform().exit_code == 0
    for name, flags in expected.items():
        found = silver.person(name)["quality_flags"]
        assert [flag for flag in found if flag.endswith(("_mismatch", "_conflict"))] == flags, name
    blank = {TDX: {"FirstName": "A", "Title": "x"}, MCOM: {"givenName": None, "umichTitle": " "}}
    put_person(silver, "blank", blank)
    silver.transform()
    assert not [f for f in silver.person("blank")["quality_flags"] if f.endswith(("_mismatch", "_conflict"))]


def test_every_flag_that_silver_sets_has_its_price_in_one_table(silver):
    flags = {flag for path in SQL.glob("*/stage_record.sql") for flag in FLAG.findall(path.read_text())}
    costs = dict(silver.hub.query("select f, silver.flag_cost(f) from unnest(%s) f", sorted(flags)))
    tenth = {flag for flag, cost in costs.items() if cost == Decimal("0.10")}
    twentieth = {flag for flag, cost in costs.items() if cost == Decimal("0.05")}
    assert tenth == {f"missing_{source}_source" for source in (TDX, UMAPI, MCOM, AD, KEY)}
    assert twentieth == {
        "missing_name", "missing_email", "missing_department_id", "missing_job_title", "missing_campus",
        "missing_college",
        "missing_vp_area", "missing_description", "missing_serial_number", "missing_mac_address", "missing_owner",
        "missing_department", "name_mismatch", "email_mismatch", "department_id_mismatch", "empl_id_mismatch",
        "description_mismatch", "serial_number_mismatch",
    }  # fmt: skip
    assert {cost for flag, cost in costs.items() if flag not in tenth | twentieth} == {Decimal("0.00")}
    ask = "select silver.quality_score(%s)"
    assert silver.hub.query(ask, ["a_mismatch"] * 3 + ["missing_tdx_source"] * 2 + ["no_x"]) == [(Decimal("0.65"),)]
    assert silver.hub.query(ask, ["missing_tdx_source"] * 11) == [(0,)]


def test_flags_stand_in_order_and_cost_what_the_score_lacks(silver):
    put_person(
        silver, "odd1", {TDX: {"PrimaryEmail": "bad", "FirstName": "A", "IsActive": None}, MCOM: {"mail": "c@x.org"}}
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
    put_person(silver, "old1", {TDX: {"Title": "x"}})
    silver.transform()
    silver.put("tdx/user", {"UID": "uid-old1", "AlternateID": "new1", "Title": "x", "IsActive": True})
    result = silver.transform(only=["users"])
    assert result.counts == (1, 0, 0, 1, 0)
    assert silver.person("old1") is None
    assert silver.person("new1")["tdx_user_uid"] == "uid-old1"


def test_a_supervisor_who_gets_a_uniqname_late_reaches_the_supervised(silver):
    put_person(silver, "worker", {UMAPI: {"SupervisorId": "77"}})
    silver.put("umich_api/user", {"EmplId": "77", "EmplRcd": 0, "UniqName": ""})
    silver.transform()
    assert "invalid_supervisor_reference" in silver.person("worker")["quality_flags"]
    put_person(silver, "chief", {TDX: {"ExternalID": "77"}})
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
    put_person(silver, "p1", {TDX: {"DefaultAccountID": 5}})
    silver.transform()
    silver.put("tdx/department", {"ID": 5, "Name": "Five", "Code": "B", "IsActive": True})
    silver.transform()
    assert (silver.person("p1")["department_id"], silver.person("p1")["department_name"]) == ("B", "Five")
    silver.bury("tdx/department", "5")
    silver.transform()
    assert silver.person("p1")["department_id"] == "B"
    (department,) = silver.rows("silver.departments", dept_id="B")
    assert (department["is_active"], department["quality_flags"][-1]) == (False, "no_live_source")


def test_a_department_without_teamdynamix_is_active_and_one_that_it_dropped_is_not(silver):
    silver.put(
        "umich_api/department", {"DeptId": "1", "DeptDescription": "One"}, {"DeptId": "2", "DeptDescription": "Two"}
    )
    silver.put("tdx/department", {"ID": 2, "Name": "Two", "Code": "2", "IsActive": True})
    silver.bury("tdx/department", "2")
    silver.put("tdx/department", {"ID": 3, "Name": "A", "Code": "3", "IsActive": False})
    silver.transform()
    found = {row["dept_id"]: row["is_active"] for row in silver.rows("silver.departments")}
    assert found == {"1": True, "2": False, "3": False}


def test_what_is_gone_says_its_last_and_comes_back_with_what_it_says_then(silver):
    put_person(silver, "p1", {TDX: {"Title": "x", "PrimaryEmail": "bad", "IsEmployee": True}})
    assert silver.transform().exit_code == 3
    silver.bury("tdx/user", "uid-p1")
    assert silver.transform().exit_code == 0
    person = silver.person("p1")
    assert (person["job_title"], person["is_active"], person["is_employee"]) == ("x", False, False)
    assert "no_live_source" in person["quality_flags"]
    assert "malformed_email_tdx" not in person["quality_flags"]
    assert silver.hub.rejects() == []
    put_person(silver, "p1", {TDX: {"Title": "y"}})
    silver.transform()
    assert (silver.person("p1")["job_title"], silver.person("p1")["is_active"]) == ("y", True)


def test_a_detail_gives_only_what_the_search_lacks(silver):
    put_person(silver, "p1", {TDX: {"Title": None, "FirstName": "search"}})
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


def test_what_has_no_key_is_kept_as_a_reject_until_it_has_one(silver):
    silver.put("tdx/user", {"UID": "u1", "AlternateID": "", "UserName": None, "FirstName": "No"})
    silver.put("tdx/department", {"ID": "x", "Name": "No", "Code": ""})
    silver.put("active_directory/group", {"objectGUID": "g", "dn": ""})
    silver.put("tdx/asset", {"ID": "x", "Name": "No"})
    result = silver.transform()
    assert result.exit_code == 3
    assert [row[:2] for row in silver.hub.rejects()] == [
        ("silver/computer", "tdx/asset x"), ("silver/department", "tdx/department x"),
        ("silver/group", "active_directory/group g"), ("silver/user", "tdx/user u1"),
    ]  # fmt: skip
    assert silver.transform().exit_code == 0
    assert silver.transform("--full-sync").exit_code == 0
    assert len(silver.hub.rejects()) == 4
    silver.put("tdx/user", {"UID": "u1", "AlternateID": "now1"})
    silver.bury("tdx/department", "x")
    assert silver.transform().exit_code == 0
    assert len(silver.hub.rejects()) == 2
    assert "tdx/asset x" in silver.hub.run("rejects", "--stream", "silver/computer").text


@pytest.mark.parametrize(
    ("value", "is_good"),
    [
        ("a@x.org", True), ("a@localhost", True), ("a b@x.org", False), ("a@x@y", False), ("@x.org", False),
        ("a@", False), ("a", False), ("a@x\torg", False), ("Zoë@x.org", True),
    ],
)  # fmt: skip
def test_an_email_is_one_at_between_texts_without_blanks(silver, value, is_good):
    assert silver.hub.query("select silver.is_email(%s)", value) == [(is_good,)]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (" x ", "x"), ("", None), ("\u00a0", None), ("N/A", None), ("none", None), ("NULL", None), ("None given",
        "None given"),
        ("00000000-0000-0000-0000-000000000000", None), ("0001-01-01T00:00:00Z", None), (7, "7"), (True, "true"),
        (["b", "a"], "b"), ([], None), ({"a": 1}, None), ("[deleted]", "[deleted]"), ("{x", "{x"),
        ('["x"]', '["x"]'), ("[1e999999]", "[1e999999]"), ("[" * 9999, "[" * 9999), (None, None),
    ],
)  # fmt: skip
def test_a_value_is_read_the_same_way_everywhere(silver, value, read):
    record = json.dumps({"f": value})
    assert silver.hub.query("select silver.text_at(%s::jsonb, 'f')", record) == [(read,)]
    ask = "select silver.text_in(x.f, r, 'f') from (select %s::jsonb) t (r), jsonb_to_record(r) as x (f text)"
    assert silver.hub.query(ask, record) == [(read,)]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("2026-01-03T08:00:00Z", "2026-01-03 08:00:00"), ("20260103080000.0Z", "2026-01-03 08:00:00"),
        ("134119008000000000", "2026-01-03 08:00:00"), ("2026-01-05 09:12", "2026-01-05 09:12:00"),
        ("01/05/2026 9:12 PM", "2026-01-05 21:12:00"), ("1601-01-01T00:00:00Z", None), ("9999-12-31", None),
        ("9223372036854775807", None),
        ("2026-01-03T08:00:00+16:00", None),
        ("2026-01-03T08:00:00+99:99", None), ("2026-02-30", None), ("yesterday", None), ("0", None), (None, None),
    ],
)  # fmt: skip
def test_a_moment_is_read_in_every_form_that_a_source_writes(silver, value, read):
    ((found,),) = silver.hub.query("select silver.moment_of(%s) at time zone 'UTC'", value)
    assert (str(found) if found else None) == read


def canonical(dn):
    """Return a distinguished name by the library's parser, folded as silver folds it."""
    levels, parts = [], []
    for name, value, separator in parse_dn(dn, escape=False, strip=True):
        raw = re.sub(
            r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)",
            lambda m: bytes.fromhex(m[1].replace("\\", "")).decode() if m[1] else m[2],
            value,
        )
        folded = re.sub(r"\s+", " ", raw).strip().lower()
        parts.append(f"{name.strip().lower()}=" + re.sub(r'([\\,+"<>;])', r"\\\1", folded))
        if separator != "+":
            levels.append("+".join(sorted(parts)))
            parts = []
    return ",".join(levels)


NAME_PIECES = st.lists(
    st.sampled_from(["Anna", "o'b", "\\,", "\\2C", "\\C3\\A9", "é", "\\+", "x y", "\\\\", "-", "1", "\\3D"]),
    min_size=1,
    max_size=4,
).map("".join)
NAMES = st.lists(st.tuples(st.sampled_from(["CN", "ou", "dc"]), NAME_PIECES), min_size=1, max_size=4).map(
    lambda parts: ",".join(f"{name}={value}" for name, value in parts)
)


def test_a_dn_is_folded_as_the_ldap_library_reads_it(silver):
    ask = "select silver.canonical_dn(dn) from unnest(%s) with ordinality t (dn, place) order by place"

    @settings(max_examples=60, deadline=None)
    @given(st.lists(NAMES, min_size=1, max_size=20))
    def check(names):
        assert [found for (found,) in silver.hub.query(ask, names)] == [canonical(name) for name in names]

    check()
    same = ["CN=Surname50\\2C Given50,OU=A", "cn = Surname50\\, Given50 , ou = A", 'CN="Surname50, Given50",OU=a']
    assert len(set(silver.hub.query(ask, same))) == 1
    for broken in ("x", "", "\\", "CN=\\ZZ", "CN=\\FF\\FE", '"', ",,,", "CN=a+"):
        assert len(silver.hub.query(ask, [broken])) == 1


@pytest.mark.parametrize(
    ("dn", "name"),
    [
        ("CN=Surname\\2C Given,OU=A", "Surname, Given"), ("cn=a\\,b\\+c,ou=x", "a,b+c"), ("cn=Zo\\C3\\AB,ou=x", "Zoë"),
        ("cn=plain", "plain"),
        ("CN=a\\\\41b", "a\\41b"),
        ('CN="Surname, G",OU=x', "Surname, G"), ("nothing", None), ("cn=,ou=x", None), ("cn=\\FF,ou=x", "?"),
    ],
)  # fmt: skip
def test_a_groups_name_is_the_first_part_of_its_dn(silver, dn, name):
    assert silver.hub.query("select silver.name_in_dn(%s)", dn) == [(name,)]


def test_macs_and_serials_are_read_in_every_form_and_placeholders_are_none(silver):
    ask = "select silver.macs_of(%s), silver.serial_of(%s)"
    assert silver.hub.query(
        ask, "00:11:22:33:44:55, 0011.2233.4466;00-11-22-33-44-77 aabbccddeeff", " 5cg1234xyz "
    ) == [(["001122334455", "001122334466", "001122334477", "AABBCCDDEEFF"], "5CG1234XYZ")]
    assert silver.hub.query(ask, "", "PF123456789X")[0][1] == "PF123456789X"
    for serial in ("abc", "0000000", "To Be Filled By O.E.M.", "System Serial Number", "", "N/A ", None, "123456789"):
        assert silver.hub.query(ask, "00:00:00:00:00:00 ff:ff:ff:ff:ff:ff 00:11", serial)[0] == ([], None)
    assert silver.hub.query("select silver.macs_of(null)") in ([(None,)], [([],)])


@pytest.mark.parametrize(
    ("value", "number", "truth"),
    [
        (41, 41, None), ("41", 41, None), (41.0, 41, None), ("\u2003 41", None, None), (" 41 ", 41, None),
        (["512"], 512, None),
        (10**20, None, None), (1.5, None, None), (-1, -1, None), (True, None, True), ("TRUE", None, True),
        (["FALSE"], None, False),
        ("yes", None, None), ({"a": 1}, None, None), (None, None, None), ("1e3", None, None),
    ],
)  # fmt: skip
def test_numbers_and_truths_are_read_or_nothing(silver, value, number, truth):
    ask = "select silver.number_at(r, 'f'), silver.truth_at(r, 'f') from (select %s::jsonb) t (r)"
    assert silver.hub.query(ask, json.dumps({"f": value})) == [(number, truth)]


def test_a_changed_price_reaches_every_score(silver):
    put_person(silver, "p1", {TDX: {}})
    silver.transform()
    before = silver.person("p1")["data_quality_score"]
    ((source,),) = silver.hub.query("select pg_get_functiondef('silver.flag_cost'::regproc)")
    silver.hub.query(source.replace("0.10", "0.20"))
    silver.transform("--full-sync")
    assert silver.person("p1")["data_quality_score"] == pytest.approx(before - 0.30)
    silver.hub.query(source)


def test_codes_that_differ_by_case_alone_are_two_departments_and_one_owner(silver):
    silver.put("tdx/department", {"ID": 1, "Code": "phys"}, {"ID": 2, "Code": "PHYS"}, {"ID": 3, "Code": "Mixed"})
    silver.put("key_client/computer", card(M1, "A", None, Owner="phys"), card(M2, "B", None, Owner="MIXED"))
    assert len(computers(silver)) == 2
    owners = silver.hub.query("select owner_department_id from silver.computers order by 1")
    assert owners == [("Mixed",), ("PHYS",)]


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


def test_many_computers_of_one_name_are_matched_at_once(silver):
    put_assets(silver, *(asset(n, "LAPTOP") for n in range(1, 301)))
    silver.put(
        "key_client/computer",
        *(card(f"00:11:22:33:{n // 256:02x}:{n % 256:02x}", "LAPTOP", f"KEYS{n}") for n in range(300)),
    )
    silver.put("active_directory/computer", *({"objectGUID": f"c{n}", "cn": "laptop"} for n in range(300)))
    assert set(computers(silver).values()) == {"active_directory+key_client+tdx"}


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
    put_person(silver, "late", {AD: {}})
    silver.transform()
    assert silver.hub.query(ask) == [("group", "g"), ("user", "late")]
    assert silver.hub.query("select group_id, is_direct from silver.v_user_group_memberships") == [("g", True)]
    silver.bury("active_directory/group", "g")
    silver.transform()
    assert silver.hub.query("select count(*) from silver.v_user_group_memberships") == [(0,)]
    assert silver.hub.query(ask) == [("group", "g"), ("user", "late")]  # its last contents


def asset(number, name=None, serial=None, macs=None, status="Active", **more):
    return {"ID": number, "Name": name, "SerialNumber": serial, "StatusName": status, **more}, {
        "ID": number, "Attributes": [{"Name": "MAC Address(es)", "Value": macs}],
    }  # fmt: skip


def put_assets(silver, *assets):
    for listed, detail in assets:
        silver.put("tdx/asset", listed)
        silver.put("tdx/asset_detail", detail)


def card(mac, name=None, serial=None, **more):
    return {"MAC": mac, "Name": name, "OEM SN": serial, **more}


def computers(silver):
    assert silver.transform().exit_code == 0
    ask = "select computer_uid, source_system from silver.computers order by 1"
    return dict(silver.hub.query(ask))


M1, M2, M3 = (f"00:11:22:33:44:0{n}" for n in (1, 2, 3))


def test_a_mac_counts_before_a_serial_and_a_serial_before_a_name(silver):
    put_assets(silver, asset(1, "PC-A", "AAAA1", M1), asset(2, "PC-B", "BBBB2", M2), asset(3, "PC-C", "CCCC3", M3))
    silver.put("key_client/computer", card(M1, "PC-C", "BBBB2"), card("00:11:22:33:44:99", "PC-C", "BBBB2x"))
    assert computers(silver) == {"tdx:1": "key_client+tdx", "tdx:2": "tdx", "tdx:3": "key_client+tdx"}
    silver.bury("tdx/asset", "1")
    silver.put("key_client/computer", card(M1, "PC-C", "BBBB2"))
    found = computers(silver)
    assert found["tdx:2"] == "key_client+tdx"  # by serial, now that the living owner of the MAC is gone
    assert found["tdx:1"] == ""


def test_two_cards_in_common_are_one_match(silver):
    put_assets(silver, asset(1, "A", None, f"{M1} {M2} {M3}"), asset(2, "B", None, None))
    silver.put("key_client/computer", card(M1, "B", "K"), card(M2, "B", "K"), card(M3, "B", "K"))
    assert computers(silver) == {"tdx:1": "key_client+tdx", "tdx:2": "tdx"}
    (row,) = silver.rows("silver.computers", tdx_asset_id=1)
    assert len(row["mac_addresses"]) == 3
    assert silver.hub.query("select nic_count from silver.keyconfigure_computers") == [(3,)]


def test_a_text_of_any_length_is_no_end_of_a_transform(silver):
    long = "x" * 9000
    silver.put("tdx/department", {"ID": 1, "Name": long, "Code": long, "IsActive": True})
    put_person(silver, "p1", {
        TDX: {"ExternalID": long, "FirstName": long, "PrimaryEmail": f"{long}@x.org"},
        UMAPI: {"SupervisorId": long, "DepartmentId": long, "Name": long},
        MCOM: {"dn": f"uid=p1,ou={long},dc=x", "sn": [long]},
    })  # fmt: skip
    silver.put("active_directory/group", {
        "objectGUID": "g", "dn": f"CN={long},DC=x", "member": [f"CN={long}1,DC=x", f"CN={long}2,DC=x"],
        "managedBy": f"CN={long},DC=x",
    })  # fmt: skip
    silver.put("mcommunity_ldap/group", {"gidNumber": "1", "dn": f"cn={long},dc=x", "rfc822mail": [f"{long}@x.org"]})
    put_assets(silver, asset(1, long, long, M1, OwningCustomerID=long))
    silver.put("key_client/computer", card(M2, long, long, Owner=long))
    silver.put("active_directory/computer", {"objectGUID": "c", "cn": long, "dn": f"CN={long}1,DC=x"})
    assert silver.transform().exit_code == 0
    assert silver.person("p1")["department_name"] == long
    assert "department_id_mismatch" not in silver.person("p1")["quality_flags"]
    assert silver.hub.query("select count(*) from silver.group_members") == [(3,)]
    tables = silver.tables()
    assert silver.rebuilt() == tables


def test_two_records_of_one_source_are_never_one_computer(silver):
    put_assets(silver, asset(1, "SAME"), asset(2, "SAME"))
    silver.put("active_directory/computer", {"objectGUID": "c1", "cn": "same"}, {"objectGUID": "c2", "cn": "SAME"})
    assert computers(silver) == {
        "tdx:1": "active_directory+tdx", "tdx:2": "active_directory+tdx",
    }  # fmt: skip


def test_a_shared_serial_matches_nobody_and_a_name_still_does(silver):
    put_assets(silver, asset(1, "PC-A", "AAAA1"), asset(2, "PC-B", "AAAA1"))
    silver.put("key_client/computer", card(M1, "PC-B", "AAAA1"))
    assert computers(silver) == {"tdx:1": "tdx", "tdx:2": "key_client+tdx"}
    for row in silver.rows("silver.computers"):
        assert "shared_serial_number" in row["quality_flags"]


def test_a_computers_fields_come_from_whom_is_asked_first(silver):
    put_person(silver, "own1", {TDX: {"UID": "o1"}})
    put_person(silver, "own2", {TDX: {"UID": "o2"}})
    put_person(silver, "own3", {AD: {}})
    silver.put("tdx/department", {"ID": 4, "Name": "Four", "Code": "D4", "IsActive": True})
    sources = {
        TDX: lambda n: put_assets(silver, asset(n, f"PC-{n}", f"TTTT{n}", None, OwningCustomerID="o1",
        OwningDepartmentID=4)),
        KEY: lambda n: silver.put("key_client/computer", card(f"00:11:22:33:44:{n:02}", f"pc-{n}", f"KKKK{n}",
        OS="Kos", Owner="own2")),
        AD: lambda n: silver.put("active_directory/computer", {
            "objectGUID": f"c{n}", "cn": f"Pc-{n}", "operatingSystem": "Aos", "managedBy": "CN=own3,OU=A,DC=x",
            "userAccountControl": "4098",
        }),
    }  # fmt: skip
    silver.put("tdx/user", {"UID": "o1", "AlternateID": "own1"}, {"UID": "o2", "AlternateID": "own2"})
    subsets = [subset for size in (1, 2, 3) for subset in itertools.combinations(sources, size)]
    for number, subset in enumerate(subsets, 10):
        for source in subset:
            sources[source](number)
    silver.transform()
    rows = {row["computer_name"].upper(): row for row in silver.rows("silver.computers")}
    for number, subset in enumerate(subsets, 10):
        row = rows[f"PC-{number}"]
        order = [source for source in (TDX, KEY, AD) if source in subset]
        assert row["computer_name"] == {TDX: f"PC-{number}", KEY: f"pc-{number}", AD: f"Pc-{number}"}[order[0]]
        assert row["serial_number"] == {TDX: f"TTTT{number}", KEY: f"KKKK{number}", AD: None}[order[0]]
        assert row["owner_uniqname"] == {TDX: "own1", KEY: "own2", AD: "own3"}[order[0]]
        assert row["owner_department_id"] == ("D4" if TDX in subset else None)
        assert row["os_name"] == ("Kos" if KEY in subset else "Aos" if AD in subset else None)
        assert row["is_active"] == (TDX in subset or AD not in subset)
        assert ("owner_conflict" in row["quality_flags"]) == (len(subset) > 1)
        assert ("serial_number_mismatch" in row["quality_flags"]) == ({TDX, KEY} <= {*subset})


def test_when_things_were_last_seen_is_read_beside_the_heads_and_dirties_nothing(hub, tmp_path, university):
    from people_hub.sample_sources.spreadsheet import write_export

    rows = university.keyconfigure_rows()
    write_export(tmp_path / "exports" / "keyconfigure_computers_1.xlsx", rows)
    silver = Silver(hub)
    assert hub.ingest("keyconfigure_computers").exit_code == 0
    silver.transform()
    versions, before = hub.bronze(), silver.versions_written()
    for row in rows:
        row |= {"Last Session": "2026-03-05 10:00", "Last User": "somebody"}
    write_export(tmp_path / "exports" / "keyconfigure_computers_2.xlsx", rows)
    hub.ingest("keyconfigure_computers", "--dry-run")
    seen = "select last_user, last_session_at at time zone 'UTC' from silver.computer_activity group by 1, 2"
    assert all(user != "somebody" for user, _at in hub.query(seen))
    assert hub.ingest("keyconfigure_computers").stream["records_updated"] == 0
    silver.transform()
    assert (hub.bronze(), silver.versions_written()) == (versions, before)
    assert [(user, str(at)) for user, at in hub.query(seen)] == [("somebody", "2026-03-05 10:00:00")]
    count = "select count(*) from silver.computers_seen(%s, 90)"
    assert hub.query(count, "2026-03-05") == [(university.computers,)]
    assert hub.query(count, "2026-03-04") == hub.query(count, "2026-06-04") == [(0,)]
