"""From an object in S3 to its score in the database: one path for the queue, the trigger and the command.

In comes a bucket and a key (or an event's `ObjectRef`), out go one row of MonitoringFileRun and one of
MonitoringFileDataQuality, or none. A second time is safe: a run is known by file, date and hour of the EVENT, and the
object's fingerprint lies in `metrics.source`; the same object changes nothing, an older event neither. The file is
scored before the transaction begins, which holds a lock on the file only for as long as it writes.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from file_monitoring.models import (
    MonitoringFile,
    MonitoringFileDataQuality,
    MonitoringFileRun,
    MonitoringFileSchemaDefinition,
)
from file_monitoring.scoring.definition import Definition, DefinitionError, read_definition
from file_monitoring.scoring.findings import FailedRows
from file_monitoring.scoring.score import Score, score_file, score_of_too_many_bytes
from file_monitoring.scoring.values import reader_of
from file_monitoring.services.events import ObjectRef, is_older
from file_monitoring.services.matching import Ambiguous, Candidate, match_file, run_of
from file_monitoring.services.objects import Fetched, ObjectGone, ObjectReplaced, client_of, fetch
from file_monitoring.services.scratch import scratch_folder

LOCK_CLASS = 0x46_4D_31
"""The first half of the advisory locks on files; the second is the file's id."""

logger = logging.getLogger("file_monitoring")


