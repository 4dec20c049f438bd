"""Clauses of the load's statements that only a neighbour in the tables shows: another bucket, object or row."""

from __future__ import annotations

import json
from contextlib import closing
from uuid import UUID

import pytest
from museum_case import HEADER, PROJECT_DIR, Bucket, Museum, exhibition_json

from etlkit.copying import copy_rows
from etlkit.postgres import connect, run_file

OURS, EARLIER = UUID(int=1), UUID(int=2)
AT = "2024-03-05 10:00:00+00"
UNCHANGED, CHANGED, ELSEWHERE = "same.csv", "changed.csv", "elsewhere.csv"


@pytest.fixture
def cursor(database):
    """A transaction amid a load: of three known objects two are in it, one of them unchanged."""
    with closing(connect(database, "guards")) as connection, connection.cursor() as opened:
        opened.execute(
            "insert into exhibition (exhibition_id, exhibition_code, exhibition_name) "
            "values (1, 'EXH_00', 'Room 0'), (2, 'EXH_01', 'Room 1')"
        )
        copy_rows(opened, PROJECT_DIR / "sql" / "object" / "stage_objects.sql", [])
        run(opened, "create_staging_kiosk")
        run_file(opened, PROJECT_DIR / "etlkit" / "sql" / "create_staging_reject.sql")
        add_objects(opened, "b", UNCHANGED, CHANGED, ELSEWHERE)
        stage_object(opened, UNCHANGED, "unchanged")
        stage_object(opened, CHANGED, "changed")
        yield opened


def run(cursor, name, **parameters):
    (path,) = (PROJECT_DIR / "sql").glob(f"*/{name}.sql")
    return run_file(cursor, path, parameters)


def ask(cursor, statement, *parameters):
    cursor.execute(statement, parameters)
    return cursor.fetchall()


def source_of(key, bucket="b"):
    return f"s3://{bucket}/{key}"


def add_objects(cursor, bucket, *keys):
    for key in keys:
        cursor.execute(
            "insert into event_source (kind, bucket, key, content_hash, columns, rows, run_id) "
            "values ('file', %s, %s, 'hash', '{at,site,val,type}', 9, %s)",
            (bucket, key, str(EARLIER)),
        )


def number_of(cursor, key):
    return ask(cursor, "select source_id from event_source where key = %s", key)[0][0]


def stage_object(cursor, key, action):
    cursor.execute(
        "insert into staging_object (object, bucket, key, source, content_hash, columns, rows, action, source_id) "
        "values (%s, 'b', %s, %s, 'hash', '{at,site,val,type}', 9, %s, %s)",
        (key, key, source_of(key), action, number_of(cursor, key)),
    )


def stage(cursor, key, row, *, at=AT, site=0, val=3, kind=None):
    cursor.execute(
        "insert into staging_kiosk (at, site, val, type, source_id, row) values (%s, %s, %s, %s, %s, %s)",
        (at, site, val, kind, number_of(cursor, key), row),
    )


def store(cursor, table, code, key, *positions):
    for position in positions:
        cursor.execute(
            f"insert into {table} (exhibition_id, at, {code}, source_id, position) values (1, %s, 1, %s, %s)",
            (AT, number_of(cursor, key), position),
        )


def add_reject(cursor, source, position, *, run_id=OURS, reason="unknown_site", resolved=None):
    cursor.execute(
        "insert into meta.rejected_records (source, position, raw, reasons, run_id, resolved_at) "
        "values (%s, %s, 'x', %s, %s, %s)",
        (source, position, [reason], str(run_id), resolved),
    )


def stage_reject(cursor, source, position, raw=""):
    cursor.execute("insert into staging_reject values (%s, %s, %s, '{bad_at}')", (source, position, raw))


def keep_text(cursor, key, row, raw):
    cursor.execute("insert into staging_text values (%s, %s, %s)", (number_of(cursor, key), row, raw))


def open_rejects(cursor):
    return ask(cursor, "select source, position from meta.rejected_records where resolved_at is null order by 1, 2")


