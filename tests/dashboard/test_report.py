"""The exported report and the dashboard's flags: figures as in SQL, a file that needs no network, bad input named."""

from __future__ import annotations

import json
import os
import re
from contextlib import closing
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from dashboard_case import PHONE

from dashboard.__main__ import main
from dashboard.catalogue import read_catalogue
from dashboard.charts import fitted
from dashboard.data_sections import BAD, NONE, SLOW, WELL, consumer_sign
from dashboard.database import Reader
from dashboard.exhibition_sections import exhibition_sections, single_sections
from dashboard.figures import read_exhibition_figures, read_single_figures
from dashboard.safety_figures import EMERGENCY, read_latest_incidents, read_safety_figures
from dashboard.safety_sections import patrol_section, safety_sections
from dashboard.selection import Period, Selection
from dashboard.state import read_data_figures, read_pulse
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


@pytest.mark.database
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


@pytest.mark.database
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


@pytest.mark.database
def test_every_chart_keeps_to_the_schema_of_vega_lite(sample):
    """The page and the report do not ask."""
    exhibitions = figures(sample, read_exhibition_figures)
    single = figures(sample, read_single_figures, departments=("Geology",))
    safety = figures(sample, read_safety_figures)
    sections = [
        *exhibition_sections(exhibitions), *exhibition_sections(exhibitions, "exhibition?of={}".format),
        *single_sections(single), patrol_section(safety), patrol_section(safety, "Sun"),
        *safety_sections(safety), *safety_sections(safety, "exhibition?of={}".format),
    ]  # fmt: skip
    charts = [section.chart for section in sections if section.chart]
    assert len(charts) >= 20
    for chart in charts:
        fitted(chart(), is_dark=True).to_dict(validate=True)


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


@pytest.mark.database
def test_figures_of_one_page_see_one_state(sample):
    with closing(Reader(sample.database)) as reader, reader.look() as cursor:
        before = read_data_figures(cursor).reviews
        sample.query("delete from review")
        assert read_data_figures(cursor).reviews == before
        with pytest.raises(LoadError, match="read-only transaction"), reader.look() as other:
            other.execute("delete from incident")
    with closing(Reader(sample.database)) as reader, reader.look() as cursor:
        assert read_data_figures(cursor).reviews == 0


@pytest.mark.database
def test_the_feed_is_quick_whatever_the_selection_and_newest_first(sample):
    with closing(Reader(sample.database)) as reader, reader.look() as cursor:
        feed = read_latest_incidents(cursor, "Europe/London", 10, exhibitions=(1, 2))
        assert len(read_latest_incidents(cursor, "Europe/London", 10, exhibitions=(2,))) == 1
        emergencies = read_latest_incidents(cursor, "Europe/London", 10, incident_type_id=EMERGENCY)
        assert [row["floors"] for row in emergencies] == ["1, 2"]
    assert [(row["incident_type"], row["floors"]) for row in feed] == [("emergency", "1, 2"), ("assistance", "1")]


# ---------------------------------------------------------------------------------------------------------------------
# The report
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.database
def test_the_real_museum_s_report_has_the_independent_figures(real_museum):
    real_museum.push()
    code, path, line = export(real_museum)
    assert (code, path.stat().st_size < LARGEST_REPORT) == (0, True)
    assert "6 March 2023" in line
    rows = Tables(path.read_text()).rows
    averages = {row[0]: row[3:6] for row in rows if len(row) == 8 and row[1] in ("Zoology", "Geology", "Paleontology")}
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
    code, path, line = export(sample, "--department", "Zoology", "--since", "2023-10-29", "--until", "2023-10-29")
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
        (["--since", "2024-01-02", "--until", "2024-01-01"], "--since 2024-01-02 is after --until 2024-01-01"),
        (["--since", "2024-01-02", "--until", "2024-01-03"], "there are no presses from 2024-01-02"),
        (["--period", "all", "--since", "2024-01-02"], "--period cannot go with --since or --until"),
        (["--since", "9999-12-31"], "there are no presses from 9999-12-31"),
        (["--until", "0001-01-01"], "there are no presses from 2023-10-29 to 0001-01-01"),
        (["--department", "Zoology", "--exhibition", "Whales (EXH_02)"], "no exhibition is in both"),
        (["--export", "/dev/null"], "is there and is no file"),
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


def test_flags_of_the_report_are_not_ignored_on_the_page(sample, monkeypatch):
    common = [*sample.database_flags, "--log-file", str(sample.log_file)]
    assert main([*common, "--department", "Zoology"]) == 2
    assert "--department is for --export" in sample.capsys.readouterr().out
    monkeypatch.setenv("MUSEUM_TIMEZONE", "Asia/Kolkata")
    assert main(common) == 2
    assert "not whole hours away from UTC" in sample.capsys.readouterr().out


