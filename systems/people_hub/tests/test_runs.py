"""Runs: no trace of a dry one, one at a time, signals and crashes told truthfully, history and summary as founded."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest
from hub_case import PACKAGE

from etlkit.locks import advisory_lock
from etlkit.postgres import connect
from people_hub import ingest_umapi_departments

SLOW = {"endpoint": "DeptData", "from": 1, "kind": "slow", "seconds": 30}


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def test_a_dry_run_leaves_no_trace_and_says_what_a_run_would_do(hub, rest, university):
    hub.set(PROGRESS_EVERY="20")
    empty = hub.traces()
    for size in ("1000", "7"):
        dry = hub.ingest("umapi_departments", "--dry-run", "--batch-size", size)
        assert dry.exit_code == 0
        assert hub.traces() == empty
        assert "🧪 DRY RUN MODE - No database changes will be made" in dry.text
        assert "[DRY RUN] Would store: 🆕 New record detected: " in dry.text
        assert "[DRY RUN] Progress: 20 processed (20 created" in dry.text
    wet = hub.ingest("umapi_departments")
    assert dry.counts == wet.counts
    rows = university.umapi_departments()
    rows[3]["DeptDescription"] = "changed"
    rest.set_data(departments=[*rows[1:], {"DeptId": None}, rows[5]])
    before = hub.traces()
    dry = hub.ingest("umapi_departments", "--dry-run")
    assert hub.traces() == before
    wet = hub.ingest("umapi_departments")
    assert (dry.exit_code, dry.counts) == (wet.exit_code, wet.counts) == (3, (0, 1, 44, 0, 1))
    rest.set_data(departments=rows[1:])
    assert hub.ingest("umapi_departments", "--dry-run").stream["records_deleted"] == 1
    assert hub.ingest("umapi_departments").stream["records_deleted"] == 1


def test_a_dry_enrichment_leaves_no_trace(hub):
    hub.ingest("tdx_departments")
    before = hub.traces()
    dry = hub.enrich("tdx_accounts", "--dry-run")
    assert hub.traces() == before
    assert dry.counts == hub.enrich("tdx_accounts").counts


def test_a_dry_run_of_a_failing_source_leaves_no_trace(hub, rest):
    before = hub.traces()
    rest.set_faults({"endpoint": "DeptData", "from": 1, "kind": "page"})
    assert hub.ingest("umapi_departments", "--dry-run").exit_code == 1
    assert hub.traces() == before


def test_a_second_copy_exits_4_and_leaves_the_first_alone(hub, rest, university):
    rest.set_faults({**SLOW, "seconds": 3})
    first = hub.start("ingest_umapi_departments")
    wait_for(lambda: hub.query("select 1 from meta.ingestion_runs where status = 'running'"))
    for flags in ((), ("--dry-run",)):
        second = hub.ingest("umapi_departments", *flags)
        assert second.exit_code == 4
        assert "is locked by people_hub umich_api/department run" in second.stream["error"]
    other = hub.ingest("tdx_departments")  # another stream goes on beside it
    assert other.exit_code == 0
    output, _ = first.communicate(timeout=60)
    assert first.returncode == 0, output
    assert hub.query("select status, records_created from meta.ingestion_runs where source_system = 'umich_api'") == [
        ("completed", university.departments)
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_while_waiting_for_the_source_leaves_a_failed_run(hub, rest, number, code):
    rest.set_faults(SLOW)
    process = hub.start("ingest_umapi_departments")
    wait_for(lambda: [call for call in rest.calls() if call["endpoint"] == "oauth"])
    time.sleep(0.2)
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == code, output
    run = hub.last_run()
    assert (run["status"], run["error_message"]) == ("failed", f"stopped by {number.name}")
    assert f"[exit {code}]" in output.splitlines()[-1]
    assert "Traceback" not in output
    rest.set_faults()
    assert hub.ingest("umapi_departments").exit_code == 0


def test_a_signal_while_the_database_works_leaves_a_failed_run(hub, rest, university):
    with closing(connect(hub.database, "blocker")) as blocker, blocker.cursor() as cursor:
        cursor.execute("lock table bronze.raw_entities in access exclusive mode")
        process = hub.start("ingest_umapi_departments")
        wait_for(lambda: hub.query("select 1 from pg_stat_activity where wait_event_type = 'Lock'"))
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 143, output
    assert hub.last_run()["status"] == "failed"
    assert hub.bronze() == []
    assert hub.ingest("umapi_departments").counts[0] == university.departments


def test_an_orphan_is_repaired_under_the_lock_only(hub, rest):
    rest.set_faults(SLOW)
    process = hub.start("ingest_umapi_departments")
    wait_for(lambda: hub.query("select 1 from meta.ingestion_runs where status = 'running'"))
    process.kill()
    process.wait()
    process.stdout.close()
    rest.set_faults()
    hub.ingest("tdx_departments")
    assert hub.query("select count(*) from meta.ingestion_runs where status = 'running'") == [(1,)]  # not its business
    result = hub.ingest("umapi_departments")
    assert "ended without a word; marked failed" in result.text
    statuses = hub.query("select status from meta.ingestion_runs where source_system = 'umich_api' order by started_at")
    assert statuses == [("failed",), ("completed",)]


def test_no_transaction_is_open_while_the_source_is_waited_for(hub, rest):
    rest.set_faults({**SLOW, "seconds": 2})
    process = hub.start("ingest_umapi_departments")
    wait_for(lambda: hub.query("select 1 from meta.ingestion_runs where status = 'running'"))
    time.sleep(0.5)
    states = hub.query("select state from pg_stat_activity where application_name like 'people_hub umich%%'")
    process.communicate(timeout=30)
    assert states == [("idle",)]


def test_the_run_is_recorded_with_all_that_an_operator_asks_for(hub, university):
    result = hub.ingest("umapi_departments")
    run = hub.last_run()
    assert (run["status"], run["records_processed"], run["records_created"]) == (
        "completed",
        45,
        university.departments,
    )
    metadata = run["metadata"]
    assert metadata["kind"] == "ingest"
    assert metadata["pid"] == os.getpid()
    assert (metadata["listing_complete"], metadata["full_listing"]) == (True, True)
    assert {"heartbeat_at", "host", "records_skipped", "records_deleted", "records_failed"} <= set(metadata)
    assert str(hub.query("select run_id from meta.ingestion_runs")[0][0]) == result.stream["run_id"]


def test_the_log_is_as_founded(hub, rest, university):
    rest.set_data(departments=[*university.umapi_departments(), {"DeptId": None}])
    process = hub.start("ingest_umapi_departments", "--batch-size", "10")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    log = (hub.folder / "logs" / "ingest_umapi_departments.log").read_text(encoding="utf-8")
    line = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - people_hub\.ingest_umapi_departments - INFO - (.*)")
    for text in (output, log):
        said = [found[1] for found in map(line.fullmatch, text.splitlines()) if found]
        assert "🚀 ingest_umapi_departments" in said
        assert "🔄 Starting full sync of umich_api/department" in said
        assert len([entry for entry in said if entry.startswith("🆕 New record detected: ")]) == 20
        assert "=" * 60 in said
        assert "📊 FINAL RESULTS SUMMARY: umich_api/department" in said
        assert "├─ New Records: 45" in said
        assert "├─ Updated Records: 0" in said
        assert "└─ Skipped (Unchanged): 0" in said
        assert "Sum: 46 records in = 45 new + 0 changed + 0 there already + 1 rejected" in said
        assert "❌ Failed to process no key" in text
    assert "📊 Results Summary:\n   Run ID: " in output
    assert "   Records Created: 45\n" in output
    last = output.splitlines()[-1]
    assert "⚠️ Completed, and 1 record(s) were rejected. [exit 3]" in last
    assert "ingest_umapi_departments.log" in last
    second, _ = hub.start("ingest_umapi_departments").communicate(timeout=60)
    assert "✅ Completed successfully! No new rejects; 1 known one(s) are open." in second.splitlines()[-1]


def test_progress_is_told_every_so_many_records(hub, rest, university):
    text = hub.ingest("umapi_departments", "--batch-size", "7").text
    assert "Progress: " not in text  # 45 records are fewer than 50
    hub.set(PROGRESS_EVERY="20")
    rest.set_data(departments=[{**row, "New": 1} for row in university.umapi_departments()])
    text = hub.ingest("umapi_departments", "--batch-size", "7").text
    assert [line.split(" - ")[-1] for line in text.splitlines() if "Progress" in line] == [
        "Progress: 20 processed (0 created, 20 updated, 0 skipped)",
        "Progress: 40 processed (0 created, 40 updated, 0 skipped)",
    ]
    hub.set(PROGRESS_EVERY="0")
    assert "Progress" not in hub.ingest("umapi_departments").text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_console_without_emoji_gets_plain_characters(hub, encoding):
    hub.set(PYTHONIOENCODING=encoding)
    process = subprocess.run(
        [sys.executable, str(PACKAGE / "ingest_umapi_departments.py")],
        capture_output=True,
        check=False,
        env=dict(os.environ),
    )
    assert process.returncode == 0, process.stderr
    output = process.stdout.decode(encoding)
    assert "OK Completed successfully!" in output
    assert "|- New Records: 45" in output
    assert process.stderr == b""


def test_no_emoji_on_request(hub):
    assert hub.ingest("umapi_departments", "--no-emoji").text.isascii()


def test_the_pool_and_its_lock_end_with_the_run(hub):
    hub.ingest("umapi_departments")
    assert hub.query("select count(*) from pg_locks where locktype = 'advisory'") == [(0,)]
    assert hub.query("select count(*) from pg_stat_activity where application_name like 'people_hub%%'") == [(0,)]
    lock = ingest_umapi_departments.STREAM.lock_name
    with closing(connect(hub.database, "test")) as connection, advisory_lock(connection, lock):
        assert hub.ingest("umapi_departments").exit_code == 4


def test_several_streams_go_on_when_one_fails_and_the_gravest_code_counts(hub, rest, university):
    rest.set_faults({"endpoint": "DeptEmpData", "from": 1, "kind": "page"})
    rest.set_data(assets=[*university.tdx_assets(), {"ID": None}])
    result = hub.run("ingest", "--only", "umapi_departments,umapi_employees", "tdx_assets")
    assert result.exit_code == 1
    codes = {entry["stream"]: entry["exit_code"] for entry in result.figures["streams"]}
    assert codes == {"tdx/asset": 3, "umich_api/department": 0, "umich_api/user": 1}
    assert (
        "❌ 2 of 3 completed; failed or left out: ingest_umapi_employees; 1 rejected record(s) are open: "
        "python -m people_hub rejects [exit 1]" in result.text.splitlines()[-1]
    )


def test_an_unexpected_error_is_one_line_and_its_traceback_in_the_log(hub, monkeypatch):
    def explode(*_arguments):
        raise RuntimeError("an accident with postgresql://somebody:a-secret-word@host/name")

    monkeypatch.setattr("people_hub.sources.umapi._page", explode)
    result = hub.ingest("umapi_departments")
    assert result.exit_code == 1
    assert "Traceback" not in result.text
    log = (hub.folder / "logs" / "ingest.log").read_text(encoding="utf-8")
    assert "Traceback" in log
    assert hub.last_run()["status"] == "failed"
    assert "a-secret-word" not in result.text + log + json.dumps(result.figures) + str(hub.last_run())
