"""Which objects a message speaks of, in every form in which one may come."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from file_monitoring.services.events import BadMessage, Ignored, ObjectRef, is_older, parse_message

AT = datetime(2026, 1, 10, 10, 15, tzinfo=timezone.utc)


def record(key="a/f.csv", name="ObjectCreated:Put", version="2.1", **described) -> dict:
    return {
        "eventVersion": version,
        "eventSource": "aws:s3",
        "eventTime": "2026-01-10T10:15:00.000Z",
        "eventName": name,
        "s3": {"bucket": {"name": "bucket"}, "object": {"key": key, **described}},
    }


def s3(*records: dict) -> dict:
    return {"Records": list(records)}


def keys(document: object) -> list[str]:
    return [ref.key for ref in parse_message(json.dumps(document))]


def test_s3s_own_form_with_everything_in_it():
    document = s3(record(size=5, eTag='"e"', versionId="v", sequencer="0055ab"))
    assert parse_message(json.dumps(document)) == [
        ObjectRef("bucket", "a/f.csv", version_id="v", etag="e", size=5, sequencer="0055AB", event_time=AT)
    ]


@pytest.mark.parametrize(
    ("written", "key", "raw"),
    [
        ("red+flower.csv", "red flower.csv", "red+flower.csv"),
        ("a%2Bb.csv", "a+b.csv", "a%2Bb.csv"),
        ("a%2Ff.csv", "a/f.csv", "a%2Ff.csv"),
        ("a/f.csv", "a/f.csv", None),
        ("%C3%BC.csv", "ü.csv", "%C3%BC.csv"),
        ("100%25.csv", "100%.csv", "100%25.csv"),
    ],
)
def test_keys_are_decoded_and_kept_as_written(written, key, raw):
    (ref,) = parse_message(json.dumps(s3(record(written))))
    assert (ref.key, ref.raw_key) == (key, raw)


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.6", "2.99"])
def test_only_the_major_version_counts(version):
    assert keys(s3(record(version=version))) == ["a/f.csv"]


@pytest.mark.parametrize(
    "name", ["ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload", "s3:ObjectCreated:Copy"]
)
def test_every_way_of_creating_counts(name):
    assert keys(s3(record(name=name))) == ["a/f.csv"]


def test_several_records_keep_their_order_and_others_are_left_out():
    assert keys(s3(record("1"), record("2", name="ObjectRemoved:Delete"), record("folder/"), record("3"))) == ["1", "3"]


def test_an_sns_envelope_is_opened_twice_at_most():
    once = {"Type": "Notification", "Message": json.dumps(s3(record()))}
    twice = {"Type": "Notification", "Message": json.dumps(once)}
    assert keys(once) == keys(twice) == ["a/f.csv"]
    with pytest.raises(BadMessage):
        parse_message(json.dumps({"Type": "Notification", "Message": json.dumps(twice)}))


def test_event_bridges_form_has_its_key_as_it_is():
    detail = {
        "bucket": {"name": "bucket"},
        "object": {"key": "red+flower.csv", "size": 5, "etag": "e", "version-id": "v", "sequencer": "00"},
    }
    document = {"source": "aws.s3", "detail-type": "Object Created", "time": "2026-01-10T10:15:00Z", "detail": detail}
    assert parse_message(json.dumps(document)) == [
        ObjectRef("bucket", "red+flower.csv", version_id="v", etag="e", size=5, sequencer="00", event_time=AT)
    ]
    assert isinstance(parse_message(json.dumps({**document, "detail-type": "Object Deleted"})), Ignored)


def test_the_developers_form_has_its_key_as_it_is():
    assert parse_message('{"bucket": "bucket", "key": "red+flower.csv"}') == [ObjectRef("bucket", "red+flower.csv")]


@pytest.mark.parametrize(
    "document",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-01-10T10:15:00Z", "Bucket": "b"},
        {"Type": "Notification", "Message": json.dumps({"Event": "s3:TestEvent"})},
        s3(),
        s3(record(name="ObjectRemoved:Delete")),
        s3(record("folder/")),
    ],
)
def test_what_asks_for_nothing_is_ignored(document):
    assert isinstance(parse_message(json.dumps(document)), Ignored)


@pytest.mark.parametrize(
    "body",
    [
        "", "no JSON", "[]", "5", '"text"', "null", "{}", '{"Records": 5}', '{"Records": [5]}', '{"Records": [{"s3": 5}]}', "[" * 100_000,
        json.dumps(s3(record(version="3.0"))), json.dumps(s3(record(sequencer="xyz"))), json.dumps(s3(record(5))), json.dumps(s3(record(""))),
        json.dumps(s3(record("x" * 1025))), json.dumps(s3(record("a%00b"))), json.dumps(s3(record("%ff%fe"))), json.dumps(s3(record("\ud800"))),
        json.dumps(s3({**record(), "eventTime": "yesterday"})), json.dumps(s3({**record(), "s3": {"object": {"key": "k"}}})),
        '{"bucket": "b", "key": "k"}', '{"bucket": "../x", "key": "k"}', '{"bucket": 5, "key": "k"}', '{"bucket": "bucket", "key": null}',
        '{"source": "aws.s3", "detail-type": "Object Created", "detail": 5}', '{"Type": "Notification", "Message": 5}',
        json.dumps({"Records": [record()] * 1_001}),
        json.dumps(s3({**record(), "eventTime": "9999-12-31T23:59:59-12:00"})),
        json.dumps(s3({**record(), "eventTime": "0001-01-01T00:00:00+05:00"})),
        json.dumps(s3(record(versionId="\ud800"))), json.dumps(s3(record(eTag="\ud800"))), json.dumps(s3(record(eTag="a\r\nX: y"))),
    ],
)  # fmt: skip
def test_what_can_never_succeed_is_told_without_its_content(body):
    with pytest.raises(BadMessage) as refused:
        parse_message(body)
    assert len(str(refused.value)) < 100


WORDS = [
    "Records", "s3", "object", "bucket", "key", "name", "eventName", "Type", "Message", "detail", "source", "eventTime", "sequencer",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_no_message_raises_anything_else(document):
    with contextlib.suppress(BadMessage):
        parse_message(json.dumps(document))


@pytest.mark.parametrize(
    ("ours", "theirs", "older"),
    [
        ("0055", "0056", True),
        ("0056", "0055", False),
        ("0055", "0055", False),
        ("0055", "00550001", True),  # the shorter one is padded on the right
        ("0055000000", "0055", False),
        ("9", "10", False),  # padded on the right, 9 is 90
        ("F0", "A000", False),
    ],
)
def test_sequencers_are_compared_as_aws_says(ours, theirs, older):
    assert is_older(ours, theirs) is older
