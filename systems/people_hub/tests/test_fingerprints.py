"""The short cut by fingerprints: it tells the same as the server, whatever comes in whatever order."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_changes import STREAM, bring, counts

from etlkit.errors import LockedError
from etlkit.postgres import connect
from etlkit.testing import full_count, seeds
from people_hub.bronze import store
from people_hub.bronze.fingerprints import HeadFingerprints, fingerprint
from people_hub.postgres_adapter import PostgresAdapter

pytestmark = [pytest.mark.database, pytest.mark.soak]

KEYS = st.sampled_from("abcdefgh")


@settings(max_examples=full_count("examples of fingerprints", 100, 1000), deadline=None)
@given(
    heads=st.dictionaries(KEYS, st.sampled_from("xyz")),
    pages=st.lists(st.dictionaries(KEYS, st.sampled_from("xyz")), max_size=6),
    block=st.integers(1, 9),
)
def test_met_repeated_and_unmet_are_those_of_a_plain_dictionary(heads, pages, block):
    all_heads = [fingerprint(key, value, 1) for key, value in heads.items()]
    blocks = [b"".join(all_heads[start : start + block]) for start in range(0, len(all_heads), block)]
    fingerprints, met, replaced = HeadFingerprints(blocks), set(), set()
    for page in pages:
        listed = list(page.items())
        unknown, repeated = fingerprints.meet(fingerprint(key, value, 1) for key, value in listed)
        expected = [key not in replaced and heads.get(key) == value for key, value in listed]
        assert unknown == [number for number, is_known in enumerate(expected) if not is_known]
        assert repeated == [number for number, (key, _value) in enumerate(listed) if expected[number] and key in met]
        met |= {key for (key, _value), is_known in zip(listed, expected, strict=True) if is_known}
        for number in unknown:
            key = listed[number][0]
            if key in heads and heads[key] != listed[number][1]:
                assert fingerprints.replace(fingerprint(key, heads[key], 1)) == (key not in met)
                replaced |= {key} - met
    left = {fingerprint(key, value, 1) for key, value in heads.items() if key not in met | replaced}
    assert sorted(fingerprints.unmet()) == sorted(left)


def test_a_head_that_is_none_of_them_counts_as_replaced():
    for heads in ([], [fingerprint("1", "x", 1)]):
        assert HeadFingerprints(heads).replace(fingerprint("2", "x", 1))


def test_the_server_is_asked_of_nothing_but_what_changed(hub, monkeypatch):
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


def test_heads_of_an_older_rule_may_vanish_too(hub):
    records = [{"DeptId": str(n), "Seen": "today"} for n in range(20)]
    bring(hub, records)
    later = replace(STREAM, volatile=frozenset({"Seen"}))
    bring(hub, records[:10], stream=later, is_full=False)  # half of the heads get today's rule
    assert counts(bring(hub, records[1:19], stream=later)) == (0, 0, 18, 2, 0)
    assert [row[2] for row in hub.bronze() if row[4]] == ["0", "19"]


@pytest.mark.parametrize("seed", seeds("histories of keys", 8, 30))
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
        assert results["records_failed"] == failed
        assert results["open_rejects"] == sum(map(len, rejected.values()))
        stored = first
        heads = hub.query(
            "select h.external_id, r.raw_data ->> 'Value' from bronze.entity_heads h "
            "join bronze.raw_entities r using (raw_id) where not is_deleted"
        )
        assert dict(heads) == stored


@pytest.mark.parametrize("seed", seeds("twin histories", 5, 20))
def test_a_run_finds_the_same_without_fingerprints(hub, monkeypatch, seed):
    """Twin streams get the same histories; one of them runs without fingerprints."""
    rng = random.Random(seed)
    load = store.BronzeStore.load_fingerprints
    monkeypatch.setattr(
        store.BronzeStore,
        "load_fingerprints",
        lambda self: load(self) if self._stream.entity_type == "department" else None,
    )
    hub.query(
        "alter table bronze.raw_entities add constraint poison check (raw_data ->> 'Value' is distinct from 'poison')"
    )
    for _run in range(5):
        values = ["x", "y", "z", "poison", float("nan")]
        records = [
            {"DeptId": rng.choice([*"abcdefghijklmnop", None]), "Value": rng.choice(values), "Seen": rng.random()}
            for _record in range(rng.randrange(1, 40))
        ]
        options = {
            "batch_size": rng.choice([1, 3, 100]),
            "is_full": rng.random() < 0.8,
            "max_records": rng.choice([0, 0, 0, 10]),
            "dry_run": rng.random() < 0.2,
        }
        twins = [
            replace(STREAM, entity_type=name, volatile=frozenset({"Seen"} if rng_rule else ()))
            for rng_rule in [rng.random() < 0.7]
            for name in ("department", "twin")
        ]
        found = [bring(hub, [dict(record) for record in records], stream=twin, **options) for twin in twins]
        names = [name for name in found[0] if name.startswith("records_") or name.endswith("_rejects")]
        assert [found[0][name] for name in names] == [found[1][name] for name in names]
        states = [
            hub.query(
                "select external_id, entity_hash, hash_version, is_deleted from bronze.entity_heads "
                f"where entity_type = '{twin.entity_type}' order by 1"
            )
            for twin in twins
        ]
        assert states[0] == states[1]
    rejects = [
        hub.query(
            "select position, raw, reasons, resolved_at is null from meta.rejected_records "
            f"where source = '{twin.name}' order by 1"
        )
        for twin in twins
    ]
    assert len(rejects[0]) == len(rejects[1])
    assert [row[2:] for row in rejects[0]] == [row[2:] for row in rejects[1]]


def test_a_head_that_somebody_moves_meanwhile_is_not_buried(hub):
    later = replace(STREAM, volatile=frozenset({"Seen"}))
    records = [{"DeptId": str(n), "Name": "x"} for n in range(30)]
    bring(hub, records, stream=later)

    def moving():
        for record in records:
            yield record
            if record["DeptId"] == "20":
                hub.query("update bronze.entity_heads set hash_version = 7 where external_id = '3'")

    assert counts(bring(hub, moving(), stream=later, batch_size=5)) == (0, 0, 30, 0, 0)


def test_heads_that_move_while_they_are_read_are_read_once(hub, monkeypatch):
    monkeypatch.setattr(store, "_HEAD_PAGES", 1)
    records = [{"DeptId": str(n)} for n in range(500)]
    bring(hub, records)
    ask, moved = store.BronzeStore.ask, []

    def asking(self, cursor, name, **parameters):
        if name == "listing/list_head_fingerprints" and parameters["first"] == "(2,0)" and not moved:
            moved.append(hub.query("update bronze.entity_heads set last_changed_run = last_changed_run"))
        return ask(self, cursor, name, **parameters)

    monkeypatch.setattr(store.BronzeStore, "ask", asking)
    assert counts(bring(hub, records)) == (0, 0, 500, 0, 0)
    assert moved


def test_a_stream_without_statistics_is_not_joined_row_by_row(hub):
    records = [{"DeptId": str(n)} for n in range(3000)]
    bring(hub, records)
    with closing(connect(hub.database, "test")) as connection, connection.cursor() as cursor:
        bronze = store.BronzeStore(connection, STREAM, uuid4())
        bronze.create_session_tables(cursor)
        connection.commit()
        bronze.load_fingerprints()
        assert bronze.find_vanished(cursor) == 3000
        statement = (store.SQL / "tombstone" / "fill_vanished_key.sql").read_text(encoding="utf-8")
        cursor.execute(f"explain {statement}", {**bronze._parameters, "has_fingerprints": True})
        plan = [line for (line,) in cursor.fetchall()]
    assert "Hash Join" in " ".join(plan)
    assert "Nested Loop" not in " ".join(plan)


def test_the_adapter_waits_for_nobody_and_moves_no_head_of_a_run_at_work(hub):
    def listing():
        yield {"DeptId": "1"}
        with pytest.raises(LockedError, match="people_hub:umich_api/department is locked"):
            PostgresAdapter(hub.url).insert_raw_entity("department", "umich_api", "1", {"Name": "a"}, str(uuid4()))

    assert counts(bring(hub, listing())) == (1, 0, 0, 0, 0)


def test_a_key_of_many_contents_costs_one_question_a_page(hub, monkeypatch):
    asked = []
    ask = store.BronzeStore._ask_server
    monkeypatch.setattr(
        store.BronzeStore,
        "_ask_server",
        lambda self, cursor, listed, states: asked.append(len(listed)) or ask(self, cursor, listed, states),
    )
    records = [{"DeptId": "1", "Name": str(n // 2)} for n in range(600)]
    for known in (0, 1):
        asked.clear()
        assert counts(bring(hub, records, batch_size=200)) == (1 - known, 0, 1 + known, 0, 598)
        assert asked == [1, 1, 1][known:]
