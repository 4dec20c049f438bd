"""A session with AWS from the settings, for S3 and for secrets alike, and what AWS says when it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etlkit.settings import AwsSettings

if TYPE_CHECKING:
    import boto3
    from botocore.exceptions import ClientError

LONGEST_WORDS = 300

LASTING_KEY = "AKIA"
"""How the keys begin that never have a session token; one of the environment belongs to other keys then."""


def aws_session(settings: AwsSettings) -> boto3.Session:
    """Return a session with the keys of the settings, else with those that boto3's own chain finds."""
    import boto3  # noqa: PLC0415 - half a second, and only where AWS is asked

    if settings.aws_access_key is None or settings.aws_secret_key is None:
        return boto3.Session()
    access_key = settings.aws_access_key.get_secret_value()
    token = None if access_key.startswith(LASTING_KEY) else settings.aws_session_token
    return boto3.Session(
        aws_access_key_id=access_key,
        aws_secret_access_key=settings.aws_secret_key.get_secret_value(),
        aws_session_token=token.get_secret_value() if token else None,
    )


def refusal(error: ClientError) -> tuple[str, str]:
    """Return the code of what AWS refused, and its words in one line."""
    told = error.response.get("Error", {})
    return str(told.get("Code", "unknown")), " ".join(str(told.get("Message") or "").split())[:LONGEST_WORDS]
