"""Settings: where they come from, and what is said about missing and wrong ones."""

from __future__ import annotations

import os
import traceback

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field, SecretStr, ValidationError

from etlkit.errors import ConfigError
from etlkit.settings import (
    SSL_MODES,
    DatabaseSettings,
    Settings,
    load_settings,
    setting_names,
    unknown_settings,
    warning_of_readers,
)

COMPLETE = {"DB_HOST": "db.example.org", "DB_NAME": "museum", "DB_USER": "loader", "DB_PASSWORD": "hunter22-of-the-env"}


class BucketSettings(Settings):
    """Another system's settings, to be loaded beside the database's."""

    bucket_name: str
    bucket_limit: int = 10
    bucket_token: SecretStr = Field(default=SecretStr("not-a-secret"), min_length=12)


@pytest.fixture
def environment(monkeypatch):
    """The environment with all that a database needs; return how to change it."""
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def load(flags=None, env_file=None) -> DatabaseSettings:
    return load_settings((DatabaseSettings,), flags or {}, env_file)[0]


def refusal(*classes, flags=None, env_file=None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(classes or (DatabaseSettings,), flags or {}, env_file)
    return str(caught.value)


def test_the_environment_is_enough(environment):
    settings = load()
    assert (settings.db_host, settings.db_name, settings.db_user) == ("db.example.org", "museum", "loader")
    assert settings.db_password.get_secret_value() == "hunter22-of-the-env"
    assert settings.db_port == 5432


def test_every_missing_setting_is_named_in_one_line():
    message = refusal()
    assert "missing settings: DB_HOST, DB_NAME, DB_USER, DB_PASSWORD." in message
    assert "Nothing was touched" in message
    assert "\n" not in message


def test_missing_settings_of_all_classes_are_named_at_once():
    message = refusal(DatabaseSettings, BucketSettings)
    assert "missing settings: DB_HOST, DB_NAME, DB_USER, DB_PASSWORD, BUCKET_NAME." in message


def test_missing_and_wrong_settings_are_named_at_once(environment):
    environment.delenv("DB_USER")
    environment.setenv("DB_PORT", "abc")
    environment.setenv("DB_SSLMODE", "maybe")
    environment.setenv("BUCKET_LIMIT", "many")
    message = refusal(DatabaseSettings, BucketSettings)
    for part in ("missing settings: DB_USER, BUCKET_NAME", "DB_PORT is 'abc'", "DB_SSLMODE is 'maybe'"):
        assert part in message
    assert "BUCKET_LIMIT is 'many'" in message
    assert "\n" not in message


def test_a_setting_that_two_classes_miss_is_named_once():
    class Copy(DatabaseSettings):
        """The same names again."""

    assert refusal(DatabaseSettings, Copy).count("DB_HOST") == 1


def test_the_message_says_which_file_was_looked_at(tmp_path):
    assert f"Set them in the environment or {tmp_path / '.env'}" in refusal(env_file=tmp_path / ".env")
    assert "Set them in the environment, or by a flag" in refusal()


def test_an_empty_variable_counts_as_absent(environment):
    environment.setenv("DB_USER", "")
    environment.setenv("DB_PORT", "")
    assert "missing settings: DB_USER." in refusal()


def test_an_empty_line_of_the_file_counts_as_absent(environment, tmp_path):
    environment.delenv("DB_USER")
    (tmp_path / ".env").write_text("DB_USER=\nDB_PORT=\n")
    assert "missing settings: DB_USER." in refusal(env_file=tmp_path / ".env")


def test_the_file_is_enough(tmp_path):
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in COMPLETE.items()))
    assert load(env_file=tmp_path / ".env").db_host == "db.example.org"


def test_the_environment_beats_the_file(environment, tmp_path):
    (tmp_path / ".env").write_text("DB_HOST=file.example.org\nDB_PORT=6000\n")
    settings = load(env_file=tmp_path / ".env")
    assert (settings.db_host, settings.db_port) == ("db.example.org", 6000)


def test_a_variable_that_is_set_to_nothing_hides_the_file_and_leaves_the_default(environment, tmp_path):
    environment.setenv("DB_PORT", "")
    environment.setenv("DB_SSLMODE", "")
    (tmp_path / ".env").write_text("DB_PORT=6000\nDB_SSLMODE=disable\n")
    settings = load(env_file=tmp_path / ".env")
    assert (settings.db_port, settings.db_sslmode) == (5432, None)


