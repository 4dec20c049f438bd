"""The exported report and the dashboard's flags: figures as in SQL, a file that needs no network, bad input named."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import SAMPLE_DATA
from dashboard_case import PHONE

from dashboard.__main__ import main
from dashboard.database import Reader
from dashboard.figures import (
    EMERGENCY,
    read_catalogue,
    read_data_figures,
    read_exhibition_figures,
    read_latest_incidents,
    read_safety_figures,
)
from dashboard.selection import Period, Selection
from etlkit.errors import LoadError
from etlkit.postgres import connect

LARGEST_REPORT = 2_000_000
NOW = "2026-01-05T12:00:00+00:00"
ROWS = [
    "2023-10-29 01:30:00,0,4,",  # the hour that autumn repeats
    "2023-10-29 10:00:00,0,4,",
    "2023-10-29 10:59:59,0,1,",
    "2023-10-30 00:00:00,1,2,",
    "2023-10-29 23:59:59,0,-1,1",
    "2023-10-29 10:00:00,1,-1,0",
]


class Tables(HTMLParser):
    """The tables of a page, as rows of cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._is_cell = False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        self._is_cell = tag in ("td", "th")
        if self._is_cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self._is_cell = False

    def handle_data(self, data):
        if self._is_cell:
            self.rows[-1][-1] += data


@pytest.fixture
def sample(museum):
    museum.exhibition(0, EXHIBITION_NAME="Whales", FLOOR=["1", "2"], DEPARTMENT="Zoology")
    museum.exhibition(1, EXHIBITION_NAME="Stones <script>alert(1)</script>", FLOOR="1", DEPARTMENT="Geology")
    museum.exhibition(2, EXHIBITION_NAME="Whales", FLOOR=None, DEPARTMENT=None)
    museum.kiosk(0, *ROWS)
    museum.push()
    return museum


def export(museum, *flags: str) -> tuple[int, Path, str]:
    path = museum.data_dir / "report.html"
    common = ["--export", str(path), "--now", NOW, "--log-file", str(museum.log_file)]
    code = main([*museum.database_flags, *common, *flags])
    captured = museum.capsys.readouterr()
    return code, path, (captured.out + captured.err).strip().splitlines()[-1]


def figures(museum, read, period: Period | None = None, departments: tuple[str, ...] = ()):
    with closing(Reader(museum.database)) as reader, reader.look() as cursor:
        catalogue = read_catalogue(cursor, "Europe/London")
        selection = Selection(period or catalogue.span, catalogue.chosen_ids(departments), "Europe/London")
        return read(cursor, catalogue, selection)


# ---------------------------------------------------------------------------------------------------------------------
# Figures
# ---------------------------------------------------------------------------------------------------------------------


def test_the_figures_of_all_days_are_those_of_the_views(sample):
    seen = figures(sample, read_exhibition_figures)
    expected = sample.query("select reviews, average_rating from exhibition_rating order by 2 desc nulls last, 1 desc")
    assert list(seen.exhibitions["reviews"]) == [reviews for reviews, _ in expected]
    assert [round(value, 4) for value in seen.exhibitions["average"].dropna()] == [
        float(average) for _, average in expected if average is not None
    ]
    hours = sample.query("select hour, reviews from hourly_activity where reviews > 0 order by 1")
    assert list(zip(seen.hours["hour_of_day"], seen.hours["reviews"], strict=True)) == hours
    safety = figures(sample, read_safety_figures)
    assert safety.totals == {"assistance": 1, "emergency": 1}
    assert safety.incidents.set_index("incident_type")["hour_of_day"].to_dict() == {"assistance": 10, "emergency": 23}


def test_days_begin_and_end_at_local_midnight(sample):
    sunday, monday = date(2023, 10, 29), date(2023, 10, 30)
    assert figures(sample, read_exhibition_figures, Period(sunday, sunday)).reviews == 3
    assert figures(sample, read_exhibition_figures, Period(monday, monday)).reviews == 1
    assert figures(sample, read_safety_figures, Period(monday, monday)).totals == {"assistance": 0, "emergency": 0}
    before = figures(sample, read_safety_figures, Period(monday, monday)).totals_before
    assert before == {"assistance": 1, "emergency": 1}
    assert figures(sample, read_safety_figures, Period(sunday, monday)).totals_before is None


