"""Reviews on their way to the archive and back: each lies on one side of the border, whoever is killed or late."""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest
from archive_case import BEFORE_APRIL, FIRST_ROWS, said
from live_case import call, press
from museum_case import PROJECT_DIR, Museum, miscounted_hours
from psycopg2.errors import CheckViolation, RaiseException
from test_kills import wait_until_the_server_noticed

from dashboard.state import read_pulse
from etlkit.locks import advisory_lock
from etlkit.postgres import connect
from etlkit.testing import full_count, seeded_random

pytestmark = pytest.mark.database

BOUNDARY_KILLS = full_count("kills of an archive run at a boundary", 2, None)


def test_a_month_is_in_its_file_or_in_the_database_and_counted_once(archive):
    kept, tally, incidents = archive.kept(), archive.tally(), archive.museum.query("select * from incident")
    exported = archive.run("export", "2024-04")
    assert (exported.exit_code, exported.figures["archive"]["months"]) == (
        0,
        {"2024-01": 3, "2024-02": 1, "2024-03": 2},
    )
    assert said(exported) == "Exported 6 reviews of 3 months. All reviews are in the database."
    assert archive.names() == [archive.key(month) for month in ("2024-01", "2024-02", "2024-03")]
    row = archive.rows("2024-01")[0]
    assert list(row)[-2:] == ["source_id", "review_id"]
    assert list(row.values())[:-2] == [
        "2024-01-31 12:00:00", "7", "EXH_01", "2", "4", "s3://sigma-resources-museum/lmnh_hist_data_1.csv", "2",
    ]  # fmt: skip
    assert [row["at"] for row in archive.rows("2024-03")] == ["2024-03-31 00:30:00", "2024-03-31 22:30:00"]
    assert archive.kept() == kept

    again = archive.run("export", "2024-04")
    assert again.figures["archive"]["already_there"] == ["2024-01", "2024-02", "2024-03"]
    would = archive.run("remove", "2024-04", "--dry-run")
    assert said(would) == "Would move 6 reviews of 3 months. All reviews are in the database."
    assert archive.kept() == kept

    moved = archive.run("remove", "2024-04")
    assert said(moved) == ("Moved 6 reviews of 3 months. The archive has all reviews of before 2024-04-01 00:00 BST.")
    assert archive.kept() == kept[BEFORE_APRIL:]
    assert archive.tally() == tally
    assert archive.museum.query("select * from incident") == incidents
    assert archive.border() == "2024-03-31 23:00:00+00"
    for action in ("export", "remove"):
        nothing = archive.run(action, "2024-04")
        assert (nothing.exit_code, said(nothing)) == (
            0, f"Nothing to {action}. The archive has all reviews of before 2024-04-01 00:00 BST.",
        )  # fmt: skip
    assert said(archive.museum.push()).startswith("Nothing new: 9 rows")
    assert said(archive.museum.run("load", "--rebuild-hours", *archive.museum.database_flags)) == (
        "The hourly counts agree with the presses."
    )

    assert said(archive.run("restore", "2024-02", "--dry-run")).startswith("Would restore 3 reviews of 2")
    assert archive.kept() == kept[BEFORE_APRIL:]
    back = archive.run("restore", "2024-02")
    assert said(back) == ("Restored 3 reviews of 2 months. The archive has all reviews of before 2024-02-01 00:00 GMT.")
    assert archive.kept() == kept[3:]
    assert said(archive.run("restore", "2000-01")) == (
        "Restored 3 reviews of 1 month. All reviews are in the database."
    )
    assert (archive.kept(), archive.tally(), archive.border()) == (kept, tally, "-infinity")
    assert said(archive.museum.push()).startswith("Nothing new: 9 rows")


