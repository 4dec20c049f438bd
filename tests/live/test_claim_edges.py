"""What speaks against a partition being the one whose messages are stored, without a broker."""

from __future__ import annotations

import logging
from uuid import UUID

import pytest

from museum.live.claims import Claim, PartitionLedger, Place
from museum.live.topic import LiveMessage, Watermarks

LAST = LiveMessage(0, 9, b"last", None)
OTHER = LiveMessage(0, 9, b"other", None)
LOWER, HIGHER = sorted((LAST, OTHER), key=lambda message: message.fingerprint)


class Topic:
    """A topic with one message where the stored ones end."""

    cluster, name = "c", "t"

    def __init__(self, topic_id, found):
        self.topic_id, self._found = topic_id, found

    def message_at(self, partition, offset, seconds):
        assert (partition, offset) == (0, 9)
        return self._found


def strangeness(*, stored=10, last=LAST, found=LAST, ids=("a", "a"), low=0, high=10):
    known, now = ids
    ledger = PartitionLedger(None, Topic(now, found), UUID(int=1), logging.getLogger("test"))
    fingerprint = last.fingerprint if last else None
    claim = Claim(Place("c", "t", 0), low, 1, 1, stored, stored, fingerprint, known, stored)
    return ledger._strangeness(claim, Watermarks(low, high), 1.0)


@pytest.mark.parametrize(
    "same",
    [
        {}, {"ids": (None, "a")}, {"ids": ("a", None)}, {"last": None, "found": OTHER}, {"found": None}, {"low": 9},
        {"low": 10, "found": OTHER}, {"high": 11},
    ],
)  # fmt: skip
def test_nothing_speaks_against_the_same_partition(same):
    assert strangeness(**same) is None


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"ids": ("a", "b")}, "another id"),
        ({"ids": ("b", "a")}, "another id"),
        ({"high": 9}, "offset 10 comes next, but the partition ends at 9"),
        ({"last": LOWER, "found": HIGHER}, "offset 9 holds another message"),
        ({"last": HIGHER, "found": LOWER}, "offset 9 holds another message"),
        ({"low": 9, "found": OTHER}, "offset 9 holds another message"),
    ],
)
def test_another_partition_is_told_by_its_id_its_end_or_its_last_message(other, said):
    assert said in strangeness(**other)


@pytest.mark.parametrize(("first", "found", "deleted"), [(15, 10, 5), (10, 10, 0), (5, 10, 0)])
def test_what_retention_took_is_counted_from_what_was_stored(first, found, deleted):
    claim = Claim(Place("c", "t", 0), first, 1, 1, found, found, None, None, max(first, found))
    assert claim.deleted == deleted
