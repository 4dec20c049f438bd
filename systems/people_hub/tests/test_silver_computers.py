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
    assert not [row for row in silver.rows("silver.computers") if "missing_department" in row["quality_flags"]]
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


def test_of_a_computers_cards_the_living_one_of_the_lowest_address_speaks(silver):
    silver.put(
        "key_client/computer",
        card(M2, "PC", "K", CPU="second", OS="o"), card(M1, "PC", "K", CPU="first"), card(M3, "PC", "K", CPU="third"),
    )  # fmt: skip
    silver.transform()
    assert [row["cpu"] for row in silver.rows("silver.computers")] == ["first"]
    silver.bury("key_client/computer", "001122334401")
    silver.transform()
    (row,) = silver.rows("silver.computers")
    assert (row["cpu"], row["os_name"], row["mac_addresses"]) == ("second", "o", ["001122334402", "001122334403"])


def test_a_computers_every_field_comes_from_its_own_source(silver):
    silver.put_person("own1", {TDX: {}})
    silver.put_person("own2", {TDX: {}})
    silver.put_person("fin", {TDX: {}})
    silver.put("tdx/department", {"ID": 4, "Code": "D4", "IsActive": True}, {"ID": 5, "Code": "d5", "IsActive": True})
    listed, detail = asset(
        1, "PC", "TTTT1", f"{M2} {M3}", OwningCustomerID="uid-own1", OwningDepartmentID=4, Tag="T",
        ManufacturerName="M",
        ProductModelName="P", LocationName="L",
    )  # fmt: skip
    detail["Attributes"] += [
        {"Name": "IP Address(es)", "Value": "10.0.0.1"}, {"Name": "Financial Owner", "Value": "uid-fin"},
        {"Name": "Operating System", "ValueText": "Tos"},
    ]  # fmt: skip
    silver.put_assets((listed, detail), asset(2, None, None, None))
    silver.put("key_client/computer", {
        **card(M3, "other", "TTTT1", Owner="D5", OS="Kos"), "OS Family": "F", "OS vers": "Kv", "CPU": "C", "#": 4,
        "RAM": 8,
        "Disk": "1.5",
    }, card(M1, "alone", "KKKK2", Owner="own2"))  # fmt: skip
    silver.put("active_directory/computer", {
        "objectGUID": "c", "cn": "pc", "dn": "CN=pc,DC=x", "operatingSystem": "Aos", "operatingSystemVersion": "Av",
        "dNSHostName": "h", "description": "d", "userAccountControl": "4096",
    }, {"objectGUID": "e", "cn": "solo", "operatingSystem": "Aos", "operatingSystemVersion": "Av"})  # fmt: skip
    silver.transform()
    rows = {row["computer_uid"]: row for row in silver.rows("silver.computers")}
    assert {uid: row["source_system"] for uid, row in rows.items()} == {
        "tdx:1": "active_directory+key_client+tdx", "tdx:2": "tdx", "ad:e": "active_directory",
        "key:ALONE-KKKK2": "key_client",
    }  # fmt: skip
    full = rows["tdx:1"]
    assert {name: value for name, value in full.items() if name not in UNTOLD_OF_A_COMPUTER} == {
        "computer_uid": "tdx:1", "computer_name": "PC", "aliases": ["other"], "serial_number": "TTTT1",
        "mac_address": "001122334402", "mac_addresses": ["001122334402", "001122334403"], "tdx_asset_id": 1,
        "ad_object_guid": "c", "keyconfigure_id": "OTHER-TTTT1", "asset_tag": "T", "owner_uniqname": "own1",
        "financial_owner_uniqname": "fin", "owner_department_id": "D4", "manufacturer": "M", "product_model": "P",
        "os_family": "F", "os_name": "Kos", "os_version": "Kv", "cpu": "C", "cpu_cores": 4, "ram_mb": 8, "disk_gb": 1.5,
        "ip_addresses": "10.0.0.1", "dns_hostname": "h", "description": "d", "status_name": "Active", "is_active": True,
        "is_ad_enabled": True, "location_info": {"location": "L"}, "source_system": "active_directory+key_client+tdx",
        "quality_flags": ["department_conflict", "name_mismatch", "os_name_conflict"], "data_quality_score": 0.95,
    }  # fmt: skip
    bare, alone, solo = rows["tdx:2"], rows["key:ALONE-KKKK2"], rows["ad:e"]
    assert (alone["mac_address"], alone["owner_uniqname"], alone["serial_number"]) == ("001122334401", "own2", "KKKK2")
    assert (solo["os_name"], solo["os_version"], solo["computer_name"]) == ("Aos", "Av", "solo")
    lacks = ["missing_department", "missing_mac_address", "missing_owner", "missing_serial_number"]
    assert bare["quality_flags"] == sorted([*lacks, "missing_active_directory_source", "missing_key_client_source"])
    assert solo["quality_flags"] == sorted([*lacks, "missing_key_client_source", "missing_tdx_source"])
    assert alone["quality_flags"] == [
        "missing_active_directory_source", "missing_department", "missing_tdx_source",
    ]  # fmt: skip
    assert (bare["mac_addresses"], bare["aliases"], bare["location_info"]) == ([], [], None)


