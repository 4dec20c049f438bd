"""The short cut by fingerprints: it tells the same as the server, whatever comes in whatever order."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from conftest import FULL
from hypothesis import given, settings
from hypothesis import strategies as st
from test_changes import STREAM, bring, counts

from people_hub.bronze import store
from people_hub.bronze.fingerprints import HeadFingerprints, fingerprint

KEYS = st.sampled_from("abcdefgh")


@settings(max_examples=1000 if FULL else 100, deadline=None)
@given(
    heads=st.dictionaries(KEYS, st.sampled_from("xyz")),
    pages=st.lists(st.dictionaries(KEYS, st.sampled_from("xyz")), max_size=6),
    block=st.integers(1, 9),
)
def test_met_repeated_and_unmet_are_those_of_a_plain_dictionary(heads, pages, block):
    all_heads = [fingerprint(key, value) for key, value in heads.items()]
    blocks = [b"".join(all_heads[start : start + block]) for start in range(0, len(all_heads), block)]
    fingerprints, met, replaced = HeadFingerprints(blocks), set(), set()
    for page in pages:
        listed = list(page.items())
        unknown, repeated = fingerprints.meet(fingerprint(key, value) for key, value in listed)
        expected = [key not in replaced and heads.get(key) == value for key, value in listed]
        assert unknown == [number for number, is_known in enumerate(expected) if not is_known]
        assert repeated == [number for number, (key, _value) in enumerate(listed) if expected[number] and key in met]
        met |= {key for (key, _value), is_known in zip(listed, expected, strict=True) if is_known}
        for number in unknown:
            key = listed[number][0]
            if key in heads and heads[key] != listed[number][1]:
                assert fingerprints.replace(fingerprint(key, heads[key])) == (key not in met)
                replaced |= {key} - met
    left = {fingerprint(key, value) for key, value in heads.items() if key not in met | replaced}
    assert sorted(fingerprints.unmet()) == sorted(left)


def test_a_head_that_is_none_of_them_counts_as_replaced():
    for heads in ([], [fingerprint("1", "x")]):
        assert HeadFingerprints(heads).replace(fingerprint("2", "x"))


def test_a_thousand_lookups_ask_the_server_nothing(hub, monkeypatch):
    records = [{"DeptId": f"é{n}", "Name": "Zürich"} for n in range(1000)]
    bring(hub, records)
    asked = []
    ask = store.BronzeStore._ask_server
    monkeypatch.setattr(
        store.BronzeStore,
        "_ask_server",
        lambda self, cursor, listed, states: asked.extend(listed) or ask(self, cursor, listed, states),
    )
    records[7]["Name"] = "Genf"
    assert counts(bring(hub, records, batch_size=300)) == (0, 1, 999, 0, 0)
    assert [(place, key) for place, key, _hash in asked] == [(7, "é7")]


def test_a_table_of_many_pages_is_read_whole(hub, monkeypatch):
    monkeypatch.setattr(store, "_HEAD_PAGES", 1)
    records = [{"DeptId": str(n)} for n in range(500)]
    bring(hub, records)
    assert hub.query("select pg_relation_size('bronze.entity_heads') > 3 * 8192") == [(True,)]
    monkeypatch.setattr(store.BronzeStore, "_ask_server", None)  # there is nothing to ask
    assert counts(bring(hub, records)) == (0, 0, 500, 0, 0)


def test_heads_of_an_older_rule_have_no_fingerprint_and_may_vanish_too(hub):
    records = [{"DeptId": str(n), "Seen": "today"} for n in range(20)]
    bring(hub, records)
    later = replace(STREAM, volatile=frozenset({"Seen"}))
    bring(hub, records[:10], stream=later, is_full=False)  # half of the heads get today's rule
    assert counts(bring(hub, records[1:19], stream=later)) == (0, 0, 18, 2, 0)
    assert [row[2] for row in hub.bronze() if row[4]] == ["0", "19"]


@pytest.mark.parametrize("seed", range(60 if FULL else 12))
def test_of_two_contents_the_first_stays_wherever_the_pages_end(hub, seed):
    rng = random.Random(seed)
    stored: dict[str, str] = {}
    for _run in range(4):
        listed = [(rng.choice("abcdefghij"), rng.choice("xyz")) for _ in range(rng.randrange(1, 30))]
        first: dict[str, str] = {}
        created = updated = failed = 0
        rejected: dict[str, set[str]] = {}
        for key, value in listed:
            if key not in first:
                created += key not in stored
                updated += key in stored and stored[key] != value
            if first.setdefault(key, value) != value:
                rejected.setdefault(key, set()).add(value)
                failed += 1
        results = bring(hub, [{"DeptId": k, "Value": v} for k, v in listed], batch_size=rng.choice([1, 3, 100]))
        gone = stored.keys() - first.keys()
        assert (results["records_created"], results["records_updated"]) == (created, updated)
        assert results["records_deleted"] == len(gone)
        assert results["records_processed"] == len(listed)
        assert results["records_failed"] <= failed  # one that was rejected may come again as a mere repeat
        assert results["open_rejects"] == sum(map(len, rejected.values()))
        stored = first
        heads = hub.query(
            "select h.external_id, r.raw_data ->> 'Value' from bronze.entity_heads h "
            "join bronze.raw_entities r using (raw_id) where not is_deleted"
        )
        assert dict(heads) == stored
