"""make bench-hub-silver: silver's people against the founding pattern, on the same bronze and server.

The founding pattern asks each source for each person, merges and scores in Python, upserts and commits. It is given the
records' keys, which it could not find by itself, and its rows are compared with ours, column by column. Each way is a
process of its own; filling bronze counts for neither.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text
from tabulate import tabulate

from etlkit.embedded import EmbeddedServer
from etlkit.logs import configure_logging
from etlkit.postgres import Connection, apply_schema, connect, run_file
from etlkit.settings import DatabaseSettings
from people_hub.hub_settings import META_FILE, SCHEMA_FILE, NoSettings
from people_hub.postgres_adapter import PostgresAdapter
from people_hub.silver.transformation import TransformationService
from people_hub.transform_silver_departments import TRANSFORM as DEPARTMENTS
from people_hub.transform_silver_users_optimized import TRANSFORM as USERS

SERVER_SETTINGS = ("shared_buffers = '1GB'", "max_wal_size = '8GB'")
BAR, TARGET, BAR_MB = 10.0, 25.0, 120
FOUNDING_PEOPLE = 20_000
CHANGED = 100
SOURCES = {
    "umich_api": """jsonb_build_object(
        'EmplId', lpad(n::text, 8, '0'), 'EmplRcd', 0,
        'UniqName', case when n %% 100 < 71 then upper('user' || n) else '' end,
        'Name', 'Surname' || n || ',Given' || n || ' M', 'FirstName', 'Given' || n, 'LastName', 'Surname' || n,
        'DepartmentId', (172500 + n %% 900)::text, 'Dept_Description', 'Chemistry Dept',
        'SupervisorId', lpad((n / 10)::text, 8, '0'), 'Jobcode', (102900 + n %% 60)::text,
        'UniversityJobTitle', 'Lab Manager', 'DepartmentJobTitle', 'Lab Mgr Grp 3', 'Work_Address1', '930 N Univ',
        'Work_Address2', '', 'Work_Address3', null, 'Work_City', 'Ann Arbor', 'Work_State', 'MI', 'Work_Postal',
        '48109',
        'Work_Country', 'USA', 'Work_Phone', '734/555-' || lpad((n %% 10000)::text, 4, '0'),
        'Work_Phone_Extension', '')""",
    "mcommunity_ldap": """jsonb_build_object(
        'dn', 'uid=user' || n || ',ou=People,dc=umich,dc=edu', 'uid', 'user' || n, 'uidNumber', (400000 + n)::text,
        'gidNumber', '10', 'cn', jsonb_build_array('Given' || n || ' M Surname' || n, 'Given' || n || ' Surname' || n),
        'displayName', 'Given' || n || ' Surname' || n, 'givenName', 'Given' || n, 'sn',
        jsonb_build_array('Surname' || n),
        'mail', 'user' || n || '@umich.edu', 'ou', jsonb_build_array('Alumni', 'LSA Chemistry - Faculty and Staff'),
        'umichTitle', 'Lab Manager', 'telephoneNumber', '734/555-' || lpad((n %% 10000)::text, 4, '0'),
        'homeDirectory', '/users/user' || n, 'loginShell', '/bin/bash',
        'objectClass', jsonb_build_array('inetOrgPerson', 'posixAccount', 'umichPerson'))""",
    "active_directory": """jsonb_build_object(
        'dn', 'CN=user' || n || ',OU=Accounts,OU=UMICH,DC=adsroot,DC=example,DC=edu', 'objectGUID', lpad(n::text,
        36, 'a'),
        'objectClass', jsonb_build_array('person', 'user'), 'sAMAccountName', 'user' || n, 'cn', 'user' || n,
        'displayName', 'Surname' || n || ', Given' || n, 'givenName', 'Given' || n, 'sn', 'Surname' || n,
        'mail', 'user' || n || '@umich.edu', 'title', 'Lab Manager', 'userAccountControl', '512',
        'userPrincipalName', 'user' || n || '@umich.edu', 'whenCreated', '20190820140000.0Z')""",
    "tdx": """jsonb_build_object(
        'UID', lpad(n::text, 36, 'b'), 'UserName', 'user' || n || '@umich.edu', 'AlternateID', 'user' || n,
        'ExternalID', lpad(n::text, 8, '0'), 'FirstName', 'Given' || n, 'LastName', 'Surname' || n,
        'FullName', 'Given' || n || ' Surname' || n,
        'PrimaryEmail', case when n %% 20 = 0 then 'given' || n || '@umich.edu' else 'user' || n || '@umich.edu' end,
        'WorkPhone', '734/555-' || lpad((n %% 10000)::text, 4, '0'), 'Title', 'Lab Manager',
        'DefaultAccountID', n %% 900 + 1, 'IsActive', true, 'IsEmployee', true, 'ReportsToUID',
        lpad((n / 10)::text, 36, 'b'),
        'SecurityRoleName', 'Client', 'TypeID', 1, 'EndDate', '0001-01-01T00:00:00Z')""",
}
KEYS = {
    "umich_api": "lpad(n::text, 8, '0') || ':0'", "mcommunity_ldap": "(400000 + n)::text",
    "active_directory": "lpad(n::text, 36, 'a')", "tdx": "lpad(n::text, 36, 'b')",
}  # fmt: skip
DEPARTMENT_ROWS = {
    "umich_api": (
        "(172500 + n)::text",
        """jsonb_build_object('DeptId', (172500 + n)::text, 'DeptDescription', 'Chemistry Dept ' || n,
        'DeptGroupDescription', 'LSA', 'DeptGroupCampusDescr', 'Ann Arbor', 'DeptGroupVPAreaDescr', 'Provost')""",
    ),
    "tdx": (
        "(n + 1)::text",
        "jsonb_build_object('ID', n + 1, 'Name', 'Chemistry Dept ' || n, 'Code', (172500 + n)::text, 'IsActive', true)",
    ),
}
FILL = """
    with stored as (
        insert into bronze.raw_entities (
            source_system, entity_type, external_id, raw_data, entity_hash, hash_version, ingestion_run_id)
        select %(source)s, %(kind)s, {key}, {record}, repeat('0', 64), 1, gen_random_uuid()
        from generate_series(%(first)s, %(last)s) n
        returning *
    )
    insert into bronze.entity_heads (
        source_system, entity_type, external_id, raw_id, entity_hash, hash_version, first_seen_at, last_changed_run)
    select source_system, entity_type, external_id, raw_id, entity_hash, hash_version, now(), ingestion_run_id
    from stored
