"""The infrastructure's files: they parse, refuse what is unsafe, and the machine's set-up really sets a machine up.

Planning against AWS needs its provider and an account; docs/operations.md says how.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import boto3
import pytest
from dotenv import dotenv_values
from museum_case import NO_SYSTEMD, NO_TERRAFORM, NOT_ROOT, PROJECT_DIR, Museum, exhibition_json

from etlkit.postgres import connect

hcl2 = pytest.importorskip("hcl2", reason="python-hcl2 is not installed: pip install -r requirements-dev.txt")

TERRAFORM_DIR = PROJECT_DIR / "terraform_db"
FILES = sorted(TERRAFORM_DIR.glob("*.tf"))
MACHINE = TERRAFORM_DIR / "machine"
COMMANDS = ("museum", "museum-owner", "museum-psql")
SCRIPTS = [*sorted(MACHINE.glob("*.sh")), *(MACHINE / name for name in COMMANDS), PROJECT_DIR / ".ci" / "run"]
LARGEST_USER_DATA = 16_384


def unquoted(value):
    """Return what the parser gives without the quotes that it keeps."""
    if isinstance(value, dict):
        return {unquoted(key): unquoted(item) for key, item in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [unquoted(item) for item in value]
    return value.strip('"') if isinstance(value, str) else value


def blocks(kind: str) -> dict[str, dict]:
    """Return the blocks of a kind over all files, by their last name; of resources by type and name."""
    found = {}
    for path in FILES:
        with path.open() as file:
            for block in unquoted(hcl2.load(file)).get(kind, []):
                for name, body in block.items():
                    if kind in ("resource", "data"):
                        found |= {f"{name}.{inner}": fields for inner, fields in body.items()}
                    else:
                        found[name] = body
    return found


def terraform(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("terraform")
    if program is None:
        pytest.skip(NO_TERRAFORM)
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    environment.pop("TF_CLI_CONFIG_FILE", None)
    return subprocess.run(
        [program, f"-chdir={folder}", *words], env=environment, capture_output=True, text=True, check=False
    )


def test_the_files_are_there_and_parse():
    assert {"main.tf", "variables.tf", "outputs.tf"} <= {path.name for path in FILES}
    assert len(blocks("resource")) > 15
    assert {"db_host", "db_secret_id", "shell_command", "dashboard_command"} <= set(blocks("output"))


def test_the_files_are_formatted():
    result = terraform(TERRAFORM_DIR, "fmt", "-check", "-recursive", "-diff")
    assert result.returncode == 0, result.stdout


def test_the_database_is_safe_by_default():
    database = blocks("resource")["aws_db_instance.museum"]
    assert database["storage_encrypted"] is True
    assert database["manage_master_user_password"] is True
    assert database["skip_final_snapshot"] is False
    assert "password" not in database
    variables = blocks("variable")
    assert "default" not in variables["allowed_cidr_blocks"]
    assert variables["publicly_accessible"]["default"] is False
    assert variables["deletion_protection"]["default"] is True
    assert variables["backup_retention_days"]["default"] >= 7
    assert variables["run_pipeline"]["default"] is False
    assert (variables["instance_class"]["default"], variables["db_name"]["default"]) == ("db.t3.micro", "museum")
    parameters = blocks("resource")["aws_db_parameter_group.museum"]["parameter"]
    assert {"name": "rds.force_ssl", "value": "1"} in parameters
    ports = blocks("resource")["aws_vpc_security_group_ingress_rule.networks"]
    assert (ports["from_port"], ports["to_port"]) == (5432, 5432)


def test_nothing_comes_into_the_machine_and_its_metadata_need_a_token():
    resources = blocks("resource")
    into_machine = [
        name
        for name, body in resources.items()
        if "ingress" in name and "machine" in str(body.get("security_group_id"))
    ]
    assert into_machine == []
    machine = resources["aws_instance.machine"]
    assert machine["metadata_options"][0]["http_tokens"] == "required"
    assert "key_name" not in machine
    assert machine["root_block_device"][0]["encrypted"] is True


def test_every_variable_and_output_says_what_it_is():
    for name, body in (*blocks("variable").items(), *blocks("output").items()):
        assert len(body.get("description", "")) > 10, name


def test_every_exception_from_a_rule_has_a_reason():
    exceptions = re.findall(r"checkov:skip=(.*)", "\n".join(path.read_text() for path in FILES))
    assert exceptions
    for exception in exceptions:
        assert re.fullmatch(r"CKV_\w+:.{30,}", exception), exception


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"allowed_cidr_blocks": ["203.0.113.7/32", "10.0.0.0/8", "2001:db8::/48"]}, None),
        ({"allowed_cidr_blocks": []}, None),
        ({"allowed_cidr_blocks": ["0.0.0.0/0"]}, "must not open the database to the whole internet"),
        ({"allowed_cidr_blocks": ["203.0.113.7/32", "::/0"]}, "must not open the database to the whole internet"),
        ({"allowed_cidr_blocks": ["128.0.0.0/1"]}, "or to a large part of it"),
        ({"allowed_cidr_blocks": ["2a00::/8"]}, "or to a large part of it"),
        ({"allowed_cidr_blocks": ["203.0.113.7/24"]}, "by their first address"),
        ({"allowed_cidr_blocks": ["everybody"]}, "must be networks such as"),
        ({}, "No value for required variable"),
        ({"allowed_cidr_blocks": [], "backup_retention_days": 0}, "must be from 1 to 35"),
        ({"allowed_cidr_blocks": [], "name": "Museum!"}, "small letters"),
        ({"allowed_cidr_blocks": [], "name": "a-museum-of-a-very-long-name"}, "small letters"),
        ({"allowed_cidr_blocks": [], "engine_version": "14.9"}, "15 or newer"),
        ({"allowed_cidr_blocks": [], "repository_url": "git@example.org:x.git"}, "must begin with https"),
    ],
    ids=str,
)
def test_unsafe_values_are_refused(tmp_path, values, complaint):
    shutil.copy(TERRAFORM_DIR / "variables.tf", tmp_path)
    (tmp_path / "given.auto.tfvars.json").write_text(json.dumps(values))
    assert terraform(tmp_path, "init", "-backend=false", "-input=false").returncode == 0
    result = terraform(tmp_path, "plan", "-input=false", "-no-color")
    said = " ".join(re.sub(r"[│╷╵]", " ", result.stderr).split())
    assert (result.returncode == 0) == (complaint is None), said
    assert complaint is None or complaint in said


@pytest.mark.parametrize("email", [None, "data-team@example.org"])
@pytest.mark.parametrize("servers", ["", "one.example.org:9092, two.example.org:9093"])
def test_what_terraform_computes_for_the_machine(tmp_path, email, servers):
    """The locals of machine.tf, evaluated by terraform itself, with its own resources standing in for AWS's."""
    shutil.copy(TERRAFORM_DIR / "variables.tf", tmp_path)
    (tmp_path / "machine").symlink_to(MACHINE)
    text = (TERRAFORM_DIR / "machine.tf").read_text()
    computed = re.search(r"^locals \{.*?^\}", text, re.DOTALL | re.MULTILINE)[0]
    for name, stand_in in {
        r"aws_db_instance\.museum\.master_user_secret\[0\]\.secret_arn": '"arn:of:the:owner"',
        r"aws_db_instance\.museum\.address": '"db.example.org"',
        r"aws_ssm_parameter\.machine\[\*\]\.arn": "terraform_data.machine[*].id",
        r"aws_(sns_topic|kms_key)\.alerts\[(\*|0)\]\.arn": r"terraform_data.alerts[\2].id",
    }.items():
        computed, count = re.subn(name, stand_in, computed)
        assert count, name
    assert "aws_" not in computed
    (tmp_path / "main.tf").write_text(
        computed
        + """
resource "terraform_data" "machine" { count = local.machine_count }
resource "terraform_data" "alerts" { count = var.alert_email == null ? 0 : 1 }
output "policy" { value = jsonencode(local.machine_statements) }
output "ports" { value = jsonencode(local.kafka_ports) }
output "settings" { value = jsonencode(local.machine_settings) }
output "user_data" { value = local.user_data }
"""
    )
    values = {"allowed_cidr_blocks": [], "alert_email": email, "run_pipeline": True, "bootstrap_servers": servers}
    (tmp_path / "given.auto.tfvars.json").write_text(json.dumps(values))
    assert terraform(tmp_path, "init", "-backend=false", "-input=false").returncode == 0
    applied = terraform(tmp_path, "apply", "-auto-approve", "-input=false", "-no-color")
    assert applied.returncode == 0, applied.stderr
    found = json.loads(terraform(tmp_path, "output", "-json").stdout)
    policy = json.loads(found["policy"]["value"])
    actions = {action for statement in policy for action in statement["Action"]}
    assert {"s3:ListBucket", "s3:GetObject", "secretsmanager:GetSecretValue", "ssm:GetParameter"} <= actions
    assert ("sns:Publish" in actions) == (email is not None)
    assert all(statement["Resource"] for statement in policy)
    assert json.loads(found["ports"]["value"]) == (["9092", "9093"] if servers else [])
    assert json.loads(found["settings"]["value"])["DB_HOST"] == "db.example.org"
    assert "\n" not in "".join(json.loads(found["settings"]["value"]).values())
    assert len(found["user_data"]["value"]) < LARGEST_USER_DATA
    assert found["user_data"]["value"].startswith(
        "#!/bin/bash\nexport AWS_REGION='eu-west-2' SETTINGS_PARAMETER='/museum/machine'\n"
    )


