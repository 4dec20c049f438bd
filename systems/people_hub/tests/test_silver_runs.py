"""Transforms as they are run: their order, what keeps whom back, kills, races, what is printed and drawn."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import closing

import pytest
from hub_case import Hub
from silver_case import Silver

from etlkit.postgres import connect
from etlkit.testing import full_count, seeded_random
from people_hub.scripts import all_scripts, transforms
from people_hub.silver import quality
from people_hub.silver.transformation import TransformationService
from people_hub.transform_silver_users_optimized import TRANSFORM as USERS

KILLS = full_count("kills of a transform", 4, 30)
VERY_MANY = full_count("people on the quality page", 30_000, 300_000)
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
RUNNING = "select 1 from meta.ingestion_runs where status = 'running'"


@pytest.fixture
def silver(hub):
    return Silver(hub)


def fill(silver, university, people=None):
    """Give bronze what the university's REST sources say, without a call."""
    silver.put("umich_api/department", *university.umapi_departments())
    silver.put("tdx/department", *university.tdx_accounts())
    silver.put("umich_api/user", *university.umapi_employees()[:people])
    silver.put("tdx/user", *university.tdx_people()[:people])


def test_whoever_is_needed_comes_first_whatever_the_alphabet_says(hub):
    names = [transform.table for transform in transforms()]
    assert names == ["departments", "users", "groups", "computers"]
    kinds = [script.kind for script in all_scripts()]
    assert kinds == sorted(kinds, key=["ingest", "enrich", "transform"].index)


def test_run_goes_from_the_sources_to_silver_and_what_fails_keeps_back_what_needs_it(hub, rest, university):
    only = [*(f"ingest_{name}" for name in ("tdx_departments", "tdx_users", "umapi_departments", "umapi_employees")),
            "departments", "users"]  # fmt: skip
    done = hub.run("run", "--only", *only)
    assert (done.exit_code, [stream["stream"] for stream in done.figures["streams"]]) == (
        3, ["tdx/department", "tdx/user", "umich_api/department", "umich_api/user", "silver/department", "silver/user"],
    )  # fmt: skip
    assert hub.query("select count(*) from silver.users") == [(university.people,)]
    rest.set_faults({"endpoint": "DeptData", "from": 1, "times": 99, "kind": "status", "status": 500})
    failed = hub.run("run", "--only", *only)
    ended = {stream["stream"]: stream for stream in failed.figures["streams"]}
    assert failed.exit_code == 1
    assert "kept back, since it needs what failed: ingest_umapi_departments" in ended["silver/department"]["error"]
    assert "kept back, since it needs what failed: transform_silver_departments" in ended["silver/user"]["error"]
    assert ended["umich_api/user"]["exit_code"] == 0
    rest.set_faults()
    assert hub.run("run", "--only", "nobody").exit_code == 2
    hub.unset("UM_CLIENT_KEY", "HUB_DATA_FOLDER")
    half = hub.run("run")
    ended = {stream["stream"]: stream for stream in half.figures["streams"]}
    assert half.exit_code == 2
    assert ended["silver/department"]["exit_code"] == 2
    assert ended["tdx/user"]["exit_code"] == 0


def test_silver_without_any_source_of_it_is_built_from_what_bronze_has(hub):
    for name in ("UM_BASE_URL", "UM_OAUTH_URL", "UM_CATEGORY_ID", "UM_CLIENT_KEY", "UM_CLIENT_SECRET", "TDX_BASE_URL",
                 "TDX_APP_ID", "TDX_BEID", "TDX_WEB_SERVICES_KEY", "HUB_DATA_FOLDER"):  # fmt: skip
        hub.unset(name)
    silver = Silver(hub)
    silver.put("tdx/user", {"UID": "u", "AlternateID": "ann1"})
    result = hub.run("run")
    assert result.exit_code == 0
    assert silver.person("ann1")["tdx_user_uid"] == "u"


