"""The edges of the canonical form, of the fingerprints and of a run's sum, and the numbers that stand in databases."""

from __future__ import annotations

import hashlib
import struct
from datetime import UTC, datetime, timedelta

import pytest

from etlkit.errors import DataError
from people_hub.accounting import Statistics
from people_hub.bronze.canonical import BadRecordError, hash_version, read_content
from people_hub.bronze.fingerprints import HeadFingerprints

NONE = frozenset()
HUGE = 2**70


def nested(depth, wrap):
    """Return so many containers within each other."""
    value = wrap(None)
    for _ in range(depth - 1):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    "wrap", [lambda inner: [] if inner is None else [inner], lambda inner: {} if inner is None else {"a": inner}]
)
def test_a_hundred_levels_are_the_last_that_are_taken(wrap):
    read_content({"a": nested(100, wrap)}, NONE)
    with pytest.raises(BadRecordError, match="nested_too_deeply"):
        read_content({"a": nested(101, wrap)}, NONE)


def test_hashes_and_their_version_are_those_that_databases_hold():
    assert (hash_version(NONE), hash_version({"b", "a"})) == (5121, 15794)
    for record, canonical in (
        ({"b": 2.0, "a": None}, '{"b":2}'),
        ({"é": HUGE, "a": 1}, f'{{"a":1,"é":{HUGE}}}'),
    ):
        assert read_content(record, NONE).entity_hash == hashlib.sha256(canonical.encode()).hexdigest()


def test_a_record_with_a_huge_number_is_kept_as_it_is():
    assert read_content({"é": HUGE}, NONE).as_json() == f'{{"é":{HUGE}}}'


@pytest.mark.parametrize("kept", ["\ud7ff", "\ue000"])
@pytest.mark.parametrize("refused", [chr(0xD800), chr(0xDFFF), chr(0)])
def test_only_what_jsonb_refuses_is_taken_out(kept, refused):
    assert read_content({"a": kept + refused}, NONE).record == {"a": kept}


@pytest.mark.parametrize("listed", [(2, 3), (9, 1), (1, 0), (1, 2), (1, 9), (9, 9)])
def test_a_head_is_met_by_both_halves_of_its_fingerprint(listed):
    heads = HeadFingerprints([struct.pack("=QQ", 1, 1) + struct.pack("=QQ", 3, 3)])
    assert heads.meet([struct.pack("=QQ", *listed)]) == ([0], [])
    assert heads.meet([struct.pack("=QQ", 3, 3), struct.pack("=QQ", 1, 1)]) == ([], [])


def statistics(**changes):
    """Return figures that add up, all parts different, with changes."""
    parts = {"created": 1, "updated": 2, "unchanged": 3, "repeated": 4, "passed_over": 5, "failed": 6}
    return Statistics("r", **{"processed": 21, **parts, **changes})


def test_figures_begin_at_nothing():
    figures = vars(Statistics("r"))
    started_at = figures.pop("started_at")
    assert started_at.tzinfo is UTC
    assert not any(value for name, value in figures.items() if name != "run_id")


@pytest.mark.parametrize("processed", [20, 22])
def test_a_record_too_many_or_too_few_fails_the_run(processed):
    statistics().require_sum()
    with pytest.raises(DataError, match="the figures do not add up"):
        statistics(processed=processed).require_sum()


def test_rejects_are_all_counted_and_a_hundred_are_shown():
    figures = Statistics("r")
    for number in range(101):
        figures.reject(str(number), "bad: because" if number else "worse")
    assert (figures.failed, figures.reasons) == (101, {"bad": 100, "worse": 1})
    assert (figures.errors[0], figures.errors[-1], len(figures.errors)) == ("0: worse", "99: bad: because", 100)


def test_what_is_rolled_back_is_not_counted():
    figures = statistics()

    def create(count):
        with figures.undone_on_error():
            figures.created += 7
            return 1 // count

    with pytest.raises(ZeroDivisionError):
        create(0)
    assert figures.created == 1
    create(1)
    assert figures.created == 8


def test_a_run_s_lines_say_what_would_be_and_what_failed():
    figures = statistics()
    figures.reasons.update({"bad": 4, "awful": 2})
    figures.completed_at = figures.started_at + timedelta(seconds=1.5)
    lines = "\n".join(figures.summary_lines("s/t"))
    for told in (
        "SUMMARY: s/t\n",
        "1.50 seconds",
        "New Records: 1\n",
        "(Unchanged): 12\n",
        "Rejected: 6 (awful 2, bad 4)",
    ):
        assert told in lines
    assert lines.startswith("=" * 60 + "\n")
    assert "[DRY RUN]" not in lines + "\n".join(figures.results_lines())
    assert "SUMMARY: s/t [FAILED] what stays of it" in "\n".join(figures.summary_lines("s/t", is_failed=True))
    assert "Rejected: 0\n" in "\n".join(statistics(failed=0).summary_lines("s/t"))
    dry = statistics(dry_run=True)
    assert "SUMMARY: s/t [DRY RUN]\n" in "\n".join(dry.summary_lines("s/t"))
    assert "New Records (would be): 1" in "\n".join(dry.summary_lines("s/t"))
    assert "Records Created (would be): 1" in "\n".join(dry.results_lines())
    assert "Records Created: 1" in "\n".join(figures.results_lines())


def test_a_run_at_work_lasts_until_now():
    figures = Statistics("r", started_at=datetime.now(UTC) - timedelta(hours=1))
    assert 3600 <= figures.duration < 3700
