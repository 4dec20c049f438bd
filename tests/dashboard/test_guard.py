"""What the Head of Security & Visitor Safety needs: is all alive, emergencies first, where a guard is needed."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from dashboard_case import DESKTOP, PHONE, Page
from museum_case import Museum

FULL = pytest.mark.full
SIZES = pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
MOSTLY_DESKTOP = pytest.mark.parametrize("size", [DESKTOP, pytest.param(PHONE, marks=FULL)], ids=["desktop", "phone"])
LONG = "Unbroken" * 25


def press_emergency(museum: Museum, number: int = 1, *, exhibition: int = 1, ago: timedelta = timedelta()) -> None:
    museum.query(
        "insert into incident (exhibition_id, at, incident_type_id, source_id, position) "
        "select %s, %s, 1, (select min(source_id) from event_source), "
        "(select coalesce(max(position), 0) from incident) + n from generate_series(1, %s) n",
        (exhibition, datetime.now(UTC) - ago, number),
    )


def say_run(museum: Museum, status: str, reported: datetime, lag: int = 0) -> None:
    museum.query(
        "insert into meta.ingestion_runs (run_id, source_system, entity_type, started_at, status, metadata) "
        "values (gen_random_uuid(), 'museum', 'live', %s, %s, %s)",
        (reported, status, json.dumps({"live": {"lag": lag}, "reported_at": reported.isoformat()})),
    )


def refuse_everybody(museum: Museum) -> Museum:
    """Close the museum's database; return the server, to open it again."""
    name = museum.database.db_name
    admin = Museum(museum.data_dir, museum.database.model_copy(update={"db_name": "postgres"}), museum.capsys)
    admin.query(f"alter database {name} allow_connections false")
    admin.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
    return admin


# ---------------------------------------------------------------------------------------------------------------------
# Is it alive?
# ---------------------------------------------------------------------------------------------------------------------


@MOSTLY_DESKTOP
def test_a_quiet_day_and_a_dead_consumer_do_not_look_alike(sample, look, size):
    now = datetime.now(UTC)
    page = look(size)
    page.open("data")
    page.sign("Live data", "no consumer has run")
    say_run(sample, "running", now, lag=3)
    quiet = page.sign("Live data", "running, 3 behind")
    assert "well" in quiet.get_attribute("class")
    assert "d ago" in page.sign("Last press", "ago").inner_text()
    reported = json.dumps({"live": {"lag": 3}, "reported_at": (now - timedelta(minutes=3)).isoformat()})
    sample.query("update meta.ingestion_runs set metadata = %s where entity_type = 'live'", (reported,))
    dead = page.sign("Live data", "silent since")
    assert "bad" in dead.get_attribute("class")
    sample.query("update meta.ingestion_runs set status = 'failed', completed_at = now() where entity_type = 'live'")
    page.sign("Live data", "failed since")
    page.sign("Database", "answers")
    assert page.overflow() <= 0


@MOSTLY_DESKTOP
def test_a_database_that_is_away_is_told_on_every_page_and_the_feed_stays(sample, look, size):
    press_emergency(sample)
    say_run(sample, "running", datetime.now(UTC))
    page = look(size)
    page.open("safety")
    page.wait_for_count(page.playwright.locator(".feed").first.locator(".emergency:not(.faded)"), 1)
    assert "well" in page.sign("Live data", "running").get_attribute("class")
    admin = refuse_everybody(sample)
    page.sign("Database", "cannot be read since")
    assert "well" not in page.sign("Live data", "running").get_attribute("class"), "nobody knows"
    page.wait_for_text("As the database last said")
    assert page.playwright.locator(".feed").first.locator(".emergency:not(.faded)").count() == 1
    admin.query(f"alter database {sample.database.db_name} allow_connections true")
    page.sign("Database", "answers")
    for name in ("", "exhibition", "data"):
        page.open(name)
        page.sign("Database", "answers")


def test_a_page_whose_database_was_never_there_says_so_too(sample, look):
    page = look()
    page.open("data")
    page.sign("Database", "answers")
    admin = refuse_everybody(sample)
    page.open("safety")
    page.sign("Database", "cannot be read since")
    admin.query(f"alter database {sample.database.db_name} allow_connections true")
    page.sign("Database", "answers")


