"""Whose a partition is, and what speaks against it being the one whose messages are stored, without a broker."""

from __future__ import annotations

import logging
from contextlib import closing
from uuid import UUID

import pytest

from etlkit.locks import try_advisory_lock
from etlkit.postgres import connect
from museum.live import claims
from museum.live.claims import Claim, PartitionLedger, Place, claim_row
from museum.live.topic import Watermarks
from museum.live.topic_identity import LiveMessage

LAST = LiveMessage(0, 9, b"last", None)
OTHER = LiveMessage(0, 9, b"other", None)
LOWER, HIGHER = sorted((LAST, OTHER), key=lambda message: message.fingerprint)


class Topic:
    """A topic with one message where the stored ones end."""

    cluster, name = "c", "t"

    def __init__(self, topic_id, found):
        self.topic_id, self._found = topic_id, found
        self.identity = self

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


@pytest.fixture
def ledger(connection):
    topic = Topic("id", LAST)
    topic.watermarks = lambda partition, seconds=1.0: Watermarks(0, 10)
    return PartitionLedger(connection, topic, UUID(int=1), logging.getLogger("test"))


def test_the_lock_of_another_is_told_and_only_a_silent_one_is_ended(ledger, database, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, logger="test")
    name = Place("c", "t", 0).lock_name
    with closing(connect(database, "the other")) as other:
        assert try_advisory_lock(other, name) is None
        assert "the other" in ledger.claim(0, 1.0, accept_new_topic=False)
        assert caplog.messages == []
        monkeypatch.setattr(claims, "SILENCE", "0 seconds")
        assert "the other" in ledger.claim(0, 1.0, accept_new_topic=False)
        assert ["its session was ended" in line for line in caplog.messages] == [True]


def test_a_partition_that_is_given_back_is_free(ledger, database):
    claim = ledger.claim(0, 1.0, accept_new_topic=False)
    name = Place("c", "t", 0).lock_name
    with closing(connect(database, "the next")) as other:
        assert try_advisory_lock(other, name)
        ledger.release([claim.place.partition])
        assert try_advisory_lock(other, name) is None


def test_a_dry_run_s_look_finds_the_ledger_s_offset_and_takes_nothing(ledger, connection, database):
    fresh = ledger.look_at(0)
    assert (fresh.source_id, fresh.found) == (None, 0)
    with connection.cursor() as cursor:
        for place in (Place("d", "t", 0), Place("c", "u", 0), Place("c", "t", 1)):
            claim_row(cursor, place, 7, None, UUID(int=3))
        cursor.execute(
            "insert into event_source (kind, cluster, topic, partition, next_offset, run_id) "
            "values ('kafka', 'c', 't', 0, 10, %s) returning source_id",
            (str(UUID(int=2)),),
        )
        (number,) = cursor.fetchone()
    known = ledger.look_at(0)
    assert (known.source_id, known.found) == (number, 10)
    with closing(connect(database, "the next")) as other:
        assert try_advisory_lock(other, known.place.lock_name) is None
