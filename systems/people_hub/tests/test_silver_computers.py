"""Computers: what makes one of two records, and whom each field comes from."""

from __future__ import annotations

import itertools

import pytest
from silver_case import AD, KEY, TDX, Silver, asset, card

pytestmark = pytest.mark.database


def test_codes_that_differ_by_case_alone_are_two_departments_and_one_owner(silver):
    silver.put("tdx/department", {"ID": 1, "Code": "phys"}, {"ID": 2, "Code": "PHYS"}, {"ID": 3, "Code": "Mixed"})
    silver.put("key_client/computer", card(M1, "A", None, Owner="phys"), card(M2, "B", None, Owner="MIXED"))
    assert len(computers(silver)) == 2
    owners = silver.hub.query("select owner_department_id from silver.computers order by 1")
    assert owners == [("Mixed",), ("PHYS",)]


def test_many_computers_of_one_name_are_matched_at_once(silver):
    silver.put_assets(*(asset(n, "LAPTOP") for n in range(1, 301)))
    silver.put(
        "key_client/computer",
        *(card(f"00:11:22:33:{n // 256:02x}:{n % 256:02x}", "LAPTOP", f"KEYS{n}") for n in range(300)),
    )
    silver.put("active_directory/computer", *({"objectGUID": f"c{n}", "cn": "laptop"} for n in range(300)))
    assert set(computers(silver).values()) == {"active_directory+key_client+tdx"}


def computers(silver):
    assert silver.transform().exit_code == 0
    ask = "select computer_uid, source_system from silver.computers order by 1"
    return dict(silver.hub.query(ask))


M1, M2, M3 = (f"00:11:22:33:44:0{n}" for n in (1, 2, 3))


def test_a_mac_counts_before_a_serial_and_a_serial_before_a_name(silver):
    silver.put_assets(asset(1, "PC-A", "AAAA1", M1), asset(2, "PC-B", "BBBB2", M2), asset(3, "PC-C", "CCCC3", M3))
    silver.put("key_client/computer", card(M1, "PC-C", "BBBB2"), card("00:11:22:33:44:99", "PC-C", "BBBB2x"))
    assert computers(silver) == {"tdx:1": "key_client+tdx", "tdx:2": "tdx", "tdx:3": "key_client+tdx"}
    silver.bury("tdx/asset", "1")
    silver.put("key_client/computer", card(M1, "PC-C", "BBBB2"))
    found = computers(silver)
    assert found["tdx:2"] == "key_client+tdx"  # by serial, now that the living owner of the MAC is gone
    assert found["tdx:1"] == ""


def test_two_cards_in_common_are_one_match(silver):
    silver.put_assets(asset(1, "A", None, f"{M1} {M2} {M3}"), asset(2, "B", None, None))
    silver.put("key_client/computer", card(M1, "B", "K"), card(M2, "B", "K"), card(M3, "B", "K"))
    assert computers(silver) == {"tdx:1": "key_client+tdx", "tdx:2": "tdx"}
    (row,) = silver.rows("silver.computers", tdx_asset_id=1)
    assert len(row["mac_addresses"]) == 3
    assert silver.hub.query("select nic_count from silver.keyconfigure_computers") == [(3,)]


def test_two_records_of_one_source_are_never_one_computer(silver):
    silver.put_assets(asset(1, "SAME"), asset(2, "SAME"))
    silver.put("active_directory/computer", {"objectGUID": "c1", "cn": "same"}, {"objectGUID": "c2", "cn": "SAME"})
    assert computers(silver) == {
        "tdx:1": "active_directory+tdx", "tdx:2": "active_directory+tdx",
    }  # fmt: skip


def test_a_shared_serial_matches_nobody_and_a_name_still_does(silver):
    silver.put_assets(asset(1, "PC-A", "AAAA1"), asset(2, "PC-B", "AAAA1"))
    silver.put("key_client/computer", card(M1, "PC-B", "AAAA1"))
    assert computers(silver) == {"tdx:1": "tdx", "tdx:2": "key_client+tdx"}
    for row in silver.rows("silver.computers"):
        assert "shared_serial_number" in row["quality_flags"]


def test_a_computers_fields_come_from_whom_is_asked_first(silver):
    silver.put_person("own1", {TDX: {"UID": "o1"}})
    silver.put_person("own2", {TDX: {"UID": "o2"}})
    silver.put_person("own3", {AD: {}})
    silver.put("tdx/department", {"ID": 4, "Name": "Four", "Code": "D4", "IsActive": True})
    sources = {
        TDX: lambda n: silver.put_assets(asset(n, f"PC-{n}", f"TTTT{n}", None, OwningCustomerID="o1",
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
