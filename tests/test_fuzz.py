"""Fuzz: files, exhibitions and keys of every kind. Never a crash, no row lost from the accounting, no good row aborted.

What the rules say of every physical line is the oracle: the database must hold exactly the good rows, and exactly the
other ones as rejects with their bytes. make test looks at some ten thousand rows, make check at over a million.
"""

from __future__ import annotations

import json
import random
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from etlkit.testing import full_count, seeded_random

pytestmark = pytest.mark.soak

pytest.importorskip("hypothesis", reason="hypothesis is not installed: pip install -r requirements-dev.txt")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from museum_case import SAMPLE_DATA, Museum, exhibition_json

from etlkit.postgres import connect
from load import read_reference
from museum.batch.bucket_files import key_problem, local_path, natural_order
from museum.batch.kiosk_files import inspect_file, iterate_rows
from museum.demo.samples import sample_objects
from museum.exhibitions import EXHIBITION_REASONS, KNOWN_KEYS, ParsedExhibitions, parse_exhibition_file
from museum.kiosk import Reference, Rules, judge_line
from museum.settings import MuseumSettings

MUTATED_BUCKETS = full_count("mutated buckets", 5, 260)
NOW = "2026-01-31T12:00:00+00:00"
RULES = Rules()
ROWS = (
    "select e.key, r.position, r.exhibition_id - 1, r.at, r.rating_id, null::smallint "
    "from review r join event_source e using (source_id) union all "
    "select e.key, i.position, i.exhibition_id - 1, i.at, -1::smallint, i.incident_type_id "
    "from incident i join event_source e using (source_id)"
)
EVERYTHING = "truncate review, incident, event_source, exhibition, floor, department, meta.rejected_records cascade"


@dataclass
class Oracle:
    """What the database must hold, by the rules alone."""

    rows: dict[tuple[str, int], tuple[object, ...]] = field(default_factory=dict)
    rejects: dict[tuple[str, str], tuple[bytes, list[str]]] = field(default_factory=dict)
    lines: int = 0

    def read(self, museum: Museum, key: str, reference: Reference) -> None:
        """Judge a file; an unreadable one leaves its earlier rows as they were."""
        file = inspect_file(museum.bucket_dir / key)
        if file.problem:
            self.rejects[key, "file"] = (file.path.read_bytes()[:65_536], [file.problem])
            return
        self.forget(key)
        for number, raw in iterate_rows(file.path):
            self.lines += 1
            verdict = judge_line(raw, file.columns, RULES, reference)
            if verdict.is_good:
                event = verdict.event
                self.rows[key, number] = (event.site, event.at, event.val, event.type)
            else:
                self.rejects[key, str(number)] = (raw, list(verdict.reasons))

    def forget(self, key: str) -> None:
        """Drop what is known of a file."""
        for known in (self.rows, self.rejects):
            for place in [place for place in known if place[0] == key]:
                del known[place]


def reference_of(museum: Museum) -> Reference:
    """Return what the database knows, at the moment of this module's runs."""
    tolerance = MuseumSettings.model_fields["museum_future_tolerance_seconds"].default
    latest_at = datetime.fromisoformat(NOW) + timedelta(seconds=tolerance)
    with closing(connect(museum.database, "oracle")) as connection, connection.cursor() as cursor:
        return read_reference(cursor, latest_at)


def mutate(raw: bytes, chance: random.Random) -> bytes:
    """Return a file with a few of the things that happen to files."""
    data = bytearray(raw)
    for _change in range(chance.choice((0, 1, 2, 5, 20))):
        at = chance.randrange(len(data) + 1)
        span = slice(at, at + chance.choice((1, 3, 20, 200)))
        match chance.randrange(9):
            case 0:
                data[span] = b""
            case 1:
                data[at:at] = data[span]
            case 2:
                data[at:at] = chance.randbytes(chance.choice((1, 2, 8)))
            case 3 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 4:
                data[at:at] = chance.choice(
                    (
                        b"\n",
                        b"\r\n",
                        b"\r",
                        b'"',
                        b",",
                        b"\x00",
                        b"\xef\xbb\xbf",
                        b"\\.",
                        b"\\N",
                        b"\x1e",
                        b"\xff",
                        b"-",
                        b".0",
                    )
                )
            case 5:
                data = data.replace(b"\n", chance.choice((b"\r\n", b"\r", b"\n\n", b"\n")), chance.choice((-1, 3)))
            case 6:
                data[at:at] = b"\n2023-03-06 10:00:00,2,-1,1.0\n"
            case 7 if chance.random() < 0.2:
                del data[at:]
            case _:
                header, *lines = data.split(b"\n")
                chance.shuffle(lines)
                data = bytearray(b"\n".join([header, *lines]))
    return bytes(data)