UNTOLD_OF_A_COMPUTER = {"entity_hash", "ingestion_run_id", "created_at", "updated_at"}


@pytest.mark.parametrize(
    ("tdx", "key", "ad", "flags"),
    [
        (("A", "Os"), ("A", "Os"), ("A", "Os"), []), (("B", "Os"), ("A", "Os"), None, ["name_mismatch"]),
        (("B", "Os"), None, ("A", "Os"), ["name_mismatch"]), (None, ("B", "Os"), ("A", "Os"), ["name_mismatch"]),
        (("A", "W"), ("A", "Os"), None, ["os_name_conflict"]), (("A", "W"), None, ("A", "Os"), ["os_name_conflict"]),
        (None, ("A", "W"), ("A", "Os"), ["os_name_conflict"]), (("a", "Os"), ("A", "Os"), ("a", "Os"), []),
    ],
)  # fmt: skip
def test_two_sources_that_differ_are_flagged_whichever_they_are(silver, tdx, key, ad, flags):
    """What TeamDynamix and KeyConfigure say meets by MAC and serial, the directory's by name alone."""
    if tdx:
        listed, detail = asset(1, tdx[0], "SSSS1", M1)
        detail["Attributes"].append({"Name": "Operating System", "ValueText": tdx[1]})
        silver.put_assets((listed, detail))
    if key:
        silver.put("key_client/computer", card(M1, key[0], "SSSS1", OS=key[1]))
    if ad:
        silver.put("active_directory/computer", {"objectGUID": "c", "cn": ad[0], "operatingSystem": ad[1]})
    silver.transform()
    rows = silver.rows("silver.computers")
    found = [flag for row in rows for flag in row["quality_flags"] if flag.endswith(("_mismatch", "_conflict"))]
    met = len(rows) == 1
    assert found == (flags if met else []), (met, found)
    if met:
        assert rows[0]["os_name"] == next(source[1] for source in (key, ad, tdx) if source)
    assert met or (ad and "name_mismatch" in flags)


def test_who_owns_a_computer_is_flagged_where_two_sources_differ(silver):
    for name in ("own1", "own2"):
        silver.put_person(name, {TDX: {}, AD: {}})
    owners = {1: "own1", 2: "own2", 3: None}
    cases = list(itertools.product((1, 2, 3), repeat=3))
    for number, (tdx, key, ad) in enumerate(cases, 10):
        silver.put_assets(asset(number, f"PC-{number}", OwningCustomerID=f"uid-{owners[tdx]}" if tdx < 3 else None))
        silver.put("key_client/computer", card(f"00:11:22:33:44:{number:02}", f"PC-{number}", Owner=owners[key]))
        silver.put("active_directory/computer", {
            "objectGUID": f"c{number}", "cn": f"PC-{number}",
            "managedBy": f"CN={owners[ad]},OU=A,DC=x" if ad < 3 else None,
        })  # fmt: skip
    silver.transform()
    for number, case in enumerate(cases, 10):
        (row,) = silver.rows("silver.computers", tdx_asset_id=number)
        told = [f"own{one}" for one in case if one < 3]
        assert row["owner_uniqname"] == next(iter(told), None)
        assert ("owner_conflict" in row["quality_flags"]) == (len(set(told)) > 1)
        assert ("missing_owner" in row["quality_flags"]) == (not told)
        assert "invalid_owner_reference" not in row["quality_flags"]


def test_a_source_that_is_gone_says_nothing_of_a_computer_that_lives_and_all_of_one_that_is_gone(silver):
    silver.put_person("own1", {TDX: {}})
    silver.put_person("own2", {TDX: {}})
    silver.put("tdx/department", {"ID": 4, "Code": "D4", "IsActive": True}, {"ID": 5, "Code": "own2", "IsActive": True})
    macs = {"LIVES": M1, "LEFT": M2, "GONE": M3}
    for number, (name, mac) in enumerate(macs.items(), 1):
        listed, detail = asset(number, name, f"TTTT{number}", mac, OwningCustomerID="uid-own1", OwningDepartmentID=4)
        detail["Attributes"].append({"Name": "Operating System", "ValueText": "Tos"})
        silver.put_assets((listed, detail))
        silver.put("key_client/computer", card(mac, f"{name}X", f"KKKK{number}", OS="Kos", Owner="own2"))
        silver.put("active_directory/computer", {"objectGUID": name, "cn": name, "operatingSystem": "Aos"})
    silver.transform()
    keys = {name: mac.replace(":", "") for name, mac in macs.items()}
    silver.bury("tdx/asset", "1", "3")
    silver.bury("key_client/computer", keys["LEFT"], keys["GONE"])
    silver.bury("active_directory/computer", "LEFT", "GONE")
    silver.transform()
    rows = {row["computer_uid"]: row for row in silver.rows("silver.computers")}
    assert {uid: (row["computer_name"], row["source_system"]) for uid, row in rows.items()} == {
        "tdx:1": ("LIVESX", "active_directory+key_client"), "tdx:2": ("LEFT", "tdx"), "tdx:3": ("GONE", ""),
    }  # fmt: skip
    assert (rows["tdx:1"]["tdx_asset_id"], rows["tdx:1"]["serial_number"], rows["tdx:1"]["owner_uniqname"]) == (
        None, "KKKK1", "own2",
    )  # fmt: skip
    gone, left = rows["tdx:3"], rows["tdx:2"]
    assert (left["source_system"], left["os_name"], left["is_active"], left["cpu"]) == ("tdx", "Tos", True, None)
    assert left["quality_flags"] == ["missing_active_directory_source", "missing_key_client_source"]
    assert (gone["source_system"], gone["computer_name"], gone["is_active"]) == ("", "GONE", False)
    assert gone["quality_flags"] == [
        "missing_active_directory_source", "missing_key_client_source", "missing_tdx_source", "no_live_source",
    ]  # fmt: skip
    before = silver.versions_written()
    silver.transform("--full-sync", only=["computers"])
    assert {r for r in silver.versions_written() if r[0] == "computers"} == {r for r in before if r[0] == "computers"}


