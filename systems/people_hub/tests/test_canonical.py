"""The canonical form: what is the same has one hash, what differs has another, and what Postgres refuses is cleaned."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etlkit.testing import full_count
from people_hub.bronze.canonical import BadRecordError, hash_version, read_content

pytestmark = pytest.mark.soak

EXAMPLES = full_count("examples of records", 150, 1_000)
TEXTS = st.text(max_size=12)
NUMBERS = st.integers(min_value=-(2**80), max_value=2**80) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
RECORDS = st.dictionaries(TEXTS, VALUES, max_size=6)


def hashed(record: object, *volatile: str) -> str:
    return read_content(record, frozenset(volatile)).entity_hash


@settings(max_examples=EXAMPLES, deadline=None)
@given(record=RECORDS)
def test_a_record_that_went_through_postgres_and_back_has_the_same_hash(record):
    content = read_content(record, frozenset())
    stored = json.loads(content.as_json())
    assert hashed(stored) == content.entity_hash
    assert "\x00" not in content.as_json()
    content.as_json().encode()  # no lone surrogate is left


@settings(max_examples=EXAMPLES, deadline=None)
@given(record=RECORDS, data=st.data())
def test_order_nulls_and_unicode_form_are_no_change(record, data):
    names = data.draw(st.permutations(list(record)))
    shuffled = {name: record[name] for name in names} | {"another": None}
    if "another" not in record:
        assert hashed(shuffled) == hashed(record)
    decomposed = {"name": unicodedata.normalize("NFD", "Zoölogist Ångström")}
    assert hashed(decomposed) == hashed({"name": unicodedata.normalize("NFC", "Zoölogist Ångström")})


@settings(max_examples=EXAMPLES, deadline=None)
@given(record=RECORDS, name=TEXTS, value=st.integers(0, 9), other=st.integers(10, 19))
def test_another_value_is_another_hash_unless_the_field_is_volatile(record, name, value, other):
    one, two = {**record, name: value}, {**record, name: other}
    assert hashed(one) != hashed(two)
    if "\x00" not in name:
        assert hashed(one, name) == hashed(two, name)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"a": ""}, {"a": None}),
        ({"a": "1"}, {"a": 1}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": [None]}, {"a": []}),
        ({"a": True}, {"a": 1}),
        ({"a": {"b": 1}}, {"a": {"b": 2}}),
        ({"a": 2**70}, {"a": 2**70 + 1}),
        ({"a": "e\u0301 x"}, {"a": "e x"}),
    ],
)
def test_these_differ(one, two):
    assert hashed(one) != hashed(two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"a": 2.0}, {"a": 2}),
        ({"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({"a": 1, "b": None}, {"a": 1}),
    ],
)
def test_these_are_the_same(one, two):
    assert hashed(one) == hashed(two)


def test_two_names_that_look_alike_stay_two():
    one = {"\u00e9": 1, "e\u0301": 2}
    assert hashed(one) == hashed(dict(reversed(one.items())))
    assert hashed(one) != hashed({"\u00e9": 2, "e\u0301": 1})


def test_characters_that_jsonb_refuses_are_taken_out_and_named():
    content = read_content({"a": "x\x00y", "b": "fine", "c": ["\ud800z"], "d\x00": 1}, frozenset())
    assert content.record == {"a": "xy", "b": "fine", "c": ["z"], "d\ufffd": 1}
    assert content.cleaned == ("a", "c", "d\ufffd")
    assert hashed({"d\x00": 1, "d": 2}) != hashed({"d\x00": 1, "d": 3})


def test_a_backslash_before_u0000_is_text_like_any_other():
    content = read_content({"a": r"C:\u0000dir"}, frozenset())
    assert content.record == {"a": r"C:\u0000dir"}
    assert content.cleaned == ()


@pytest.mark.parametrize("record", [None, 1, "text", ["a"], True])
def test_what_is_no_object_is_a_bad_record(record):
    with pytest.raises(BadRecordError, match="not_an_object"):
        read_content(record, frozenset())


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_does_not_know_is_a_bad_record(number):
    with pytest.raises(BadRecordError, match="number_out_of_range"):
        read_content({"a": [number]}, frozenset())


def test_what_is_nested_too_deeply_is_a_bad_record():
    value: object = 1
    for _ in range(5000):
        value = [value]
    with pytest.raises(BadRecordError, match="nested_too_deeply"):
        read_content({"a": value}, frozenset())


def test_a_changed_deny_list_is_another_hash_version():
    assert hash_version({"a", "b"}) == hash_version({"b", "a"})
    assert hash_version({"a"}) != hash_version(set())
    assert 0 <= hash_version({"a"}) < 2**15
