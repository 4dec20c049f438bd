"""Kill -9 at random moments, then one run: the same bronze as without the kill, no run left open, nothing twice."""

from __future__ import annotations

import random
import time

import pytest
from hub_case import Hub

from etlkit.testing import full_count, seeded_random
from people_hub.sample_sources.people import University

pytestmark = pytest.mark.soak

KILLS = full_count("kills of an ingest", 4, 50)
UNIVERSITY = University(people=600, departments=400)
RUNNING = "select 1 from meta.ingestion_runs where status = 'running'"
FLAGS = ("--batch-size", "10", "--allow-mass-delete", "60")


def changed(seed):
    """Return the employees after some edits: changed ones, new ones, gone ones, one that comes twice, bad ones."""
    rng = random.Random(seed)
    rows = UNIVERSITY.umapi_employees()
    for row in rng.sample(rows, 200):
        row["Jobcode"] = f"{seed}"
    gone = rng.randrange(len(rows) - 60)
    rows[gone : gone + 50] = []
    new = [{**rows[n], "EmplId": f"9{seed:03}{n:04}"} for n in range(40)]
    bad = [{**rows[0], "EmplId": "x" * 600}, {**rows[1], "Jobcode": "twice"}]
    return [*rows, *new, rows[2], *bad]


@pytest.fixture
def reference(hub, databases, schema_files):
    """A second hub on a database of its own, whose runs nobody kills."""
    with databases.fresh(schema_files) as made:
        yield Hub(made, hub.folder, hub._monkeypatch, hub._capsys)


def ingest(hub):
    hub.set(DATABASE_URL=hub.url)
    return hub.ingest("umapi_employees", *FLAGS)


def test_any_kill_is_made_good_by_one_run(hub, reference, rest):
    rng = seeded_random("kills")
    killed_in_the_middle = 0
    rest.set_data(employees=UNIVERSITY.umapi_employees())
    ingest(reference)
    ingest(hub)
    rest.set_data(employees=changed(0))
    ingest(reference)
    hub.set(DATABASE_URL=hub.url)
    process = started_run(hub)
    began = time.monotonic()
    process.communicate()
    seconds = time.monotonic() - began
    for seed in range(1, KILLS + 1):
        rest.set_data(employees=changed(seed))
        hub.set(DATABASE_URL=hub.url)
        process = started_run(hub)
        time.sleep(rng.uniform(0, seconds))
        process.kill()
        process.communicate()
        wait_until_the_server_noticed(hub)
        killed_in_the_middle += len(hub.query(RUNNING))
        result = ingest(hub)
        assert result.exit_code in (0, 3), result.stream
        assert hub.query(RUNNING) == []
        ingest(reference)
        assert hub.bronze() == reference.bronze()
        assert hub.rejects() == reference.rejects()
    assert killed_in_the_middle >= KILLS // 4


def started_run(hub):
    """Start an ingest in a process of its own; return it when its run has begun."""
    process = hub.start("ingest_umapi_employees", *FLAGS)
    while not hub.query(RUNNING):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    return process


def wait_until_the_server_noticed(hub):
    for _attempt in range(400):
        if not hub.query("select 1 from pg_stat_activity where application_name like 'people_hub%%'"):
            return
        time.sleep(0.02)
    pytest.fail("a killed run's session is still there")