def test_an_account_that_was_made_anew_manages_what_its_predecessor_did(silver):
    for guid, name in (("a1", "first"), ("a2", "second")):
        silver.put("active_directory/user", {"objectGUID": guid, "sAMAccountName": name, "dn": "CN=boss,DC=x"})
    silver.put("active_directory/computer", {"objectGUID": "c", "cn": "PC", "managedBy": "CN=boss,DC=x"})
    silver.transform()
    assert [row["owner_uniqname"] for row in silver.rows("silver.computers")] == ["first"]
    silver.bury("active_directory/user", "a1")
    silver.transform()
    assert [row["owner_uniqname"] for row in silver.rows("silver.computers")] == ["second"]


def test_whoever_has_a_shared_mac_or_serial_is_flagged_while_two_living_records_share_it(silver):
    """Numbers of assets and names of cards may be alike: 1, 77."""
    own = "00:11:22:33:44:77"
    silver.put_assets(
        asset(1, "A", "AAAA1", M1), asset(2, "B", "BBBB2", M1), asset(3, "C", "SSSS9"), asset(4, "D", "SSSS9"),
        asset(77, "E", "EEEE5", own), asset(6, "F", M1.replace(":", "")),
    )  # fmt: skip
    silver.put(
        "key_client/computer", card(M1, "77"), card(M2, "KS", "SSSS9"), card("00:11:22:33:44:99", "1"),
        card("00:11:22:33:44:98", "KN", "NNNN1"),
    )  # fmt: skip
    silver.put("active_directory/computer", {"objectGUID": "c", "cn": "SOLO"})

    def shared():
        silver.transform()
        flags = {row["computer_name"]: row["quality_flags"] for row in silver.rows("silver.computers")}
        return {name: [flag for flag in found if flag.startswith("shared")] for name, found in flags.items()}

    mac, serial = ["shared_mac_address"], ["shared_serial_number"]
    assert shared() == {
        "A": mac, "B": mac, "77": mac, "C": serial, "D": serial, "KS": serial,
        "E": [], "F": [], "1": [], "KN": [], "SOLO": [],
    }  # fmt: skip
    (named,) = silver.rows("silver.computers", keyconfigure_id="77")
    assert named["mac_addresses"] == ["001122334401"]
    silver.put_assets(asset(9, "H", "HHHH9", M1))
    silver.bury("tdx/asset", "1", "3")
    assert shared() == {
        "A": [], "B": mac, "H": mac, "77": mac, **{name: [] for name in ("C", "D", "E", "F", "1", "KN", "SOLO")},
    }  # fmt: skip
    silver.bury("tdx/asset", "2", "4", "9")
    silver.put_assets(asset(8, "G", "SSSS9", M1))  # alone with what the dead share
    assert shared()["G"] == []


def test_a_computer_is_active_by_its_status_else_unless_the_directory_disabled_it(silver):
    silver.put_assets(
        asset(1, "A", status="Active"), asset(2, "B", status="retired"), asset(3, "C", status=None),
        asset(4, "D", status=None), asset(5, "E", status=None), asset(6, "F", status="ACTIVE"),
    )  # fmt: skip
    silver.put("active_directory/computer", *(
        {"objectGUID": name, "cn": name, "userAccountControl": uac}
        for name, uac in (("B", "4096"), ("D", "4098"), ("E", "4096"), ("F", "4098"), ("G", "4098"), ("H", None))
    ))  # fmt: skip
    silver.put("key_client/computer", card(M1, "I"))
    silver.transform()
    found = {row["computer_name"]: row["is_active"] for row in silver.rows("silver.computers")}
    assert found == {
        "A": True, "B": False, "C": True, "D": False, "E": True, "F": True, "G": False, "H": True, "I": True,
    }  # fmt: skip