def test_new_rejects_are_the_rows_that_this_run_met_first(cursor):
    add_reject(cursor, "a", "1")
    add_reject(cursor, "a", "2", run_id=EARLIER)
    add_reject(cursor, "a", "file", reason="empty_file")
    add_reject(cursor, "b", "1", run_id=EARLIER)
    for source, position in (("a", "1"), ("a", "2"), ("a", "file"), ("b", "1")):
        stage_reject(cursor, source, position)
    run(cursor, "count_rows", run_id=str(OURS))
    assert cursor.fetchone()[1:3] == (1, 2)
    run(cursor, "list_new_reasons", run_id=str(OURS))
    assert cursor.fetchall() == [("empty_file", 1), ("unknown_site", 1)]


def test_open_rejects_are_counted_of_files_and_of_unchanged_objects_apart(cursor):
    for position in ("1", "2", "file"):
        add_reject(cursor, source_of(UNCHANGED), position, resolved=AT if position == "2" else None)
    add_reject(cursor, source_of(CHANGED), "1")
    add_reject(cursor, source_of(ELSEWHERE), "1")
    add_reject(cursor, "file:local.csv", "1")
    add_reject(cursor, "kafka://c/t/0", "1")
    run(cursor, "count_rows", run_id=str(OURS))
    assert cursor.fetchone()[3:] == (5, 1)


def test_rejected_rows_are_counted_of_each_fresh_object(cursor):
    for position in ("2", "3", "file", "record 1"):
        stage_reject(cursor, source_of(CHANGED), position)
    stage_reject(cursor, source_of(UNCHANGED), "2")
    stage_reject(cursor, source_of(ELSEWHERE), "2")
    run(cursor, "count_staged_rejects")
    assert cursor.fetchall() == [(number_of(cursor, CHANGED), 2)]


def test_the_presses_of_the_given_objects_are_counted_by_object(cursor):
    store(cursor, "review", "rating_id", CHANGED, 1, 2)
    store(cursor, "incident", "incident_type_id", CHANGED, 3)
    store(cursor, "incident", "incident_type_id", UNCHANGED, 1)
    store(cursor, "review", "rating_id", ELSEWHERE, 1)
    store(cursor, "incident", "incident_type_id", ELSEWHERE, 2)
    run(cursor, "count_held", source_ids=[number_of(cursor, key) for key in (CHANGED, UNCHANGED)])
    assert dict(cursor.fetchall()) == {number_of(cursor, CHANGED): 3, number_of(cursor, UNCHANGED): 1}


def test_the_ledger_s_presses_are_those_of_unchanged_objects(cursor):
    cursor.execute("update event_source set stored = 10 * source_id")
    run(cursor, "count_rows", run_id=str(OURS))
    assert cursor.fetchone()[0] == 10 * number_of(cursor, UNCHANGED)
    cursor.execute("delete from staging_object")
    run(cursor, "count_rows", run_id=str(OURS))
    assert cursor.fetchone()[0] == 0


def test_the_ledger_gets_the_counts_of_the_named_objects(cursor):
    cursor.execute("update event_source set stored = 1")
    add_objects(cursor, "file:", "local.csv")
    held = {"source_ids": [number_of(cursor, CHANGED)], "held": [5]}
    run(cursor, "update_stored", sources=[source_of(UNCHANGED), "file:local.csv"], presses=[3, 4], **held)
    stored = ask(cursor, "select key, stored from event_source where stored <> 1 order by stored")
    assert stored == [(UNCHANGED, 4), (CHANGED, 5)]


def test_copies_are_fresh_objects_whose_content_stays_stored_under_another_name(cursor):
    cursor.execute("update event_source set content_hash = key")
    for key in ("new.csv", "twin.csv"):
        add_objects(cursor, "c", key)
    same = "update event_source set content_hash = 'same' where key = any(%s)"
    cursor.execute(same, ([UNCHANGED, ELSEWHERE, "new.csv"],))
    cursor.execute("update staging_object set content_hash = 'same'")
    run(cursor, "list_copies")
    named = [first for _, first in cursor.fetchall()]
    assert named == ["s3://c/new.csv", source_of(ELSEWHERE), source_of(UNCHANGED)]
    cursor.execute("update event_source set rows = 0 where key = 'new.csv'")
    cursor.execute("update event_source set kind = 'file', bucket = 'file:' where key = %s", (ELSEWHERE,))
    run(cursor, "list_copies")
    assert cursor.fetchall() == [(CHANGED, ELSEWHERE), (CHANGED, source_of(UNCHANGED))]
    run(cursor, "record_objects", left_out=[CHANGED], run_id=str(OURS))
    assert cursor.fetchall() == []
    assert ask(cursor, "select object from staging_object") == [(UNCHANGED,)]


