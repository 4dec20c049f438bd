"""Ten years of a museum of 50 exhibitions in small: batch, live and cron's prunes month by month, without a hand.

The clock is simulated: `--now` tells the programs, and the history that Postgres dated itself is made a month older
after each month. What could grow is held against bounds that are known beforehand, and the pages against their two
seconds, as the issue of the museum's growth asks for.
"""

from __future__ import annotations

import calendar
import random
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from live_case import Live

from dashboard.catalogue import read_catalogue
from dashboard.figures import read_exhibition_figures, read_single_figures
from dashboard.safety_figures import read_safety_figures
from dashboard.selection import Selection
from dashboard.state import read_data_figures, read_pulse
from etlkit.__main__ import main as etlkit_command
from etlkit.logs import LOG_FILE_BACKUPS, LOG_FILE_BYTES
from etlkit.postgres import connect
from etlkit.testing import SEED, full_count
from museum.hourly import PORTION

pytestmark = [pytest.mark.database, pytest.mark.soak]

MONTHS = full_count("simulated months", 2, 120)
EXHIBITIONS = 50
FIRST_YEAR = 2016
ROWS_A_MONTH, MESSAGES_A_MONTH = 12_000, 2_000
LONDON = ZoneInfo("Europe/London")
PRESSES_BY_HOUR = {8: 101, 9: 221, 10: 232, 11: 196, 12: 179, 13: 228, 14: 224, 15: 186, 16: 209, 17: 225, 18: 63}
"""Of the real day; the eighth hour begins at half past, the last one ends at a quarter past."""

BAD_IN_LIVE, BAD_IN_FILES = 0.175, 0.005
"""The share of bad messages in the real stream; the real files have no bad row."""

KEEP_RUNS_DAYS, KEEP_REJECTS_DAYS = 90, 365
PAGE_SECONDS = 2.0
RUNS_AGE = """
    update meta.ingestion_runs
    set started_at = started_at - %s * interval '1 day', completed_at = completed_at - %s * interval '1 day'
"""
REJECTS_AGE = """
    update meta.rejected_records
    set first_seen = first_seen - %s * interval '1 day', last_seen = last_seen - %s * interval '1 day'
"""


def moment(rng: random.Random, first: date, hours: list[int]) -> datetime:
    """Return a moment of a month as visitors come."""
    day = first + timedelta(days=rng.randrange(calendar.monthrange(first.year, first.month)[1]))
    hour = rng.choice(hours)
    minute = rng.randrange(46, 60) if hour == 8 else rng.randrange(15 if hour == 18 else 60)
    return datetime(day.year, day.month, day.day, hour, minute, rng.randrange(60))


def press(rng: random.Random, bad_share: float) -> dict[str, Any]:
    """Return a press without its time: 3.5 % calls for help, some bad ones."""
    fields: dict[str, Any] = {"site": str(rng.randrange(EXHIBITIONS)), "val": rng.randrange(5)}
    if rng.random() < bad_share:
        fields[rng.choice(("site", "val"))] = rng.choice(("ERR", 9 + EXHIBITIONS))
    elif rng.random() < 0.035:
        fields |= {"val": -1, "type": int(rng.random() < 0.1)}
    return fields


def rows_of(rng: random.Random, first: date, hours: list[int]) -> list[str]:
    """Return a month's rows of a kiosk file."""
    rows = []
    for _number in range(ROWS_A_MONTH):
        fields = press(rng, BAD_IN_FILES)
        rows.append(f"{moment(rng, first, hours)},{fields['site']},{fields['val']},{fields.get('type', '')}")
    return rows


def messages_of(rng: random.Random, first: date, hours: list[int]) -> list[dict[str, Any]]:
    """Return a month's messages, with the offset of summer or winter."""
    times = sorted(moment(rng, first, hours) for _number in range(MESSAGES_A_MONTH))
    return [{"at": at.replace(tzinfo=LONDON).isoformat(), **press(rng, BAD_IN_LIVE)} for at in times]


def run_cron(live: Live, *words: str) -> str:
    """Run python -m etlkit as cron does; return what it printed."""
    assert etlkit_command([*words, *live.museum.database_flags]) == 0
    return str(live.museum.capsys.readouterr().out)


