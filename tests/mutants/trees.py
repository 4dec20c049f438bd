"""Throw-away copies of the project, in memory where there is room, and tests that run in them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from etlkit.testing import make_server_home
from mutants.systems import PROJECT_DIR, System

SECONDS = 3600
SECONDS_A_TEST = 120
SECONDS_TO_STOP = 60


class TestsFailError(Exception):
    """The tests fail without any mutant."""

    def __init__(self, run: TestRun) -> None:
        super().__init__(f"the tests fail without any mutant:\n{run.output[-3000:]}")


@dataclass(frozen=True)
class TestRun:
    """How pytest ended, its exit code None when it had to be stopped, and what it printed."""

    code: int | None
    output: str

    def require_success(self) -> None:
        """Raise TestsFailError unless every test passed."""
        if self.code != 0:
            raise TestsFailError(self)


class Tree:
    """A copy of the project's files, the uncommitted ones too, that shares its environments."""

    def __init__(self, root: Path) -> None:
        """Copy."""
        self.root = root
        self._running: subprocess.Popen[str] | None = None
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=PROJECT_DIR, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (PROJECT_DIR / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT_DIR / name, root / name)
        for environment in (PROJECT_DIR / ".venv", *PROJECT_DIR.glob("systems/*/.venv")):
            (root / environment.relative_to(PROJECT_DIR)).symlink_to(environment)

    @contextmanager
    def changed(self, file: str, text: str) -> Iterator[None]:
        """Let a file hold another text meanwhile."""
        path = self.root / file
        before = path.read_text(encoding="utf-8")
        path.write_text(text, encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(before, encoding="utf-8")

    def test(
        self,
        system: System,
        tests: Iterable[str],
        flags: Iterable[str],
        seconds: float = SECONDS,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> TestRun:
        """Run tests of a system on this copy's code; after so many seconds they are interrupted."""
        folder = self.root / system.folder
        arguments = self.root / ".tests"
        arguments.write_text("\n".join(tests), encoding="utf-8")
        paths = [*filter(None, [variables.get("PYTHONPATH")]), str(self.root), str(folder)]
        running = subprocess.Popen(
            [".venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0",
             f"--timeout={SECONDS_A_TEST}", *flags, f"@{arguments}"],
            cwd=folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **variables, "PYTHONPATH": os.pathsep.join(paths)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            start_new_session=True,  # a terminal's interrupt reaches it through us, and once
        )  # fmt: skip
        self._running = running
        try:
            output, _ = running.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.interrupt()
            return TestRun(None, running.communicate()[0])
        except BaseException:
            self.interrupt()
            raise
        return TestRun(running.returncode, output)

    def interrupt(self) -> None:
        """Let the tests that run end as at Ctrl-C, so that they stop their servers; kill them when they do not."""
        if self._running is None or self._running.poll() is not None:
            return
        self._running.send_signal(signal.SIGINT)
        try:
            self._running.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._running.kill()


@contextmanager
def new_tree() -> Iterator[Tree]:
    """Make a copy of the project, and remove it in the end."""
    root = make_server_home("mutants")
    try:
        yield Tree(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)
