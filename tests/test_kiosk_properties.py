"""What holds for every kiosk row: above all that DuckDB's fast path says the same as the rules."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone

import pytest

from etlkit.testing import full_count

pytestmark = pytest.mark.soak

pytest.importorskip("hypothesis", reason="hypothesis is not installed: pip install -r requirements-dev.txt")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from museum.batch.combined_csv import UNFINISHED_DIR, writing_combined
from museum.batch.judging import KioskJudge
from museum.batch.kiosk_files import inspect_file, iterate_rows
from museum.batch.manifest import EXHIBITION_FILE, JUDGED_DIR, KIOSK_FILE, REJECTS_FILE, CombinedManifest
from museum.kiosk import KIOSK_COLUMNS, Rules, default_reference, judge_line, parse_at

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
REFERENCE = default_reference(frozenset(range(6)), NOW)
RULES = Rules()
EXAMPLES = full_count("examples of kiosk rows", 150, 2_000)


@given(
    st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2090, 1, 1)),
    st.integers(min_value=-23 * 60, max_value=23 * 60),
)
def test_a_time_with_an_offset_is_that_moment(naive, minutes):
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_at(moment.isoformat(sep=" ", timespec="microseconds"), RULES) == (moment, False)


FIELDS = st.one_of(
    st.sampled_from(
        [
            "", "0", "3", "3.0", "-1", "-1.0", "1.0", "6", "ERR", '"3"', '"', " 3", "3 ", "2023-03-06 10:00:00",
            "2023-07-06T10:00:00", "06/03/2023 10:00:00", "06/03/2023 10:00", "2023-03-26 01:30:00", "\\N", "\x00", "é",
            "2023-10-29 01:30:00", "2027-01-01 00:00:00", "1969-06-01 10:00:00", "2023-03-06 10:00:00.5", "٣", "\x1e",
            "2023-3-6 10:00:00", "2023-02-30 10:00:00", "99/99/9999 10:00:00", "2023-03-06 25:00:00",
            "2023-03-06 24:00:00",
            "06/03/2023 24:00:00",
            "2023-03-06 23:59:60",
            "\ufeffat", "+3", "03",
        ]
    ),
    st.text(max_size=6),
)  # fmt: skip
GOOD_LINES = st.builds(
    lambda at, site, val: f"{at:%Y-%m-%d %H:%M:%S},{site},{val},".encode(),
    st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2026, 1, 1)),
    st.integers(0, 6),
    st.integers(0, 5),
)
LINES = st.one_of(
    GOOD_LINES,
    st.lists(FIELDS, min_size=1, max_size=6).map(lambda fields: ",".join(fields).encode("utf-8", "surrogatepass")),
    st.tuples(st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2030, 1, 1)), FIELDS, FIELDS, FIELDS).map(
        lambda row: f"{row[0]:%Y-%m-%d %H:%M:%S},{row[1]},{row[2]},{row[3]}".encode("utf-8", "surrogatepass")
    ),
    st.binary(max_size=20),
)


@given(st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n", b"\r", b"\n\n"])), max_size=30), st.booleans())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_merge_says_of_every_row_what_the_rules_say(tmp_path_factory, lines, has_final_newline):
    folder = tmp_path_factory.mktemp("merge")
    path = folder / "kiosk.csv"
    body = b"".join(line + end for line, end in lines)
    path.write_bytes(b"at,site,val,type\n" + (body if has_final_newline else body.rstrip(b"\r\n")))
    file = inspect_file(path)
    (folder / JUDGED_DIR).mkdir()
    (folder / UNFINISHED_DIR).mkdir()
    for name in (EXHIBITION_FILE, REJECTS_FILE):
        (folder / UNFINISHED_DIR / name).touch()
    with closing(KioskJudge(folder / JUDGED_DIR, folder / "spill", RULES, REFERENCE)) as judge:
        counted = judge.judge_file("kiosk.csv", file, "hash")
    with writing_combined(folder, CombinedManifest("", "b", [counted], [])):
        pass
    verdicts = {number: judge_line(raw, KIOSK_COLUMNS, RULES, REFERENCE) for number, raw in iterate_rows(path)}
    assert counted.rows == len(verdicts)
    combined = {}
    for line in (folder / KIOSK_FILE).read_text().splitlines()[1:]:
        at, site, val, type_, _, row = line.split(",")
        combined[int(row)] = (datetime.fromisoformat(at), int(site), int(val), int(type_) if type_ else None)
    expected = {
        number: (verdict.event.at, verdict.event.site, verdict.event.val, verdict.event.type)
        for number, verdict in verdicts.items()
        if verdict.event
    }
    assert combined == expected
    rejected = {
        fields["row"]: tuple(fields["reasons"])
        for fields in map(json.loads, (folder / JUDGED_DIR / counted.rejects_file).read_text().splitlines())
    }
    assert rejected == {number: verdict.reasons for number, verdict in verdicts.items() if verdict.reasons}
    assert counted.combined + sum(not verdict.event for verdict in verdicts.values()) == counted.rows
