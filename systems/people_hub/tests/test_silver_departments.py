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