def test_a_run_says_what_the_founding_document_says(silver, university):
    fill(silver, university, 60)
    dry = silver.transform("--dry-run", only=["departments"])
    assert "No previous transformation found - processing all records" in dry.text
    assert "[DRY RUN] Would upsert: " in dry.text
    silver.transform(only=["departments"])
    silver.hub.set(LOG_LEVEL="DEBUG")
    result = silver.transform(only=["users"])
    assert "Found 60 entities needing transformation" in result.text
    assert result.text.count("INFO - ⚠️ Quality issue detected: ") == 20
    assert result.text.count("⚠️ Quality issue detected: ") == 60
    assert "Quality Issues: 60 (" in result.text
    assert len(result.stream["quality_issues"]) == 60
    worst = result.stream["quality_issues"][0]
    assert set(worst) == {"entity_id", "score", "flags"}
    metadata = silver.hub.last_run()["metadata"]
    assert metadata["flags"]["missing_mcommunity_ldap_source"] == 60
    assert 0.7 < metadata["average_score"] < 0.9
    assert "Counted: " not in result.text
    again = silver.transform(only=["users"])
    assert "Last successful transformation: 2" in again.text
    assert "Found 0 entities needing transformation" in again.text
    assert "Found 0 entities needing transformation" in silver.transform(only=["departments"]).text
    assert "silver/user" in silver.hub.run("status").text


@pytest.mark.database
def test_a_changed_rule_builds_everything_anew_and_writes_what_differs(silver, university):
    fill(silver, university, 30)
    silver.transform()
    silver.hub.query("update meta.transform_state set rule_version = 1")
    silver.hub.query(
        "update silver.users set first_name = 'wrong', entity_hash = repeat('0', 64) where uniqname like 'a%%1'"
    )
    result = silver.transform(only=["users"])
    assert "full sync, since the rules have changed, of silver/user" in result.text
    assert silver.hub.query("select count(*) from silver.users where first_name = 'wrong'") == [(0,)]


@pytest.mark.database
def test_two_at_once_lose_nothing_and_the_second_is_told(silver, university):
    fill(silver, university)
    processes = [silver.hub.start("transform_silver_departments") for _ in range(4)]
    outputs = [process.communicate()[0] for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert set(codes) <= {0, 3, 4}
    assert codes.count(4) < 4
    assert all("is locked by people_hub silver/" in text for text, process in zip(outputs, processes, strict=True)
               if process.returncode == 4)  # fmt: skip
    tables = silver.tables()
    silver.transform()
    assert silver.tables()["departments"] == tables["departments"]


@pytest.mark.database
@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_an_ingest_that_commits_beside_a_transform_is_not_lost(silver, university, monkeypatch, moment):
    """Beside the snapshot, and with clocks turned back: versions are compared, no times."""
    fill(silver, university, 20)
    silver.transform()
    changed = [{**person, "Title": "raced"} for person in university.tdx_people()[:20]]
    original, done = TransformationService._run_step, []

    def step(service, cursor, name, parameters):
        rows = original(service, cursor, name, parameters)
        if name == "stage_stale_head" and service.transform is USERS and not done:
            done.append(1)
            silver.put("tdx/user", *changed)
            silver.hub.query("alter table bronze.raw_entities disable trigger raw_entities_only_grow")
            silver.hub.query("update bronze.raw_entities set ingested_at = '2001-01-01'")
        return rows

    if moment == "before":
        silver.put("tdx/user", *changed)
    if moment == "during":
        monkeypatch.setattr(TransformationService, "_run_step", step)
    silver.transform()
    if moment == "after":
        silver.put("tdx/user", *changed)
    silver.transform()
    titles = silver.hub.query("select count(*) from silver.tdx_users where title = 'raced'")
    assert titles == [(20,)]
    tables = silver.tables()
    assert silver.rebuilt() == tables


@pytest.mark.database
def test_a_reader_inside_a_transaction_is_not_held_up_and_sees_one_state(silver, university):
    fill(silver, university, 60)
    silver.transform()
    with closing(connect(silver.hub.database, "reader")) as reader, reader.cursor() as cursor:
        cursor.execute("set lock_timeout = '2s'")
        cursor.execute("select count(*) from silver.users")
        silver.put("tdx/user", *({**person, "Title": "new"} for person in university.tdx_people()[:60]))
        result = silver.transform("--full-sync")  # with the reader's transaction open
        assert result.exit_code in (0, 3)
        cursor.execute("select count(*) from silver.users")
        assert cursor.fetchone() == (60,)
    assert silver.hub.query("select count(*) from silver.tdx_users where title = 'new'") == [(60,)]


@pytest.mark.database
def test_whoever_may_read_silver_reads_every_view(silver, university):
    fill(silver, university, 10)
    silver.transform()
    hub = silver.hub
    views = [view for (view,) in hub.query("select viewname from pg_views where schemaname = 'silver'")]
    role = f"reader_{hub.database.db_name}"
    for statement in (
        f"create role {role}",
        f"grant usage on schema silver, bronze to {role}",
        f"grant select on all tables in schema silver to {role}",
        f"grant select on bronze.entity_activity to {role}",
        f"grant execute on all functions in schema silver to {role}",
    ):
        hub.query(statement)
    try:
        for view in views:
            hub.query(f"set role {role}; select count(*) from silver.{view}")
        assert len(views) >= 9
    finally:
        hub.query(f"drop owned by {role}")
        hub.query(f"drop role {role}")


@pytest.mark.soak
def test_any_kill_is_made_good_by_one_run(silver, university, databases, schema_files):
    rng = seeded_random("kills of a transform")
    hub, killed = silver.hub, 0
    with databases.fresh(schema_files) as made:
        other = Silver(Hub(made, hub.folder, hub._monkeypatch, hub._capsys))
        for one in (other, silver):
            hub.set(DATABASE_URL=one.hub.url)
            fill(one, university)
            one.transform()
        for kill in range(KILLS):
            people = university.tdx_people()
            for person in rng.sample(people, 60):
                person |= {"Title": f"{kill}", "AlternateID": rng.choice([person["AlternateID"], f"moved{kill}"])}
            for one in (silver, other):
                one.put("tdx/user", *people)
            hub.set(DATABASE_URL=hub.url)
            process = hub.start("transform_silver_users_optimized")
            while process.poll() is None and not hub.query(RUNNING):
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.06))
            process.kill()
            process.communicate()
            for _attempt in range(400):
                if not hub.query("select 1 from pg_stat_activity where application_name like 'people_hub%%'"):
                    break
                time.sleep(0.02)
            killed += len(hub.query(RUNNING))
            assert silver.transform().exit_code in (0, 3)
            assert hub.query(RUNNING) == []
            hub.set(DATABASE_URL=other.hub.url)
            other.transform()
            assert silver.tables() == other.tables()
            hub.set(DATABASE_URL=hub.url)
    assert killed >= KILLS // 4


