"""The two roles of roles.sql: each can do its work, and nothing else."""

from __future__ import annotations

import io
import json
import socketserver
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import boto3
import psycopg2
import pytest
from live_case import call, ended, press
from museum_case import PROJECT_DIR, Museum, miscounted_hours

from etlkit.__main__ import list_runs
from etlkit.errors import ConfigError, LoadError
from etlkit.postgres import Cursor, apply_schema, connect, only_value
from etlkit.settings import DatabaseSettings
from museum import login

pytestmark = pytest.mark.database

PASSWORD = "a login's own"
FORBIDDEN_TO_THE_READER = [
    "insert into floor (floor_name) values ('9')",
    "update review set rating_id = 4",
    "delete from incident",
    "truncate review",
    "drop view exhibition_rating",
    "create table mine (n integer)",
    "select raw from meta.rejected_records",
    "update meta.ingestion_runs set status = 'failed'",
]
FORBIDDEN_TO_THE_LOADER = [
    "truncate review",
    "drop table review",
    "alter table review add column x integer",
    "alter table review disable trigger review_hour_insert",
    "create table mine (n integer)",
    "insert into rating_desc (rating_id, description) values (9, 'x')",
    "update review set rating_id = 4",
    "delete from exhibition",
    "delete from event_source",
    "delete from archived_month",
    "insert into archived_source values (1, '2024-01-01', 1, 1, 1, 1)",
    "delete from meta.ingestion_runs",
    "delete from meta.rejected_records",
    "insert into meta.schema_version (system, version) values ('museum', 99)",
    "create role somebody",
]


@pytest.fixture
def logins(database: DatabaseSettings) -> Iterator[dict[str, DatabaseSettings]]:
    """A login in each role."""
    with closing(connect(database, "owner")) as connection:
        for _twice in range(2):
            apply_schema(connection, PROJECT_DIR / "roles.sql")
        with connection, connection.cursor() as cursor:
            for role in ("reader", "loader"):
                cursor.execute(f"create role {database.db_name}_{role} login password %s", (PASSWORD,))
                cursor.execute(f"grant museum_{role} to {database.db_name}_{role}")
    password = {"db_password": type(database.db_password)(PASSWORD)}
    yield {
        role: database.model_copy(update={"db_user": f"{database.db_name}_{role}", **password})
        for role in ("reader", "loader")
    }
    with closing(connect(database, "owner")) as connection, connection, connection.cursor() as cursor:
        for role in ("reader", "loader"):
            name = f"{database.db_name}_{role}"
            sessions_have_ended(cursor, name)
            cursor.execute(f"drop role {name}")


def sessions_have_ended(cursor: Cursor, role: str) -> None:
    """Wait for the server to see that a role's sessions are closed: their temporary tables would keep the role."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        cursor.execute("select count(*) from pg_stat_get_activity(null) where usesysid = %s::regrole", (role,))
        if not only_value(cursor):
            return
        time.sleep(0.02)


@pytest.fixture
def as_loader(museum: Museum, logins: dict[str, DatabaseSettings], monkeypatch: pytest.MonkeyPatch) -> Museum:
    """The museum, loaded by the loader."""
    monkeypatch.setenv("DB_PASSWORD", PASSWORD)
    museum.exhibition(0)
    return replace(museum, database=logins["loader"])


def refusal(settings: DatabaseSettings, statement: str) -> str:
    with closing(connect(settings, "test")) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(statement)
        except psycopg2.Error as error:
            return type(error).__name__
    return "nothing"


@pytest.mark.parametrize("statement", FORBIDDEN_TO_THE_READER)
def test_the_reader_only_reads(logins, statement):
    assert refusal(logins["reader"], statement) == "InsufficientPrivilege"


@pytest.mark.parametrize("statement", FORBIDDEN_TO_THE_LOADER)
def test_the_loader_changes_no_structure_and_deletes_no_history(logins, statement):
    assert refusal(logins["loader"], statement) == "InsufficientPrivilege"


NOTING = ("note_review_change", "note_incident_change")
FORGERY = """
    create temporary table mine (exhibition_id integer, at timestamptz, rating_id smallint, incident_type_id smallint);
    create trigger forged after insert on mine referencing new table as fresh
        for each statement execute function public.{function}();
    create trigger erased after truncate on mine for each statement execute function public.{function}();
    insert into mine select 6, '2026-01-01', 4, 1 from generate_series(1, 100000);
    truncate mine