def kiosk_originals() -> list[bytes]:
    """Return the kiosk files to start from: of our own bucket, and of the real one where it is."""
    originals = [body for key, body in sample_objects().items() if "_hist_data_" in key]
    if SAMPLE_DATA.exists():
        originals += [path.read_bytes() for path in sorted((SAMPLE_DATA / "bucket").glob("*.csv"))]
    return originals


def stored(museum: Museum) -> dict[tuple[str, int], tuple[object, ...]]:
    return {(key, position): tuple(values) for key, position, *values in museum.query(ROWS)}


def assert_is(museum: Museum, oracle: Oracle, result) -> None:
    """The database holds exactly what the oracle says, and the summary adds up."""
    assert result.exit_code in (0, 3), (result.figures, result.lines)
    assert not any("unexpected" in line or "Traceback" in line for line in result.lines)
    assert stored(museum) == oracle.rows
    load = result.load
    parts = ("rows_stored", "rows_already_there", "rows_rejected", "rows_already_rejected")
    assert load["rows_in"] == sum(load[part] for part in parts)


@pytest.mark.timeout(1800)  # minutes of work at full counts, more where the machine is slow
def test_mutated_files_lose_no_row(museum, monkeypatch):
    chance = seeded_random("buckets")
    originals = kiosk_originals()
    lines = 0
    for number in range(MUTATED_BUCKETS):
        monkeypatch.setattr("museum.batch.judged_rows.BULK_ROWS", 1 if number % 2 else 1_000_000)
        museum.query(EVERYTHING)
        for path in museum.bucket_dir.iterdir():
            path.unlink()
        for site in chance.sample(range(7), 6):
            museum.exhibition(site)
        oracle = Oracle()
        for _round in range(2):  # a first load, then changed objects
            for file in chance.sample(range(14), 6):
                museum.write(f"lmnh_hist_data_{file}.csv", mutate(chance.choice(originals), chance))
            result = museum.push("--now", NOW, "--accept-shrink")
            reference = reference_of(museum)
            oracle.rejects.clear()
            for path in sorted(museum.bucket_dir.glob("*.csv"), key=lambda path: natural_order(path.name)):
                oracle.read(museum, path.name, reference)
            assert_is(museum, oracle, result)
            rejects = museum.rejects()
            # a file that became unreadable keeps the rejects of its earlier rows, as it keeps the rows
            unreadable = {key for key, position in oracle.rejects if position == "file"}
            kept = {place for place in rejects if place[0] in unreadable and place[1] != "file"}
            assert {place: rejects[place] for place in rejects.keys() - kept} == oracle.rejects
        again = museum.push("--now", NOW, "--accept-shrink")
        assert (again.exit_code, again.load["rows_stored"], again.load["rows_removed"]) == (0, 0, 0)
        assert stored(museum) == oracle.rows
        assert museum.rejects() == rejects
        lines += oracle.lines
    assert lines > MUTATED_BUCKETS * 4_000


