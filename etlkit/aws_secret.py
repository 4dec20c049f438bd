"""The database's login from an AWS secret, a JSON object as RDS writes it."""

from __future__ import annotations

import json

from pydantic import SecretStr

from etlkit.aws import aws_session
from etlkit.errors import ConfigError, LoadError
from etlkit.settings import DatabaseSettings

_ARN_REGION = 3
_REFUSED_BY_AWS = (
    "ResourceNotFound", "AccessDenied", "InvalidParameter", "InvalidRequest", "DecryptionFailure", "UnrecognizedClient",
    "InvalidClientTokenId", "InvalidSignature",
)  # fmt: skip


def read_secret(settings: DatabaseSettings) -> tuple[str, SecretStr]:
    """Return the user and the password that the settings' secret holds now; it is read anew for every connection.

    Raises ConfigError for a secret that is not there, closed to us or of another form, LoadError for what may pass.
    """
    from botocore.config import Config  # noqa: PLC0415 - only where a secret is kept there
    from botocore.exceptions import BotoCoreError, ClientError, NoRegionError, ParamValidationError  # noqa: PLC0415

    secret_id = settings.db_secret_id or ""
    parts = secret_id.split(":")  # arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME
    try:
        client = aws_session(settings).client(
            "secretsmanager",
            region_name=parts[3] if parts[0] == "arn" and len(parts) > _ARN_REGION else None,
            config=Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 2}),
        )
        text = client.get_secret_value(SecretId=secret_id).get("SecretString", "")
    except (NoRegionError, ParamValidationError) as error:
        raise ConfigError(f"DB_SECRET_ID {secret_id!r} cannot be read: {error} Nothing was touched.") from error
    except ClientError as error:
        told = error.response.get("Error", {})
        reason = told.get("Message") or str(error)
        if str(told.get("Code", "")).startswith(_REFUSED_BY_AWS):
            raise ConfigError(f"DB_SECRET_ID {secret_id!r} cannot be read: {reason} Nothing was touched.") from error
        raise LoadError(f"AWS does not give the secret of DB_SECRET_ID: {reason}. Nothing was loaded.") from error
    except (BotoCoreError, ValueError) as error:
        raise LoadError(f"AWS does not give the secret of DB_SECRET_ID: {error}. Nothing was loaded.") from error
    try:
        secret = json.loads(text)
        return str(secret["username"]), SecretStr(secret["password"])
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"the secret {secret_id!r} is no JSON object with username and password. Nothing was touched."
        ) from None