"""
CHANGE = """
    with changed as (
        insert into bronze.raw_entities (
            source_system, entity_type, external_id, raw_data, entity_hash, hash_version, ingestion_run_id)
        select r.source_system, r.entity_type, r.external_id, r.raw_data || '{"FirstName": "Changed"}',
               r.entity_hash, 1, gen_random_uuid()
        from bronze.entity_heads h
        join bronze.raw_entities r using (raw_id)
        where h.source_system = 'tdx' and h.entity_type = 'user'
        order by h.external_id
        limit %s
        returning external_id, raw_id
    )
    update bronze.entity_heads h set raw_id = c.raw_id from changed c
    where h.external_id = c.external_id and h.source_system = 'tdx' and h.entity_type = 'user'
"""


@dataclass
class Measured:
    """What one process did."""

    name: str
    people: int
    seconds: float
    peak_mb: int


def fill_bronze(connection: Connection, count: int) -> None:
    """Give bronze people of four sources, and departments of two."""
    with connection, connection.cursor() as cursor:
        for source, (key, record) in DEPARTMENT_ROWS.items():
            statement = FILL.replace("{key}", key).replace("{record}", record)
            cursor.execute(statement, {"source": source, "kind": "department", "first": 0, "last": 899})
    for source, record in SOURCES.items():
        statement = FILL.replace("{key}", KEYS[source]).replace("{record}", record)
        for first in range(1, count + 1, 100_000):
            with connection, connection.cursor() as cursor:
                last = min(first + 99_999, count)
                cursor.execute(statement, {"source": source, "kind": "user", "first": first, "last": last})


def run_ours(url: str) -> float:
    """Build silver's people by the hub; return seconds."""
    with open(os.devnull, "w", encoding="utf-8") as console, tempfile.TemporaryDirectory() as folder:  # noqa: PTH123
        logger = configure_logging("bench", Path(folder) / "log", console=console)
        started = time.perf_counter()
        with closing(TransformationService(url, USERS, NoSettings(), logger=logger)) as service:
            service.run_main_process()
        return time.perf_counter() - started


