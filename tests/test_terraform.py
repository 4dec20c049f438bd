"""The infrastructure's files: they parse, refuse what is unsafe, and give the machine no more than it needs.

Planning against AWS needs its provider and an account; docs/operations.md says how.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from museum_case import NO_TERRAFORM, PROJECT_DIR

hcl2 = pytest.importorskip("hcl2", reason="python-hcl2 is not installed: pip install -r requirements-dev.txt")

TERRAFORM_DIR = PROJECT_DIR / "terraform_db"
FILES = sorted(TERRAFORM_DIR.glob("*.tf"))
MACHINE = TERRAFORM_DIR / "machine"
LARGEST_USER_DATA = 16_384
COMMIT = "0123456789abcdef0123456789abcdef01234567"
WIDE = [
    "10.0.0.0/8",
    "10.0.0.0/15",
    "172.16.0.0/12",
    "172.32.0.0/16",
    "203.0.0.0/23",
    "128.0.0.0/1",
    "2a00::/8",
    "2001:db8::/47",
]
EVERYBODY = ["0.0.0.0/0", "::/0"]
SPELLINGS = [
    "everybody", "0/0", "0.0.0.0/00", "00.0.0.0/0", "000.000.000.000/0", "1.2.3.4/0", "255.255.255.255/0", " 0.0.0.0/0",
    "0.0.0.0/0.0.0.0", "0x0.0.0.0/0", "0::/0", "::0/0", "0:0:0:0:0:0:0:0/0", "2001:db8::1/0", "::ffff:0.0.0.0/96",
    "::ffff:0:0/96", "::0.0.0.0/0", "203.0.113.7/24", "203.0.113.7/032", "203.0.113.7", "2001:DB8::/48",
    "2001:db8::1/64",
]  # fmt: skip


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
        assert re.fullmatch(r"CKV2?_\w+:.{30,}", exception), exception


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"allowed_cidr_blocks": ["203.0.113.7/32", "198.51.100.0/24", "10.0.0.0/16", "2001:db8::/48"]}, None),
        ({"allowed_cidr_blocks": ["172.16.0.0/16", "172.31.0.0/16", "192.168.0.0/16", "fd00:1:2::/48"]}, None),
        ({"allowed_cidr_blocks": [], "kafka_cidr_block": "10.1.0.0/16"}, None),
        ({"allowed_cidr_blocks": [], "kafka_cidr_block": "2001:db8::/48"}, None),
        ({}, "No value for required variable"),
        ({"allowed_cidr_blocks": [], "backup_retention_days": 0}, "must be from 1 to 35"),
        ({"allowed_cidr_blocks": [], "name": "Museum!"}, "small letters"),
        ({"allowed_cidr_blocks": [], "name": "a-museum-of-a-very-long-name"}, "small letters"),
        ({"allowed_cidr_blocks": [], "engine_version": "14.9"}, "15 or newer"),
        ({"allowed_cidr_blocks": [], "repository_url": "git@example.org:x.git"}, "must begin with https"),
        ({"allowed_cidr_blocks": [], "repository_ref": COMMIT}, None),
        ({"allowed_cidr_blocks": [], "repository_ref": "main"}, "must be the full hash of a commit"),
        ({"allowed_cidr_blocks": [], "repository_ref": "v1.2.3"}, "must be the full hash of a commit"),
        ({"allowed_cidr_blocks": [], "repository_ref": COMMIT[:12]}, "must be the full hash of a commit"),
        ({"allowed_cidr_blocks": [], "repository_ref": COMMIT.upper()}, "must be the full hash of a commit"),
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


@pytest.mark.parametrize("name", ["allowed_cidr_blocks", "kafka_cidr_block"])
def test_no_spelling_of_a_wide_network_is_taken(tmp_path, name):
    """One plan for them all: terraform's own functions judge each as the variable's rules do."""
    text = (TERRAFORM_DIR / "variables.tf").read_text()
    variable = re.search(rf'^variable "{name}" \{{.*?^\}}', text, re.DOTALL | re.MULTILINE)[0]
    rules = re.findall(r"condition\s*=\s*(.*?)\n\s*error_message", variable, re.DOTALL)
    assert len(rules) == 2
    value = "[given.value]" if name == "allowed_cidr_blocks" else "given.value"
    judged = " && ".join(f"({rule.replace(f'var.{name}', value)})" for rule in rules)
    given = [*WIDE, *EVERYBODY, *SPELLINGS, "203.0.113.0/24"]
    (tmp_path / "main.tf").write_text(
        f"locals {{ given = [for text in {json.dumps(given)} : {{ value = text }}] }}\n"
        f'output "taken" {{ value = jsonencode([for given in local.given : given.value if {judged}]) }}\n'
    )
    assert terraform(tmp_path, "init", "-backend=false", "-input=false").returncode == 0
    applied = terraform(tmp_path, "apply", "-auto-approve", "-input=false", "-no-color")
    assert applied.returncode == 0, applied.stderr
    assert json.loads(json.loads(terraform(tmp_path, "output", "-json").stdout)["taken"]["value"]) == ["203.0.113.0/24"]


@pytest.mark.parametrize("block", ["0.0.0.0/0", "10.0.0.0/8", "::/0"])
def test_a_wide_network_is_answered_with_what_is_allowed(tmp_path, block):
    shutil.copy(TERRAFORM_DIR / "variables.tf", tmp_path)
    values = {"allowed_cidr_blocks": [block], "kafka_cidr_block": block}
    (tmp_path / "given.auto.tfvars.json").write_text(json.dumps(values))
    assert terraform(tmp_path, "init", "-backend=false", "-input=false").returncode == 0
    result = terraform(tmp_path, "plan", "-input=false", "-no-color")
    said = " ".join(re.sub(r"[│╷╵]", " ", result.stderr).split())
    assert result.returncode != 0
    for name in values:
        assert (
            f"{name} must be no wider than /16 of private IPv4 (a VPC is no wider), /24 of public IPv4 and /48" in said
        )


def test_every_variable_for_a_network_has_these_rules():
    networks = {name for name in blocks("variable") if "cidr" in name}
    assert networks == {"allowed_cidr_blocks", "kafka_cidr_block"}
    assert all(len(blocks("variable")[name]["validation"]) == 2 for name in networks)


@pytest.mark.parametrize("email", [None, "data-team@example.org"])
@pytest.mark.parametrize("servers", ["", "one.example.org:9092, two.example.org:9093"])
def test_what_terraform_computes_for_the_machine(tmp_path, email, servers):
    """The locals of machine.tf, evaluated by terraform itself, with its own resources standing in for AWS's."""
    shutil.copy(TERRAFORM_DIR / "variables.tf", tmp_path)
    (tmp_path / "machine").symlink_to(MACHINE)
    text = (TERRAFORM_DIR / "machine.tf").read_text()
    computed = re.search(r"^locals \{.*?^\}", text, re.DOTALL | re.MULTILINE)[0]
    for name, stand_in in {
        r"aws_db_instance\.museum\.address": '"db.example.org"',
        r"aws_secretsmanager_secret\.logins\[\*\]\.arn": "terraform_data.logins[*].output",
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
resource "terraform_data" "logins" {
  count = local.machine_count
  input = "arn:of:the:logins"
}
resource "terraform_data" "alerts" { count = var.alert_email == null ? 0 : 1 }
output "policy" { value = jsonencode(local.machine_statements) }
output "ports" { value = jsonencode(local.kafka_ports) }
output "settings" { value = jsonencode(local.machine_settings) }
output "user_data" { value = local.user_data }
"""
    )
    values = {
        "allowed_cidr_blocks": [], "alert_email": email, "run_pipeline": True, "bootstrap_servers": servers,
        "kafka_secret_arn": "arn:of:kafka",
    }  # fmt: skip
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
    readable = {arn for part in policy if "secretsmanager:GetSecretValue" in part["Action"] for arn in part["Resource"]}
    assert readable == {"arn:of:the:logins", "arn:of:kafka"}
    everywhere = {action for part in policy if "*" in part["Resource"] for action in part["Action"]}
    assert everywhere == {
        "ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
    }  # fmt: skip
    assert json.loads(found["ports"]["value"]) == (["9092", "9093"] if servers else [])
    assert json.loads(found["settings"]["value"])["DB_HOST"] == "db.example.org"
    assert "\n" not in "".join(json.loads(found["settings"]["value"]).values())
    assert len(found["user_data"]["value"]) < LARGEST_USER_DATA
    assert found["user_data"]["value"].startswith(
        "#!/bin/bash\nexport AWS_REGION='eu-west-2' SETTINGS_PARAMETER='/museum/machine'\n"
    )


def test_the_machine_has_no_rights_but_these_and_nothing_of_the_owner_s():
    """Whoever reads the pipeline's messages acts in the machine's role: what it may not read, nobody there may."""
    resources = blocks("resource")
    of_machine = [
        name
        for name, body in resources.items()
        if name.startswith(("aws_iam_role_policy", "aws_iam_policy")) and "machine" in str(body["role"])
    ]
    assert of_machine == ["aws_iam_role_policy.machine"]
    machine_tf = "\n".join(line.split("#")[0] for line in (TERRAFORM_DIR / "machine.tf").read_text().splitlines())
    assert "master_user_secret" not in machine_tf
    assert "secret_string" not in str(resources), "what terraform writes stands in its state file"


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