def test_aws_accepts_the_descriptions_of_the_security_groups():
    """EC2 takes only these characters there, and says so only when it is applied."""
    allowed = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")
    descriptions = [
        re.sub(r"\$\{[^}]*\}", "x", body["description"])
        for name, body in blocks("resource").items()
        if name.startswith(("aws_security_group", "aws_vpc_security_group"))
    ]
    assert len(descriptions) >= 6
    assert [text for text in descriptions if not allowed.fullmatch(text)] == []


def test_the_machine_s_script_fits_into_user_data():
    assert (MACHINE / "setup.sh").stat().st_size < LARGEST_USER_DATA - 4_096


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
    for unit in MACHINE.glob("*.service"):
        text = unit.read_text().replace("User=museum", "User=root").replace("/opt/museum/.venv/bin/python", python)
        (tmp_path / unit.name).write_text(text.replace("/opt/museum", str(PROJECT_DIR)))
    units = sorted(map(str, tmp_path.glob("*.service")))
    assert len(units) == 2
    result = subprocess.run([program, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


STUBS = {
    "dnf": 'echo "dnf $*" >> "$STUB_LOG"',
    "systemctl": 'echo "systemctl $*" >> "$STUB_LOG"',
    "aws": 'if [ "$1" = ssm ]; then cat "$STUB_SETTINGS"; elif [ "$1" = sns ]; then echo "$*" >> "$STUB_LOG"; '
    'else cat "$STUB_SECRET"; fi',
}


@pytest.mark.full
@pytest.mark.skipif(os.geteuid() != 0, reason=NOT_ROOT)
def test_the_machine_s_script_sets_a_machine_up_and_again(  # noqa: PLR0915 - one machine's story
    museum: Museum, bucket, server_home, s3_endpoint
):
    """As root: clone, environment, schema, roles, logins, settings, load, cron and units; only AWS is played."""
    stubs, units, cron, home = (server_home / name for name in ("stubs", "units", "cron", "home"))
    for folder in (stubs, units, cron):
        folder.mkdir()
    for name, body in STUBS.items():
        (stubs / name).write_text(f"#!/bin/bash\n{body}\n")
        (stubs / name).chmod(0o755)
    source = server_home / "source.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(PROJECT_DIR), str(source)], check=True)
    commit = subprocess.run(
        ["git", "-C", str(source), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    bucket.put("lmnh_exhibition_room0.json", exhibition_json(0))
    bucket.put("lmnh_hist_data_0.csv", "at,site,val,type\n2023-03-06 10:00:00,0,3,\n")
    secrets = boto3.client(
        "secretsmanager", endpoint_url=s3_endpoint, region_name="eu-west-2", aws_access_key_id="x",
        aws_secret_access_key="y",
    )  # fmt: skip
    login = {"username": museum.database.db_user, "password": museum.database.db_password.get_secret_value()}
    owner = secrets.create_secret(Name=f"owner-{museum.database.db_name}", SecretString=json.dumps(login))["ARN"]
    secret = {"username": "kafka user", "password": "it's $ecret\\\\"}
    (server_home / "secret.json").write_text(json.dumps(secret))
    settings = {
        "REPOSITORY_URL": source, "REPOSITORY_REF": commit, "DB_HOST": museum.database.db_host,
        "DB_NAME": museum.database.db_name, "OWNER_SECRET_ID": owner, "MUSEUM_BUCKET": bucket.name,
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
        **os.environ, "PATH": f"{stubs}:{os.environ['PATH']}", "STUB_LOG": str(server_home / "stubs.log"),
        "STUB_SETTINGS": str(parameter), "STUB_SECRET": str(server_home / "secret.json"),
        "SETTINGS_PARAMETER": "/museum/machine", "AWS_REGION": "eu-west-2", "PYTHON": "/usr/bin/python3",
        "MUSEUM_HOME": str(home), "MUSEUM_DATA": str(data), "MUSEUM_CONF": str(conf), "MUSEUM_USER": "nobody",
        "UNIT_DIR": str(units), "CRON_DIR": str(cron), "COMMAND_DIR": str(commands),
        "DB_PORT": str(museum.database.db_port), "MUSEUM_ENDPOINT_URL": s3_endpoint,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": s3_endpoint, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y",
    }  # fmt: skip
    environment.pop("DB_PASSWORD")
    daily = {name: value for name, value in environment.items() if not name.startswith("DB_")}

    def set_up(**more: str) -> str:
        result = subprocess.run(
            [str(MACHINE / "setup.sh")],
            env={**environment, **more},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        said = result.stdout + result.stderr
        assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "museum set-up: done"), said
        return said

    def museum_command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(commands / "museum"), *words], env=daily, cwd="/", capture_output=True, text=True, check=False
        )

    logins = ("museum_pipeline", "museum_dashboard")
    try:
        set_up()
        env_file = home / ".env"
        first = dotenv_values(env_file, interpolate=False)
        assert (env_file.stat().st_mode & 0o777, env_file.stat().st_uid) == (0o640, 0)
        assert (first["KAFKA_PASSWORD"], first["MUSEUM_NAME"]) == (secret["password"], "A museum's own name")
        assert first["DB_USER"] == "museum_pipeline"
        assert museum.count("review") == 1
        assert (cron / "museum").read_text().endswith(f" nobody {home}/terraform_db/machine/run_pipeline.sh\n")
        assert f"WorkingDirectory={home}\n" in (units / "museum-consumer.service").read_text()
        assert "systemctl restart museum-consumer.service" in (server_home / "stubs.log").read_text()
        assert museum_command("pipeline.py", "--push").returncode == 0
        report = museum_command("-m", "dashboard", "--export", str(data / "report.html"))
        assert report.returncode == 0, report.stdout
        assert "A museum&#39;s own name" in (data / "report.html").read_text()
        writable = subprocess.run(
            ["runuser", "-u", "nobody", "--", "find", str(home), "-writable", "-not", "-type", "l"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert writable.stdout == "", "the programs' user changes neither code nor settings"

        parameter.write_text(parameter.read_text().replace("broker.example.org:9092", ""))
        set_up()  # with other settings: the passwords stay, the consumer goes
        second = dotenv_values(env_file, interpolate=False)
        assert second["DB_PASSWORD"] == first["DB_PASSWORD"]
        assert "BOOTSTRAP_SERVERS" not in second
        assert "systemctl disable --now museum-consumer.service" in (server_home / "stubs.log").read_text()
        assert museum_command("pipeline.py", "--push").returncode == 0

        shutil.rmtree(home / ".venv" / "lib")  # broken off in the middle
        (home / ".env").unlink()
        set_up()
        assert museum_command("pipeline.py", "--push").returncode == 0

        parameter.write_text(
            parameter.read_text().replace(bucket.name, bucket.name) + "REPOSITORY_REF=no-such-version\n"
        )
        failed = subprocess.run(
            [str(MACHINE / "setup.sh")], env=environment, cwd="/", capture_output=True, text=True, check=False
        )
        assert failed.returncode != 0
        assert "sns publish" in (server_home / "stubs.log").read_text()
        assert "failed in line" in (server_home / "stubs.log").read_text()
    finally:
        with closing(connect(museum.database, "owner")) as connection, connection, connection.cursor() as cursor:
            for name in logins:
                cursor.execute(f"drop role if exists {name}")
