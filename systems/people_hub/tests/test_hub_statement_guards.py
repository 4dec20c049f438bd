"""Clauses of the hub's statements that only a neighbour in bronze shows: the same key of another stream or source."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from uuid import UUID

import pytest

from etlkit.postgres import connect, fetch_dicts, run_file
from people_hub.bronze.canonical import hash_version, read_content
from people_hub.bronze.store import SESSION_TABLES, SQL, Version, store_versions

OURS, EARLIER = UUID(int=1), UUID(int=2)
STREAM, SIBLING, STRANGER = ("s", "t"), ("s", "u"), ("x", "t")
DETAIL = ("s", "detail")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def cursor(database):
    """A transaction with a session's tables."""
    with closing(connect(database, "guards")) as connection, connection.cursor() as opened:
        for name in SESSION_TABLES:
            run(opened, name)
        yield opened


def run(cursor, name, stream=STREAM, **parameters):
    return run_file(cursor, SQL / f"{name}.sql", values(stream, parameters))


def values(stream, parameters):
    system, entity = stream
    return {
        "source_system": system, "entity_type": entity, "source": "/".join(stream), "run_id": str(OURS), **parameters,
    }  # fmt: skip


def ask(cursor, statement, *parameters):
    cursor.execute(statement, parameters)
    return cursor.fetchall()


def add(cursor, stream, *keys, text="", is_deleted=False):
    """Store a version of some keys, which says whose it is."""
    for key in keys:
        content = read_content({"of": "/".join(stream), "key": key, "text": text}, frozenset())
        assert store_versions(cursor, [Version(*stream, key, content)], EARLIER) == []
        if is_deleted:
            cursor.execute(
                "update bronze.entity_heads set is_deleted = true "
                "where (source_system, entity_type, external_id) = (%s, %s, %s)",
                (*stream, key),
            )


def add_reject(cursor, stream, position, resolved=None):
    cursor.execute(
        "insert into meta.rejected_records (source, position, raw, reasons, run_id, resolved_at) "
        "values (%s, %s, 'x', '{bad}', %s, %s)",
        ("/".join(stream), position, str(EARLIER), resolved),
    )


def add_state(cursor, stream, last_full_at):
    cursor.execute(
        "insert into meta.stream_state "
        "(source_system, entity_type, watermark, last_ok_run_id, last_full_at, updated_at) "
        "values (%s, %s, %s, %s, %s, now())",
        (*stream, f'"{stream[0]}{stream[1]}"', str(EARLIER), last_full_at),
    )


def heads(cursor, columns):
    statement = f"select source_system, entity_type, external_id, {columns} from bronze.entity_heads order by 1, 2, 3"
    return {((system, entity), key): rest for system, entity, key, *rest in ask(cursor, statement)}


def open_rejects(cursor):
    statement = "select source, position from meta.rejected_records where resolved_at is null"
    return {(*source.split("/"), position) for source, position in ask(cursor, statement)}


@pytest.fixture
def neighbours(cursor):
    """Key 1 in three streams, key 2 in the neighbours only, and in ours a deleted key 3."""
    add(cursor, STREAM, "1")
    for stream in (SIBLING, STRANGER):
        add(cursor, stream, "1", "2")
    add(cursor, STREAM, "3", is_deleted=True)
    return cursor


def test_a_key_that_only_others_know_is_new(neighbours):
    digest = read_content({"of": "s/t", "key": "1", "text": ""}, frozenset()).entity_hash
    others = [read_content({"of": "/".join(of), "key": "2", "text": ""}, frozenset()) for of in (SIBLING, STRANGER)]
    for other in others:
        listed = {"external_ids": "{1,2}", "entity_hashes": f"{{{digest},{other.entity_hash}}}", "places": "{1,2}"}
        run(neighbours, "listing/classify_listing", **listed, hash_version=hash_version(()))
        assert [(place, state) for place, state, _ in neighbours.fetchall()] == [(2, "new")]
        neighbours.execute("truncate seen_key")


@pytest.fixture
def rejects(cursor):
    """Of each stream an open reject and a resolved one."""
    for stream in (STREAM, SIBLING, STRANGER):
        add_reject(cursor, stream, "1")
        add_reject(cursor, stream, "2", resolved=LONG_AGO)
    return cursor


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("reject/count_open_rejects", 1),
        ("reject/list_open_positions", "1"),
        ("reject/list_open_rejects_of_stream", "1"),
    ],
)
def test_open_rejects_are_a_stream_s_own(rejects, name, expected):
    assert run(rejects, name) == 1
    assert rejects.fetchone()[0] == expected