FOUNDING_READ = text("""
    select raw_data from bronze.raw_entities
    where source_system = :source and entity_type = 'user' and external_id = :key
    order by ingested_at desc limit 1
""")
FOUNDING_REFERENCE = text("""
    select d.dept_id, d.department_name,
           (select t.dept_id from silver.tdx_departments t where t.tdx_id = :account) as account_dept_id
    from silver.departments d where d.dept_id = :dept_id
""")
COLUMNS = (
    "uniqname", "tdx_user_uid", "umich_empl_id", "umich_empl_ids", "ldap_uid_number", "ldap_gid_number",
    "ad_object_guid", "ad_sam_account_name", "first_name", "last_name", "full_name", "preferred_name",
    "primary_email", "work_phone", "mobile_phone", "work_address", "work_city", "work_state", "work_postal",
    "work_country", "department_id", "department_name", "department_ids", "job_title", "department_job_title",
    "primary_job_code", "job_codes", "primary_supervisor_id", "primary_supervisor_uniqname", "supervisor_ids",
    "reports_to_uid", "is_active", "is_employee", "ad_account_disabled", "mcommunity_ou_affiliations",
    "tdx_group_ids", "home_directory", "login_shell", "tdx_external_id", "tdx_beid", "tdx_security_role_name",
    "source_system", "data_quality_score", "quality_flags",
)  # fmt: skip
ARRAYS = {"umich_empl_ids", "department_ids", "job_codes", "supervisor_ids"}
DOCUMENTS = {"quality_flags", "mcommunity_ou_affiliations"}
FOUNDING_UPSERT = text(
    f"insert into founding_users ({', '.join(COLUMNS)}) values ("
    + ", ".join(
        f"cast(:{name} as jsonb)" if name in DOCUMENTS
        else f"cast(:{name} as {'bigint' if name == 'tdx_group_ids' else 'text'}[])"
        if name in ARRAYS or name == "tdx_group_ids"
        else f":{name}"
        for name in COLUMNS
    )
    + ") on conflict (uniqname) do update set "
    + ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
)  # fmt: skip


def clean(value: object) -> str | None:
    """Return a value as text, None for an empty one."""
    return (str(value).strip() or None) if value is not None else None


def first_of(*values: object) -> str | None:
    """Return the first value that says anything."""
    return next((found for value in values if (found := clean(value))), None)


