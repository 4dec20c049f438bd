"""What the Dockerfile promises, tried without a Docker engine: lint, an unprivileged user, a read-only tree."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from monitor_case import Monitor, wait_until

from etlkit.testing import make_server_home

PROJECT_DIR = Path(__file__).resolve().parents[1]
DOCKERFILE = PROJECT_DIR / "Dockerfile"
NOBODY = 65534
COMMANDS = {
    "worker": ["manage.py", "run_worker"],
    "server": ["-m", "gunicorn", "--bind", "127.0.0.1:0", "file_monitoring.wsgi"],
}


def test_the_linter_has_nothing_to_say():
    hadolint = Path(sysconfig.get_path("scripts")) / "hadolint"
    assert subprocess.run([str(hadolint), str(DOCKERFILE)], capture_output=True, text=True, check=False).stdout == ""


def test_what_it_copies_is_there_and_nothing_secret_is():
    root = PROJECT_DIR.parents[1]
    text = DOCKERFILE.read_text()
    copied = [word for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert copied
    for name in copied:
        assert (root / name).exists(), name
    ignored = (root / ".dockerignore").read_text().splitlines()
    for pattern in ("**/.env", "**/.venv", "**/.local"):
        assert pattern in ignored
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert re.findall(r"^CMD (.+)$", text, re.MULTILINE) == ['["python", "manage.py", "run_worker"]']


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    """The image's /app as the Dockerfile fills it, its packages not editable; read-only, where all can reach it."""
    home = make_server_home("image")
    app, source = home / "app", home / "source"
    app.mkdir(parents=True)
    root = PROJECT_DIR.parents[1]
    ignore = shutil.ignore_patterns(
        ".venv", ".local", "*.egg-info", "__pycache__", ".hypothesis", ".pytest_cache", "build"
    )
    shutil.copytree(root / "etlkit", source / "etlkit", ignore=ignore)
    shutil.copytree(PROJECT_DIR, source / "systems" / "file_monitoring", ignore=ignore)
    shutil.copy(root / "pyproject.toml", source)
    packages = app / "packages"
    subprocess.run(
        [
            str(root / ".venv" / "bin" / "uv"), "pip", "install", "--system-certs", "--quiet", "--no-deps",
            "--python", sys.executable, "--target", str(packages), str(source),
            str(source / "systems" / "file_monitoring"),
        ],
        check=True,
    )  # fmt: skip
    for name in ("manage.py", "gunicorn.conf.py"):
        shutil.copy(PROJECT_DIR / name, app)
    for path in app.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield app
    for path in app.rglob("*/"):
        path.chmod(0o755)
    shutil.rmtree(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_as_nobody_on_a_read_only_tree_and_stops_with_0(monitor: Monitor, tree: Path, command: str):
    path = f"{tree / 'packages'}:{sysconfig.get_path('purelib')}"
    scratch = tree.parent / f"scratch-{command}"
    scratch.mkdir()
    os.chown(scratch, NOBODY, NOBODY)
    alive = scratch / "alive"
    settings = {
        name: value for name, value in monitor.settings.items() if name != "SCRATCH_DIR"
    } | {
        "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(scratch), "HOME": "/nonexistent",
        "DJANGO_SETTINGS_MODULE": "file_monitoring.settings", "WORKER_HEALTH_FILE": str(alive), "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    arguments = COMMANDS[command]
    program = _reachable_python(path)
    monitor.expect()
    monitor.send(monitor.event(eTag=monitor.put()))
    process = subprocess.Popen(
        [program, *arguments],
        cwd=tree,
        env=settings,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        stderr=subprocess.PIPE,
        text=True,
    )
    if command == "worker":
        wait_until(lambda: monitor.scores() == [100], "the score")
    else:
        time.sleep(3)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert [path.name for path in scratch.iterdir() if path.is_dir()] == []


def _reachable_python(path: str) -> str:
    """Return a Python of this version that an unprivileged user may run, with what the image installs."""
    for program in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        try:
            tried = subprocess.run(
                [program, "-c", "import django, duckdb, file_monitoring"],
                env={"PYTHONPATH": path},
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                cwd="/",
                check=False,
                capture_output=True,
            )
        except OSError:
            continue
        if tried.returncode == 0:
            return program
    pytest.skip("no unprivileged user may run this Python")