@pytest.mark.database
def test_every_field_is_explained_by_the_source_that_won(silver, university):
    """What explain says has won is what silver holds, for every record of the sample."""
    silver.hub.set(HUB_MAIL_DOMAIN="umich.edu")
    fill(silver, university, 40)
    silver.put("tdx/asset", *university.tdx_assets()[:10])
    silver.put("key_client/computer", *university.keyconfigure_rows()[:12])
    silver.put("active_directory/group", {"objectGUID": "g", "dn": "CN=G,DC=x", "description": "d", "mail": "g@x.org"})
    silver.transform()
    for transform in transforms():
        for (key,) in silver.hub.query(f"select {KEY_OF[transform.table]} from silver.{transform.table}"):
            result = silver.hub.run("explain", transform.table, key)
            assert result.exit_code == 0, result.text
            (found,) = result.figures["streams"]
            for field in found["fields"]:
                first = next((one for one in quality._pairs(field["said"]) if one[1] is not None), (None, None))
                if field["field"] not in COUNTED:
                    assert (field["silver"] or None) in (first[1], "[]", "{}"), (key, field)
                    assert field["from"] in (first[0], None)
            assert f"{1 - sum(map(float, found['flags'].values())):.2f}" == f"{float(found['score']):.2f}"
    common = {"data_quality_score", "quality_flags", "entity_hash", "created_at", "updated_at", "ingestion_run_id"}
    for transform in transforms():
        (row, *_) = silver.rows(f"silver.{transform.table}")
        (found,) = silver.hub.run("explain", transform.table, row[KEY_OF[transform.table]]).figures["streams"]
        told = {field["field"] for field in found["fields"]}
        assert row.keys() - common - told - {KEY_OF[transform.table], "source_system"} == set()
    assert silver.hub.run("explain", "users", "nobody1").exit_code == 2
    assert silver.hub.run("explain", "people", "x").exit_code == 2