def merge(number: int, found: dict[str, Any], reference: Any) -> dict[str, Any]:
    """Merge and score one person as the founding document shows, by the rules of silver."""
    u, m, a, t = (found[name] for name in ("umich_api", "mcommunity_ldap", "active_directory", "tdx"))
    emails = [str(source[name]).lower() for source, name in ((t, "PrimaryEmail"), (m, "mail"), (a, "mail"))]
    first = first_of(t["FirstName"], u["FirstName"], m["givenName"], a["givenName"])
    last = first_of(t["LastName"], u["LastName"], m["sn"][0], a["sn"])
    flags = []
    if len(set(emails)) > 1:
        flags.append("email_mismatch")
    if reference.account_dept_id != u["DepartmentId"]:
        flags.append("department_id_mismatch")
    supervisor = f"user{number // 10}" if number >= 10 else None  # nobody has the number 0
    if supervisor is None:
        flags.append("invalid_supervisor_reference")
    score = round(max(0.0, 1.0 - 0.05 * sum(flag.endswith("_mismatch") for flag in flags)), 2)
    return {
        "uniqname": t["AlternateID"].lower(), "tdx_user_uid": t["UID"], "umich_empl_id": u["EmplId"],
        "umich_empl_ids": [u["EmplId"]], "ldap_uid_number": m["uidNumber"], "ldap_gid_number": m["gidNumber"],
        "ad_object_guid": a["objectGUID"], "ad_sam_account_name": a["sAMAccountName"], "first_name": first,
        "last_name": last, "full_name": f"{last}, {first}",
        "preferred_name": first_of(t["FullName"], m["displayName"]), "primary_email": emails[0],
        "work_phone": first_of(t["WorkPhone"], u["Work_Phone"], m["telephoneNumber"]), "mobile_phone": None,
        "work_address": clean(u["Work_Address1"]), "work_city": clean(u["Work_City"]),
        "work_state": clean(u["Work_State"]), "work_postal": clean(u["Work_Postal"]),
        "work_country": clean(u["Work_Country"]), "department_id": u["DepartmentId"],
        "department_name": reference.department_name, "department_ids": [u["DepartmentId"]],
        "job_title": first_of(u["UniversityJobTitle"], u["DepartmentJobTitle"], m["umichTitle"], t["Title"]),
        "department_job_title": clean(u["DepartmentJobTitle"]), "primary_job_code": u["Jobcode"],
        "job_codes": [u["Jobcode"]], "primary_supervisor_id": u["SupervisorId"],
        "primary_supervisor_uniqname": supervisor, "supervisor_ids": [u["SupervisorId"]],
        "reports_to_uid": t["ReportsToUID"], "is_active": bool(t["IsActive"]), "is_employee": True,
        "ad_account_disabled": bool(int(a["userAccountControl"]) & 2),
        "mcommunity_ou_affiliations": json.dumps(m["ou"]),
        "tdx_group_ids": [], "home_directory": m["homeDirectory"], "login_shell": m["loginShell"],
        "tdx_external_id": t["ExternalID"], "tdx_beid": None, "tdx_security_role_name": t["SecurityRoleName"],
        "source_system": "active_directory+mcommunity_ldap+tdx+umich_api", "data_quality_score": score,
        "quality_flags": json.dumps(sorted(flags)),
    }  # fmt: skip


def run_founding(url: str, count: int) -> float:
    """Build some people one by one; return seconds."""
    adapter = PostgresAdapter(url)
    with open(os.devnull, "w", encoding="utf-8") as console:  # noqa: PTH123
        logging.basicConfig(
            level=logging.INFO,
            format="%(asctime)s - %(name)s - %(levelname)s - %(message)s",
            handlers=[logging.StreamHandler(console)],
        )
        logger = logging.getLogger("founding")
        started = time.perf_counter()
        with adapter.engine.connect() as connection:
            for number in range(1, count + 1):
                keys = {
                    "umich_api": f"{number:08}:0", "mcommunity_ldap": str(400_000 + number),
                    "active_directory": str(number).rjust(36, "a"), "tdx": str(number).rjust(36, "b"),
                }  # fmt: skip
                found = {
                    source: connection.execute(FOUNDING_READ, {"source": source, "key": key}).scalar_one()
                    for source, key in keys.items()
                }
                reference = connection.execute(
                    FOUNDING_REFERENCE,
                    {"dept_id": found["umich_api"]["DepartmentId"], "account": found["tdx"]["DefaultAccountID"]},
                ).one()
                connection.execute(FOUNDING_UPSERT, merge(number, found, reference))
                connection.commit()
                if number % 50 == 0:
                    logger.info(f"Progress: {number}/{count} processed ({number} created, 0 skipped)")
        seconds = time.perf_counter() - started
    adapter.close()
    return seconds


