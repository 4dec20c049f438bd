"""Exceptions of boto3 and what lies below it as one line: which object or bucket, their own words, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from boto3.exceptions import Boto3Error
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from s3transfer.exceptions import RetriesExceededError, S3DownloadFailedError
from urllib3.exceptions import HTTPError

from etlkit.errors import ConfigError, SourceError
from museum.batch.bucket_files import ascii_key

LONGEST_WORDS = 300
TOLD_DETAILS = ("Endpoint", "Region", "StorageClass", "AccessTier", "RequestTime", "ServerTime")
"""What S3 adds to a refusal so that one can act on it; nothing of what it says about keys and signatures."""

_CODES_OF_ADVICE = {
    "Check AWS_ACCESS_KEY, AWS_SECRET_KEY and what they may do with the bucket.":
        "AccessDenied AuthFailure InvalidAccessKeyId InvalidClientTokenId SignatureDoesNotMatch 403 Forbidden "
        "AllAccessDisabled AccountProblem",
    "Renew the temporary keys together with their AWS_SESSION_TOKEN.":
        "ExpiredToken InvalidToken TokenRefreshRequired RequestExpired",
    "Set AWS_DEFAULT_REGION to the bucket's region, or --endpoint-url to the endpoint that S3 names.":
        "PermanentRedirect TemporaryRedirect Redirect 301 307 AuthorizationHeaderMalformed "
        "IllegalLocationConstraintException",
    "Try again later.": "SlowDown ServiceUnavailable InternalError 500 503 RequestTimeout",
    "Check --bucket and --endpoint-url.": "NoSuchBucket 404 NotFound",
    "It was listed a moment ago; run again.": "NoSuchKey",
    "It was replaced while it was read; run again.": "PreconditionFailed",
    "It lies in an archive: restore it, or keep it in another storage class.": "InvalidObjectState",
    "Set this machine's clock.": "RequestTimeTooSkewed",
}  # fmt: skip
_ADVICE = {code: advice for advice, codes in _CODES_OF_ADVICE.items() for code in codes.split()}


@contextmanager
def source_errors(bucket: str, key: str | None = None, doing: str = "reading") -> Iterator[None]:
    """Turn what asking a bucket or an object raises into a SourceError, a ConfigError if the bucket's name is none."""
    what = f"{ascii_key(key)} of bucket {bucket}" if key else f"bucket {bucket}"
    try:
        yield
    except boto.NoCredentialsError as error:
        advice = "Set AWS_ACCESS_KEY and AWS_SECRET_KEY, or give the machine a role. Nothing was loaded."
        raise SourceError("no AWS credentials found.", advice) from error
    except boto.ParamValidationError as error:
        raise ConfigError(f"{what} cannot be asked for: {one_line(str(error))}. Nothing was touched.") from error
    except boto.EndpointConnectionError as error:
        advice = "Check the network and --endpoint-url. Nothing was loaded."
        raise SourceError(f"cannot reach S3 for {what}: {one_line(str(error))}.", advice) from error
    except boto.ClientError as error:
        raise _refused(what, error.response) from error
    except ResponseParserError as error:
        raise not_s3(what, str(error)) from error
    except (boto.BotoCoreError, Boto3Error, S3DownloadFailedError, RetriesExceededError, HTTPError, OSError) as error:
        words = getattr(error, "last_exception", None) or error  # of a transfer, or of this machine's disk
        problem = f"{doing} {what} failed: {one_line(str(words))}."
        raise SourceError(problem, "Nothing was loaded; run again.") from error


def not_s3(what: str, words: str) -> SourceError:
    """Return the error for an answer that is none of S3's, such as the page of a proxy."""
    return SourceError(
        f"what answers for {what} does not speak S3: {one_line(words)}.",
        "Check --endpoint-url, and whether a proxy or a login page stands between. Nothing was loaded.",
    )


def _refused(what: str, response: Any) -> SourceError:
    """Return the error with S3's code, words and details, and what to do about it."""
    told = response.get("Error", {})
    code = str(told.get("Code", "unknown"))
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if any(kind in headers.get("content-type", "") for kind in ("html", "json")):
        return not_s3(what, f"{headers['content-type']} with the status {code}")
    details = {name: told[name] for name in TOLD_DETAILS if told.get(name)}
    if region := headers.get("x-amz-bucket-region"):
        details.setdefault("Region", region)
    words = one_line(str(told.get("Message") or ""))
    shown = "".join(f", {name} {one_line(str(value))}" for name, value in details.items())
    advice = f"{_ADVICE.get(code, '')} Nothing was loaded.".lstrip()
    return SourceError(f"S3 refused {what} ({code}){f': {words}' if words else ''}{shown}.", advice)


def one_line(words: str) -> str:
    """Return foreign words in a form that is safe and short enough to print."""
    line = " ".join(words.split()).rstrip(".")
    line = line if line.isprintable() else ascii(line)[1:-1]
    return line if len(line) <= LONGEST_WORDS else f"{line[:LONGEST_WORDS]}..."
