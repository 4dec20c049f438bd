"""Bronze as a test wants it, version by version, and what silver says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any
from uuid import uuid4

from hub_case import Hub, Result

from etlkit.postgres import connect, unit_of_work
from people_hub.bronze.canonical import read_content
from people_hub.bronze.store import Version, store_versions
from people_hub.scripts import streams, transforms

TDX, UMAPI, MCOM, AD, KEY = "tdx", "umich_api", "mcommunity_ldap", "active_directory", "key_client"
KEYS = {script.job.name: script.job for script in streams()}
TOMBSTONE = """
    with gone as (
        insert into bronze.raw_entities (
            source_system, entity_type, external_id, raw_data, entity_hash, hash_version, is_tombstone,
            ingestion_run_id)
        select source_system, entity_type, external_id, '{}', entity_hash, hash_version, true, gen_random_uuid()
        from bronze.entity_heads
        where source_system || '/' || entity_type = %s and external_id = any (%s) and not is_deleted
        returning *
    )
    update bronze.entity_heads h set raw_id = g.raw_id, is_deleted = true from gone g
    where (h.source_system, h.entity_type, h.external_id) = (g.source_system, g.entity_type, g.external_id)
"""
UNTOLD = {"created_at", "updated_at", "ingestion_run_id"}
"""What differs from run to run."""
TABLES = "select tablename from pg_tables where schemaname = 'silver' order by 1"


class Silver:
    """A hub whose bronze is written by hand."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def put(self, stream: str, *records: Mapping[str, Any]) -> None:
        """Store a new version of some records."""
        job = KEYS[stream]
        versions = [
            Version(job.source_system, job.entity_type, job.external_id(one), read_content(dict(one), job.volatile))
            for one in records
        ]
        with closing(connect(self.hub.database, "test")) as connection, unit_of_work(connection) as cursor:
            assert store_versions(cursor, versions, uuid4()) == []

    def put_person(self, name: str, records: Mapping[str, Mapping[str, Any]]) -> None:
        """Store a person's records, by source."""
        keys = {
            TDX: {"UID": f"uid-{name}", "AlternateID": name, "IsActive": True},
            UMAPI: {"EmplId": f"empl-{name}", "EmplRcd": 0, "UniqName": name.upper()},
            MCOM: {"uidNumber": f"uidn-{name}", "uid": name, "dn": f"uid={name},ou=People,dc=x"},
            AD: {"objectGUID": f"guid-{name}", "sAMAccountName": name, "dn": f"CN={name},OU=A,DC=x"},
        }
        for source, record in records.items():
            self.put(f"{source}/user", {**keys[source], **record})

    def put_assets(self, *assets: tuple[Mapping[str, Any], Mapping[str, Any]]) -> None:
        """Store assets as the search and the detail give them."""
        for listed, detail in assets:
            self.put("tdx/asset", listed)
            self.put("tdx/asset_detail", detail)

    def bury(self, stream: str, *keys: str) -> None:
        """Store a tombstone of some records."""
        self.hub.query(TOMBSTONE, stream, list(keys))

    def transform(self, *flags: str, only: Sequence[str] = ()) -> Result:
        """Run the transforms."""
        return self.hub.run("transform", *(["--only", *only] if only else []), *flags)

    def rows(self, table: str, **where: object) -> list[dict[str, Any]]:
        """Return rows of a table as dictionaries."""
        condition = " and ".join(f"{name} = %s" for name in where) or "true"
        found = self.hub.query(f"select to_jsonb(t) from {table} t where {condition} order by t::text", *where.values())
        return [row for (row,) in found]

    def person(self, uniqname: str) -> dict[str, Any] | None:
        """Return one person."""
        return next(iter(self.rows("silver.users", uniqname=uniqname)), None)

    def table_names(self) -> list[str]:
        """Return the names of silver's tables."""
        return [name for (name,) in self.hub.query(TABLES)]

    def tables(self) -> dict[str, list[str]]:
        """Return all of silver, but for times and runs."""
        return {
            table: sorted(
                str(sorted((name, value) for name, value in row.items() if name not in UNTOLD))
                for row in self.rows(f"silver.{table}")
            )
            for table in self.table_names()
        }

    def rebuilt(self) -> dict[str, list[str]]:
        """Empty silver, build it anew, and return it."""
        names = ", ".join(f"silver.{table}" for table in self.table_names())
        self.hub.query(f"truncate {names}")
        result = self.transform()
        assert result.exit_code in (0, 3), result.text
        return self.tables()

    def versions_written(self) -> list[tuple[Any, ...]]:
        """Return where every row of silver lies and who wrote it last, so that a write shows."""
        return [
            (table, *row)
            for table in self.table_names()
            for row in self.hub.query(f"select ctid::text, xmin::text from silver.{table} order by 1")
        ]


def entities() -> Iterable[str]:
    return [transform.table for transform in transforms()]


def asset(
    number: int,
    name: str | None = None,
    serial: str | None = None,
    macs: str | None = None,
    status: str = "Active",
    **more: object,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an asset as the search and the detail give it."""
    return {"ID": number, "Name": name, "SerialNumber": serial, "StatusName": status, **more}, {
        "ID": number, "Attributes": [{"Name": "MAC Address(es)", "Value": macs}],
    }  # fmt: skip


def card(mac: str, name: str | None = None, serial: str | None = None, **more: object) -> dict[str, Any]:
    """Return a row of KeyConfigure's export: a network card of a computer."""
    return {"MAC": mac, "Name": name, "OEM SN": serial, **more}
