"""The kit's laws where there is no database: manifests stand in for tables and history, quarantine for the rejects."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from warehouse_case import CDER

from etlkit.errors import LockedError
from etlkit.testing.laws import HOLDER, PROCESS_SECONDS, Ended, Fed, Laws, Reject, Sum, System, finished
from warehouse.publishing import Publication
from warehouse.reading import quarantine
from warehouse.sample_sources.drugs import Drugs

DATASET = "fda-cder"
SECRETS = ("query-secret", "pass-word", "very-secret-key")


class BronzeJob(System):
    """`run` of one dataset, in a folder or in a bucket."""

    secrets = SECRETS
    run_id = "[0-9]{8}_[0-9]{6}"
    status_on_sigterm = None
    required_settings = ("WAREHOUSE_ATTEMPTS", "WAREHOUSE_ENGINE", "WAREHOUSE_LOCK_SECONDS")

    def __init__(self, warehouse, monkeypatch, temporary):
        self.warehouse, self._monkeypatch = warehouse, monkeypatch
        self.log_file = warehouse.root.parent / "warehouse.log"
        self.temporary = temporary
        self._publication = Publication(warehouse.target, DATASET)

    def feed(self):
        lines = (b"only\ttwo", b"three\tof\tthem")
        self.warehouse.serve(Drugs(products=40, extra_product_lines=lines))
        return Fed(40 + 2 + 80, {"only\ttwo": "2 fields instead of 20", "three\tof\tthem": "3 fields instead of 20"})

    def forget_settings(self):
        for name, value in zip(self.required_settings, ("0", "polars", "soon"), strict=True):
            self._monkeypatch.setenv(name, value)

    def run(self, *flags):
        done = self.warehouse.run(DATASET, *flags)
        return Ended(done.exit_code, done.figures, done.text)

    def command(self):
        return ["-m", "warehouse", "run", DATASET]

    def sum(self, figures):
        tables = figures["tables"].values()
        told = [sum(table[name] for table in tables) for name in ("rows_in", "rows", "quarantined")]
        return Sum(told[0], told[1], 0, told[2])

    def tables(self):
        return self.warehouse.digests(DATASET) if self._publication.current() else {}

    def stored(self):
        return sum(table["rows"] for table in self.tables().values())

    def rejects(self):
        rows = quarantine(self.warehouse.target, self._publication.current())
        return [
            Reject(f"{row['source_file']} {row['row_number']}", row["raw_line"].encode(), (row["reason"],))
            for row in (rows.to_pylist() if rows else ())
        ]

    def history(self):
        return [("completed", None) for _ in self._publication.runs()] if self._publication.current() else []

    def traces(self):
        return self.warehouse.files()

    @contextmanager
    def held(self):
        with self.warehouse.target.lock(DATASET, HOLDER):
            yield

    def is_held(self):
        try:
            with self.warehouse.target.lock(DATASET, "another"):
                return False
        except LockedError:
            return True

    @contextmanager
    def blocked(self):
        """Let the source drip."""
        sources = self.warehouse.sources
        sources.files[CDER].faults = ["drip"]
        asked = len(sources.requests)

        def wait_until_it_waits(process: subprocess.Popen[str]) -> None:
            deadline = time.monotonic() + PROCESS_SECONDS
            while len(sources.requests) == asked:
                assert process.poll() is None, finished(process)
                assert time.monotonic() < deadline
                time.sleep(0.05)
            time.sleep(0.3)

        yield wait_until_it_waits
        assert [*self.temporary.iterdir()] == []

    @contextmanager
    def away(self):
        self._ask("http://127.0.0.1:1/x.zip")
        yield "127.0.0.1:1/x.zip"

    def refusals(self):
        """Ask with a login and a key in the address, of a source that refuses and of one that is away."""
        self._monkeypatch.setenv("AWS_SECRET_KEY", "very-secret-key")
        self._monkeypatch.setenv("AWS_ACCESS_KEY", "a-key")
        shown = []
        with_login = self.warehouse.sources.url.replace("http://", "http://user:pass-word@")
        for address in (f"{with_login}/nothing.zip", "http://user:pass-word@127.0.0.1:1/x"):
            self._ask(f"{address}?apiKey=query-secret")
            exit_code, *told = self.finish("--log-level", "DEBUG", "--force")
            assert exit_code == 1
            shown += told
        return [*shown, self.warehouse.command("datasets").text]

    def _ask(self, url):
        self.warehouse.configure(DATASET, lambda config: config.update(source_url=url))


@pytest.fixture
def system(anywhere, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))  # of processes; this one has chosen its own already
    return BronzeJob(anywhere, monkeypatch, folder)


class TestLaws(Laws):
    """All of them, in a folder and in a bucket."""


def test_output_that_nobody_takes_is_told(system):
    system.feed()
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, *system.command(), "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 5
    assert "standard output could not be written" in done.stderr
    assert system.stored() == 120


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_other_signals_leave_what_was_there_too(system, number):
    system.feed()
    system.run()
    before = system.traces()
    system.warehouse.serve(Drugs(products=41))
    with system.blocked() as wait_until_it_waits, system.started("--force") as process:
        wait_until_it_waits(process)
        process.send_signal(number)
        exit_code, out, err = finished(process)
    assert exit_code == 128 + number, out + err
    assert f"stopped by {number.name}" in out
    assert "Traceback" not in out + err
    assert system.traces() == before
    assert system.run().exit_code == 0


def test_wrong_settings_are_told_with_what_is_expected(system):
    system.forget_settings()
    refused = system.run().text
    for words in ("WAREHOUSE_ATTEMPTS is '0'", "WAREHOUSE_ENGINE is 'polars', expected duckdb or spark"):
        assert words in refused


def test_an_unknown_setting_is_told(system, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_TARGETS", "x")
    told = system.warehouse.command("check").text
    assert "unknown setting WAREHOUSE_TARGETS in the environment; did you mean WAREHOUSE_TARGET?" in told
