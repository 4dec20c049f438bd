"""Mutated messages by the hundred thousand, through broker and consumer: each a press or a reject, as the brief says.

The brief's rules are written down here a second time, in another way, so that a mistake would have to be made twice.
"""

from __future__ import annotations

import json
import random
import re
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from apache_kafka import ApacheKafka
from live_case import call, press
from museum_case import NO_SAMPLE_DATA, SAMPLE_DATA

from etlkit.testing import full_count, seeded_random

pytestmark = pytest.mark.soak

CHUNKS, CHUNK = full_count("chunks of mutated messages", 2, 20), full_count("messages a chunk", 5_000, 50_000)
NOW = "2026-08-01T00:00:00+00:00"
FORMS = ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M%z",
         "%Y-%m-%d %H:%M%z", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M")  # fmt: skip
LONDON = ZoneInfo("Europe/London")
PIECES = [
    b"null", b"true", b"NaN", b"1.0", b'"', b"{", b"}", b"[", b"\\u0000", b"\xff", b"\xc3", b"9" * 25, b"-1",
    b",", b":", b" ", b'"type": 1', b'"at"', b"+01:00", b"e5", b"\n",
]  # fmt: skip


class RepeatedError(Exception):
    pass


def no_repeats(pairs):
    if len({name for name, _ in pairs}) < len(pairs):
        raise RepeatedError
    return dict(pairs)


def moment(text: str) -> datetime | None:
    """Read a time by strptime, one form after the other."""
    found = re.fullmatch(r"(.*:\d\d:\d\d)\.(\d{1,9})(Z|[+-].*|)", text, re.ASCII)
    micro = int(found[2].ljust(6, "0")[:6]) if found else 0
    plain = found[1] + found[3] if found else text
    if "t" in plain or re.match(r"\d/|\d\d/\d/", plain):  # strptime takes these, the brief does not
        return None
    plain = re.sub(r"([+-]\d\d)$", r"\g<1>00", plain, flags=re.ASCII)
    if not plain.isascii() or re.search(
        r"\.|[+-]\d\d:?\d\d:?\d|[^\dZ]\d[^\d]|[^\dZ]\d$|\d{5,}(?!$)|\s{2}|^\s|\s$", plain
    ):
        return None
    for form in FORMS:
        if found and form.startswith("%d"):
            continue
        try:
            at = datetime.strptime(plain, form).replace(microsecond=micro)
        except ValueError:
            continue
        if at.tzinfo is None:
            at = at.replace(tzinfo=LONDON)
            if at.astimezone(UTC).astimezone(LONDON).replace(tzinfo=None) != at.replace(tzinfo=None):
                return None
        return at.astimezone(UTC)
    return None


def expected(raw: bytes) -> tuple[tuple, list[str]]:  # noqa: C901, PLR0912 - the brief, clause by clause
    """Return (at, exhibition, kind, code) of a good message, and the reasons against another."""
    nothing: tuple = ()
    try:
        fields = json.loads(raw.decode(), object_pairs_hook=no_repeats, parse_constant=lambda _: 1 / 0)
    except UnicodeDecodeError:
        return nothing, ["bad_encoding"]
    except RepeatedError:
        return nothing, ["repeated_field"]
    except (ValueError, ZeroDivisionError, RecursionError):
        return nothing, ["not_json"]
    if not isinstance(fields, dict):
        return nothing, ["not_an_object"]
    reasons = []
    at = moment(fields["at"]) if isinstance(fields.get("at"), str) else None
    if at is None:
        reasons.append("bad_at" if "at" in fields else "missing_at")
    else:
        if at.astimezone(LONDON).year < 2000:
            reasons.append("too_old")
        if at > datetime(2026, 8, 1, 0, 0, 5, tzinfo=UTC):
            reasons.append("future_at")
        if not time(8, 45) <= at.astimezone(LONDON).time() <= time(18, 15):
            reasons.append("out_of_hours")
    if fields.get("site") not in [str(site) for site in range(6)]:
        reasons.append("unknown_site" if "site" in fields else "missing_site")
    val, kind = fields.get("val"), fields.get("type")
    if isinstance(val, bool) or not isinstance(val, int) or not -1 <= val <= 4:
        reasons.append("bad_val" if "val" in fields else "missing_val")
    elif val == -1 and "type" not in fields:
        reasons.append("missing_type")
    elif (val == -1 and (isinstance(kind, bool) or not isinstance(kind, int) or kind not in (0, 1))) or (
        val != -1 and "type" in fields
    ):
        reasons.append("bad_type")
    if reasons:
        return nothing, reasons
    return (at, int(fields["site"]) + 1, *(("incident", kind) if val == -1 else ("rating", val))), []