def test_an_exhibition_without_reviews_is_shown_as_such(sample):
    rows = figures(sample, read_exhibition_figures).exhibitions.set_index("exhibition")
    assert rows.loc["Whales (EXH_02)", "label"] == "no ratings yet"
    assert rows.loc["Whales (EXH_02)", "department"] == "no department"
    assert rows.loc["Whales (EXH_02)", "floors"] == ["no floor"]
    assert rows["average"].isna().sum() == 1


def test_floors_count_an_exhibition_on_two_floors_on_both(sample):
    floors = figures(sample, read_exhibition_figures).floors.set_index("floor")["reviews"].to_dict()
    assert floors == {"1": 4, "2": 3, "no floor": 0}
    incidents = figures(sample, read_safety_figures).floors.groupby("floor")["incidents"].sum().to_dict()
    assert incidents == {"1": 2, "2": 1}


def test_new_buttons_and_types_are_in_the_figures(sample):
    sample.query("insert into rating_desc (rating_id, description) values (5, 'Beyond words')")
    sample.query("insert into incident_type (incident_type_id, description) values (2, 'spillage')")
    sample.kiosk(1, "2023-10-30 12:00:00,1,5,", "2023-10-30 12:00:00,1,-1,2")
    sample.push()
    assert figures(sample, read_exhibition_figures).distribution["rating"].nunique() == 6
    assert figures(sample, read_safety_figures).totals == {"assistance": 1, "emergency": 1, "spillage": 1}
    assert export(sample)[0] == 0


def test_figures_of_one_page_see_one_state(sample):
    with closing(Reader(sample.database)) as reader, reader.look() as cursor:
        before = read_data_figures(cursor).reviews
        sample.query("delete from review")
        assert read_data_figures(cursor).reviews == before
        with pytest.raises(LoadError, match="read-only transaction"), reader.look() as other:
            other.execute("delete from incident")
    with closing(Reader(sample.database)) as reader, reader.look() as cursor:
        assert read_data_figures(cursor).reviews == 0


def test_the_feed_is_quick_whatever_the_selection_and_newest_first(sample):
    with closing(Reader(sample.database)) as reader, reader.look() as cursor:
        selection = Selection(Period(date(2023, 10, 30), date(2023, 10, 30)), (1, 2), "Europe/London")
        feed = read_latest_incidents(cursor, selection, 10)
        assert [row["floors"] for row in read_latest_incidents(cursor, selection, 10, EMERGENCY)] == ["1, 2"]
    assert [(row["incident_type"], row["floors"]) for row in feed] == [("emergency", "1, 2"), ("assistance", "1")]


# ---------------------------------------------------------------------------------------------------------------------
# The report
# ---------------------------------------------------------------------------------------------------------------------


def test_the_real_museum_s_report_has_the_independent_figures(real_museum):
    if not SAMPLE_DATA.exists():
        pytest.skip("no sample data beside the project")
    real_museum.push()
    code, path, line = export(real_museum)
    assert (code, path.stat().st_size < LARGEST_REPORT) == (0, True)
    assert "6 March 2023" in line
    rows = Tables(path.read_text()).rows
    averages = {row[0]: row[3:6] for row in rows if len(row) == 6 and row[1] in ("Zoology", "Geology", "Paleontology")}
    assert averages["Cetacean Sensations"] == ["472", "2.8305", "Good"]
    assert averages["Measureless to Man"] == ["301", "1.9169", "Neutral"]
    assert averages["Thunder Lizards"] == ["0", "-", "no ratings yet"]
    assert ["10", "232"] in [row[:2] for row in rows]
    assert ["Cetacean Sensations", "29", "0", "29"] in rows
    assert ["The Crenshaw Collection", "12", "2", "14"] in rows


def test_the_report_needs_nothing_but_itself(sample):
    _, path, _ = export(sample)
    page = path.read_text()
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!#)|@import|url\((?!#)""", page)
    assert "<script" not in page
    assert page.count('<svg role="img" aria-label="') >= 12
    assert "Stones &lt;script&gt;" in page


