"""History: what opens a version, what is written into the open one, and that any days give what a plain model gives."""

from __future__ import annotations

import uuid
from contextlib import closing
from datetime import date, timedelta

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from works_case import person, show

from binge_works.loading import Conditions, Loaded, run_list
from binge_works.popular_lists import PEOPLE, SHOWS
from binge_works.raw_pages import save_pages
from binge_works.tmdb import Page
from etlkit.errors import DataError
from etlkit.postgres import connect
from etlkit.testing import full_count

pytestmark = pytest.mark.database

DAYS = ("2026-01-01", "2026-01-02", "2026-01-03", "2026-01-05")
EXAMPLES = full_count("sequences of days", 24, 600)
TRACKED = {
    "name": "Another", "original_name": "Anders", "overview": "Vandalised.", "first_air_date": "2021-01-01",
    "poster_path": "/other.jpg", "backdrop_path": "/other.jpg", "genre_ids": [18], "origin_country": ["GB"],
    "adult": True,
}  # fmt: skip


@pytest.mark.parametrize(("field", "value"), TRACKED.items())
def test_a_change_of_what_is_tracked_opens_a_version(works, field, value):
    works.load("shows", DAYS[0], [show(1)])
    works.load("shows", DAYS[1], [show(1, **{field: value})])
    assert [dates for _, *dates in works.versions(1)] == [[DAYS[0], DAYS[1]], [DAYS[1], None]]


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, "/new.jpg"), ("/old.jpg", None), ("/old.jpg", ""), ("", None)],
)
def test_nothing_is_a_value_like_any_other(works, before, after):
    works.load("shows", DAYS[0], [show(1, poster_path=before)])
    works.load("shows", DAYS[1], [show(1, poster_path=after)])
    assert works.versions(1, "poster_path") == [(before, DAYS[0], DAYS[1]), (after, DAYS[1], None)]


@pytest.mark.parametrize("field", ["popularity", "vote_average", "vote_count"])
def test_a_measure_is_refreshed_in_the_open_version_unless_it_is_tracked(works, field):
    works.load("shows", DAYS[0], [show(1)])
    works.load("shows", DAYS[1], [show(1, **{field: 9})])
    assert works.versions(1, field) == [(9, DAYS[0], None)]
    works.load("shows", DAYS[2], [show(1, **{field: 5})], "--track-metrics")
    assert works.versions(1, field) == [(9, DAYS[0], DAYS[2]), (5, DAYS[2], None)]
    works.set(BINGE_TRACK_METRICS="true")
    works.load("shows", DAYS[3], [show(1, **{field: 4})])
    assert [value for value, *_ in works.versions(1, field)] == [9, 5, 4]


def test_the_order_of_genres_is_no_change_and_their_number_is(works):
    works.load("shows", DAYS[0], [show(1, genre_ids=[18, 35])])
    works.load("shows", DAYS[1], [show(1, genre_ids=[35, 18])])
    assert works.versions(1, "genre_ids") == [([35, 18], DAYS[0], None)]
    assert works.query("select genre_ids from tmdb_data.dim_popular_shows") == [([35, 18],)]
    works.load("shows", DAYS[2], [show(1, genre_ids=[35, 18, 18])])
    assert len(works.versions(1)) == 2
    works.load("shows", DAYS[3], [show(1, genre_ids=None)])
    assert [value for value, *_ in works.versions(1, "genre_ids")] == [[35, 18], [35, 18, 18], None]
    works.load("shows", "2026-01-06", [show(1, genre_ids=[])])
    assert len(works.versions(1)) == 4


def test_there_and_back_again_is_three_versions(works):
    for day, name in zip(DAYS, ("A", "B", "A", "A"), strict=True):
        works.load("shows", day, [show(1, name=name)])
    assert works.versions(1) == [("A", DAYS[0], DAYS[1]), ("B", DAYS[1], DAYS[2]), ("A", DAYS[2], None)]


def test_a_second_change_of_a_day_overwrites_the_first(works):
    works.load("shows", DAYS[0], [show(1, name="A")])
    works.load("shows", DAYS[1], [show(1, name="B")])
    works.load("shows", DAYS[1], [show(1, name="C", overview="New.")])
    assert works.versions(1) == [("A", DAYS[0], DAYS[1]), ("C", DAYS[1], None)]
    works.load("shows", DAYS[0 + 1], [show(1, name="D"), show(2)])
    works.load("shows", DAYS[2], [show(1, name="E"), show(2)])
    assert [name for name, *_ in works.versions(1)] == ["A", "D", "E"]


def test_who_leaves_the_list_or_its_language_stays_as_they_were(works):
    works.load("shows", DAYS[0], [show(1), show(2), show(3)])
    works.load("shows", DAYS[1], [show(1), show(3, original_language="ko", name="other")])
    assert [works.versions(number)[0][2] for number in (1, 2, 3)] == [None, None, None]
    assert works.versions(3)[0][0] == "Show 3"
    assert works.query("select name from tmdb_data.dim_popular_shows where id = 3") == [("Show 3",)]


