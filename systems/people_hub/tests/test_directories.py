"""LDAP: every entry through a server's cap, TLS that is verified, long attributes, failures that never look empty."""

from __future__ import annotations

import uuid

import pytest
import trustme
from pydantic import SecretStr

from etlkit.errors import SourceError
from people_hub.sample_sources.directories import CAP, PASSWORD, SampleDirectory
from people_hub.sample_sources.people import AD_BASE, MCOMMUNITY_BASE, University, group_name, guid, uniqname
from people_hub.sources import directory
from people_hub.sources.directory import Directory, Search, read_entries, read_entry


def reached(sample: SampleDirectory, **changes: object) -> Directory:
    given = {
        "name": "the directory", "server": "127.0.0.1", "port": sample.port, "user": sample.user,
        "password": SecretStr(PASSWORD), "ca_file": sample.ca_file, "timeout_seconds": 20, "page_size": 1000, **changes,
    }  # fmt: skip
    return Directory(**given)  # type: ignore[arg-type]


def people(sample: SampleDirectory, **changes: object) -> list[dict[str, object]]:
    search = Search(f"ou=People,{MCOMMUNITY_BASE}", "(uid=*)", "uid")
    return list(read_entries(reached(sample, **changes), search))


def refill(sample: SampleDirectory, entries: object) -> None:
    sample.stop()
    sample.load(entries)  # type: ignore[arg-type]
    sample.start()


def person(uid: str, number: int) -> tuple[str, dict[str, list[str]]]:
    attributes = {
        "objectClass": ["inetOrgPerson", "posixAccount"], "uid": [uid], "uidNumber": [str(number)], "gidNumber": ["10"],
        "cn": [uid], "sn": ["x"], "homeDirectory": ["/"],
    }  # fmt: skip
    escaped = uid.replace("\\", "\\5C").replace(",", "\\,").replace("+", "\\+").replace('"', '\\"')
    return f"uid={escaped},ou=People,{MCOMMUNITY_BASE}", attributes


def test_all_3001_people_arrive_through_a_cap_of_350(hub, mcommunity):
    refill(mcommunity, University(people=3001, groups=0).mcommunity_entries())
    result = hub.ingest("mcommunity_users")
    assert result.counts == (3001, 0, 0, 0, 0)
    assert hub.ingest("mcommunity_users").counts == (0, 0, 3001, 0, 0)
    assert len(hub.heads("mcommunity_ldap/user")) == 3001


@pytest.mark.parametrize("page_size", [1, 7, 349, 350, 351, 1000])
def test_the_page_size_makes_no_difference(mcommunity, page_size):
    count = 400 if page_size > 5 else 40
    refill(mcommunity, University(people=count, groups=0).mcommunity_entries())
    found = people(mcommunity, page_size=page_size)
    assert sorted(str(record["dn"]) for record in found) == sorted(
        f"uid={uniqname(n)},ou=People,{MCOMMUNITY_BASE}" for n in range(count)
    )


def test_characters_of_every_kind_are_found(mcommunity):
    """Digits, capitals, spaces, filter characters, accents, one inside the other's beginning, long equal beginnings."""
    names = [
        f"{start}{n:04}" for start in ("a", "Z", "7", "-", "_", "é", "ß", "(", "*", "a b", "同") for n in range(60)
    ]
    names += ["a", "aa", "aaa", "a\\b", "a,b", "a+b", 'a"b', "x" * 40, *("x" * 40 + f"{n:03}" for n in range(CAP + 20))]
    refill(mcommunity, [person(name, 1000 + n) for n, name in enumerate(names)])
    found = {str(record["uidNumber"]) for record in people(mcommunity)}
    assert len(found) == len(names)


@pytest.mark.parametrize("odd", ["group  zero", " group zero", "\u00a0group zero", "group zero "])
def test_spaces_too_many_hide_nobody(mcommunity, odd):
    names = [*(f"group {n:03}" for n in range(CAP + 50)), odd]
    folder = f"ou=User Groups,ou=Groups,{MCOMMUNITY_BASE}"
    members = [f"uid=x,ou=People,{MCOMMUNITY_BASE}"]
    entries = [
        (
            f"gidNumber={n},{folder}",
            {"objectClass": ["umichGroup"], "cn": [name], "gidNumber": [str(n)], "member": members},
        )
        for n, name in enumerate(names)
    ]
    refill(mcommunity, entries)
    found = list(read_entries(reached(mcommunity), Search(folder, "(gidNumber=*)", "cn")))
    assert len(found) == len(names)