def test_a_required_variable_that_is_set_to_nothing_is_missing_whatever_the_file_says(environment, tmp_path):
    environment.setenv("DB_HOST", "")
    (tmp_path / ".env").write_text("DB_HOST=file.example.org\n")
    message = refusal(env_file=tmp_path / ".env")
    assert "missing settings: DB_HOST. In the environment DB_HOST is set to nothing. " in message
    assert load({"db_host": "flag.example.org"}, tmp_path / ".env").db_host == "flag.example.org"


PASSWORDS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)


@given(password=PASSWORDS)
@example(password="pa${x}ss")
@example(password="p'a\\'s\\\\s")
@example(password="a # b")
def test_a_quoted_password_is_read_from_the_file_as_it_was_meant(tmp_path_factory, password):
    path = tmp_path_factory.getbasetemp() / "quoted.env"
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    path.write_text(f"DB_HOST=h\nDB_NAME=n\nDB_USER=u\nDB_PASSWORD='{quoted}'\n", encoding="utf-8")
    assert load(env_file=path).db_password.get_secret_value() == password


def test_a_value_without_quotes_is_read_to_the_letter_up_to_a_comment(environment, tmp_path):
    environment.setenv("x", "of the environment")
    environment.delenv("DB_PASSWORD")
    (tmp_path / ".env").write_text("DB_PASSWORD=a$x${x}\\n'\"#b # a comment\n")
    assert load(env_file=tmp_path / ".env").db_password.get_secret_value() == "a$x${x}\\n'\"#b"


def test_the_mark_that_some_editors_put_before_the_first_line_is_none_of_its_name(tmp_path):
    text = "".join(f"{name}={value}\n" for name, value in COMPLETE.items())
    (tmp_path / ".env").write_text(text, encoding="utf-8-sig")
    assert load(env_file=tmp_path / ".env").db_host == "db.example.org"


def test_a_line_of_the_file_that_is_no_setting_is_named_and_not_shown(environment, tmp_path, caplog):
    (tmp_path / ".env").write_text("DB_PORT=1\nDB_PASSWORD='hunter22\n")
    message = refusal(env_file=tmp_path / ".env")
    assert f"{tmp_path / '.env'} is not understood in line 2. " in message
    assert "hunter22" not in message + caplog.text


def test_a_secret_may_stand_in_a_file_where_it_stands_nowhere_else(environment, tmp_path):
    (tmp_path / "secret").write_text("of-the-secret-file\n")
    environment.setenv("DB_PASSWORD_FILE", str(tmp_path / "secret"))
    assert load().db_password.get_secret_value() == "hunter22-of-the-env"
    environment.setenv("DB_PASSWORD", "")
    assert load().db_password.get_secret_value() == "of-the-secret-file"
    environment.setenv("DB_PASSWORD_FILE", str(tmp_path / "absent"))
    assert "DB_PASSWORD_FILE names a file that cannot be read" in refusal()


def test_a_name_that_nobody_knows_is_told_with_the_near_one(environment, tmp_path):
    path = tmp_path / ".env"
    path.write_text("BUCKET_LIMITS=1\nBUCKETNAME=x\nBUCKET_TOKEN_FILE=x\nSOMETHING_ELSE=1\nDB_EMPTY=\n")
    environment.setenv("DB_HOTS", "db.example.org")
    environment.setenv("BUCKETS_NAME", "of somebody else")
    assert unknown_settings(setting_names((DatabaseSettings, BucketSettings)), ("DB_",), path) == [
        "unknown setting BUCKETNAME in .env; did you mean BUCKET_NAME?",
        "unknown setting BUCKET_LIMITS in .env; did you mean BUCKET_LIMIT?",
        "unknown setting DB_HOTS in the environment; did you mean DB_HOST?",
    ]
    environment.setenv("DB_HOTS", "")
    environment.setenv("DB_WATER", "")
    assert (
        unknown_settings(setting_names((DatabaseSettings,)), ("DB_",), None)[-1]
        == "unknown setting DB_WATER in the environment"
    )


