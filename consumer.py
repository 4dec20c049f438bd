"""Consumer: Kafka kiosk events -> TEMP staging -> the museum's tables, in small batches, until SIGTERM.

In come the messages of one topic, out go reviews, incidents, rejected records and the run's history. The offsets are
stored in Postgres in the transaction of the rows, so a consumer that was killed, cut off or overtaken by a rebalance
stored either all of a batch or nothing of it, and the next one goes on exactly there. Messages that are read again
count as already there.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin()

import argparse
import logging
from dataclasses import replace

from etlkit.console import Outcome, positive_count, positive_number
from etlkit.errors import EtlError
from etlkit.logs import redact
from etlkit.process import exit_process
from museum.command import Command, add_settings_flags, argument_parser, outcome_of, run_stage
from museum.kiosk import FILE_ONLY_REASONS, ROW_REASONS
from museum.live.kafka_login import client_configuration
from museum.live.message import MESSAGE_REASONS
from museum.live.replay import replay_rejects
from museum.live.stopping import orderly_stop
from museum.live.stream import LiveStream
from museum.live.topic import KafkaTopic
from museum.settings import KafkaCredentials, KafkaSettings

EXAMPLES = """\
  python consumer.py                              # until SIGTERM or Ctrl-C
  python consumer.py --idle-exit 10               # what is there, then end
  python consumer.py --dry-run --idle-exit 5      # the same, rolled back; joins no group
  python consumer.py --replay-rejects --reason unknown_site
the brokers' login and everything else: see .env.example"""
KAFKA_FLAGS = (
    ("--bootstrap-servers", "HOST:PORT", "bootstrap_servers", "BOOTSTRAP_SERVERS, several with commas"),
    ("--topic", "NAME", "kafka_topic", "KAFKA_TOPIC (lmnh)"),
    ("--group", "NAME", "kafka_group", "KAFKA_GROUP, the consumer group (museum)"),
    ("--instance-id", "NAME", "kafka_instance_id", "KAFKA_INSTANCE_ID: static membership in the group"),
    ("--batch-size", "N", "museum_batch_size", "at most so many messages a transaction (5000)"),
    ("--linger-ms", "MS", "museum_linger_ms", "wait at most so long for a batch, up to 250 (100)"),
)
NOT_FOR_REPLAY = {flag: setting for flag, _, setting, _ in KAFKA_FLAGS} | {
    "--from-beginning": "from_beginning",
    "--accept-new-topic": "accept_new_topic",
    "--max-messages": "max_messages",
    "--idle-exit": "idle_exit",
}
LIVE_REASONS = sorted({*ROW_REASONS, *MESSAGE_REASONS} - FILE_ONLY_REASONS)
EXIT_CODES = (
    "exit codes: 0 stopped by SIGTERM, or no new rejects; 1 failed, what was stored stays; 2 usage or settings;\n"
    "3 an end with new rejects; 4 another consumer took the instance id, or another replay is at work;\n"
    "129 the terminal was closed; 130 Ctrl-C"
)


def consume(command: Command, log: logging.Logger) -> Outcome:
    """Consume the topic until something ends it, and return the outcome."""
    kafka, credentials = command.others
    topic = KafkaTopic(kafka.kafka_topic, client_configuration(kafka, credentials, str(command.run_id)[:8], log), log)
    stream: LiveStream | None = None

    def cancel() -> None:
        if stream is not None:
            stream.break_off()

    with orderly_stop(cancel, log) as stop:
        try:
            topic.connect(lambda: stop.is_wanted)
            stream = LiveStream(command, topic, kafka, log)
            place = f"{kafka.bootstrap_servers}, {len(topic.partitions)} partitions"
            log.info("consuming %s of %s as group %s", topic.name, place, kafka.kafka_group)
            stream.run(stop)
            summary = stream.end()
        except BaseException as error:
            if stream is not None:
                stream.fail(redact(str(error) or type(error).__name__, command.secrets))
            elif stop.is_wanted and isinstance(error, EtlError):
                return Outcome("Stopped before anything was read.", stopped_by=stop.signal)
            raise
        finally:
            (stream or topic).close()
    log.info("total %s", summary.lines()[0])
    return replace(outcome_of(summary), stopped_by=stop.signal)


def consumer_parser() -> argparse.ArgumentParser:
    """Return the parser of the consumer's command line."""
    purpose = "Live kiosk events: from Kafka to Postgres, exactly once."
    parser = argument_parser(
        "consumer.py", purpose, EXAMPLES, ("database",), exit_codes=EXIT_CODES, log_setting="museum_live_log_file"
    )
    add = parser.add_argument
    add("--max-messages", metavar="N", type=positive_count, help="end after so many messages")
    add("--idle-exit", metavar="SECONDS", type=positive_number, help="end after so long without a message")
    add("--dry-run", action="store_true", help="do everything, then roll back; figures say would")
    add("--from-beginning", action="store_true", help="read all again; what is stored is already there")
    add("--accept-new-topic", action="store_true", help="go on although the topic was re-created")
    add("--replay-rejects", action="store_true", help="judge open rejects of messages again, and end")
    add("--reason", metavar="NAME", help="with --replay-rejects: only those, e.g. unknown_site")
    kafka = parser.add_argument_group("where the messages come from, and how many a batch takes")
    add_settings_flags(kafka, *KAFKA_FLAGS)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the consumer from the command line and return its exit code."""
    parser = consumer_parser()
    flags = parser.parse_args(arguments)
    if flags.reason and not flags.replay_rejects:
        parser.error("--reason goes with --replay-rejects")
    if flags.replay_rejects:
        if useless := [flag for flag, name in NOT_FOR_REPLAY.items() if getattr(flags, name)]:
            parser.error(f"{', '.join(useless)} cannot go with --replay-rejects")
        if flags.reason and flags.reason not in LIVE_REASONS:
            parser.error(f"--reason is {flags.reason!r}, expected one of {', '.join(LIVE_REASONS)}")
        return run_stage(flags, replay_rejects, with_database=True)
    return run_stage(flags, consume, with_database=True, others=(KafkaSettings, KafkaCredentials))


if __name__ == "__main__":
    exit_process(main())
