"""The fast path against the rules, and a verdict for anything at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from etlkit.testing import full_count

pytestmark = pytest.mark.soak

pytest.importorskip("hypothesis", reason="property tests need hypothesis: pip install -r requirements-dev.txt")

from hypothesis import given, settings
from hypothesis import strategies as st

from museum.binary_copy import EPOCH, MICROSECOND
from museum.kiosk import Reference, Rules, default_reference
from museum.live.message import KnownMessages, judge_message

RULES = Rules(reject_out_of_hours=True)
REFERENCE = default_reference(frozenset(range(6)), datetime(2026, 8, 1, tzinfo=UTC))
EXAMPLES = full_count("examples of messages", 200, 3_000)

ATS = st.builds(
    lambda minutes, seconds, fraction, offset: (
        (datetime(2026, 3, 27) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:") + seconds + fraction + offset
    ),
    st.integers(-40_000, 40_000),
    st.sampled_from(["00", "07", "59", "60", "99"]),
    st.sampled_from(["", ".000000", ".999999", ".5", ".1234567"]),
    st.sampled_from(["+00:00", "+01:00", "-11:30", "Z", "", "+24:00", "+0100"]),
)
COMMON = st.builds(
    lambda at, site, val, kind: f'{{"at": "{at}", "site": "{site}", "val": {val}{kind}}}'.encode(),
    ATS,
    st.sampled_from(["0", "1", "5", "6", "05", "ERR", "-1", "99999999"]),
    st.sampled_from([-1, 0, 4, 5, -2, 99_999, -0]),
    st.sampled_from(["", ', "type": 0', ', "type": 1', ', "type": 2', ', "type": -1', ', "type": null']),
)
REFERENCES = st.builds(
    Reference,
    st.sampled_from([frozenset(), frozenset({0, 1, 5}), frozenset(range(7))]),
    st.sampled_from([frozenset(), frozenset({0, 4}), frozenset(range(6))]),
    st.sampled_from([frozenset(), frozenset({0, 1})]),
    st.sampled_from([datetime(2026, 3, 20, 11, 30, 7, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)]),
)
FIELDS = {"at": '"2026-01-05T12:00:00+00:00"', "site": '"1"', "val": "3", "type": "0", "x": "null"}
SPELLINGS = st.sampled_from([*FIELDS, "v\\u0061l", "\\u0061t"])
ALL_RULES = st.builds(
    Rules,
    st.sampled_from([ZoneInfo("Europe/London"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("Australia/Lord_Howe")]),
    reject_out_of_hours=st.booleans(),
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(COMMON, min_size=1, max_size=30), ALL_RULES, st.lists(REFERENCES, min_size=1, max_size=3))
def test_the_fast_path_knows_nothing_but_what_the_rules_say(messages, rules, references):
    fast = KnownMessages(rules, references[0])
    for reference in references:
        fast = fast.follow(reference)
        for raw in messages:
            found = fast.read(raw)
            if found is not None:
                verdict = judge_message(raw, rules, reference)
                event = verdict.event
                assert verdict.is_good
                assert found == ((event.at - EPOCH) // MICROSECOND, event.site, event.val, event.type)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(SPELLINGS, min_size=2, max_size=7))
def test_a_field_that_is_named_twice_is_never_a_press(names):
    """Whichever comes last: the message says two things. A press is what names each of its fields once."""
    plain = [json.loads(f'"{name}"') for name in names]
    raw = "{" + ", ".join(f'"{name}": {FIELDS[field]}' for name, field in zip(names, plain, strict=True)) + "}"
    is_repeated = len(set(plain)) < len(plain)
    assert (judge_message(raw.encode(), RULES, REFERENCE).reasons == ("repeated_field",)) == is_repeated
    assert not is_repeated or KnownMessages(RULES, REFERENCE).read(raw.encode()) is None


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["at", "site", "val", "type", "x"]), inner, max_size=5)
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_anything_at_all_gets_a_verdict(raw):
    verdict = judge_message(raw, RULES, REFERENCE)
    assert verdict.reasons or verdict.event is not None
    assert len(set(verdict.reasons)) == len(verdict.reasons)
    if verdict.is_good:
        assert verdict.event.site in REFERENCE.sites
