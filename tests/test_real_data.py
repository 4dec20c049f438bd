"""The real bucket against counts that were made independently of this project."""

from __future__ import annotations

import json
import random

import pytest
from museum_case import NO_SAMPLE_DATA, SAMPLE_DATA

pytestmark = pytest.mark.database

AVERAGES = {
    "Measureless to Man": 1.9169,
    "Adaptation": 1.9294,
    "The Crenshaw Collection": 1.4260,
    "Cetacean Sensations": 2.8305,
    "Our Polluted World": 1.2162,
    "Thunder Lizards": None,
}


@pytest.fixture(scope="module")
def counts():
    path = SAMPLE_DATA / "expected_counts.json"
    if not path.exists():
        pytest.skip(NO_SAMPLE_DATA)
    return json.loads(path.read_text())["historical (4 CSVs)"]


def averages(museum) -> dict[str, float | None]:
    rows = museum.query("select exhibition_name, average_rating from exhibition_rating")
    return {name: None if average is None else float(average) for name, average in rows}


def test_every_count_is_the_independent_one(real_museum, counts):
    result = real_museum.push()
    assert result.exit_code == 0
    assert result.load["rows_in"] == result.load["rows_stored"] == counts["rows"]
    assert real_museum.count("review") == counts["reviews"]
    by_type = real_museum.query("select incident_type, count(*) from request_info group by 1")
    assert dict(by_type) == {"assistance": counts["assistance"], "emergency": counts["emergency"]}
    assert result.figures["transform"]["out_of_hours"] == counts["rows_before_0845"] + counts["rows_after_1815"]
    assert averages(real_museum) == AVERAGES
    hours = dict(real_museum.query("select hour, reviews from hourly_activity"))
    assert hours == {int(hour): reviews for hour, reviews in counts["reviews_per_hour"].items()}
    incidents = dict(real_museum.query("select hour, incidents from hourly_activity"))
    assert incidents == {int(hour): count for hour, count in counts["incidents_per_hour"].items()}
    for name, expected in counts["per_exhibition"].items():
        distribution = real_museum.query(
            "select rating_id::text, reviews from rating_distribution where exhibition_name = %s", (name[7:],)
        )
        assert dict(distribution) == expected["rating_counts"]


def test_the_brief_s_questions_have_their_answers(real_museum, counts):
    real_museum.push()
    halves = dict(real_museum.query("select half_day, positive_reviews from positive_ratings_by_half_day"))
    assert halves == {
        "before 13:00": counts["rating_ge3_before_13h"],
        "from 13:00": counts["rating_ge3_from_13h"],
    }
    zoology = real_museum.query("select average_rating from department_rating where department_name = 'Zoology'")
    assert float(zoology[0][0]) == round(counts["zoology_avg"], 4)
    most = real_museum.query("select exhibition_name from exhibition_rating order by reviews desc limit 1")
    assert most == [("Our Polluted World",)]
    calls = dict(real_museum.query("select exhibition_name, incidents from exhibition_rating"))
    assert calls["Cetacean Sensations"] == 29
    vault = real_museum.query("select sum(requests) from floor_requests where floor_name = 'Vault'")
    assert vault == [(10,)]


def test_equal_presses_in_the_same_second_stay(real_museum):
    real_museum.push()
    pairs = real_museum.query(
        "select count(*), sum(n) "
        "from (select count(*) as n from review group by exhibition_id, at, rating_id) g where n > 1"
    )
    assert pairs == [(6, 12)]


def test_a_second_run_changes_nothing(real_museum):
    real_museum.push()
    before = real_museum.tables_with_ids()
    result = real_museum.push()
    assert result.exit_code == 0
    assert result.last_line.startswith("Nothing new")
    assert real_museum.tables_with_ids() == before


@pytest.mark.parametrize("seed", range(3))
def test_names_and_order_of_the_exhibition_files_do_not_matter(real_museum, seed):
    paths = sorted(real_museum.bucket_dir.glob("lmnh_exhibition_*.json"))
    contents = [path.read_bytes() for path in paths]
    random.Random(seed).shuffle(contents)
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    real_museum.push()
    assert averages(real_museum) == AVERAGES


def test_a_seventh_exhibition_that_arrives_after_its_rows_gets_them(real_museum):
    real_museum.kiosk(4, "2023-03-06 12:00:00,6,4,", "2023-03-06 12:00:01,6,-1,1.0")
    first = real_museum.push()
    assert first.exit_code == 3
    assert averages(real_museum) == AVERAGES
    real_museum.exhibition(6, EXHIBITION_NAME="Seventh")
    second = real_museum.push()
    assert second.exit_code == 0
    assert second.load["rows_recovered"] == 2
    assert averages(real_museum) == {**AVERAGES, "Seventh": 4.0}
    assert real_museum.rejects() == {}


def test_one_array_of_all_exhibitions_is_the_same(real_museum):
    paths = sorted(real_museum.bucket_dir.glob("lmnh_exhibition_*.json"))
    documents = [json.loads(path.read_text()) for path in paths]
    for path in paths:
        path.unlink()
    lowered = [{key.lower(): value for key, value in reversed(document.items())} for document in documents]
    real_museum.write("lmnh_exhibition_all.json", json.dumps(lowered))
    real_museum.push()
    assert averages(real_museum) == AVERAGES
