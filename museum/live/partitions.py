"""The partitions of one consumer: those that it owns, and those that the group gave it and others still hold.

In come the group's word and the ledger's claims, out goes from which offsets to read. A partition that is given up is
claimed anew from what the ledger says, so nothing here need be remembered.
"""

from __future__ import annotations

import logging
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psycopg2

from etlkit.errors import RetryableError
from museum.live.claims import Claim, PartitionLedger
from museum.live.live_summary import LiveReport, LiveSummary
from museum.live.topic import KafkaTopic
from museum.live.topic_identity import LiveMessage

BUSY_REQUEST_SECONDS = 1.0
"""How long a question about one partition may keep the others waiting."""
FIRST_REQUEST_SECONDS = 3.0
CLAIM_SECONDS = 0.5
LONGEST_PAUSE = 15.0


@dataclass
class Wait:
    """A partition that is not ours yet: when it is tried again, after which pause, and who holds it."""

    until: float = 0.0
    pause: float = CLAIM_SECONDS
    holder: str | None = None


class Partitions:
    """The claims of one consumer."""

    def __init__(self, topic: KafkaTopic, flags: Namespace, report: LiveReport, log: logging.Logger) -> None:
        """Own nothing yet; `reached` is how far this process has read partitions, whoever owns them next."""
        self.claims: dict[int, Claim] = {}
        self.reached: dict[int, int] = {}
        self._topic = topic
        self._flags = flags
        self._report = report
        self._log = log
        self._waits: defaultdict[int, Wait] = defaultdict(Wait)

    @property
    def are_all_ours(self) -> bool:
        """Tell whether we own whatever the group gave us."""
        return self._topic.assigned == self.claims.keys()

    @property
    def lag(self) -> int | None:
        """Return how many offsets of our partitions are still to come, None while one is unknown or not yet ours."""
        behind = [self._topic.behind(partition, claim.position) for partition, claim in self.claims.items()]
        known = [count for count in behind if count is not None]
        return sum(known) if self.are_all_ours and len(known) == len(behind) else None

    @property
    def held_by_others(self) -> str:
        """Return who holds the partitions that we wait for."""
        waiting = sorted((self._topic.assigned or frozenset()) - self.claims.keys())
        holders = [(one, self._waits[one].holder) for one in waiting]
        return "; ".join(f"{self._topic.name}[{one}] is held by {holder}" for one, holder in holders if holder)

    def is_next(self, message: LiveMessage) -> bool:
        """Tell whether a message is of a partition that we own, and not behind it."""
        claim = self.claims.get(message.partition)
        return claim is not None and message.offset >= claim.position

    def follow_group(self, ledger: PartitionLedger) -> bool:
        """Follow the group's word; tell whether something was claimed. Raises RetryableError and database errors."""
        topic = self._topic
        assigned = topic.assigned or frozenset()
        lost = self.claims.keys() - (assigned - topic.out_of_range)
        topic.out_of_range.clear()
        for partition in lost:
            del self.claims[partition]
        if not self._flags.dry_run:
            ledger.release(lost)
        claimed = self._claim(ledger, assigned - self.claims.keys())
        if lost or claimed or topic.was_rebalanced:
            topic.read_from({partition: claim.position for partition, claim in self.claims.items()})
        if claimed:
            starts = ", ".join(f"[{one}] from {self.claims[one].position:,}" for one in claimed)
            self._log.info("reading %s%s", topic.name, starts)
        return bool(claimed)

    def note_stored(self) -> None:
        """Note how far we have come, and let the group's offsets follow the stored ones."""
        self.reached.update({partition: claim.position for partition, claim in self.claims.items()})
        if not self._flags.dry_run:
            self._topic.commit({partition: claim.stored for partition, claim in self.claims.items()})

    def give_up(self, ledger: PartitionLedger | None) -> None:
        """Stop reading and, where there still is a database, give the locks back; all is claimed anew."""
        given_up = list(self.claims)
        self.claims.clear()
        with suppress(RetryableError):  # a client beyond repair says so at the next poll
            self._topic.read_from({})
        if ledger is not None and not self._flags.dry_run:
            with suppress(psycopg2.Error):
                ledger.release(given_up)

    def _claim(self, ledger: PartitionLedger, partitions: Iterable[int]) -> list[int]:
        """Try to claim partitions, each by itself; return those that are ours now."""
        claimed = []
        for partition in sorted(partitions):
            wait = self._waits[partition]
            if time.monotonic() < wait.until:
                continue
            wait.until = time.monotonic() + CLAIM_SECONDS
            try:
                if self._flags.dry_run:
                    found: Claim | str = ledger.look_at(partition)
                else:
                    seconds = BUSY_REQUEST_SECONDS if self.claims else FIRST_REQUEST_SECONDS
                    found = ledger.claim(partition, seconds, accept_new_topic=self._flags.accept_new_topic)
            except RetryableError as error:
                self._report.tell_trouble(str(error))
                wait.pause = min(2 * wait.pause, LONGEST_PAUSE)
                wait.until = time.monotonic() + wait.pause
                break  # the others are tried after the next poll
            if isinstance(found, Claim):
                self._begin(partition, found)
                claimed.append(partition)
            elif wait.holder != found:
                wait.holder = found
                self._log.info("%s[%s] is still held by %s; waiting", self._topic.name, partition, found)
        return claimed

    def _begin(self, partition: int, claim: Claim) -> None:
        """Take up a claimed partition; what retention deleted is told."""
        wait = self._waits[partition]
        wait.holder, wait.pause = None, CLAIM_SECONDS
        if claim.deleted:
            self._report.add(LiveSummary(deleted_by_retention=claim.deleted))
            self._log.warning(
                "%s[%s]: a gap: retention deleted up to %s messages, offsets %s to %s, before they were read",
                self._topic.name, partition, f"{claim.deleted:,}", f"{claim.found:,}", f"{claim.first - 1:,}",
            )  # fmt: skip
        reached, flags = self.reached.get(partition), self._flags
        claim.position = start_offset(claim, reached, from_beginning=flags.from_beginning, dry_run=flags.dry_run)
        self.claims[partition] = claim


def start_offset(claim: Claim, reached: int | None, *, from_beginning: bool, dry_run: bool) -> int:
    """Return where reading a claimed partition begins, given how far this process has read it before."""
    if from_beginning:
        again = claim.first if reached is None else reached
        return max(claim.first, again if dry_run else min(again, claim.stored))
    return max(claim.position, reached or 0) if dry_run else claim.position
