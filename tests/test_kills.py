"""Kill -9 at every boundary and at random moments, then one run: the same tables as without the kill."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from museum_case import PROJECT_DIR, Bucket, Museum, exhibition_json

from etlkit.testing import full_count, seeded_random
from museum.demo.samples import sample_objects

pytestmark = pytest.mark.soak

DRIVER = PROJECT_DIR / "tests" / "killed_pipeline.py"
DAY = "2023-03-06"
RANDOM_KILLS = full_count("kills of a pipeline at random", 3, 30)
BOUNDARY_KILLS = full_count("kills of a pipeline at a boundary", 3, None)
BULK_FROM_ROWS = 10
LARGE_ROWS = 150_000
KEPT = ("meta.schema_version", "rating_desc", "incident_type")


def kiosk_rows(count: int, rating: int = 3) -> str:
    lines = (
        f"{DAY} {9 + n // 3600 % 9:02}:{n // 60 % 60:02}:{n % 60:02},{n % 3},{(n + rating) % 5}," for n in range(count)
    )
    return "at,site,val,type\n" + "\n".join([*lines, f"{DAY} 10:00:00,1,-1,1.0", "x,1,3,", f"{DAY} 10:00:01,77,3,", ""])


FIRST = {key: body for key, body in sample_objects().items() if not key.startswith("lmnh/")}
CHANGED = {
    "lmnh_hist_data_0.csv": FIRST["lmnh_hist_data_0.csv"].replace(b",3,", b",4,"),
    "lmnh_hist_data_1.csv": FIRST["lmnh_hist_data_1.csv"] + f"{DAY} 10:00:02,1,3,\n".encode(),
    "lmnh_hist_data_20.csv": kiosk_rows(300).encode(),
    "lmnh_exhibition_77.json": exhibition_json(77).encode(),
    "lmnh_exhibition_78.json": b"[",
}


def program(museum: Museum, *driver: str) -> list[str]:
    """Return the command of a whole run, through the driver or straight."""
    return [
        sys.executable, *(driver or [str(PROJECT_DIR / "pipeline.py")]), "--push", *museum.source_flags,
        *museum.database_flags, "--data-dir", str(museum.data_dir), "--log-file", str(museum.log_file),
    ]  # fmt: skip


def driven(museum: Museum, boundaries: Path, kill_at: str, bulk_rows: int) -> subprocess.CompletedProcess[str]:
    command = program(museum, str(DRIVER), str(boundaries), kill_at, str(bulk_rows), "pipeline.py")
    return subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False, timeout=120)


def forget_everything(museum: Museum) -> None:
    """Empty the database and the data folder."""
    wait_until_the_server_noticed(museum)
    tables = museum.query(
        "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('public', 'meta')"
    )
    museum.query("truncate " + ", ".join(name for (name,) in tables if name.removeprefix("public.") not in KEPT))
    shutil.rmtree(museum.data_dir)


def wait_until_the_server_noticed(museum: Museum) -> None:
    """Wait until no session of a killed run is left; the server sees that its client has gone at the next word."""
    for _attempt in range(600):
        if not museum.query(
            "select 1 from pg_stat_activity where application_name like any ('{museum pipeline%,museum archive%}')"
        ):
            return
        time.sleep(0.05)
    raise AssertionError("a killed run's session is still there")


def assert_recovers(museum: Museum, expected: dict[str, object]) -> None:
    """Run once; the tables are as without the kill, no run is left open, and another run finds nothing new."""
    wait_until_the_server_noticed(museum)
    result = museum.run_all()
    assert result.exit_code in (0, 3), result.figures
    assert state(museum) == expected
    assert museum.query("select count(*) from meta.ingestion_runs where status = 'running'") == [(0,)]
    again = museum.run_all()
    assert (again.exit_code, again.load["rows_stored"], again.load["records_rejected"]) == (0, 0, 0)
    manifest = json.loads((museum.combined_dir / "manifest.json").read_text())
    judged = {path.name for path in (museum.combined_dir / "judged").iterdir()}
    assert judged == {name.removeprefix("judged/") for name in manifest["outputs"] if name.startswith("judged/")}


def state(museum: Museum) -> dict[str, object]:
    return {**museum.tables(), "rejects": museum.rejects()}


def fill(bucket: Bucket, *parts: dict[str, bytes]) -> None:
    for key in [item["Key"] for item in bucket.client.list_objects_v2(Bucket=bucket.name).get("Contents", [])]:
        bucket.delete(key)
    for part in parts:
        for key, body in part.items():
            bucket.put(key, body)


def prepare_first_load(museum: Museum, bucket: Bucket) -> None:
    forget_everything(museum)


def prepare_changes(museum: Museum, bucket: Bucket) -> None:
    forget_everything(museum)
    fill(bucket, FIRST)
    assert museum.run_all().exit_code == 3
    fill(bucket, FIRST, CHANGED)


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    ("prepare", "bulk_rows"),
    [(prepare_first_load, BULK_FROM_ROWS), (prepare_changes, 1_000_000)],
    ids=["first", "changes"],
)
def test_a_kill_at_a_boundary_leaves_nothing_behind(museum, bucket, tmp_path, prepare, bulk_rows):
    museum.data_dir.mkdir(exist_ok=True)
    fill(bucket, FIRST, CHANGED)
    boundaries = tmp_path / "boundaries"
    prepare(museum, bucket)
    whole = driven(museum, boundaries, "never", bulk_rows)
    assert whole.returncode == 3, whole.stdout + whole.stderr
    expected = state(museum)
    names = boundaries.read_text().splitlines()
    assert any("copy_review" in name for name in names) == (bulk_rows == BULK_FROM_ROWS)
    kinds = {re.sub(r"[0-9a-f]{32}", "*", name): name for name in reversed(names)}
    kill_at = sorted(kinds.values())
    if BOUNDARY_KILLS:
        kill_at = seeded_random("kills").sample(kill_at, BOUNDARY_KILLS)
    for name in kill_at:
        prepare(museum, bucket)
        killed = driven(museum, boundaries, name, bulk_rows)
        assert killed.returncode == -signal.SIGKILL, (name, killed.stdout, killed.stderr)
        assert_recovers(museum, expected)


@pytest.fixture
def large_museum(museum, bucket) -> Museum:
    """A museum whose first load takes seconds, by the real threshold a bulk load."""
    for site in range(3):
        bucket.put(f"lmnh_exhibition_{site}.json", exhibition_json(site))
    for number in range(3):
        bucket.put(f"lmnh_hist_data_{number}.csv", kiosk_rows(LARGE_ROWS // 3, rating=number))
    museum.data_dir.mkdir(exist_ok=True)
    return museum


def test_a_kill_at_a_random_moment_leaves_nothing_behind(large_museum):
    museum = large_museum
    started = time.monotonic()
    assert subprocess.run(program(museum), env=os.environ, capture_output=True, check=False).returncode == 3
    seconds = time.monotonic() - started
    expected = state(museum)
    chance = seeded_random("kills")
    kills = attempts = 0
    while kills < RANDOM_KILLS:
        attempts += 1
        assert attempts <= 3 * RANDOM_KILLS, "most runs ended before they were killed"
        forget_everything(museum)
        process = subprocess.Popen(
            program(museum), env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.1, 0.9) * seconds)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        assert_recovers(museum, expected)