def test_a_link_s_target_is_written_and_the_umask_obeyed(sample):
    link, target = sample.data_dir / "report.html", sample.data_dir / "other.html"
    link.symlink_to(target)
    before = os.umask(0o027)
    try:
        assert export(sample)[0] == 0
    finally:
        os.umask(before)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_report_of_hundreds_of_exhibitions_and_years_can_be_mailed(sample):
    for site in range(300):
        sample.exhibition(site, EXHIBITION_NAME=f"An exhibition with a name, number {site}", DEPARTMENT=f"D{site % 9}")
    sample.push()
    sample.query(
        "insert into review (exhibition_id, at, rating_id, source_id, position) "
        "select 1 + n % 300, timestamptz '2021-01-01 09:00+00' + n * interval '37 minutes', n % 5, 1, 1000 + n "
        "from generate_series(1, 60000) n"
    )
    code, path, _ = export(sample)
    assert (code, path.stat().st_size < LARGEST_REPORT) == (0, True), path.stat().st_size
    page = path.read_text()
    assert "the first 40 of 300" in page
    assert "2025-" in page, "the newest rows of the trend"


def test_equal_labels_stay_apart(sample):
    sample.query("insert into incident_type (incident_type_id, description) values (2, 'assistance')")
    sample.query("insert into rating_desc (rating_id, description) values (7, 'Good')")
    sample.kiosk(1, *(f"2023-10-30 12:00:0{second},1,-1,2" for second in range(3)), "2023-10-30 12:00:00,1,7,")
    sample.push()
    safety = figures(sample, read_safety_figures)
    assert safety.totals == {"assistance (0)": 1, "emergency": 1, "assistance (2)": 3}
    tables = {section.title: section.table for section in safety_sections(safety)}
    assert int(tables["By exhibition"]["all"].sum()) == int(tables["Over time"]["all"].sum()) == 5
    assert figures(sample, read_exhibition_figures).distribution["reviews"].sum() == 5


@pytest.mark.database
def test_what_the_live_consumers_say_of_themselves(sample):
    insert = (
        "insert into meta.ingestion_runs (run_id, source_system, entity_type, started_at, status, metadata) values "
        "(gen_random_uuid(), 'museum', %s, %s, %s, %s)"
    )
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)

    def sign() -> tuple[str, str]:
        with closing(Reader(sample.database)) as reader, reader.look() as cursor:
            found = consumer_sign(read_pulse(cursor, now), now, "Europe/London")
        return found.kind, found.says

    assert sign() == (NONE, "no consumer has run")
    said = json.dumps({"live": {"lag": 123}, "reported_at": "2026-01-05T11:59:30+00:00"})
    sample.query(insert, ("live", "2026-01-04T00:00:00+00:00", "running", said))
    for hour in range(20):
        sample.query(insert, ("batch", f"2026-01-04T{hour:02}:00:00+00:00", "completed", "{}"))
        sample.query(insert, ("live", f"2026-01-04T{hour:02}:00:00+00:00", "completed", "{}"))
    assert sign() == (WELL, "consumer running, 123 behind")
    sample.query(insert, ("live", "2026-01-05T11:59:00+00:00", "running", "{}"))
    assert sign() == (WELL, "consumer 2 running, 123 behind")
    sample.query(insert, ("live", "2026-01-05T11:59:00+00:00", "running", said.replace("123", "9000")))
    assert sign() == (SLOW, "consumer 3 running, 9,123 behind")
    sample.query("delete from meta.ingestion_runs where started_at = '2026-01-05T11:59:00+00:00'")
    sample.query(
        "update meta.ingestion_runs set metadata = %s where status = 'running'", (said.replace("59:30", "10:00"),)
    )
    assert sign() == (BAD, "consumer silent since 11:10"), "a consumer that was killed stays running in the history"
    sample.query("update meta.ingestion_runs set status = 'failed', completed_at = %s where status = 'running'",
                 ("2026-01-05T11:20:00+00:00",))  # fmt: skip
    assert sign() == (BAD, "consumer failed since 11:20")
    sample.query("update meta.ingestion_runs set status = 'completed' where status = 'failed'")
    assert sign() == (BAD, "consumer ended since 11:20")
    sample.query("delete from meta.ingestion_runs where completed_at is not null")
    assert sign() == (BAD, "consumer ended since 4 Jan 2026 19:00")


def test_a_port_that_is_taken_is_named(sample):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code = main([*sample.database_flags, "--log-file", str(sample.log_file), "--port", str(port)])
    assert (code, f"cannot listen on 127.0.0.1:{port}" in sample.capsys.readouterr().out) == (2, True)
