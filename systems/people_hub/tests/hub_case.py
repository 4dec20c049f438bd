"""A hub to test with: a database, the real commands in this process or in one of their own, what bronze holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from etlkit.postgres import connect
from etlkit.settings import DatabaseSettings
from people_hub.__main__ import main
from people_hub.hub_settings import PROJECT_DIR

PEOPLE = 120
PACKAGE = PROJECT_DIR / "people_hub"
BRONZE = (
    "select source_system, entity_type, external_id, entity_hash, is_tombstone, raw_data, "
    "row_number() over (partition by source_system, entity_type, external_id order by raw_id) as version "
    "from bronze.raw_entities order by 1, 2, 3, 7"
)
BROKEN_HEADS = (
    "select h.* from bronze.entity_heads h left join bronze.raw_entities r using (raw_id) "
    "where r.raw_id is null or h.is_deleted <> r.is_tombstone "
    "or (h.hash_version = r.hash_version and h.entity_hash <> r.entity_hash) "
    "or h.raw_id <> (select max(raw_id) from bronze.raw_entities v "
    "where (v.source_system, v.entity_type, v.external_id) = (h.source_system, h.entity_type, h.external_id)) "
    "union all select h.* from bronze.raw_entities r left join bronze.entity_heads h "
    "using (source_system, entity_type, external_id) where h.raw_id is null"
)
OPEN_REJECTS = "select source, position, reasons from meta.rejected_records where resolved_at is null order by 1, 2"
TRACES = ("bronze.raw_entities", "bronze.entity_heads", "bronze.detail_fetches", "meta.stream_state",
          "meta.ingestion_runs", "meta.rejected_records")  # fmt: skip


@dataclass
class Result:
    """How a command ended: exit code, its JSON object, and what a person saw."""

    exit_code: int
    figures: dict[str, Any]
    text: str

    @property
    def stream(self) -> dict[str, Any]:
        """The figures of the only stream."""
        (found,) = self.figures["streams"]
        return found

    @property
    def counts(self) -> tuple[int, int, int, int, int]:
        """Created, updated, skipped, deleted, failed."""
        assert "error" not in self.stream, self.stream["error"]
        return tuple(self.stream[f"records_{name}"] for name in ("created", "updated", "skipped", "deleted", "failed"))


class Hub:
    """A hub of a test's own."""

    def __init__(
        self,
        database: DatabaseSettings,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.database = database
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.set(DATABASE_URL=self.url, LOG_DIR=str(folder / "logs"))

    @property
    def url(self) -> str:
        found = self.database
        word = found.db_password.get_secret_value()
        return f"postgresql://{found.db_user}:{word}@{found.db_host}:{found.db_port}/{found.db_name}"

    def set(self, **settings: str) -> None:
        """Set variables of the environment."""
        for name, value in settings.items():
            self._monkeypatch.setenv(name, value)

    def unset(self, *names: str) -> None:
        for name in names:
            self._monkeypatch.delenv(name, raising=False)

    def run(self, *arguments: str) -> Result:
        """Run a command of the program in this process."""
        self._capsys.readouterr()
        code = main([*arguments, "--json"])
        out, err = self._capsys.readouterr()
        return Result(code, json.loads(out) if out.strip() else {}, err)

    def ingest(self, name: str, *flags: str) -> Result:
        """Run one ingest stream."""
        return self.run("ingest", "--only", name, *flags)

    def enrich(self, name: str, *flags: str) -> Result:
        """Run one enrich stream."""
        return self.run("enrich", "--only", name, *flags)

    def start(self, script: str, *flags: str, **more: Any) -> subprocess.Popen[str]:
        """Start a script by its path as a process of its own."""
        return subprocess.Popen(
            [sys.executable, str(PACKAGE / f"{script}.py"), *flags],
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **more,
        )

    def query(self, text: str, *parameters: object) -> list[tuple[Any, ...]]:
        with closing(connect(self.database, "test")) as connection, connection, connection.cursor() as cursor:
            cursor.execute(text, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def bronze(self) -> list[tuple[Any, ...]]:
        """Every version of every record, without what differs from run to run."""
        assert self.query(BROKEN_HEADS) == []
        return self.query(BRONZE)

    def heads(self, stream: str) -> dict[str, str]:
        """The key and hash of every living record of a stream."""
        return dict(
            self.query(
                "select external_id, entity_hash from bronze.entity_heads "
                "where source_system || '/' || entity_type = %s and not is_deleted",
                stream,
            )
        )

    def tombstones(self) -> int:
        return self.query("select count(*) from bronze.raw_entities where is_tombstone")[0][0]

    def rejects(self) -> list[tuple[Any, ...]]:
        return self.query(OPEN_REJECTS)

    def last_run(self) -> dict[str, Any]:
        names = ("status", "records_processed", "records_created", "records_updated", "error_message", "metadata")
        (row,) = self.query(f"select {', '.join(names)} from meta.ingestion_runs order by started_at desc limit 1")
        return dict(zip(names, row, strict=True))

    def traces(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that a run may write, as it is."""
        return {table: self.query(f"select * from {table} t order by t::text") for table in TRACES}
