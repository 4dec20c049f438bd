"""Which objects a message speaks of: a pure function of its text.

In comes the body of an SQS message or of a request, out go `ObjectRef`s in their order, or `Ignored` where nothing is
to be done, or `BadMessage` for what can never succeed. Forms: S3's own, in an SNS envelope or not, EventBridge's, S3's
test event, and the developer's `{"bucket": ..., "key": ...}`. Sources: AWS's pages on event message structure and on
EventBridge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from file_monitoring.scoring.values import reader_of

LONGEST_KEY = 1024
"""Bytes, as S3 says."""
MOST_RECORDS = 1_000
DEEPEST_ENVELOPE = 2
EARLIEST_YEAR, LATEST_YEAR = 1970, 2200
_BUCKET = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,254}")


@dataclass(frozen=True)
class ObjectRef:
    """One object, or one version of it, that has arrived."""

    bucket: str
    key: str
    raw_key: str | None = None
    """The key as the event wrote it, where that differs: some stores do not encode it."""
    version_id: str | None = None
    etag: str | None = None
    size: int | None = None
    sequencer: str | None = None
    event_time: datetime | None = None


@dataclass(frozen=True)
class Ignored:
    """A message that asks for nothing."""

    why: str


class BadMessage(Exception):
    """A message that can never succeed; the text says why, without its content."""


def parse_message(body: str | bytes) -> list[ObjectRef] | Ignored:
    """Return the objects of a message in their order, or why it asks for nothing; raises BadMessage."""
    document = _document(body)
    for _ in range(DEEPEST_ENVELOPE):
        if document.get("Type") == "Notification" and "Message" in document:
            document = _document(document["Message"])
    if document.get("Event") == "s3:TestEvent":
        return Ignored("S3's test event")
    if document.get("source") == "aws.s3" and "detail" in document:
        return _from_event_bridge(document)
    if "Records" in document:
        return _from_s3(document["Records"])
    if "bucket" in document and "key" in document:
        return [_checked(ObjectRef(bucket=document["bucket"], key=document["key"]))]
    raise BadMessage("the form of the message is not known")


def _document(body: Any) -> Mapping[str, Any]:
    """Return the JSON object of a text."""
    try:
        document = json.loads(body)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadMessage("the message is no JSON") from error
    if not isinstance(document, Mapping):
        raise BadMessage("the message is no JSON object")
    return document


def _from_s3(records: Any) -> list[ObjectRef] | Ignored:
    """Read S3's own form."""
    if not isinstance(records, list) or len(records) > MOST_RECORDS:
        raise BadMessage(f"Records is no list of {MOST_RECORDS:,} at most")
    found: list[ObjectRef] = []
    for record in records:
        if not isinstance(record, Mapping) or not isinstance(record.get("s3"), Mapping):
            raise BadMessage("a record is none of S3's")
        name = str(record.get("eventName", ""))
        if not name.removeprefix("s3:").startswith("ObjectCreated:"):
            continue
        version = str(record.get("eventVersion", "2"))
        if version.split(".", maxsplit=1)[0] != "2":
            raise BadMessage(f"eventVersion {version[:10]!r} is not known")
        described, bucket = record["s3"].get("object"), record["s3"].get("bucket")
        if not isinstance(described, Mapping) or not isinstance(bucket, Mapping):
            raise BadMessage("a record names no object")
        raw = described.get("key")
        key = _decoded(raw) if isinstance(raw, str) else raw
        found.append(
            _checked(
                ObjectRef(
                    bucket=bucket.get("name"),  # type: ignore[arg-type]  # checked below
                    key=key,  # type: ignore[arg-type]
                    raw_key=raw if raw != key else None,
                    version_id=_text(described.get("versionId")),
                    etag=_text(described.get("eTag")),
                    size=_count(described.get("size")),
                    sequencer=_sequencer(described.get("sequencer")),
                    event_time=_time(record.get("eventTime")),
                )
            )
        )
    return _files(found)


def _decoded(key: str) -> str:
    """Return a key that is written as in a form; BadMessage for what is no text."""
    try:
        return unquote_plus(key, errors="strict")
    except UnicodeDecodeError as error:
        raise BadMessage("the key is no text") from error


def _from_event_bridge(document: Mapping[str, Any]) -> list[ObjectRef] | Ignored:
    """Read EventBridge's form, whose key is written as it is."""
    if document.get("detail-type") != "Object Created":
        return Ignored("no object was created")
    detail = document["detail"]
    if not isinstance(detail, Mapping):
        raise BadMessage("detail is no JSON object")
    described, bucket = detail.get("object"), detail.get("bucket")
    if not isinstance(described, Mapping) or not isinstance(bucket, Mapping):
        raise BadMessage("detail names no object")
    found = ObjectRef(
        bucket=bucket.get("name"),  # type: ignore[arg-type]  # checked below
        key=described.get("key"),  # type: ignore[arg-type]
        version_id=_text(described.get("version-id")),
        etag=_text(described.get("etag")),
        size=_count(described.get("size")),
        sequencer=_sequencer(described.get("sequencer")),
        event_time=_time(document.get("time")),
    )
    return _files([_checked(found)])


def _files(found: list[ObjectRef]) -> list[ObjectRef] | Ignored:
    """Leave out the markers of folders."""
    files = [ref for ref in found if not ref.key.endswith("/")]
    return files or Ignored("only a folder's marker was created" if found else "no object was created")


def _checked(ref: ObjectRef) -> ObjectRef:
    """Return a reference whose bucket and key can be ones; BadMessage for others."""
    if not isinstance(ref.bucket, str) or not _BUCKET.fullmatch(ref.bucket):
        raise BadMessage("the bucket's name is none")
    if not isinstance(ref.key, str) or not ref.key:
        raise BadMessage("the key is none")
    try:
        length = len(ref.key.encode())
    except UnicodeEncodeError as error:
        raise BadMessage("the key is no text") from error
    if length > LONGEST_KEY or "\0" in ref.key:
        raise BadMessage(f"the key has more than {LONGEST_KEY:,} bytes, or a NUL")
    return ref


def _text(given: Any) -> str | None:
    """Return a short text, None for nothing; BadMessage for what no header can carry."""
    if not isinstance(given, str):
        return None
    if not given.isascii() or not given.isprintable():
        raise BadMessage("a version or a tag is no plain text")
    return given[:1024].strip('"') or None


def _count(given: Any) -> int | None:
    """Return a size, None for nothing; a hint alone."""
    return given if isinstance(given, int) and given >= 0 else None


def _sequencer(given: Any) -> str | None:
    """Return a sequencer, None for nothing; BadMessage for what is not hexadecimal."""
    if given in (None, ""):
        return None
    if not isinstance(given, str) or not re.fullmatch(r"[0-9A-Fa-f]{1,128}", given):
        raise BadMessage("the sequencer is not hexadecimal")
    return given.upper()


def _time(given: Any) -> datetime | None:
    """Return the time of an event; BadMessage for one that cannot be read."""
    if given is None:
        return None
    found = reader_of("datetime")(str(given))
    if not isinstance(found, datetime) or not EARLIEST_YEAR <= found.year <= LATEST_YEAR:
        raise BadMessage("the time of the event cannot be read")
    return found


def is_older(ours: str, theirs: str) -> bool:
    """Tell whether a sequencer is older than another; the shorter one gets zeros on the right, as AWS says."""
    width = max(len(ours), len(theirs))
    return ours.ljust(width, "0") < theirs.ljust(width, "0")
