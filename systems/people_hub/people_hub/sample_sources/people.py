"""A small invented university: the same seed makes the same departments, people, groups, computers and assets.

Everybody is made once, and each source shows what it knows of them in its own form, with what real sources do to it:
other names and addresses, people who are there twice or have left, cards that two computers share. Nothing is real.
"""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from typing import Any

ZERO_UUID = "00000000-0000-0000-0000-000000000000"
NEVER = "0001-01-01T00:00:00Z"
NAMESPACE = uuid.UUID("6f1c2a7e-9f0e-4d3b-8f51-0c2d9a3e7b10")
MCOMMUNITY_BASE = "dc=umich,dc=edu"
AD_BASE = "OU=UMICH,DC=adsroot,DC=example,DC=edu"
SUBJECTS = (
    "Chemistry",
    "Physics",
    "History",
    "Psychology",
    "Economics",
    "Linguistics",
    "Mathematics",
    "Biology",
    "Music",
)
TWICE = 20
TITLES = ("Lab Manager", "Professor", "Research Fellow", "Administrator", "Student Assistant", "Zoölogist")


@dataclass
class University:
    """What all sources together know."""

    seed: int = 7
    people: int = 400
    departments: int = 45
    computers: int = 60
    groups: int = 30
    alumni: int = 0
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Start the dice."""
        self.rng = random.Random(self.seed)

    def umapi_departments(self) -> list[dict[str, Any]]:
        """Return the rows of DeptData."""
        return [
            {
                "DeptId": dept_id(n),
                "DeptDescription": f"{SUBJECTS[n % len(SUBJECTS)]} Dept {n}",
                "DeptGroup": "COLLEGE_OF_LSA" if n % 3 else "MEDICAL_SCHOOL",
                "DeptGroupDescription": "College of LS&A" if n % 3 else "Medical School",
                "DeptGroupVPArea": "PRVST_EXC_VP_ACA_AFF",
                "DeptGroupVPAreaDescr": "Provost",
                "DeptGroupCampus": "UM_ANN-ARBOR",
                "DeptGroupCampusDescr": "Ann Arbor" if n % 7 else None,
            }
            for n in range(self.departments)
        ]

    def umapi_employees(self) -> list[dict[str, Any]]:
        """Return the rows of DeptEmpData: every fifth person has a second appointment."""
        rows = []
        for n in range(self.people):
            for record in range(2 if n % 5 == 0 else 1):
                department = (n + record * 3) % self.departments
                rows.append(
                    {
                        "EmplId": empl_id(n),
                        "EmplRcd": record,
                        "UniqName": uniqname(n).upper() if n % 4 else "",
                        "Name": f"Surname{n},Given{n} M",
                        "FirstName": f"Given{n}",
                        "LastName": f"Surname{n}",
                        "DepartmentId": dept_id(department),
                        "Dept_Description": f"{SUBJECTS[department % len(SUBJECTS)]} Dept {department}",
                        "SupervisorId": empl_id(n // 10),
                        "Jobcode": f"{102900 + n % 60}",
                        "UniversityJobTitle": TITLES[n % len(TITLES)],
                        "DepartmentJobTitle": f"{TITLES[n % len(TITLES)]} {n % 4}",
                        "Work_Address1": "930 N Univ",
                        "Work_Address2": "",
                        "Work_Address3": "",
                        "Work_City": "Ann Arbor",
                        "Work_State": "MI",
                        "Work_Postal": "48109",
                        "Work_Country": "USA",
                        "Work_Phone": f"734/555-{n % 10000:04}",
                        "Work_Phone_Extension": "",
                    }
                )
        return rows

    def tdx_accounts(self) -> list[dict[str, Any]]:
        """Return whole departments of TeamDynamix; a listing leaves Attributes out."""
        return [
            {
                "ID": 40 + n,
                "Name": f"{SUBJECTS[n % len(SUBJECTS)]} Dept {n}"
                if n % 4
                else f"LSA {SUBJECTS[n % len(SUBJECTS)]} {n}",
                "Code": dept_id(n),
                "Notes": "",
                "IsActive": True,
                "ParentID": 40 if n else 12,  # which is in no listing
                "ManagerUID": ZERO_UUID,
                "CreatedDate": "2015-02-01T15:00:00Z",
                "ModifiedDate": f"2026-01-{1 + n % 28:02}T12:00:00Z",
                "Address1": "930 N Univ",
                "City": "Ann Arbor",
                "Attributes": [{"ID": 501, "Name": "Unit", "Value": str(n), "ValueText": "LSA"}],
            }
            for n in range(self.departments)
        ]

    def tdx_people(self) -> list[dict[str, Any]]:
        """Return whole people of TeamDynamix; a search leaves their attributes, groups and permissions out."""
        people = [
            {
                "UID": person_uid(n),
                "UserName": f"{uniqname(n)}@umich.edu",
                "AlternateID": uniqname(n),
                "ExternalID": empl_id(n),
                "FirstName": f"Given{n}",
                "LastName": f"Surname{n}",
                "FullName": f"Given{n} Surname{n}",
                "PrimaryEmail": tdx_email(n),
                "WorkPhone": f"734/555-{n % 10000:04}",
                "Title": TITLES[n % len(TITLES)] if n % 13 != 4 else "Lecturer",
                "DefaultAccountID": 40 + n % self.departments,
                "DefaultAccountName": f"LSA {SUBJECTS[n % len(SUBJECTS)]}",
                "IsActive": True,
                "IsEmployee": bool(n % 3),
                "ReportsToUID": person_uid(n // 10),
                "SecurityRoleName": "Client",
                "TypeID": 1,
                "Accounts": [],
                "EndDate": NEVER,
                "GroupIDs": [310 + n % 5],
                "Attributes": [],
                "OrgApplications": [],
                "Permissions": [],
            }
            for n in range(self.people)
        ]
        if self.people > TWICE:  # one person is there twice, under two numbers
            names = ("AlternateID", "UserName", "ExternalID", "FirstName", "LastName", "FullName", "PrimaryEmail")
            people[-2] |= {name: people[TWICE][name] for name in names}
        return people

    def tdx_assets(self) -> list[dict[str, Any]]:
        """Return whole assets of TeamDynamix; a search leaves Attributes and Attachments out."""
        return [
            {
                "ID": 70_000 + n,
                "Tag": f"LSA{n:06}",
                "Name": computer_name(n),
                "SerialNumber": f"5CG{n:05}XYZ",
                "StatusID": 38,
                "StatusName": "Active",
                "FormName": "Computer Form",
                "ManufacturerName": "HP",
                "ProductModelName": "EliteBook 850",
                "OwningCustomerID": person_uid(n),
                "OwningDepartmentID": 40 + n % self.departments,
                "LocationName": "Chem",
                "LocationRoomName": str(1300 + n),
                "ModifiedDate": f"2026-02-{1 + n % 28:02}T09:30:00Z",
                "Attributes": [
                    {"Name": "MAC Address(es)", "Value": f"{mac(n)}, {mac(9999)}" if n % 20 < 2 else mac(n)},  # a dock
                    {"Name": "Operating System", "Value": "9001", "ValueText": "Windows 11"},
                ],
                "Attachments": [],
            }
            for n in range(self.computers)
        ]

    def keyconfigure_rows(self) -> list[dict[str, Any]]:
        """Return the rows of an export; every tenth computer has an older row for the same card."""
        rows = []
        for n in range(self.computers):
            row = {
                "idnt": n, "agid": n, "Name": computer_name(n), "MAC": mac(n), "CPU": "Intel i7", "Mhz": 2800, "#": 8,
                "Sockets": 1, "RAM": 32768, "Disk": 953.9, "Free": 100.5 + n, "% Used": 0.5,
                "OEM SN": f"5CG{n:05}XYZ",
                "OS Family": "Windows", "OS": "Windows 11", "OS vers": "10.0", "OS SN": "",
                "OS Install Date": "2025-01-01", "Last Addr": f"10.1.2.{n}",
                "Last User": uniqname(n), "Login": uniqname(n),
                "Last Session": "2026-01-05 09:12", "Last Startup": "2026-01-05 08:00", "Base Audit": "2025-12-01",
                "Last Audit": "2026-01-04", "Client": "8.0", "Owner": uniqname(n),
            }  # fmt: skip
            if n % 10 == 0:
                rows.append({**row, "Owner": "somebody before", "Last Session": "2025-01-05 09:12"})
            rows.append(row)
        return rows

    def mcommunity_entries(self) -> list[tuple[str, dict[str, list[str]]]]:
        """Return (dn, attributes) of people and groups."""
        entries = []
        for n in range(self.people + self.alumni):  # who has left is in the directory alone
            name = uniqname(n)
            entries.append(
                (
                    f"uid={name},ou=People,{MCOMMUNITY_BASE}",
                    {
                        "objectClass": ["inetOrgPerson", "posixAccount", "umichPerson"],
                        "uid": [name],
                        "uidNumber": [str(400_000 + n)],
                        "gidNumber": ["10"],
                        "cn": [f"Given{n} Surname{n}", f"Given{n} M Surname{n}"],
                        "sn": [f"Surname{n}"],
                        "displayName": [f"Given{n} Surname{n}"],
                        "givenName": [f"Given{n}"],
                        "mail": [f"{name}@umich.edu"],
                        "ou": [
                            "Alumni",
                            *([] if n >= self.people else [f"LSA {SUBJECTS[n % len(SUBJECTS)]} - Faculty and Staff"]),
                        ],
                        "umichTitle": [TITLES[n % len(TITLES)]],
                        "telephoneNumber": [f"734/555-{n % 10000:04}" if n % 11 != 3 else "734/555-9999"],
                        "homeDirectory": [f"/users/{name}"],
                        "loginShell": ["/bin/bash"],
                        "umichPostalAddress": ["Chemistry $ 930 N Univ $ Ann Arbor MI 48109"],
                    },
                )
            )
        for n in range(self.groups):
            members = [f"uid={uniqname(m)},ou=People,{MCOMMUNITY_BASE}" for m in range(n, min(n + 12, self.people))]
            entries.append(
                (
                    f"cn=group {n} lab,ou=User Groups,ou=Groups,{MCOMMUNITY_BASE}",
                    {
                        "objectClass": ["umichGroup"],
                        "cn": [f"group {n} lab", f"surname{n}.lab"],
                        "gidNumber": [str(98_000 + n)],
                        "umichGroupEmail": [f"group-{n}-lab"],
                        "umichDescription": [f"Surname{n} lab"],
                        "owner": members[:1],
                        "member": members,
                        "umichDirectMember": members[:6],
                        "umichPrivate": ["FALSE"],
                        "joinable": ["FALSE"],
                        "Membersonly": ["TRUE"],
                    },
                )
            )
        return entries

    def ad_entries(self) -> list[tuple[str, dict[str, list[str | bytes]]]]:
        """Return (dn, attributes) of people, groups and computers; a comma in a name is escaped."""
        entries: list[tuple[str, dict[str, list[str | bytes]]]] = []
        for n in range(self.people):
            cn = uniqname(n) if n % 50 else f"Surname{n}\\, Given{n}"
            entries.append(
                (
                    f"CN={cn},OU=Accounts,{AD_BASE}",
                    {
                        "objectClass": ["person", "adAccount"],
                        "cn": [cn.replace("\\", "")],
                        "sn": [f"Surname{n}"],
                        "sAMAccountName": [uniqname(n)],
                        "objectGUID": [guid("user", n).bytes_le],
                        "objectSid": [sid(n)],
                        "userPrincipalName": [f"{uniqname(n)}@umich.edu"],
                        "displayName": [f"Surname{n}, Given{n}"],
                        "mail": [f"{uniqname(n)}@umich.edu"],
                        "userAccountControl": ["512" if n % 9 else "514"],
                        "memberOf": [f"CN={group_name(n % self.groups)},OU=MCommADSync,{AD_BASE}"],
                        "whenCreated": ["20190820140000.0Z"],
                        "whenChanged": ["20260103080000.0Z"],
                        "uSNChanged": [str(1000 + n)],
                        "lastLogon": [str(133_000_000_000_000_000 + n)],
                    },
                )
            )
        for n in range(self.groups):
            members = [f"CN={uniqname(m)},OU=Accounts,{AD_BASE}" for m in range(1 + n, min(n + 9, self.people))]
            entries.append(
                (
                    f"CN={group_name(n)},OU=MCommADSync,{AD_BASE}",
                    {
                        "objectClass": ["group"],
                        "cn": [group_name(n)],
                        "sAMAccountName": [f"group-{n}"],
                        "mail": [f"group-{n}-lab@umich.edu"],
                        "objectGUID": [guid("group", n).bytes_le],
                        "groupType": ["-2147483646"],
                        "member": list(members),
                        "whenChanged": ["20260103080000.0Z"],
                        "uSNChanged": [str(5000 + n)],
                    },
                )
            )
        entries.extend(
            (
                f"CN={computer_name(n)},OU=Workstations,{AD_BASE}",
                {
                    "objectClass": ["computer", "adAccount"],
                    "cn": [computer_name(n)],
                    "sn": [computer_name(n)],
                    "sAMAccountName": [f"{computer_name(n)}$"],
                    "objectGUID": [guid("computer", n).bytes_le],
                    "dNSHostName": [f"{computer_name(n).lower()}.adsroot.example.edu"],
                    "operatingSystem": ["Windows 11" if n % 9 else "Windows 11 Enterprise"],
                    "userAccountControl": ["4096"],
                    "managedBy": [f"CN={uniqname(n if n % 7 else n + 1)},OU=Accounts,{AD_BASE}"],
                    "whenChanged": ["20260103080000.0Z"],
                    "uSNChanged": [str(7000 + n)],
                },
            )
            for n in range(self.computers)
        )
        return entries


def dept_id(n: int) -> str:
    """Return a department's code, which may begin with zeros."""
    return f"{17_2500 + n * 10:06}" if n % 6 else f"0{17_250 + n:05}"