@MOSTLY_DESKTOP
def test_a_tab_left_open_says_that_it_lost_its_server(sample, look, size):
    press_emergency(sample)
    page = look(size)
    page.open("safety")
    page.wait_for_text("Alarm: off", page.playwright.locator(".watch"))
    page.sign("Last emergency", "within the last hour")
    page.server.process.kill()
    alert = page.playwright.locator(".watch [role=alert]")
    alert.wait_for(timeout=40_000)
    assert re.search(r"Nothing was heard from the server since \d\d:\d\d:\d\d", alert.inner_text())
    assert page.playwright.title().startswith("⚠ lost since")
    page.server.process.wait(timeout=20)
    again = look(size, "--port", page.address.rsplit(":", 1)[1])
    again.open("safety")
    alert.wait_for(state="detached", timeout=40_000)
    assert page.playwright.title().startswith("(1) ")


# ---------------------------------------------------------------------------------------------------------------------
# Emergencies first
# ---------------------------------------------------------------------------------------------------------------------


@SIZES
def test_twelve_emergencies_at_once_are_twelve_and_come_first(sample, look, size):
    press_emergency(sample, exhibition=3, ago=timedelta(hours=2))
    page = look(size)
    page.open("safety", period="Yesterday", department="Zoology")
    feed = page.playwright.locator(".feed").first
    page.wait_for_text("Stones", feed)
    assert feed.locator(".emergency:not(.faded)").count() == 0
    assert feed.locator(".faded").count() == 2
    assert feed.locator(".day").all_inner_texts()[-1] == "Mon 3 Jul 2023", "older ones stand under their day"
    press_emergency(sample, 12, exhibition=2)
    page.wait_for_count(feed.locator(".emergency:not(.faded)"), 12)
    page.wait_for_text("12 within the last hour. Of every exhibition, whatever is chosen below.")
    assert "bad" in page.sign("Last emergency", "12 within the last hour").get_attribute("class")
    top = page.box(feed)["y"]
    assert top < page.box(page.playwright.get_by_text("Period", exact=True))["y"]
    assert top < size[1] / 2, "on the first screen"
    assert page.overflow() <= 0


@pytest.mark.parametrize("name", [pytest.param("", marks=FULL), pytest.param("exhibition", marks=FULL), "data"])
def test_an_emergency_is_called_out_in_red_on_every_page(sample, look, name):
    page = look()
    page.open(name)
    page.sign("Last emergency", "ago")
    page.wait_for_text("Data until 5 Jul 2023")
    press_emergency(sample, exhibition=3)
    toast = page.playwright.get_by_test_id("stToast")
    page.wait_for_text("Emergency: Unseen, floor 3", toast)
    assert toast.first.evaluate("toast => getComputedStyle(toast).backgroundColor") == "rgb(179, 38, 30)"
    page.wait_for_title("(1) Liverpool Museum of Natural History")
    press_emergency(sample, 12, exhibition=2)
    page.wait_for_text("10 more emergencies: see the page Safety", toast)
    page.wait_for_title("(13) Liverpool Museum of Natural History")


def test_a_sound_can_be_switched_on_and_stays_so(sample, look):
    page = look()
    page.open("data")
    page.sign("Last emergency", "ago")
    button = page.playwright.locator(".watch button")
    press_emergency(sample)
    page.wait_for_title("(1) Liverpool Museum of Natural History")
    assert button.get_attribute("data-sounded") is None, "it is off at first"
    button.click()
    page.wait_for_text("Alarm: on", button)
    assert button.get_attribute("aria-pressed") == "true"
    page.playwright.get_by_role("link", name="Safety").click()
    page.wait_for_text("within the last hour")
    press_emergency(sample)
    page.playwright.locator(".watch button[data-sounded='1']").wait_for(timeout=10_000)
    page.playwright.reload()
    page.wait_for_text("Alarm: on", button)


