"""The queue: one message a visibility clock, kept invisible while it is worked on, deleted after the commit.

Every call names the queue's own words when it is refused. What can never succeed goes to the dead-letter queue: that of
SQS_DEAD_LETTER_URL, else the one of the queue's redrive policy; without one it is logged and acknowledged.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from etlkit.aws import LONGEST_WORDS, refusal
from etlkit.errors import ConfigError, RetryableError
from file_monitoring.monitor_settings import QueueSettings

FIRST_WAIT, LONGEST_WAIT = 10, 900
LONGEST_VISIBILITY = 43_200
LARGEST_MESSAGE = 256 * 1024
"""Bytes, attributes included."""
REASON_ATTRIBUTE = "Reason"
LOST_RECEIPT = ("ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight")
NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "InvalidAddress")

logger = logging.getLogger("file_monitoring")


@dataclass(frozen=True)
class Message:
    """A message under its receipt."""

    message_id: str
    body: str
    receipt: str
    receive_count: int


class ReceiptLost(Exception):
    """The message is visible again, or gone: somebody else has it."""


class Queue:
    """An SQS queue and its dead-letter queue."""

    def __init__(self, client: Any, settings: QueueSettings) -> None:
        """Remember both; nothing is asked yet."""
        self._client = client
        self._settings = settings
        self._url = settings.sqs_queue_url
        self._dead_letter_url = settings.sqs_dead_letter_url

    def require(self) -> None:
        """Find the queue and its dead letters; ConfigError where it is not there, RetryableError without an answer."""
        with _refusals("asking for the queue"):
            told = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["RedrivePolicy"])
        if self._dead_letter_url is not None:
            with _refusals("asking for the dead-letter queue"):
                self._client.get_queue_attributes(QueueUrl=self._dead_letter_url, AttributeNames=["QueueArn"])
        policy = json.loads(told.get("Attributes", {}).get("RedrivePolicy") or "{}")
        if self._dead_letter_url is None and (arn := policy.get("deadLetterTargetArn")):
            *_, account, name = arn.split(":")
            with _refusals("asking for the dead-letter queue"):
                found = self._client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
            self._dead_letter_url = found["QueueUrl"]
        if not self.has_dead_letters:
            logger.warning("there is no dead-letter queue: a message that can never succeed is logged and acknowledged")

    @property
    def has_dead_letters(self) -> bool:
        """Tell whether there is a place for what can never succeed."""
        return self._dead_letter_url is not None

    def receive(self, wait_seconds: int) -> Message | None:
        """Return the next message, None where none came in time."""
        with _refusals("receiving"):
            told = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=1,
                WaitTimeSeconds=wait_seconds,
                VisibilityTimeout=self._settings.visibility_timeout,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        for message in told.get("Messages", ()):
            count = int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1))
            return Message(message["MessageId"], message["Body"], message["ReceiptHandle"], count)
        return None

    def delete(self, message: Message) -> None:
        """Acknowledge a message."""
        with _refusals("deleting a message"):
            self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt)

    def keep_invisible(self, message: Message, seconds: int) -> None:
        """Let nobody else see the message for so long from now on; raises ReceiptLost."""
        with _refusals("changing a message's visibility"):
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=message.receipt, VisibilityTimeout=min(seconds, LONGEST_VISIBILITY)
            )

    def give_back(self, message: Message, seconds: int | None = None) -> None:
        """Let the message come again: later by each time that it has come, or after so many seconds."""
        wait = backoff(message.receive_count) if seconds is None else seconds
        try:
            self.keep_invisible(message, wait)
        except (ReceiptLost, RetryableError) as error:  # it comes again by itself
            logger.warning("%s", error, extra={"message_id": message.message_id})

    def bury(self, message: Message, reason: str) -> bool:
        """Move a message that can never succeed to the dead-letter queue; return whether there is one."""
        if self._dead_letter_url:
            attribute = {"DataType": "String", "StringValue": _printable(reason)[:LONGEST_WORDS]}
            attributes = {REASON_ATTRIBUTE: attribute}
            if len(message.body.encode()) + 2 * LONGEST_WORDS > LARGEST_MESSAGE:  # they count, too
                attributes = {}
            with _refusals("writing to the dead-letter queue"):
                self._client.send_message(
                    QueueUrl=self._dead_letter_url, MessageBody=message.body, MessageAttributes=attributes
                )
        self.delete(message)
        return self.has_dead_letters


def backoff(receive_count: int) -> int:
    """Return how many seconds a message waits before it comes again: 10, 20, 40, ... up to 900, and some at random."""
    wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(max(receive_count - 1, 0), 10))
    return int(wait + random.randint(0, wait // 5))  # noqa: S311 - so that not all come back at once


def _printable(text: str) -> str:
    """Return text that SQS takes as an attribute."""
    return "".join(character if character.isprintable() else " " for character in text) or "-"


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Sort what SQS and the way to it refuse."""
    try:
        yield
    except ClientError as error:
        code, words = refusal(error)
        if code in NO_QUEUE:
            raise ConfigError(
                f"{what} was refused ({code}): {words}.", "Check SQS_QUEUE_URL and SQS_DEAD_LETTER_URL."
            ) from error
        if code in LOST_RECEIPT:
            raise ReceiptLost(f"{what} was refused ({code}): {words}") from error
        raise RetryableError(f"{what} was refused ({code}): {words}.") from error
    except (BotoCoreError, ValueError) as error:
        raise RetryableError(f"{what} failed: {' '.join(str(error).split())[:LONGEST_WORDS]}.") from error