def test_a_file_that_grows_is_known_again_and_late_reviews_wait_for_their_month(archive):
    archive.move("2024-04")
    archive.museum.kiosk(
        1, *FIRST_ROWS, "2024-05-02 09:00:00,1,2,", "2024-02-20 09:00:00,1,1,", "2024-02-20 09:00:00,1,-1,0"
    )
    grown = archive.museum.push()
    assert grown.exit_code == 3
    figures = grown.load
    assert (figures["rows_in"], figures["rows_stored"], figures["rows_already_there"], figures["rows_rejected"]) == (
        12,
        2,
        9,
        1,
    )
    assert not any("differ" in line for line in grown.lines)
    rejects = archive.museum.rejects()
    assert list(rejects.values()) == [(b"2024-02-20 09:00:00,1,1,", ["archived"])]
    kept, tally = archive.kept(), archive.tally()
    again = archive.museum.push()
    assert (again.exit_code, again.load["rows_already_there"], again.load["rows_already_rejected"]) == (0, 11, 1)
    assert (archive.kept(), archive.tally()) == (kept, tally)
    assert archive.museum.query("select stored from event_source") == [(11,)]

    assert archive.run("restore", "2024-02").exit_code == 0
    assert [reasons for _raw, reasons in archive.museum.rejects().values()] == [["restored"]]
    taken = archive.museum.push()
    assert (taken.exit_code, taken.load["rows_recovered"], archive.museum.rejects()) == (0, 1, {})
    assert archive.run("export", "2024-04").exit_code == 1
    assert archive.run("export", "2024-04", "--replace").figures["archive"]["already_there"] == ["2024-03"]
    assert archive.run("remove", "2024-04").figures["archive"]["months"] == {"2024-02": 2, "2024-03": 2}


def test_a_new_file_of_old_months_is_not_taken_but_kept(archive):
    archive.move("2024-04")
    archive.museum.kiosk(2, "2024-01-05 10:00:00,0,3,", "2024-01-05 10:00:00,7,3,", "2024-01-05 10:00:00,0,-1,1")
    result = archive.museum.push()
    assert result.load["rejected_by_reason"] == {"archived": 2, "unknown_site": 1}
    assert sorted(reasons for _raw, reasons in archive.museum.rejects().values()) == [
        ["archived"], ["archived", "unknown_site"],
    ]  # fmt: skip
    assert archive.museum.count("incident") == 2
    archive.museum.exhibition(7)
    assert archive.museum.push().load["rows_recovered"] == 0
    assert sorted(reasons for _raw, reasons in archive.museum.rejects().values()) == [["archived"], ["archived"]]


@pytest.mark.parametrize(
    "changed",
    [
        ("2024-01-31 23:59:59,0,1,", *FIRST_ROWS[1:]),  # another rating
        ("2024-06-01 10:00:00,0,3,", *FIRST_ROWS[1:]),  # out of the archive's time
        ("bad,0,3,", *FIRST_ROWS[1:]),
        FIRST_ROWS[1:],  # each row is another one now
        FIRST_ROWS[6:],
        (*FIRST_ROWS[:3], "2024-02-02 00:00:00,0,0,", *FIRST_ROWS[4:]),
    ],
)
def test_a_file_that_has_not_just_its_archived_reviews_any_more_is_refused_until_they_are_back(archive, changed):
    archive.move("2024-04")
    kept, tally, ledger = archive.kept(), archive.tally(), archive.museum.query("select * from event_source")
    archive.museum.kiosk(1, *changed)
    for _run in range(2):
        refused = archive.museum.push("--accept-shrink")
        assert refused.exit_code == 1
        assert "lmnh_hist_data_1.csv: 6 of its reviews lie in the archive, and it no longer has" in refused.last_line
        assert "(python archive.py restore 2024-01)" in refused.last_line
        assert (archive.kept(), archive.tally()) == (kept, tally)
        assert archive.museum.query("select * from event_source") == ledger
    assert archive.run("restore", "2024-01").exit_code == 0
    taken = archive.museum.push("--accept-shrink")
    assert taken.exit_code in (0, 3)
    reviews = sum(row.endswith(",") and not row.startswith("bad") for row in changed)
    assert (archive.museum.count("review"), archive.museum.rejects() != {}) == (reviews, "bad,0,3," in changed)
    assert "is there with other rows" in archive.run("export", "2024-04").last_line
    assert archive.run("export", "2024-04", "--replace").exit_code == archive.run("remove", "2024-04").exit_code == 0
    assert said(archive.museum.push()).startswith("Nothing new")
    filed = sum(len(archive.rows(month)) for month in archive.months())
    assert filed + archive.museum.count("review") == sum(reviews for *_, reviews in archive.tally()) == reviews


