"""History: in come a table's versions so far and how its source looks on a day, out go the versions from then on.

Slowly changing dimensions, type 2: a version holds from `active_from` up to, but not including, `active_to`; the open
one ends on OPEN. A key that is new or back opens a version, one that changed closes one and opens another, one that is
gone closes one. What is not tracked (lineage, a document's id that every release renews) is refreshed in place and
opens nothing. All of it is one expression that both engines read alike: hash and version id are made of the values, not
drawn. The same day again undoes what that day did first, so a day twice is a day once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import ibis

if TYPE_CHECKING:
    from ibis.expr import types as ir

OPEN = date(9999, 12, 31)
HASH_VERSION = 1
"""Which way of hashing made a hash: another one would make every row look changed."""
CURRENT, HISTORICAL = "current", "historical"
CONTENT_HASH, VERSION_ID, ACTIVE_FROM, ACTIVE_TO = "content_hash", "version_id", "active_from", "active_to"
ADDED = (CONTENT_HASH, "hash_version", VERSION_ID, ACTIVE_FROM, ACTIVE_TO, "status")
_THEIRS = "seen_"


@dataclass(frozen=True)
class Tracking:
    """Which columns tell versions apart."""

    key: tuple[str, ...]
    tracked: tuple[str, ...]
    """A change of one of these opens a version; their order says nothing."""
    refreshed: tuple[str, ...] = ()
    """These are as the source had them last."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return all columns of a snapshot."""
        return (*self.key, *self.tracked, *self.refreshed)


def aligned(earlier: ir.Table, seen: ir.Table, tracking: Tracking, *, is_hashed_alike: bool) -> ir.Table:
    """Return the versions so far in today's columns: one that is new is null, one that went is gone.

    Where other columns were tracked, or hashed in another way, the hashes are made anew: what did not change is not
    taken for changed.
    """
    there = {
        name: earlier[name] if name in earlier.columns else ibis.null(seen[name].type()) for name in tracking.columns
    }
    whole = earlier.select(*(value.name(name) for name, value in there.items()), *ADDED)
    if is_hashed_alike:
        return whole
    hashed = whole.mutate(
        **{CONTENT_HASH: _hash_of(whole, tracking), "hash_version": ibis.literal(HASH_VERSION, "int32")}
    )
    return hashed.select(*tracking.columns, *ADDED)


def versions(earlier: ir.Table | None, seen: ir.Table, tracking: Tracking, as_of: date) -> ir.Table:
    """Return all versions after a day.

    `earlier` has the columns of a snapshot and ADDED, `seen` those of a snapshot, each key once and none null. No
    version of `earlier` may begin or end after `as_of`.
    """
    now = _hashed(seen, tracking)
    if earlier is None:
        return _opened(now, tracking, as_of)
    before = _undone(earlier, as_of)
    is_open = before[ACTIVE_TO] == ibis.literal(OPEN)
    current, closed = before.filter(is_open), before.filter(~is_open)
    return ibis.union(closed, _kept_or_closed(current, now, tracking, as_of), _new(current, now, tracking, as_of))


def changes(earlier: ir.Table | None, seen: ir.Table, tracking: Tracking, as_of: date) -> ir.Table:
    """Return one row with what a day does: keys that are current before, new, changed, gone.

    Keys and hashes say it; nothing else is joined, so that it takes little memory.
    """
    now = _hashed(seen, tracking)
    if earlier is None:
        return now.aggregate(before=ibis.literal(0), new=now.count(), changed=ibis.literal(0), gone=ibis.literal(0))
    mine, theirs = (table.select(*tracking.key, CONTENT_HASH) for table in (_current(earlier, as_of), now))
    theirs = theirs.rename({_THEIRS + name: name for name in theirs.columns})
    pairs = mine.outer_join(theirs, _same_key(mine, theirs, tracking))
    was, is_now = pairs[CONTENT_HASH].notnull(), pairs[_THEIRS + CONTENT_HASH].notnull()
    return pairs.aggregate(
        before=was.sum().fill_null(0),
        new=(is_now & ~was).sum().fill_null(0),
        changed=(was & is_now & (pairs[CONTENT_HASH] != pairs[_THEIRS + CONTENT_HASH])).sum().fill_null(0),
        gone=(was & ~is_now).sum().fill_null(0),
    )


