"""The machine of terraform_db, and the desk that it is prepared from: its scripts, units and set-up; AWS is played."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import boto3
import pytest
from dotenv import dotenv_values
from museum_case import NO_SYSTEMD, NOT_ROOT, PROJECT_DIR, Museum, exhibition_json
from pydantic import SecretStr

from etlkit.errors import ConfigError
from etlkit.postgres import connect
from etlkit.testing import make_server_home
from etlkit.testing.tls import self_made_certificate, server_with_tls

TERRAFORM_DIR = PROJECT_DIR / "terraform_db"
MACHINE = TERRAFORM_DIR / "machine"
UNITS = sorted(MACHINE.glob("*.service"))
SCRIPTS = [*sorted(TERRAFORM_DIR.rglob("*.sh")), MACHINE / "museum", PROJECT_DIR / ".ci" / "run"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_pass_shellcheck(script):
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("shellcheck is missing; on Debian: apt-get install shellcheck")
    result = subprocess.run([program, str(script)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert os.access(script, os.X_OK)


def test_systemd_understands_the_units(tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip(NO_SYSTEMD)
    python = shutil.which("true")
    for unit in UNITS:
        text = unit.read_text().replace("User=museum", "User=root").replace("/opt/museum/.venv/bin/python", python)
        (tmp_path / unit.name).write_text(text.replace("/opt/museum", str(PROJECT_DIR)))
    units = sorted(map(str, tmp_path.glob("*.service")))
    assert len(units) == 4
    result = subprocess.run([program, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_may_do_no_more_than_it_needs(unit):
    lines = unit.read_text().splitlines()
    assert {"User=museum", "NoNewPrivileges=yes", "CapabilityBoundingSet=", "ProtectSystem=strict"} <= set(lines)
    is_alert = "alert@" in unit.name
    assert is_alert or any(re.fullmatch(r"MemoryMax=\d+[MG]", line) for line in lines)
    needs_aws = is_alert or unit.name == "museum-pipeline.service"
    assert ("IPAddressDeny=169.254.169.254 fd00:ec2::254" in lines) == (not needs_aws)
    # the home is writable for the programs, so that no file there may say what a program with the role runs
    assert not needs_aws or "AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null" in unit.read_text()


def test_what_cron_starts_has_the_unit_s_limits():
    (line,) = (line for line in (MACHINE / "museum.cron").read_text().splitlines() if not line.startswith("#"))
    assert line.endswith(" root systemctl start --no-block museum-pipeline.service")
    assert (
        "ExecStart=/opt/museum/terraform_db/machine/run_pipeline.sh"
        in (MACHINE / "museum-pipeline.service").read_text()
    )


STUBS = {
    "dnf": 'echo "dnf $*" >> "$STUB_HOME/stubs.log"',
    "systemctl": 'echo "systemctl $*" >> "$STUB_HOME/stubs.log"',
    "sleep": "exit 0",
    "aws": 'case "$*" in ssm*) cat "$STUB_HOME/settings.txt" ;; sns*) echo "$*" >> "$STUB_HOME/stubs.log" ;; '
    '*"--secret-id kafka"*) cat "$STUB_HOME/kafka.json" ;; *:owner-*) cat "$STUB_HOME/owner.json" ;; '
    '*) cat "$STUB_HOME/logins.json" ;; esac',
    "terraform": "/usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]], end=\"\")' "
    '"$STUB_HOME/outputs.json" "${!#}"',
    "curl": 'while [ "$1" != --output ]; do shift; done; cp "$STUB_HOME/authority.pem" "$2"',
}
"""AWS, its machine's own programs, and terraform's outputs; everything else is real."""
LOGINS = ("museum_pipeline", "museum_dashboard")


@pytest.fixture
def stubs(server_home) -> dict[str, str]:
    """The environment with the stubs, which answer with the files of the test's folder."""
    folder = server_home / "stubs"
    folder.mkdir()
    for name, body in STUBS.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    shutil.copy(self_made_certificate(server_home, "another")[0], server_home / "authority.pem")
    return {
        **os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "STUB_HOME": str(server_home),
        "AWS_REGION": "eu-west-2", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y",
    }  # fmt: skip


def run(command, environment, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), env=environment, cwd="/", capture_output=True, text=True, check=False, **more
    )


