"""A warehouse as a test uses it: its commands, its files, its configuration."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from warehouse.__main__ import main
from warehouse.configuration import read_configuration
from warehouse.publishing import Publication
from warehouse.reading import digests
from warehouse.sample_sources.drugs import Drugs
from warehouse.sample_sources.server import SampleSources
from warehouse.targets.folder import Folder
from warehouse.warehouse_settings import ETL_DIR

CDER, NSDE = "/ndctext.zip", "/nsde.zip"
MODIFIED = 1_795_000_000.0
"""2026-11-18, in seconds."""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    exit_code: int
    figures: dict[str, Any]
    text: str


class Warehouse:
    """A target in a folder, and a configuration that asks the sample sources."""

    def __init__(
        self,
        sources: SampleSources,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Copy the configuration and point it at the sources."""
        self.sources = sources
        self.root = folder / "target"
        self.etl = folder / "etl"
        self.environment = {
            "WAREHOUSE_TARGET": str(self.root),
            "WAREHOUSE_ETL_DIR": str(self.etl),
            "WAREHOUSE_LOG_FILE": str(folder / "warehouse.log"),
            "WAREHOUSE_BACKOFF_SECONDS": "0",
        }
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        self._capsys = capsys
        self._second = 0
        shutil.copytree(ETL_DIR, self.etl)
        for name, path in (("fda-cder", CDER), ("fda-nsde", NSDE), ("fda-ndc-unfinished", "/unfinished.zip")):
            self.configure(name, lambda config, path=path: config.update(source_url=sources.url + path))

    def configure(self, name: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change a dataset's configuration."""
        path = self.etl / name / "config.json"
        config = json.loads(path.read_text())
        change(config)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(config))

    def serve(self, drugs: Drugs) -> None:
        """Let both sources have a day's drugs."""
        self.sources.put(CDER, drugs.cder(), MODIFIED)
        self.sources.put(NSDE, drugs.nsde(), MODIFIED)

    def command(self, *arguments: str) -> Result:
        """Run a command with --json."""
        self._capsys.readouterr()
        code = main([*arguments, "--json"])
        out, err = self._capsys.readouterr()
        return Result(code, json.loads(out) if out else {}, err)

    def run(self, dataset: str, *flags: str, run_id: str | None = None) -> Result:
        """Run a dataset's bronze job under a run id of its own."""
        self._second += 1
        return self.command("run", dataset, "--run-id", run_id or f"20261128_06{self._second:04}", *flags)

    def target(self) -> Folder:
        """Return the target."""
        return Folder(self.root)

    def files(self) -> dict[str, bytes]:
        """Return everything that lies in the target, but for its locks."""
        return {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and "locks" not in path.parts
        }

    def digests(self, dataset: str) -> dict[str, dict[str, Any]]:
        """Return the digests of the current run's tables."""
        config = read_configuration(self.etl).dataset(dataset)
        target = self.target()
        manifest = Publication(target, dataset).current()
        assert manifest is not None
        return digests(target, config, manifest)

    def ask(self, dataset: str, statement: str) -> list[dict[str, Any]]:
        """Return what a statement finds."""
        found = self.command("show", dataset, "--sql", statement)
        assert found.exit_code == 0, found.text
        rows: list[dict[str, Any]] = found.figures["rows"]
        return rows
