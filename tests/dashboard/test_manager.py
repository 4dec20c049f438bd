"""What the Exhibitions Manager needs: comparisons, one exhibition's page, links that keep the filters, files."""

from __future__ import annotations

import csv
import io
import re

import pytest
from dashboard_case import DESKTOP, PHONE
from museum_case import Museum

from dashboard.__main__ import main

SIZES = pytest.mark.parametrize(
    "size", [DESKTOP, pytest.param(PHONE, marks=pytest.mark.full)], ids=["desktop", "phone"]
)
PNG = b"\x89PNG\r\n"


@pytest.fixture
def season(museum: Museum) -> Museum:
    """Two months of two departments: Whales have many reviews, Stones a few; three years before them one press."""
    museum.exhibition(0, EXHIBITION_NAME="Whales", FLOOR="1", DEPARTMENT="Zoology", DESCRIPTION="Large ones")
    museum.exhibition(1, EXHIBITION_NAME="Stones & bones", FLOOR="2", DEPARTMENT="Geology")
    museum.exhibition(2, EXHIBITION_NAME="Birds", FLOOR="1", DEPARTMENT="Zoology")
    museum.kiosk(
        0,
        "2020-03-02 10:00:00,0,4,",
        *(f"2023-07-{1 + day:02} 10:00:00,0,{day % 5}," for day in range(30)),
        *(f"2023-08-{1 + day:02} 11:00:00,0,{(3, 4)[day % 2]}," for day in range(31)),
        *(f"2023-08-{1 + day:02} 15:00:00,0,4," for day in range(31)),
        "2023-08-31 16:00:00,1,1,", "2023-08-31 16:05:00,1,2,",
        *(f"2023-08-{1 + day:02} 12:00:00,2,2," for day in range(31)),
        "2023-08-30 11:00:00,0,-1,0", "2023-08-31 11:00:00,0,-1,1",
    )  # fmt: skip
    museum.push()
    return museum


AUGUST = {"period": "Own+days", "since": "2023-08-01", "until": "2023-08-31"}


def test_tiles_compare_with_the_period_before(season, look):
    page = look()
    page.open("", **AUGUST)
    page.wait_for_tile("Reviews", "95")
    assert page.change("Reviews") == "+217 % (30 before)"
    now, before = (
        season.query("select avg(rating_id)::float8 from review where at between %s and %s", days)[0][0]
        for days in (("2023-08-01", "2023-08-31 22:59:59"), ("2023-07-01", "2023-07-31 22:59:59"))
    )
    assert page.tile("Average rating") == f"{now:.2f}"
    assert page.change("Average rating") == f"{now - before:+.2f}"
    page.open("safety", **AUGUST)
    page.wait_for_tile("Emergency", "1")
    page.open("", period="All")
    page.wait_for_tile("Reviews", "126")
    assert page.playwright.get_by_test_id("stMetricDelta").filter(has_text="before").count() == 0


@SIZES
def test_one_exhibition_has_a_page_with_its_figures(season, look, size):
    page = look(size)
    page.open("exhibition", of="Whales", **AUGUST)
    page.wait_for_tile("Reviews", "62")
    average, deviation = season.query(
        "select avg(rating_id)::float8, stddev_samp(rating_id)::float8 from review "
        "where exhibition_id = 1 and at between '2023-08-01' and '2023-08-31 22:59:59'"
    )[0]
    assert page.tile("Average rating") == f"{average:.2f}"
    error = 1.96 * deviation / 62**0.5
    page.wait_for_text(f"surely {average - error:.2f} to {average + error:.2f} (95 %)")
    assert (page.tile("Rank among all"), page.tile("Rank in its department")) == ("1", "1")
    page.wait_for_text("of 3 rated")
    page.wait_for_text("of 2 rated")
    page.wait_for_text("EXH_00, Zoology, floor 1. Large ones")
    assert page.tile("Requests for help") == "2"
    page.wait_for_text("1 assistance, 1 emergency")
    assert "1 Aug" in page.picture("Rating over time")
    assert {"11", "15", "31"} <= set(page.picture("Busiest hours"))
    page.card("Latest requests").get_by_test_id("stDataFrame").wait_for()
    page.open("exhibition", of="Stones+%26+bones", **AUGUST)
    page.wait_for_text("few reviews: 2")
    assert page.tile("Rank among all") == "3"
    page.open("exhibition", of="Stones+%26+bones", period="Own+days", since="2023-07-01", until="2023-07-31")
    page.wait_for_text("not rated")
    assert page.overflow() <= 0
    assert page.errors() == []


def test_every_bar_leads_to_the_exhibition_and_keeps_the_filters(season, look):
    page = look()
    for name, title in (
        ("", "Average rating"), ("", "How the ratings are spread"), ("safety", "By exhibition"),
        ("safety", "Requests per 1,000 reviews"),
    ):  # fmt: skip
        page.open(name, department="Zoology", **AUGUST)
        page.picture(title)
        page.card(title).locator('svg.marks path[opacity="0"]').first.click(force=True)
        page.playwright.wait_for_url(re.compile("/exhibition"))
        page.playwright.get_by_role("heading", level=2, name=re.compile("Whales|Birds")).wait_for()
        assert {"since=2023-08-01", "department=Zoology"} <= set(page.playwright.url.split("?")[1].split("&"))
    page.open("", **AUGUST)
    page.picture("Trend")
    page.card("Trend").locator(".mark-symbol path").first.click(force=True)
    page.playwright.wait_for_url(re.compile("/exhibition"))


