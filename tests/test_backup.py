"""Backup and restore as docs/operations.md says: the restored museum is the old one, and the next load goes on."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest
from live_case import call, press
from museum_case import miscounted_hours

pytestmark = pytest.mark.database


@pytest.fixture
def restored_database(postgres, database):
    settings = postgres.ensure_database(f"{database.db_name}_restored")
    yield settings
    assert miscounted_hours(settings) == []
    postgres.drop_database(settings.db_name)


def run(postgres, settings, program: str, *words: str) -> None:
    where = ["-h", settings.db_host, "-p", str(settings.db_port), "-U", settings.db_user]
    command = [str(postgres.binary(program)), *where, *words]
    environment = {**os.environ, "PGPASSWORD": settings.db_password.get_secret_value()}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def restore(postgres, source, target, dump) -> None:
    run(postgres, source, "pg_dump", "-Fc", "-d", source.db_name, "-f", str(dump))
    restoring = ["--exit-on-error", "--no-owner", "--no-privileges", "-d", target.db_name, str(dump)]
    run(postgres, target, "pg_restore", *restoring)


def test_a_restored_museum_is_the_old_one_and_the_next_load_goes_on(museum, restored_database, postgres, tmp_path):
    museum.exhibition(0)
    museum.kiosk(0, "2023-03-06 10:00:00,0,3,", "2023-03-06 10:00:01,0,-1,1", "2023-03-06 10:00:02,7,1,", "x,0,1,")
    museum.push()
    museum.run("load", "--apply-roles", *museum.database_flags)
    museum.kiosk(1, "2023-03-06 11:00:00,0,4,")
    museum.push()
    restore(postgres, museum.database, restored_database, tmp_path / "museum.dump")

    restored = replace(museum, database=restored_database)
    assert restored.tables_with_ids() == museum.tables_with_ids()
    assert restored.rejects() == museum.rejects()
    assert restored.query("select run_id, status from meta.ingestion_runs order by started_at") == museum.query(
        "select run_id, status from meta.ingestion_runs order by started_at"
    )
    assert restored.push().load["rows_stored"] == 0
    restored.kiosk(2, "2023-03-06 12:00:00,0,4,")
    restored.exhibition(7)
    assert restored.push().load["rows_stored"] == 2
    assert restored.run("load", "--apply-schema", *restored.database_flags).exit_code == 0
    assert restored.run("load", "--apply-roles", *restored.database_flags).exit_code == 0


def test_a_restored_museum_knows_where_its_archive_ends(archive, restored_database, postgres, tmp_path):
    archive.move("2024-04")
    restore(postgres, archive.museum.database, restored_database, tmp_path / "museum.dump")
    restored = replace(archive, museum=replace(archive.museum, database=restored_database))
    assert (restored.border(), restored.kept(), restored.tally()) == (archive.border(), archive.kept(), archive.tally())
    assert restored.museum.push().load["rows_stored"] == 0
    assert restored.run("restore", "2000-01").figures["archive"]["reviews"] == 6
    assert restored.museum.push().load["rows_already_there"] == 9


def test_the_consumer_of_a_restored_museum_reads_again_what_the_dump_had_not_seen(
    live, restored_database, postgres, tmp_path
):
    live.produce([press(number) for number in range(10)] + [call(10, 1)], partition=0)
    live.consume()
    restore(postgres, live.museum.database, restored_database, tmp_path / "museum.dump")
    live.produce([press(number) for number in range(11, 16)] + [press(16, val=9)], partition=0)
    live.consume()
    after = live.state()
    live.museum.database = restored_database
    assert live.stored() == 11
    assert live.consume().figures["live"]["stored"] == 5
    assert live.state() == after
