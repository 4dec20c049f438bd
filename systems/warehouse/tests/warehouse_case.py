"""A warehouse as a test uses it: its commands, its files, its configuration."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from warehouse.__main__ import main
from warehouse.configuration import DatasetConfig, read_configuration
from warehouse.publishing import publication_of
from warehouse.reading import ask, digests
from warehouse.sample_sources.drugs import Drugs
from warehouse.sample_sources.server import SampleSources
from warehouse.targets.bucket import Bucket
from warehouse.targets.folder import Folder
from warehouse.targets.target import Target
from warehouse.warehouse_settings import ETL_DIR

CDER, NSDE, UNFINISHED = "/ndctext.zip", "/nsde.zip", "/unfinished.zip"
EVERYWHERE = pytest.mark.parametrize("anywhere", ["folder", "s3"], indirect=True)
"""For a test that needs the bucket at short counts, too."""

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
        self.target: Target = Folder(self.root)
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self._second = 0
        shutil.copytree(ETL_DIR, self.etl)
        for name, path in (("fda-cder", CDER), ("fda-nsde", NSDE), ("fda-ndc-unfinished", UNFINISHED)):
            self.configure(name, lambda config, path=path: config.update(source_url=sources.url + path))

    def configure(self, name: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change a dataset's configuration."""
        path = self.etl / name / "config.json"
        config = json.loads(path.read_text())
        change(config)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(config))

    def move_to(self, bucket: Bucket) -> None:
        """Let the warehouse lie in a bucket."""
        self._monkeypatch.setenv("WAREHOUSE_TARGET", bucket.url)
        self._monkeypatch.setenv("WAREHOUSE_LOCK_SECONDS", "1")
        self.target = bucket

    def serve(self, drugs: Drugs) -> None:
        """Let the sources have a day's drugs."""
        self.sources.put(CDER, drugs.cder(), MODIFIED)
        self.sources.put(NSDE, drugs.nsde(), MODIFIED)
        self.sources.put(UNFINISHED, drugs.unfinished(), MODIFIED)

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

    def files(self) -> dict[str, bytes]:
        """Return everything that lies in the target, but for its locks."""
        keys = [stored.key for stored in self.target.stored("") if not stored.key.startswith("locks/")]
        return {key: found.content for key in keys if (found := self.target.read(key))}

    def digests(self, dataset: str) -> dict[str, dict[str, Any]]:
        """Return the digests of the current run's tables."""
        config = read_configuration(self.etl).dataset(dataset)
        manifest = publication_of(self.target, config).current()
        assert manifest is not None
        return digests(self.target, config, manifest)

    def ask(self, dataset: str, statement: str) -> list[dict[str, Any]]:
        """Return what a statement finds."""
        found = self.command("show", dataset, "--sql", statement)
        assert found.exit_code == 0, found.text
        rows: list[dict[str, Any]] = found.figures["rows"]
        return rows


COUNT = "select count(*) as rows, count(distinct meta_run_id) as runs from fda_cder_products"
STEPS = ("write", "upload", "copy", "delete", "swap")
"""What a run does to its target."""


def in_a_process(body: Callable[[], int]) -> int:
    """Start a process of its own, which says nothing; return its number."""
    child = os.fork()
    if child == 0:
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        os._exit(body())
    return child


def is_killed_at(step: int, kind: type[Target], arguments: Sequence[str]) -> bool:
    """Run a command in a process that is killed before its nth step on a target; tell whether it came so far."""

    def body() -> int:
        taken = 0

        def counted(method: Callable[..., Any]) -> Callable[..., Any]:
            def call(self: Target, *parameters: Any) -> Any:
                nonlocal taken
                taken += 1
                if taken == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return method(self, *parameters)

            return call

        for name in STEPS:
            setattr(kind, name, counted(getattr(kind, name)))
        return main([*arguments])

    return os.WIFSIGNALED(os.waitpid(in_a_process(body), 0)[1])


@contextmanager
def watched(target: Target, dataset: DatasetConfig, right: set[int], pause: float) -> Iterator[None]:
    """Have a reader look all the while: it sees one whole run each time, and each of the right counts in the end."""
    seen: set[int] = set()
    wrong: list[object] = []
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            try:
                _, [(rows, runs)] = ask(target, dataset, COUNT)
                seen.add(rows)
                if runs != 1 or rows not in right:
                    wrong.append((rows, runs))
            except Exception as error:  # noqa: BLE001 - whatever it is, a reader shall not see it
                wrong.append(error)
            time.sleep(pause)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        yield
    finally:
        is_over.set()
        reader.join()
    assert wrong == []
    assert seen == right