def test_a_flag_beats_the_environment_and_the_file(environment, tmp_path):
    (tmp_path / ".env").write_text("DB_HOST=file.example.org\n")
    assert load({"db_host": "flag.example.org"}, tmp_path / ".env").db_host == "flag.example.org"


def test_a_flag_that_was_not_given_hides_nothing(environment):
    assert load({"db_host": None, "db_port": None}).db_host == "db.example.org"


def test_flags_of_other_programs_do_no_harm(environment):
    assert load({"limit": 3}).db_host == "db.example.org"


def test_no_file_is_read_unless_it_is_named(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in COMPLETE.items()))
    monkeypatch.chdir(tmp_path)
    assert "missing settings: DB_HOST" in refusal()


def test_unknown_lines_of_the_file_are_ignored(environment, tmp_path):
    (tmp_path / ".env").write_text("SOMETHING_ELSE=1\n")
    assert load(env_file=tmp_path / ".env").db_host == "db.example.org"


def test_settings_come_back_in_the_order_of_their_classes(environment):
    environment.setenv("BUCKET_NAME", "b")
    bucket, database = load_settings((BucketSettings, DatabaseSettings), {}, None)
    assert (bucket.bucket_name, database.db_name) == ("b", "museum")


def test_settings_cannot_be_changed(environment):
    with pytest.raises(ValidationError, match="frozen"):
        load().db_host = "other"


@pytest.mark.parametrize("port", ["abc", "0", "-1", "65536", "5432.5", "5432 5433"])
def test_a_wrong_port_is_quoted_with_what_is_valid(environment, port):
    environment.setenv("DB_PORT", port)
    assert f"DB_PORT is '{port}', expected a number from 1 to 65535" in refusal()


@pytest.mark.parametrize("port", ["1", "5432", "65535"])
def test_a_port_may_be_any_that_exists(environment, port):
    environment.setenv("DB_PORT", port)
    assert load().db_port == int(port)


@pytest.mark.parametrize("mode", ["on", "REQUIRE", "require ", "disable\nallow", "xrequire", "require|allow"])
def test_a_wrong_sslmode_is_answered_with_the_valid_ones(environment, mode):
    environment.setenv("DB_SSLMODE", mode)
    message = refusal()
    assert f"DB_SSLMODE is {mode!r}, expected one of {', '.join(SSL_MODES)}" in message
    assert "\n" not in message


def test_a_password_is_in_no_message_about_other_settings(environment):
    environment.setenv("DB_PORT", "abc")
    environment.delenv("DB_NAME")
    with pytest.raises(ConfigError) as caught:
        load()
    assert "hunter22" not in "".join(traceback.format_exception(caught.value))


def test_a_wrong_secret_is_named_without_its_value(monkeypatch):
    monkeypatch.setenv("BUCKET_NAME", "b")
    monkeypatch.setenv("BUCKET_TOKEN", "hunter22")
    with pytest.raises(ConfigError, match="BUCKET_TOKEN is wrong: ") as caught:
        load_settings((BucketSettings,), {}, None)
    assert "hunter22" not in "".join(traceback.format_exception(caught.value))


def test_a_password_is_not_shown_by_printing_the_settings(environment):
    settings = load()
    assert "hunter22" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_a_password_is_taken_to_the_letter(environment):
    environment.setenv("DB_PASSWORD", "a'b\"c $HOME # d\\e%41 é")
    assert load().db_password.get_secret_value() == "a'b\"c $HOME # d\\e%41 é"


@pytest.mark.parametrize(
    ("host", "mode"),
    [
        ("localhost", "prefer"),
        ("127.0.0.1", "prefer"),
        ("127.8.9.10", "prefer"),
        ("::1", "prefer"),
        ("/var/run/postgresql", "prefer"),
        ("embedded", "prefer"),
        ("localhost.evil.com", "require"),
        ("localhostage", "require"),
        ("127.0.0.1.evil.com", "require"),
        ("127.0.0.1,db.example.org", "require"),
        ("128.0.0.1", "require"),
        ("126.255.255.255", "require"),
        ("10.0.0.5", "require"),
        ("192.168.1.1", "require"),
        ("::2", "require"),
        ("db.example.org", "require"),
        ("embedded.example.org", "require"),
        ("./socket", "require"),
    ],
)
def test_only_a_socket_and_loopback_go_without_tls(environment, host, mode):
    environment.setenv("DB_HOST", host)
    settings = load()
    assert settings.sslmode == mode
    assert settings.is_local == (mode == "prefer")