def test_groups_with_several_names_and_spaces_arrive_once(hub, mcommunity):
    refill(mcommunity, University(people=CAP * 2 + 20, groups=CAP * 2).mcommunity_entries())
    result = hub.ingest("mcommunity_groups")
    assert (result.stream["records_created"], result.stream["records_failed"]) == (CAP * 2, 0)
    assert len(hub.heads("mcommunity_ldap/group")) == CAP * 2


def test_more_equal_names_than_the_cap_are_an_error_and_no_listing(hub, mcommunity):
    hub.ingest("mcommunity_users")
    before = hub.bronze()
    twins = []
    for n in range(CAP + 5):
        dn, attributes = person(f"same{n}", 5000 + n)
        twins.append((dn, {**attributes, "uid": [f"same{n}", "same"]}))
    # every beginning of "same" matches them all, so that only their second names tell them apart
    refill(mcommunity, twins)
    assert len({str(record["dn"]) for record in people(mcommunity)}) == len(twins)
    nameless = [
        (f"cn=x{n},ou=People,{MCOMMUNITY_BASE}", {"objectClass": ["applicationProcess"], "cn": [f"x{n}"]})
        for n in range(CAP + 5)
    ]
    refill(mcommunity, nameless)
    search = Search(f"ou=People,{MCOMMUNITY_BASE}", "(objectClass=applicationProcess)", "uid")
    with pytest.raises(SourceError, match="the listing is incomplete"):
        list(read_entries(reached(mcommunity), search))
    assert hub.bronze() == before


def test_a_change_is_one_version_and_who_goes_is_buried(hub, mcommunity):
    hub.ingest("mcommunity_users")
    mcommunity.change(f"uid={uniqname(4)},ou=People,{MCOMMUNITY_BASE}", umichTitle=["Dean"])
    mcommunity.change(f"uid={uniqname(5)},ou=People,{MCOMMUNITY_BASE}", ou=["Alumni", "LSA Physics"])
    mcommunity.remove(f"uid={uniqname(6)},ou=People,{MCOMMUNITY_BASE}")
    assert hub.ingest("mcommunity_users").counts == (0, 2, 117, 1, 0)


def test_the_order_of_values_is_no_change(hub, mcommunity):
    hub.ingest("mcommunity_users")
    dn = f"uid={uniqname(4)},ou=People,{MCOMMUNITY_BASE}"
    ((values,),) = hub.query("select raw_data -> 'cn' from bronze.raw_entities where raw_data ->> 'dn' = %s", dn)
    assert values == sorted(values)
    assert len(values) == 2
    mcommunity.change(dn, cn=["something else"])
    mcommunity.change(dn, cn=list(reversed(values)))
    assert hub.ingest("mcommunity_users").counts[:2] == (0, 0)


def test_a_list_of_one_stays_a_list_and_a_single_value_a_text(hub, mcommunity):
    hub.ingest("mcommunity_users")
    ((record,),) = hub.query("select raw_data from bronze.raw_entities where raw_data ->> 'uid' = %s", uniqname(3))
    assert record["sn"] == ["Surname3"]
    assert record["uidNumber"] == "400003"
    assert record["objectClass"] == sorted(record["objectClass"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"MCOMMUNITY_LDAP_PASSWORD": "wrong"}, "refuses the login"),
        ({"MCOMMUNITY_LDAP_USER": "cn=nobody,dc=umich,dc=edu"}, "refuses the login"),
        ({"MCOMMUNITY_LDAP_BASE": "dc=elsewhere,dc=edu"}, "The listing is incomplete"),
        ({"MCOMMUNITY_LDAP_PORT": "1"}, "does not answer"),
    ],
)
def test_a_directory_that_refuses_fails_the_run(hub, mcommunity, settings, said):
    hub.ingest("mcommunity_users")
    hub.set(**settings)
    result = hub.ingest("mcommunity_users")
    assert result.exit_code == 1
    assert said in result.stream["error"]
    assert hub.tombstones() == 0
    assert hub.last_run()["status"] == "failed"


def test_a_foreign_certificate_is_refused(hub, mcommunity, tmp_path):
    foreign = tmp_path / "foreign.pem"
    trustme.CA().cert_pem.write_to_path(str(foreign))
    hub.set(MCOMMUNITY_LDAP_CA_FILE=str(foreign))
    result = hub.ingest("mcommunity_users")
    assert (result.exit_code, "certificate" in result.stream["error"]) == (1, True)
    hub.unset("MCOMMUNITY_LDAP_CA_FILE")  # and the system's authorities know nothing of it either
    assert "certificate" in hub.ingest("mcommunity_users").stream["error"]


