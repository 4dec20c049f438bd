"""Real servers for the hub's tests: two OpenLDAP servers, a REST stand-in; the kit's plugin brings Postgres."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_case import PEOPLE, Hub
from silver_case import Silver

from etlkit.settings import DatabaseSettings
from people_hub import hub_settings
from people_hub.sample_sources import directories
from people_hub.sample_sources.directories import SampleDirectory
from people_hub.sample_sources.people import AD_BASE, MCOMMUNITY_BASE, University
from people_hub.sample_sources.rest_sources import RestSources

pytest_plugins = ["etlkit.testing.plugin"]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def schema_files() -> tuple[Path, ...]:
    return (hub_settings.META_FILE, hub_settings.SCHEMA_FILE)


@pytest.fixture(autouse=True)
def no_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no developer's .env leak into a test."""
    monkeypatch.setattr(hub_settings, "ENV_FILE", tmp_path / "no.env")


@pytest.fixture(scope="session")
def university() -> University:
    return University(people=PEOPLE)


@pytest.fixture(scope="session")
def _rest_process() -> Iterator[RestSources]:
    process = RestSources()
    yield process
    process.stop()


@pytest.fixture
def rest(_rest_process: RestSources, university: University) -> RestSources:
    """The REST stand-in with a university's data, without faults."""
    _rest_process.fill(university)
    _rest_process.set_faults()
    _rest_process.set_settings(token_seconds=3600, limit_calls=0, limit_seconds=60, most_rows=1000, filters_dates=True)
    _rest_process.calls(forget=True)
    return _rest_process


@pytest.fixture
def hub(
    database: DatabaseSettings,
    rest: RestSources,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Hub:
    """The hub with a database of its own, on the REST stand-in."""
    case = Hub(database, tmp_path, monkeypatch, capsys)
    case.set(**rest.environment(), HTTP_BACKOFF_SECONDS="0", HUB_DATA_FOLDER=str(tmp_path / "exports"))
    return case


@pytest.fixture
def silver(hub: Hub) -> Silver:
    """The hub with a bronze that the test writes by hand."""
    return Silver(hub)


def _needs_slapd() -> None:
    if directories.SLAPD is None:
        pytest.skip("slapd is not installed")


@pytest.fixture(scope="session")
def ldap_home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="etl-test-ldap-"))
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def mcommunity(ldap_home: Path, university: University, hub: Hub) -> Iterator[SampleDirectory]:
    """An OpenLDAP that plays MCommunity, with its cap of 350 entries."""
    _needs_slapd()
    directory = SampleDirectory(ldap_home / f"mcommunity{next(_numbers)}", MCOMMUNITY_BASE, is_capped=True)
    directory.load(university.mcommunity_entries())
    directory.start()
    hub.set(**directory.environment())
    yield directory
    directory.stop()


@pytest.fixture
def ad(ldap_home: Path, university: University, hub: Hub) -> Iterator[SampleDirectory]:
    """An OpenLDAP that plays the Active Directory."""
    _needs_slapd()
    directory = SampleDirectory(ldap_home / f"ad{next(_numbers)}", AD_BASE, is_capped=False)
    directory.load(university.ad_entries())
    directory.start()
    hub.set(**directory.environment())
    yield directory
    directory.stop()