@pytest.mark.parametrize(("table", "code", "val", "kind"), [
    ("review", "rating_id", 1, None), ("incident", "incident_type_id", -1, 1),
])  # fmt: skip
def test_a_changed_object_loses_the_rows_that_it_holds_no_more(cursor, table, code, val, kind):
    store(cursor, table, code, CHANGED, 1, 2, 3, 4, 5)
    store(cursor, table, code, UNCHANGED, 1)
    other = {"val": 2} if kind is None else {"val": -1, "kind": 0}
    stage(cursor, CHANGED, 1, val=val, kind=kind)
    stage(cursor, CHANGED, 2, val=val, kind=kind, at="2024-03-05 10:00:01+00")
    stage(cursor, CHANGED, 3, **other)
    stage(cursor, CHANGED, 4, val=val, kind=kind, site=1)
    stage(cursor, ELSEWHERE, 5, val=val, kind=kind)
    stage(cursor, CHANGED, 6, val=val, kind=kind)
    run(cursor, "delete_changed_presses")
    assert cursor.fetchall() == [(number_of(cursor, CHANGED), 4)]
    left = ask(cursor, f"select key, position from {table} join event_source using (source_id) order by 1")
    assert left == [(CHANGED, 1), (UNCHANGED, 1)]


def test_an_object_is_numbered_by_its_bucket_and_key(cursor):
    cursor.execute(
        "insert into staging_object (object, bucket, key, source, content_hash, columns, rows) "
        "values ('new', 'b', 'new.csv', 's3://b/new.csv', 'hash', '{}', 1)"
    )
    add_objects(cursor, "another", "new.csv", UNCHANGED)
    numbers = ask(cursor, "select source_id from staging_object where object <> 'new' order by object")
    run(cursor, "record_objects", left_out=[], run_id=str(OURS))
    fresh = {key: number for key, number, *_ in cursor.fetchall()}
    assert fresh.keys() == {CHANGED, "new"}
    assert ask(cursor, "select bucket, key from event_source where source_id = %s", fresh["new"]) == [("b", "new.csv")]
    assert ask(cursor, "select source_id from staging_object where object <> 'new' order by object") == numbers


def test_what_is_judged_again_is_an_open_row_of_no_object_that_is_read_anew(cursor):
    add_objects(cursor, "file:", "local.csv")
    for key in (UNCHANGED, CHANGED, ELSEWHERE):
        add_reject(cursor, source_of(key), "1")
    add_reject(cursor, source_of(UNCHANGED), "2", resolved=AT)
    add_reject(cursor, source_of(UNCHANGED), "3", reason="bad_at")
    add_reject(cursor, source_of(UNCHANGED), "file")
    add_reject(cursor, "file:local.csv", "1")
    add_reject(cursor, "kafka://c/t/0", "1")
    run(cursor, "list_rejudgeable", rejudged_reasons=["unknown_site"])
    found = [(source, position, number) for source, position, _, _, _, number in cursor.fetchall()]
    assert found == [
        ("file:local.csv", "1", number_of(cursor, "local.csv")),
        (source_of(ELSEWHERE), "1", number_of(cursor, ELSEWHERE)),
        (source_of(UNCHANGED), "1", number_of(cursor, UNCHANGED)),
    ]