def test_a_certificate_of_another_name_is_refused(hub, ldap_home, university):
    authority = trustme.CA()
    sample = SampleDirectory(ldap_home / "other-name", MCOMMUNITY_BASE, is_capped=True, authority=authority)
    other = authority.issue_cert("ldap.example.edu")
    other.private_key_pem.write_to_path(str(sample.home / "key.pem"))
    other.cert_chain_pems[0].write_to_path(str(sample.home / "certificate.pem"))
    sample.load(university.mcommunity_entries())
    sample.start()
    try:
        hub.set(**sample.environment())
        result = hub.ingest("mcommunity_users")
        assert result.exit_code == 1
        assert "not valid for '127.0.0.1'" in result.stream["error"]
        assert hub.heads("mcommunity_ldap/user") == {}
    finally:
        sample.stop()


def test_a_server_that_dies_in_the_middle_fails_the_run_and_buries_nobody(hub, mcommunity, monkeypatch):
    hub.ingest("mcommunity_users")
    hub.set(LDAP_PAGE_SIZE="10")
    whole = directory._page
    pages = []

    def page(*arguments):
        pages.append(1)
        if len(pages) == 5:
            mcommunity.stop()
        return whole(*arguments)

    monkeypatch.setattr(directory, "_page", page)
    result = hub.ingest("mcommunity_users")
    assert (result.exit_code, hub.tombstones()) == (1, 0)
    assert hub.last_run()["status"] == "failed"
    mcommunity.start()
    monkeypatch.undo()


def test_the_active_directory_identifies_by_guid_and_reads_binary_values(hub, ad, university):
    assert hub.ingest("ad_users").counts == (university.people + university.computers, 0, 0, 0, 0)
    assert hub.ingest("ad_groups").counts == (university.groups, 0, 0, 0, 0)
    assert hub.ingest("ad_computers").counts == (university.computers, 0, 0, 0, 0)
    assert str(guid("user", 3)) in hub.heads("active_directory/user")
    ((record,),) = hub.query("select raw_data from bronze.raw_entities where external_id = %s", str(guid("user", 50)))
    assert record["objectSid"] == "S-1-5-21-1-2-3-1050"
    assert record["dn"] == f"cn=Surname50\\, Given50,OU=Accounts,{AD_BASE}" or "Surname50\\2C" in record["dn"]
    assert record["memberOf"] == [f"CN={group_name(50 % university.groups)},OU=MCommADSync,{AD_BASE}"]


def test_a_login_is_no_change_and_a_title_is(hub, ad):
    hub.ingest("ad_users")
    dn = f"CN={uniqname(4)},OU=Accounts,{AD_BASE}"
    for name, value in (
        ("lastLogon", "134"), ("logonCount", "9"), ("uSNChanged", "99"), ("whenChanged", "20270101000000.0Z"),
    ):  # fmt: skip
        ad.change(dn, **{name: [value]})
        assert hub.ingest("ad_users").counts[:2] == (0, 0), name
    ad.change(dn, userAccountControl=["514"])
    assert hub.ingest("ad_users").counts[:2] == (0, 1)


def test_only_what_changed_on_the_same_server_is_asked_for(hub, ad, university):
    everybody = university.people + university.computers
    ad.restart_with_root_entry(dsServiceName="CN=DC1", highestCommittedUSN="8000")
    assert hub.ingest("ad_users").counts[0] == everybody
    ad.change(f"CN={uniqname(4)},OU=Accounts,{AD_BASE}", title=["Dean"], uSNChanged=["8005"])
    ad.remove(f"CN={uniqname(8)},OU=Accounts,{AD_BASE}")
    ad.restart_with_root_entry(dsServiceName="CN=DC1", highestCommittedUSN="8005")
    second = hub.ingest("ad_users")
    assert second.counts == (0, 1, 0, 0, 0)
    assert hub.ingest("ad_users").counts == (0, 0, 1, 0, 0)
    full = hub.ingest("ad_users", "--full-sync")
    assert full.counts == (0, 0, everybody - 1, 1, 0)


@pytest.mark.parametrize(
    "root",
    [
        {"dsServiceName": "CN=DC2", "highestCommittedUSN": "9000"},
        {"dsServiceName": "CN=DC1", "highestCommittedUSN": "10"},
        {},
    ],
    ids=["another server", "a server set back", "a server that does not say"],
)
def test_another_server_is_read_whole(hub, ad, university, root):
    ad.restart_with_root_entry(dsServiceName="CN=DC1", highestCommittedUSN="8000")
    hub.ingest("ad_users")
    ad.restart_with_root_entry(**root)
    result = hub.ingest("ad_users")
    assert result.stream["records_skipped"] == university.people + university.computers


