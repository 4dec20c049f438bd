"""The pipeline as a user runs it: from the bucket to Postgres, its exit codes, its lines and its logs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest
from filelock import FileLock
from museum_case import HEADER, PROJECT_DIR, exhibition_json

import pipeline
from etlkit.embedded import EmbeddedServer
from etlkit.postgres import connect
from museum.batch.bucket_files import DATA_LOCK
from museum.demo.samples import sample_objects

DAY = "2023-03-06"
SECRETS = ("very-secret-aws-key", "AKIATESTTESTTEST")


def script(museum, name: str, *flags: str, cwd: str = "/", **environment: str) -> subprocess.Popen[str]:
    """Start a root script as a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(PROJECT_DIR / f"{name}.py"), *flags, "--data-dir", str(museum.data_dir),
         "--log-file", str(museum.log_file)],
        cwd=cwd,
        env={**os.environ, "DB_PASSWORD": museum.database.db_password.get_secret_value(), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


@pytest.fixture
def stocked(museum, bucket):
    """A bucket with two exhibitions and two kiosk files."""
    for site in range(2):
        bucket.put(f"lmnh_exhibition_number{site}.json", exhibition_json(site))
    for number in range(2):
        bucket.put(f"lmnh_hist_data_{number}.csv", HEADER + f"{DAY} 1{number}:00:00,1,3,\n{DAY} 12:00:00,0,-1,0.0\n")
    return bucket


def test_from_the_bucket_to_postgres_and_again(museum, stocked):
    first = museum.run_all()
    assert first.exit_code == 0
    assert [stage for stage in first.figures if stage in ("extract", "transform", "load")] == [
        "extract", "transform", "load",
    ]  # fmt: skip
    assert (museum.count("review"), museum.count("incident")) == (2, 2)
    before = museum.tables_with_ids()
    second = museum.run_all()
    assert second.exit_code == 0
    assert second.figures["extract"]["downloaded"] == 0
    assert museum.tables_with_ids() == before


def test_an_object_gone_from_the_bucket_keeps_its_rows_and_its_local_copy_is_ignored(museum, stocked):
    museum.run_all()
    stocked.delete("lmnh_hist_data_1.csv")
    result = museum.run_all()
    assert result.load["objects_gone"] == ["lmnh_hist_data_1.csv"]
    assert museum.count("review") == 2
    museum.query("truncate review, incident, event_source, archived_month, archived_source")
    museum.run_all()
    assert museum.count("review") == 1
    skipping = museum.push("--bucket", stocked.name)
    assert skipping.exit_code == 0
    assert museum.count("review") == 2, "with --skip-extract every matching local file counts"


def test_skip_extract_takes_the_bucket_from_the_extract(museum, stocked):
    museum.extract()
    museum.push()
    assert museum.query("select distinct bucket from event_source") == [(stocked.name,)]
    again = museum.run_all()
    assert again.load["rows_stored"] == 0


def test_without_push_no_database_is_needed(museum, stocked, monkeypatch):
    monkeypatch.delenv("DB_PASSWORD")
    result = museum.run("pipeline", *museum.source_flags)
    assert result.exit_code == 0
    assert "load" not in result.figures
    assert museum.count("review") == 0


def test_every_missing_setting_is_named_at_once_and_nothing_is_touched(museum, monkeypatch, capsys):
    monkeypatch.delenv("DB_PASSWORD")
    monkeypatch.setenv("DB_PORT", "abc")
    monkeypatch.setenv("MUSEUM_TIMEZONE", "Mars/Olympus")
    museum.bucket_dir.rmdir()
    assert pipeline.main(["--push", "--data-dir", str(museum.data_dir)]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    for name in ("DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD", "DB_PORT", "'abc'", "MUSEUM_TIMEZONE"):
        assert name in error
    assert list(museum.data_dir.iterdir()) == []


def test_the_environment_wins_over_env_file_and_a_flag_over_both(museum, monkeypatch, tmp_path):
    env_file = tmp_path / "my.env"
    env_file.write_text("MUSEUM_BUCKET=from-env-file\nMUSEUM_KEY_PREFIX=fromfile\n")
    monkeypatch.setattr("museum.settings.ENV_FILE", env_file)
    from museum.command import read_command

    parser = pipeline.pipeline_parser()
    assert read_command(parser.parse_args([]), with_database=False).museum.museum_bucket == "from-env-file"
    monkeypatch.setenv("MUSEUM_BUCKET", "from-environment")
    command = read_command(parser.parse_args([]), with_database=False)
    assert (command.museum.museum_bucket, command.museum.museum_key_prefix) == ("from-environment", "fromfile")
    flagged = read_command(parser.parse_args(["--bucket", "from-flag"]), with_database=False)
    assert flagged.museum.museum_bucket == "from-flag"


def test_settings_that_everybody_reads_are_warned_of_once(museum, monkeypatch, tmp_path):
    env_file = tmp_path / "my.env"
    env_file.write_text("MUSEUM_NAME=x\n")
    env_file.chmod(0o644)
    monkeypatch.setattr("museum.settings.ENV_FILE", env_file)
    said = museum.run("transform", "--log-level", "WARNING").lines
    assert "\n".join(said).count(f"warning: others on this machine may read or change {env_file}") == 1
    env_file.chmod(0o600)
    assert "chmod" not in str(museum.run("transform", "--log-level", "WARNING").lines)


@pytest.mark.parametrize(
    "flags", [["--max-rejects", "-1"], ["--max-rejects", "many"], ["--now", "yesterday"], ["--nonsense"]]
)
def test_a_wrong_flag_is_a_usage_error(museum, flags, capsys):
    try:
        code = pipeline.main([*flags, "--data-dir", str(museum.data_dir)])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert flags[0].strip("-").replace("-", "_").upper() in capsys.readouterr().err.upper().replace("-", "_")


def test_the_last_line_is_the_outcome_with_run_and_log_file(museum, stocked):
    result = museum.run_all()
    assert result.last_line == (f"Loaded 4 rows, 0 rejected. Run {result.figures['run_id']}, log {museum.log_file}")


def test_a_given_run_id_is_the_run_s(museum, stocked):
    run_id = "00000000-0000-4000-8000-000000000001"
    result = museum.run_all("--run-id", run_id)
    assert result.figures["run_id"] == run_id
    assert museum.query("select run_id::text, status from meta.ingestion_runs") == [(run_id, "completed")]


def test_secrets_are_in_no_log_and_no_traceback(museum, stocked, monkeypatch):
    secrets = (*SECRETS, museum.database.db_password.get_secret_value())
    museum.run_all()
    museum.source_flags[1] = "no-such-bucket-anywhere"
    failed = museum.run_all()
    assert failed.exit_code == 1
    monkeypatch.setenv("DB_PASSWORD", "a-wrong-password")
    refused = museum.run_all()
    assert refused.exit_code == 2
    written = museum.log_file.read_text() + json.dumps(failed.figures) + "\n".join((*failed.lines, *refused.lines))
    assert "Traceback" in museum.log_file.read_text()
    for secret in (*secrets, "a-wrong-password"):
        assert secret not in written


def test_secrets_on_the_command_line_work_but_are_warned_of(museum, stocked, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY")
    monkeypatch.delenv("AWS_SECRET_KEY")
    password = museum.database.db_password.get_secret_value()
    monkeypatch.delenv("DB_PASSWORD")
    result = museum.run_all(
        "--access-key", "AKIAONTHELINE", "--secret-key", "secret-on-the-line", f"--db-password={password}"
    )
    assert result.exit_code == 0
    warned = [line for line in result.lines if line.startswith("warning")]
    assert [line.split()[1] for line in warned] == ["--db-password", "--access-key", "--secret-key"]
    assert "secret-on-the-line" not in museum.log_file.read_text() + "\n".join(result.lines)


def test_a_failure_under_json_is_one_object_too(museum, empty_database):
    museum.database = empty_database
    result = museum.push()
    assert result.figures["outcome"] == "failed"
    assert result.figures["exit_code"] == result.exit_code == 2


def test_a_server_that_is_not_there_is_one_clear_line(museum):
    museum.database = museum.database.model_copy(update={"db_port": 1})
    result = museum.push()
    assert result.exit_code == 1
    assert "cannot reach" in result.figures["error"]
    assert len(result.lines) == 1


def test_a_data_folder_in_use_exits_4(museum, stocked):
    museum.data_dir.mkdir(exist_ok=True)
    with FileLock(museum.data_dir / DATA_LOCK):
        result = museum.run_all()
    assert result.exit_code == 4
    assert str(museum.data_dir) in result.figures["error"]


def test_the_sample_bucket_shows_every_kind_of_row(museum, bucket):
    for key, body in sample_objects().items():
        bucket.put(key, body)
    result = museum.run_all()
    assert result.exit_code == 3
    reasons = set(result.load["rejected_by_reason"])
    from museum.kiosk import ROW_REASONS

    assert set(ROW_REASONS) - {"out_of_hours", "archived"} <= reasons
    assert sample_objects() == sample_objects()
    assert museum.run_all().exit_code == 0


def test_the_scripts_work_from_any_folder_and_in_a_pipe(museum, stocked):
    process = script(museum, "pipeline", "--push", *museum.source_flags, *museum.database_flags)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    lines = out.splitlines()
    assert sum(line.startswith("extract ") for line in lines) == 1
    assert lines[-1].startswith("Loaded 4 rows")


def test_the_stages_one_by_one_equal_the_pipeline(museum, stocked):
    for name, flags in (("extract", museum.source_flags), ("transform", []), ("load", museum.database_flags)):
        process = script(museum, name, *flags)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    alone = museum.tables()
    assert museum.run_all().load["rows_stored"] == 0
    assert museum.tables() == alone


@pytest.mark.parametrize("name", ["pipeline", "extract", "transform", "load"])
def test_help_is_one_screen_with_examples_and_exit_codes(museum, name):
    process = subprocess.run(
        [sys.executable, str(PROJECT_DIR / f"{name}.py"), "--help"], capture_output=True, text=True, check=True
    )
    assert len(process.stdout.splitlines()) <= 50
    assert "examples:" in process.stdout
    assert "exit codes: 0" in process.stdout


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_during_the_load_rolls_back_first(museum, stocked, number, exit_code):
    with closing(connect(museum.database, "blocker")) as blocker, blocker.cursor() as cursor:
        cursor.execute("lock table review in access exclusive mode")
        process = script(museum, "pipeline", "--push", *museum.source_flags, *museum.database_flags)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with closing(connect(museum.database, "watch")) as watch, watch.cursor() as look:
                look.execute("select count(*) from pg_locks where not granted")
                if look.fetchone()[0]:
                    break
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert process.returncode == exit_code, err
        assert out.splitlines()[-1].startswith("error: ")
        blocker.rollback()
    assert museum.count("event_source") == museum.count("review") == 0
    history = museum.query("select status, error_message from meta.ingestion_runs")
    assert history == [("failed", f"stopped by {number.name}")]
    assert museum.run_all().exit_code == 0


def test_two_pipelines_at_once_one_loads_and_the_other_exits_4(museum, stocked):
    with closing(connect(museum.database, "blocker")) as blocker, blocker.cursor() as cursor:
        cursor.execute("lock table review in access exclusive mode")
        flags = ("--push", *museum.source_flags, *museum.database_flags)
        first = script(museum, "pipeline", *flags)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not museum.query("select 1 from meta.ingestion_runs"):
            time.sleep(0.05)
        second = script(museum, "pipeline", *flags)
        out, _ = second.communicate(timeout=30)
        assert second.returncode == 4
        assert f"pid {first.pid}" in out
        blocker.rollback()
    first.communicate(timeout=30)
    assert first.returncode == 0
    assert museum.count("review") == 2


def test_the_schema_file_is_pure_sql_for_psql(museum, empty_database, postgres: EmbeddedServer):
    psql = postgres.binary("psql")
    password = empty_database.db_password.get_secret_value()
    for _time in range(2):
        done = subprocess.run(
            [str(psql), "-v", "ON_ERROR_STOP=1", "-q", "-h", empty_database.db_host, "-p", str(empty_database.db_port),
             "-U", empty_database.db_user, "-d", empty_database.db_name, "-f", str(PROJECT_DIR / "schema.sql")],
            env={**os.environ, "PGPASSWORD": password, "PGOPTIONS": "-c client_min_messages=warning"},
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
    museum.database = empty_database
    museum.exhibition(1)
    museum.kiosk(0, f"{DAY} 10:00:00,1,3,")
    assert museum.push().exit_code == 0


def test_setup_logging_keeps_its_name(tmp_path):
    logger = pipeline.setup_logging(tmp_path / "x.log")
    logger.info("hello")
    assert "hello" in (tmp_path / "x.log").read_text()


def test_a_reader_that_goes_away_does_not_stop_the_run(museum, stocked):
    process = script(museum, "pipeline", "--push", *museum.source_flags, *museum.database_flags)
    process.stdout.close()
    with process.stderr:
        err = process.stderr.read()
    assert process.wait(timeout=60) == 0
    assert err == ""
    assert museum.count("review") == 2


def test_a_database_that_goes_away_in_the_middle_is_one_clear_line(museum, stocked):
    with closing(connect(museum.database, "blocker")) as blocker, blocker.cursor() as cursor:
        cursor.execute("lock table review in access exclusive mode")
        process = script(museum, "pipeline", "--push", *museum.source_flags, *museum.database_flags)
        deadline = time.monotonic() + 30
        waiting: list[tuple[int]] = []
        while time.monotonic() < deadline and not waiting:
            waiting = museum.query("select pid from pg_locks where not granted")
            time.sleep(0.05)
        museum.query("select pg_terminate_backend(%s)", waiting[0])
        out, err = process.communicate(timeout=30)
        assert process.returncode == 1, err
        assert err == ""
        assert out.splitlines()[-1].startswith("error: loading: ")
        blocker.rollback()
    assert museum.count("review") == 0
    assert museum.run_all().exit_code == 0
    assert museum.query("select status, count(*) from meta.ingestion_runs group by 1 order by 1") == [
        ("completed", 1),
        ("failed", 1),
    ]


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_during_the_merge_is_a_signal_s_exit(tmp_path, number, exit_code):
    program = (
        "import duckdb, logging, os, signal, threading; from etlkit.command import run_command; "
        f"query = 'copy (select range, random() from range(3000000000)) to $${tmp_path}/merged.csv$$ (format csv)'; "
        f"timer = threading.Timer(0.3, os.kill, (os.getpid(), {int(number)})); "
        "body = lambda: timer.start() or duckdb.sql(query).fetchone(); "
        "raise SystemExit(run_command(body, logging.getLogger('x'), report=lambda code, message: print(code, message)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_DIR, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert done.stdout == f"{exit_code} stopped by {number.name}; everything open was rolled back\n"


def test_a_password_in_the_endpoint_is_shown_nowhere(museum, bucket):
    museum.source_flags[3] = "http://user:hunter22@127.0.0.1:1"
    result = museum.run_all()
    assert result.exit_code == 1
    history = museum.query("select error_message from meta.ingestion_runs")
    assert (
        "hunter22"
        not in json.dumps(result.figures) + "".join(result.lines) + str(history) + museum.log_file.read_text()
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MUSEUM_OPENING_TIME", "08:45+01:00"),
        ("MUSEUM_FUTURE_TOLERANCE_SECONDS", "inf"),
        ("MUSEUM_FUTURE_TOLERANCE_SECONDS", "-1"),
        ("MUSEUM_REJECT_OUT_OF_HOURS", "perhaps"),
        ("MUSEUM_KEY_PREFIX", "../x"),
        ("MUSEUM_LOG_LEVEL", "LOUD"),
    ],
)
def test_a_wrong_setting_is_named(museum, monkeypatch, capsys, name, value):
    monkeypatch.setenv(name, value)
    assert pipeline.main(["--data-dir", str(museum.data_dir)]) == 2
    error = capsys.readouterr().err
    assert name in error
    assert repr(value) in error


def test_an_env_file_that_is_no_text_is_a_settings_error(museum, monkeypatch, tmp_path, capsys):
    (tmp_path / "bad.env").write_bytes(b"DB_HOST=\xff\xfe\n")
    monkeypatch.setattr("museum.settings.ENV_FILE", tmp_path / "bad.env")
    assert pipeline.main(["--data-dir", str(museum.data_dir)]) == 2
    assert "bad.env" in capsys.readouterr().err


def test_the_end_of_time_is_a_now_too(museum):
    museum.exhibition(1)
    museum.kiosk(0, "2999-01-01 10:00:00,1,3,")
    assert museum.push("--now", "9999-12-31T23:59:59.999999+00:00").exit_code == 0


def test_what_needs_a_look_is_said_in_every_run_also_to_cron(museum):
    museum.exhibition(1)
    museum.kiosk(0, f"{DAY} 10:00:00,1,3,", "x,1,3,")
    museum.write("lmnh_hist_data_1.csv", "at;site;val;type\n")
    first = museum.push("--log-level", "WARNING")
    assert first.exit_code == 3
    assert first.lines[-1].startswith("Loaded 1 rows, 2 rejected.")
    second = museum.push("--log-level", "WARNING")
    assert second.exit_code == 0
    for result in (first, second):
        assert any("lmnh_hist_data_1.csv" in line and "commas" in line for line in result.lines)
    museum.write("lmnh_hist_data_1.csv", HEADER)
    assert museum.push("--log-level", "WARNING").lines == []


def test_a_folder_without_kiosk_files_is_worth_a_warning(museum):
    museum.exhibition(1)
    result = museum.push()
    assert result.exit_code == 0
    assert any("lmnh_hist_data_N.csv" in line for line in result.lines if line.startswith("warning"))


def test_hours_that_hold_no_moment_are_a_settings_error(museum, monkeypatch, capsys):
    monkeypatch.setenv("MUSEUM_OPENING_TIME", "19:00")
    assert pipeline.main(["--data-dir", str(museum.data_dir)]) == 2
    assert "MUSEUM_OPENING_TIME must lie before MUSEUM_CLOSING_TIME" in capsys.readouterr().err


def test_a_missing_env_file_is_pointed_out(museum, monkeypatch, capsys):
    monkeypatch.delenv("DB_PASSWORD")
    assert pipeline.main(["--push", "--data-dir", str(museum.data_dir)]) == 2
    assert "copy .env.example" in capsys.readouterr().err


def test_two_places_for_the_database_are_one_too_many(capsys):
    with pytest.raises(SystemExit) as ended:
        pipeline.main(["--push", "--embedded", "--db-host", "db.example.org"])
    assert ended.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err
