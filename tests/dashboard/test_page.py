"""The page in a real browser: every page opens, its figures are those of the database, filters and live feed work."""

from __future__ import annotations

import json
import random
import re
from datetime import UTC, datetime

import pytest
from dashboard_case import DESKTOP, PHONE
from live_case import call, ended
from museum_case import SAMPLE_DATA, Museum

from dashboard.viewing import FIGURE_SECONDS

PASSWORD = "correct horse battery"


def test_the_real_museum_has_its_independent_figures_on_every_page(real_museum, look):
    real_museum.push()
    counts = json.loads((SAMPLE_DATA / "expected_counts.json").read_text())["historical (4 CSVs)"]
    page = look()
    page.open()
    assert page.tile("Reviews") == f"{counts['reviews']:,}" == "2,064"
    page.wait_for_text("Cetacean Sensations (472)")
    assert page.tile("Best rated") == "2.83"
    assert page.tile("Busiest hour") == "10:00"
    pictures = page.pictures(6)
    for bar in ("2.83  (472)", "1.93  (425)", "1.92  (301)", "1.43  (385)", "1.22  (481)", "no ratings yet"):
        assert any(bar in text for text in pictures[0]), (bar, pictures[0])
    assert any("232" in text for text in pictures[3]), "reviews at 10 o'clock"
    page.open("safety")
    assert (page.tile("Assistance"), page.tile("Emergency")) == ("71", "2")
    assert "29" in page.picture("By exhibition"), "calls for assistance at Cetacean Sensations"
    assert any("61.4" in text for text in page.picture("Requests per 1,000 reviews")), "29 of 472"
    page.open("data")
    assert page.tile("Presses stored") == "2,137"
    assert page.errors() == []
    assert page.foreign == [], "the page asks nobody but its own server"


def test_a_filter_changes_the_figures_and_stands_in_the_address(sample, look):
    page = look()
    page.open()
    page.wait_for_tile("Reviews", "4")
    page.choose("Departments", "Geology")
    page.wait_for_tile("Average rating", "1.00")
    assert page.tile("Reviews") == "1"
    page.pictures(6, without="Whales")
    assert "department=Geology" in page.playwright.url
    page.open("", department="Zoology", period="7+days")
    page.wait_for_tile("Reviews", "3")
    assert any("3.67" in text for text in page.pictures(6)[0])


def test_hours_are_the_museum_s_and_names_are_no_markup(sample, look):
    page = look()
    page.open()
    page.wait_for_tile("Busiest hour", "10:00")
    page.wait_for_text("Whales *and* <b>men</b>", page.playwright.get_by_test_id("stMetric"))
    page.open("safety")
    page.wait_for_text("Whales *and* <b>men</b>", page.playwright.locator(".feed"))
    assert page.playwright.locator(".feed td:last-child b").count() == 0
    page.wait_for_text("Mon 3 Jul 2023", page.playwright.locator(".feed"))
    page.wait_for_text("14:30:00", page.playwright.locator(".feed"))


def test_odd_names_and_times_are_text_and_left_out(sample, look):
    sample.query(
        "update exhibition set exhibition_name = %s where exhibition_id = 2", ("[x](javascript:alert(1)) $x^2$\x0b",)
    )
    sample.query(
        "update incident_type set description = '**b** [x](javascript:alert(1)) $x^2$' where incident_type_id = 1"
    )
    for table, column in (("review", "rating_id"), ("incident", "incident_type_id")):
        for position, moment in enumerate(("0024-03-06 12:00+00", "9999-12-31 23:59+00", "infinity", "4000-01-01 BC")):
            sample.query(
                f"insert into {table} (exhibition_id, at, {column}, source_id, position) "
                "values (2, %s, 1, (select min(source_id) from event_source), %s)",
                (moment, 1000 + position),
            )
    page = look()
    for name in ("", "safety", "data"):
        page.open(name)
        page.wait_for_text("Left out: 8 presses with times before 1900 or from 2200 on.")
        if name != "data":
            page.pictures(6)
        assert page.errors() == []
        assert page.playwright.locator("a[href^=javascript], .katex, [data-testid=stMetric] strong").count() == 0
    page.open("safety")
    page.wait_for_text("**b** [x](javascript:alert(1)) $x^2$", page.playwright.get_by_test_id("stMetric"))
    page.wait_for_text(r"$x^2$\x0b", page.playwright.locator(".feed"))


def test_an_emergency_appears_by_itself(sample, look):
    page = look()
    page.open("safety")
    page.wait_for_text("assistance", page.playwright.locator(".feed"))
    before = page.playwright.locator(".feed .emergency").count()
    sample.query(
        "insert into incident (exhibition_id, at, incident_type_id, source_id, position) "
        "values (3, %s, 1, (select min(source_id) from event_source), 1000)",
        (datetime.now(UTC),),
    )
    page.wait_for_text("Unseen", page.playwright.locator(".feed .emergency"))
    # among the emergencies and among the requests
    page.wait_for_count(page.playwright.locator(".feed .emergency"), before + 2)
    page.wait_for_text("Emergency: Unseen, floor 3", page.playwright.get_by_test_id("stToast"))


