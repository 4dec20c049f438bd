"""Judged files are kept: an unchanged file is not judged again, and nothing stale is ever used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from museum_case import PROJECT_DIR

from etlkit.postgres import connect
from museum.batch.judging import KioskJudge
from museum.kiosk import Rules, parse_at

DAY = "2023-03-06"
CHANGING_DAYS = [
    datetime(1971, 12, 31), datetime(1972, 1, 7), datetime(2017, 10, 14), datetime(2018, 2, 17), datetime(2018, 11, 3),
    datetime(2023, 3, 11), datetime(2023, 3, 25), datetime(2023, 4, 1), datetime(2023, 9, 30), datetime(2023, 10, 28),
    datetime(2023, 11, 4),
]  # fmt: skip


@pytest.fixture
def combined(museum):
    """A museum with two kiosk files that were combined, one with rejected rows."""
    for site in range(2):
        museum.exhibition(site)
    museum.kiosk(0, f"{DAY} 10:00:00,0,3,", "x,1,3,", f"{DAY} 10:00:01,5,3,")
    museum.kiosk(1, f"{DAY} 09:00:00,1,4,")
    assert museum.run("transform").exit_code == 3
    return museum


def judged(museum) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (museum.combined_dir / "judged").iterdir()}


def outputs(museum) -> dict[str, bytes]:
    names = ("combined_museum_data.csv", "rejected_rows.jsonl", "combined_exhibition_data.csv")
    return {name: (museum.combined_dir / name).read_bytes() for name in names}


def from_scratch(museum) -> dict[str, bytes]:
    """Return the outputs of a transform that has nothing to take over."""
    (museum.combined_dir / "manifest.json").unlink()
    museum.run("transform")
    return outputs(museum)


def test_one_more_file_leaves_the_others_as_they_were_judged(combined):
    before = judged(combined)
    combined.kiosk(2, f"{DAY} 08:00:00,1,2,", "y,1,3,")
    result = combined.run("transform")
    assert result.figures["transform"]["rejected_by_reason"] == {"bad_at": 2, "unknown_site": 1}
    assert {name: judged(combined)[name] for name in before} == before
    assert len(judged(combined)) == len(before) + 2
    assert outputs(combined) == from_scratch(combined)


def test_a_changed_file_is_judged_and_its_old_rows_are_removed(combined):
    before = judged(combined)
    combined.kiosk(0, f"{DAY} 10:00:00,0,2,")
    assert combined.run("transform").exit_code == 0
    after = judged(combined)
    assert len(after) == len(before) == 4
    assert len(after.items() & before.items()) == 2
    assert outputs(combined) == from_scratch(combined)


def test_a_file_that_is_gone_takes_its_rows_along(combined):
    (combined.bucket_dir / "lmnh_hist_data_0.csv").unlink()
    assert combined.run("transform").exit_code == 0
    assert len(judged(combined)) == 2
    assert outputs(combined) == from_scratch(combined)


def test_the_same_content_under_another_key_is_judged_under_that_key(combined):
    (combined.bucket_dir / "lmnh_hist_data_0.csv").rename(combined.bucket_dir / "lmnh_hist_data_7.csv")
    combined.run("transform")
    rejected = (combined.combined_dir / "rejected_rows.jsonl").read_text()
    assert "lmnh_hist_data_7.csv" in rejected
    assert "lmnh_hist_data_0.csv" not in rejected
    assert outputs(combined) == from_scratch(combined)


def test_a_new_exhibition_has_every_file_judged_anew(combined):
    combined.exhibition(5)
    result = combined.run("transform")
    assert result.figures["transform"]["rejected_by_reason"] == {"bad_at": 1}
    assert outputs(combined) == from_scratch(combined)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("MUSEUM_REJECT_OUT_OF_HOURS", "true"), ("MUSEUM_CLOSING_TIME", "09:30"), ("MUSEUM_TIMEZONE", "Asia/Tokyo")],
)
def test_other_rules_have_every_file_judged_anew(combined, monkeypatch, variable, value):
    before = judged(combined)
    monkeypatch.setenv(variable, value)
    combined.run("transform")
    assert not judged(combined).keys() & before.keys()
    assert outputs(combined) == from_scratch(combined)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@pytest.mark.parametrize("damage", ["removed", "edited", "emptied"])
def test_a_damaged_judged_file_is_never_used(combined, suffix, damage):
    expected = outputs(combined)
    for path in (combined.combined_dir / "judged").glob(f"*{suffix}"):
        if damage == "removed":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes() + b"x" if damage == "edited" else b"")
    load = combined.run("load", *combined.database_flags)
    assert load.exit_code == 1
    assert "not those of a finished transform" in load.figures["error"]
    combined.kiosk(2, f"{DAY} 08:00:00,1,2,")
    combined.run("transform")
    (combined.bucket_dir / "lmnh_hist_data_2.csv").unlink()
    combined.run("transform")
    assert outputs(combined) == expected


def test_an_unfinished_transform_leaves_the_last_files_in_place(combined, monkeypatch):
    expected = outputs(combined)
    combined.kiosk(2, f"{DAY} 08:00:00,1,2,")

    def stop(*_arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("museum.batch.combined_csv.write_combined_manifest", stop)
        patch.setattr("museum.batch.combined_csv.CombinedWriter.finish", stop)
        assert combined.run("transform").exit_code == 130
    assert outputs(combined) == expected
    combined.run("transform")
    assert len((combined.combined_dir / "combined_museum_data.csv").read_text().splitlines()) == 5
    assert outputs(combined) == from_scratch(combined)


@pytest.mark.parametrize(
    "zone", ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Africa/Monrovia", "America/Sao_Paulo"]
)
def test_the_days_on_which_the_clocks_change_are_known_as_the_rules_know_them(museum, monkeypatch, zone):
    """Every quarter of an hour of the days around each change, some of them twice a year."""
    rules = Rules(ZoneInfo(zone))
    monkeypatch.setenv("MUSEUM_TIMEZONE", zone)
    monkeypatch.setenv("MUSEUM_EARLIEST_DATE", "1900-01-01")
    museum.exhibition(1)
    moments = [day + timedelta(minutes=15 * quarter) for day in CHANGING_DAYS for quarter in range(3 * 96)]
    museum.kiosk(0, *(f"{moment:%Y-%m-%d %H:%M:%S},1,3," for moment in moments))
    museum.run("transform")
    lines = (museum.combined_dir / "combined_museum_data.csv").read_text().splitlines()[1:]
    found = {int(line.rsplit(",", 1)[1]): datetime.fromisoformat(line.split(",")[0]) for line in lines}
    expected = {
        number: parsed
        for number, moment in enumerate(moments, 1)
        if isinstance(parsed := parse_at(f"{moment:%Y-%m-%d %H:%M:%S}", rules)[0], datetime)
    }
    assert found == expected
    assert len(found) > 2_900


def test_a_museum_that_needs_only_the_database_writes_no_sorted_file(combined, monkeypatch):
    """At 100 million rows each run with something new would sort and write seven gigabytes for it."""
    path = combined.combined_dir / "combined_museum_data.csv"
    expected = path.read_bytes()
    monkeypatch.setenv("MUSEUM_COMBINED_CSV", "false")
    assert combined.push().load["rows_stored"] == 2
    assert not path.exists()
    assert "combined files untouched" in "".join(combined.run("transform").lines)
    assert combined.run("load", *combined.database_flags).load["rows_already_there"] == 2
    combined.kiosk(2, f"{DAY} 08:00:00,1,2,")
    assert combined.push().load["rows_stored"] == 1
    monkeypatch.setenv("MUSEUM_COMBINED_CSV", "true")
    (combined.bucket_dir / "lmnh_hist_data_2.csv").unlink()
    combined.run("transform")
    assert path.read_bytes() == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_load_breaks_the_merge_off(combined, number):
    """Whatever the driver or DuckDB make of the signal's exception, the combined files are not finished any more."""
    expected = outputs(combined)
    combined.kiosk(2, *(f"{DAY} 08:00:{n % 60:02},1,2," for n in range(600_000)))
    process = subprocess.Popen(
        [sys.executable, str(PROJECT_DIR / "pipeline.py"), "--skip-extract", "--push", "--data-dir",
         str(combined.data_dir), "--log-file", str(combined.log_file), *combined.database_flags],
        env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with closing(connect(combined.database, "watch")) as watch, watch.cursor() as cursor:
        watch.autocommit = True
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            cursor.execute(
                "select 1 from pg_stat_activity where state = 'active' and query like '-- Fills%copy review (%'"
            )
            if cursor.fetchone():
                break
            time.sleep(0.005)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number, out + err
    assert outputs(combined) == expected
    assert not (combined.combined_dir / ".unfinished").exists()
    assert combined.count("review") == 0


ENDLESS = "select count(*) from range(1000000000) a, range(1000000) b"


def interrupted(museum, *flags: str) -> float:
    """Run the transform, send a signal after a second, and return the seconds until it had ended."""
    started = time.monotonic()
    timer = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    assert museum.run("transform", *flags).exit_code == 130
    return time.monotonic() - started


def test_a_signal_does_not_wait_for_the_merge(combined, monkeypatch):
    expected = outputs(combined)
    combined.kiosk(2, f"{DAY} 08:00:00,1,2,")
    monkeypatch.setattr(
        "museum.batch.combined_csv.CombinedWriter._write", lambda self: self._duck._connection.execute(ENDLESS)
    )
    assert interrupted(combined) < 5
    assert outputs(combined) == expected


def test_a_signal_does_not_wait_for_the_judges(combined, monkeypatch):
    expected = outputs(combined)
    for number in range(2, 8):
        combined.kiosk(number, f"{DAY} 08:00:00,1,2,")
    monkeypatch.setattr(
        "museum.batch.judging.KioskJudge._read", lambda self, *_: self._duck._connection.execute(ENDLESS)
    )
    assert interrupted(combined) < 5
    assert outputs(combined) == expected


def test_a_failure_of_one_file_stops_the_other_judge(combined, monkeypatch):
    real = KioskJudge._read

    def read(self, file, name):
        if file.path.name == "lmnh_hist_data_3.csv":
            self._duck._connection.execute(ENDLESS)
        if file.path.name == "lmnh_hist_data_2.csv":
            raise OSError(28, "No space left on device")
        real(self, file, name)

    for number in (2, 3):
        combined.kiosk(number, f"{DAY} 08:00:00,1,2,")
    monkeypatch.setattr("museum.batch.judging.KioskJudge._read", read)
    started = time.monotonic()
    result = combined.run("transform")
    assert result.exit_code == 1
    assert "No space left on device" in result.figures["error"]
    assert time.monotonic() - started < 5


def test_a_file_that_changes_while_it_is_judged_is_not_taken(combined, monkeypatch):
    path = combined.kiosk(2, f"{DAY} 08:00:00,1,2,")
    real = KioskJudge._judge_rows

    def judge_rows(self, file, result, rejects):
        real(self, file, result, rejects)
        path.write_bytes(path.read_bytes() + b"x")

    with monkeypatch.context() as patch:
        patch.setattr("museum.batch.judging.KioskJudge._judge_rows", judge_rows)
        result = combined.run("transform")
    assert result.exit_code == 1
    assert "lmnh_hist_data_2.csv changed while it was read" in result.figures["error"]
    assert combined.run("transform").figures["transform"]["rejected_by_reason"]["field_count"] == 1


def test_a_lost_folder_of_judged_files_is_no_failure(museum):
    assert museum.run("transform").exit_code == 0
    (museum.combined_dir / "judged").rmdir()
    assert museum.run("transform").exit_code == 0
