"""Real servers: the stand-in for TMDB as a process; the kit's plugin brings Postgres."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from works_case import Works

from binge_works import binge_settings
from binge_works.sample_tmdb.stand_in import StandIn
from etlkit.settings import DatabaseSettings

pytest_plugins = ["etlkit.testing.plugin"]

SAMPLE_DATA = binge_settings.PROJECT_DIR.parents[2] / "shared" / "data" / "binge_works"


@pytest.fixture(scope="session")
def schema_files() -> tuple[Path, ...]:
    return (binge_settings.META_FILE, binge_settings.SCHEMA_FILE)


@pytest.fixture(autouse=True)
def no_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no developer's .env leak into a test."""
    monkeypatch.setattr(binge_settings, "ENV_FILE", tmp_path / "no.env")


@pytest.fixture(scope="session")
def _tmdb_process() -> Iterator[StandIn]:
    process = StandIn()
    yield process
    process.close()


@pytest.fixture
def tmdb(_tmdb_process: StandIn) -> StandIn:
    """The stand-in, with empty lists and without faults."""
    _tmdb_process.set_lists(tv=[], movie=[], person=[])
    _tmdb_process.set_faults()
    _tmdb_process.calls(forget=True)
    return _tmdb_process


@pytest.fixture
def works(
    database: DatabaseSettings,
    tmdb: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Works:
    """Binge Works with a database of its own, on the stand-in."""
    return Works(database, tmdb, tmp_path, monkeypatch, capsys)


@pytest.fixture
def real_days() -> Path:
    """The folder of real responses, where it lies beside the project."""
    if not SAMPLE_DATA.is_dir():
        pytest.skip("no sample data beside the project")
    return SAMPLE_DATA


@pytest.fixture
def dagster_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for Dagster's own runs, as the project ships its settings."""
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(binge_settings.PROJECT_DIR / "dagster.yaml", home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    return home
