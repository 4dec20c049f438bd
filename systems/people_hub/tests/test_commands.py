"""The program's commands, their settings and what they say; and the founding document's names."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hub_case import PACKAGE, Hub

import people_hub
from etlkit.errors import ConfigError, LoadError
from people_hub.__main__ import main
from people_hub.hub_settings import PROJECT_DIR, read_database_url
from people_hub.postgres_adapter import PostgresAdapter
from people_hub.scripts import all_scripts

SCRIPTS = {
    "ingest_umapi_departments", "ingest_umapi_employees", "ingest_mcommunity_users", "ingest_mcommunity_groups",
    "ingest_ad_users", "ingest_ad_groups", "ingest_ad_computers", "ingest_tdx_departments", "ingest_tdx_users",
    "ingest_tdx_assets", "ingest_keyconfigure_computers", "enrich_tdx_accounts", "enrich_tdx_users",
    "enrich_tdx_assets",
}  # fmt: skip


def test_every_script_is_there_and_runs_by_its_path_from_anywhere(tmp_path):
    assert {script.name for script in all_scripts()} >= SCRIPTS
    for name in sorted(SCRIPTS):
        path = PACKAGE / f"{name}.py"
        assert os.access(path, os.X_OK)
        done = subprocess.run(
            [sys.executable, str(path), "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "--full-sync" in done.stdout
        assert "exit codes:" in done.stdout


def test_importing_the_hub_writes_nothing(tmp_path):
    code = "import people_hub.__main__; from people_hub.scripts import all_scripts; all_scripts()"
    before = sorted(path for path in PROJECT_DIR.iterdir() if path.name != "tests")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert sorted(path for path in PROJECT_DIR.iterdir() if path.name != "tests") == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.database
def test_init_makes_the_schemas_and_may_be_repeated(postgres, empty_database, tmp_path, monkeypatch, capsys):
    hub = Hub(empty_database, tmp_path, monkeypatch, capsys)
    hub.set(
        UM_BASE_URL="http://127.0.0.1:9", UM_OAUTH_URL="http://127.0.0.1:9", UM_CLIENT_KEY="x", UM_CLIENT_SECRET="x"
    )
    result = hub.ingest("umapi_departments")
    assert "Run once: python -m people_hub init" in result.stream["error"]
    assert result.exit_code == 2
    for _time in range(2):
        assert hub.run("init").exit_code == 0
    assert hub.query("select version from meta.schema_version where system = 'people_hub'") == [(3,)]
    schemas = hub.query("select nspname from pg_namespace where nspname in ('meta', 'bronze', 'silver') order by 1")
    assert [name for (name,) in schemas] == ["bronze", "meta", "silver"]
    hub.query("update meta.schema_version set version = 9")
    assert "newer schema 9" in hub.run("init").text


@pytest.mark.database
def test_check_tells_everything_in_one_list(hub, rest, mcommunity):
    (hub.folder / "exports").mkdir()
    hub.set(AD_SERVER="127.0.0.1", AD_PORT="1", AD_SEARCH_BASE="x", AD_USER="x", AD_PASSWORD="a-secret-word")
    names = sorted({name.removeprefix("ingest_") for name in SCRIPTS if name.startswith("ingest_")})
    result = hub.run("check", "--only", *names)
    assert result.exit_code == 1
    found = {entry["what"].split(",")[0]: entry for entry in result.figures["streams"]}
    assert found["database"]["is_good"]
    assert found["ingest_mcommunity_groups"]["is_good"]
    assert found["ingest_umapi_departments"]["is_good"]
    assert "45 active departments" in found["ingest_tdx_assets"]["found"]
    assert "does not answer" in found["ingest_ad_computers"]["found"]
    assert "holds no file" in found["ingest_keyconfigure_computers"]["found"]
    assert "a-secret-word" not in result.text
    assert hub.query("select count(*) from meta.ingestion_runs") == [(0,)]


def test_check_names_every_missing_setting_at_once(hub):
    hub.unset("UM_CLIENT_KEY", "UM_CLIENT_SECRET", "HUB_DATA_FOLDER")
    hub.set(TDX_APP_ID="x")
    result = hub.run("check")
    assert result.exit_code == 2
    for name in (
        "UM_CLIENT_KEY, UM_CLIENT_SECRET",
        "HUB_DATA_FOLDER",
        "MCOMMUNITY_LDAP_SERVER",
        "AD_SERVER",
        "TDX_APP_ID",
    ):
        assert name in result.text
    hub.unset("DATABASE_URL")
    result = hub.run("check")
    assert result.exit_code == 2
    for name in ("DATABASE_URL", "UM_CLIENT_KEY", "MCOMMUNITY_LDAP_SERVER", "AD_SERVER"):
        assert name in result.figures["error"]


def test_a_run_names_every_missing_setting_and_touches_nothing(hub):
    hub.unset("UM_CLIENT_KEY", "UM_CLIENT_SECRET", "DATABASE_URL")
    result = hub.ingest("umapi_departments")
    assert result.exit_code == 2
    for name in ("UM_CLIENT_KEY", "UM_CLIENT_SECRET", "DATABASE_URL"):
        assert name in result.figures["error"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"BATCH_SIZE": "many"}, "BATCH_SIZE"),
        ({"BATCH_SIZE": "0"}, "BATCH_SIZE"),
        ({"MAX_RECORDS": "-1"}, "MAX_RECORDS"),
        ({"DETAIL_MAX_AGE_DAYS": "inf"}, "DETAIL_MAX_AGE_DAYS"),
        ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
        ({"DATABASE_URL": "mysql://a:b@c/d"}, "DATABASE_URL names mysql"),
        ({"DATABASE_URL": "postgresql://a:secret-word@/d"}, "it lacks a host"),
        ({"DATABASE_URL": "postgresql://a:secret-word@h/d?sslcert=x"}, "sslcert"),
        ({"DATABASE_URL": "no url"}, "DATABASE_URL cannot be read"),
        ({"DATABASE_URL": "postgresql://a:secret-word@h/d?sslmode=maybe"}, "sslmode"),
    ],
)
def test_a_wrong_setting_is_told_without_a_secret(hub, settings, said):
    hub.set(**settings)
    result = hub.ingest("umapi_departments")
    assert result.exit_code == 2
    assert said in result.figures["error"]
    assert "secret-word" not in result.text + str(result.figures)


def test_a_database_far_away_is_spoken_to_by_tls():
    assert read_database_url("postgresql://a:b@db.example.edu/hub").sslmode == "require"
    assert read_database_url("postgresql://a:b@127.0.0.1/hub").sslmode == "prefer"
    assert read_database_url("postgresql://a:b@db.example.edu/hub?sslmode=verify-full").sslmode == "verify-full"
    sure = read_database_url("postgresql://a:b@db.example.edu/hub?sslrootcert=/etc/ssl/authority.pem")
    assert (sure.sslmode, sure.db_sslrootcert) == ("verify-full", Path("/etc/ssl/authority.pem"))
    socket = read_database_url("postgresql://a@/hub?host=/var/run/postgresql")
    assert (socket.db_host, socket.db_port) == ("/var/run/postgresql", 5432)
    odd = read_database_url("postgresql://a:p%40ss%2Fword@127.0.0.1:5433/hub")
    assert (odd.db_password.get_secret_value(), odd.db_port) == ("p@ss/word", 5433)


def test_settings_that_everybody_reads_are_warned_of_once(hub, tmp_path, monkeypatch):
    env_file = tmp_path / ".env"
    env_file.write_text("BATCH_SIZE=500\n")
    env_file.chmod(0o644)
    for module in ("hub_settings", "script"):
        monkeypatch.setattr(f"people_hub.{module}.ENV_FILE", env_file)
    assert hub.run("status").text.count(f"chmod 600 {env_file}") == 1
    env_file.chmod(0o600)
    assert "chmod" not in hub.run("status").text


def test_secrets_may_stand_in_files(hub, tmp_path, rest, university):
    hub.unset("UM_CLIENT_SECRET", "TDX_WEB_SERVICES_KEY")
    secret = tmp_path / "secret"
    secret.write_text(f"{rest.environment()['UM_CLIENT_SECRET']}\n")
    hub.set(UM_CLIENT_SECRET_FILE=str(secret))
    assert hub.ingest("umapi_departments").counts[0] == university.departments
    hub.set(UM_CLIENT_SECRET_FILE=str(tmp_path / "missing"))
    result = hub.ingest("umapi_departments")
    assert (result.exit_code, "UM_CLIENT_SECRET_FILE" in result.figures["error"]) == (2, True)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "TDX_WEB_SERVICES_KEY").write_text(rest.environment()["TDX_WEB_SERVICES_KEY"])
    (credentials / "DATABASE_URL").write_text("postgresql://nobody:x@127.0.0.1:9/none")  # the environment is nearer
    hub.set(CREDENTIALS_DIRECTORY=str(credentials))
    assert hub.ingest("tdx_departments").exit_code == 0


def test_a_name_that_is_no_script_is_told_with_those_that_are(hub):
    result = hub.ingest("umapi_people")
    assert result.exit_code == 2
    assert "umapi_people; there are: ad_computers" in result.figures["error"]


@pytest.mark.database
def test_status_shows_every_stream_and_what_became_of_it(hub, rest):
    assert "no runs yet" in hub.run("status").text
    hub.ingest("umapi_departments")
    rest.set_faults({"endpoint": "accounts", "from": 1, "kind": "page"})
    hub.ingest("tdx_departments")
    result = hub.run("status")
    rows = {row["stream"]: row for row in result.figures["streams"]}
    assert rows["umich_api/department"]["status"] == "completed"
    assert (rows["umich_api/department"]["records"], rows["umich_api/department"]["open_rejects"]) == (45, 0)
    assert rows["tdx/department"]["status"] == "failed"
    assert "sent no list" in rows["tdx/department"]["error_message"]
    assert "never run: active_directory/computer" in result.text


@pytest.mark.database
def test_history_shows_every_version_and_what_it_changed(hub, rest, university):
    rows = university.umapi_departments()
    key = rows[1]["DeptId"]
    hub.ingest("umapi_departments")
    rows[1]["DeptDescription"] = "renamed"
    rest.set_data(departments=rows)
    hub.ingest("umapi_departments")
    rest.set_data(departments=[rows[0], *rows[2:]])
    hub.ingest("umapi_departments")
    rest.set_data(departments=rows)
    hub.ingest("umapi_departments")
    result = hub.run("history", "umapi_departments", key)
    marks = [line.split(" (")[0][24:] for line in result.text.splitlines() if "(version" in line]
    assert marks == ["🆕 came back", "⏭️ deleted", "📝 changed", "🆕 first"]
    changes = [line for line in result.text.splitlines() if "->" in line]
    assert len(changes) == 1 + sum(value is not None for value in rows[1].values())
    assert hub.run("history", "umich_api/department", "nobody").exit_code == 2
    assert hub.run("history", "nothing", "x").exit_code == 2


@pytest.mark.database
def test_a_filled_database_of_version_1_is_brought_up(hub, university):
    hub.ingest("umapi_departments")
    before = hub.bronze()
    hub.query("drop schema silver cascade")  # version 1 had it empty
    hub.query("drop table bronze.held_back, bronze.entity_activity")
    hub.query("create schema silver")
    hub.query("update meta.schema_version set version = 1 where system = 'people_hub'")
    refused = hub.ingest("umapi_departments")
    assert refused.exit_code == 2
    assert "has version 1 of the people_hub schema, this program needs 3" in refused.text
    assert hub.run("init").exit_code == 0
    assert hub.ingest("umapi_departments").exit_code == 0
    assert hub.bronze() == before
    assert hub.run("transform").exit_code == 0
    assert hub.query("select count(*) from silver.departments") == [(university.departments,)]


@pytest.mark.database
def test_prune_removes_old_versions_and_keeps_every_newest(hub, rest, university):
    hub.ingest("umapi_departments")
    rows = university.umapi_departments()
    rows[1]["DeptDescription"] = "renamed"
    rest.set_data(departments=rows[:-1])
    hub.ingest("umapi_departments")
    assert "would remove 1 versions" in hub.run("prune", "--older-than", "0h", "--dry-run").text
    assert len(hub.bronze()) == 47
    assert "removed 0 versions" in hub.run("prune", "--older-than", "400d").text
    assert "removed 1 versions" in hub.run("prune", "--older-than", "0h").text
    assert len(hub.bronze()) == 46
    result = hub.run("history", "umapi_departments", rows[1]["DeptId"])
    assert "🆕 oldest that is kept" in result.text
    for age in ("400", "-1d", "999999w", "x"):
        assert hub.run("prune", f"--older-than={age}").exit_code == 2


@pytest.mark.database
def test_prune_keeps_what_a_deleted_record_last_said(hub, rest, university):
    rows = university.umapi_departments()[:20]
    key = rows[0]["DeptId"]
    renamed = [{**rows[0], "DeptDescription": "renamed"}, *rows[1:]]
    for listing in (rows, renamed, rows[1:]):
        rest.set_data(departments=listing)
        hub.ingest("umapi_departments")
    versions = (
        "select is_tombstone, raw_data ->> 'DeptDescription' from bronze.raw_entities "
        "where external_id = %s order by raw_id"
    )
    assert "removed 1 versions" in hub.run("prune", "--older-than", "0h").text
    assert hub.query(versions, key) == [(False, "renamed"), (True, None)]
    assert "removed 0 versions" in hub.run("prune", "--older-than", "0h").text
    rest.set_data(departments=rows)
    hub.ingest("umapi_departments")
    assert "removed 2 versions" in hub.run("prune", "--older-than", "0h").text
    assert hub.query(versions, key) == [(False, rows[0]["DeptDescription"])]


@pytest.mark.database
@pytest.mark.parametrize(("replaced", "removed"), [(450, 1), (10, 0)])
def test_prune_goes_by_when_a_version_was_replaced(hub, rest, university, replaced, removed):
    rows = university.umapi_departments()[:1]
    for description, age in (("old", 500), ("newer", replaced), ("newest", 0)):
        rest.set_data(departments=[{**rows[0], "DeptDescription": description}])
        hub.ingest("umapi_departments")
        hub.query("alter table bronze.raw_entities disable trigger user")
        hub.query(
            f"update bronze.raw_entities set ingested_at = now() - interval '{age} days' "
            f"where raw_data ->> 'DeptDescription' = '{description}'"
        )
        hub.query("alter table bronze.raw_entities enable trigger user")
    assert f"removed {removed} versions" in hub.run("prune", "--older-than", "400d").text
    assert len(hub.bronze()) == 3 - removed


@pytest.mark.parametrize("name", ["HTTP_CA_FILE", "AD_CA_FILE", "MCOMMUNITY_LDAP_CA_FILE"])
def test_a_file_that_is_no_certificate_is_told_with_everything_else(hub, name):
    for path in ("/nonexistent.pem", __file__):
        hub.set(**{name: path})
        result = hub.run("check")
        found = [row["found"] for row in result.figures["streams"]]
        assert result.exit_code == 2
        assert any(f"{name} is '{path}': expected a file with certificates" in text for text in found)
        assert sum(row["what"] == "database" for row in result.figures["streams"]) == 1


def test_a_missing_login_is_told_with_the_other_missing_names(hub):
    hub.unset("TDX_BEID", "TDX_WEB_SERVICES_KEY", "TDX_USERNAME", "TDX_PASSWORD", "TDX_API_TOKEN", "TDX_BASE_URL")
    text = " ".join(hub.ingest("tdx_users").text.split())
    assert "missing settings: TDX_BASE_URL" in text
    assert "TDX_API_TOKEN, expected a login: it, or TDX_USERNAME and TDX_PASSWORD, or TDX_BEID and" in text


def test_advice_is_not_taken_for_a_secret(hub, rest):
    hub.set(UM_CLIENT_SECRET="wrong-secret")
    error = hub.ingest("umapi_departments").stream["error"]
    assert error.endswith("/oauth/token. Check its settings.")
    hub.unset("UM_CLIENT_SECRET")
    hub.set(UM_CLIENT_SECRET_FILE="/nonexistent")
    assert "UM_CLIENT_SECRET_FILE names a file that cannot be read: " in hub.ingest("umapi_departments").text


def test_quiet_means_silent_when_all_is_well_and_only_then(hub, rest, university, capsys):
    hub.set(LOG_LEVEL="info")
    for exit_code, rows in ((0, university.umapi_departments()), (3, [{"DeptId": None}]), (0, [{"DeptId": None}])):
        rest.set_data(departments=[*university.umapi_departments(), *rows[-1:]])
        capsys.readouterr()
        assert main(["ingest", "--quiet", "--only", "umapi_departments"]) == exit_code
        assert bool(capsys.readouterr().out) == bool(exit_code)


def test_json_says_failed_when_it_failed(hub, rest):
    rest.set_faults({"endpoint": "DeptData", "from": 1, "kind": "page"})
    assert hub.ingest("umapi_departments").figures["outcome"] == "failed"
    assert hub.run("status").figures["outcome"] == "done"


@pytest.mark.parametrize("flags", [(), ("--json",), ("--log-level", "ERROR")])
@pytest.mark.parametrize("console", ["| true", "> /dev/full", ">&-"])
def test_a_console_that_takes_nothing_changes_nothing_but_the_exit_code(hub, flags, console):
    command = " ".join([sys.executable, str(PACKAGE / "ingest_umapi_departments.py"), *flags, console])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert "Traceback" not in done.stderr
    assert hub.last_run()["status"] == "completed"
    if console == "| true" and flags != ("--json",):
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 5, done.stderr
        assert "standard output could not be written: [Errno" in done.stderr.splitlines()[-1]


@pytest.mark.database
def test_a_connection_that_is_lost_is_told_truly_and_the_run_closed(hub, rest, university):
    rest.set_faults({"endpoint": "DeptEmpData", "from": 2, "kind": "slow", "seconds": 3})
    rows = university.umapi_employees() * 9
    rest.set_data(employees=[{**row, "EmplId": f"{n:08}"} for n, row in enumerate(rows)])
    process = hub.start("ingest_umapi_employees", "--batch-size", "100")
    for _attempt in range(400):
        if hub.query("select 1 from bronze.raw_entities limit 1"):
            break
        time.sleep(0.02)
    time.sleep(1)  # its pages are stored by then, and it waits for the second answer
    hub.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'people_hub umich%%'")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    last = output.splitlines()[-1]
    assert "pages stored before it stay. Run again." in last
    assert "nothing was loaded" not in last
    assert hub.last_run()["status"] == "failed"
    assert hub.ingest("umapi_employees").exit_code == 0


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(LoadError, match="cannot reach"):
        PostgresAdapter("postgresql://a:b@127.0.0.1:9/none").detached_connection()
    with pytest.raises(ConfigError, match="DATABASE_URL"):
        PostgresAdapter("sqlite:///x")


def test_the_example_names_every_setting_with_a_sentence():
    from itertools import pairwise

    from people_hub import hub_settings

    lines = (PROJECT_DIR / ".env.example").read_text(encoding="utf-8").splitlines()
    documented = {
        line.split("=")[0].removeprefix("#")
        for before, line in pairwise(lines)
        if before.startswith("# ") and "=" in line
    }
    wanted = {
        name.upper()
        for settings in vars(hub_settings).values()
        if isinstance(settings, type)
        and issubclass(settings, hub_settings.Settings)
        and not issubclass(settings, hub_settings.DatabaseSettings)  # that is DATABASE_URL
        and settings.__module__ == hub_settings.__name__
        for name in settings.model_fields
    }
    assert wanted == documented


def test_every_command_in_the_readme_can_be_parsed():
    from people_hub.__main__ import command_parser

    text = (PROJECT_DIR / "README.md").read_text(encoding="utf-8")
    commands = [
        line.split("people_hub ", 1)[1].split("  #")[0].split()
        for line in text.splitlines()
        if line.startswith("python -m")
    ]
    assert len(commands) >= 7
    for words in commands:
        command_parser().parse_args(words)
    for name in SCRIPTS:
        assert name in text, name


@pytest.fixture
def new_script(tmp_path, monkeypatch):
    """Adds scripts to the package, from a folder that no other test sees, and takes them away again."""
    folder = tmp_path / "scripts"
    folder.mkdir()
    monkeypatch.setattr(people_hub, "__path__", [*people_hub.__path__, str(folder)])
    written = []

    def write(name, text):
        (folder / f"{name}.py").write_text(text)
        written.append(f"people_hub.{name}")

    yield write
    for name in written:
        sys.modules.pop(name, None)


def test_the_source_of_the_readme_works_as_it_stands(hub, new_script, tmp_path):
    text = (PROJECT_DIR / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    new_script("ingest_library_cards", text)
    cards = tmp_path / "cards.json"
    cards.write_text('[{"CardNumber": 1, "LastSeen": "today"}, {"CardNumber": 2}, {"CardNumber": null}]')
    hub.set(LIBRARY_FILE=str(cards))
    assert hub.ingest("library_cards").counts == (2, 0, 0, 0, 1)
    cards.write_text('[{"CardNumber": 1, "LastSeen": "tomorrow"}, {"CardNumber": 2, "Name": "x"}]')
    assert hub.ingest("library_cards").counts == (0, 1, 1, 0, 0)
    found = [row["found"] for row in hub.run("check", "--only", "library_cards").figures["streams"]]
    assert any("can be read" in text for text in found)
    assert "library/card" in hub.run("status").text
    cards.write_text("[")
    assert hub.ingest("library_cards").exit_code == 1


def test_a_script_that_cannot_be_imported_is_named(hub, new_script):
    new_script("ingest_broken_thing", "STREAM = Stream()\n")
    for command in (("ingest", "--only", "tdx_users"), ("status",), ("check",), ("rejects",)):
        result = hub.run(*command)
        assert result.exit_code == 2
        assert "people_hub/ingest_broken_thing.py cannot be used: NameError" in result.figures["error"]


def test_two_scripts_of_one_stream_are_refused(hub, new_script):
    new_script("ingest_other_departments", (PACKAGE / "ingest_tdx_departments.py").read_text())
    result = hub.run("status")
    assert result.exit_code == 2
    assert "both declare tdx/department" in result.figures["error"]


def test_a_source_that_is_not_set_up_keeps_no_other_from_running(hub, university):
    result = hub.run("ingest")
    codes = {entry["stream"]: entry["exit_code"] for entry in result.figures["streams"]}
    assert codes["umich_api/department"] == 0
    assert "ingest_ad_users" not in codes
    assert "no setting of these is set, so they are left out: " in result.text
    assert "ingest_ad_users" in result.text
    assert len(hub.heads("umich_api/department")) == university.departments
    assert result.exit_code == 1  # the folder of the exports is not there
    hub.unset("HUB_DATA_FOLDER")
    assert hub.run("ingest").exit_code == 0


def test_a_source_that_is_half_set_up_is_told_and_keeps_no_other_from_running(hub, university):
    hub.unset("HUB_DATA_FOLDER")
    hub.set(AD_SERVER="ad.example", AD_PASSWORD="")
    result = hub.run("ingest")
    codes = {entry["stream"]: entry["exit_code"] for entry in result.figures["streams"]}
    assert codes["ingest_ad_users"] == 2
    assert "ingest_ad_users is not set up and was left out: missing settings: AD_SEARCH_BASE" in result.text
    assert len(hub.heads("umich_api/department")) == university.departments
    assert result.exit_code == 2


def test_a_setting_that_all_sources_share_does_not_make_one_wanted(hub, monkeypatch, tmp_path):
    hub.unset("HUB_DATA_FOLDER")
    hub.set(LDAP_PAGE_SIZE="100")
    assert hub.run("ingest").exit_code == 0
    env_file = tmp_path / "hub.env"
    env_file.write_text("MCOMMUNITY_LDAP_BASE=dc=umich,dc=edu\n")
    env_file.chmod(0o600)
    monkeypatch.setattr("people_hub.hub_settings.ENV_FILE", env_file)
    assert hub.run("ingest").exit_code == 2
