"""Every program of the hub, before its own code is at work: signals, missing modules; its settings and failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from hub_case import PACKAGE, PROJECT_DIR

from etlkit.testing import SLOW_MODULE

SCRIPTS = sorted(str(path) for kind in ("ingest", "enrich") for path in PACKAGE.glob(f"{kind}_*.py"))
PROGRAMS = [*((path,) for path in SCRIPTS), ("-m", "people_hub"), ("-m", "people_hub.demo")]
BY_NAME = {"ids": lambda program: program[-1].rsplit("/", 1)[-1]}


@pytest.mark.parametrize("program", PROGRAMS, **BY_NAME)
def test_outside_the_environment_one_line_names_what_is_missing_and_the_way_out(program):
    command = [sys.executable, "-S", *program]
    done = subprocess.run(command, cwd=PROJECT_DIR, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert done.stderr.startswith("error: No module named ")
    assert "Run make setup-people_hub, then .venv/bin/python instead. Nothing was touched." in done.stderr


@pytest.mark.parametrize("program", [PROGRAMS[0], *PROGRAMS[-2:]], **BY_NAME)
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_while_modules_load_is_one_line(program, number, exit_code, tmp_path):
    (tmp_path / "psycopg2.py").write_text(SLOW_MODULE)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, *program], cwd=PROJECT_DIR, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=pipe, stderr=pipe, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "loading\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (exit_code, "", f"stopped by {number.name}\n")


def test_a_run_that_fails_ends_with_one_line_and_the_figures_are_in_the_log(hub, rest):
    rest.set_faults({"endpoint": "DeptData", "from": 1, "kind": "page"})
    output, _ = hub.start("ingest_umapi_departments").communicate(timeout=60)
    lines = [line.split(" - ", 3)[-1] for line in output.splitlines()]
    assert lines[:2] == ["🚀 ingest_umapi_departments", "🔄 Starting full sync of umich_api/department"]
    assert len(lines) == 3, output
    assert lines[2].startswith("❌ Failed: ")
    assert "FINAL RESULTS SUMMARY" in (hub.folder / "logs" / "ingest_umapi_departments.log").read_text("utf-8")


def test_a_run_that_nohup_keeps_from_sighup_hears_sigterm_only(hub, rest):
    rest.set_faults({"endpoint": "DeptData", "from": 1, "kind": "slow", "seconds": 3})
    command = ["nohup", sys.executable, str(PACKAGE / "ingest_umapi_departments.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert "🚀" in process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert hub.last_run()["status"] == "completed"


def test_a_setting_that_nobody_knows_is_told_with_the_near_one(hub, monkeypatch, tmp_path):
    path = tmp_path / "of-a-user.env"
    path.write_text("UM_CLIENT_SECRETS=x\nBATCH_SIZES=7\nAD_PASSWORD_FILE=x\nTDX_APP_ID=48\nHTTP_PROXY=x\n")
    monkeypatch.setattr("people_hub.hub_settings.ENV_FILE", path)
    text = hub.ingest("umapi_departments").text
    told = [line.split("WARNING - ")[1] for line in text.splitlines() if "unknown setting" in line]
    assert told == [
        "⚠️ unknown setting BATCH_SIZES in of-a-user.env; did you mean BATCH_SIZE?",
        "⚠️ unknown setting UM_CLIENT_SECRETS in of-a-user.env; did you mean UM_CLIENT_SECRET?",
    ]