def test_the_database_rejects_what_the_rules_reject_and_nothing_else(cursor):
    late = "2024-03-06 00:00:00.000001+00"
    rows = [
        ({}, []),
        ({"val": -1, "kind": 1}, []),
        ({"at": "2024-03-06 00:00:00+00"}, []),
        ({"at": late}, ["future_at"]),
        ({"at": late, "val": -1, "kind": 1}, ["future_at"]),
        ({"site": 7}, ["unknown_site"]),
        ({"val": 77}, ["bad_val"]),
        ({"val": 77, "kind": 1}, ["bad_val"]),
        ({"val": 77, "kind": 9}, ["bad_val"]),
        ({"val": -1}, ["missing_type"]),
        ({"val": -1, "kind": 9}, ["bad_type"]),
        ({"val": 3, "kind": 1}, ["bad_type"]),
        ({"at": late, "site": 7, "val": -1, "kind": 9}, ["future_at", "unknown_site", "bad_type"]),
    ]
    for number, (fields, _) in enumerate(rows):
        stage(cursor, CHANGED, number, **fields)
    keep_text(cursor, CHANGED, 5, "kept")
    keep_text(cursor, UNCHANGED, 6, "another object's")
    run(cursor, "reject_staged_kiosk", latest_at="2024-03-06 00:00:00+00")
    rejected = ask(cursor, "select source, position::integer, raw, reasons from staging_reject order by 2")
    assert [(source, number, reasons) for source, number, _, reasons in rejected] == [
        (source_of(CHANGED), number, reasons) for number, (_, reasons) in enumerate(rows) if reasons
    ]
    assert {number: bytes(raw) for _, number, raw, _ in rejected if bytes(raw)} == {5: b"kept"}
    assert ask(cursor, "select row from staging_kiosk order by 1") == [(0,), (1,), (2,)]


@pytest.fixture
def textless(cursor):
    """Rejects of the database: one whose text is kept, one whose text is lost, and neighbours of both."""
    stage_reject(cursor, source_of(CHANGED), "1")
    stage_reject(cursor, source_of(CHANGED), "2")
    stage_reject(cursor, source_of(CHANGED), "3", raw="known")
    stage_reject(cursor, source_of(CHANGED), "4", raw="known too")
    stage_reject(cursor, source_of(CHANGED), "file")
    keep_text(cursor, CHANGED, 2, "kept")
    keep_text(cursor, CHANGED, 3, "other")
    keep_text(cursor, ELSEWHERE, 1, "another object's")
    return cursor


def test_a_row_whose_text_was_not_kept_is_found(textless):
    run(textless, "list_textless_rejects")
    assert textless.fetchall() == [(CHANGED, number_of(textless, CHANGED), 1)]


def test_a_text_goes_to_its_own_row_where_there_is_none(textless):
    stage_reject(textless, source_of(UNCHANGED), "2")
    assert run(textless, "update_reject_text") == 1
    texts = ask(textless, "select source, position, raw from staging_reject where raw <> '' order by position")
    assert [(source, position, bytes(raw)) for source, position, raw in texts] == [
        (source_of(CHANGED), "2", b"kept"),
        (source_of(CHANGED), "3", b"known"),
        (source_of(CHANGED), "4", b"known too"),
    ]


def test_rejects_of_whole_files_and_exhibitions_go_with_their_object(cursor):
    for position in ("1", "file", "record 1"):
        add_reject(cursor, source_of("gone"), position)
        add_reject(cursor, source_of("there"), position)
        add_reject(cursor, source_of("gone", "another"), position)
    add_reject(cursor, source_of("long gone"), "file", resolved=AT)
    assert run(cursor, "resolve_vanished_rejects", prefix="s3://b/", seen=[source_of("there")]) == 2
    left = [position for source, position in open_rejects(cursor) if source == source_of("gone")]
    assert left == ["1"]
    assert len(open_rejects(cursor)) == 7


def test_a_copy_under_the_key_of_a_fresh_object_in_another_bucket_is_one(cursor):
    add_objects(cursor, "c", CHANGED)
    cursor.execute("update event_source set content_hash = 'other' where bucket = 'b'")
    run(cursor, "list_copies")
    assert cursor.fetchall() == [(CHANGED, f"s3://c/{CHANGED}")]


SPAN = {"first_hour": AT, "end_hour": "2024-03-05 11:00:00+00"}