def changes_by_column(earlier: ir.Table, seen: ir.Table, tracking: Tracking, as_of: date) -> ir.Table:
    """Return one row with, by tracked column, how many changed keys differ in it."""
    current, now = _current(earlier, as_of), _hashed(seen, tracking)
    theirs = now.rename({_THEIRS + name: name for name in now.columns})
    differs = current[CONTENT_HASH] != theirs[_THEIRS + CONTENT_HASH]
    pairs = current.inner_join(theirs, [*_same_key(current, theirs, tracking), differs])
    return pairs.aggregate(
        **{name: (~pairs[name].identical_to(pairs[_THEIRS + name])).sum().fill_null(0) for name in tracking.tracked}
    )


def _current(earlier: ir.Table, as_of: date) -> ir.Table:
    """Return the versions that were open before a day."""
    before = _undone(earlier, as_of)
    return before.filter(before[ACTIVE_TO] == ibis.literal(OPEN))


def _hashed(seen: ir.Table, tracking: Tracking) -> ir.Table:
    """Return a snapshot with the hash of what is tracked: sorted by name, each text with its length before it."""
    return seen.select(*tracking.columns, **{CONTENT_HASH: _hash_of(seen, tracking)})


def _hash_of(rows: ir.Table, tracking: Tracking) -> ir.StringValue:
    """Return the hash of what is tracked of each row."""
    parts = [_told(rows[name]) for name in sorted(tracking.tracked)]
    return ibis.literal("").join([ibis.literal(""), *parts]).hexdigest("md5")


def _told(value: ir.Value) -> ir.StringValue:
    """Return a value as a text that no other value has."""
    text = value.cast("string")
    return text.isnull().ifelse("N;", ibis.literal("V") + text.length().cast("string") + ":" + text)


def _undone(earlier: ir.Table, as_of: date) -> ir.Table:
    """Return the versions as they were before a day: what it opened is gone, what it closed is open."""
    day, never = ibis.literal(as_of), ibis.literal(OPEN)
    kept = earlier.filter(earlier[ACTIVE_FROM] < day)
    ends = (kept[ACTIVE_TO] == day).ifelse(never, kept[ACTIVE_TO])
    return _with_status(kept.mutate(**{ACTIVE_TO: ends}))


def _kept_or_closed(current: ir.Table, now: ir.Table, tracking: Tracking, as_of: date) -> ir.Table:
    """Return the versions that were open: still so, with what is refreshed, or closed."""
    theirs = now.rename({_THEIRS + name: name for name in now.columns})
    pairs = current.left_join(theirs, _same_key(current, theirs, tracking))
    is_same = (pairs[CONTENT_HASH] == pairs[_THEIRS + CONTENT_HASH]).fill_null(False)
    refreshed = {name: is_same.ifelse(pairs[_THEIRS + name], pairs[name]) for name in tracking.refreshed}
    ends = is_same.ifelse(ibis.literal(OPEN), ibis.literal(as_of))
    return _with_status(pairs.mutate(**refreshed, **{ACTIVE_TO: ends}).select(*current.columns))


def _new(current: ir.Table, now: ir.Table, tracking: Tracking, as_of: date) -> ir.Table:
    """Return the versions that a day opens."""
    known = current.select(*tracking.key, CONTENT_HASH).rename(
        {_THEIRS + name: name for name in (*tracking.key, CONTENT_HASH)}
    )
    pairs = now.left_join(known, _same_key(now, known, tracking))
    is_same = (pairs[CONTENT_HASH] == pairs[_THEIRS + CONTENT_HASH]).fill_null(False)
    opened = _opened(pairs.filter(~is_same).select(*now.columns), tracking, as_of)
    return opened.select(*current.columns)


def _opened(now: ir.Table, tracking: Tracking, as_of: date) -> ir.Table:
    """Return rows as open versions from a day on."""
    told = [*(_told(now[name]) for name in tracking.key), ibis.literal(as_of.isoformat())]
    version = ibis.literal("").join(told).hexdigest("md5")
    return now.select(
        *tracking.columns,
        CONTENT_HASH,
        hash_version=ibis.literal(HASH_VERSION, "int32"),
        **{VERSION_ID: version, ACTIVE_FROM: ibis.literal(as_of), ACTIVE_TO: ibis.literal(OPEN)},
        status=ibis.literal(CURRENT),
    )


def _same_key(mine: ir.Table, theirs: ir.Table, tracking: Tracking) -> Sequence[ir.BooleanValue]:
    """Return the conditions under which two rows are of one key."""
    return [mine[name] == theirs[_THEIRS + name] for name in tracking.key]


def _with_status(table: ir.Table) -> ir.Table:
    """Return versions with their status."""
    return table.mutate(status=(table[ACTIVE_TO] == ibis.literal(OPEN)).ifelse(CURRENT, HISTORICAL))
