"""A bucket of S3: conditional writes for the pointer, and for the lock, which expires when its holder dies.

Whether a lock has expired is told by S3's clock alone: when it was written last against the time of its own answer.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from etlkit.errors import LoadError, LockedError
from warehouse.targets.target import LostRaceError, Stored, Tagged, Target

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LOCK_SECONDS = 120.0
_RENEWALS = 4
"""How often a lock is renewed while it would last."""
_LOST = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409", "404"}
_MISSING = {"NoSuchKey", "404", "NotFound"}
_AT_ONCE = 1000
_RETRIES = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60)
_TRANSFER = TransferConfig(multipart_threshold=64 << 20, multipart_chunksize=16 << 20, max_concurrency=4)


class Bucket(Target):
    """A bucket of S3, whole or below a prefix."""

    is_local = False

    def __init__(
        self, session: boto3.Session, bucket: str, prefix: str = "", lock_seconds: float = LOCK_SECONDS
    ) -> None:
        """Name the bucket; nothing is called yet."""
        self.session = session
        self.client: S3Client = session.client("s3", config=_RETRIES)
        self.bucket = bucket
        self.prefix = prefix
        self._lock_seconds = lock_seconds
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")

    def location(self, key: str) -> str:
        """Return an address."""
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def stored(self, prefix: str) -> Iterator[Stored]:
        """Yield the objects below a prefix."""
        pages = self.client.get_paginator("list_objects_v2")
        with self.told(prefix):
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix + prefix):
                for found in page.get("Contents", ()):
                    yield Stored(found["Key"].removeprefix(self.prefix), found["Size"])

    def read(self, key: str) -> Tagged | None:
        """Return an object's content and its ETag."""
        try:
            with self.told(key, passing=_MISSING):
                found = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)
                return Tagged(found["Body"].read(), found["ETag"])
        except ClientError:
            return None

    def write(self, key: str, content: bytes) -> None:
        """Put an object."""
        with self.told(key):
            self.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=content)

    def upload(self, path: Path, key: str) -> None:
        """Put a file, in parts where it is large, each with its checksum."""
        with self.told(key), path.open("rb") as file:
            self.client.upload_fileobj(
                file, self.bucket, self.prefix + key, ExtraArgs={"ChecksumAlgorithm": "SHA256"}, Config=_TRANSFER
            )

    def download(self, key: str, path: Path) -> None:
        """Bring an object into a file."""
        try:
            with self.told(key, passing=_MISSING):
                self.client.download_file(self.bucket, self.prefix + key, str(path), Config=_TRANSFER)
        except ClientError as error:
            raise FileNotFoundError(f"{self.location(key)} is not there") from error

    def copy(self, key: str, to: str) -> None:
        """Let S3 copy an object, in parts where it is large."""
        source: Any = {"Bucket": self.bucket, "Key": self.prefix + key}
        try:
            with self.told(key, passing=_MISSING):
                self.client.copy(source, self.bucket, self.prefix + to, Config=_TRANSFER)
        except ClientError as error:
            raise FileNotFoundError(f"{self.location(key)} is not there") from error

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects, a thousand a call."""
        named = [self.prefix + key for key in keys]
        for start in range(0, len(named), _AT_ONCE):
            batch: Any = {"Objects": [{"Key": key} for key in named[start : start + _AT_ONCE]], "Quiet": True}
            with self.told(named[start]):
                answer = self.client.delete_objects(Bucket=self.bucket, Delete=batch)
            if errors := answer.get("Errors"):
                first = errors[0]
                raise LoadError(f"{first.get('Key')} could not be deleted: {first.get('Code')} {first.get('Message')}.")

    def swap(self, key: str, content: bytes, expected: Tagged | None) -> None:
        """Put the pointer on the condition that the expected one stands there, or none."""
        try:
            with self.told(key, passing=_LOST):
                self.put_if(key, content, expected.tag if expected else None)
        except ClientError as error:
            there = self.read(key)
            if there and there.content == content:
                return  # ours: S3 had taken it, but its answer was lost, and asked again it refuses
            raise LostRaceError(
                f"{self.location(key)} was swapped by another run meanwhile.", "Theirs stays."
            ) from error

    @contextmanager
    def lock(self, name: str, holder: str) -> Iterator[None]:
        """Hold a lock object, renewed while its holder lives; who finds one that was not renewed takes it over."""
        key = f"locks/{name}.json"
        lease = _Lease(self, key, json.dumps({"holder": holder, "lease": uuid4().hex}), self._lock_seconds)
        lease.take(name)
        try:
            with lease.renewed():
                yield
        finally:
            lease.give_back()

    def put_if(self, key: str, content: bytes, tag: str | None) -> str:
        """Put an object on a condition; return its ETag."""
        condition: dict[str, Any] = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
        return self.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=content, **condition)["ETag"]

    @contextmanager
    def told(self, key: str, passing: frozenset[str] | set[str] = frozenset()) -> Iterator[None]:
        """Turn what S3 refuses into one line in its own words, but for the codes that the caller understands."""
        try:
            yield
        except ClientError as error:
            said = error.response.get("Error", {})
            code = str(said.get("Code", "unknown"))
            if code in passing:
                raise
            words = " ".join(str(said.get("Message", "")).split())
            raise LoadError(
                f"{self.location(key)}: S3 answers {code}: {words}.", "What was published stays."
            ) from error
        except (BotoCoreError, S3UploadFailedError) as error:
            words = " ".join(str(error).split())
            raise LoadError(f"{self.location(key)}: {words}.", "What was published stays.") from error


class _Lease:
    """A lock object: taken, renewed by a thread, given back."""

    def __init__(self, target: Bucket, key: str, content: str, seconds: float) -> None:
        self._target = target
        self._key = key
        self._content = content
        self._seconds = seconds
        self._number = 0
        self._sent = b""
        self._tag = ""

    def take(self, name: str) -> None:
        """Put the object where there is none, or in the place of one that expired; LockedError otherwise."""
        client, bucket, key = self._target.client, self._target.bucket, self._target.prefix + self._key
        tag: str | None = None
        try:
            with self._target.told(self._key, passing=_MISSING):
                found = client.get_object(Bucket=bucket, Key=key)
                held = found["Body"].read()
                answered: datetime = parsedate_to_datetime(found["ResponseMetadata"]["HTTPHeaders"]["date"])
                if answered - found["LastModified"] <= timedelta(seconds=_seconds_of(held, self._seconds)):
                    raise _held(name, self._target.url, held)
                tag = found["ETag"]
        except ClientError:
            pass
        try:
            with self._target.told(self._key, passing=_LOST):
                self._put(tag)
        except ClientError:
            there = self._target.read(self._key)
            if there and there.content == self._sent:
                self._tag = there.tag  # ours: the answer to it was lost
                return
            raise _held(name, self._target.url, there.content if there else b"") from None

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew the object from time to time while inside."""
        done = threading.Event()

        def renew() -> None:
            while not done.wait(self._seconds / _RENEWALS):
                try:
                    self._put(self._tag)
                except (ClientError, BotoCoreError):  # taken over, or S3 is away: the pointer's condition decides
                    continue

        thread = threading.Thread(target=renew, name="renew-lock", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def give_back(self) -> None:
        """Delete the object, unless somebody took it over."""
        client, key = self._target.client, self._target.prefix + self._key
        try:
            client.delete_object(Bucket=self._target.bucket, Key=key, IfMatch=self._tag)
        except (ClientError, BotoCoreError):  # it expires by itself
            return

    def _put(self, tag: str | None) -> None:
        """Put the object anew; its content differs each time, and with it its ETag."""
        self._number += 1
        content = {**json.loads(self._content), "seconds": self._seconds, "renewed": self._number}
        self._sent = json.dumps(content).encode()
        self._tag = self._target.put_if(self._key, self._sent, tag)


def _seconds_of(held: bytes, otherwise: float) -> float:
    """Return how long a lock lasts by its holder's own word."""
    try:
        return float(json.loads(held)["seconds"])
    except (ValueError, KeyError, TypeError):
        return otherwise


def _held(name: str, where: str, held: bytes) -> LockedError:
    """Return the error that names a lock's holder."""
    try:
        who = json.loads(held)["holder"]
    except (ValueError, KeyError, TypeError):
        who = "another run"
    return LockedError(f"{name} in {where} is held by {who}.", "Run again when it is done, or when its lock expired.")