@pytest.mark.parametrize(("hour", "is_within"), [("09:59", False), ("10:00", True), ("10:59", True), ("11:00", False)])
@pytest.mark.parametrize("wrong", ["", "_hour", "_hour_change"])
@pytest.mark.parametrize("table", ["review", "incident"])
def test_hours_are_compared_within_their_span_alone(cursor, table, wrong, hour, is_within):
    code = "rating_id" if table == "review" else "incident_type_id"
    if wrong:
        whole = f"{hour[:2]}:00" if is_within else hour
        cursor.execute(f"insert into {table}{wrong} values (1, %s, 1, 5)", (f"2024-03-05 {whole}+00",))
    else:
        store(cursor, table, code, CHANGED, 1)
        cursor.execute(f"update {table} set at = %s", (f"2024-03-05 {hour}+00",))
        cursor.execute(f"delete from {table}_hour_change")
    run(cursor, "find_miscounted_hours", **SPAN)
    counted = cursor.fetchone()
    assert counted[0] == (1 if is_within else 0)
    assert counted[1 if table == "review" else 2] == ((5 if wrong else 1) if is_within else 0)
    found = ask(cursor, f"select {table}s from staging_{table}_difference")
    assert found == ([(-5 if wrong else 1,)] if is_within else [])


def test_only_the_batch_s_completed_loads_move_the_span(cursor):
    for system, entity, status, span in (
        ("museum", "batch", "completed", 6),
        ("museum", "batch", "completed", 7),
        ("museum", "batch", "failed", 1),
        ("museum", "live", "completed", 2),
        ("people_hub", "batch", "completed", 3),
    ):
        cursor.execute(
            "insert into meta.ingestion_runs (run_id, source_system, entity_type, status, metadata) "
            "values (gen_random_uuid(), %s, %s, %s, %s)",
            (system, entity, status, json.dumps({"load": {"hours_span": span}})),
        )
    run(cursor, "read_span_of_presses", press_bytes=60)
    assert cursor.fetchone()[-1] == 7


def test_hours_are_folded_a_portion_at_a_time_and_nothing_is_no_hour(cursor):
    cursor.execute("delete from review_hour_change")
    for reviews in (1, 2, -3):
        cursor.execute("insert into review_hour_change values (1, %s, 3, %s)", (AT, reviews))
    run(cursor, "fold_hours", most=1)
    assert cursor.fetchone() == (True,)
    assert ask(cursor, "select count(*) from review_hour_change") == [(2,)]
    cursor.execute("delete from review_hour")
    cursor.execute("delete from review_hour_change")
    for reviews in (1, -1):
        cursor.execute("insert into review_hour_change values (1, %s, 3, %s)", (AT, reviews))
    run(cursor, "fold_hours", most=None)
    assert cursor.fetchone() == (False,)
    assert ask(cursor, "select count(*) from review_hour") == [(0,)]


def test_a_code_that_is_none_of_a_kiosk_s_is_no_site(cursor):
    cursor.execute(
        "insert into exhibition (exhibition_id, exhibition_code, exhibition_name) values (9, 'LOAN', 'A loan')"
    )
    run(cursor, "read_reference")
    assert sorted(cursor.fetchone()[0]) == [0, 1]


def test_two_buckets_with_the_same_key_are_two_objects(museum, bucket, s3_endpoint, tmp_path):
    other = Bucket(f"{bucket.name}-other", s3_endpoint)
    museums = [museum, Museum(tmp_path / "other", museum.database, museum.capsys)]
    museums[1].source_flags = ["--bucket", other.name, "--endpoint-url", s3_endpoint]
    for number, opened in enumerate((bucket, other)):
        opened.put("lmnh_exhibition_number0.json", exhibition_json(0))
        opened.put("lmnh_hist_data_0.csv", HEADER + f"2024-03-05 10:00:0{number},0,3,\n" * (number + 1))
    for case in (*museums, *museums):
        assert case.run_all().exit_code == 0
    rows = museum.query("select bucket, count(*) from review join event_source using (source_id) group by 1 order by 1")
    assert rows == [(bucket.name, 1), (other.name, 2)]
    assert museums[0].run_all().load["objects_unchanged"] == 1