def test_an_emergency_of_the_live_stream_appears_by_itself(live, look):
    live.produce([call(0, 0, site="1")])
    live.consume()
    page = look()
    page.open("safety")
    page.wait_for_text("Room 1", page.playwright.locator(".feed"))
    consumer = live.start()
    live.produce([call(1, 1, site="4")])
    page.wait_for_text("Room 4", page.playwright.locator(".feed .emergency"))
    consumer.terminate()
    assert ended(consumer)[0] == 0
    page.sign("Live data", "ended since")


@pytest.mark.parametrize("size", [DESKTOP, pytest.param(PHONE, marks=pytest.mark.full)], ids=["desktop", "phone"])
def test_an_empty_museum_says_what_to_do(museum, look, size):
    page = look(size)
    for name in ("", "safety"):
        page.open(name)
        page.wait_for_text("There are no presses yet")
        assert page.errors() == []
    page.open("data")
    assert page.tile("Presses stored") == "0"


@pytest.mark.full
def test_every_page_fits_a_phone_with_much_data(museum, look):
    chance = random.Random(7)
    for site in range(12):
        name = f"An exhibition with quite a long name, the number {site} of many"
        museum.exhibition(site, EXHIBITION_NAME=name, DEPARTMENT=f"Department {site % 5}", FLOOR=str(site % 4))
    museum.kiosk(
        0,
        *(
            f"{2020 + chance.randrange(5)}-{1 + chance.randrange(12):02}-{1 + chance.randrange(28):02} "
            f"{8 + chance.randrange(11):02}:50:{chance.randrange(60):02},{chance.randrange(12)},"
            f"{chance.choice(['0,', '1,', '2,', '3,', '4,', '-1,0', '-1,1'])}"
            for _row in range(20_000)
        ),
    )
    museum.push()
    page = look(PHONE)
    for name in ("", "safety"):
        page.open(name)
        page.pictures(6)
        assert page.overflow() <= 0
        assert page.errors() == []
    page.open("data")
    page.wait_for_tile("Presses stored", "20,000")
    assert page.overflow() <= 0


def test_a_database_that_goes_away_is_one_line_and_comes_back(sample, look, tmp_path):
    page = look()
    page.open("data")
    page.wait_for_tile("Presses stored", "6")
    name = sample.database.db_name
    admin = Museum(sample.data_dir, sample.database.model_copy(update={"db_name": "postgres"}), sample.capsys)
    admin.query(f"alter database {name} allow_connections false")
    admin.query("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
    page.playwright.wait_for_timeout(FIGURE_SECONDS * 1000)  # until no figure is remembered
    page.open("data")
    page.wait_for_text("times of Europe/London")
    page.wait_for_text("The figures cannot be read just now")
    assert len(page.errors()) == 1, "the footer leaves it to the part above"
    assert "Traceback" not in page.playwright.content()
    log = (tmp_path / "page.txt").read_text()
    for part in ("show_data", "show_footer"):
        assert re.search(f"warning: {part}: .+is not currently accepting connections", log), part
    admin.query(f"alter database {name} allow_connections true")
    page.playwright.get_by_role("button", name="Try again").click()
    page.wait_for_tile("Presses stored", "6")


def test_an_open_page_learns_of_new_days_and_exhibitions(sample, look, monkeypatch):
    page = look(MUSEUM_DASHBOARD_REFRESH_SECONDS="2")
    page.open("safety", department="Geology")
    page.wait_for_tile("Emergency", "1")
    sample.exhibition(3, EXHIBITION_NAME="Brand new", DEPARTMENT="Zoology")
    sample.kiosk(1, "2023-07-06 10:00:00,3,-1,1", "2023-07-06 10:00:01,2,-1,1")
    sample.push()
    page.wait_for_text("Unseen", page.playwright.locator(".feed"))
    assert "Brand new" not in page.playwright.locator(".feed").first.inner_text(), "it is not Geology's"
    page.wait_for_tile("Emergency", "2")
    page.wait_for_text("From 3 July 2023 to 6 July 2023")
    page.playwright.get_by_test_id("stToast").first.wait_for(state="detached", timeout=10_000)


def test_days_of_one_s_own_stand_in_the_address(sample, look):
    page = look()
    page.open("", period="Own+days", since="2023-07-04", until="2023-07-05")
    page.wait_for_tile("Reviews", "1")
    page.wait_for_text("From 4 July 2023 to 5 July 2023")
    page.open("safety", period="Own+days", since="2023-07-04", until="2023-07-05")
    page.wait_for_text("From 4 July 2023 to 5 July 2023")


def test_a_password_keeps_the_page_closed_and_is_asked_for_once(sample, look):
    page = look(DESKTOP, "--address", "0.0.0.0", MUSEUM_DASHBOARD_PASSWORD=PASSWORD)
    page.open("safety", department="Geology")
    field = page.playwright.get_by_role("textbox", name="Password")
    field.fill("wrong")
    page.playwright.get_by_role("button", name="Open").click()
    page.wait_for_text("That is not the password")
    assert "Stones" not in page.playwright.content()
    field.fill(PASSWORD)
    page.playwright.get_by_role("button", name="Open").click()
    page.wait_for_text("Stones", page.playwright.locator(".feed"))
    assert page.playwright.url.endswith("/safety?department=Geology")
    page.playwright.reload()
    page.wait_for_text("Stones", page.playwright.locator(".feed"))
    assert PASSWORD not in page.playwright.evaluate("document.cookie + location.href + JSON.stringify(localStorage)")
    assert "museum_dashboard" not in page.playwright.evaluate("document.cookie"), "no script reads the login"
