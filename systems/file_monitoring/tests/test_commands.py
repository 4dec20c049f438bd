"""The commands as a person types them, and the kit's laws that apply to a system without tables of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from monitor_case import AGENCY, GOOD, MANAGE, SMALL, Monitor

from etlkit.testing.laws import Ended, Fed, Sum
from etlkit.testing.postgres_laws import PostgresLaws, PostgresSystem

BAD = b"id,name\n1,\n1,x\n0,y\n"


def test_an_object_is_scored_by_hand(monitor: Monitor):
    number = monitor.expect()
    monitor.put(body=BAD)
    report = monitor.folder / "failed_rows.csv"
    done = monitor.process(f"{AGENCY}/f.csv", "--report", str(report))
    assert (done.exit_code, done.json["score"], done.json["passed"]) == (3, 55, False)
    assert done.json["deductions"] == {"schema": 0, "format": 0, "completeness": 20, "bounds": 15, "uniqueness": 10}
    assert done.json["monitoring_file_id"] == number
    assert done.json["metrics"]["source"]["key"] == f"{AGENCY}/f.csv"
    assert report.read_text().splitlines() == [
        "row,check,column,rule", "2,completeness,name,required", "3,uniqueness,id,unique", "4,bounds,id,min",
    ]  # fmt: skip
    assert monitor.scores() == [55]


def test_a_second_time_changes_nothing_and_force_scores_again(monitor: Monitor):
    monitor.expect()
    monitor.put()
    first = monitor.process()
    before = monitor.rows("select * from reporting.monitoring_file_data_quality")
    again = monitor.process()
    assert (again.exit_code, again.json["status"], again.json["run_id"]) == (0, "unchanged", first.json["run_id"])
    assert monitor.rows("select * from reporting.monitoring_file_data_quality") == before
    forced = monitor.process(f"{AGENCY}/f.csv", "--force")
    assert (forced.exit_code, forced.json["status"], forced.json["run_id"]) == (0, "scored", first.json["run_id"])
    assert len(monitor.runs()) == 1


def test_by_hand_the_run_is_the_one_that_the_event_made(monitor: Monitor):
    """A person names no event; the object is known by its tag and its time."""
    monitor.expect()
    monitor.send(monitor.event(eTag=monitor.put(), at="2026-01-10T10:15:00Z"))
    monitor.work()
    assert monitor.process().json["status"] == "unchanged"
    assert monitor.process(f"{AGENCY}/f.csv", "--force").json["status"] == "scored"
    assert [(row[1], row[2]) for row in monitor.runs()] == [("2026-01-10", 10)]


def test_the_event_that_comes_after_a_hand_finds_its_run(monitor: Monitor):
    """S3's event has another time than the object, in another hour perhaps; the object is one all the same."""
    monitor.expect()
    etag = monitor.put()
    first = monitor.process().json
    monitor.send(monitor.event(eTag=etag, at="2026-01-10T10:15:00Z"))
    assert monitor.work().exit_code == 0
    assert len(monitor.runs()) == 1
    assert monitor.metrics()["source"]["eventTime"] == first["metrics"]["source"]["eventTime"]


def test_a_dry_run_says_the_same_and_writes_nothing(monitor: Monitor):
    monitor.expect()
    monitor.put(body=BAD)
    dry = monitor.process(f"{AGENCY}/f.csv", "--dry-run")
    assert (dry.exit_code, dry.json["score"], monitor.runs()) == (3, 55, [])
    assert monitor.value("select latest_data_quality_score from reporting.monitoring_file") is None
    wet = monitor.process()
    strip = lambda told: {k: v for k, v in told["metrics"].items() if k != "durationMs"}  # noqa: E731
    assert strip(dry.json) == strip(wet.json)
    again = monitor.run("process_file", "--bucket", monitor.bucket, "--key", f"{AGENCY}/f.csv", "--dry-run")
    assert "would not be kept: This very object is scored already" in again.out