def test_open_rejects_are_listed_of_the_streams_that_are_asked_for(rejects):
    assert run(rejects, "reject/list_open_rejects", sources=["s/t", "x/t"], limit=9) == 2


@pytest.mark.parametrize("name", ["reject/resolve_rejects", "reject/resolve_unmet_rejects"])
def test_only_a_stream_s_own_open_rejects_are_resolved(rejects, name):
    add_reject(rejects, STREAM, "3")
    positions = ["1", "2"] if name == "reject/resolve_rejects" else ["3"]
    assert run(rejects, name, positions=positions) == 1
    assert open_rejects(rejects) == {(*STREAM, "3"), (*SIBLING, "1"), (*STRANGER, "1")}
    assert ask(rejects, "select distinct resolved_at from meta.rejected_records where position = '2'") == [(LONG_AGO,)]


def test_living_and_vanished_records_are_counted_of_the_stream_alone(neighbours):
    add(neighbours, STREAM, "4")
    neighbours.execute("update bronze.entity_heads set first_seen_at = %s where external_id <> '4'", (LONG_AGO,))
    neighbours.execute("insert into vanished_key values ('1'), ('4'), ('3')")
    neighbours.execute("savepoint before")
    for state in ({STREAM: LONG_AGO}, {SIBLING: datetime.now(UTC), STRANGER: datetime.now(UTC), STREAM: LONG_AGO}):
        for stream, last_full_at in state.items():
            add_state(neighbours, stream, last_full_at)
        assert run(neighbours, "tombstone/count_vanished") == 1
        assert neighbours.fetchone() == (2, 2, 1, 1)
        neighbours.execute("rollback to before")


def test_only_versions_that_were_replaced_long_ago_are_deleted(neighbours):
    add(neighbours, STREAM, "1", text="newer")
    neighbours.connection.commit()  # now() is when a transaction began
    neighbours.execute("set local people_hub.is_pruning = on")
    assert run(neighbours, "version/delete_old_versions", older_than="1 hour") == 0
    assert run(neighbours, "version/delete_old_versions", older_than="0 seconds") == 1
    left = ask(neighbours, "select raw_data ->> 'text' from bronze.raw_entities "
                           "where (source_system, entity_type, external_id) = ('s', 't', '1')")  # fmt: skip
    assert left == [("newer",)]