def test_a_failed_run_does_not_move_the_watermark(hub, ad):
    ad.restart_with_root_entry(dsServiceName="CN=DC1", highestCommittedUSN="8000")
    hub.ingest("ad_users")
    ad.restart_with_root_entry(dsServiceName="CN=DC1", highestCommittedUSN="9000")
    before = hub.query("select watermark from meta.stream_state")
    hub.ingest("ad_users", "--dry-run")
    hub.ingest("ad_users", "--limit", "1")
    hub.set(AD_SEARCH_BASE="OU=nowhere")
    assert hub.ingest("ad_users").exit_code == 1
    assert hub.query("select watermark from meta.stream_state") == before


def recorded(values: list[bytes], described: str = "member") -> dict[str, object]:
    return {"dn": "CN=big", "raw_attributes": {"cn": [b"big"], described: values}}


SEARCH = Search("x", "(cn=*)", "cn", frozenset({"cn"}))


def test_a_long_attribute_is_followed_to_its_end():
    """The shapes that an Active Directory sends; OpenLDAP has no ranges."""
    members = [f"CN=m{n:05}".encode() for n in range(4000)]
    asked = []

    def fetch(described):
        asked.append(described)
        first = int(described.split("=")[1].split("-")[0])
        last = first + 1499
        end = "*" if last >= len(members) else str(last)
        return {"cn": [b"big"], f"member;range={first}-{end}": members[first : first + 1500]}

    entry = recorded(members[:1500], "member;range=0-1499")
    entry["raw_attributes"]["member"] = None  # the plain name comes too, without values
    record = read_entry(entry, SEARCH, fetch)
    assert record["member"] == sorted(value.decode() for value in members)
    assert record["cn"] == "big"
    assert asked == ["member;range=1500-*", "member;range=3000-*"]


@pytest.mark.parametrize(
    "answer", [{}, {"member": []}, {"member": None}, {"member;range=9000-*": [b"x"]}, {"memberOf;range=1500-*": [b"x"]}]
)
def test_a_range_that_does_not_come_is_an_error_and_no_shorter_group(answer):
    with pytest.raises(SourceError, match="did not come"):
        read_entry(recorded([b"CN=m"] * 1500, "member;range=0-1499"), SEARCH, lambda _described: answer)


def test_binary_values_are_text_without_loss():
    made = uuid.uuid4()
    entry = {
        "dn": "x",
        "raw_attributes": {"objectGUID": [made.bytes_le], "photo": [b"\xff\xfe"], "sn": [b"b", b"a", b"a"]},
    }
    record = read_entry(entry, SEARCH, lambda _described: {})
    assert record == {"dn": "x", "objectGUID": str(made), "photo": ["//4="], "sn": ["a", "b"]}


def test_an_identifier_of_another_length_costs_nothing_but_itself():
    entry = {"dn": "x", "raw_attributes": {"objectGUID": [b"short"]}}
    assert read_entry(entry, SEARCH, lambda _described: {}) == {"dn": "x", "objectGUID": "c2hvcnQ="}


@pytest.mark.parametrize("server", ["ldap://127.0.0.1", "ldaps://127.0.0.1", "127.0.0.1:389", "a/b", " "])
def test_a_server_is_a_bare_name(hub, mcommunity, server):
    hub.set(MCOMMUNITY_LDAP_SERVER=server)
    result = hub.ingest("mcommunity_users")
    assert (result.exit_code, "MCOMMUNITY_LDAP_SERVER" in result.figures["error"]) == (2, True)


def test_what_is_kept_elsewhere_does_not_count_as_vanished(hub, mcommunity):
    hub.ingest("mcommunity_users")
    entries = list(University(people=120, groups=0).mcommunity_entries())
    elsewhere = (
        f"ou=Elsewhere,ou=People,{MCOMMUNITY_BASE}",
        {
            "objectClass": ["referral", "extensibleObject"],
            "ou": ["Elsewhere"],
            "ref": ["ldap://elsewhere.example.edu/"],
        },
    )
    refill(mcommunity, [*entries[8:], elsewhere])
    result = hub.ingest("mcommunity_users")
    assert (result.exit_code, hub.tombstones()) == (0, 0)
    assert "is not listed here" in result.stream["notes"][0]


def test_the_controller_that_is_searched_is_the_one_that_says_how_far_it_is(hub, ad, monkeypatch):
    opened = []
    whole = directory.opened

    def counted(found):
        opened.append(found)
        return whole(found)

    monkeypatch.setattr(directory, "opened", counted)
    hub.ingest("ad_users")
    assert len(opened) == 1