@dataclass(frozen=True)
class Ingested:
    """What became of an object."""

    status: str
    """scored, unchanged (the same object is there), older (a newer event is there), unknown, gone or replaced."""
    bucket: str
    key: str
    monitoring_file_id: int | None = None
    run_id: int | None = None
    score: Score | None = None

    @property
    def told(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        found = {name: value for name, value in dataclasses.asdict(self).items() if name != "score"}
        if self.score is None:
            return found
        return {
            **found,
            "score": self.score.score,
            "passed": self.score.passed,
            "deductions": self.score.deductions,
            "metrics": self.score.metrics,
        }


class NeverScored(Exception):
    """An object that no second try will score: the message, a definition or the files' names must change first."""


def process_s3_file(
    bucket: str,
    key: str,
    *,
    ref: ObjectRef | None = None,
    force: bool = False,
    dry_run: bool = False,
    report: Path | None = None,
) -> Ingested:
    """Score an object of S3 and keep the score; return what became of it.

    `ref` is the object as an event described it, `force` scores anew what is scored, `dry_run` writes nothing, `report`
    is where every failing row is written. Raises NeverScored for what can never succeed, RetryableError or what the
    database and the disk raise for what may pass.
    """
    ref = ref or ObjectRef(bucket, key)
    allowed = settings.MONITOR.allowed_buckets
    if allowed and bucket not in allowed:
        raise NeverScored(f"the bucket {bucket} is not one of ALLOWED_BUCKETS")
    file = _matched(ref)
    if file is None:
        logger.warning("no active file is expected under this key", extra={"bucket": bucket, "key": key})
        return Ingested("unknown", bucket, key)
    if not force and not dry_run and ref.event_time and (known := _known_already(file, ref)):
        return known
    definition = _definition_of(file)
    if not connection.in_atomic_block:
        connection.close()  # none idles while a large file is fetched and scored; a firewall or a server would cut it
    with scratch_folder(settings.MONITOR.scratch_dir) as folder:
        try:
            fetched = fetch(_s3(), ref, folder / "object", settings.MONITOR.max_file_bytes)
        except (ObjectGone, ObjectReplaced) as error:
            logger.warning("%s", error, extra={"bucket": bucket, "key": key})
            status = "gone" if isinstance(error, ObjectGone) else "replaced"
            return Ingested(status, bucket, key, file.pk)
        score = _scored(folder, fetched, definition, report)
    score.metrics["source"] = _source(ref, fetched)
    return _store(file, ref, fetched, score, force=force, dry_run=dry_run)


@lru_cache(maxsize=1)
def _s3() -> Any:
    """Return the client of this process; making one takes a tenth of a second, and threads may share it."""
    return client_of("s3", settings.MONITOR, settings.AWS)


def _matched(ref: ObjectRef) -> MonitoringFile | None:
    """Return the active file that an object is."""
    fields = ("pk", "s3_url", "file_name", "agency_slug")
    active = MonitoringFile.objects.filter(is_active=True)
    candidates = (Candidate(*values) for values in active.values_list(*fields))
    try:
        found = match_file(ref.bucket, ref.key, candidates)
    except Ambiguous as error:
        raise NeverScored(str(error)) from error
    return active.filter(pk=found).first() if found is not None else None


def _definition_of(file: MonitoringFile) -> Definition | None:
    """Return a file's definition, None where it has none; NeverScored for one that is wrong."""
    number = getattr(file, "schema_definition_id", None)
    found = MonitoringFileSchemaDefinition.objects.filter(pk=number).first() if number is not None else None
    if found is None:
        return None
    try:
        return _read(found.pk, found.updated_at, _Unhashed(found.definition))
    except DefinitionError as error:
        raise NeverScored(f"definition {found.name!r} (id {found.pk}): {error}") from error


@dataclass(frozen=True)
class _Unhashed:
    """A document that a cache does not look at."""

    document: Any = dataclasses.field(hash=False, compare=False)


@lru_cache(maxsize=64)
def _read(_number: int, _updated_at: datetime | None, given: _Unhashed) -> Definition:
    """Read a definition once for each of its versions."""
    return read_definition(given.document)


def _scored(folder: Path, fetched: Fetched, definition: Definition | None, report: Path | None) -> Score:
    """Return the score of the object that was fetched."""
    limits = settings.MONITOR.limits
    if fetched.size > limits.file_bytes:
        return score_of_too_many_bytes(fetched.size, definition, limits)
    name = fetched.key.rsplit("/", 1)[-1]
    if report is None:
        return score_file(folder / "object", name, definition, limits, scratch=folder)
    with FailedRows(report) as rows:
        return score_file(folder / "object", name, definition, limits, report=rows, scratch=folder)


def _source(ref: ObjectRef, fetched: Fetched) -> dict[str, Any]:
    """Return an object's fingerprint."""
    return {
        "bucket": ref.bucket,
        "key": fetched.key,
        "versionId": fetched.version_id or ref.version_id,
        "eTag": fetched.etag,
        "size": fetched.size,
        "sequencer": ref.sequencer,
        "eventTime": (ref.event_time or fetched.last_modified).isoformat(),
        "lastModified": fetched.last_modified.isoformat(),
    }


def _known_already(file: MonitoringFile, ref: ObjectRef) -> Ingested | None:
    """Return what is known of a redelivered or overtaken event, before its object is read; None where nothing is."""
    assert ref.event_time is not None  # noqa: S101 - the caller asked
    run_date, run_hour = run_of(ref.key, ref.event_time, settings.MONITOR.zone)
    run = MonitoringFileRun.objects.filter(monitoring_file=file, run_date=run_date, run_hour=run_hour).first()
    source = {
        "bucket": ref.bucket, "key": ref.key, "versionId": ref.version_id, "eTag": ref.etag, "sequencer": ref.sequencer,
        "eventTime": ref.event_time.isoformat(),
    }  # fmt: skip
    if run is None or not (ref.version_id or ref.etag):
        return None
    status = _compare(_stored_source(run), source)
    return Ingested(status, ref.bucket, ref.key, file.pk, run.pk) if status else None


def _stored_source(run: MonitoringFileRun) -> dict[str, Any]:
    """Return the fingerprint of a run's object, an empty one where somebody else wrote the run."""
    quality = MonitoringFileDataQuality.objects.filter(monitoring_file_run=run).only("metrics").first()
    found = quality.metrics.get("source") if quality and isinstance(quality.metrics, dict) else None
    return found if isinstance(found, dict) else {}


def _compare(stored: dict[str, Any], ours: dict[str, Any]) -> str | None:
    """Return unchanged for the stored object itself, older for an event before it, None for a newer one."""
    if not stored:
        return None
    is_same_key = (stored.get("bucket"), stored.get("key")) == (ours["bucket"], ours["key"])
    versions = stored.get("versionId"), ours["versionId"]
    sequencers = stored.get("sequencer"), ours["sequencer"]
    if is_same_key and all(versions):
        if versions[0] == versions[1]:
            return "unchanged"
    elif is_same_key and stored.get("eTag") == ours["eTag"] and (None in sequencers or sequencers[0] == sequencers[1]):
        return "unchanged"
    if is_same_key and sequencers[0] and sequencers[1]:
        return "older" if is_older(sequencers[1], sequencers[0]) else None
    stored_time = reader_of("datetime")(str(stored.get("eventTime")))
    if not isinstance(stored_time, datetime):  # somebody else's row
        return None
    return "older" if datetime.fromisoformat(ours["eventTime"]) < stored_time else None


def _store(
    file: MonitoringFile, ref: ObjectRef, fetched: Fetched, score: Score, *, force: bool, dry_run: bool
) -> Ingested:
    """Write the run and its quality in one transaction, unless they are there or a newer event's are."""
    source = score.metrics["source"]
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s, %s)", (LOCK_CLASS, file.pk))
        run = _run_of_same_object(file, source, has_event=ref.event_time is not None)
        if run is None:
            run_date, run_hour = run_of(ref.key, ref.event_time or fetched.last_modified, settings.MONITOR.zone)
            run = MonitoringFileRun.objects.filter(monitoring_file=file, run_date=run_date, run_hour=run_hour).first()
            run = run or MonitoringFileRun(monitoring_file=file, run_date=run_date, run_hour=run_hour)
        status = _compare(_stored_source(run), source) if run.pk and not force else None
        if status or dry_run:
            return Ingested(status or "scored", ref.bucket, ref.key, file.pk, run.pk, score if dry_run else None)
        run.file_size = fetched.size
        run.save(update_fields=["file_size"] if run.pk else None)
        MonitoringFileDataQuality.objects.update_or_create(
            monitoring_file_run=run,
            defaults={
                "score": score.score, "passed": score.passed, "metrics": score.metrics, "deductions": score.deductions,
            },
        )  # fmt: skip
        _keep_latest_score(file, run, score)
    return Ingested("scored", ref.bucket, ref.key, file.pk, run.pk, score)


def _run_of_same_object(file: MonitoringFile, source: dict[str, Any], *, has_event: bool) -> MonitoringFileRun | None:
    """Return the run of the very object that a person named, or names now: neither knew of the event's time.

    S3 gives an object the time at which its upload began, its event another one.
    """
    names = ("bucket", "key", "eTag", "lastModified")
    same = {f"data_quality__metrics__source__{name}": source[name] for name in names}
    if has_event:
        same["data_quality__metrics__source__eventTime"] = source["lastModified"]
    return MonitoringFileRun.objects.filter(monitoring_file=file, **same).order_by("-run_date", "-run_hour").first()


def _keep_latest_score(file: MonitoringFile, run: MonitoringFileRun, score: Score) -> None:
    """Note the score at the file, unless a later run is there."""
    runs = MonitoringFileRun.objects.filter(monitoring_file=file)
    if runs.filter(run_date__gt=run.run_date).exists():
        return
    if runs.filter(run_date=run.run_date, run_hour__gt=run.run_hour).exists():
        return
    MonitoringFile.objects.filter(pk=file.pk).update(latest_data_quality_score=score.score)