def mutated(rng: random.Random, bases: list[bytes], count: int) -> list[bytes]:
    """Return messages, most of them broken in a place or more."""
    made = []
    for _ in range(count):
        raw = bytearray(rng.choice(bases))
        for _ in range(rng.choice([0, 1, 1, 1, 2, 4])):
            place = rng.randrange(len(raw) + 1)
            what = rng.randrange(6)
            if what == 0:
                raw[place:place] = rng.choice(PIECES)
            elif what == 1:
                del raw[place : place + rng.randrange(1, 12)]
            elif what == 2 and place < len(raw):
                raw[place] = rng.randrange(256)
            elif what == 3 and place < len(raw):
                raw[place] ^= 1
            elif what == 4:
                digits = [at for at, byte in enumerate(raw) if 48 <= byte <= 57]
                if digits:
                    raw[rng.choice(digits)] = rng.randrange(48, 58)
            else:
                end = rng.randrange(place, len(raw) + 1)
                raw[place:end] = raw[place:end] * 2
        made.append(bytes(raw))
    return made


@pytest.fixture(scope="module")
def bases() -> list[bytes]:
    made = [
        json.dumps(message).encode() for number in range(300) for message in (press(number), call(number, number % 2))
    ]
    made += [json.dumps(press(number, at=at)).encode() for number, at in enumerate([
        "2026-07-05T12:00:00+01:00", "2026-07-05 12:00:00", "05/07/2026 12:00", "05/07/2026 12:00:30",
        "2026-01-05T18:15:00Z", "2026-03-29T01:30:00", "2025-10-26T01:30:00.5", "2026-01-05T12:00:00-03",
        "2026-07-05T12:00:00.123456789+0100",
    ])]  # fmt: skip
    return made


def check_chunk(live, raws: list[bytes], first: int) -> None:
    """Consume a chunk and compare every message with what the brief says of it."""
    ApacheKafka.produce(live.kafka, live.topic, raws, 0)
    result = live.consume("--max-messages", str(len(raws)), "--now", NOW)
    figures = result.figures["live"]
    assert figures["consumed"] == len(raws) == figures["stored"] + figures["rejected"]
    presses = {row[2]: (row[4], row[3], *row[5:]) for row in live.presses() if row[2] >= first}
    rejects = {int(position): (raw, reasons) for _, position, raw, reasons in live.rejects() if int(position) >= first}
    assert len(presses) + len(rejects) == len(raws)
    for offset, raw in enumerate(raws, first):
        good, reasons = expected(raw)
        if reasons:
            assert rejects[offset] == (raw, reasons), raw
        else:
            assert presses[offset] == good, raw
    live.query("truncate review, incident, meta.rejected_records")


def test_mutated_messages(live, bases):
    rng = seeded_random("live_fuzz")
    checked = 0
    for number in range(CHUNKS):
        check_chunk(live, mutated(rng, bases, CHUNK), number * CHUNK)
        checked += CHUNK
    assert checked == CHUNKS * CHUNK


def test_mutated_real_messages(live):
    if not SAMPLE_DATA.exists():
        pytest.skip(NO_SAMPLE_DATA)
    real = (SAMPLE_DATA / "kafka_messages.jsonl").read_bytes().splitlines()
    check_chunk(live, mutated(seeded_random("live_fuzz"), real, CHUNK), 0)