def test_the_file_of_a_month_that_lost_its_reviews_must_not_hold_any(archive):
    assert archive.run("export", "2024-04").exit_code == 0
    archive.museum.kiosk(1, *FIRST_ROWS[3:])
    assert archive.museum.push("--accept-shrink").exit_code == 0
    refused = archive.run("remove", "2024-04")
    assert (refused.exit_code, "lmnh_reviews_2024-01.csv does not hold what" in refused.last_line) == (1, True)
    assert archive.border() == "-infinity"
    assert archive.run("export", "2024-03", "--replace").figures["archive"]["months"] == {"2024-01": 0, "2024-02": 1}
    assert archive.rows("2024-01") == []
    assert archive.run("remove", "2024-03").exit_code == 0
    assert archive.run("restore", "2024-01").figures["archive"]["months"] == {"2024-02": 1, "2024-01": 0}
    assert archive.border() == "-infinity"


def test_a_rejected_row_between_archived_ones_is_not_taken_for_one_of_them(archive):
    archive.museum.kiosk(2, "2024-01-05 10:00:00,0,3,", "2024-01-05 11:00:00,7,3,", "2024-01-05 12:00:00,0,3,")
    archive.museum.push()
    archive.move("2024-04")
    archive.museum.exhibition(7)
    archive.museum.kiosk(
        2,
        "2024-01-05 10:00:00,0,3,",
        "2024-01-05 11:00:00,7,3,",
        "2024-01-05 12:00:00,0,3,",
        "2024-06-05 12:00:00,0,3,",
    )
    result = archive.museum.push()
    assert (result.load["rows_already_rejected"], result.load["rows_stored"]) == (1, 1)
    assert list(archive.museum.rejects().values()) == [(b"2024-01-05 11:00:00,7,3,", ["archived"])]


def test_a_large_load_into_emptied_tables_does_not_forget_the_archive(archive, monkeypatch):
    archive.move("2024-06")
    archive.museum.query("delete from incident")
    monkeypatch.setattr("museum.batch.judged_rows.BULK_ROWS", 1)
    tally = archive.tally()
    archive.museum.kiosk(2, "2024-06-05 12:00:00,0,3,")
    assert archive.museum.push().load["rows_stored"] == 1
    assert set(tally) < set(archive.tally())
    archive.museum.query("truncate review")
    assert archive.tally() == tally
    strip = archive.museum.query("select max(hour) from review_tally")[0][0]
    with closing(connect(archive.museum.database, "page")) as connection, connection.cursor() as cursor:
        assert read_pulse(cursor, datetime.now(UTC)).latest_press == strip


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ("remove", "2024-04"),
            1,
            "lmnh_reviews_2024-01.csv is not there. Run first: python archive.py export 2024-04",
        ),
        (("export", "2200-01"), 2, "2200-01 has not begun yet"),
        (
            ("export", "2024-04", "--archive", "s3://no-such-bucket-here/x/"),
            1,
            "does not exist. Check --archive and --endpoint-url. The month was left as it is.",
        ),
        (
            ("export", "2024-04", "--archive", "s3://sigma-resources-museum/"),
            2,
            "lies among the objects of MUSEUM_BUCKET",
        ),
        (("export", "2024-04", "--archive", "s3://sigma-resources-museum/lmnh/x/"), 2, "lies among the objects of"),
        (("export", "2024-04", "--archive", "s3://bucket/x"), 2, "expected a bucket and the beginning of its keys"),
        (("export", "2024-04", "--archive", "a/folder/"), 2, "expected a bucket and the beginning of its keys"),
    ],
)
def test_what_cannot_be_done_is_said_and_moves_nothing(archive, arguments, code, words):
    kept = archive.kept()
    result = archive.run(*arguments)
    assert (result.exit_code, words in result.last_line, archive.kept()) == (code, True, kept), result.lines


@pytest.mark.parametrize("month", ["2024-13", "2024-1", "24-01", "2024-01-01", "0999-01", "२०२४-01", "month"])
def test_what_is_no_month_is_refused(archive, month, capsys):
    with pytest.raises(SystemExit, match="2"):
        archive.run("export", month)
    assert f"{month!r} is not a month, e.g. 2024-01" in capsys.readouterr().err


def test_a_zone_whose_hours_are_not_those_of_the_counts(archive, monkeypatch):
    monkeypatch.setenv("MUSEUM_TIMEZONE", "Asia/Kolkata")
    refused = archive.run("export", "2024-04")
    assert (refused.exit_code, "at whole hours of UTC in Asia/Kolkata" in refused.last_line) == (2, True)


