"""Real responses of several days, held against figures that were counted independently."""

from __future__ import annotations

import json

import pytest

DAYS = ("2026-01-24", "2026-01-25", "2026-01-26", "2026-02-01")
SHOWS = {  # inserted, updated, unchanged, total; opened for new ids, closed, versions with stable tracking and with all
    "2026-01-24": ((49, 0, 0, 49), (49, 0, 49), (49, 0, 49)),
    "2026-01-25": ((0, 47, 0, 49), (0, 2, 51), (0, 47, 96)),
    "2026-01-26": ((0, 42, 5, 49), (0, 1, 52), (0, 42, 138)),
    "2026-02-01": ((7, 42, 0, 56), (7, 5, 64), (7, 42, 187)),
}
MOVIES = {
    "2026-01-24": (39, 0, 0, 39),
    "2026-01-25": (3, 38, 0, 42),
    "2026-01-26": (1, 38, 2, 43),
    "2026-02-01": (12, 31, 0, 55),
}
PEOPLE = {"2026-01-24": (20, 0, 0, 20), "2026-01-25": (2, 18, 0, 22)}
BRIDGE = {"2026-01-24": (60, 0, 60), "2026-01-25": (6, 0, 66)}

pytestmark = pytest.mark.database


def rows_of(*paths):
    return [row for path in paths for row in json.loads(path.read_text(encoding="utf-8"))["results"]]


def listed(real_days, day, kind):
    return rows_of(*(real_days / day / f"{kind}_popular_p{page}.json" for page in (1, 2, 3)))


def people(real_days, day):
    number = 1 if day == DAYS[0] else 2
    return rows_of(real_days / "people_2024-08" / f"day{number}_person_popular_p1.json")


def counted(works, result, table):
    found = result.table(table)
    return (found["inserted"], found["updated"], found["unchanged"], works.count(table))


@pytest.mark.parametrize("tracks_metrics", [False, True])
def test_shows_and_their_history(works, real_days, tracks_metrics):
    flags = ["--track-metrics"] if tracks_metrics else []
    for day in DAYS:
        current, stable, every = SHOWS[day]
        result = works.load("shows", day, listed(real_days, day, "tv"), *flags)
        assert result.exit_code == 0, result.text
        assert counted(works, result, "tmdb_data.dim_popular_shows") == current
        history = result.table("tmdb_data.dim_shows_history")
        found = (history["opened"] - history["closed"], history["closed"], works.count("tmdb_data.dim_shows_history"))
        assert found == (every if tracks_metrics else stable)
        before = works.tables()
        again = works.load("shows", day, None, *flags)
        assert again.exit_code == 0
        assert works.tables() == before
        assert {name: count for name, count in again.table("tmdb_data.dim_shows_history").items() if count} == {}


def test_movies(works, real_days):
    for day in DAYS:
        result = works.load("movies", day, listed(real_days, day, "movie"))
        assert counted(works, result, "tmdb_data.popular_movies") == MOVIES[day]
        assert result.list["duplicates"] == (2 if day == "2026-02-01" else 0)
        before = works.tables()
        works.load("movies", day)
        assert works.tables() == before
    assert works.query("select count(*) from tmdb_data.dim_popular_movies") == [(55,)]


@pytest.mark.parametrize("tracks_metrics", [False, True])
def test_people_their_history_and_the_bridge(works, real_days, tracks_metrics):
    flags = ["--track-metrics"] if tracks_metrics else []
    for day in DAYS[:2]:
        result = works.load("people", day, people(real_days, day), *flags)
        assert counted(works, result, "tmdb_data.dim_popular_people") == PEOPLE[day]
        bridge = result.table("tmdb_data.bridge_person_project")
        assert (bridge["inserted"], bridge["deleted"], works.count("tmdb_data.bridge_person_project")) == BRIDGE[day]
        before = works.tables()
        works.load("people", day, None, *flags)
        assert works.tables() == before
    assert works.count("tmdb_data.dim_people_history") == (40 if tracks_metrics else 22)
    assert works.query("select * from tmdb_data.people_churn order by as_of")[1][2:] == (20, 2, 2)


def test_a_late_day_is_refused(works, real_days):
    for day in (DAYS[0], DAYS[2]):
        works.load("shows", day, listed(real_days, day, "tv"))
    before = works.tables()
    late = works.load("shows", DAYS[1], listed(real_days, DAYS[1], "tv"))
    assert (late.exit_code, works.tables()) == (1, before)
    assert "2026-01-25 is an older day than what is loaded: staging.shows holds 2026-01-26" in late.text


def test_a_day_is_replayed_from_its_raw_pages(works, real_days, databases, schema_files):
    for day in DAYS:
        works.load("shows", day, listed(real_days, day, "tv"))
    before = works.tables()
    works.tmdb.set_lists(tv=[])
    with databases.fresh(schema_files) as other:
        works.point_at(other)
        works.database = other
        for day in DAYS:
            result = works.run("replay", "--only", "shows", "--as-of", day)
            assert result.exit_code == 0, result.text
        assert works.tables() == before
