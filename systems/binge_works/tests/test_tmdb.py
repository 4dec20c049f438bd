"""TMDB as it may answer: what is tried again, what ends a list at once, and that the key is in no text."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from works_case import movie, person, show

from binge_works.binge_settings import TmdbSettings
from binge_works.sample_tmdb import server
from binge_works.tmdb import CONNECTIONS, Tmdb
from etlkit.errors import SourceError

DAY = "2026-01-24"
LIST = "/tv/popular"
ONCE = [
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"status": 429},
    {"status": 500, "times": 2},
    {"status": 502},
    {"status": 503, "headers": {"Retry-After": "soon"}},
    {"status": 504, "body": {"status_code": 24, "status_message": "timed out"}},
    {"reset": True},
    {"cut": True},
    {"delay": 2.0},
]
AT_ONCE = [
    ({"status": 401, "body": {"status_code": 7, "status_message": "Invalid API key"}}, "Check TMDB_API_KEY"),
    ({"status": 403}, "answers 403"),
    ({"status": 404, "body": {"status_code": 34, "status_message": "not found"}}, "answers 404: not found"),
    ({"status": 400, "body": {"status_code": 22, "status_message": "Invalid page"}}, "answers 400: Invalid page"),
    ({"status": 301, "headers": {"Location": "http://127.0.0.1:1/elsewhere"}}, "answers 301"),
    ({"text": "<html>busy</html>"}, "is no JSON"),
    ({"text": ""}, "is no JSON"),
    ({"text": '{"page": 1, "results": [NaN], "total_pages": 1}'}, "is no JSON"),
    ({"text": "[" * 100_000}, "is no JSON"),
    ({"body": []}, "has no results"),
    ({"body": {"page": 1, "results": {"id": 1}, "total_pages": 3}}, "has no results"),
    ({"body": {"page": 2, "results": [{}], "total_pages": 3}}, "says page 2 of 3, expected 1"),
    ({"body": {"page": 1, "results": [{}], "total_pages": "3"}}, "says page 1 of '3'"),
    ({"body": {"page": 1, "results": [], "total_pages": 3}}, "/tv/popular is empty"),
    ({"body": {"page": 1, "results": [{}], "total_pages": 0}}, "says that there are 0 pages"),
    ({"body": {"page": 1, "results": [{}], "total_pages": -1}}, "says that there are -1 pages"),
]


@pytest.fixture
def shows(works):
    rows = [show(number) for number in range(1, 101)]
    works.tmdb.set_lists(tv=rows)
    return rows


def asked(works, page=1):
    return [call for call in works.tmdb.calls() if (call["path"], call["page"]) == (LIST, page)]


@pytest.mark.parametrize("page", [1, 4])
@pytest.mark.parametrize("fault", ONCE, ids=str)
def test_what_passes_is_tried_again(works, shows, fault, page):
    works.set(TMDB_TIMEOUT_SECONDS="1")
    works.tmdb.set_faults({"path": LIST, "page": page, **fault})
    result = works.load("shows", DAY)
    assert result.exit_code == 0, result.text
    assert works.count("tmdb_data.dim_popular_shows") == len(shows)
    assert len(asked(works, page)) == 1 + fault.get("times", 1)


@pytest.mark.parametrize(("fault", "told"), AT_ONCE, ids=lambda value: str(value)[:60])
def test_what_does_not_pass_ends_the_list_at_once(works, shows, fault, told):
    works.load("shows", DAY)
    before = works.tables()
    works.tmdb.calls(forget=True)
    works.tmdb.set_faults({"path": LIST, "page": 1, "times": 99, **fault})
    result = works.load("shows", "2026-01-25")
    assert (result.exit_code, len(asked(works))) == (1, 1)
    assert told in result.text, result.text
    assert "othing was loaded" in result.text
    assert "tmdb_data.dim_popular_shows stays as of 2026-01-24." in result.text
    assert works.tables() == before


@pytest.mark.parametrize("fault", [{"status": 503}, {"reset": True}, {"cut": True}], ids=str)
def test_a_page_that_fails_for_good_ends_the_list_after_six_tries(works, shows, fault):
    works.load("shows", DAY)
    before = works.tables()
    works.tmdb.calls(forget=True)
    works.tmdb.set_faults({"path": LIST, "page": 3, "times": 99, **fault})
    result = works.load("shows", "2026-01-25")
    assert (result.exit_code, len(asked(works, 3))) == (1, 6)
    assert "/tv/popular page 3" in result.text
    assert works.tables() == before
    assert not (works.raw_dir / "2026-01-25" / "shows.jsonl.gz").exists()
    assert list((works.raw_dir / "2026-01-25").iterdir()) == []
    works.tmdb.set_faults()
    assert works.load("shows", "2026-01-25").exit_code == 0


def test_a_page_that_comes_a_byte_at_a_time_is_given_up(works, shows, monkeypatch):
    monkeypatch.setattr("binge_works.tmdb.SLOWEST_PAGE_SECONDS", 1)
    works.tmdb.set_faults({"path": LIST, "page": 2, "drip": 0.1})
    result = works.load("shows", DAY)
    assert result.exit_code == 0, result.text
    assert "has not arrived after 1 s" in result.text


def test_a_number_too_long_for_python_costs_its_own_item_alone(works, shows):
    text = json.dumps({"page": 1, "results": [*shows[:19], show(900, vote_count=0)], "total_pages": 1})
    works.tmdb.set_faults(
        {"path": LIST, "page": 1, "text": text.replace('"vote_count": 0', f'"vote_count": {"9" * 5000}')}
    )
    result = works.load("shows", DAY)
    assert (result.exit_code, works.rejects()) == (3, {"900": ["bad_vote_count"]})


def test_whatever_ends_one_list_the_others_are_tried(works, shows, tmp_path):
    (tmp_path / "file").write_text("no folder")
    works.set(BINGE_RAW_DIR=str(tmp_path / "file"))
    result = works.run("run", "--as-of", DAY)
    assert result.exit_code == 1
    assert [found["list"] for found in result.figures["lists"]] == ["shows", "people", "movies"]
    assert all("Not a directory" in found["error"] for found in result.figures["lists"])
    runs = {found["run_id"] for found in result.figures["lists"]}
    assert len(runs) == 3
    assert all(run in result.text.splitlines()[-1] for run in runs)


def test_a_list_that_fails_does_not_keep_the_others_back(works, shows):
    works.tmdb.set_lists(movie=[movie(1)], person=[person(1)])
    works.tmdb.set_faults({"path": LIST, "page": 2, "status": 404, "times": 9})
    result = works.run("run", "--as-of", DAY)
    assert [found["exit_code"] for found in result.figures["lists"]] == [1, 0, 0]
    assert result.exit_code == 1
    assert "people, movies loaded as of 2026-01-24; failed: shows." in result.text
    assert works.count("tmdb_data.popular_movies") == works.count("tmdb_data.dim_popular_people") == 1


def test_an_empty_page_in_the_middle_is_no_whole_list(works, shows):
    works.tmdb.set_faults({"path": LIST, "page": 3, "body": {"page": 3, "results": [], "total_pages": 5}})
    result = works.load("shows", DAY)
    assert result.exit_code == 1
    assert "page 3 of /tv/popular is empty, 5 pages were promised" in result.text


def test_a_list_that_became_shorter_while_it_was_read_is_whole(works, shows):
    works.tmdb.set_faults({"path": LIST, "page": 5, "body": {"page": 5, "results": [], "total_pages": 4}})
    result = works.load("shows", DAY)
    assert (result.exit_code, result.list["items_in"]) == (0, 80)


def test_page_501_is_never_asked_for(works):
    rows = [show(number) for number in range(1, 10_021)]
    works.tmdb.set_lists(tv=rows)
    works.tmdb.set_faults({"path": LIST, "page": 1, "body": {"page": 1, "results": rows[:20], "total_pages": 45_396}})
    assert works.load("shows", DAY).list["staged"] == 10_000
    assert sorted(call["page"] for call in works.tmdb.calls()) == list(range(1, 501))


def test_no_more_pages_than_wanted_and_in_the_wanted_language(works, shows):
    works.set(TMDB_MAX_PAGES="2", TMDB_LANGUAGE="de-DE")
    assert works.load("shows", DAY).list["items_in"] == 40
    calls = works.tmdb.calls()
    assert sorted(call["page"] for call in calls) == [1, 2]
    assert {call["language"][0] for call in calls} == {"de-DE"}


def test_the_limits_of_calls_are_kept(works):
    works.tmdb.set_lists(tv=[show(number) for number in range(1, 1201)])
    works.tmdb.set_faults({"delay": 0.15, "times": 999})
    works.set(TMDB_CALLS_PER_SECOND="20")
    assert works.load("shows", DAY).exit_code == 0
    moments = sorted(call["at"] for call in works.tmdb.calls())
    in_a_second = max(sum(moment <= other < moment + 1 for other in moments) for moment in moments)
    assert len(moments) == 60
    assert in_a_second <= 21  # as the other side sees them, one may come a moment late and the next in time
    assert moments[-1] - moments[0] >= 59 / 20 - 0.1
    assert works.tmdb.most_at_work() <= CONNECTIONS


def test_a_date_of_retry_after_counts_on_tmdb_s_own_clock(works, shows):
    far = datetime(2031, 1, 1, tzinfo=UTC)
    headers = {
        "Date": format_datetime(far, usegmt=True),
        "Retry-After": format_datetime(far + timedelta(seconds=2), True),
    }
    works.tmdb.set_faults({"path": LIST, "page": 1, "status": 429, "headers": headers})
    assert works.load("shows", DAY).exit_code == 0
    first, second = (call["at"] for call in asked(works))
    assert 1.9 < second - first < 10


@pytest.mark.parametrize("key", [server.TOKEN, server.API_KEY], ids=["token", "api key"])
def test_both_kinds_of_key_are_taken(works, shows, key):
    works.set(TMDB_API_KEY=key)
    assert works.load("shows", DAY).exit_code == 0


@pytest.mark.parametrize("key", ["a-wrong-api-key-0123456789", "wrongeyJ.tokenXXXX.signature"])
@pytest.mark.parametrize(
    "fault",
    [
        {}, {"reset": True, "times": 99}, {"status": 503, "times": 99}, {"text": "{", "times": 9},
        {"text": "KEY?", "times": 9}, {"text": "x" * 50 + " KEY?", "times": 9},
        {"status": 403, "body": {"status_message": "what is KEY?"}, "times": 9},
        {"status": 403, "body": {"status_message": "x" * 190 + " KEY?"}, "times": 9},
        {"body": {"page": "KEY", "results": [{}], "total_pages": 1}, "times": 9},
        {"status": 302, "headers": {"Location": "http://127.0.0.1:1/?api_key=KEY"}, "times": 9},
    ],
    ids=str,
)  # fmt: skip
def test_no_text_holds_the_key(works, shows, caplog, key, fault):
    works.set(TMDB_API_KEY=key)
    if fault:
        works.tmdb.set_faults(json.loads(json.dumps(fault).replace("KEY", key)))
    caplog.set_level(logging.DEBUG)
    result = works.load("shows", DAY, None, "--log-level", "DEBUG")
    assert result.exit_code == 1
    shown = [result.text, str(result.figures), works.log_file.read_text(encoding="utf-8"), caplog.text]
    shown += [str(works.query("select * from meta.ingestion_runs"))]
    assert [text for text in shown if key in text or key[:8] in text] == []
    with Tmdb(TmdbSettings(tmdb_api_key=key, tmdb_base_url=works.tmdb.url, tmdb_backoff_seconds=0)) as client:
        with pytest.raises(SourceError) as caught:
            next(client.pages(LIST))
        error = caught.value
        while error:
            assert key not in f"{error} {error.args}"
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_netrc_and_proxies_of_the_user_are_not_asked(works, shows, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert works.load("shows", DAY).exit_code == 0


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("TMDB_BASE_URL", "http://tmdb.example", "expected an https address"),
        ("TMDB_BASE_URL", "https://user:word@tmdb.example", "expected an https address"),
        ("TMDB_BASE_URL", "https://tmdb.example/3?api_key=x", "expected an https address"),
        ("TMDB_BASE_URL", "https://tmdb.example/3?api_key=word@", "expected an https address"),
        ("TMDB_API_KEY", "two words", "TMDB_API_KEY"),
        ("TMDB_MAX_PAGES", "501", "a number from 1 to 500"),
        ("TMDB_CALLS_PER_SECOND", "1000", "a number from 1 to 50"),
        ("BINGE_RAW_DAYS", "0", "a number of days"),
        ("BINGE_TRACK_METRICS", "perhaps", "expected true or false"),
    ],
)
def test_a_wrong_setting_is_named(works, name, value, told):
    works.set(**{name: value})
    result = works.load("shows", DAY)
    assert result.exit_code == 2
    assert name in result.text
    assert told in result.text
    assert "word@" not in result.text
    assert works.tmdb.calls() == []


def test_a_signal_does_not_wait_for_a_page_that_hangs(works, shows):
    works.tmdb.set_faults({"path": LIST, "page": 2, "delay": 30, "times": 9})
    process = works.start("run", "--only", "shows", "--as-of", DAY)
    while not asked(works, 2):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    began = time.monotonic()
    process.terminate()
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 143, out
    assert time.monotonic() - began < 10
    assert works.query("select status, error_message from meta.ingestion_runs") == [("failed", "stopped by SIGTERM")]


@pytest.mark.full
def test_memory_does_not_grow_with_the_pages(works):
    used = {}
    for pages in (100, 500):
        works.tmdb.set_lists(tv=[show(number, overview="x" * 500) for number in range(1, pages * 20 + 1)])
        command = [sys.executable, "-c", MEASURED, "run", "--only", "shows", "--as-of", DAY, "--accept-shrink"]
        done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=True)
        used[pages] = int(done.stdout.splitlines()[-1])
        assert works.count("staging.shows") == pages * 20
    assert used[500] < 1.25 * used[100], used


MEASURED = (
    "import re, sys; from pathlib import Path; from binge_works.__main__ import main; assert main(sys.argv[1:]) == 0; "
    "print(re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1])"
)