def test_no_archive_named(archive, monkeypatch):
    monkeypatch.delenv("MUSEUM_ARCHIVE")
    result = archive.run("export", "2024-04")
    assert (result.exit_code, "Set MUSEUM_ARCHIVE=s3://BUCKET/PREFIX/" in result.last_line) == (2, True)


def test_a_late_review_between_export_and_remove_is_not_lost(archive):
    archive.run("export", "2024-04")
    archive.museum.kiosk(2, "2024-02-05 12:00:00,0,3,")
    archive.museum.push()
    refused = archive.run("remove", "2024-04")
    assert (refused.exit_code, archive.border()) == (1, "2024-02-01 00:00:00+00")  # January is done
    assert "lmnh_reviews_2024-02.csv does not hold what the database has of 2024-02" in refused.last_line
    differing = archive.run("export", "2024-04")
    assert "is there with other rows than the database has of 2024-02. If the database is right" in differing.last_line
    assert archive.run("export", "2024-04", "--replace", "--dry-run").exit_code == 0
    assert len(archive.rows("2024-02")) == 1
    assert archive.run("export", "2024-04", "--replace").exit_code == 0
    assert archive.run("remove", "2024-04").exit_code == 0
    assert len(archive.rows("2024-02")) == 2


def test_a_review_before_the_month_that_nobody_listed_is_not_left_behind(archive):
    archive.move("2024-02")
    archive.museum.query("update review set at = at + interval '1 month' where at < '2024-03-01'")  # none in February
    assert archive.run("export", "2024-04").figures["archive"]["months"] == {"2024-03": 3}
    insert = "insert into review (exhibition_id, at, rating_id, source_id, position) values (1, '2024-02-20', 2, 1, 99)"
    with closing(connect(archive.museum.database, "consumer")) as another, another.cursor() as cursor:
        cursor.execute("select hold_border(false)")
        moving = archive.start("archive", "remove", "2024-04")
        wait_for_lock(archive.museum)
        cursor.execute(insert)
        another.commit()
        told = moving.communicate(timeout=60)[0]
    assert "reviews of before 2024-03 have come meanwhile. Run first: python archive.py export 2024-04" in told
    assert archive.border() == "2024-02-01 00:00:00+00"


def test_hours_that_are_counted_wrongly_are_not_closed(archive):
    archive.run("export", "2024-04")
    archive.museum.query("update review_hour set reviews = reviews + 1 where hour = '2024-01-31 12:00Z'")
    refused = archive.run("remove", "2024-04")
    assert (refused.exit_code, archive.border()) == (1, "-infinity")
    assert (
        "differ from the presses, by 1 reviews and 0 incidents. Run python load.py --rebuild-hours" in refused.last_line
    )
    archive.museum.run("load", "--rebuild-hours", *archive.museum.database_flags)
    assert archive.run("remove", "2024-04").exit_code == 0


def test_nobody_brings_a_review_behind_the_border(archive):
    archive.move("2024-04")
    kept, tally = archive.kept(), archive.tally()
    insert = "insert into review (exhibition_id, at, rating_id, source_id, position) values (1, '2024-01-20', 2, 1, 99)"
    for statement in (insert, "update review set at = '2024-01-20' where position = 9"):
        with pytest.raises(CheckViolation, match=r"reviews of before 2024-03-31 .* lie in the archive"):
            archive.museum.query(statement)
    assert (archive.kept(), archive.tally()) == (kept, tally)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_who_would_not_see_the_border_move_stores_nothing(archive, level):
    kept = archive.kept()
    insert = "insert into review (exhibition_id, at, rating_id, source_id, position) values (1, '2024-06-20', 2, 1, 99)"
    with pytest.raises(RaiseException, match=f"read committed transactions only; in a {level} one"):
        archive.museum.query(f"set transaction isolation level {level}; {insert}")
    assert archive.kept() == kept


@pytest.mark.parametrize(("killed", "next_run"), [("archive", "batch"), ("batch", "archive")])
def test_a_killed_run_is_told_by_whoever_has_its_lock_next(archive, killed, next_run):
    archive.museum.query(
        "insert into meta.ingestion_runs (run_id, source_system, entity_type, status) "
        "values (gen_random_uuid(), 'museum', %s, 'running')",
        (killed,),
    )
    result = archive.museum.push() if next_run == "batch" else archive.run("export", "2024-04")
    assert result.exit_code == 0
    assert archive.museum.query("select count(*) from meta.ingestion_runs where status = 'running'") == [(0,)]


