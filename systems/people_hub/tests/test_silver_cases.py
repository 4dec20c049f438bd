"""The cases that were worked out by hand, where their file is there; each of them twice and as a rebuild."""

from __future__ import annotations

import json

import pytest
from silver_case import KEYS, Silver

from people_hub.hub_settings import PROJECT_DIR

pytestmark = pytest.mark.database

SHARED = PROJECT_DIR.parents[2] / "shared" / "data" / "people_hub" / "silver_cases.json"
FILE = json.loads(SHARED.read_text()) if SHARED.exists() else {"cases": [], "base": {}}
BASE = {name: record for name, record in FILE["base"].items() if name != "note"}
ALWAYS = {
    "umich_api/department": [{
        "DeptId": "172500", "DeptDescription": "Chemistry Dept", "DeptGroup": "COLLEGE_OF_LSA",
        "DeptGroupDescription": "College of LS&A", "DeptGroupVPAreaDescr": "Provost",
        "DeptGroupCampusDescr": "Ann Arbor",
    }],
    "tdx/department": [{"ID": 41, "Name": "Chemistry Dept", "Code": "172500", "IsActive": True}],
    "umich_api/user": [{
        "EmplId": "00765432", "EmplRcd": 0, "UniqName": "BOSS0001", "FirstName": "Boss", "LastName": "One",
        "DepartmentId": "172500",
    }],
}  # fmt: skip


def numbered(record, number):
    """Return a base record as that of person n."""
    return json.loads(json.dumps(record).replace("NN", f"{number:02}"))


def lists(value):
    return value if isinstance(value, list) else [value]


def give(silver, given, case_id):
    """Store what a case is given; return the base person's records by stream."""
    mine, skip = {}, ()
    for number in [given["person"]] if "person" in given else given.get("people", []):
        for stream, record in BASE.items():
            if stream in given.get("absent", ()):
                continue
            mine[stream] = numbered(record, number) | given.get("change", {}).get(stream, {})
            silver.put(stream, mine[stream])
    if case_id == "G01":
        silver.put(
            "mcommunity_ldap/group", {"dn": "cn=chem-all,ou=User Groups,ou=Groups,dc=umich,dc=edu", "gidNumber": "1"}
        )
        silver.put(
            "active_directory/user",
            {
                **numbered(BASE["active_directory/user"], 50),
                "dn": "CN=Surname50\\, Given50,OU=Accounts,OU=UMICH,DC=adsroot,DC=example,DC=edu",
            },
        )
    if case_id == "C02":
        silver.put(
            "tdx/asset_detail",
            *(
                {"ID": number, "Attributes": [{"Name": "MAC Address(es)", "Value": "00:50:B6:00:00:01"}]}
                for number in (70201, 70202)
            ),
        )
        skip = ("tdx/asset_detail",)
    for stream, records in [*given.items(), *given.get("add", {}).items()]:
        if stream in KEYS and stream not in skip:
            silver.put(stream, *lists(records))
    return mine


def check(silver, expected):
    table = expected["table"]
    if table == "meta.rejected_records":
        found = silver.hub.query(
            "select position, reasons from meta.rejected_records where source = %s and resolved_at is null",
            expected["source"],
        )
        assert found == [(expected["position"], expected["reasons"])]
        return
    if "rows" in expected:
        columns = ", ".join(expected["columns"])
        group = expected["rows"][0][0]
        found = silver.hub.query(f"select {columns} from {table} where group_id = %s", group)
        assert sorted(map(list, found)) == sorted(expected["rows"])
        return
    if "key" not in expected:
        assert all(row["uniqname"] is None for row in silver.rows(table))
        return
    keys = {"silver.users": ["uniqname"], "silver.umapi_employees": ["empl_id", "empl_rcd"],
            "silver.departments": ["dept_id"], "silver.groups": ["group_id"],
            "silver.computers": ["computer_uid"]}  # fmt: skip
    rows = silver.rows(table, **dict(zip(keys[table], lists(expected["key"]), strict=True)))
    if expected["record"] is None:
        assert rows == []
        return
    (row,) = rows
    assert {name: row[name] for name in expected["record"]} == expected["record"]
    if "quality_flags" in expected:
        assert (f"{row['data_quality_score']:.2f}", row["quality_flags"]) == (
            expected["data_quality_score"], expected["quality_flags"],
        )  # fmt: skip


def take(silver, step, what, mine, last):
    """Let the sources go a step further."""
    if step == "tombstone":
        for stream in what:
            silver.bury(stream, KEYS[stream].external_id(mine[stream]))
    elif step in ("add", "change"):
        stream, record = what
        last |= record
        silver.put(stream, last)


CASES = [pytest.param(case, id=case["id"]) for case in FILE["cases"]] or [
    pytest.param({}, marks=pytest.mark.skip(reason="no sample data beside the project"))
]


@pytest.mark.parametrize("case", CASES)
def test_case(hub, case):
    hub.set(HUB_MAIL_DOMAIN="umich.edu")
    silver = Silver(hub)
    for stream, records in ALWAYS.items():
        silver.put(stream, *records)
    mine = give(silver, case["given"], case["id"])
    steps = case["given"].get("steps", [])
    steps = steps if steps and steps[0] == ["transform"] else [["transform"], *steps]
    last = {}
    for number, (step, *what) in enumerate(steps):
        take(silver, step, what, mine, last)
        wants_reject = any(one["table"] == "meta.rejected_records" for one in case["expect"])
        first = silver.transform()
        assert first.exit_code == (3 if wants_reject else 0) or "malformed" in str(case["expect"]), first.text
        for again in range(3):
            if again == 1:
                before = silver.versions_written()
                assert silver.transform().exit_code == 0
                assert silver.versions_written() == before
            elif again == 2:
                tables = silver.tables()
                assert silver.rebuilt() == tables
            for expected in case["expect"]:
                if expected.get("after_step", number) == number:
                    check(silver, expected)
