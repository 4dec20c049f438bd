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

from etlkit.console import Outcome, positive_count, positive_number
from etlkit.errors import EtlError
from etlkit.logs import redact
from etlkit.process import exit_process
from museum.console import run_stage
from museum.kiosk import FILE_ONLY_REASONS, ROW_REASONS
from museum.live.login import client_configuration
from museum.live.message import MESSAGE_REASONS
from museum.live.replay import replay_rejects
from museum.live.settings import KafkaCredentials, KafkaSettings
from museum.live.stopping import Stop, orderly_stop
from museum.live.stream import LiveStream, would
from museum.live.topic import KafkaTopic
from museum.settings import Command, argument_parser

EXAMPLES = """\
  python consumer.py                              # until SIGTERM or Ctrl-C
  python consumer.py --idle-exit 10               # what is there, then end
  python consumer.py --dry-run --idle-exit 5      # the same, rolled back; joins no group
  python consumer.py --replay-rejects --reason unknown_site
the brokers' login and everything else: see .env.example"""
STREAM_FLAGS = (
    "bootstrap_servers", "topic", "group", "instance_id", "from_beginning", "accept_new_topic", "max_messages",
    "idle_exit", "batch_size", "linger_ms",
)  # fmt: skip
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
            lag = stream.lag()
            stream.end()
        except BaseException as error:
            if stream is not None:
                stream.fail(redact(str(error) or type(error).__name__, command.secrets))
            elif stop.is_wanted and isinstance(error, EtlError):
                return Outcome("Stopped before anything was read.", stopped_by=stop.signal)
            raise
        finally:
            if stream is not None:
                stream.close()
            else:
                topic.close()
    log.info("total %s", stream.figures.line(lag, would(command)))
    return _outcome(stream, lag, stop, command)


def _outcome(stream: LiveStream, lag: int | None, stop: Stop, command: Command) -> Outcome:
    """Return how a consumer ended."""
    figures = stream.figures
    earlier = stream.open_rejects - (0 if command.dry_run else figures.rejected)
    tail = f" {earlier:,} earlier rejects are still open." if earlier > 0 else ""
    verb = "Would store" if command.dry_run else "Stored"
    sentence = f"{verb} {figures.stored:,} of {figures.consumed:,} messages, {figures.rejected:,} rejected.{tail}"
    document = {"live": {**figures.document(), "lag": lag}}
    return Outcome(sentence, document, figures.rejected > 0, stop.signal)


def consumer_parser() -> argparse.ArgumentParser:
    """Return the parser of the consumer's command line."""
    parser = argument_parser(
        "consumer.py", "Live kiosk events: from Kafka to Postgres, exactly once.", EXAMPLES, ("database",), EXIT_CODES
    )
    parser.set_defaults(log_setting="museum_live_log_file")
    parser.add_argument("--bootstrap-servers", metavar="HOST:PORT", help="BOOTSTRAP_SERVERS, several with commas")
    parser.add_argument("--topic", metavar="NAME", help="KAFKA_TOPIC (lmnh)")
    parser.add_argument("--group", metavar="NAME", help="KAFKA_GROUP, the consumer group (museum)")
    parser.add_argument("--instance-id", metavar="NAME", help="KAFKA_INSTANCE_ID: static membership in the group")
    parser.add_argument("--from-beginning", action="store_true", help="read all again; what is stored is already there")
    parser.add_argument("--accept-new-topic", action="store_true", help="go on although the topic was re-created")
    parser.add_argument("--max-messages", metavar="N", type=positive_count, help="end after so many messages")
    parser.add_argument(
        "--idle-exit", metavar="SECONDS", type=positive_number, help="end after so long without a message"
    )
    parser.add_argument("--batch-size", metavar="N", help="at most so many messages a transaction (5000)")
    parser.add_argument("--linger-ms", metavar="MS", help="wait at most so long for a batch, up to 250 (100)")
    parser.add_argument("--dry-run", action="store_true", help="do everything, then roll back; figures say would")
    parser.add_argument("--replay-rejects", action="store_true", help="judge open rejects of messages again, and end")
    parser.add_argument("--reason", metavar="NAME", help="with --replay-rejects: only those, e.g. unknown_site")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the consumer from the command line and return its exit code."""
    parser = consumer_parser()
    flags = parser.parse_args(arguments)
    if flags.reason and not flags.replay_rejects:
        parser.error("--reason goes with --replay-rejects")
    if flags.replay_rejects:
        if useless := [f"--{name.replace('_', '-')}" for name in STREAM_FLAGS if getattr(flags, name)]:
            parser.error(f"{', '.join(useless)} cannot go with --replay-rejects")
        if flags.reason and flags.reason not in LIVE_REASONS:
            parser.error(f"--reason is {flags.reason!r}, expected one of {', '.join(LIVE_REASONS)}")
        return run_stage(flags, replay_rejects, with_database=True)
    return run_stage(flags, consume, with_database=True, others=(KafkaSettings, KafkaCredentials))


if __name__ == "__main__":
    exit_process(main())