def test_other_clocks_do_not_move_a_month_again(archive, monkeypatch):
    archive.museum.kiosk(2, "2024-04-01 02:30:00,0,2,")
    archive.museum.push()
    archive.move("2024-04")
    body = archive.rows("2024-03")
    monkeypatch.setenv("MUSEUM_TIMEZONE", "America/New_York")
    for arguments in (("export", "2024-05", "--replace"), ("remove", "2024-05")):
        refused = archive.run(*arguments)
        assert (refused.exit_code, "2024-03 was moved already, but by the clocks" in refused.last_line) == (2, True)
    assert archive.rows("2024-03") == body
    assert "it no longer has just these" in archive.museum.push().last_line
    assert archive.run("restore", "2000-01").exit_code == 0


def test_a_plain_file_knows_the_border_too(archive, tmp_path):
    archive.move("2024-04")
    path = tmp_path / "visits.csv"
    path.write_text(
        "at,site,val,type\n2024-01-05 10:00:00,0,3,\n2024-06-05 10:00:00,0,3,\n2024-01-05 10:00:00,0,-1,0\n"
    )
    flags = ("--data-dir", str(archive.museum.data_dir))
    result = archive.museum.run("load", "--kiosk-csv", str(path), *flags, *archive.museum.database_flags)
    assert (result.exit_code, result.load["rows_stored"], result.load["rejected_by_reason"]) == (3, 2, {"archived": 1})
    assert list(archive.museum.rejects().values()) == [(b"2024-01-05 10:00:00,0,3,", ["archived"])]


@pytest.mark.parametrize("harm", ["changed", "cut", "gone"])
def test_a_file_that_is_not_the_one_is_not_restored(archive, harm):
    archive.move("2024-02")
    body = archive.bucket.client.get_object(Bucket=archive.bucket.name, Key=archive.key("2024-01"))["Body"].read()
    if harm == "gone":
        archive.bucket.delete(archive.key("2024-01"))
    else:
        archive.bucket.put(archive.key("2024-01"), body.replace(b",4,", b",0,") if harm == "changed" else body[:-30])
    kept = archive.kept()
    refused = archive.run("restore", "2024-01")
    assert (refused.exit_code, archive.kept(), archive.border()) == (1, kept, "2024-02-01 00:00:00+00")
    assert "is not the file that 2024-01 was moved to" in refused.last_line
    archive.bucket.put(archive.key("2024-01"), body)
    assert archive.run("restore", "2024-01").exit_code == 0


def test_archive_and_pipeline_do_not_meet(archive):
    with closing(connect(archive.museum.database, "another")) as another, advisory_lock(another, "museum:batch"):
        assert archive.run("export", "2024-04").exit_code == 4


@pytest.mark.parametrize("is_killed", [False, True])
def test_the_border_waits_for_who_stores_by_it(archive, is_killed):
    """A consumer's transaction is under way; whatever it stores is seen before the border moves."""
    archive.run("export", "2024-04")
    with closing(connect(archive.museum.database, "consumer")) as another, another.cursor() as cursor:
        cursor.execute("select hold_border(false)")
        cursor.execute(
            "insert into review (exhibition_id, at, rating_id, source_id, position) values (1, '2024-01-20', 2, 1, 99)"
        )
        moving = archive.start("archive", "remove", "2024-04")
        wait_for_lock(archive.museum)
        if is_killed:
            moving.kill()
            another.rollback()
        else:
            another.commit()
        said = moving.communicate(timeout=60)[0]
    assert archive.border() == "-infinity"
    if is_killed:
        assert archive.run("remove", "2024-04").exit_code == 0
        runs = "select status from meta.ingestion_runs where entity_type = 'archive' order by started_at"
        assert [status for (status,) in archive.museum.query(runs)] == ["completed", "failed", "completed"]
    else:
        assert "does not hold what the database has of 2024-01" in said