KEY_OF = {"departments": "dept_id", "users": "uniqname", "groups": "group_id", "computers": "computer_uid"}
COUNTED = {"is_active", "is_employee", "members", "parent_dept_id", "malformed e-mail", "location_info"}
"""Fields that are more than the first value: a truth of several, a count, a number that is mapped."""


def test_a_person_is_explained_in_words(silver, university):
    fill(silver, university, 30)
    silver.transform()
    text = silver.hub.run("explain", "users", " ua0020 ").text
    assert "missing_mcommunity_ldap_source           -0.10" in text
    assert "score: 1.00 - 0.10 - 0.10" in text
    assert "Given20 <-" in text


def browse(path):
    """Open a page in Chromium; return its text and what its console said, on a wide and a narrow screen."""
    from playwright.sync_api import sync_playwright

    said, texts = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for width in (1200, 390):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("console", lambda message: said.append(message.text))
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            texts.append(page.inner_text("body"))
        browser.close()
    assert said == []
    return texts[0]


@pytest.mark.soak
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_quality_page_with_nobody_one_and_very_many(silver, tmp_path):
    path = tmp_path / "quality.html"
    assert "silver is empty" in silver.hub.run("quality", "--export", str(path)).text
    assert "Silver is empty" in browse(path)
    silver.put("tdx/user", {"UID": "u", "AlternateID": "one1", "PrimaryEmail": "<script>alert(1)</script>"})
    silver.put("active_directory/group", {"objectGUID": "g", "dn": "CN=<img src=x onerror=alert(1)>,DC=x"})
    silver.transform()
    result = silver.hub.run("quality", "--export", str(path))
    assert "no living record comes from umich_api of users" in result.text
    text = browse(path)
    assert "one1" in text
    assert "No living record comes from mcommunity_ldap of users." in text
    assert "<img src=x onerror=alert(1)>" in text  # as text
    silver.hub.query(
        "insert into silver.users select (jsonb_populate_record(u, jsonb_build_object('uniqname', 'p' || n))).* "
        f"from silver.users u, generate_series(1, {VERY_MANY}) n where u.uniqname = 'one1'"
    )
    result = silver.hub.run("quality", "--export", str(path))
    assert path.stat().st_size <= 1_000_000
    assert f"{VERY_MANY + 1:,}" in browse(path)
    assert list(tmp_path.glob("*.part")) == []
    (tmp_path / "link.html").symlink_to(path)
    assert silver.hub.run("quality", "--export", str(tmp_path / "link.html")).exit_code == 0
    assert (tmp_path / "link.html").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    for name in ("nowhere/q.html", "quality.html/q.html", ".", "pipe", "x" * 300):
        refused = silver.hub.run("quality", "--export", str(tmp_path / name))
        assert (refused.exit_code, "can" in refused.text) == (1, True), refused.text
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.database
def test_quality_of_good_records_names_no_flag(silver, tmp_path):
    silver.hub.query(
        "insert into silver.departments (dept_id, is_active, source_system, data_quality_score, quality_flags, "
        "entity_hash, ingestion_run_id) values ('1', true, 'tdx+umich_api', 1, '[]', '', gen_random_uuid())"
    )
    path = tmp_path / "quality.html"
    result = silver.hub.run("quality", "--export", str(path))
    assert result.exit_code == 0
    assert "No record has a flag." in path.read_text()


def test_a_script_runs_by_its_path_and_by_the_notebook_class(silver, university):
    fill(silver, university, 10)
    for script in (one.name for one in all_scripts() if one.kind == "transform"):
        process = silver.hub.start(script, "--json")
        text, _ = process.communicate()
        assert process.returncode == (3 if "users" in script else 0), text
    with closing(TransformationService(silver.hub.url, USERS, dry_run=True)) as service:
        results = service.run_main_process()
    assert (results["dry_run"], results["records_processed"], results["quality_issues"]) == (True, 0, [])
    with closing(TransformationService(silver.hub.url, USERS)) as service:
        run_id = service.create_ingestion_run("silver_transformation", "user")
        service.complete_ingestion_run(run_id, 3, 2, 1)
        assert silver.hub.last_run()["records_created"] == 2
