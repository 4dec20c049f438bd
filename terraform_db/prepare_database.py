"""Prepare the museum's database as its owner: schema, roles, and the two logins of the programs.

It runs where Terraform ran, with the AWS login of whoever runs it (as_owner.sh says how it reaches the database): the
machine may read the secret with the logins' passwords, which is filled here, and not the owner's. A second time it
upgrades the schema; the passwords stay unless --new-passwords is given.
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

HERE = Path(__file__).resolve().parent
LOGINS = {"museum_pipeline": "loader", "museum_dashboard": "reader"}
PASSWORD_BYTES = 24


def main() -> None:
    """Prepare it; ends with the exit code of the first command that fails."""
    parser = argparse.ArgumentParser(
        description="Prepare the museum's database as its owner: schema, roles and logins."
    )
    parser.add_argument("--new-passwords", action="store_true", help="make the programs' passwords anew")
    flags = parser.parse_args()
    output = ["terraform", f"-chdir={HERE}", "output", "-raw", "logins_secret_id"]
    secret_id = subprocess.run(output, stdout=subprocess.PIPE, text=True, check=True).stdout
    client: Any = boto3.client("secretsmanager", region_name=secret_id.split(":")[3])
    try:
        kept: dict[str, str] = json.loads(client.get_secret_value(SecretId=secret_id)["SecretString"])
    except client.exceptions.ResourceNotFoundException:  # terraform made it without a value
        kept = {}
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"the logins' secret {secret_id} cannot be read: {error}. Nothing was touched.")
    is_new = flags.new_passwords or not kept
    passwords = {login: secrets.token_urlsafe(PASSWORD_BYTES) for login in LOGINS} if is_new else kept
    as_owner("load.py", "--apply-schema")
    as_owner("load.py", "--apply-roles")
    for login, role in LOGINS.items():
        as_owner("-m", "museum.login", "--role", role, login, given=passwords[login])
    if is_new:  # last, since the machine's first set-up waits for it
        try:
            client.put_secret_value(SecretId=secret_id, SecretString=json.dumps(passwords))
        except (BotoCoreError, ClientError) as error:
            sys.exit(f"the logins' secret {secret_id} cannot be filled: {error}. Mend it and run this again.")


def as_owner(*arguments: str, given: str = "") -> None:
    """Run the suite's Python on the database as its owner."""
    command = [str(HERE / "as_owner.sh"), sys.executable, *arguments]
    code = subprocess.run(command, cwd=HERE.parent, input=given, text=True, check=False).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
