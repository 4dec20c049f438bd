"""Readers and live inserts beside a load: they never wait for a lock, and see the state before or after."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import closing

import psycopg2
import pytest
from museum_case import PROJECT_DIR

from etlkit.postgres import connect
from etlkit.testing import full_count

pytestmark = pytest.mark.soak

DAY = "2023-03-06"
ROWS = full_count("rows read beside a load", 60_000, 400_000)
LIVE_SOURCE = """
    insert into event_source (kind, cluster, topic, partition, next_offset, run_id)
    values ('kafka', 'cluster', 'lmnh', 0, 0, gen_random_uuid())
    returning source_id
"""
LIVE_INSERT = """
    insert into review (exhibition_id, at, rating_id, source_id, position)
    values (1 + %(n)s %% 3, now(), %(n)s %% 5, %(source_id)s, %(n)s)
    on conflict (source_id, position) do nothing
"""
DASHBOARD = (
    "select sum(reviews), sum(incidents) from exhibition_rating",
    "select sum(reviews) from rating_distribution",
    "select sum(requests) from request_over_time",
    "select count(*) from (select * from request_info order by at desc limit 20) newest",
)
STATE = """
    select (select count(*) from review join event_source using (source_id) where kind = 'file'),
           (select sum(rows) from event_source where kind = 'file'),
           (select array_agg(exhibition_name order by exhibition_id) from exhibition)
"""


def kiosk_rows(count: int, rating: int = 3) -> list[str]:
    return [
        f"{DAY} {9 + n // 3600 % 9:02}:{n // 60 % 60:02}:{n % 60:02},{n % 3},{(n + rating) % 5}," for n in range(count)
    ]


@pytest.fixture
def busy_museum(museum):
    """A museum with rows, whose next load brings new, changed and grown objects and a renamed exhibition."""
    for site in range(3):
        museum.exhibition(site)
    museum.kiosk(0, *kiosk_rows(2_000))
    museum.kiosk(1, *kiosk_rows(2_000), f"{DAY} 10:00:00,1,-1,1.0")
    assert museum.push().exit_code == 0
    museum.exhibition(1, EXHIBITION_NAME="Renamed")
    museum.kiosk(0, *kiosk_rows(2_000, rating=4))
    museum.kiosk(1, *kiosk_rows(ROWS))
    museum.kiosk(2, *kiosk_rows(ROWS))
    return museum


class Visitor(threading.Thread):
    """Repeats something on a session that gives up after 200 ms of waiting for a lock."""

    def __init__(self, database, act) -> None:
        super().__init__(daemon=True)
        self.database, self.act = database, act
        self.is_over = threading.Event()
        self.error: psycopg2.Error | None = None
        self.turns = 0

    def run(self) -> None:
        with closing(connect(self.database, "visitor")) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("set lock_timeout = '200ms'")
            try:
                while not self.is_over.is_set():
                    self.act(cursor, self.turns)
                    self.turns += 1
            except psycopg2.Error as error:
                self.error = error


def test_nobody_waits_for_a_lock_and_everybody_sees_before_or_after(busy_museum):
    museum = busy_museum
    source_id = museum.query(LIVE_SOURCE)[0][0]
    states: list[tuple[object, ...]] = []

    def look(cursor, _turn):
        cursor.execute(STATE)
        states.append(cursor.fetchone())

    def press(cursor, turn):
        cursor.execute(LIVE_INSERT, {"n": turn, "source_id": source_id})

    def read(cursor, turn):
        cursor.execute(DASHBOARD[turn % len(DASHBOARD)])

    before = museum.query(STATE)[0]
    visitors = [Visitor(museum.database, act) for act in (look, press, read)]
    for visitor in visitors:
        visitor.start()
    load = subprocess.Popen(
        [sys.executable, str(PROJECT_DIR / "pipeline.py"), "--skip-extract", "--push", "--data-dir",
         str(museum.data_dir), "--log-file", str(museum.log_file), *museum.database_flags],
        env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said = load.communicate(timeout=300)[0]
    time.sleep(0.5)
    for visitor in visitors:
        visitor.is_over.set()
        visitor.join(timeout=60)
    after = museum.query(STATE)[0]
    assert load.returncode == 0, said
    assert [visitor.error for visitor in visitors] == [None, None, None]
    assert min(visitor.turns for visitor in visitors) > 10, "they met the load"
    assert before != after
    seen = [state for number, state in enumerate(states) if number == 0 or state != states[number - 1]]
    assert seen == [before, after]
    assert museum.count("review") == 2_000 + 2 * ROWS + visitors[1].turns
    assert museum.push().load["rows_stored"] == 0