# ---------------------------------------------------------------------------------------------------------------------
# Periods, and the patrol's question
# ---------------------------------------------------------------------------------------------------------------------


def test_periods_of_the_calendar_and_of_the_data(sample, look):
    press_emergency(sample, 2, exhibition=2)
    press_emergency(sample, 3, exhibition=2, ago=timedelta(days=1))
    page = look()
    for period, count in (("Today", "2"), ("Yesterday", "3"), ("7+days", "5"), ("All", "6")):
        page.open("safety", period=period)
        page.wait_for_text(count, page.playwright.get_by_test_id("stMetricValue"))
        assert page.tile("Emergency") == count
    page.open("safety")
    assert page.tile("Emergency") == "5", "the last 30 days that have data"


def test_enter_applies_typed_dates(sample, look):
    page = look()
    page.open("", period="Own+days")
    page.wait_for_tile("Reviews", "4")
    page.type_date("From", "04072023")
    page.playwright.keyboard.press("Enter")
    page.wait_for_tile("Reviews", "1")
    page.wait_for_text("From 4 July 2023 to 5 July 2023")
    assert "since=2023-07-04" in page.playwright.url
    page.type_date("Until", "03072023")
    page.playwright.keyboard.press("Enter")
    page.wait_for_text("The first day is after the last one; choose again.")
    assert page.errors() == []


@SIZES
def test_which_floor_needs_a_guard_on_saturday_at_eleven(museum, look, size):
    museum.exhibition(0, FLOOR=["1", "2"])
    museum.exhibition(1, FLOOR="Vault")
    museum.kiosk(
        0,
        *(f"2023-07-08 11:0{minute}:00,1,-1,0" for minute in range(3)),  # a Saturday
        "2023-07-08 11:00:00,0,-1,1", "2023-07-08 15:00:00,0,-1,0",
        *(f"2023-07-03 11:0{minute}:00,0,-1,0" for minute in range(5)),  # a Monday
    )  # fmt: skip
    museum.push()
    page = look(size)
    page.open("safety", weekday="Sat")
    title = "Which floor needs a guard, by hour"
    page.wait_for_text("Sat: the most on floor Vault at 11:00 (3)", page.card(title))
    assert [text for text in page.picture(title) if text in ("1", "2", "3", "Vault")].count("3") == 1
    name, content = page.take(page.files_of(title).get_by_role("button", name="CSV", exact=True))
    assert name == "museum-safety-which-floor-needs-a-guard-by-hour.csv"
    rows = [line.split(",") for line in content.decode("utf-8-sig").splitlines()]
    expected = museum.query(
        "select floor_name, hour, sum(requests) from floor_requests where weekday = 6 group by 1, 2"
    )
    assert {(row[0], int(row[1]), int(row[-1])) for row in rows[1:]} == {(f, h, int(n)) for f, h, n in expected}
    page.open("safety")
    page.wait_for_text("Every day: the most on floor 1 at 11:00, floor 2 at 11:00 (6)", page.card(title))
    assert page.overflow() <= 0


@MOSTLY_DESKTOP
def test_names_of_200_letters_wrap(museum, look, size):
    museum.exhibition(0, EXHIBITION_NAME=LONG, DEPARTMENT=LONG[:-1], FLOOR=LONG[:-2])
    museum.exhibition(1, EXHIBITION_NAME="Whales", DEPARTMENT="Zoology", FLOOR="1")
    museum.kiosk(0, "2023-07-03 10:00:00,0,4,", "2023-07-03 10:00:00,1,4,", "2023-07-03 10:00:00,0,-1,1")
    museum.push()
    page: Page = look(size)
    for name, title in (("", "Average rating"), ("safety", "By exhibition"), ("exhibition", "Rating over time")):
        page.open(name, of=LONG, period="All")
        words = page.picture(title)
        assert page.overflow() <= 0
        assert page.errors() == []
        if title != "Rating over time":
            assert any("…" in word for word in words), "a label that is cut"
            page.card(title).locator('svg.marks path[opacity="0"]').first.hover(force=True)
            page.wait_for_text(LONG, page.playwright.locator("#vg-tooltip-element"))
