"""The load's figures on their own: the sum that must hold, and the sentences that say it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from etlkit.errors import DataError
from museum.batch.load_summary import FreshObject, LoadSummary


def summary(**changes):
    """Return figures that add up, all parts different, with changes."""
    figures = {
        "rows_in": 21, "reviews_stored": 1, "incidents_stored": 2, "rows_already_there": 5, "rows_rejected": 6,
        "rows_already_rejected": 7, **changes,
    }  # fmt: skip
    return LoadSummary(**figures)


def fresh(good, held):
    return FreshObject("a.csv", 7, rows=9, previous_stored=None, good=good, held=held)


def test_figures_that_add_up_are_taken():
    summary().check([])
    LoadSummary().check([fresh(good=4, held=4)])


@pytest.mark.parametrize(
    "changes",
    [
        {"rows_in": 20},
        {"rows_in": 22},
        {"reviews_stored": 2},
        {"incidents_stored": 1},
        {"rows_already_there": 6},
        {"rows_rejected": 5},
        {"rows_already_rejected": 8},
    ],
)
def test_a_row_too_many_or_too_few_is_refused(changes):
    with pytest.raises(DataError, match="the rows do not add up"):
        summary(**changes).check([])


@pytest.mark.parametrize(("good", "held"), [(4, 3), (4, 5), (0, 1), (1, 0)])
def test_an_object_of_which_the_tables_hold_other_than_its_good_rows_is_refused(good, held):
    with pytest.raises(DataError, match=f"a.csv: {good} good rows, {held} held"):
        summary().check([fresh(2, 2), fresh(good, held)])


def test_nothing_new_is_said_only_when_nothing_was_touched():
    assert LoadSummary(rows_in=2, open_rejects=1).sentence() == (
        "Nothing new: 2 rows, all there or rejected before. 1 earlier rejects are still open."
    )
    assert LoadSummary(rows_in=2).sentence() == "Nothing new: 2 rows, all there or rejected before."
    for changes in (
        {"objects_new": ["a"]}, {"objects_changed": ["a"]}, {"rows_removed": 1}, {"exhibition_rows_written": 1},
        {"records_rejected": 1}, {"reviews_stored": 1}, {"incidents_stored": 1},
        {"reviews_stored": 1, "rows_removed": 1},
        {"reviews_stored": 1, "exhibition_rows_written": 1}, {"reviews_stored": 1, "records_rejected": 1},
    ):  # fmt: skip
        assert not LoadSummary(**changes).is_nothing_new
        assert not LoadSummary(**changes).sentence().startswith("Nothing new")


def test_the_last_sentence_tells_what_was_done_or_would_be():
    done = summary(records_rejected=2, open_rejects=5)
    assert done.sentence() == "Loaded 3 rows, 2 rejected. 3 earlier rejects are still open."
    assert replace(done, dry_run=True).sentence().startswith("Would load 3 rows")
    assert summary(records_rejected=2, open_rejects=2).sentence() == "Loaded 3 rows, 2 rejected."


def test_the_lines_tell_what_happened_and_nothing_else():
    quiet = "\n".join(summary().lines())
    assert "21 rows in = 3 stored + 5 already there + 6 rejected + 7 rejected earlier" in quiet
    assert "would be" not in quiet
    assert "would be stored" in "\n".join(summary(dry_run=True).lines())
    for changes, told in (
        ({"rows_recovered": 4}, "4 rows rejected earlier are good now"),
        ({"rows_removed": 4}, "4 rows of changed objects removed or replaced"),
        ({"objects_gone": ["a", "b"]}, "gone from the source, their rows stay: a, b"),
        ({"rejected_by_reason": {"bad_at": 4}}, "rejected: bad_at 4"),
    ):
        assert told not in quiet
        assert told in "\n".join(summary(**changes).lines())


def test_figures_begin_at_nothing():
    assert LoadSummary().seconds == 0
    figures = LoadSummary(seconds=1.23456).figures()
    assert figures.pop("seconds") == 1.235
    assert not any(figures.values())
