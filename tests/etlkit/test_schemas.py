"""Schemas: applied twice is applied once, broken is not applied, and a program asks for its own."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import pytest
from kit_database import META, connections, emptied, made_database, rows, sql_writer, value
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from etlkit.errors import ConfigError, LoadError
from etlkit.postgres import Schema, apply_schema, connect, require_schema

pytestmark = pytest.mark.database

SCHEMA = Path(__file__).resolve().parents[2] / "schema.sql"
CATALOGUE = """
    select n.nspname, c.relname, c.relkind, a.attname, a.atttypid, a.attnotnull
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
    where n.nspname in ('public', 'meta')
    order by 1, 2, 4
"""


@pytest.fixture(scope="module")
def kit_database(postgres):
    """The database of this module's tests."""
    with made_database(postgres, "kit_schemas") as made:
        yield made


@pytest.fixture
def database(kit_database):
    """The module's database, without anything of an earlier test."""
    return emptied(kit_database)


@pytest.fixture
def sql_file(tmp_path):
    """Return a function that writes a SQL file."""
    return sql_writer(tmp_path)


@pytest.fixture
def opened(database):
    """Return a function that opens connections to the test's database, which are closed after the test."""
    with connections(database) as opened:
        yield opened


def test_the_schema_contains_the_kits_part_to_the_letter():
    assert META.read_text(encoding="utf-8") in SCHEMA.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [SCHEMA, META], ids=["schema.sql", "meta.sql"])
def test_a_schema_applied_twice_is_applied_once(empty_database, path):
    with closing(connect(empty_database, "test")) as connection:
        apply_schema(connection, path)
        with connection, connection.cursor() as cursor:
            cursor.execute("insert into meta.schema_version (system, version) values ('kept', 7)")
        catalogue = rows(connection, CATALOGUE)
        versions = rows(connection, "table meta.schema_version")
        connection.rollback()
        apply_schema(connection, path)
        assert rows(connection, CATALOGUE) == catalogue
        assert rows(connection, "table meta.schema_version") == versions
    assert any(row[1] == "ingestion_runs" for row in catalogue)


@pytest.mark.parametrize("frame", ["{}", "begin;\n{}\ncommit;"], ids=["plain", "with its own begin and commit"])
def test_a_schema_broken_in_the_middle_leaves_nothing(empty_database, sql_file, frame):
    path = sql_file(
        frame.format("create table first (n integer);\nselect 1 / 0;\ncreate table last (n integer);"), "broken.sql"
    )
    with closing(connect(empty_database, "test")) as connection:
        with pytest.raises(LoadError, match=r"^applying broken\.sql: division by zero"):
            apply_schema(connection, path)
        assert connection.info.transaction_status == TRANSACTION_STATUS_IDLE
        assert rows(connection, CATALOGUE) == []


def test_the_museums_schema_is_all_or_nothing(empty_database, sql_file):
    text = SCHEMA.read_text(encoding="utf-8")
    places = [found.start() for found in re.finditer(r"^create table", text, re.MULTILINE)]
    middle = places[len(places) // 2]
    path = sql_file(f"{text[:middle]}select 1 / 0;\n{text[middle:]}", "schema.sql")
    with closing(connect(empty_database, "test")) as connection:
        with pytest.raises(LoadError, match="division by zero"):
            apply_schema(connection, path)
        assert rows(connection, CATALOGUE) == []
        assert not value(connection, "select exists (select from pg_namespace where nspname = 'meta')")


def check_schema(connection, version):
    require_schema(connection, Schema("kit", version, "python load.py --apply-schema"))


def set_version(connection, version, system="kit"):
    with connection, connection.cursor() as cursor:
        cursor.execute("insert into meta.schema_version (system, version) values (%s, %s)", (system, version))


def test_a_database_without_any_schema_is_refused_with_the_command_to_run(empty_database):
    with (
        closing(connect(empty_database, "test")) as connection,
        pytest.raises(ConfigError, match=r"no kit schema yet\. Run once: python load\.py --apply-schema\. Nothing"),
    ):
        check_schema(connection, 1)


def test_the_schema_of_another_system_does_not_count(opened):
    worker = opened()
    set_version(worker, 5, "museum")
    with pytest.raises(ConfigError, match="no kit schema yet"):
        check_schema(worker, 1)


def test_an_older_schema_is_refused_with_the_command_to_run(opened):
    worker = opened()
    set_version(worker, 2)
    with pytest.raises(ConfigError, match=r"has version 2 of the kit schema, this program needs 3") as caught:
        check_schema(worker, 3)
    assert "Upgrade it with: python load.py --apply-schema. Nothing was touched." in str(caught.value)


@pytest.mark.parametrize("version", [3, 4])
def test_the_same_schema_and_a_newer_one_will_do(opened, version):
    worker = opened()
    set_version(worker, version)
    check_schema(worker, 3)
    assert worker.info.transaction_status == TRANSACTION_STATUS_IDLE