CODES = ["EXH_01", "exh_2", "EXH_0003", "EXH_999999999", "EXH_1000000000", "EXH_", "1"]
NASTY = ["", " ", "\\.", "x\n\\.\ny", "\\N", '"', "a;b", "\x00", "\ud800", "\u2028", "'; drop table review; --", "\r\n"]
DATES = ["01/07/19", "2019-07-01", "30/02/21", "29/02/2020"]
TEXTS = st.one_of(st.sampled_from([*CODES, *NASTY, *DATES, "Vault"]), st.text(max_size=8))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)
FIELD_NAMES = st.sampled_from([*sorted(KNOWN_KEYS), *(name.upper() for name in sorted(KNOWN_KEYS)), " FLOOR ", "other"])
RECORDS = st.one_of(
    st.dictionaries(FIELD_NAMES, VALUES, max_size=7),
    st.fixed_dictionaries(
        {"EXHIBITION_ID": TEXTS, "EXHIBITION_NAME": TEXTS},
        optional={"FLOOR": VALUES, "DEPARTMENT": TEXTS, "START_DATE": TEXTS, "DESCRIPTION": TEXTS},
    ),
    VALUES,
)
DOCUMENTS = st.one_of(
    RECORDS.map(json.dumps),
    st.lists(RECORDS, max_size=4).map(json.dumps),
    st.lists(RECORDS, max_size=2).map(lambda records: json.dumps(records, ensure_ascii=False)),
    st.sampled_from(["[" * 100_000, '{"EXHIBITION_ID": ' + "9" * 5_000 + "}", "", "\ufeff{}", "NaN", "{} {}"]),
).map(lambda text: text.encode("utf-8", "surrogatepass"))
FILES = st.one_of(DOCUMENTS, DOCUMENTS.map(lambda raw: raw[: len(raw) // 2]), st.binary(max_size=40))


@given(FILES)
@settings(max_examples=full_count("examples of kiosk files", 300, 5_000), deadline=None)
def test_every_exhibition_record_is_used_or_rejected(raw):
    parsed = ParsedExhibitions()
    parse_exhibition_file("key", raw, parsed)
    try:
        document = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        expected = 1
    else:
        expected = len(document) if isinstance(document, list) else 1
    assert len(parsed.exhibitions) + len(parsed.rejects) == expected
    for reject in parsed.rejects:
        assert reject.reasons
        assert set(reject.reasons) <= set(EXHIBITION_REASONS)


@given(st.lists(FILES, min_size=1, max_size=12))
@settings(
    max_examples=full_count("examples of pushed kiosk files", 15, 300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_exhibition_files_beside_good_rows(museum, files):
    """Whatever the exhibition files hold, the database takes what was parsed, and good rows are stored."""
    museum.query(EVERYTHING)
    for path in museum.bucket_dir.iterdir():
        path.unlink()
    for number, raw in enumerate(files):
        museum.write(f"lmnh_exhibition_fuzz{number}.json", raw)
    museum.write("lmnh_exhibition_zzz.json", exhibition_json(123456))
    museum.kiosk(0, "2023-03-06 10:00:00,123456,3,", "2023-03-06 10:00:01,123456,-1,1.0")
    result = museum.push("--now", NOW)
    assert result.exit_code in (0, 3), (result.figures, result.lines)
    assert result.load["rows_stored"] == 2
    parsed = ParsedExhibitions()
    for path in sorted(museum.bucket_dir.glob("*.json"), key=lambda path: natural_order(path.name)):
        parse_exhibition_file(path.name, path.read_bytes(), parsed)
    assert museum.count("exhibition") == len({item.site for item in parsed.exhibitions})
    expected = {(item.key, f"record {item.position}" if item.position else "file") for item in parsed.rejects}
    assert set(museum.rejects()) == expected
    again = museum.push("--now", NOW)
    assert (again.exit_code, again.load["exhibition_rows_written"]) == (0, 0)


KEYS = st.one_of(
    st.text(max_size=30),
    st.lists(
        st.sampled_from(["lmnh", "..", ".", "", "a", "b.csv", "C:", "\\", "\x00", "é", "x" * 300, " "]), max_size=6
    ).map("/".join),
)


@given(st.lists(KEYS, max_size=6, unique=True))
@settings(max_examples=full_count("examples of exhibition files", 200, 3_000), deadline=None)
def test_a_key_that_is_mirrored_stays_in_its_folder(tmp_path_factory, keys):
    folder = tmp_path_factory.mktemp("keys") / "bucket_data"
    folder.mkdir()
    assert sorted(keys, key=natural_order) == sorted(sorted(keys, reverse=True), key=natural_order)
    for key in keys:
        if key_problem(key) is None:
            path = local_path(folder, key)
            assert path is not None
            assert path.resolve().is_relative_to(folder.resolve())
            assert path != folder


@given(st.lists(KEYS.map(lambda key: f"lmnh{key}"), min_size=1, max_size=8, unique=True))
@settings(
    max_examples=full_count("examples of pushed exhibition files", 10, 100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_keys_in_the_bucket_are_mirrored_or_named(museum, bucket, keys):
    stored_keys = set()
    for item in bucket.client.list_objects_v2(Bucket=bucket.name).get("Contents", []):
        bucket.delete(item["Key"])
    for key in keys:
        try:
            bucket.put(key, "content")
            stored_keys.add(key)
        except Exception:  # noqa: BLE001, S112 - no bucket takes such a key
            continue
    result = museum.extract()
    assert result.exit_code == 0, result.figures
    figures = result.figures["extract"]
    mirrored = {key for key in stored_keys if key_problem(key) is None and (museum.bucket_dir / key).is_file()}
    folder_markers = {key for key in stored_keys if key_problem(key) == "folder marker"}
    assert stored_keys <= mirrored | set(figures["unsafe_keys"]) | folder_markers
