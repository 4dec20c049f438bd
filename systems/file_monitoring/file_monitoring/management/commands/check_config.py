"""python manage.py check_config: whether settings, tables, definitions, queue and buckets are as they must be."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError

from etlkit.console import Outcome, Session, run_session
from etlkit.errors import EXIT_CLEAN, EXIT_FAILED, ConfigError, EtlError
from file_monitoring.console import open_session, require_database, require_queue
from file_monitoring.models import MonitoringFile, MonitoringFileSchemaDefinition
from file_monitoring.scoring.definition import DefinitionError, read_definition
from file_monitoring.services.contract import require_tables
from file_monitoring.services.objects import client_of
from file_monitoring.services.queue import Queue


class Command(BaseCommand):
    """Try everything that the worker needs, and say all that is wrong with it; nothing is changed."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the flags."""
        parser.add_argument("--json", action="store_true", help="print the outcome as one JSON object")

    def handle(self, **flags: Any) -> None:
        """Run the command and end the process with its exit code."""
        raise SystemExit(run_session(lambda: open_session(as_json=flags["json"]), _run, as_json=flags["json"]))


def _run(session: Session) -> Outcome:
    """Try one thing after the other."""
    checks: dict[str, Callable[[], str]] = {
        "database": _check_database,
        "definitions": _check_definitions,
        "queue": _check_queue,
        "buckets": _check_buckets,
    }
    told: dict[str, str] = {}
    gravest = EXIT_CLEAN
    for name, check in checks.items():
        try:
            told[name] = check()
            session.logger.info("ok      %-12s %s", name, told[name])
        except (EtlError, DatabaseError, ClientError, BotoCoreError) as error:
            told[name] = " ".join(str(error).split())
            gravest = max(gravest, error.exit_code if isinstance(error, EtlError) else EXIT_FAILED)
            session.logger.error("%-12s %s", name, told[name])
    sentence = "Everything is as it should be." if gravest == EXIT_CLEAN else "Something is wrong, see above."
    return Outcome(sentence, {"checks": told}, gravest=gravest)


def _check_database() -> str:
    """Look for the founding tables."""
    require_database()
    require_tables()
    active = MonitoringFile.objects.filter(is_active=True).count()
    return f"the founding tables are there, {active} files are active"


def _check_definitions() -> str:
    """Read every definition that there is."""
    require_database()
    wrong, count = [], 0
    for found in MonitoringFileSchemaDefinition.objects.order_by("name"):
        count += 1
        try:
            read_definition(found.definition)
        except DefinitionError as error:
            wrong.append(f"{found.name!r}: {error}")
    if wrong:
        raise ConfigError("; ".join(wrong))
    return f"{count} are understood"


def _check_queue() -> str:
    """Ask for the queue."""
    queue_settings = require_queue({})
    queue = Queue(client_of("sqs", settings.MONITOR, settings.AWS), queue_settings)
    queue.require()
    dead = "has dead letters" if queue.has_dead_letters else "has no dead-letter queue: bad messages are acknowledged"
    return f"{queue_settings.sqs_queue_url} answers and {dead}"


def _check_buckets() -> str:
    """Ask for every bucket that is allowed."""
    names = settings.MONITOR.allowed_buckets
    client = client_of("s3", settings.MONITOR, settings.AWS)
    for name in names:
        client.head_bucket(Bucket=name)
    return ", ".join(names) or "ALLOWED_BUCKETS is not set: messages may name any bucket, the trigger none"