def empl_id(n: int) -> str:
    """Return a person's employee number."""
    return f"{1_234_567 + n:08}"


def uniqname(n: int) -> str:
    """Return a person's login: letters first, then the number, so that beginnings differ."""
    return f"{'abcdefghijklmnopqrstuvwxyz'[n % 26]}{'aeiou'[n // 26 % 5]}{n:04}"


def person_uid(n: int) -> str:
    """Return a person's identity in TeamDynamix."""
    return str(uuid.uuid5(NAMESPACE, f"person {n}"))


def guid(kind: str, n: int) -> uuid.UUID:
    """Return an entry's objectGUID."""
    return uuid.uuid5(NAMESPACE, f"{kind} {n}")


def group_name(n: int) -> str:
    """Return a group's name in the Active Directory; every fifth is known there alone."""
    return f"Group {n} Lab" if n % 5 else f"servers-{n}"


def tdx_email(n: int) -> str:
    """Return a person's address in TeamDynamix: now and then another than elsewhere, once none at all."""
    if n == 9:
        return "not an address"
    return f"Given{n}.Surname{n}@umich.edu" if n % 17 == 5 else f"{uniqname(n)}@umich.edu"


def sid(n: int) -> bytes:
    """Return a person's objectSid: S-1-5-21-1-2-3-N."""
    authority = (5).to_bytes(6, "big")
    parts = b"".join(part.to_bytes(4, "little") for part in (21, 1, 2, 3, 1000 + n))
    return bytes([1, 5]) + authority + parts


def computer_name(n: int) -> str:
    """Return a computer's name."""
    return f"CHEM-KUM-{n:03}"


def mac(n: int) -> str:
    """Return a network card's address."""
    return ":".join(f"{part:02X}" for part in (0, 17, 34, 51, n // 256, n % 256))