@pytest.mark.parametrize("ref", ["main", "v1.2.3", "0123456789ab", "", "no-such-version"])
def test_a_version_that_can_be_moved_is_not_set_up(stubs, server_home, ref):
    settings = {"REPOSITORY_URL": "https://example.org/x.git", "DB_HOST": "h", "DB_NAME": "d", "LOGINS_SECRET_ID": "l",
                "MUSEUM_CONF": str(server_home / "conf"), "ALERT_TOPIC_ARN": "arn:of:alerts"}  # fmt: skip
    ended = run([MACHINE / "setup.sh"], {**stubs, **settings, "REPOSITORY_REF": ref})
    assert ended.returncode == 2
    assert f"REPOSITORY_REF is '{ref}', expected the full hash of a commit" in ended.stdout
    assert "Nothing was touched." in ended.stdout
    assert not (server_home / "conf").exists()
    assert "expected the full hash" in (server_home / "stubs.log").read_text(), "the alarm topic hears of it, too"


@pytest.mark.parametrize("answer", ["", "<html>not today</html>"])
def test_what_is_no_certificate_replaces_none(stubs, server_home, answer):
    file = server_home / "rds-ca.pem"
    assert run([TERRAFORM_DIR / "fetch_rds_ca.sh", file], stubs).returncode == 0
    fetched = (server_home / "authority.pem").read_text()
    assert (file.read_text(), file.stat().st_mode & 0o777) == (fetched, 0o644)
    (server_home / "authority.pem").write_text(answer)
    assert run([TERRAFORM_DIR / "fetch_rds_ca.sh", file], stubs).returncode != 0
    assert file.read_text() == fetched
    assert list(server_home.glob("rds-ca.pem.*")) == []


class Desk:
    """Where terraform ran: its outputs, AWS's secrets (moto), and the scripts of a clone."""

    def __init__(self, museum: Museum, folder: Path, endpoint: str, environment: dict[str, str]) -> None:
        self.museum, self._folder = museum, folder
        self.secrets = boto3.client(
            "secretsmanager", endpoint_url=endpoint, region_name="eu-west-2", aws_access_key_id="x",
            aws_secret_access_key="y",
        )  # fmt: skip
        database = museum.database
        owner = json.dumps({"username": database.db_user, "password": database.db_password.get_secret_value()})
        (folder / "owner.json").write_text(owner)
        name = database.db_name
        self.logins_id = self.secrets.create_secret(Name=f"logins-{name}")["ARN"]
        outputs = {
            "db_host": database.db_host,
            "db_name": name,
            "db_secret_id": self.secrets.create_secret(Name=f"owner-{name}", SecretString=owner)["ARN"],
            "logins_secret_id": self.logins_id,
        }
        (folder / "outputs.json").write_text(json.dumps(outputs))
        self.clone = folder / "desk"
        shutil.copytree(
            PROJECT_DIR, self.clone, symlinks=True,
            ignore=shutil.ignore_patterns(".git", ".local", ".venv", "tests", "systems", ".env"),
        )  # fmt: skip
        (self.clone / "terraform_db" / ".terraform").mkdir(exist_ok=True)
        self.environment = {
            **environment, "AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint, "DB_PORT": str(database.db_port),
            "MUSEUM_LOG_FILE": str(folder / "desk.log"),
        }  # fmt: skip
        for name in ("DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD"):
            self.environment.pop(name, None)

    def prepare(self, *flags: str) -> str:
        """Run prepare_database.py; return what it said."""
        ended = run([sys.executable, self.clone / "terraform_db" / "prepare_database.py", *flags], self.environment)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    def passwords(self) -> dict[str, str]:
        """Return the logins' passwords as the secret keeps them, and let the machine's stub answer with them."""
        text = self.secrets.get_secret_value(SecretId=self.logins_id)["SecretString"]
        (self._folder / "logins.json").write_text(text)
        return json.loads(text)

    def lets_in(self, login: str, password: str) -> bool:
        """Tell whether the database lets a login in."""
        changes = {"db_user": login, "db_password": SecretStr(password)}
        with suppress(ConfigError):
            connect(self.museum.database.model_copy(update=changes), "test").close()
            return True
        return False


@pytest.fixture(scope="module")
def tls_server():
    """A server as RDS is: with TLS, and a name in its certificate."""
    home = make_server_home("rds")
    with server_with_tls(home) as opened:
        yield opened
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def desk(museum, server_home, s3_endpoint, stubs, tls_server):
    """The desk of an empty database on it."""
    server, certificate = tls_server
    museum.database = server.ensure_database(museum.database.db_name).model_copy(update={"db_host": "localhost"})
    shutil.copy(certificate, server_home / "authority.pem")
    return Desk(museum, server_home, s3_endpoint, stubs)