def measure(name: str, way: str, url: str, count: int) -> Measured:
    """Run one way in a process of its own."""
    command = [sys.executable, __file__, "--work", way, "--people", str(count)]
    done = subprocess.run(command, env={**os.environ, "BENCH_URL": url}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed: {done.stderr[-2000:]}")
    found = Measured(name, count, **json.loads(done.stdout.splitlines()[-1]))
    print(f"  {name}: {found.seconds:.2f} s, {found.peak_mb} MB", flush=True)
    return found


def measure_comparison(connection: Connection, count: int, repeats: int) -> Measured:
    """Compare heads and source tables, and nothing else; the median of some runs."""
    times = []
    for _ in range(repeats):
        with connection.cursor() as cursor:
            started = time.perf_counter()
            run_file(cursor, USERS.path("stage_stale_head"), {"is_whole": False})
            times.append(time.perf_counter() - started)
        connection.rollback()
    found = Measured("bare comparison of heads and source tables", count, sorted(times)[len(times) // 2], 0)
    print(f"  {found.name}: {found.seconds:.2f} s", flush=True)
    return found


def compare(server: EmbeddedServer, count: int, founding: int, repeats: int) -> list[Measured]:
    """Build everybody, then a hundred changed ones; with the founding pattern where its people are given."""
    settings: DatabaseSettings = server.ensure_database(f"bench_{count}")
    word = settings.db_password.get_secret_value()
    url = f"postgresql://{settings.db_user}:{word}@{settings.db_host}:{settings.db_port}/{settings.db_name}"
    with closing(connect(settings, "bench")) as connection:
        apply_schema(connection, META_FILE)
        apply_schema(connection, SCHEMA_FILE)
        fill_bronze(connection, count)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("vacuum analyze")
            cursor.execute("checkpoint")
    with closing(TransformationService(url, DEPARTMENTS, NoSettings())) as service:
        service.run_main_process()
    results = [measure("ours: full build", "ours", url, count)]
    with closing(connect(settings, "bench")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("vacuum analyze")
            cursor.execute("checkpoint")
            if founding:
                cursor.execute("create table founding_users (like silver.users including all)")
                cursor.execute("alter table founding_users alter entity_hash drop not null")
                cursor.execute("alter table founding_users alter ingestion_run_id drop not null")
                results.append(measure("founding pattern", "founding", url, founding))
                names = ", ".join(COLUMNS)
                equals = f"select {names} from founding_users intersect select {names} from silver.users"
                count_equals = f"select count(*) from ({equals}) equal"
                cursor.execute(count_equals)
                (equal,) = cursor.fetchone() or (0,)
                assert equal == founding, f"only {equal} rows of {founding} are equal"
        connection.autocommit = False
        changed = []
        for _ in range(repeats):
            with connection, connection.cursor() as cursor:
                cursor.execute(CHANGE, (CHANGED,))
            changed.append(measure(f"ours: {CHANGED} changed", "ours", url, count))
        results.append(sorted(changed, key=lambda run: run.seconds)[len(changed) // 2])
        results.append(measure_comparison(connection, count, repeats))
    server.drop_database(settings.db_name)
    return results


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--people", type=int, default=300_000)
    parser.add_argument("--founding", type=int, default=FOUNDING_PEOPLE)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", choices=("ours", "founding"), help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.work:
        url = os.environ["BENCH_URL"]
        seconds = run_ours(url) if flags.work == "ours" else run_founding(url, flags.people)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps({"seconds": seconds, "peak_mb": peak}))
        return
    folder = Path(tempfile.mkdtemp(prefix="bench-hub-silver-"))
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "postgres", settings=SERVER_SETTINGS)
    print(f"{flags.people:,} people, then twice as many; {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    try:
        server.ensure_running()
        results = compare(server, flags.people, flags.founding, flags.repeats)
        results += compare(server, 2 * flags.people, 0, 1)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    by_name = {(run.name, run.people): run for run in results}
    ours = by_name["ours: full build", flags.people]
    founding = by_name["founding pattern", flags.founding]
    changed = by_name[f"ours: {CHANGED} changed", flags.people]
    bare = by_name["bare comparison of heads and source tables", flags.people]
    table = [
        [run.name, f"{run.people:,}", f"{run.seconds:.2f}", f"{run.people / run.seconds:,.0f}", run.peak_mb or ""]
        for run in results
    ]
    print(tabulate(table, ["", "people", "seconds", "people a second", "peak MB"], tablefmt="simple"))
    ratio = (ours.people / ours.seconds) / (founding.people / founding.seconds)
    print(f"full build: {ratio:.1f} times faster by rate (bar {BAR:g}, target {TARGET:g})")
    print(f"{CHANGED} changed: {changed.seconds / ours.seconds:.3f} of the full build (bar 0.1)")
    print(f"{CHANGED} changed: {changed.seconds / bare.seconds:.2f} times the bare comparison (bar 2)")
    larger = by_name["ours: full build", 2 * flags.people]
    print(f"our peak memory: {ours.peak_mb} MB (bar {BAR_MB}), of twice as many people {larger.peak_mb} MB")
    if flags.json:
        flags.json.write_text(json.dumps([asdict(run) for run in results], indent=1))


if __name__ == "__main__":
    main()