def live_a_month(live: Live, rng: random.Random, number: int) -> tuple[int, int, int]:
    """Let a month pass; return how many presses it stored, and how many rows and messages it rejected."""
    first = date(FIRST_YEAR + number // 12, number % 12 + 1, 1)
    end = first + timedelta(days=calendar.monthrange(first.year, first.month)[1])
    hours = list(random.Random(0).choices(list(PRESSES_BY_HOUR), list(PRESSES_BY_HOUR.values()), k=1_000))
    live.museum.kiosk(number, *rows_of(rng, first, hours))
    live.produce(messages_of(rng, first, hours))
    now = ("--now", f"{end.isoformat()}T00:00:00+00:00")
    batch = live.museum.push(*now)
    stream = live.consume(*now)
    assert {batch.exit_code, stream.exit_code} <= {0, 3}, (batch.lines, stream.lines)
    consumed = stream.figures["live"]
    assert consumed["consumed"] == MESSAGES_A_MONTH
    for statement in (RUNS_AGE, REJECTS_AGE):
        live.museum.query(statement, ((end - first).days, (end - first).days))
    assert "pruned" in run_cron(live, "runs", "prune", "--older-than", f"{KEEP_RUNS_DAYS}d")
    assert "pruned" in run_cron(live, "rejects", "prune", "--older-than", f"{KEEP_REJECTS_DAYS}d", "--open-messages")
    stored = batch.load["reviews_stored"] + batch.load["incidents_stored"] + consumed["stored"]
    return stored, batch.load["records_rejected"], consumed["rejected"]


def page_seconds(live: Live) -> dict[str, float]:
    """Return how long the figures of each page take, the first time."""
    with closing(connect(live.museum.database, "page")) as connection, connection.cursor() as cursor:
        catalogue = read_catalogue(cursor, LONDON.key)
        assert catalogue.span is not None
        ids, now = catalogue.chosen_ids(), datetime.now(tz=LONDON)
        everything = Selection(catalogue.span, ids, LONDON.key)
        single = Selection(catalogue.span, ids[:1], LONDON.key)
        looks: dict[str, Callable[[], object]] = {
            "exhibitions": lambda: read_exhibition_figures(cursor, catalogue, everything),
            "one exhibition": lambda: read_single_figures(cursor, catalogue, single),
            "safety": lambda: read_safety_figures(cursor, catalogue, everything),
            "strip": lambda: read_pulse(cursor, now),
            "data": lambda: read_data_figures(cursor, now),
        }
        taken = {}
        for name, look in looks.items():
            started = time.perf_counter()
            look()
            taken[name] = time.perf_counter() - started
        return taken


@pytest.mark.timeout(1800)  # minutes of work at full counts, more where the machine is slow
def test_ten_years_pass_and_nothing_needs_a_hand(live, kafka, capsys):
    rng = random.Random(SEED)
    live.know_exhibitions(EXHIBITIONS)
    for site in range(EXHIBITIONS):
        live.museum.exhibition(site, FLOOR=str(site % 5), DEPARTMENT=f"Department {site % 7}")
    stored = bad_rows = 0
    bad_messages: list[int] = []
    for number in range(MONTHS):
        new, rows, messages = live_a_month(live, rng, number)
        stored, bad_rows, bad_messages = stored + new, bad_rows + rows, [*bad_messages, messages]
        assert new + rows + messages == ROWS_A_MONTH + MESSAGES_A_MONTH
        if number % 12 == 11 or number == MONTHS - 1:
            counts = {
                name: live.museum.count(name)
                for name in (
                    "review", "incident", "review_hour", "incident_hour", "review_hour_change", "event_source",
                    "meta.ingestion_runs", "meta.rejected_records",
                )
            }  # fmt: skip
            hours = (number + 1) * 31 * 11 * EXHIBITIONS
            assert counts["review"] + counts["incident"] == stored
            assert counts["review_hour"] <= min(counts["review"], hours * 5)
            assert counts["incident_hour"] <= min(counts["incident"], hours * 2)
            assert counts["review_hour_change"] <= PORTION
            assert counts["event_source"] == number + 1 + 3, "a file a month, three partitions"
            assert counts["meta.ingestion_runs"] <= 2 * 4, "a batch and a consumer a month, of 90 days"
            of_a_year = bad_rows + sum(bad_messages[-13:])
            assert counts["meta.rejected_records"] <= of_a_year, "those of all files, and a year's messages"
            logs = sum(
                path.stat().st_size for path in live.museum.log_file.parent.glob(f"{live.museum.log_file.name}*")
            )
            assert logs <= (LOG_FILE_BACKUPS + 1) * LOG_FILE_BYTES
            seconds = page_seconds(live)
            assert max(seconds.values()) < PAGE_SECONDS, seconds
            with capsys.disabled():
                pages = ", ".join(f"{name} {taken:.2f}" for name, taken in seconds.items())
                sys.stderr.write(f"\nafter {number + 1} months: {counts}, logs {logs:,} bytes; pages, s: {pages}\n")
    assert live.museum.query("select count(*) from meta.ingestion_runs where status <> 'completed'") == [(0,)]
    assert bad_rows > 0