def test_the_database_is_prepared_from_the_desk_and_again(desk):
    said = desk.prepare()
    first = desk.passwords()
    assert sorted(first) == sorted(LOGINS)
    assert all(desk.lets_in(*login) for login in first.items())
    said += desk.prepare()
    assert desk.passwords() == first, "the programs on the machine know them"
    assert all(desk.lets_in(*login) for login in first.items())
    assert not any(word in said for word in first.values())
    with closing(connect(desk.museum.database, "test")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select m.rolname, array_agg(g.rolname::text) from pg_roles m join pg_auth_members a on a.member = m.oid "
            "join pg_roles g on g.oid = a.roleid where m.rolname = any(%s) and not m.rolsuper and not m.rolcreaterole "
            "and not m.rolcreatedb group by 1",
            (list(LOGINS),),
        )
        assert dict(cursor.fetchall()) == {
            "museum_pipeline": ["museum_loader"],
            "museum_dashboard": ["museum_reader"],
        }


def test_a_secret_that_is_closed_to_us_is_told_and_no_login_made(desk):
    desk.secrets.delete_secret(SecretId=desk.logins_id, RecoveryWindowInDays=7)
    ended = run([sys.executable, desk.clone / "terraform_db" / "prepare_database.py"], desk.environment)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(f"the logins' secret {desk.logins_id} cannot be read: ")
    assert last.endswith("Nothing was touched.")


def test_psql_is_the_owner_s_too(desk):
    command = [desk.clone / "terraform_db" / "as_owner.sh", "psql", "-Atc", "select current_user, ssl from pg_stat_ssl"]
    ended = run([*command[:-1], f"{command[-1]} where pid = pg_backend_pid()"], desk.environment)
    assert ended.stdout == f"{desk.museum.database.db_user}|t\n", ended.stderr


@pytest.mark.parametrize("said", ["", "require"])
def test_the_owner_speaks_to_the_right_server_only(desk, server_home, said):
    shutil.copy(self_made_certificate(server_home, "imposter")[0], server_home / "authority.pem")
    as_owner = desk.clone / "terraform_db" / "as_owner.sh"
    environment = {**desk.environment, "DB_SSLMODE": said, "PGSSLMODE": said}
    ended = run([as_owner, sys.executable, desk.clone / "load.py", "--apply-schema"], environment)
    assert (ended.returncode, "certificate verify failed" in ended.stdout + ended.stderr) == (2, True)
    ended = run([as_owner, "psql", "-Atc", "select 1"], environment)
    assert (ended.returncode, "certificate verify failed" in ended.stderr) == (2, True)


