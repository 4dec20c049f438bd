"""What lies between figures and pictures: periods, an axis with its gaps, labels, changes, how sure an average is."""

from __future__ import annotations

import statistics
from contextlib import closing
from datetime import date
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dashboard import charts
from dashboard.catalogue import read_catalogue, read_days
from dashboard.database import Reader
from dashboard.figures import FEW_REVIEWS, SURE, read_exhibition_figures
from dashboard.sections import change_of
from dashboard.selection import Period, Selection, grain_of, named_period
from dashboard.taking_along import file_name
from dashboard.time_axis import LENGTHS, MOST_EMPTY, time_axis

SPAN = Period(date(2023, 3, 6), date(2026, 1, 5))


@pytest.mark.parametrize(
    ("name", "today", "first", "last"),
    [
        ("Today", date(2026, 1, 5), date(2026, 1, 5), date(2026, 1, 5)),
        ("Yesterday", date(2026, 3, 1), date(2026, 2, 28), date(2026, 2, 28)),
        ("7 days", date(2026, 11, 1), date(2025, 12, 30), date(2026, 1, 5)),
        ("30 days", date(2026, 11, 1), date(2025, 12, 7), date(2026, 1, 5)),
        ("Last month", date(2026, 1, 31), date(2025, 12, 1), date(2025, 12, 31)),
        ("Last month", date(2024, 3, 31), date(2024, 2, 1), date(2024, 2, 29)),
        ("All", date(2026, 11, 1), date(2023, 3, 6), date(2026, 1, 5)),
    ],
)
def test_a_named_period(name, today, first, last):
    assert named_period(name, SPAN, today) == Period(first, last)


@pytest.mark.parametrize(
    ("days", "grain"),
    [(0, "hour"), (3, "hour"), (4, "day"), (120, "day"), (121, "week"), (750, "week"), (751, "month")],
)
def test_the_step_follows_the_days_with_presses(days, grain):
    assert grain_of(days) == grain


@pytest.mark.database
def test_days_without_presses_take_no_step_and_those_not_folded_yet_do(museum):
    museum.exhibition(0)
    museum.kiosk(0, "2020-03-06 10:00:00,0,4,", "2023-03-06 23:59:59,0,4,", "2023-03-07 00:00:00,0,4,")
    museum.push()

    def grain() -> str:
        with closing(Reader(museum.database)) as reader, reader.look() as cursor:
            catalogue = read_catalogue(cursor, "Europe/London")
            assert catalogue.span is not None
            selection = Selection(catalogue.span, catalogue.chosen_ids(), "Europe/London")
            return grain_of(read_days(cursor, selection))

    assert grain() == "hour"
    museum.query(
        "insert into incident (exhibition_id, at, incident_type_id, source_id, position) "
        "select 1, timestamptz '2021-07-01 22:59:59+00' + n * interval '1 second', 0, 1, 1000 + n "
        "from generate_series(0, 1) n"
    )
    assert grain() == "day", "two local days, on both sides of a summer's midnight"


@st.composite
def moments(draw):
    """A grain, and the beginnings of some of its steps."""
    grain = draw(st.sampled_from(["hour", "day", "week", "month"]))
    numbers = draw(st.lists(st.integers(0, 3000), min_size=1, max_size=40))
    begin = pd.Timestamp("2019-12-30")
    if grain == "month":
        return grain, [begin.replace(day=1) + pd.DateOffset(months=number % 300) for number in numbers]
    return grain, [begin + number * LENGTHS[grain] for number in numbers]


@settings(deadline=None)
@example(("hour", [pd.Timestamp("2023-03-06 10:00"), pd.Timestamp("2026-01-05 15:00")]))
@given(moments())
def test_an_axis_has_a_place_for_each_step_and_one_for_a_long_gap(drawn):
    grain, periods = drawn
    axis = time_axis(periods, grain)
    steps = [step for step in axis.steps if step is not None]
    assert set(periods) <= set(steps)
    assert steps == sorted(set(steps))
    assert sum(step is None for step in axis.steps) == len(axis.gaps)
    assert all(axis.steps[place] is None and place > 0 and axis.steps[place + 1] is not None for place in axis.gaps)
    assert len(axis.steps) <= len(set(periods)) * (MOST_EMPTY + 1)
    placed = axis.placed(pd.DataFrame({"period": periods}))
    assert [axis.steps[place] for place in placed["place"]] == periods
    charts.incident_trend(
        pd.DataFrame({"period": periods, "incident_type": "a", "incidents": 1}), grain, {"a": 1}
    ).to_dict()


