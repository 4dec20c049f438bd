"""Lists good and bad: where every item goes, what is refused, and that the tables then are as before."""

from __future__ import annotations

import gzip
import json

import pytest
from works_case import movie, person, show

pytestmark = pytest.mark.database

DAY, NEXT = "2026-01-24", "2026-01-25"
BAD_SHOWS = [
    ({"id": None}, "missing_id"),
    ({"id": "12"}, "bad_id"),
    ({"id": 0}, "bad_id"),
    ({"id": -5}, "bad_id"),
    ({"id": 2**31}, "bad_id"),
    ({"id": True}, "bad_id"),
    ({"id": 1.5}, "bad_id"),
    ({"first_air_date": "2020-02-30"}, "bad_first_air_date"),
    ({"first_air_date": "30/01/2020"}, "bad_first_air_date"),
    ({"first_air_date": "20200130"}, "bad_first_air_date"),
    ({"first_air_date": "2020-W05-4"}, "bad_first_air_date"),
    ({"first_air_date": 2020}, "bad_first_air_date"),
    ({"name": 7}, "bad_name"),
    ({"name": ["A"]}, "bad_name"),
    ({"popularity": "high"}, "bad_popularity"),
    ({"popularity": True}, "bad_popularity"),
    ({"vote_count": 2.5}, "bad_vote_count"),
    ({"vote_count": -1}, "bad_vote_count"),
    ({"vote_count": 10**12}, "bad_vote_count"),
    ({"adult": "no"}, "bad_adult"),
    ({"genre_ids": 18}, "bad_genre_ids"),
    ({"genre_ids": ["18"]}, "bad_genre_ids"),
    ({"origin_country": "US"}, "bad_origin_country"),
    ({"origin_country": [1]}, "bad_origin_country"),
]
BAD_PEOPLE = [
    ({"known_for": {}}, "bad_known_for"),
    ({"known_for": ["x"]}, "bad_known_for"),
    ({"known_for": [{"id": 1, "media_type": "person"}]}, "bad_known_for"),
    ({"known_for": [{"media_type": "tv"}]}, "bad_known_for"),
    ({"known_for": [{"id": 1.0, "media_type": "tv"}]}, "bad_known_for"),
    ({"known_for": [{"id": 1, "media_type": "tv", "name": 5}]}, "bad_known_for"),
    ({"known_for": [{"id": 1, "media_type": "tv", "i\x00d": "x"}]}, "bad_known_for"),
    ({"known_for": [{"id": 1, "media_type": "tv", "media_type\x00": "film"}]}, "bad_known_for"),
    ({"gender": "f"}, "bad_gender"),
]


@pytest.mark.parametrize(("change", "reason"), BAD_SHOWS, ids=str)
def test_a_bad_show_is_kept_as_a_reject_and_costs_no_other(works, change, reason):
    bad = show(77, **change)
    result = works.load("shows", DAY, [show(1), bad, show(2)])
    assert result.exit_code == 3, result.text
    (position, reasons), *more = works.rejects().items()
    assert (reasons, more) == ([reason], [])
    assert position == ("77" if "id" not in change else "page 1 row 2")
    ((raw,),) = works.query("select raw from meta.rejected_records")
    assert json.loads(bytes(raw)) == bad
    assert works.query("select id from tmdb_data.dim_popular_shows order by 1") == [(1,), (2,)]
    assert "1 items newly rejected" in result.text
    again = works.load("shows", DAY)
    assert again.exit_code == 0
    assert "1 earlier rejects are still open" in again.text
    works.load("shows", NEXT, [show(1), show(77), show(2)])
    assert works.rejects() == {}


@pytest.mark.parametrize(("change", "reason"), BAD_PEOPLE, ids=str)
def test_a_bad_person_is_kept_as_a_reject(works, change, reason):
    result = works.load("people", DAY, [person(1, ("tv", 5)), person(2) | change])
    assert (result.exit_code, works.rejects()) == (3, {"2": [reason]})
    assert works.count("tmdb_data.bridge_person_project") == 1


@pytest.mark.parametrize("item", ["text", 7, None, [show(3)]], ids=str)
def test_what_is_no_object_is_kept_as_a_reject(works, item):
    works.load("shows", DAY, [item, show(1)])
    assert works.rejects() == {"page 1 row 1": ["not_an_object"]}