"""


@pytest.mark.parametrize("is_callable", [False, True], ids=["as it is", "given away"])
@pytest.mark.parametrize("function", NOTING)
def test_no_trigger_of_ones_own_forges_or_erases_a_count(museum, logins, function, is_callable):
    """Not even where somebody gave the function to everybody: it does what its caller may, no more."""
    museum.exhibition(5)
    museum.kiosk(5, "2023-03-06 10:00:00,5,3,", "2023-03-06 10:00:01,5,-1,1")
    museum.push()
    if is_callable:
        museum.query("grant execute on all functions in schema public to public")
    before = museum.query("select * from exhibition_rating")
    assert refusal(logins["reader"], FORGERY.format(function=function)) == "InsufficientPrivilege"
    assert museum.query("select * from exhibition_rating") == before
    assert miscounted_hours(museum.database) == []


def test_a_role_may_do_to_each_object_what_its_list_says_and_no_more(museum, logins):
    """Over every table, view, sequence, function and schema, so that none that comes is forgotten."""
    given = """
        select c.relname, string_agg(privilege, ',' order by privilege)
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        cross join unnest(array['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) as privilege
        where n.nspname in ('public', 'meta')
          and c.relkind in ('r', 'v', 'm', 'p', 'f')
          and has_table_privilege(%s, c.oid, privilege)
        group by 1
    """
    added_and_removed = ("floor_assignment", "review", "incident", "review_hour_change", "incident_hour_change")
    assert museum.query(given, ("museum_reader",)) == []
    assert dict(museum.query(given, ("museum_loader",))) == {
        "department": "INSERT",
        "floor": "INSERT",
        "exhibition": "INSERT,UPDATE",
        "event_source": "INSERT,UPDATE",
        "ingestion_runs": "INSERT,UPDATE",
        "rejected_records": "INSERT,UPDATE",
        **dict.fromkeys(added_and_removed, "DELETE,INSERT"),
        **dict.fromkeys(("review_hour", "incident_hour"), "DELETE,INSERT,UPDATE"),
    }
    called = """
        select p.proname
        from pg_proc p
        join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in ('public', 'meta') and has_function_privilege(%s, p.oid, 'EXECUTE')
        order by 1
    """
    assert museum.query(called, ("museum_reader",)) == [("archive_border",)]
    assert [name for (name,) in museum.query(called, ("museum_loader",))] == [
        "archive_border", "hold_border", "lock_hours", "site_exhibition_id", "source_name", "utc_hour",
    ]  # fmt: skip
    schemas = "select count(*) from pg_namespace where nspname !~ 'temp' and has_schema_privilege(%s, oid, 'CREATE')"
    for role in ("museum_reader", "museum_loader"):
        assert museum.query(schemas, (role,)) == [(0,)]


def test_a_database_of_version_3_is_mended_by_its_upgrade(museum, logins, monkeypatch):
    """Its functions worked as their owner for everybody, and its loader had no right to note what it brought."""
    museum.exhibition(0)
    museum.kiosk(0, "2023-03-06 10:00:00,0,3,", "2023-03-06 10:00:01,0,9,")
    assert museum.push().exit_code == 3
    museum.query("; ".join(f"alter function {name}() security definer" for name in NOTING))
    museum.query("grant execute on all functions in schema public to public")
    museum.query("revoke execute on all functions in schema public from museum_loader")
    museum.query("revoke insert on review_hour_change, incident_hour_change from museum_loader")
    museum.query("alter table event_source drop column stored")
    museum.query("update meta.schema_version set version = 3")
    assert refusal(logins["reader"], FORGERY.format(function=NOTING[0])) == "nothing", "the attack of old"
    refused = museum.push()
    assert (refused.exit_code, "python load.py --apply-schema" in refused.last_line) == (2, True)
    museum.query("drop table archived_source, archived_month cascade")  # with the function that looks into them
    museum.query("drop function hold_border(boolean)")
    assert museum.run("load", "--apply-schema", *museum.database_flags).exit_code == 0
    assert refusal(logins["reader"], FORGERY.format(function=NOTING[0])) == "InsufficientPrivilege"
    museum.kiosk(0, "2023-03-06 10:00:00,0,4,", "2023-03-06 10:00:01,0,9,")
    monkeypatch.setenv("DB_PASSWORD", PASSWORD)
    assert replace(museum, database=logins["loader"]).push().exit_code == 0
    assert museum.query("select rows, stored from event_source") == [(2, 1)]


def test_the_reader_reads_every_table_and_view_of_the_museum(logins):
    listed = (
        "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = 'public' and c.relkind in ('r', 'v', 'm') order by 1"
    )
    with closing(connect(logins["reader"], "test")) as connection, connection.cursor() as cursor:
        cursor.execute(listed)
        names = [name for (name,) in cursor.fetchall()]
        assert len(names) > 20
        for name in names:
            cursor.execute(f"select count(*) from {name}")
        cursor.execute("select source, reasons from meta.rejected_records")
        cursor.execute("select * from meta.ingestion_runs")


def test_the_loader_runs_the_whole_pipeline(as_loader, museum):
    owner = museum.database
    museum = as_loader
    assert museum.database != owner
    museum.kiosk(0, "2023-03-06 10:00:00,0,3,", "2023-03-06 10:00:01,0,-1,1", "2023-03-06 10:00:02,7,1,")
    assert museum.push().exit_code == 3
    museum.kiosk(0, "2023-03-06 10:00:00,0,2,", "2023-03-06 10:00:01,0,-1,0", "2023-03-06 10:00:02,7,1,")
    museum.exhibition(7, FLOOR="9", DEPARTMENT="New")
    changed = museum.push()
    assert (changed.exit_code, changed.figures["load"]["rows_stored"]) == (0, 3)
    assert museum.push("--dry-run").exit_code == 0
    rooms = "select exhibition_id, reviews, incidents from exhibition_rating order by 1"
    assert replace(museum, database=owner).query(rooms) == [(1, 1, 1), (8, 1, 0)]


def test_the_loader_loads_many_rows_without_owning_the_tables(as_loader, monkeypatch):
    monkeypatch.setattr("museum.batch.judged_rows.BULK_ROWS", 10)
    as_loader.kiosk(0, *(f"2023-03-06 10:{row // 60:02}:{row % 60:02},0,3," for row in range(1000)))
    assert as_loader.push().exit_code == 0
    assert as_loader.count("review") == 1000


def test_the_loader_consumes_the_live_stream(live, logins, database, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", PASSWORD)
    live.museum.database = logins["loader"]
    live.produce([press(0), call(1, 1), press(2, site="99"), press(3, val=9)])
    assert live.consume().figures["live"]["stored"] == 2
    assert live.consume("--from-beginning").exit_code == 0
    assert live.consume("--replay-rejects").exit_code == 0
    assert live.stored() == 2
    owner = replace(live.museum, database=database)
    assert owner.query("select distinct status from meta.ingestion_runs") == [("completed",)]
    assert owner.query("select count(*) from review_hour_change") == [(0,)], "it folds too"
    killed = live.start()
    live.wait_for(lambda: owner.query("select 1 from meta.ingestion_runs where status = 'running'"), "a running run")
    killed.kill()
    ended(killed)
    time.sleep(0.5)
    assert live.consume().exit_code == 0
    assert owner.query("select count(*) from meta.ingestion_runs where status = 'failed'") == [(1,)]
    with closing(connect(logins["loader"], "etlkit")) as connection:
        list_runs(connection, Namespace(system="museum", limit=5))
    assert "failed" in live.museum.capsys.readouterr().out


def test_a_schema_is_brought_up_to_date_by_its_owner_alone(museum):
    museum.query("create role upgrader superuser")
    try:
        with closing(connect(museum.database, "upgrade")) as connection:
            with connection, connection.cursor() as cursor:
                cursor.execute("set role upgrader")
            with pytest.raises(LoadError, match=r"the tables belong to \w+, not to upgrader. Nothing was changed"):
                apply_schema(connection, PROJECT_DIR / "schema.sql")
    finally:
        museum.query("drop role upgrader")


def test_a_newer_schema_is_left_alone(museum):
    museum.query("update meta.schema_version set version = 99")
    museum.query("drop view floor_requests")
    result = museum.run("load", "--apply-schema", *museum.database_flags)
    assert (result.exit_code, "the newer schema 99" in result.last_line) == (0, True)
    assert museum.query("select to_regclass('floor_requests')") == [(None,)]


def test_the_roles_are_applied_without_psql_too(museum):
    result = museum.run("load", "--apply-roles", *museum.database_flags)
    assert (result.exit_code, "museum_reader and museum_loader" in result.last_line) == (0, True)


@pytest.fixture
def login_name(database):
    yield f"login of {database.db_name}"
    with closing(connect(database, "owner")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(f'drop role if exists "login of {database.db_name}"')


def make_login(museum, monkeypatch, *words: str, password: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    code = login.main([*words, *museum.database_flags, "--log-file", str(museum.log_file)])
    return code, museum.capsys.readouterr().out


def test_a_login_is_made_with_one_command_and_its_password_changed_with_the_same(
    museum, login_name, monkeypatch, postgres
):
    museum.run("load", "--apply-roles", *museum.database_flags)
    for password, sentence in (("the first one of two", "is there"), ("another one after it", "has this password now")):
        code, said = make_login(museum, monkeypatch, "--role", "reader", login_name, password=password)
        assert (code, sentence in said) == (0, True)
        reader = museum.database.model_copy(
            update={"db_user": login_name, "db_password": type(museum.database.db_password)(password)}
        )
        assert refusal(reader, "delete from review") == "InsufficientPrivilege"
        assert refusal(reader, "select from review") == "nothing"
        assert password not in museum.log_file.read_text()
    verifier = museum.query("select rolpassword from pg_authid where rolname = %s", (login_name,))[0][0]
    assert verifier.startswith("SCRAM-SHA-256$")


def test_a_login_needs_its_role_and_a_long_password(museum, login_name, monkeypatch):
    code, said = make_login(museum, monkeypatch, "--role", "loader", login_name, password="short")
    assert (code, "at least 12 characters" in said) == (2, True)
    monkeypatch.setitem(login.ROLES, "loader", "no_such_role")
    code, said = make_login(museum, monkeypatch, "--role", "loader", login_name, password="long enough for it")
    assert (code, "python load.py --apply-roles" in said) == (2, True)
    assert museum.query("select count(*) from pg_roles where rolname = %s", (login_name,)) == [(0,)]


def test_a_role_that_is_more_than_such_a_login_is_left_alone(museum, logins, monkeypatch):
    owner = museum.database.db_user
    before = museum.query("select rolpassword from pg_authid order by oid")
    for name in (owner, logins["loader"].db_user):
        code, said = make_login(museum, monkeypatch, "--role", "reader", name, password="long enough for it")
        assert (code, "is there already and is more than a login" in said) == (2, True), said
    assert museum.query("select rolpassword from pg_authid order by oid") == before


@pytest.mark.parametrize("name", ["50 % of {it}", 'a "quoted" one', "ä" * 31])
def test_odd_names_are_names(museum, monkeypatch, name):
    museum.run("load", "--apply-roles", *museum.database_flags)
    for _twice in range(2):
        code, said = make_login(museum, monkeypatch, "--role", "reader", name, password="long enough for it")
        assert code == 0, said
    museum.query('drop role "{}"'.format(name.replace('"', '""').replace("%", "%")))
    code, said = make_login(museum, monkeypatch, "--role", "reader", "n" * 64, password="long enough for it")
    assert (code, "longer than Postgres's 63 bytes" in said) == (2, True)


# ---------------------------------------------------------------------------------------------------------------------
# A login that AWS keeps
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def vault(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch):
    """A client of a local Secrets Manager, which every connection asks."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    return boto3.client("secretsmanager", region_name="eu-west-2")


def keep(vault, database: DatabaseSettings, password: str) -> str:
    name = f"login-of-{database.db_name}"
    text = json.dumps({"username": database.db_user, "password": password})
    try:
        return vault.create_secret(Name=name, SecretString=text)["ARN"]
    except vault.exceptions.ResourceExistsException:
        return vault.put_secret_value(SecretId=name, SecretString=text)["ARN"]


def test_the_pipeline_logs_in_with_a_secret_also_after_it_rotated(museum, logins, vault, monkeypatch):
    loader = logins["loader"]
    monkeypatch.delenv("DB_PASSWORD")
    arn = keep(vault, loader, PASSWORD)
    monkeypatch.setenv("DB_SECRET_ID", arn)
    flags = [*museum.database_flags[:6]]  # without a user
    museum.exhibition(0)
    museum.kiosk(0, "2023-03-06 10:00:00,0,3,")
    assert museum.run("pipeline", "--skip-extract", "--push", *flags).exit_code == 0
    with closing(connect(museum.database, "owner")) as connection, connection, connection.cursor() as cursor:
        cursor.execute(f"alter role {loader.db_user} password 'another one'")
    refused = museum.run("pipeline", "--skip-extract", "--push", *flags)
    assert (refused.exit_code, loader.db_user in refused.last_line) == (1, True)
    assert "While it rotates that passes" in refused.last_line
    keep(vault, loader, "another one")
    assert museum.run("pipeline", "--skip-extract", "--push", *flags).exit_code == 0
    assert "another one" not in museum.log_file.read_text()


def test_a_secret_that_is_not_there_or_no_login_is_explained(database, vault):
    settings = database.model_copy(update={"db_secret_id": "no-such-secret"})
    arn = vault.create_secret(Name=f"odd-{database.db_name}", SecretString="{}")["ARN"]
    with pytest.raises(ConfigError, match="DB_SECRET_ID 'no-such-secret' cannot be read"):
        connect(settings, "test")
    odd = settings.model_copy(update={"db_secret_id": arn})
    with pytest.raises(ConfigError, match="is no JSON object with username and password"):
        connect(odd, "test")


@pytest.mark.parametrize(
    ("code", "raised"),
    [("AccessDeniedException", ConfigError), ("ThrottlingException", LoadError), ("InternalServiceError", LoadError)],
)
def test_what_may_pass_at_aws_is_no_wrong_setting(database, code, raised):
    with socketserver.TCPServer(("127.0.0.1", 0), aws_that_says(code)) as aws:
        threading.Thread(target=aws.serve_forever, daemon=True).start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{aws.server_address[1]}")
            patch.setenv("AWS_ACCESS_KEY_ID", "x")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "y")
            with pytest.raises(raised, match="DB_SECRET_ID"):
                connect(database.model_copy(update={"db_secret_id": "x"}), "test")
        aws.shutdown()


def aws_that_says(code: str):
    class Refusal(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.dumps({"__type": code, "message": "said so"}).encode()
            self.send_response(500 if code.startswith("Internal") else 400)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words):
            pass

    return Refusal


def test_a_secret_in_the_environment_leaves_the_private_server_and_a_login_by_flag_alone(
    museum, postgres, logins, monkeypatch
):
    monkeypatch.setenv("DB_SECRET_ID", "no-such-secret")
    connect(postgres.ensure_database(museum.database.db_name), "test").close()
    museum.exhibition(0)
    museum.kiosk(0, "2023-03-06 10:00:00,0,3,")
    assert museum.push().exit_code == 0, "--db-user is nearer than the environment"


def test_aws_that_does_not_answer_is_no_wrong_setting(database, vault, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(LoadError, match="AWS does not give the secret"):
        connect(database.model_copy(update={"db_secret_id": "x"}), "test")
