"""Log lines: where they go, and what they never show."""

from __future__ import annotations

import io
import logging
import re
import weakref

import pytest

from etlkit import logs
from etlkit.logs import REDACTED, RedactingFormatter, close_handlers, configure_logging, redact

NAME = "etlkit-log-test"


@pytest.fixture
def console():
    """The console; the handlers of the test are closed after it."""
    yield io.StringIO()
    close_handlers(logging.getLogger(NAME))


def record(message, *arguments, level=logging.INFO, error=None):
    trace = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord(NAME, level, __file__, 1, message, arguments, trace)


def fail_for(cause, error):
    """Raise an error that another one caused."""
    try:
        raise cause
    except type(cause) as caught:
        raise error from caught


def test_a_secret_that_contains_another_goes_whole():
    formatter = RedactingFormatter("%(message)s", ["hunter", "hunter22"])
    assert formatter.format(record("logged in with hunter22")) == f"logged in with {REDACTED}"


def test_a_line_for_the_file_is_formatted_once_and_then_forgotten(console, tmp_path, monkeypatch):
    logger = configure_logging(NAME, tmp_path / "log", console=console)
    formatted, seen = [], []
    format_line = RedactingFormatter.format
    monkeypatch.setattr(
        RedactingFormatter, "format", lambda self, line: formatted.append(line.msg) or format_line(self, line)
    )
    logger.addFilter(lambda line: seen.append(weakref.ref(line)) or True)
    logger.debug("only for the file")
    assert formatted == ["only for the file"]
    assert [line() for line in seen] == [None]


def test_a_very_short_secret_does_not_blank_ordinary_text():
    assert RedactingFormatter("%(message)s", ["", "a", "row"]).format(record("a row")) == "a row"


@pytest.mark.parametrize(
    ("secret", "text", "expected"),
    [
        ("pass", "password authentication failed", "password authentication failed"),
        ("pass", "no bypass, DB_pass_2 or passé", "no bypass, DB_pass_2 or passé"),
        ("pass", 'database "pass" does not exist', 'database "***" does not exist'),
        ("pass", "u://me:pass@db key=pass (pass) pass, pass", "u://me:***@db key=*** (***) ***, ***"),
        ("pass", "at /a%2Fpass%20b, 'line\\npass\\n', '\\x00pass'", "at /a%2F***%20b, 'line\\n***\\n', '\\x00***'"),
        (
            "row",
            "a row of database \"row\" by 'row', u://me:row@db",
            "a row of database \"***\" by '***', u://me:***@db",
        ),
        ("p@ss", "xp@ssx", "x***x"),
        ("p@ss/wörd", "u://me:p%40ss%2Fw%C3%B6rd@db or p%40ss%2Fw%C3%B6rd", "u://me:***@db or ***"),
        ("it's\n", "{'a': \"it's\\n\"}", "{'a': \"***\"}"),
    ],
)
def test_a_secret_goes_as_a_whole_and_no_longer_word_betrays_it(secret, text, expected):
    assert redact(text, [secret]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://loader:hunter22@db.example.org/museum", "postgresql://loader:***@db.example.org/museum"),
        ("postgresql+psycopg2://loader:hunter22@db:5432/m", "postgresql+psycopg2://loader:***@db:5432/m"),
        ("redis://:hunter22@cache", "redis://:***@cache"),
        ("HTTPS://loader:hunter22@example.org", "HTTPS://loader:***@example.org"),
        ("from s3://k:hunter22@a to s3://k:hunter33@b", "from s3://k:***@a to s3://k:***@b"),
        ("https://example.org/?X-Amz-Signature=hunter22&x=1", "https://example.org/?X-Amz-Signature=***&x=1"),
        ("https://example.org/?api_token=hunter22", "https://example.org/?api_token=***"),
        ("host=db password=hunter22 dbname=m", "host=db password=*** dbname=m"),
        ("DB_PASSWORD=hunter22", "DB_PASSWORD=***"),
        ("GET https://a.org/oauth/token: check the login", "GET https://a.org/oauth/token: check the login"),
        ("AWS_SECRET_ACCESS_KEY: hunter22", "AWS_SECRET_ACCESS_KEY: ***"),
        ("{'access_key': 'hunter22', 'b': 1}", "{'access_key': '***', 'b': 1}"),
        ("https://api.example/3/list?api_key=hunter22&page=1", "https://api.example/3/list?api_key=***&page=1"),
        ('{"clientSecret": "hunter22"}', '{"clientSecret": "***"}'),
    ],
)
def test_what_looks_like_a_secret_is_blanked_unknown_as_it_is(text, expected):
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org:8080/path",
        "s3://bucket/lmnh_hist_data_0.csv",
        "mail to someone@example.org",
        "2023-03-06 15:09:21: 3 rows",
        "Check DB_NAME, DB_USER and DB_PASSWORD. Nothing was touched.",
        "etl@127.0.0.1:5432/museum",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_arguments_are_redacted_like_the_message(console, tmp_path):
    logger = configure_logging(NAME, tmp_path / "a.log", console=console, secrets=["hunter22"])
    logger.info("logging in with %s at %s", "hunter22", "postgres://u:other33@db")
    for text in (console.getvalue(), (tmp_path / "a.log").read_text()):
        assert "logging in with *** at postgres://u:***@db" in text