def test_a_number_beyond_all_numbers_is_kept_as_a_reject(works):
    body = json.dumps({"page": 1, "results": [show(1), show(2)], "total_pages": 1})
    works.tmdb.set_faults({"text": body.replace("100.5", "1e400", 1)})
    assert works.load("shows", DAY).exit_code == 3
    assert works.rejects() == {"1": ["bad_popularity"]}
    known_for = [{"id": 1, "media_type": "tv", "popularity": 100.5}]
    body = json.dumps({"page": 1, "results": [person(1), person(2, known_for=known_for)], "total_pages": 1})
    works.tmdb.set_faults({"text": body.replace("100.5", "1e400")})
    assert works.load("people", DAY).exit_code == 3
    assert works.rejects() == {"1": ["bad_popularity"], "2": ["bad_known_for"]}


def test_what_tmdb_leaves_out_is_nothing(works):
    works.load("shows", DAY, [{"id": 5, "original_language": "en"}, show(1, first_air_date="", overview="")])
    columns = "name, overview, first_air_date, popularity, vote_count, genre_ids, adult"
    rows = works.query(f"select {columns} from tmdb_data.dim_popular_shows order by id")
    assert rows == [("Show 1", "", None, 100.5, 10, [18, 35], False), (None, None, None, None, None, None, False)]


def test_what_postgres_cannot_hold_is_left_out_of_a_text(works):
    works.load(
        "shows", DAY, [show(1, name="a\x00b\ud800c", overview="tab\tline\nback\\slash", origin_country=["U\x00S"])]
    )
    assert works.query("select name, overview, origin_country from tmdb_data.dim_popular_shows") == [
        ("abc", "tab\tline\nback\\slash", ["US"])
    ]
    works.load(
        "people", DAY, [person(1, known_for=[{"id": 1, "media_type": "tv", "name": "x\x00y", "deep": ["\x00"]}])]
    )
    assert works.query("select project_title from tmdb_data.bridge_person_project") == [("xy",)]


def test_figures_keep_their_places(works):
    works.load("shows", DAY, [show(1, popularity=443.8127, vote_average=8), show(2, vote_average=8.582)])
    found = works.query("select popularity, vote_average from tmdb_data.dim_popular_shows order by id")
    assert found == [(443.8127, 8.0), (100.5, 8.582)]


def test_of_an_id_that_stands_twice_the_first_counts(works):
    rows = [
        show(1, popularity=9),
        show(2),
        show(1, popularity=1),
        show(3, name=5),
        show(3),
        show(3, name=6),
        show(2, name=1),
    ]
    result = works.load("shows", DAY, rows)
    figures = result.list
    assert (figures["items_in"], figures["staged"], figures["duplicates"], figures["rejected"]) == (7, 3, 3, 1)
    assert works.query("select id, popularity, rank from staging.shows order by id") == [
        (1, 9, 1),
        (2, 100.5, 2),
        (3, 100.5, 5),
    ]


def test_staging_that_holds_two_loads_is_mended_by_the_next(works):
    works.load("shows", DAY, [show(1), show(2)])
    works.query("insert into staging.shows (id, rank, as_of, run_id) values (9, 9, '2026-01-02', gen_random_uuid())")
    assert works.run("check").exit_code == 1
    assert works.load("shows", DAY).exit_code == 0
    assert works.query("select id from staging.shows order by 1") == [(1,), (2,)]


def test_a_list_that_is_refused_does_not_replace_what_a_replay_loads(works):
    works.load("shows", DAY, [show(number) for number in range(1, 21)])
    before = works.tables()
    assert works.load("shows", DAY, [show(1)]).exit_code == 1
    assert works.run("replay", "--only", "shows", "--as-of", DAY).exit_code == 0
    assert works.tables() == before
    assert works.load("shows", DAY, None, "--accept-shrink", "--dry-run").exit_code == 0
    works.load("shows", DAY, None, "--accept-shrink")
    assert works.run("replay", "--only", "shows", "--as-of", DAY).list["items_in"] == 1


def test_an_emptied_staging_does_not_hide_that_a_list_shrank(works):
    works.load("shows", DAY, [show(number) for number in range(1, 21)])
    works.query("truncate staging.shows")
    refused = works.load("shows", NEXT, [show(1)])
    assert (refused.exit_code, "the one of 2026-01-24 had 20" in refused.text) == (1, True)


def test_a_failed_run_tells_of_nothing_created(works):
    works.load("shows", DAY, [show(1)])
    works.query("alter table tmdb_data.dim_shows_history add constraint broken check (name <> 'B')")
    result = works.load("shows", NEXT, [show(1, name="B"), show(2)])
    assert result.exit_code == 1
    run = "select records_processed, records_created, records_updated from meta.ingestion_runs where status = 'failed'"
    assert works.query(run) == [(2, 0, 0)]
    assert result.list["run_id"] in result.text.splitlines()[-1]