def test_a_surrogate_key_is_never_given_twice(works):
    for day, name in zip(DAYS, "ABCD", strict=True):
        works.load("shows", day, [show(number, name=name) for number in (1, 2)])
    keys = [key for (key,) in works.query("select id_sk from tmdb_data.dim_shows_history")]
    assert len(set(keys)) == len(keys) == 8


@pytest.mark.parametrize(
    "wrong",
    [
        "(1, '2026-01-02', null, true)",  # a second current one
        "(1, '2025-12-01', '2026-01-02', false)",  # overlaps
        "(2, '2026-01-02', '2026-01-02', false)",  # lasts for nothing
        "(2, '2026-01-02', '2026-01-01', false)",
        "(2, '2026-01-02', null, false)",
        "(2, '2026-01-02', '2026-01-05', true)",
        "(1, '2026-01-01', '2026-01-02', false)",  # a second one of a day
    ],
)
def test_the_tables_themselves_refuse_a_broken_history(works, wrong):
    works.load("shows", DAYS[0], [show(1)])
    works.load("people", DAYS[0], [person(1)])
    for table in ("dim_shows_history", "dim_people_history"):
        with pytest.raises(psycopg2.IntegrityError):
            works.query(
                f"insert into tmdb_data.{table} (id, effective_date, expiration_date, is_current) values {wrong}"
            )


def test_people_have_versions_too(works):
    works.load("people", DAYS[0], [person(1), person(2)])
    works.load("people", DAYS[1], [person(1, profile_path=None), person(2, popularity=1.0)])
    rows = "select id, profile_path, popularity, effective_date::text from tmdb_data.dim_people_history order by 1, 4"
    assert works.query(rows) == [
        (1, "/f1.jpg", 50.25, DAYS[0]),
        (1, None, 50.25, DAYS[1]),
        (2, "/f2.jpg", 1.0, DAYS[0]),
    ]


def test_history_is_printed_with_what_changed(works):
    works.load("shows", DAYS[0], [show(1396, name="A", poster_path=None)])
    works.load("shows", DAYS[2], [show(1396, name="B", poster_path="/x.jpg")])
    result = works.run("history", "show", "1396")
    assert result.exit_code == 0
    assert [(v["effective_date"], v["expiration_date"]) for v in result.figures["versions"]] == [
        (DAYS[0], DAYS[2]), (DAYS[2], None),
    ]  # fmt: skip
    assert "name: A -> B" in result.text
    assert "poster_path: - -> /x.jpg" in result.text
    nobody = works.run("history", "person", "5")
    assert (nobody.exit_code, "has no person 5" in nobody.text) == (2, True)


NAMES = st.sampled_from(["A", "B", None, ""])
ROWS = st.dictionaries(
    st.integers(1, 4),
    st.tuples(NAMES, st.sampled_from([1.5, 2.5]), st.permutations([18, 35]), st.sampled_from(["en", "en", "ko"])),
    min_size=1,
    max_size=4,
)
LOADS = st.lists(st.tuples(st.sampled_from([-1, 0, 1, 2]), ROWS), min_size=1, max_size=7)


class Model:
    """A plain model of current state and history."""

    def __init__(self, tracks_metrics):
        self.tracks_metrics = tracks_metrics
        self.current, self.versions, self.day = {}, {}, None

    def load(self, day, rows):
        if self.day and day < self.day:
            return False
        self.day = day
        for number, (name, popularity, genres, language) in rows.items():
            if language != "en":
                continue
            self.current[number] = (name, popularity, list(genres))
            values = {"name": name, "popularity": popularity, "genres": list(genres)}
            versions = self.versions.setdefault(number, [])
            if not versions:
                versions.append({"from": day, "to": None, **values})
                continue
            open_one = versions[-1]
            is_changed = open_one["name"] != name or sorted(open_one["genres"]) != sorted(genres)
            is_changed |= self.tracks_metrics and open_one["popularity"] != popularity
            if is_changed and open_one["from"] < day:
                open_one["to"] = day
                versions.append({"from": day, "to": None, **values})
            else:
                open_one |= values
        return True

    def history(self):
        return [
            (number, one["name"], one["popularity"], one["genres"], one["from"], one["to"])
            for number, versions in sorted(self.versions.items())
            for one in versions
        ]