def test_the_report_opens_without_a_network_and_fits_a_phone(sample, chromium):
    _, path, _ = export(sample)
    context = chromium.new_context(viewport={"width": PHONE[0], "height": PHONE[1]}, offline=True)
    page = context.new_page()
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert page.locator("section").count() >= 15
    assert complaints == []
    context.close()


def test_the_same_state_gives_the_same_report(sample):
    first = export(sample)[1].read_text()
    assert export(sample)[1].read_text() == first


def test_a_choice_of_days_and_departments(sample):
    code, path, line = export(
        sample, "--department", "Zoology", "--first-day", "2023-10-29", "--last-day", "2023-10-29"
    )
    assert (code, "29 October 2023" in line) == (0, True)
    page = path.read_text()
    assert "Zoology" in page
    assert "Geology" not in page
    assert "<b>3</b>" in page, "reviews"


def test_an_empty_museum_has_a_report_too(museum):
    code, path, line = export(museum)
    assert (code, "no presses yet" in line) == (0, True)
    assert "No presses yet" in path.read_text()


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (
            ["--department", "Astrology"],
            "no department is named 'Astrology'; there are: Geology, Zoology, no department",
        ),
        (["--exhibition", "Nothing"], "no exhibition is named 'Nothing'"),
        (["--first-day", "2024-01-02", "--last-day", "2024-01-01"], "--first-day 2024-01-02 lies after"),
        (["--export", "/no/such/folder/report.html"], "cannot be written: No such file or directory"),
        (["--address", "0.0.0.0"], "MUSEUM_DASHBOARD_PASSWORD must be set"),
        (["--port", "0"], "MUSEUM_DASHBOARD_PORT is '0', expected a number from 1 to 65535"),
        (["--db-name", "nothing_of_that_name"], "does not exist"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(sample, flags, complaint):
    code, path, line = export(sample, *flags)
    assert (code, complaint in line) == (2, True), line
    assert not path.exists()


def test_a_database_with_an_older_schema_is_refused_with_the_command(sample):
    sample.query("update meta.schema_version set version = 2")
    code, _, line = export(sample)
    assert (code, "python load.py --apply-schema" in line) == (2, True)


def test_a_failed_export_leaves_the_old_report(sample, monkeypatch):
    _, path, _ = export(sample)
    before = path.read_text()
    sample.query("drop view incident_tally cascade")
    code, _, line = export(sample)
    assert (code, "incident_tally" in line) == (1, True)
    assert path.read_text() == before
    assert [other.name for other in path.parent.iterdir() if other.name.startswith(".report")] == []
    with closing(connect(sample.database, "repair")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "create view incident_tally as select exhibition_id, hour, incident_type_id, incidents from incident_hour"
        )


def test_the_page_refuses_at_once_what_it_could_only_show_later(sample, monkeypatch):
    monkeypatch.setenv("MUSEUM_DASHBOARD_PASSWORD", "short")
    code = main([*sample.database_flags, "--log-file", str(sample.log_file)])
    assert (code, "at least 12 characters" in sample.capsys.readouterr().err) == (2, True)
    monkeypatch.setenv("MUSEUM_DASHBOARD_PASSWORD", "long enough for anybody")
    monkeypatch.setenv("MUSEUM_READER_USER", "somebody")
    code = main([*sample.database_flags, "--log-file", str(sample.log_file)])
    assert (code, "must be set together" in sample.capsys.readouterr().err) == (2, True)
    monkeypatch.setenv("MUSEUM_READER_PASSWORD", "wrong")
    code = main([*sample.database_flags, "--log-file", str(sample.log_file)])
    assert (code, "somebody@" in sample.capsys.readouterr().out) == (2, True)
    assert "wrong" not in sample.log_file.read_text()


def test_a_port_that_is_taken_is_named(sample):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code = main([*sample.database_flags, "--log-file", str(sample.log_file), "--port", str(port)])
    assert (code, f"cannot listen on 127.0.0.1:{port}" in sample.capsys.readouterr().out) == (2, True)