@pytest.mark.full
@pytest.mark.skipif(os.geteuid() != 0, reason=NOT_ROOT)
def test_the_machine_s_script_sets_a_machine_up_and_again(  # noqa: PLR0915 - one machine's story
    museum: Museum, bucket, server_home, s3_endpoint, desk, stubs
):
    """As root: clone, environment, settings, commands, cron and units; only AWS is played."""
    units, cron, home = (server_home / name for name in ("units", "cron", "home"))
    for folder in (units, cron):
        folder.mkdir()
    log = server_home / "stubs.log"
    source = server_home / "source.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(PROJECT_DIR), str(source)], check=True)
    commit = subprocess.run(
        ["git", "-C", str(source), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    subprocess.run(["git", "-C", str(source), "branch", commit, "HEAD~1"], check=True)  # a branch that looks like it
    bucket.put("lmnh_exhibition_room0.json", exhibition_json(0))
    bucket.put("lmnh_hist_data_0.csv", "at,site,val,type\n2023-03-06 10:00:00,0,3,\n")
    secret = {"username": "kafka user", "password": "it's $ecret\\\\"}
    (server_home / "kafka.json").write_text(json.dumps(secret))
    settings = {
        "REPOSITORY_URL": source, "REPOSITORY_REF": commit, "DB_HOST": museum.database.db_host,
        "DB_NAME": museum.database.db_name, "LOGINS_SECRET_ID": "logins", "MUSEUM_BUCKET": bucket.name,
        "MUSEUM_KEY_PREFIX": "lmnh", "MUSEUM_NAME": "A museum's own name",
        "BOOTSTRAP_SERVERS": "broker.example.org:9092", "SECURITY_PROTOCOL": "SASL_SSL",
        "SASL_MECHANISM": "PLAIN", "KAFKA_TOPIC": "lmnh", "KAFKA_SECRET_ID": "kafka",
        "ALERT_TOPIC_ARN": "arn:aws:sns:eu-west-2:1:museum",
    }  # fmt: skip
    parameter = server_home / "settings.txt"
    parameter.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    conf, data, commands = server_home / "conf", server_home / "data", server_home / "commands"
    commands.mkdir()
    environment = {
        **stubs, "SETTINGS_PARAMETER": "/museum/machine", "PYTHON": "/usr/bin/python3", "LOGIN_TRIES": "2",
        "MUSEUM_HOME": str(home), "MUSEUM_DATA": str(data), "MUSEUM_CONF": str(conf), "MUSEUM_USER": "nobody",
        "UNIT_DIR": str(units), "CRON_DIR": str(cron), "COMMAND_DIR": str(commands),
        "DB_PORT": str(museum.database.db_port), "MUSEUM_ENDPOINT_URL": s3_endpoint,
    }  # fmt: skip
    environment.pop("DB_PASSWORD", None)
    of_the_set_up = ("DB_", "MUSEUM_HOME", "MUSEUM_DATA", "MUSEUM_CONF", "MUSEUM_USER")
    daily = {name: value for name, value in environment.items() if not name.startswith(of_the_set_up)}

    def set_up() -> None:
        ended = run([MACHINE / "setup.sh"], environment)
        said = ended.stdout + ended.stderr
        assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "museum set-up: done"), said

    def museum_command(*words: str) -> subprocess.CompletedProcess[str]:
        return run([commands / "museum", *words], daily)

    waiting = run([MACHINE / "setup.sh"], environment)
    assert waiting.returncode != 0
    assert log.read_text().count("waiting for the database's logins: run terraform_db/prepare_database.py") == 1
    assert "failed in line" in log.read_text()

    desk.prepare()
    passwords = desk.passwords()
    set_up()
    env_file = home / ".env"
    first = dotenv_values(env_file, interpolate=False)
    assert (env_file.stat().st_mode & 0o777, env_file.stat().st_uid) == (0o640, 0)
    assert (first["KAFKA_PASSWORD"], first["MUSEUM_NAME"]) == (secret["password"], "A museum's own name")
    assert (first["DB_USER"], first["DB_PASSWORD"]) == ("museum_pipeline", passwords["museum_pipeline"])
    assert first["MUSEUM_READER_PASSWORD"] == passwords["museum_dashboard"]
    assert (first["DB_SSLMODE"], first["DB_SSLROOTCERT"]) == ("verify-full", str(conf / "rds-ca.pem"))
    head = subprocess.run(["git", "-C", home, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert head.stdout.strip() == commit
    assert f"WorkingDirectory={home}\n" in (units / "museum-consumer.service").read_text()
    assert {path.name for path in units.iterdir()} == {unit.name for unit in UNITS}
    assert all("User=nobody\n" in path.read_text() for path in units.iterdir())
    assert (cron / "museum").read_text() == (MACHINE / "museum.cron").read_text()
    assert "systemctl restart museum-consumer.service" in log.read_text()
    assert "systemctl start --no-block museum-pipeline.service" in log.read_text()
    loaded = museum_command("pipeline.py", "--push", "--log-level", "WARNING")
    assert (loaded.returncode, loaded.stdout + loaded.stderr) == (0, "")
    assert museum.count("review") == 1
    report = museum_command("-m", "dashboard", "--export", str(data / "report.html"))
    assert report.returncode == 0, report.stdout
    assert "A museum&#39;s own name" in (data / "report.html").read_text()
    writable = subprocess.run(
        ["runuser", "-u", "nobody", "--", "find", str(home), "-writable", "-not", "-type", "l"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert writable.stdout == "", "the programs' user changes neither code nor settings"

    parameter.write_text(parameter.read_text().replace("broker.example.org:9092", ""))
    set_up()  # with other settings: the consumer goes
    assert "BOOTSTRAP_SERVERS" not in dotenv_values(env_file, interpolate=False)
    assert "systemctl disable --now museum-consumer.service" in log.read_text()
    assert museum_command("pipeline.py", "--push").returncode == 0

    desk.prepare("--new-passwords")
    assert not any(desk.lets_in(*login) for login in passwords.items())
    assert all(desk.lets_in(*login) for login in desk.passwords().items())
    assert museum_command("pipeline.py", "--push").returncode == 2, (
        "its settings are the old ones until it is set up again"
    )

    shutil.rmtree(home / ".venv" / "lib")  # broken off in the middle
    (home / ".env").unlink()
    set_up()
    assert museum_command("pipeline.py", "--push").returncode == 0

    log.unlink()
    absent = "0" * 40
    assert run([MACHINE / "setup.sh"], {**environment, "REPOSITORY_REF": absent}).returncode != 0
    assert "sns publish" in log.read_text()
    assert "failed in line" in log.read_text()