def test_a_traceback_in_the_file_is_redacted(console, tmp_path):
    logger = configure_logging(NAME, tmp_path / "a.log", console=console, secrets=["hunter22"])
    try:
        fail_for(ValueError("the cause: hunter22"), RuntimeError("connecting to postgres://u:other33@db"))
    except RuntimeError:
        logger.exception("it failed")
    text = (tmp_path / "a.log").read_text()
    assert "Traceback" in text
    assert "ValueError: the cause: ***" in text
    assert "RuntimeError: connecting to postgres://u:***@db" in text
    assert "hunter22" not in text
    assert "other33" not in text


def test_a_traceback_stays_off_the_console(console, tmp_path):
    logger = configure_logging(NAME, tmp_path / "a.log", console=console)
    logger.error("it failed", exc_info=ValueError("details"))
    assert console.getvalue() == "error: it failed\n"


def test_the_console_shows_outcomes_and_the_file_everything(console, tmp_path):
    logger = configure_logging(NAME, tmp_path / "a.log", console=console)
    logger.debug("a detail")
    logger.info("an outcome")
    logger.warning("a doubt")
    assert console.getvalue() == "an outcome\nwarning: a doubt\n"
    lines = (tmp_path / "a.log").read_text().splitlines()
    assert [line.split(f"{NAME}: ")[1] for line in lines] == ["a detail", "an outcome", "a doubt"]


def test_the_console_can_be_made_quieter(console, tmp_path):
    logger = configure_logging(NAME, tmp_path / "a.log", console=console, level="ERROR")
    logger.warning("a doubt")
    assert console.getvalue() == ""
    assert "a doubt" in (tmp_path / "a.log").read_text()


def test_a_line_of_the_file_says_when_who_and_how_grave(console, tmp_path):
    configure_logging(NAME, tmp_path / "a.log", console=console).warning("a doubt")
    line = (tmp_path / "a.log").read_text()
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ \d+ WARNING {NAME}: a doubt\n", line)


def test_the_file_is_utf_8(console, tmp_path):
    configure_logging(NAME, tmp_path / "a.log", console=console).info("Müseum 博物館")
    assert "Müseum 博物館" in (tmp_path / "a.log").read_bytes().decode("utf-8")


def test_the_folder_of_the_file_is_made(console, tmp_path):
    configure_logging(NAME, tmp_path / "logs" / "museum" / "a.log", console=console).info("here")
    assert "here" in (tmp_path / "logs" / "museum" / "a.log").read_text()


def test_an_earlier_log_is_continued(console, tmp_path):
    (tmp_path / "a.log").write_text("yesterday\n")
    configure_logging(NAME, tmp_path / "a.log", console=console).info("today")
    assert (tmp_path / "a.log").read_text().startswith("yesterday\n")


def test_the_file_is_rotated_and_only_so_many_are_kept(console, tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "LOG_FILE_BYTES", 2_000)
    monkeypatch.setattr(logs, "LOG_FILE_BACKUPS", 2)
    logger = configure_logging(NAME, tmp_path / "a.log", console=console)
    for number in range(100):
        logger.debug("line %s %s", number, "x" * 50)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert all(path.stat().st_size <= 2_000 for path in tmp_path.iterdir())
    kept = "".join((tmp_path / name).read_text() for name in ("a.log.2", "a.log.1", "a.log"))
    numbers = [int(number) for number in re.findall(r"line (\d+) ", kept)]
    assert numbers == list(range(numbers[0], 100))


def test_log_files_are_limited():
    assert 0 < logs.LOG_FILE_BYTES <= 10_000_000
    assert 1 <= logs.LOG_FILE_BACKUPS <= 10


@pytest.mark.parametrize("where", ["folder", "file/a.log"])
def test_a_log_file_that_cannot_be_written_stops_nothing(console, tmp_path, where):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    logger = configure_logging(NAME, tmp_path / where, console=console)
    logger.info("the outcome")
    warning, outcome = console.getvalue().splitlines()
    assert warning.startswith(f"warning: log file {tmp_path / where} cannot be written (")
    assert outcome == "the outcome"


def test_configuring_again_does_not_double_the_lines(console, tmp_path):
    configure_logging(NAME, tmp_path / "old.log", console=io.StringIO())
    configure_logging(NAME, tmp_path / "a.log", console=console).info("once")
    assert console.getvalue() == "once\n"
    assert (tmp_path / "a.log").read_text().count("once") == 1
    assert (tmp_path / "old.log").read_text() == ""


def test_lines_do_not_reach_the_handlers_of_others(console, caplog):
    caplog.set_level(logging.DEBUG)
    configure_logging(NAME, None, console=console, secrets=["hunter22"]).info("hunter22")
    assert caplog.records == []


def test_without_a_file_there_is_the_console(console, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    configure_logging(NAME, None, console=console).info("here")
    assert console.getvalue() == "here\n"
    assert list(tmp_path.iterdir()) == []


def test_the_console_is_standard_output_unless_said_otherwise(capsys):
    configure_logging(NAME, None).info("here")
    close_handlers(logging.getLogger(NAME))
    assert capsys.readouterr().out == "here\n"


def test_closed_handlers_are_gone(console, tmp_path):
    logger = configure_logging(NAME, tmp_path / "a.log", console=console)
    on_disk = logger.handlers[1]
    close_handlers(logger)
    assert logger.handlers == []
    assert on_disk.stream is None