@pytest.mark.soak
@pytest.mark.parametrize("tracks_metrics", [False, True])
@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loads=LOADS)
def test_any_days_give_the_history_of_a_plain_model(works, logger, tracks_metrics, loads):
    works.query(
        "truncate staging.shows, tmdb_data.dim_popular_shows, tmdb_data.dim_shows_history, tmdb_data.loaded_day, "
        "tmdb_data.popularity_snapshot"
    )
    model, day = Model(tracks_metrics), date(2026, 1, 5)
    conditions = Conditions(works.database, logger, track_metrics=tracks_metrics, accepts_shrink=True)
    for step, rows in loads:
        day += timedelta(days=step)
        items = [
            show(number, name=name, popularity=popularity, genre_ids=list(genres), original_language=language)
            for number, (name, popularity, genres, language) in rows.items()
        ]
        raw = save_pages(works.raw_dir, SHOWS, day, [Page(1, items, 1)])
        is_welcome = model.load(day, rows)
        try:
            run_list(SHOWS, Loaded(day), conditions, lambda _folder, raw=raw: raw)
        except DataError:
            assert not is_welcome
            day = model.day
        else:
            assert is_welcome
        found = works.query(
            "select id, name, popularity, genre_ids, effective_date, expiration_date "
            "from tmdb_data.dim_shows_history order by id, effective_date"
        )
        assert found == model.history()
        current = works.query("select id, name, popularity, genre_ids from tmdb_data.dim_popular_shows")
        assert {row[0]: row[1:] for row in current} == {number: tuple(row) for number, row in model.current.items()}
        works.tables()


PROJECTS = st.lists(
    st.tuples(st.sampled_from(["tv", "movie"]), st.integers(1, 3), st.sampled_from(["X", "Y", None])), max_size=4
)
PEOPLE_ROWS = st.dictionaries(
    st.integers(1, 3), st.tuples(NAMES, st.sampled_from([1.5, 2.5]), st.none() | PROJECTS), min_size=1, max_size=3
)


@pytest.mark.soak
@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=st.lists(PEOPLE_ROWS, min_size=1, max_size=5))
def test_any_days_of_people_give_a_plain_model_s_bridge_and_history(works, logger, days):
    works.query(
        "truncate staging.popular_people, tmdb_data.dim_popular_people, tmdb_data.dim_people_history, "
        "tmdb_data.bridge_person_project, tmdb_data.loaded_day, tmdb_data.popularity_snapshot, tmdb_data.people_churn"
    )
    bridge, versions, listed_before = {}, {}, None
    conditions = Conditions(works.database, logger, accepts_shrink=True)
    for number, rows in enumerate(days):
        day = date(2026, 1, 1) + timedelta(days=number)
        items = []
        for key, (name, popularity, projects) in rows.items():
            items.append(person(key, name=name, popularity=popularity))
            if projects is None:
                del items[-1]["known_for"]
            else:
                items[-1]["known_for"] = [
                    {"media_type": kind, "id": one, "name": title} for kind, one, title in projects
                ]
                bridge[key] = {}
                for kind, one, title in projects:
                    bridge[key].setdefault((kind, one), title)
            known = versions.setdefault(key, [])
            if not known or known[-1][0] != name:
                known.append((name, day))
        raw = save_pages(works.raw_dir, PEOPLE, day, [Page(1, items, 1)])
        run_list(PEOPLE, Loaded(day), conditions, lambda _folder, raw=raw: raw)
        found = works.query(
            "select person_id, media_type, project_id, project_title from tmdb_data.bridge_person_project"
        )
        assert {row[:3]: row[3] for row in found} == {
            (key, kind, one): title for key, projects in bridge.items() for (kind, one), title in projects.items()
        }
        history = works.query(
            "select id, name, effective_date from tmdb_data.dim_people_history order by id, effective_date"
        )
        assert history == [(key, *version) for key, known in sorted(versions.items()) for version in known]
        ((_, listed, entered, gone),) = works.query(
            "select compared, listed, entered, gone from tmdb_data.people_churn where as_of = %s", day
        )
        before = listed_before or set()
        assert (listed, entered, gone) == (len(rows), len(rows.keys() - before), len(before - rows.keys()))
        listed_before = set(rows)
        works.tables()


def test_a_run_id_of_staging_that_is_another_is_refused(works, logger):
    from binge_works.loading import run_table
    from binge_works.staging import Staged

    works.load("shows", DAYS[0], [show(1)])
    works.query("delete from tmdb_data.loaded_day where table_name = 'tmdb_data.dim_shows_history'")
    before = works.tables()
    conditions = Conditions(works.database, logger)
    ((run_id,),) = works.query("select distinct run_id::text from staging.shows")
    real = Staged(date.fromisoformat(DAYS[0]), uuid.UUID(run_id), 1)
    for other in (
        Staged(real.as_of, uuid.uuid4(), 1),
        Staged(date(2026, 1, 2), real.run_id, 1),
        Staged(real.as_of, real.run_id, 2),
    ):
        with pytest.raises(DataError, match="Another load came in between"):
            run_table(SHOWS, "tmdb_data.dim_shows_history", other, conditions)
    assert works.tables() == before
    run_table(SHOWS, "tmdb_data.dim_shows_history", real, conditions)
    with closing(connect(works.database, "test")) as other, other, other.cursor() as cursor:
        cursor.execute(
            "insert into staging.shows (id, rank, as_of, run_id) values (9, 9, '2026-01-02', gen_random_uuid())"
        )
    with pytest.raises(DataError, match="holds rows of 2 loads"):
        run_table(SHOWS, "tmdb_data.dim_shows_history", real, conditions)
