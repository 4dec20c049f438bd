"""Departments: which are active."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.database


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


def test_a_departments_fields_come_from_whom_is_asked_first(silver):
    umapi = {"DeptGroup": "G", "DeptGroupDescription": "C", "DeptGroupCampusDescr": "A", "DeptGroupVPAreaDescr": "V"}
    silver.put(
        "umich_api/department",
        {"DeptId": "BOTH", "DeptDescription": "by umapi", **umapi}, {"DeptId": "U", "DeptDescription": "only umapi"},
    )  # fmt: skip
    silver.put(
        "tdx/department",
        {"ID": 1, "Code": "BOTH", "Name": "by tdx", "ParentID": 2, "IsActive": True},
        {"ID": 2, "Code": "PARENT", "Name": "its own parent", "ParentID": 2, "IsActive": True},
        {"ID": 3, "Code": "T", "Name": "only tdx", "ParentID": 77, "IsActive": None},
        {"ID": 4, "Code": "", "Name": "without a code", "IsActive": True},
    )
    assert silver.transform().exit_code == 0
    found = {row["dept_id"]: row for row in silver.rows("silver.departments")}
    told = {
        key: (row["department_name"], row["hierarchical_path"], row["parent_dept_id"], row["source_system"])
        for key, row in found.items()
    }
    assert told == {
        "BOTH": ("by umapi", "A > V > C > by umapi", "PARENT", "tdx+umich_api"),
        "U": ("only umapi", "only umapi", None, "umich_api"),
        "PARENT": ("its own parent", "its own parent", None, "tdx"),
        "T": ("only tdx", "only tdx", None, "tdx"),
        "TDX_4": ("without a code", "without a code", None, "tdx"),
    }
    assert found["BOTH"]["quality_flags"] == ["name_mismatch"]
    groups = ["missing_campus", "missing_college"]
    assert found["T"]["quality_flags"] == [
        "invalid_parent_reference", *groups, "missing_umich_api_source", "missing_vp_area",
    ]  # fmt: skip
    assert found["PARENT"]["quality_flags"] == found["T"]["quality_flags"]
    assert found["U"]["quality_flags"] == [*groups, "missing_tdx_source", "missing_vp_area"]
    assert all(row["is_active"] for row in found.values())


def test_of_several_accounts_of_a_code_the_active_one_of_the_lowest_number_counts(silver):
    accounts = [(2, False), (31, True), (100, True), (30, True), (32, True)]
    silver.put(
        "tdx/department", *({"ID": n, "Code": "D", "Name": f"N{n}", "IsActive": active} for n, active in accounts)
    )
    silver.transform()
    silver.put(
        "umich_api/department",
        {"DeptId": "D", "DeptDescription": "as it is"},
        {"DeptId": " D", "DeptDescription": "blank"},
    )
    silver.transform()
    (row,) = silver.rows("silver.departments")
    assert row["department_name"] == "blank"  # of two codes that read alike the first in order
    silver.put("umich_api/department", {"DeptId": " D", "DeptDescription": "blank still"})
    silver.transform()  # its row lies last now
    (row,) = silver.rows("silver.departments")
    assert row["department_name"] == "blank still"
    silver.bury("umich_api/department", "D", " D")
    silver.transform()
    (row,) = silver.rows("silver.departments")
    assert (row["tdx_id"], row["department_name"], row["is_active"]) == (30, "N30", True)


def test_a_source_that_is_gone_says_nothing_of_a_department_that_lives_and_all_of_one_that_is_gone(silver):
    for code in ("LIVES", "GONE"):
        silver.put("umich_api/department", {"DeptId": code, "DeptDescription": "by umapi"})
    silver.put("umich_api/department", {"DeptId": "LEFT", "DeptDescription": "by umapi"})
    silver.put(
        "tdx/department",
        {"ID": 1, "Code": "LIVES", "Name": "by tdx", "IsActive": True},
        {"ID": 2, "Code": "GONE", "Name": "by tdx", "IsActive": True}, {"ID": 3, "Code": "GONE", "Name": "twin"},
        {"ID": 4, "Code": "LEFT", "Name": "by tdx", "IsActive": True},
    )  # fmt: skip
    silver.transform()
    silver.bury("umich_api/department", "LIVES", "GONE")
    silver.bury("tdx/department", "2", "3", "4")
    silver.transform()
    found = {row["dept_id"]: row for row in silver.rows("silver.departments")}
    groups = ["missing_campus", "missing_college"]
    assert (found["LIVES"]["department_name"], found["LIVES"]["source_system"]) == ("by tdx", "tdx")
    assert found["LIVES"]["quality_flags"] == [*groups, "missing_umich_api_source", "missing_vp_area"]
    assert (found["LEFT"]["tdx_id"], found["LEFT"]["source_system"]) == (None, "umich_api")
    assert found["LEFT"]["quality_flags"] == [*groups, "missing_tdx_source", "missing_vp_area"]
    gone = found["GONE"]
    assert (gone["department_name"], gone["source_system"], gone["is_active"]) == ("by umapi", "", False)
    assert gone["quality_flags"] == [
        *groups, "missing_tdx_source", "missing_umich_api_source", "missing_vp_area", "no_live_source",
    ]  # fmt: skip
    before = silver.versions_written()
    silver.transform("--full-sync", only=["departments"])
    written = {row for row in silver.versions_written() if row[0] == "departments"}
    assert written == {row for row in before if row[0] == "departments"}