def test_who_stores_waits_for_the_border(archive):
    """The border moves meanwhile; who waited for it judges by where it is then."""
    with closing(connect(archive.museum.database, "mover")) as mover, mover.cursor() as cursor:
        cursor.execute("select hold_border(true)")
        archive.museum.kiosk(2, "2024-01-20 10:00:00,0,2,")
        pushing = archive.start("pipeline", "--skip-extract", "--push")
        wait_for_lock(archive.museum)
        cursor.execute(
            "insert into archived_month (month, ends_at, object, sha256, reviews, run_id) "
            "values ('2024-04-01', '2024-05-01', 's3://b/k', '', 0, gen_random_uuid())"
        )
        mover.commit()
        pushing.communicate(timeout=60)
        assert pushing.returncode == 3
    assert [reasons for _raw, reasons in archive.museum.rejects().values()] == [["archived"]]
    archive.museum.query("delete from archived_month")


def wait_for_lock(museum: Museum) -> None:
    deadline = time.monotonic() + 30
    while not museum.query("select 1 from pg_locks where not granted and locktype = 'advisory'"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("action", ["export", "remove", "restore"])
def test_a_kill_at_a_boundary_leaves_each_review_on_one_side(archive, tmp_path, action):
    before = {"export": [], "remove": ["export"], "restore": ["export", "remove"]}[action]
    month = "2024-02" if action == "restore" else "2024-04"

    def prepare() -> None:
        wait_until_the_server_noticed(archive.museum)
        archive.run("restore", "2000-01")
        for key in archive.names():
            archive.bucket.delete(key)
        assert [archive.run(step, "2024-04").exit_code for step in before] == [0] * len(before)

    def drive(kill_at: str) -> int:
        driver = (str(PROJECT_DIR / "tests" / "killed_pipeline.py"), str(boundaries), kill_at, "1", "archive.py")
        driven = archive.start("archive", action, month, driver=driver)
        driven.communicate(timeout=60)
        return driven.returncode

    def state() -> tuple[object, ...]:
        bodies = [archive.rows(month) for month in archive.months()]
        return archive.kept(), archive.tally(), archive.border(), bodies

    boundaries = tmp_path / "boundaries"
    prepare()
    assert drive("never") == 0
    expected, names = state(), sorted(set(boundaries.read_text().splitlines()))
    assert len(names) > 10
    for name in seeded_random("archive kills").sample(names, BOUNDARY_KILLS) if BOUNDARY_KILLS else names:
        prepare()
        assert drive(name) == -9, name
        wait_until_the_server_noticed(archive.museum)
        assert miscounted_hours(archive.museum.database) == [], name
        assert archive.run(action, month).exit_code == 0, name
        assert state() == expected, name


def test_messages_of_archived_months(live, archive):
    old = [press(number, at=f"2026-01-0{number % 7 + 1}T10:00:00.{number:06}+00:00") for number in range(1, 30)]
    live.produce([old[0], b"bad", *old[1:], press(40, at="2026-02-03T10:00:00+00:00"), call(3, 1)], partition=0)
    assert live.consume().figures["live"]["stored"] == 31
    archive.move("2026-02")
    kept = archive.kept()
    assert len(kept) == 1
    live.produce(
        [press(50), call(4, 1, at="2026-01-04T10:00:00+00:00"), press(60, at="2026-02-04T10:00:00+00:00")], partition=0
    )
    late = live.consume().figures["live"]
    assert (late["stored"], late["rejected"]) == (2, 1)
    would = live.consume("--from-beginning", "--dry-run").figures["live"]
    assert (would["consumed"], would["stored"], would["already_there"], would["rejected_earlier"]) == (35, 0, 33, 2)
    again = live.consume("--from-beginning").figures["live"]
    assert (again["consumed"], again["stored"], again["already_there"], again["rejected_earlier"]) == (35, 0, 33, 2)
    assert archive.kept()[:1] == kept
    assert live.consume("--replay-rejects").figures["replay"]["still_rejected"] == 2
    archive.run("restore", "2026-01")
    assert live.consume("--replay-rejects").figures["replay"]["stored"] == 1
    assert len(archive.kept()) == 1 + 29 + 2
    assert miscounted_hours(live.museum.database) == []
    assert sum(row[3] for row in archive.tally()) == 8 + 32, "those of the files are in the archive still"


def test_a_file_s_bytes_are_the_same_each_time(archive):
    archive.run("export", "2024-04")
    body = archive.bucket.client.get_object(Bucket=archive.bucket.name, Key=archive.key("2024-01"))["Body"].read()
    archive.run("remove", "2024-04")
    assert archive.museum.query("select sha256 from archived_month where month = '2024-01-01'") == [
        (hashlib.sha256(body).hexdigest(),)
    ]