def test_the_sum_is_told(works):
    rows = [show(1), show(2, original_language="ko"), show(1), show(3, name=3)]
    result = works.load("shows", DAY, rows)
    assert "shows of 2026-01-24: 4 in = 1 loaded + 1 filtered + 1 duplicates + 1 rejected" in result.text
    processed = "select records_processed, records_created, records_updated, metadata from meta.ingestion_runs"
    ((seen, created, updated, metadata),) = works.query(processed)
    assert (seen, created, updated, metadata["duplicates"], metadata["rejected"]) == (4, 1, 0, 1, 1)
    assert metadata["raw_pages"] == str(works.raw_dir / DAY / "shows.jsonl.gz")


def test_a_field_that_nobody_knows_is_told(works):
    result = works.load("shows", DAY, [show(1, origin_planet="Earth")])
    assert "TMDB has fields that no table takes: origin_planet" in result.text


@pytest.mark.parametrize(
    ("before", "after", "is_refused"), [(10, 5, True), (10, 6, False), (10, 1, True), (1, 1, False)]
)
def test_a_list_that_lost_half_of_its_ids_is_refused(works, before, after, is_refused):
    works.load("shows", DAY, [show(number) for number in range(1, before + 1)])
    stored = works.tables()
    result = works.load("shows", NEXT, [show(number) for number in range(1, after + 1)])
    assert result.exit_code == (1 if is_refused else 0)
    if not is_refused:
        return
    assert f"has {after} ids, the one of {DAY} had {before}" in result.text
    assert works.tables() == stored
    assert works.load("shows", NEXT, None, "--accept-shrink").exit_code == 0
    assert works.count("staging.shows") == after


@pytest.mark.parametrize("rows", [[], [show(1, name=1)], ["x"]], ids=["empty", "all bad", "no objects"])
def test_a_list_without_a_good_item_is_refused(works, rows):
    works.load("shows", DAY, [show(1)])
    before = works.tables()
    result = works.load("shows", NEXT, rows, "--accept-shrink")
    assert (result.exit_code, works.tables()) == (1, before)
    assert "othing was loaded" in result.text


def test_an_older_day_is_refused_before_tmdb_is_asked(works):
    works.load("movies", NEXT, [movie(1)])
    works.tmdb.calls(forget=True)
    before = works.tables()
    result = works.load("movies", DAY)
    assert (result.exit_code, works.tmdb.calls(), works.tables()) == (1, [], before)
    assert "staging.popular_movies holds 2026-01-25 (and 2 more tables)" in result.text


@pytest.mark.parametrize("day", ["2999-01-01", "2026-02-30", "yesterday", ""])
def test_a_day_that_is_none_or_ahead_is_a_wrong_call(works, day, capsys):
    with pytest.raises(SystemExit) as ended:
        works.load("shows", day, [show(1)])
    assert ended.value.code == 2
    assert works.count("meta.ingestion_runs") == 0


def test_a_dry_run_leaves_nothing_behind(works):
    works.load("shows", DAY, [show(1), show(2)])
    before, runs = works.tables(), works.count("meta.ingestion_runs")
    result = works.load("shows", NEXT, [show(1, name="B"), show(3)], "--dry-run")
    assert result.exit_code == 0
    assert result.table("tmdb_data.dim_shows_history") == {"closed": 1, "opened": 2, "refreshed": 0}
    assert (works.tables(), works.count("meta.ingestion_runs")) == (before, runs)
    assert sorted(path.name for path in works.raw_dir.iterdir()) == [DAY]
    assert "would be loaded (dry run)" in result.text


def test_the_bridge_follows_what_people_are_known_for(works):
    bridge = (
        "select person_id, media_type, project_id, project_title from tmdb_data.bridge_person_project order by 1, 2, 3"
    )
    works.load("people", DAY, [person(1, ("movie", 1396), ("tv", 1396)), person(2, ("tv", 8)), person(3, ("tv", 9))])
    assert works.query(bridge) == [
        (1, "movie", 1396, "movie 1396"), (1, "tv", 1396, "tv 1396"), (2, "tv", 8, "tv 8"), (3, "tv", 9, "tv 9"),
    ]  # fmt: skip
    before = works.tables()
    works.load("people", DAY, [person(1, ("tv", 1396), ("movie", 1396)), person(2, ("tv", 8)), person(3, ("tv", 9))])
    assert works.tables()["tmdb_data.bridge_person_project"] == before["tmdb_data.bridge_person_project"]
    assert works.versions(1) == []
    left_out = person(1)
    del left_out["known_for"]
    result = works.load("people", NEXT, [left_out, person(2), person(4, ("tv", 8), ("tv", 8))])
    assert result.table("tmdb_data.bridge_person_project")["deleted"] == 1  # of whom known_for is empty, not left out
    assert [row[:3] for row in works.query(bridge)] == [(1, "movie", 1396), (1, "tv", 1396), (3, "tv", 9), (4, "tv", 8)]
    again = works.load(
        "people", "2026-01-26", [person(3, known_for=[{"id": 9, "media_type": "tv", "name": "Renamed"}]), person(5)]
    )
    assert again.table("tmdb_data.bridge_person_project") == {"deleted": 0, "inserted": 0, "updated": 1, "unchanged": 0}