class TestDetails:
    """Which details are due, and what becomes of them."""

    @pytest.fixture
    def listed(self, cursor):
        """Six listed records: fetched just now, never, in another version, long ago, failed, vanished."""
        keys = ("fetched", "never", "changed", "old", "failed", "vanished")
        add(cursor, STREAM, *keys)
        add(cursor, SIBLING, *keys)
        add(cursor, STRANGER, *keys)
        cursor.execute("update bronze.entity_heads set is_deleted = true where external_id = 'vanished'")
        for stream in (DETAIL, ("x", "detail"), ("s", "other")):
            for key in keys:
                if stream == DETAIL and key in {"never", "failed"}:
                    continue
                cursor.execute(
                    "insert into bronze.detail_fetches "
                    "select %s, %s, external_id, raw_id, now() from bronze.entity_heads "
                    "where (source_system, entity_type, external_id) = ('s', 't', %s)",
                    (*stream, key),
                )
        cursor.execute(
            "update bronze.detail_fetches set listed_raw_id = 0 "
            "where (source_system, entity_type, external_id) = ('s', 'detail', 'changed')"
        )
        cursor.execute(
            "update bronze.detail_fetches set fetched_at = %s "
            "where (source_system, entity_type, external_id) = ('s', 'detail', 'old')",
            (LONG_AGO,),
        )
        add_reject(cursor, DETAIL, "failed")
        add_reject(cursor, DETAIL, "fetched", resolved=LONG_AGO)
        add_reject(cursor, STREAM, "never")
        return cursor

    def due(self, cursor, *, full_sync=False):
        run(cursor, "detail/fill_detail_due", DETAIL, detail_of="t", full_sync=full_sync, max_age_days=30)
        found = dict(ask(cursor, "select external_id, substr(reason, 3) from detail_due"))
        cursor.execute("drop table detail_due")
        return found

    def test_a_detail_is_due_for_its_own_reason(self, listed):
        expected = {"never": "never fetched", "changed": "changed in the listing", "old": "old"}
        assert self.due(listed) == expected
        listed.execute("update meta.rejected_records set last_seen = %s", (LONG_AGO,))
        assert self.due(listed) == {**expected, "failed": "failed before"}

    def test_a_full_sync_fetches_every_detail_of_a_living_record(self, listed):
        assert self.due(listed, full_sync=True) == {
            "never": "never fetched", "changed": "changed in the listing", "old": "full sync",
            "fetched": "full sync", "failed": "failed before",
        }  # fmt: skip

    def test_a_fetch_is_noted_for_the_fetched_and_again_when_it_is_repeated(self, listed):
        run(listed, "detail/fill_detail_due", DETAIL, detail_of="t", full_sync=True, max_age_days=30)
        for _ in range(2):
            assert run(listed, "detail/fill_detail_fetches", DETAIL, external_ids=["never"]) == 1
        assert run(listed, "detail/list_detail_due", DETAIL, after=2, limit=9) == 3

    def test_a_detail_is_buried_with_its_listed_record(self, cursor):
        add(cursor, STREAM, "alive", "gone", "buried")
        add(cursor, DETAIL, "alive", "gone", "buried", "unlisted")
        add(cursor, SIBLING, "alive", "unlisted")
        add(cursor, ("x", "t"), "alive")
        add(cursor, ("x", "detail"), "alive", "gone")
        add(cursor, SIBLING, "gone")
        cursor.execute(
            "update bronze.entity_heads set is_deleted = true where external_id = 'buried' "
            "or (source_system, entity_type, external_id) in "
            "(('s', 't', 'gone'), ('x', 't', 'alive'), ('s', 'u', 'alive'), ('s', 'u', 'unlisted'))"
        )
        before = heads(cursor, "raw_id, is_deleted")
        assert run(cursor, "detail/fill_detail_tombstones", DETAIL, detail_of="t") == 1
        after = heads(cursor, "raw_id, is_deleted")
        assert {key for key in after if after[key] != before[key]} == {(DETAIL, "gone")}
        assert after[DETAIL, "gone"][1]
        assert ask(cursor, "select count(*) from bronze.raw_entities where is_tombstone") == [(1,)]

    def test_rejects_of_details_whose_record_is_gone_are_resolved(self, cursor):
        add(cursor, STREAM, "alive", "gone")
        add(cursor, SIBLING, "gone", "unlisted")
        add(cursor, STRANGER, "gone", "unlisted")
        cursor.execute("update bronze.entity_heads set is_deleted = true "
                       "where (source_system, entity_type, external_id) = ('s', 't', 'gone')")  # fmt: skip
        for key in ("alive", "gone", "unlisted"):
            add_reject(cursor, DETAIL, key)
        add_reject(cursor, DETAIL, "settled", resolved=LONG_AGO)
        add_reject(cursor, SIBLING, "gone")
        assert run(cursor, "detail/resolve_gone_details", DETAIL, detail_of="t") == 2
        assert open_rejects(cursor) == {(*DETAIL, "alive"), (*SIBLING, "gone")}


def test_a_head_never_goes_back_to_an_older_version(cursor):
    add(cursor, STREAM, "1")
    cursor.execute("update bronze.entity_heads set raw_id = 1000")  # what a session stored that began later
    add(cursor, STREAM, "1", text="older")
    assert heads(cursor, "raw_id") == {(STREAM, "1"): [1000]}


def test_a_rejected_key_may_come_again(cursor):
    for keys in (["1", "1"], ["1", "2"]):
        run(cursor, "listing/fill_rejected_key", external_ids=keys)
    assert ask(cursor, "select external_id from rejected_key order by 1") == [("1",), ("2",)]


def test_only_the_stream_s_own_living_records_are_buried(neighbours):
    neighbours.execute("insert into vanished_key values ('1'), ('2'), ('3')")
    before = heads(neighbours, "raw_id, is_deleted")
    assert run(neighbours, "tombstone/fill_tombstones") == 1
    after = heads(neighbours, "raw_id, is_deleted")
    assert {key for key in after if after[key] != before[key]} == {(STREAM, "1")}
    assert ask(neighbours, "select count(*) from bronze.raw_entities where is_tombstone") == [(1,)]