@pytest.mark.parametrize(
    ("first", "second", "grain", "said"),
    [
        ("2023-03-06 10:00", "2026-01-05 10:00", "hour", "3 years"),
        ("2023-03-06 18:00", "2023-03-07 09:00", "hour", "14 hours"),
        ("2023-03-06", "2023-03-16", "day", "10 days"),
        ("2023-03-06", "2023-05-15", "week", "2 months"),
        ("2023-03-01", "2024-01-01", "month", "9 months"),
    ],
)
def test_a_gap_says_how_long_it_is(first, second, grain, said):
    assert list(time_axis([first, second], grain).gaps.values()) == [said]


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=300))
def test_a_name_without_blanks_is_broken_into_lines_that_fit(name):
    lines = charts.label_lines(name)
    assert 1 <= len(lines) <= charts.LABEL_LINES
    assert all(len(line) <= charts.LABEL_LETTERS for line in lines)
    assert "".join(lines) == name or lines[-1].endswith("…")


@pytest.mark.parametrize(
    ("now", "before", "places", "said"),
    [
        (95, 30, None, "+217 % (30 before)"), (0, 5, None, "-100 % (5 before)"), (5, 5, None, "the same (5 before)"),
        (3, 0, None, "+3 (0 before)"), (0, 0, None, ""), (1.5, 2.25, 2, "-0.75"),
        (2.001, 2.0, 2, "the same"), (None, 1, 2, ""), (1, None, None, ""),
    ],
)  # fmt: skip
def test_a_change_is_said_in_words(now, before, places, said):
    assert change_of(now, before, places=places) == said


def test_a_file_s_name_is_of_plain_letters():
    assert file_name("../../etc/passwd", "Äußeres <b>x</b>\n", "csv") == "museum-etc-passwd-u-eres-b-x-b.csv"
    assert len(file_name("x", "y " * 500, "png")) <= 104


@pytest.mark.database
def test_how_sure_an_average_is_and_that_few_reviews_are_few(museum):
    museum.exhibition(0, EXHIBITION_NAME="Many")
    museum.exhibition(1, EXHIBITION_NAME="Few")
    museum.exhibition(2, EXHIBITION_NAME="Alike")
    many = [4, 3, 4, 2, 0, 4, 1, 3] * 5
    museum.kiosk(
        0,
        *(f"2023-03-06 10:{n:02}:00,0,{rating}," for n, rating in enumerate(many)),
        *(f"2023-03-06 11:{n:02}:00,1,4," for n in range(FEW_REVIEWS - 1)),
        *(f"2023-03-06 12:{n:02}:00,2,4," for n in range(FEW_REVIEWS)),
    )
    museum.push()
    with closing(Reader(museum.database)) as reader, reader.look() as cursor:
        catalogue = read_catalogue(cursor, "Europe/London")
        selection = Selection(Period(date(2023, 3, 6), date(2023, 3, 6)), catalogue.chosen_ids(), "Europe/London")
        figures = read_exhibition_figures(cursor, catalogue, selection)
    rows = {row["exhibition"]: row for row in figures.exhibitions.to_dict("records")}
    error = SURE * statistics.stdev(many) / len(many) ** 0.5
    assert rows["Many"]["low"] == pytest.approx(statistics.mean(many) - error)
    assert rows["Many"]["high"] == pytest.approx(statistics.mean(many) + error)
    assert charts.how_sure(*sureness(rows["Few"])) == f"few reviews: {FEW_REVIEWS - 1}"
    assert charts.how_sure(*sureness(rows["Alike"])) == "surely 4.00 to 4.00 (95 %)"


def sureness(row: dict[str, Any]) -> tuple[float, float, int]:
    return row["low"], row["high"], row["reviews"]


@settings(deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=5, max_size=5).filter(any))
def test_the_spread_never_goes_beyond_100_per_cent(counts):
    frame = pd.DataFrame({"exhibition": "a", "rating_id": range(5), "rating": list("vwxyz"), "reviews": counts})
    frame["share"] = frame["reviews"] / frame["reviews"].sum()
    chart = charts.distribution_bars(frame, ["a"]).to_dict()
    (rows,) = chart["datasets"].values()
    assert all(0 <= row["begin"] <= row["end"] <= 1 for row in rows)
    assert rows[-1]["end"] == pytest.approx(1)
