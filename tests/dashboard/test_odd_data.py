"""Pages and report over whatever the database holds: names that nobody can print or draw, times of any year."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata

import altair as alt
import pandas as pd
import pytest
from dashboard_case import PROJECT_DIR
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dashboard import charts, drawing
from dashboard.__main__ import main
from dashboard.drawing import DrawingError, Renderer
from dashboard.names import MOST_LETTERS, shown

NAMES = [
    "Whales\x0bof the sea",
    "\x01\x02\x7f\x85\x1b[2J",
    "no characters \ufffe\uffff\ufdd0\U0001ffff",
    "turned \u202eround\u2028twice",
    "<script>alert(1)</script>",
    "[x](javascript:alert(1)) **b** $x^2$ :red[y] `z`",
    '=HYPERLINK("http://elsewhere.example.org")',
    "long " * 20_000,
    "long " * 20_000 + "too",
    "constructor",
    "a name of several lines constructor",
    "__proto__",
]


@pytest.fixture
def odd(museum):
    """A museum whose database holds such names already, as exhibitions, departments, floors and buttons."""
    for site in range(len(NAMES)):
        museum.exhibition(site, EXHIBITION_NAME=f"name {site}", FLOOR=f"floor {site}", DEPARTMENT=f"department {site}")
    museum.kiosk(0, *(
        f"2023-07-03 1{site % 9}:00:00,{site},{press}" for site in range(len(NAMES)) for press in ("4,", "-1,0", "-1,1")
    ))  # fmt: skip
    museum.push()
    for site, name in enumerate(NAMES):
        museum.query("update exhibition set exhibition_name = %s where exhibition_id = %s", (name, site + 1))
        museum.query("update department set department_name = %s where department_name = %s",
                     (name, f"department {site}"))  # fmt: skip
        museum.query("update floor set floor_name = %s where floor_name = %s", (name, f"floor {site}"))
    museum.query("update rating_desc set description = %s where rating_id = 4", (NAMES[0],))
    museum.query("update incident_type set description = %s where incident_type_id = 0", (NAMES[5],))
    return museum


def export(museum, *flags: str) -> tuple[int, str, list[str]]:
    path = museum.data_dir / "report.html"
    common = ["--export", str(path), "--log-file", str(museum.log_file)]
    code = main([*museum.database_flags, *common, *flags])
    captured = museum.capsys.readouterr()
    return code, path.read_text() if path.exists() else "", (captured.out + captured.err).strip().splitlines()


def test_names_that_nobody_can_draw_cost_no_chart(odd):
    flags = ["--export", "report.html", *odd.database_flags, "--log-file", "report.log"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_DIR)}
    done = subprocess.run(
        [sys.executable, "-m", "dashboard", *flags],
        cwd=odd.data_dir, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    page = (odd.data_dir / "report.html").read_text()
    assert page.count('<svg role="img"') == 2 * 13
    assert r"Whales\x0bof the sea" in page
    assert "<script" not in page
    assert "'=HYPERLINK" in page.replace("&#39;", "'")
    assert page.count(">'constructor</text>") >= 2, "its bars are drawn"
    assert len(set(re.findall(r"long long [^<]*\.\.\. \([0-9a-f]{8}\)", page))) >= 2, "two long names stay two"
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ufffe\uffff]", page)


def test_a_chart_that_cannot_be_drawn_costs_only_itself(odd, monkeypatch):
    monkeypatch.setattr(charts, "hour_bars", lambda _frame: undrawable())
    monkeypatch.setattr(charts, "rate_bars", lambda frame: frame["nothing of that name"])
    code, page, lines = export(odd)
    assert code == 3
    assert "2 of 13 charts could not be drawn." in lines[-1]
    assert [line for line in lines if "the chart Busiest hours of the page Exhibitions could not be drawn: " in line]
    assert [line for line in lines if "the chart Requests per 1,000 reviews of the page Safety" in line]
    assert page.count('<svg role="img"') == 2 * 11
    assert page.count("This chart could not be drawn") == 2
    assert "hour of day" in page, "its table is there"
    assert "Traceback" not in "".join(lines)


def test_a_chart_that_takes_for_ever_is_given_up(monkeypatch):
    with Renderer() as renderer:
        with monkeypatch.context() as patch:
            patch.setattr(drawing, "LONGEST_SECONDS", 3.0)
            with pytest.raises(DrawingError, match="took longer than 3 s"):
                renderer.draw(unguarded("x y " * 100_000).to_dict())
        assert renderer.draw(bars("short").to_dict()).startswith("<svg")
        with pytest.raises(DrawingError, match="panic"):
            renderer.draw(undrawable().to_dict())
        with pytest.raises(DrawingError):
            renderer.draw({"mark": "none such"})
        assert renderer.draw(bars("short").to_dict()).startswith("<svg")


@pytest.fixture(scope="module")
def renderer():
    with Renderer() as renderer:
        yield renderer


@settings(max_examples=20, deadline=None)
@example(["000000000000\x1e\x1e\x1e\U000112480"])
@given(st.lists(st.text(st.characters(), min_size=1), min_size=1, max_size=20))
def test_any_name_can_be_drawn_once_it_is_as_shown(renderer, names):
    assert renderer.draw(bars(*map(shown, names)).to_dict()).startswith("<svg")


@given(st.text(st.characters()))
def test_a_shown_name_is_harmless(name):
    clean = shown(name)
    assert not {unicodedata.category(letter) for letter in clean} & {"Cc", "Cs", "Zl", "Zp"}
    assert not clean.startswith("=")
    assert len(clean) < MOST_LETTERS + 20
    if name.isascii() and name.isalnum() and len(name) <= MOST_LETTERS:
        assert clean == name


@pytest.mark.parametrize(
    "name",
    ["-1", "+2", "Constructor", "Floor -1", "Dürer & Söhne", "東館", "1 + 1 = 2", "Ground\u00a0floor", "👩\u200d🔬"],
)
def test_an_ordinary_name_is_shown_as_it_is(name):
    assert shown(name) == name


def bars(*names: str) -> alt.Chart:
    frame = pd.DataFrame({"name": names, "value": 1})
    return alt.Chart(frame).mark_bar().encode(x="value:Q", y=charts._names("name", list(dict.fromkeys(names))))


def unguarded(*names: str) -> alt.Chart:
    """A chart as it would be without `charts._names`: its labels go to the renderer as they are."""
    return bars(*names).encode(y=alt.Y("name:N", axis=alt.Axis(labelLimit=130)))


def undrawable() -> alt.Chart:
    return unguarded("a\x0bb")


# ---------------------------------------------------------------------------------------------------------------------
# Times
# ---------------------------------------------------------------------------------------------------------------------

TIMES = [
    "-infinity", "4713-01-01 12:00:00 BC", "0001-01-01 00:30:00", "0024-03-06 12:00:00", "1899-12-31 23:59:59",
    "2200-01-01 00:00:00", "9999-12-31 23:59:59", "10000-01-01 00:00:00", "294276-12-31 12:00:00", "infinity",
]  # fmt: skip
ADD_REVIEW = (
    "insert into review (exhibition_id, at, rating_id, source_id, position) "
    "values (1, %s::timestamp at time zone 'UTC', 4, (select min(source_id) from event_source), %s)"
)
ADD_INCIDENT = ADD_REVIEW.replace("review", "incident").replace("rating_id", "incident_type_id").replace("4", "1")


@pytest.fixture
def ageless(museum):
    """A museum whose database holds presses, runs, rejects and sources of all times."""
    museum.exhibition(0, EXHIBITION_NAME="Whales")
    museum.kiosk(0, "2023-07-03 10:00:00,0,4,", "2023-07-03 10:00:00,0,-1,1", "2023-07-03 10:00:00,9,1,")
    museum.push()
    return museum


def add_times(museum, *times: str) -> None:
    for position, moment in enumerate(times, start=1000):
        museum.query(ADD_REVIEW, (moment, position))
        museum.query(ADD_INCIDENT, (moment, position))
        museum.query(
            "insert into meta.ingestion_runs (run_id, source_system, entity_type, started_at, completed_at) "
            "values (gen_random_uuid(), 'museum', 'live', %s, %s)",
            (moment, moment),
        )
        museum.query("update event_source set loaded_at = %s", (moment,))
        museum.query("update meta.rejected_records set last_seen = %s", (moment,))


@pytest.mark.database
def test_times_that_no_calendar_has_are_left_out_and_counted(ageless):
    add_times(ageless, *TIMES)
    code, page, lines = export(ageless)
    assert (code, "Traceback" in "".join(lines)) == (0, False), lines
    left_out = f"Left out: {2 * len(TIMES)} presses with times before 1900 or from 2200 on."
    assert left_out in page
    assert left_out in lines[-1]
    assert "3 July 2023: " not in page
    assert "<p>3 July 2023</p>" in page
    assert page.count('<svg role="img"') == 2 * 14


@pytest.mark.parametrize("moment", [TIMES[0], TIMES[3], TIMES[6], TIMES[8]])
def test_a_time_that_no_calendar_has_may_be_the_only_one(museum, moment):
    museum.exhibition(0)
    museum.kiosk(0, "2023-07-03 10:00:00,9,1,")
    museum.push()
    add_times(museum, moment)
    code, page, lines = export(museum)
    assert (code, "no presses yet" in lines[-1]) == (0, True), lines
    assert "Left out: 2 presses" in page


@pytest.mark.database
@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati"])
def test_the_first_and_the_last_time_shown_are_counted_once(ageless, monkeypatch, zone):
    monkeypatch.setenv("MUSEUM_TIMEZONE", zone)
    add_times(ageless, "1900-01-01 00:00:00", "2199-12-31 23:59:59", "1899-12-31 23:59:59", "2200-01-01 00:00:00")
    code, page, _ = export(ageless)
    assert code == 0
    assert "Left out: 4 presses" in page
    assert '<span class="note">Reviews</span><b>3</b>' in page