def test_namesakes_are_different_people(works):
    works.load("people", DAY, [person(1, name="Same"), person(2, name="Same")])
    assert works.count("tmdb_data.dim_popular_people") == 2


def test_the_list_of_each_day_is_kept(works):
    works.load("shows", DAY, [show(1), show(2, original_language="ko")])
    works.load("shows", DAY, [show(2, original_language="ko", popularity=7), show(3)])
    works.load("shows", NEXT, [show(3), show(4)])
    snapshot = "select as_of::text, id, rank, popularity from tmdb_data.popularity_snapshot order by 1, 3"
    assert works.query(snapshot) == [(DAY, 2, 1, 7), (DAY, 3, 2, 100.5), (NEXT, 3, 1, 100.5), (NEXT, 4, 2, 100.5)]


def test_timestamps_say_when_a_row_came_and_when_it_changed(works):
    works.load("shows", DAY, [show(1), show(2)])
    times = "select insert_timestamp, last_updated from tmdb_data.dim_popular_shows order by id"
    before = works.query(times)
    works.load("shows", NEXT, [show(1, popularity=2), show(2)])
    after = works.query(times)
    assert after[1] == before[1]
    assert (after[0][0], after[0][1] > before[0][1]) == (before[0][0], True)


def test_raw_pages_are_kept_so_many_days(works):
    works.set(BINGE_RAW_DAYS="2")
    (works.raw_dir / "keep").mkdir(parents=True)
    (works.raw_dir / "2020-01-01.txt").write_text("mine")
    for day in ("2026-01-01", "2026-01-02", "2026-01-03"):
        works.load("shows", day, [show(1)])
    last = works.load("shows", "2026-01-04")
    kept = ["2020-01-01.txt", "2026-01-02", "2026-01-03", "2026-01-04", "keep"]
    assert sorted(path.name for path in works.raw_dir.iterdir()) == kept
    assert "raw pages past 2 days are gone: 2026-01-01" in last.text


def test_a_replay_of_what_was_not_kept_says_what_is(works):
    nothing = works.run("replay", "--only", "shows", "--as-of", DAY)
    assert (nothing.exit_code, "none are kept" in nothing.text) == (1, True)
    works.load("shows", DAY, [show(1)])
    result = works.run("replay", "--only", "shows", "--as-of", NEXT)
    assert result.exit_code == 1
    assert "kept are 2026-01-24 to 2026-01-24 (1 days)" in result.text


def _cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def _plain(path):
    path.write_text("{}")


def _other_list(path):
    with gzip.open(path, "wt") as file:
        file.write('{"list": "movies", "as_of": "2026-01-24", "extraction_id": "%s"}\n[]\n' % ("0" * 32))


def _no_json(path):
    with gzip.open(path, "wt") as file:
        file.write("nothing\n")


def _no_first_line(path):
    with gzip.open(path, "wt") as file:
        file.write("[]\n")


def _number_for_a_page(path):
    head = gzip.decompress(path.read_bytes()).splitlines()[0]
    path.write_bytes(gzip.compress(head + b"\n7\n"))


def _number_for_an_id(path):
    path.write_bytes(gzip.compress(b'{"list": "shows", "as_of": "2026-01-24", "extraction_id": 5}\n[]\n'))


def _nested(path):
    path.write_bytes(gzip.compress(b"[" * 100_000))


def _other_day(path):
    data = gzip.decompress(path.read_bytes()).replace(b"2026-01-24", b"2026-01-23", 1)
    path.write_bytes(gzip.compress(data))


def _folder(path):
    path.unlink()
    path.mkdir()


def _bits(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "harm",
    [
        _cut,
        _plain,
        _other_list,
        _no_json,
        _no_first_line,
        _bits,
        _number_for_a_page,
        _number_for_an_id,
        _nested,
        _other_day,
        _folder,
    ],
)
def test_raw_pages_that_were_harmed_are_refused(works, harm):
    works.load("shows", DAY, [show(number) for number in range(1, 30)])
    before = works.tables()
    harm(works.raw_dir / DAY / "shows.jsonl.gz")
    result = works.run("replay", "--only", "shows", "--as-of", DAY)
    assert (result.exit_code, works.tables()) == (1, before), result.text
    assert str(works.raw_dir / DAY / "shows.jsonl.gz") in result.text
    assert "othing was loaded" in result.text
