"""What counts as a press: every kind of the brief, every poison, and the fast path against the rules."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime

import pytest
from live_case import press
from museum_case import NO_SAMPLE_DATA, SAMPLE_DATA

from etlkit.testing import full_count
from museum.binary_copy import EPOCH, MICROSECOND
from museum.kiosk import ROW_REASONS, Reference, Rules, default_reference
from museum.live.message import LONGEST_MESSAGE, MESSAGE_REASONS, KnownMessages, judge_message

RULES = Rules(reject_out_of_hours=True)
REFERENCE = default_reference(frozenset(range(6)), datetime(2026, 8, 1, tzinfo=UTC))
NOON = "2026-01-05T12:00:00.000000+00:00"
EXAMPLES = full_count("examples of judged messages", 200, 3_000)


def judged(raw: bytes | str | None, rules: Rules = RULES, reference: Reference = REFERENCE) -> tuple[str, ...]:
    return judge_message(raw.encode() if isinstance(raw, str) else raw, rules, reference).reasons


def fields(**changes) -> str:
    return json.dumps(press(0, at=NOON, **changes))


@pytest.mark.parametrize(
    ("raw", "reasons"),
    [
        ('{"site": "3", "val": 3}', "missing_at"),
        ('{"at": "2026-01-05T15:28:08.081274+00:00", "val": -1, "type": 0}', "missing_site"),
        ('{"at": "2026-01-05T15:29:33.089768+00:00", "site": "1"}', "missing_val"),
        ('{"at": "2026-01-05T15:29:33.089768+00:00", "site": "1", "type": 1}', "missing_val"),
        ('{"at": "2026-01-05T17:14:43.747020+00:00", "site": "1", "val": -1}', "missing_type"),
        (fields(site="10", val=-1, type=0), "unknown_site"),
        (fields(site="ERR"), "unknown_site"),
        (fields(site="INF"), "unknown_site"),
        (fields(site="None"), "unknown_site"),
        (fields(val=9), "bad_val"),
        (fields(val=-2), "bad_val"),
        (fields(val="ERR"), "bad_val"),
        (fields(val=None), "bad_val"),
        (fields(val=-1, type=3), "bad_type"),
        (fields(val=-1, type=-1), "bad_type"),
        (fields(val=-1, type="INF"), "bad_type"),
        (fields(val=-1, type=None), "bad_type"),
        ('{"at": "2026-01-05T18:34:52.027782+00:00", "site": "2", "val": 1}', "out_of_hours"),
        ('{"at": "2026-01-05T18:34:52.027782+00:00", "site": "2", "val": 7}', "out_of_hours bad_val"),
        ("{}", "missing_at missing_site missing_val"),
    ],
)
def test_every_kind_that_the_brief_knows(raw, reasons):
    assert judged(raw) == tuple(reasons.split())


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"at": None}, "bad_at"),
        ({"at": ""}, "bad_at"),
        ({"at": 1_767_626_592}, "bad_at"),
        ({"at": ["2026-01-05"]}, "bad_at"),
        ({"at": "yesterday"}, "bad_at"),
        ({"at": "2026-13-05T12:00:00+00:00"}, "bad_at"),
        ({"at": "2026-01-05T12:00:00+99:00"}, "bad_at"),
        ({"at": "2026-03-29T01:30:00"}, "bad_at"),
        ({"at": "9999-12-31T23:59:59-23:00"}, "bad_at"),
        ({"at": "2099-01-05T12:00:00+00:00"}, "future_at"),
        ({"site": None}, "unknown_site"),
        ({"site": 3}, "unknown_site"),
        ({"site": True}, "unknown_site"),
        ({"site": ""}, "unknown_site"),
        ({"site": "03"}, "unknown_site"),
        ({"site": "+3"}, "unknown_site"),
        ({"site": "3.0"}, "unknown_site"),
        ({"site": " 3"}, "unknown_site"),
        ({"site": "٣"}, "unknown_site"),
        ({"site": "9" * 400}, "unknown_site"),
        ({"site": {"nested": 1}}, "unknown_site"),
        ({"val": True}, "bad_val"),
        ({"val": 1.0}, "bad_val"),
        ({"val": 2.5}, "bad_val"),
        ({"val": "3"}, "bad_val"),
        ({"val": [3]}, "bad_val"),
        ({"val": -1, "type": False}, "bad_type"),
        ({"val": -1, "type": 0.0}, "bad_type"),
        ({"val": -1, "type": "0"}, "bad_type"),
        ({"val": 3, "type": 1}, "bad_type"),
        ({"val": 3, "type": None}, "bad_type"),
        ({"val": 9, "type": 77}, "bad_val"),
    ],
)
def test_null_and_wrong_types_are_bad_not_missing(changes, reasons):
    assert judged(fields(**changes) if "at" not in changes else json.dumps(press(0, **changes))) == (reasons,)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "no_value"),
        (b"", "not_json"),
        (b" ", "not_json"),
        (b"hello", "not_json"),
        (b'{"at": ', "not_json"),
        (b"\xff\xfe{}", "bad_encoding"),
        (fields().encode("utf-16"), "bad_encoding"),
        (b"\xef\xbb\xbf" + fields().encode(), "not_json"),
        (fields().encode() + b"\0", "not_json"),
        (fields().encode() * 2, "not_json"),
        (fields().replace('"val": 0', '"val": NaN').encode(), "not_json"),
        (fields().replace('"val": 0', '"val": -Infinity').encode(), "not_json"),
        (b"[]", "not_an_object"),
        (b"[" + fields().encode() + b"]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"3", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"[" * 30_000, "not_json"),
        (b'{"a":' * 10_000, "not_json"),
        (fields().replace('"val": 0', '"val": 0, "val": 4').encode(), "repeated_field"),
        (fields().replace('"val": 0', '"val": 0, "v\\u0061l": 0').encode(), "repeated_field"),
        (fields(extra={}).replace("{}", '{"deep": 1, "deep": 1}').encode(), "repeated_field"),
        (fields(extra="x" * LONGEST_MESSAGE).encode(), "overlong_message"),
        (fields().replace('"val": 0', f'"val": {"9" * 5000}').encode(), "bad_val"),
        (fields().replace('"val": 0', '"val": 1e400').encode(), "bad_val"),
    ],
)
def test_poison_has_a_reason(raw, reason):
    assert judged(raw) == (reason,)


@pytest.mark.parametrize(
    "changes", [{"extra": {"deep": [1, None]}}, {"val": -1, "type": 1}, {"at": "2026-01-05T12:00:00Z"}, {"site": "5"}]
)
def test_good_messages_are_good(changes):
    assert judged(json.dumps(press(0, **{"at": NOON, **changes}))) == ()


def test_opening_hours_are_inclusive_and_local():
    def at(text: str) -> tuple[str, ...]:
        return judged(json.dumps(press(0, at=text)))

    assert at("2026-01-05T08:45:00+00:00") == ()
    assert at("2026-01-05T08:44:59.999999+00:00") == ("out_of_hours",)
    assert at("2026-01-05T18:15:00.000000+00:00") == ()
    assert at("2026-01-05T18:15:00.000001+00:00") == ("out_of_hours",)
    assert at("2026-07-05T17:30:00Z") == ("out_of_hours",)
    assert at("2026-07-05T17:30:00+01:00") == ()
    assert at("2026-07-05T07:45:00+00:00") == ()
    assert at("2026-07-05T12:00:00") == ()


def test_create_time_stands_in_for_an_absent_at_only():
    created = datetime(2026, 1, 5, 12, 0, 0, 123_000, tzinfo=UTC)
    without = json.dumps(press(0, at=...)).encode()
    verdict = judge_message(without, RULES, REFERENCE, created)
    assert verdict.is_good
    assert verdict.event.at == created
    assert judge_message(b'{"at": null, "site": "1", "val": 1}', RULES, REFERENCE, created).reasons == ("bad_at",)
    late = created.replace(hour=3)
    assert judge_message(without, RULES, REFERENCE, late).reasons == ("out_of_hours",)


def test_every_reason_is_known():
    reasons = {*ROW_REASONS, *MESSAGE_REASONS}
    for raw in mutated(random.Random(3), 3_000):
        assert set(judged(raw)) <= reasons


@pytest.fixture(scope="module")
def real_messages() -> list[bytes]:
    if not SAMPLE_DATA.exists():
        pytest.skip(NO_SAMPLE_DATA)
    return (SAMPLE_DATA / "kafka_messages.jsonl").read_bytes().splitlines()


def test_the_real_messages_have_the_counted_reasons(real_messages):
    expected = json.loads((SAMPLE_DATA / "expected_counts.json").read_text())["kafka_messages.jsonl"]
    reasons = Counter(reason for raw in real_messages for reason in judged(raw))
    renamed = {**expected["reasons"], "unknown_site": expected["reasons"]["bad_site"]}
    del renamed["bad_site"]
    assert reasons == renamed
    assert sum(not judged(raw) for raw in real_messages) == expected["valid"]


def test_the_fast_path_knows_the_usual_message():
    fast = KnownMessages(RULES, REFERENCE)
    for number in range(200):
        assert fast.read(json.dumps(press(number)).encode()) is not None
    assert fast.read(None) is None


def test_the_fast_path_stays_small(monkeypatch):
    monkeypatch.setattr("museum.live.message.MOST_REMEMBERED", 10)
    fast = KnownMessages(RULES, REFERENCE)
    for number in range(0, 20_000, 37):
        raw = json.dumps(press(number)).encode()
        verdict = judge_message(raw, RULES, REFERENCE)
        assert fast.read(raw) == ((verdict.event.at - EPOCH) // MICROSECOND, number % 6, number % 5, None)
    assert fast._minute.cache_info().currsize <= 10
    assert fast._press.cache_info().currsize <= 10


def mutated(rng: random.Random, count: int):
    """Yield messages of which many are broken in one or two places."""
    pieces = [
        b"null",
        b"true",
        b"NaN",
        b"1.0",
        b'"',
        b"{",
        b"}",
        b"\\u0000",
        b"\xff",
        b"99999999999999999999",
        b"-1",
        b",",
    ]
    for number in range(count):
        raw = bytearray(json.dumps(press(number, **({"type": number % 3} if number % 7 == 0 else {}))).encode())
        for _ in range(rng.choice([0, 1, 1, 2, 5])):
            place = rng.randrange(len(raw) + 1)
            match rng.randrange(4):
                case 0:
                    raw[place:place] = rng.choice(pieces)
                case 1:
                    del raw[place : place + rng.randrange(1, 12)]
                case 2 if place < len(raw):
                    raw[place] = rng.randrange(256)
                case _:
                    raw[place : place + 5] = bytes(rng.choices(range(32, 127), k=5))
        yield bytes(raw)
