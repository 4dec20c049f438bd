"""The load's figures on their own: the sum that must hold, and the sentences that say it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from etlkit.errors import DataError
from museum.accounting import LoadSummary, StagedRows


def summary(**changes):
    """Return figures that add up, all parts different, with changes."""
    figures = {
        "rows_in": 21, "reviews_stored": 1, "incidents_stored": 2, "rows_already_there": 5, "rows_rejected": 6,
        "rows_already_rejected": 7, **changes,
    }  # fmt: skip
    return LoadSummary(**figures)


def test_figures_that_add_up_are_taken():
    summary().check()
    LoadSummary().check()


@pytest.mark.parametrize(
    "changes",
    [
        {"rows_in": 20},
        {"rows_in": 22},
        {"rows_already_there": -1, "rows_rejected": 12},
        {"rows_already_rejected": -1, "rows_rejected": 14},
    ],
)
def test_a_row_too_many_or_too_few_or_less_than_none_is_refused(changes):
    with pytest.raises(DataError, match="the rows do not add up"):
        summary(**changes).check()


@pytest.mark.parametrize("stored", [(0, 2), (2, 2), (1, 1), (1, 3), (2, 1)])
def test_tables_that_hold_other_rows_than_were_stored_are_refused(stored):
    summary().check_stored(1, 2)
    with pytest.raises(DataError, match=f"3 rows were stored, but the tables hold {sum(stored)}"):
        summary().check_stored(*stored)


def test_nothing_new_is_said_only_when_nothing_was_touched():
    assert LoadSummary(rows_in=2, open_rejects=1).sentence(dry_run=False) == (
        "Nothing new: 2 rows, all there or rejected before. 1 earlier rejects are still open."
    )
    assert LoadSummary(rows_in=2).sentence(dry_run=False) == "Nothing new: 2 rows, all there or rejected before."
    for changes in (
        {"objects_new": ["a"]}, {"objects_changed": ["a"]}, {"rows_removed": 1}, {"exhibition_rows_written": 1},
        {"records_rejected": 1}, {"reviews_stored": 1}, {"incidents_stored": 1},
        {"reviews_stored": 1, "rows_removed": 1},
        {"reviews_stored": 1, "exhibition_rows_written": 1}, {"reviews_stored": 1, "records_rejected": 1},
    ):  # fmt: skip
        assert not LoadSummary(**changes).is_nothing_new
        assert not LoadSummary(**changes).sentence(dry_run=False).startswith("Nothing new")


def test_the_last_sentence_tells_what_was_done_or_would_be():
    done = summary(records_rejected=2, open_rejects=5)
    assert done.sentence(dry_run=False) == "Loaded 3 rows, 2 rejected. 3 earlier rejects are still open."
    assert done.sentence(dry_run=True).startswith("Would load 3 rows")
    assert summary(records_rejected=2, open_rejects=2).sentence(dry_run=False) == "Loaded 3 rows, 2 rejected."


def test_the_lines_tell_what_happened_and_nothing_else():
    quiet = "\n".join(summary().lines(dry_run=False))
    assert "21 rows in = 3 stored + 5 already there + 6 rejected + 7 rejected earlier" in quiet
    assert "would be" not in quiet
    assert "would be stored" in "\n".join(summary().lines(dry_run=True))
    for changes, told in (
        ({"rows_recovered": 4}, "4 rows rejected earlier are good now"),
        ({"rows_removed": 4}, "4 rows of changed objects removed or replaced"),
        ({"objects_gone": ["a", "b"]}, "gone from the source, their rows stay: a, b"),
        ({"rejected_by_reason": {"bad_at": 4}}, "rejected: bad_at 4"),
    ):
        assert told not in quiet
        assert told in "\n".join(summary(**changes).lines(dry_run=False))


def test_figures_begin_at_nothing():
    assert LoadSummary().seconds == 0
    figures = LoadSummary(seconds=1.23456).figures()
    assert figures.pop("seconds") == 1.235
    assert not any(figures.values())


def test_what_copy_brought_does_not_change():
    with pytest.raises(FrozenInstanceError):
        StagedRows(1, 2).good = 3
