"""How silver reads what a source writes, what it costs, and what becomes of what it cannot use."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ldap3.utils.dn import parse_dn
from silver_case import AD, KEY, MCOM, TDX, UMAPI, asset, card

from people_hub.silver.transform import SQL

pytestmark = pytest.mark.database


FLAG = re.compile(r"then '([a-z_]+)' end")


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
    silver.put_person("p1", {TDX: {}})
    silver.transform()
    before = silver.person("p1")["data_quality_score"]
    ((source,),) = silver.hub.query("select pg_get_functiondef('silver.flag_cost'::regproc)")
    silver.hub.query(source.replace("0.10", "0.20"))
    silver.transform("--full-sync")
    assert silver.person("p1")["data_quality_score"] == pytest.approx(before - 0.30)
    silver.hub.query(source)


def test_a_text_of_any_length_is_no_end_of_a_transform(silver):
    long = "x" * 9000
    silver.put("tdx/department", {"ID": 1, "Name": long, "Code": long, "IsActive": True})
    silver.put_person("p1", {
        TDX: {"ExternalID": long, "FirstName": long, "PrimaryEmail": f"{long}@x.org"},
        UMAPI: {"SupervisorId": long, "DepartmentId": long, "Name": long},
        MCOM: {"dn": f"uid=p1,ou={long},dc=x", "sn": [long]},
    })  # fmt: skip
    silver.put("active_directory/group", {
        "objectGUID": "g", "dn": f"CN={long},DC=x", "member": [f"CN={long}1,DC=x", f"CN={long}2,DC=x"],
        "managedBy": f"CN={long},DC=x",
    })  # fmt: skip
    silver.put("mcommunity_ldap/group", {"gidNumber": "1", "dn": f"cn={long},dc=x", "rfc822mail": [f"{long}@x.org"]})
    silver.put_assets(asset(1, long, long, "00:11:22:33:44:01", OwningCustomerID=long))
    silver.put("key_client/computer", card("00:11:22:33:44:02", long, long, Owner=long))
    silver.put("active_directory/computer", {"objectGUID": "c", "cn": long, "dn": f"CN={long}1,DC=x"})
    assert silver.transform().exit_code == 0
    assert silver.person("p1")["department_name"] == long
    assert "department_id_mismatch" not in silver.person("p1")["quality_flags"]
    assert silver.hub.query("select count(*) from silver.group_members") == [(3,)]
    tables = silver.tables()
    assert silver.rebuilt() == tables
