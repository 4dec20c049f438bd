"""python manage.py run_worker: score the objects that the queue's messages name, until it is told to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from etlkit.command import explain
from etlkit.console import positive_count
from etlkit.errors import EXIT_CLEAN, EXIT_FAILED, EXIT_REJECTS
from etlkit.process import SIGNAL_EXIT_BASE, flush, heard_signals
from etlkit.settings import setting_names, unknown_settings
from file_monitoring.console import require_queue
from file_monitoring.logs import log_as_json
from file_monitoring.monitor_settings import ENV_FILE, EVERY_SETTING, PREFIXES
from file_monitoring.services.contract import require_tables
from file_monitoring.services.objects import client_of
from file_monitoring.services.queue import Queue
from file_monitoring.services.worker import Worker


class Command(BaseCommand):
    """Take messages from SQS and score their objects; SIGTERM ends it in order, with 0."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the flags."""
        parser.add_argument("--once", action="store_true", help="end when no message is left")
        parser.add_argument("--max-messages", type=positive_count, metavar="N", help="end after so many messages")
        parser.add_argument("--queue-url", help="the queue, instead of SQS_QUEUE_URL")

    def handle(self, **flags: Any) -> None:
        """Run the worker and end the process with its exit code: 0 also on SIGTERM, 130 on Ctrl-C."""
        stop, received = threading.Event(), []

        def note(number: int, _frame: FrameType | None) -> None:
            received.append(number)
            stop.set()

        for number in heard_signals():
            signal.signal(number, note)
        logger = log_as_json(settings.MONITOR.log_level, settings.SECRETS)
        worker: Worker | None = None
        try:
            for sentence in unknown_settings(setting_names(EVERY_SETTING), PREFIXES, ENV_FILE):
                logger.warning("%s", sentence)
            queue_settings = require_queue({"sqs_queue_url": flags["queue_url"]})
            require_tables()
            queue = Queue(client_of("sqs", settings.MONITOR, settings.AWS), queue_settings)
            queue.require()
            logger.info("taking messages from %s", queue_settings.sqs_queue_url)
            worker = Worker(queue, queue_settings, stop)
            worker.run(once=flags["once"], max_messages=flags["max_messages"])
            code = _exit_code(worker, once=flags["once"])
        except Exception as error:  # the boundary of the command
            code, message = explain(error, "What was scored stays scored")
            logger.error("%s [exit %s]", message, code)
            logger.debug("traceback of exit %s", code, exc_info=error)
        if signal.SIGINT in received:
            code = SIGNAL_EXIT_BASE + signal.SIGINT
        elif received and code in (EXIT_CLEAN, EXIT_REJECTS, EXIT_FAILED) and worker:
            code = EXIT_CLEAN
        counts = ", ".join(f"{name} {count}" for name, count in sorted(worker.counts.items())) if worker else ""
        logger.info("ended: %s [exit %s]", counts or "nothing was taken", code)
        if threading.active_count() > 1:  # work that was given up; its connection ends here, which rolls back
            flush(sys.stderr)
            os._exit(code)
        raise SystemExit(code)


def _exit_code(worker: Worker, *, once: bool) -> int:
    """Return how a run that came to its own end went: 1 with messages that come again, 3 with some that never will."""
    if once and worker.counts["tried again later"]:
        return EXIT_FAILED
    return EXIT_REJECTS if worker.counts["never scored"] else EXIT_CLEAN