@pytest.mark.parametrize(
    ("key", "exit_code", "words"),
    [
        (f"{AGENCY}/gone.csv", 1, "The object is not there"),
        ("nobody/expects.csv", 1, "No active file is expected"),
        (f"{AGENCY}/twice.csv", 1, "more than one active file matches"),
        (f"{AGENCY}/wrong.csv", 1, "columns[0].requird is not a key of a definition"),
        (f"{AGENCY}/folder/", 1, "No active file is expected"),
    ],
)
def test_what_has_no_score_says_why(monitor: Monitor, key, exit_code, words):
    for name in ("gone.csv", "twice.csv", "twice.csv"):
        monitor.expect(name)
    monitor.expect("wrong.csv", {"columns": [{"name": "a", "requird": True}]})
    for name in ("twice.csv", "wrong.csv"):
        monitor.put(f"{AGENCY}/{name}")
    done = monitor.run("process_file", "--bucket", monitor.bucket, "--key", key)
    assert done.exit_code == exit_code, done.out + done.err
    assert words in done.out.strip().splitlines()[-1]
    assert "Traceback" not in done.out + done.err
    assert monitor.runs() == []


def local(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command without any setting."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("DB_", "AWS_", "SQS_"))}
    return subprocess.run(
        [sys.executable, str(MANAGE), *arguments],
        env={**bare, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def files(tmp_path):
    (tmp_path / "d.json").write_text(json.dumps(SMALL))
    (tmp_path / "good.csv").write_bytes(GOOD)
    (tmp_path / "bad.csv").write_bytes(BAD)
    return tmp_path


def test_a_local_file_needs_neither_s3_nor_a_database(files):
    flags = ("--definition", str(files / "d.json"), "--dry-run", "--json")
    done = local("process_file", "--local", str(files / "bad.csv"), *flags)
    told = json.loads(done.stdout)
    assert (done.returncode, told["score"], told["dry_run"]) == (3, 55, True)
    assert local("process_file", "--local", str(files / "good.csv"), *flags).returncode == 0
    report = files / "report.csv"
    done = local("process_file", "--local", str(files / "bad.csv"), *flags[:-1], "--report", str(report))
    assert done.stdout.strip().splitlines()[-1].endswith("55 points, failed; would be kept.")
    assert len(report.read_text().splitlines()) == 4
    done = local("process_file", "--local", str(files / "bad.csv"), "--dry-run", "--report", str(files / "bad.csv"))
    assert (done.returncode, (files / "bad.csv").read_bytes()) == (2, BAD)
    assert "--report would overwrite what is read" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name an object by --bucket and --key"),
        (("--bucket", "b"), "name an object by --bucket and --key"),
        (("--bucket", "b", "--key", "k"), "missing settings: DB_HOST, DB_NAME, DB_USER, DB_PASSWORD"),
        (("--local", "good.csv"), "--local is for --dry-run alone"),
        (("--local", "nowhere.csv", "--dry-run"), "nowhere.csv is no file"),
        (("--local", "good.csv", "--dry-run", "--definition", "nowhere.json"), "nowhere.json cannot be read"),
        (("--local", "good.csv", "--dry-run", "--definition", "good.csv"), "good.csv is no JSON"),
        (("--local", "good.csv", "--dry-run", "--no-such-flag"), "--no-such-flag"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_2(files, arguments, words):
    done = local("process_file", *(str(files / word) if "." in word else word for word in arguments))
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MAX_FILE_BYTES", "much", "MAX_FILE_BYTES is 'much', expected a number of bytes"),
        ("RUN_TIMEZONE", "Mars/Olympus", "there is no time zone 'Mars/Olympus'"),
        ("PAGE_PASSWORD", "short", "PAGE_PASSWORD, expected 12 characters at least"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL is 'LOUD', expected DEBUG, INFO, WARNING or ERROR"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_2(files, name, value, words):
    done = local("process_file", "--local", str(files / "good.csv"), "--dry-run", **{name: value})
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_unknown_setting_is_told(files):
    done = local("process_file", "--local", str(files / "good.csv"), "--dry-run", SQS_QUEUE_URI="x")
    assert done.returncode == 0
    assert "unknown setting SQS_QUEUE_URI in the environment; did you mean SQS_QUEUE_URL?" in done.stdout


def test_a_definition_is_validated_from_a_file_or_by_name(monitor: Monitor, files):
    done = local("validate_definition", str(files / "d.json"))
    assert done.returncode == 0
    assert "  id: integer, required, unique, min 1" in done.stdout
    (files / "wrong.json").write_text('{"columns": [{"name": "a", "requird": true}]}')
    wrong = local("validate_definition", str(files / "wrong.json"), "--json")
    assert wrong.returncode == 2
    assert "columns[0].requird" in json.loads(wrong.stdout)["error"]
    monitor.expect()
    name = monitor.value("select name from reporting.monitoring_file_schema_definition")
    assert monitor.run("validate_definition", name).exit_code == 0
    unknown = monitor.run("validate_definition", "atlantis")
    assert unknown.exit_code == 2
    assert name in unknown.out


def test_check_config_tries_everything(monitor: Monitor):
    monitor.expect()
    done = monitor.run("check_config", "--json", ALLOWED_BUCKETS=monitor.bucket)
    assert done.exit_code == 0, done.err
    assert done.json["checks"] == {
        "database": "the founding tables are there, 1 files are active",
        "definitions": "1 are understood",
        "queue": f"{monitor.queue_url} answers and has dead letters",
        "buckets": monitor.bucket,
    }
    monitor.expect("wrong.csv", {"columns": []})
    bad = monitor.run("check_config", ALLOWED_BUCKETS="no-such-bucket", SQS_QUEUE_URL="")
    assert bad.exit_code == 2
    for words in ("SQS_QUEUE_URL", "Not Found", "columns: Tuple should have at least 1 item"):
        assert words in bad.out


def test_django_finds_nothing_to_migrate_and_makes_no_table(monitor: Monitor):
    assert "No changes detected" in monitor.run("makemigrations", "--check", "--dry-run").out
    assert monitor.run("check").exit_code == 0
    before = monitor.rows("select schemaname, tablename from pg_tables order by 1, 2")
    monitor.expect()
    monitor.put()
    monitor.process()
    assert monitor.rows("select schemaname, tablename from pg_tables order by 1, 2") == before


@pytest.mark.database
def test_only_the_founding_tables_are_written(monitor: Monitor):
    """A role that may do just that can do everything."""
    number = monitor.expect()
    monitor.put(body=BAD)
    with monitor._connection.cursor() as cursor:
        cursor.execute("create role just_enough login password 'just-enough-password'")
        cursor.execute("grant usage on schema reporting to just_enough")
        cursor.execute("grant select on all tables in schema reporting to just_enough")
        cursor.execute("grant insert, update on reporting.monitoring_file_run to just_enough")
        cursor.execute("grant insert, update on reporting.monitoring_file_data_quality to just_enough")
        cursor.execute("grant update (latest_data_quality_score) on reporting.monitoring_file to just_enough")
        cursor.execute("grant usage on all sequences in schema reporting to just_enough")
        try:
            login = {"DB_USER": "just_enough", "DB_PASSWORD": "just-enough-password"}
            done = monitor.process(f"{AGENCY}/f.csv", **login)
            assert done.exit_code == 3, done.out + done.err
            forced = monitor.process(f"{AGENCY}/f.csv", "--force", **login)
            assert forced.exit_code == 3, forced.out + forced.err
        finally:
            cursor.execute("drop owned by just_enough")
            cursor.execute("drop role just_enough")
    assert [(row[0], row[4]) for row in monitor.runs()] == [(number, 55)]


def test_every_setting_is_in_the_example_and_nothing_else():
    from etlkit.settings import AwsSettings, DatabaseSettings
    from file_monitoring.monitor_settings import MonitorSettings, QueueSettings

    lines = (MANAGE.parent / ".env.example").read_text().splitlines()
    documented = {line.split("=")[0] for line in lines if "=" in line and not line.startswith("#")}
    classes = (MonitorSettings, DatabaseSettings, QueueSettings, AwsSettings)
    wanted = {name.upper() for one in classes for name in one.model_fields} - {"AWS_SECRET_ACCESS_KEY"}
    assert documented == wanted
    example = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    for one in (MonitorSettings, QueueSettings):  # what it shows is what holds without it
        for name, field in one.model_fields.items():
            if (shown := example[name.upper()]) and field.default not in (None, ...) and not field.is_required():
                default = field.default
                told = ",".join(default) if isinstance(default, tuple) else str(default)
                assert shown.lower() == told.lower(), name


class ProcessFile(PostgresSystem):
    """process_file on one object, which passes or not."""

    required_settings = ("DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD")
    dry_run_word = "would be kept"

    def __init__(self, monitor: Monitor) -> None:
        self.monitor, self.database = monitor, monitor.database

    def feed(self):
        if not self.monitor.rows("select 1 from reporting.monitoring_file"):
            self.monitor.expect()
        self.monitor.put(body=BAD)
        return Fed(1, {})

    def point_at(self, database):
        self.monitor.settings |= {"DB_PORT": str(database.db_port), "DB_NAME": database.db_name}

    def forget_settings(self):
        self.monitor.settings |= dict.fromkeys(self.required_settings, "")

    def run(self, *flags):
        done = self.monitor.process(f"{AGENCY}/f.csv", *flags)
        text = done.err
        if "--dry-run" in flags:
            flags = ("--bucket", self.monitor.bucket, "--key", f"{AGENCY}/f.csv", *flags)
            text += self.monitor.run("process_file", *flags).out
        return Ended(done.exit_code, done.json, text)

    def command(self):
        return []

    def sum(self, figures):
        is_scored = figures["status"] == "scored"
        return Sum(1, int(is_scored), int(not is_scored), 0)

    def tables(self):
        return {"runs": self.monitor.runs()}

    def stored(self):
        return len(self.monitor.runs())


class TestLaws(PostgresLaws):
    """Those of run history, rejects, locks and log files do not apply: only the founding tables are written."""

    test_law_1_every_record_is_stored_rejected_or_there_already = None
    test_law_2_a_second_run_changes_nothing = None
    test_law_5_the_target_of_another_is_not_touched = None
    test_law_6_the_last_line_and_the_exit_code_are_the_outcome = None
    test_law_6_a_signal_in_the_middle_rolls_back = None
    test_law_9_no_secret_is_shown = None
    test_law_11_what_is_away_is_one_clear_line = None

    @pytest.fixture
    def system(self, monitor):
        return ProcessFile(monitor)


def test_a_database_that_is_away_is_one_clear_line(monitor: Monitor):
    monitor.expect()
    monitor.put()
    away = monitor.run("process_file", "--bucket", monitor.bucket, "--key", f"{AGENCY}/f.csv", DB_PORT="9")
    assert away.exit_code == 1
    for words in ("127.0.0.1:9", "onnection refused", "Check", "[exit 1]"):
        assert words in away.out.strip().splitlines()[-1]
    other = monitor.run("process_file", "--bucket", monitor.bucket, "--key", f"{AGENCY}/f.csv", DB_NAME="atlantis")
    assert other.exit_code == 2
    assert 'database "atlantis" does not exist' in other.out


def test_a_login_from_an_aws_secret_is_used(monitor: Monitor):
    import boto3

    pytest.importorskip("moto.secretsmanager")
    secrets = boto3.client(
        "secretsmanager",
        endpoint_url=monitor.endpoint,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="y",
    )
    login = {"username": monitor.settings["DB_USER"], "password": monitor.settings["DB_PASSWORD"]}
    secrets.create_secret(Name=f"login-{monitor.bucket}", SecretString=json.dumps(login))
    monitor.expect()
    monitor.put()
    done = monitor.process(
        f"{AGENCY}/f.csv", DB_USER="", DB_PASSWORD="", DB_SECRET_ID=f"login-{monitor.bucket}",
        AWS_ENDPOINT_URL_SECRETS_MANAGER=monitor.endpoint, AWS_DEFAULT_REGION="us-east-1",
    )  # fmt: skip
    assert done.exit_code == 0, done.out + done.err
    assert monitor.scores() == [100]
