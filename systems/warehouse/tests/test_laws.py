"""The house's laws where there is no database: manifest and pointer stand in for the tables, quarantine for the rejects.

The sum, the second run, the lock, the dry run and the gates have tests of their own; here are those of a process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from warehouse_case import CDER

from warehouse.sample_sources.drugs import Drugs

SECONDS = 60


def started(*arguments, **options):
    command = [sys.executable, "-m", "warehouse", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen(command, env={**os.environ, "TMPDIR": os.environ["OWN_TMPDIR"]}, **pipes)


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("OWN_TMPDIR", str(folder))
    return folder


def finished(*arguments, **options):
    process = started(*arguments, **options)
    out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def test_law_6_the_last_line_and_the_exit_code_are_the_outcome(warehouse):
    warehouse.serve(Drugs(products=20, extra_product_lines=(b"bad",)))
    code, out, err = finished("run", "fda-cder")
    assert code == 3, out + err
    last = out.strip().splitlines()[-1]
    assert "published as run 2" in last
    assert str(warehouse.root.parent / "warehouse.log") in last
    assert out.count(last) == 1
    code, out, err = finished("run", "fda-cder", "--json")
    document = json.loads(out)
    assert (code, document["exit_code"], document["outcome"], document["is_published"]) == (0, 0, "done", False)
    code, out, err = finished("run", "fda-cder", "--no-such-flag")
    assert (code, out) == (2, "")
    assert "--no-such-flag" in err
    code, out, err = finished("show", "fda-cder", stdout=subprocess.DEVNULL)
    assert (code, err) == (0, "")


def test_law_6_output_that_nobody_takes_is_told(warehouse):
    warehouse.serve(Drugs(products=20))
    with Path("/dev/full").open("w") as full:
        code, _, err = finished("run", "fda-cder", "--json", stdout=full)
    assert code == 5
    assert "standard output could not be written" in err
    assert warehouse.digests("fda-cder")["products"]["rows"] == 20


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_law_6_a_signal_in_the_middle_leaves_what_was_there(warehouse, temporary_folder, number):
    warehouse.serve(Drugs(products=20))
    warehouse.run("fda-cder")
    before = warehouse.files()
    warehouse.serve(Drugs(products=21))
    warehouse.sources.files[CDER].faults = ["drip"]
    asked = len(warehouse.sources.requests)
    process = started("run", "fda-cder", "--force")
    deadline = time.monotonic() + SECONDS
    while len(warehouse.sources.requests) == asked:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + number, out + err
    assert f"stopped by {number.name}" in out
    assert "Traceback" not in out + err
    assert warehouse.files() == before
    assert [*temporary_folder.iterdir()] == []
    assert warehouse.run("fda-cder").exit_code == 0


def test_law_9_no_secret_is_shown(warehouse, monkeypatch):
    """Of an address neither the login nor the query is told, whatever happens; of the settings no key."""
    monkeypatch.setenv("AWS_ACCESS_KEY", "AKIASECRETKEY")
    monkeypatch.setenv("AWS_SECRET_KEY", "very-secret-key")
    warehouse.serve(Drugs(products=20))
    shown = []
    url = warehouse.sources.url.replace("http://", "http://user:pass-word@")
    for address in (
        f"{url}/nothing.zip?apiKey=query-secret",
        "http://user:pass-word@127.0.0.1:1/x?apiKey=query-secret",
    ):
        warehouse.configure("fda-cder", lambda config, address=address: config.update(source_url=address))
        code, *told = finished("run", "fda-cder", "--log-level", "DEBUG")
        assert code == 1
        shown += told
    shown += finished("datasets")[1:]
    shown.append((warehouse.root.parent / "warehouse.log").read_text())
    shown += [content.decode(errors="replace") for content in warehouse.files().values()]
    for secret in ("query-secret", "pass-word", "very-secret-key"):
        assert not [text for text in shown if secret in text], secret


def test_law_11_wrong_settings_are_named_in_one_message(warehouse, monkeypatch):
    for name, value in (
        ("WAREHOUSE_ATTEMPTS", "0"),
        ("WAREHOUSE_ENGINE", "polars"),
        ("WAREHOUSE_LOCK_SECONDS", "soon"),
    ):
        monkeypatch.setenv(name, value)
    refused = warehouse.run("fda-cder")
    assert refused.exit_code == 2
    for words in (
        "WAREHOUSE_ATTEMPTS is '0'",
        "WAREHOUSE_ENGINE is 'polars', expected duckdb or spark",
        "WAREHOUSE_LOCK_SECONDS",
    ):
        assert words in refused.text


def test_law_11_an_unknown_setting_is_told(warehouse, monkeypatch):
    monkeypatch.setenv("WAREHOUSE_TARGETS", "x")
    assert (
        "unknown setting WAREHOUSE_TARGETS in the environment; did you mean WAREHOUSE_TARGET?"
        in warehouse.command("check").text
    )