def test_a_bookmark_keeps_every_filter_from_page_to_page(season, look):
    page = look()
    page.open("", department="Zoology", exhibition="Whales", **AUGUST)
    page.wait_for_tile("Reviews", "62")
    asked = {"period=Own+days", "since=2023-08-01", "until=2023-08-31", "department=Zoology", "exhibition=Whales"}

    def kept() -> set[str]:
        return set(page.playwright.url.replace("%20", "+").split("?")[1].split("&")) & asked

    for name, path, label, says in (
        ("Safety", "/safety?", "Emergency", "1"), ("One exhibition", "/exhibition?", "Requests for help", "0"),
        ("Exhibitions", "/?", "Reviews", "62"), ("Data", "/data?", "Presses stored", "128"),
        ("Exhibitions", "/?", "Reviews", "62"),
    ):  # fmt: skip
        page.playwright.get_by_role("link", name=name, exact=True).click()
        # the tiles of the page before stay until those of this one are there
        page.playwright.get_by_role("heading", level=1, name=name).wait_for()
        page.wait_until(lambda path=path: path in page.playwright.url)
        page.wait_for_tile(label, says)
        if name != "Data":
            page.wait_until(lambda: kept() == asked)
    page.playwright.goto(page.playwright.url)
    page.wait_for_tile("Reviews", "62")


def test_long_gaps_are_collapsed_and_marked_and_one_day_is_drawn_by_hour(season, look):
    page = look()
    page.open("", period="All")
    words = page.picture("Trend")
    assert "3 years" in words
    assert {"2 Mar 20", "1 Jul 23"} <= set(words)
    page.open("", period="Own+days", since="2023-08-31", until="2023-08-31")
    page.wait_for_tile("Reviews", "5")
    words = page.picture("Trend")
    assert {"11:00", "15:00", "16:00"} <= set(words)
    assert {"1.50", "2.00"} <= set(words), "a line of one point says its figure"
    bar = page.box(page.card("Busiest hours").locator(".mark-rect path").first)
    assert bar["width"] > 20


@SIZES
def test_every_card_can_be_taken_along_with_sql_s_figures(season, look, size):
    season.query("update exhibition set exhibition_name = '=1+2' where exhibition_id = 3")
    season.query("update department set department_name = '@SUM(A1)' where department_name = 'Geology'")
    page = look(size)
    page.open("", period="All")
    card = page.files_of("Average rating")
    name, content = page.take(card.get_by_role("button", name="CSV", exact=True))
    assert name == "museum-exhibitions-average-rating.csv"
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    expected = season.query("select exhibition_name, reviews, average_rating from exhibition_rating")
    assert {(row["exhibition"], int(row["reviews"]), row["average"]) for row in rows} == {
        ("'=1+2" if name == "=1+2" else name, reviews, f"{float(average):.4f}".rstrip("0").ljust(3, "0"))
        for name, reviews, average in expected
    }
    assert not re.search(r"(^|[,\n\"])[=+@]", content.decode("utf-8-sig")), "no cell that a spreadsheet would run"
    name, content = page.take(card.get_by_role("button", name="Picture"))
    assert (name, content[:6]) == ("museum-exhibitions-average-rating.png", PNG)
    for title in ("How the ratings are spread", "Trend", "Busiest hours", "By department", "By floor"):
        card = page.files_of(title)
        card.get_by_role("button", name="Picture").wait_for()
        assert page.take(card.get_by_role("button", name="CSV", exact=True))[1].count(b"\r\n") >= 2
    assert page.errors() == []


def test_a_whole_page_can_be_taken_along_as_the_report(season, look, tmp_path):
    page = look()
    page.open("", **AUGUST)
    name, content = page.take(page.playwright.get_by_role("button", name="This page as a report"))
    assert name == "museum-exhibitions-report.html"
    assert "1 August 2023 to 31 August 2023" in content.decode()
    assert "<h2>Safety</h2>" not in content.decode()
    page.open("exhibition", of="Whales", **AUGUST)
    name, content = page.take(page.playwright.get_by_role("button", name="This page as a report"))
    assert "<h2>Whales</h2>" in content.decode()
    assert "<script" not in content.decode()


def test_the_report_of_last_month_has_comparisons_emergencies_and_a_footer(season, tmp_path):
    path = tmp_path / "report.html"
    flags = ["--export", str(path), "--log-file", str(season.log_file), "--now", "2023-09-05T12:00:00+00:00"]
    assert main([*season.database_flags, *flags, "--period", "last-month"]) == 0
    page = path.read_text()
    assert "1 August 2023 to 31 August 2023" in page
    assert "+217 % (30 before)" in page
    assert "2023-08-31 11:00:00" in page, "an emergency by its absolute time"
    assert " ago" not in page
    assert re.search(r"Data until 31 Aug 2023 16:05:00; latest run [0-9a-f]{8} \(batch, completed\)", page)
    assert "open rejects: 0" in page
    season.capsys.readouterr()
    assert main([*season.database_flags, *flags[:-1], "2024-09-05T12:00:00+00:00", "--period", "last-month"]) == 0
    assert "1 August 2024 to 31 August 2024" in season.capsys.readouterr().out
    assert main([*season.database_flags, *flags, "--exhibition", "Whales"]) == 0
    assert "<h2>Whales</h2>" in path.read_text()
    assert main([*season.database_flags, *flags, "--since", "2023-08-01", "--until", "2023-08-15"]) == 0
    assert "1 August 2023 to 15 August 2023" in path.read_text()