@pytest.mark.parametrize("has_fingerprints", [False, True])
def test_what_has_vanished_is_the_stream_s_own_and_was_not_named(cursor, has_fingerprints):
    keys = ("named", "rejected", "vanished")
    for stream in (STREAM, SIBLING, STRANGER):
        add(cursor, stream, *keys)
    add(cursor, STREAM, "deleted", is_deleted=True)
    add(cursor, STREAM, "met")
    add(cursor, SIBLING, "theirs")
    add(cursor, STRANGER, "theirs")
    if has_fingerprints:
        cursor.execute(
            "insert into unmet_fingerprint "
            "select substring(sha256(convert_to(external_id || entity_hash || hash_version, 'UTF8')) for 16) "
            "from bronze.entity_heads where external_id <> 'met'"
        )
    named = ["named"] if has_fingerprints else ["named", "met"]  # what a fingerprint met was not asked for
    for key in named:
        cursor.execute("insert into seen_key values (%s, '')", (key,))
    cursor.execute("insert into rejected_key values ('rejected')")
    assert run(cursor, "tombstone/fill_vanished_key", bytes=16, has_fingerprints=has_fingerprints) == 1
    assert ask(cursor, "select external_id from vanished_key") == [("vanished",)]


def test_fingerprints_are_those_of_the_stream_s_living_heads_on_the_pages(neighbours):
    def length(first, end):
        run(neighbours, "listing/list_head_fingerprints", bytes=16, first=first, end=end)
        return len(neighbours.fetchone()[0] or b"")

    assert length("(0,0)", "(1,0)") == 16
    assert length("(1,0)", "(2,0)") == 0
    assert length("(0,0)", "(0,1)") == 0


def test_heads_are_read_of_the_stream_alone(neighbours):
    add(neighbours, STREAM, "4")
    found = fetch_dicts(
        neighbours, SQL / "head" / "list_head_records.sql", values(STREAM, {"external_ids": ["1", "2"]})
    )
    assert [row["external_id"] for row in found] == ["1"]
    assert '"s/t"' in found[0]["raw_data"]
    assert run(neighbours, "head/list_head_times", external_ids=["1", "2"]) == 1
    run(neighbours, "head/list_known_keys")
    assert neighbours.fetchall() == [("1",), ("3",), ("4",)]
    found = fetch_dicts(neighbours, SQL / "version" / "list_versions.sql", values(STREAM, {"external_id": "1"}))
    assert [row["raw_data"]["of"] for row in found] == ["s/t"]


def test_a_state_is_the_stream_s_own(cursor):
    for stream in (STRANGER, SIBLING, STREAM):
        add_state(cursor, stream, LONG_AGO)
    assert run(cursor, "stream/read_stream_state") == 1
    assert cursor.fetchone() == ("st",)


@pytest.mark.parametrize("is_full", [True, False])
def test_a_full_run_alone_moves_the_time_of_the_full_listing(cursor, is_full):
    add_state(cursor, STREAM, LONG_AGO)
    run(cursor, "stream/fill_stream_state", watermark=None, is_full=is_full)
    ((watermark, last_full_run, last_full_at),) = ask(
        cursor, "select watermark, last_full_run_id, last_full_at from meta.stream_state"
    )
    assert watermark == "st"
    assert (last_full_run == str(OURS), last_full_at != LONG_AGO) == (is_full, is_full)


def test_a_hash_of_another_rule_is_set_for_its_key_in_its_stream(neighbours):
    before = heads(neighbours, "entity_hash, hash_version")
    digest = "0" * 64
    assert run(neighbours, "head/update_head_hashes", external_ids=["1"], entity_hashes=[digest], hash_version=7) == 1
    after = heads(neighbours, "entity_hash, hash_version")
    assert {key for key in after if after[key] != before[key]} == {(STREAM, "1")}


def test_progress_is_written_to_the_run_at_work(cursor):
    for run_id, status in ((OURS, "running"), (EARLIER, "running")):
        cursor.execute(
            "insert into meta.ingestion_runs (run_id, source_system, entity_type, status) values (%s, 's', 't', %s)",
            (str(run_id), status),
        )
    figures = {"records_processed": 3, "records_created": 2, "records_updated": 1}
    assert run(cursor, "stream/update_progress", **figures) == 1
    cursor.execute("update meta.ingestion_runs set status = 'failed' where run_id = %s", (str(OURS),))
    assert run(cursor, "stream/update_progress", **figures) == 0


def test_health_is_listed_of_the_streams_that_are_asked_for(neighbours):
    assert run(neighbours, "stream/list_stream_health", streams=["s/t", "x/t"]) == 2