@pytest.mark.parametrize("host", ["127.0.0.1", "db.example.org"])
@pytest.mark.parametrize("mode", SSL_MODES)
def test_sslmode_is_what_the_user_says(environment, host, mode):
    environment.setenv("DB_HOST", host)
    environment.setenv("DB_SSLMODE", mode)
    assert load().sslmode == mode


@pytest.mark.parametrize(("host", "mode"), [("db.example.org", "verify-full"), ("127.0.0.1", "prefer")])
def test_an_authority_is_there_to_verify_by(environment, host, mode):
    environment.setenv("DB_HOST", host)
    environment.setenv("DB_SSLROOTCERT", "/etc/ssl/authority.pem")
    assert load().sslmode == mode
    environment.setenv("DB_SSLMODE", "require")
    assert load().sslmode == "require"


def test_a_socket_needs_no_password(environment):
    environment.setenv("DB_HOST", "/var/run/postgresql")
    environment.delenv("DB_PASSWORD")
    assert load().db_password.get_secret_value() == ""


def test_a_socket_uses_the_password_that_is_given(environment):
    environment.setenv("DB_HOST", "/var/run/postgresql")
    assert load().db_password.get_secret_value() == "hunter22-of-the-env"


def test_loopback_needs_a_password(environment):
    environment.setenv("DB_HOST", "127.0.0.1")
    environment.delenv("DB_PASSWORD")
    assert "missing settings: DB_PASSWORD." in refusal()


class OwnDatabase(DatabaseSettings):
    embedded_database = "own"


def test_the_embedded_server_needs_nothing_but_a_database():
    with pytest.raises(ConfigError, match=r"missing settings: DB_NAME\."):
        load({"db_host": "embedded"})
    (settings,) = load_settings((OwnDatabase,), {"db_host": "embedded"}, None)
    assert settings.is_embedded
    assert (settings.db_name, settings.db_user) == ("own", "etl")
    assert settings.db_password.get_secret_value() == ""
    assert load_settings((OwnDatabase,), {"db_host": "embedded", "db_name": "other"}, None)[0].db_name == "other"


def test_the_embedded_server_takes_another_database(environment):
    environment.setenv("DB_HOST", "embedded")
    environment.setenv("DB_NAME", "other")
    assert load().db_name == "other"


def test_the_embedded_server_is_not_given_the_password_of_another(environment):
    settings = load({"db_host": "embedded"})
    assert settings.db_user == "etl"
    assert settings.db_password.get_secret_value() == ""


def test_no_server_is_embedded_unless_it_is_asked_for(environment):
    assert not load().is_embedded


@pytest.fixture
def env_file(tmp_path):
    """A settings file of an ordinary user's, whoever runs the tests."""
    path = tmp_path / ".env"
    path.write_text("DB_PASSWORD=hunter22\n")
    if os.geteuid() == 0:
        os.chown(path, 65_534, -1)
    return path


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o666, 0o640 | 0o004])
def test_a_file_that_everybody_reads_is_warned_of(env_file, mode):
    env_file.chmod(mode)
    assert warning_of_readers(env_file) == (
        f"others on this machine may read or change {env_file}, where passwords are kept: chmod 600 {env_file}"
    )


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o660])
def test_a_file_of_ours_and_our_group_s_is_not(env_file, mode):
    env_file.chmod(mode)
    assert warning_of_readers(env_file) is None


@pytest.mark.parametrize("mode", [0o640, 0o620])
def test_a_file_that_a_foreign_group_reads_is_warned_of(env_file, mode, monkeypatch):
    env_file.chmod(mode)
    monkeypatch.setattr("os.getegid", lambda: env_file.stat().st_gid + 1)
    monkeypatch.setattr("os.getgroups", list)
    assert str(env_file) in warning_of_readers(env_file)


def test_a_file_that_is_not_there_is_not_warned_of(tmp_path):
    assert warning_of_readers(tmp_path / ".env") is None
