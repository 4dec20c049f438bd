"""Any history of the sources, transformed in any order: silver is what a rebuild gives, its rejects too."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from silver_case import KEYS, Silver, entities

from etlkit.testing import full_count

pytestmark = [pytest.mark.database, pytest.mark.soak]

HISTORIES = full_count("histories of all sources", 6, 60)
STEPS = full_count("steps of a history", 14, 30)

NAMES = st.sampled_from(["ann1", "bob2", "cat3", None])
ODD_NAMES = st.sampled_from(["ann1", "BOB2 ", "cat3", "", None, "no name", "x" * 60])
NUMBERS = st.sampled_from(["01", "02", "03", None, "N/A"])
CODES = st.sampled_from(["D1", "D2", "D3", None])
EMAILS = st.sampled_from([None, "a@x.org", "B@x.org", "b@x.org", "bad", "two@@x.org", "c d@x.org", ""])
WORDS = st.sampled_from([None, "One", "Two", " N/A ", "Zoë"])
ACCOUNTS = st.sampled_from([1, 2, 3, 0, None, "7", "x"])
TRUTHS = st.sampled_from([True, False, None, "yes"])
MACS = st.sampled_from(
    [None, "00:11:22:33:44:01", "00-11-22-33-44-02", "001122334403", "00:11:22:33:44:01, 00:11:22:33:44:03", "zz"]
)
SERIALS = st.sampled_from([None, "AAAA1", "aaaa1", "BBBB2", "0000", "To be filled by O.E.M."])
PEOPLE_DN = ["uid=ann1,ou=People,dc=x", "uid=Bob2,ou=People,dc=x", "uid=gone,ou=People,dc=x"]
AD_DN = [
    "CN=ann1,OU=A,DC=x",
    "CN=Surname\\2C Bob,OU=A,DC=x",
    "CN=Surname\\, Bob,OU=A,DC=x",
    "CN=PC-1,OU=W,DC=x",
    "CN=G1,OU=G,DC=x",
]
GROUP_DN = ["cn=g1,ou=Groups,dc=x", "cn=g2,ou=Groups,dc=x", "cn=G2,ou=Other,dc=x"]


def record(**fields):
    return st.fixed_dictionaries(fields)


def some(values):
    return st.lists(st.sampled_from(values), max_size=3, unique=True).map(sorted)


RECORDS = {
    "umich_api/department": record(
        DeptId=st.sampled_from(["D1", "D2", "D3"]), DeptDescription=WORDS, DeptGroupDescription=WORDS,
        DeptGroupCampusDescr=WORDS, DeptGroupVPAreaDescr=WORDS,
    ),
    "tdx/department": record(
        ID=st.sampled_from([1, 2, 3, "x"]), Name=WORDS, Code=st.sampled_from(["D1", "D2", "", None]), IsActive=TRUTHS,
        ParentID=ACCOUNTS, ManagerUID=st.sampled_from(["u1", "00000000-0000-0000-0000-000000000000"]),
    ),
    "tdx/department_detail": record(ID=st.sampled_from([1, 2, 3]), Name=WORDS, Notes=WORDS, Attributes=st.just([])),
    "umich_api/user": record(
        EmplId=st.sampled_from(["01", "02", "03"]), EmplRcd=st.sampled_from([0, 1]), UniqName=ODD_NAMES,
        FirstName=WORDS,
        LastName=WORDS, Name=WORDS, DepartmentId=CODES, SupervisorId=NUMBERS, Jobcode=WORDS, UniversityJobTitle=WORDS,
        DepartmentJobTitle=WORDS, Work_Phone=WORDS,
    ),
    "mcommunity_ldap/user": record(
        uidNumber=st.sampled_from(["1", "2", "10"]), uid=ODD_NAMES, dn=st.sampled_from(PEOPLE_DN), displayName=WORDS,
        givenName=WORDS, sn=st.sampled_from([None, ["One"], ["One", "Two"]]), mail=EMAILS,
        ou=st.sampled_from([[], ["Alumni"], ["Alumni", "Staff"], "Staff"]), umichTitle=WORDS,
    ),
    "active_directory/user": record(
        objectGUID=st.sampled_from(["a1", "a2", "a3"]), dn=st.sampled_from(AD_DN), sAMAccountName=ODD_NAMES, cn=NAMES,
        objectClass=st.sampled_from([["person", "user"], ["computer", "person", "user"]]), sn=WORDS, mail=EMAILS,
        userAccountControl=st.sampled_from(["512", "514", "x", None]), title=WORDS,
    ),
    "tdx/user": record(
        UID=st.sampled_from(["u1", "u2", "u3"]), AlternateID=ODD_NAMES, UserName=st.sampled_from(["ann1@x.org", "",
        None]),
        ExternalID=NUMBERS, FirstName=WORDS, LastName=WORDS, FullName=WORDS, PrimaryEmail=EMAILS, Title=WORDS,
        DefaultAccountID=ACCOUNTS, IsActive=TRUTHS, IsEmployee=TRUTHS, ReportsToUID=WORDS,
    ),
    "tdx/user_detail": record(UID=st.sampled_from(["u1", "u2", "u3"]), PrimaryEmail=EMAILS, GroupIDs=some([1, 2, 3])),
    "mcommunity_ldap/group": record(
        gidNumber=st.sampled_from(["1", "2", "3"]), dn=st.sampled_from(GROUP_DN), umichGroupEmail=EMAILS,
        umichDescription=WORDS, owner=some(PEOPLE_DN), member=some(PEOPLE_DN), umichDirectMember=some(PEOPLE_DN),
        umichDirectGroupMember=some(GROUP_DN), rfc822mail=some(["p@x.org", "Q@x.org"]), umichPrivate=st.just("FALSE"),
    ),
    "active_directory/group": record(
        objectGUID=st.sampled_from(["g1", "g2", "g3"]), dn=st.sampled_from(["CN=G1,OU=G,DC=x", "CN=g2,OU=H,DC=x"]),
        gidNumber=st.sampled_from([None, "1", "3"]), mail=EMAILS, description=WORDS, member=some(AD_DN),
        managedBy=st.sampled_from([None, *AD_DN]), groupType=st.sampled_from(["-2147483646", "2", None]),
    ),
    "tdx/asset": record(
        ID=st.sampled_from([1, 2, 3]), Name=st.sampled_from(["PC-1", "pc-2", None]), SerialNumber=SERIALS,
        StatusName=st.sampled_from(["Active", "Inactive", None]), OwningCustomerID=st.sampled_from(["u1", "u9", None]),
        OwningDepartmentID=ACCOUNTS,
    ),
    "tdx/asset_detail": st.builds(
        lambda number, macs: {"ID": number, "Attributes": [{"Name": "MAC Address(es)", "Value": macs}]},
        st.sampled_from([1, 2, 3]), MACS,
    ),
    "key_client/computer": record(
        MAC=st.sampled_from(["00:11:22:33:44:01", "00:11:22:33:44:02", "00:11:22:33:44:03"]),
        Name=st.sampled_from(["PC-1", "pc-2", "PC-3", None]), OS=WORDS, Owner=st.sampled_from(["ann1", "D1",
        "nobody", None]),
        **{"OEM SN": SERIALS},
    ),
    "active_directory/computer": record(
        objectGUID=st.sampled_from(["c1", "c2"]), cn=st.sampled_from(["PC-1", "PC-2", "PC-3"]),
        dn=st.sampled_from(["CN=PC-1,OU=W,DC=x", "CN=PC-2,OU=W,DC=x"]), managedBy=st.sampled_from([None, *AD_DN]),
        userAccountControl=st.sampled_from(["4096", "4098"]), operatingSystem=WORDS,
    ),
}  # fmt: skip
LISTED = sorted(RECORDS)


def rejects(silver):
    return [row for row in silver.hub.rejects() if row[0].startswith("silver/")]


def histories(hub, databases, schema_files, rest):  # noqa: C901 - the rules of one machine
    class Histories(RuleBasedStateMachine):
        """One history on a database of its own."""

        def __init__(self):
            super().__init__()
            self._database = databases.fresh(schema_files)
            hub.database = self._database.__enter__()
            hub.set(DATABASE_URL=hub.url)
            self.silver = Silver(hub)
            self.keys = {}
            self.employees = {}

        @rule(data=st.data(), stream=st.sampled_from(LISTED))
        def say(self, data, stream):
            """A source lists a record: new, changed, renamed, or come back."""
            one = data.draw(RECORDS[stream])
            self.silver.put(stream, one)
            self.keys.setdefault(stream, set()).add(KEYS[stream].external_id(one))

        @rule(data=st.data(), stream=st.sampled_from(LISTED))
        def forget(self, data, stream):
            """A source does not list a record any more."""
            if self.keys.get(stream):
                self.silver.bury(stream, data.draw(st.sampled_from(sorted(self.keys[stream]))))

        @rule(data=st.data(), how=st.sampled_from(["whole", "failed", "limited"]))
        def ingest(self, data, how):
            """The gateway's employees come in by a real run, whole or not."""
            for one in data.draw(st.lists(RECORDS["umich_api/user"], min_size=1, max_size=4)):
                self.employees[one["EmplId"], one["EmplRcd"]] = one
            if len(self.employees) > 2:
                self.employees.pop(data.draw(st.sampled_from(sorted(self.employees))))
            rest.set_data(employees=list(self.employees.values()))
            fault = {"endpoint": "DeptEmpData", "from": 1, "times": 99, "kind": "status", "status": 500}
            rest.set_faults(*([fault] if how == "failed" else []))
            flags = ["--limit", "1"] if how == "limited" else []
            result = hub.ingest("umapi_employees", "--allow-mass-delete", "100", *flags)
            rest.set_faults()
            assert result.exit_code == (1 if how == "failed" else 0)
            self.keys.setdefault("umich_api/user", set()).update(
                f"{number}:{place}" for number, place in self.employees
            )

        @rule()
        def prune(self):
            assert hub.run("prune", "--older-than", "0h").exit_code == 0

        @rule(only=st.permutations(list(entities())), count=st.integers(1, 4), is_full=st.booleans())
        def transform(self, only, count, is_full):
            """Some transforms run, in an order of their own."""
            for name in only[:count]:
                result = self.silver.transform(*(["--full-sync"] if is_full else []), only=[name])
                assert result.exit_code in (0, 3), result.text

        @rule()
        def try_dry(self):
            before = self.silver.versions_written(), self.silver.tables()
            assert self.silver.transform("--dry-run").exit_code in (0, 3)
            assert (self.silver.versions_written(), self.silver.tables()) == before

        def teardown(self):
            try:
                assert self.silver.transform().exit_code in (0, 3)
                before = self.silver.versions_written()
                assert self.silver.transform().exit_code == 0
                assert self.silver.versions_written() == before
                tables, kept = self.silver.tables(), rejects(self.silver)
                assert self.silver.rebuilt() == tables
                assert rejects(self.silver) == kept
            finally:
                self._database.__exit__(None, None, None)

    return Histories


def test_silver_is_what_a_rebuild_gives(hub, databases, schema_files, rest):
    run_state_machine_as_test(
        histories(hub, databases, schema_files, rest),
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
