"""A server that plays the sources; a warehouse in a folder of its own, configured like the real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from warehouse_case import Warehouse

from warehouse import __main__ as command_line
from warehouse.sample_sources.server import SampleSources
from warehouse.warehouse_settings import PROJECT_DIR

pytest_plugins = ["etlkit.testing.plugin"]

SAMPLE_DATA = PROJECT_DIR.parent / "shared" / "data" / "warehouse"


@pytest.fixture(autouse=True)
def no_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no developer's .env leak into a test."""
    monkeypatch.setattr(command_line, "ENV_FILE", tmp_path / "no.env")


@pytest.fixture
def sources() -> Iterator[SampleSources]:
    """The sources, without any file yet."""
    with SampleSources() as server:
        yield server


@pytest.fixture
def warehouse(
    sources: SampleSources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Warehouse:
    """A warehouse in a folder, whose sources are the sample ones."""
    return Warehouse(sources, tmp_path, monkeypatch, capsys)


@pytest.fixture
def sample_data() -> Path:
    """The real samples, where they lie beside the project."""
    if not SAMPLE_DATA.exists():
        pytest.skip("no sample data beside the project")
    return SAMPLE_DATA
