"""History: any sequence of snapshots gives the versions of a plain model, on both engines, and each day twice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etlkit.testing import full_count
from warehouse.history import OPEN, Tracking, changes, changes_by_column, versions

EXAMPLES = full_count("histories drawn by chance", 3, 400)
TRACKING = Tracking(("code", "part"), ("name", "price", "since", "is_sold"), ("document",))
TYPES = {
    "code": pa.string(), "part": pa.int64(), "name": pa.string(), "price": pa.decimal128(10, 2), "since": pa.date32(),
    "is_sold": pa.bool_(), "document": pa.string(),
}  # fmt: skip
FIRST = date(2026, 11, 1)
VALUES = st.tuples(
    st.sampled_from([None, "", "a", "a;N", "N;", "V1:a", "’"]), st.sampled_from([None, "1.00", "1.10"]),
    st.sampled_from([None, date(1892, 3, 1), date(2026, 1, 1)]), st.sampled_from([None, True, False]),
    st.sampled_from(["d1", "d2", None]),
)  # fmt: skip
SNAPSHOT = st.dictionaries(st.tuples(st.sampled_from(["x", "y", "1"]), st.integers(1, 2)), VALUES, max_size=6)


@dataclass(frozen=True)
class Version:
    """One version in the plain model."""

    key: tuple
    tracked: tuple
    document: str | None
    begins: date
    ends: date


def by_hand(history: list[Version], snapshot: dict, day: date) -> list[Version]:
    """Return the versions after a day, as somebody would do it who has a list and a pencil."""
    history = [replace(one, ends=OPEN if one.ends == day else one.ends) for one in history if one.begins < day]
    known = {one.key: one for one in history if one.ends == OPEN}
    after = [one for one in history if one.ends != OPEN]
    for key, one in known.items():
        values = snapshot.get(key)
        if values is not None and values[:4] == one.tracked:
            after.append(replace(one, document=values[4]))
        else:
            after.append(replace(one, ends=day))
    for key, values in snapshot.items():
        if key not in known or known[key].tracked != values[:4]:
            after.append(Version(key, values[:4], values[4], day, OPEN))
    return after


def arrow_of(snapshot: dict) -> pa.Table:
    """Return a snapshot as a table."""
    from decimal import Decimal

    rows = [
        (*key, name, price and Decimal(price), since, is_sold, document)
        for key, (name, price, since, is_sold, document) in snapshot.items()
    ]
    columns = [*zip(*rows, strict=True)] or [()] * len(TYPES)
    return pa.table([pa.array(column, kind) for column, kind in zip(columns, TYPES.values(), strict=True)], [*TYPES])


def told(table: pa.Table) -> list[Version]:
    """Return a table of versions as the model has them."""
    return sorted(
        (
            Version(
                (row["code"], row["part"]),
                (row["name"], row["price"] and f"{row['price']}", row["since"], row["is_sold"]),
                row["document"], row["active_from"], row["active_to"],
            )
            for row in table.to_pylist()
        ),
        key=repr,
    )  # fmt: skip


@pytest.fixture(scope="module")
def duckdb():
    """A database of DuckDB."""
    connection = ibis.duckdb.connect()
    yield connection
    connection.disconnect()


@pytest.mark.soak
@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), SNAPSHOT), min_size=1, max_size=6))
def test_any_sequence_of_snapshots_gives_the_history_of_a_plain_model(duckdb, days):
    model, history, day = [], None, FIRST
    for later, snapshot in days:
        day += timedelta(days=later)
        earlier = None if history is None else ibis.memtable(history)
        seen = ibis.memtable(arrow_of(snapshot))
        counts = duckdb.to_pyarrow(changes(earlier, seen, TRACKING, day)).to_pylist()[0]
        history = duckdb.to_pyarrow(versions(earlier, seen, TRACKING, day))
        before = {one.key: one.tracked for one in by_hand(model, {}, day) if one.ends == day}
        after = {key: values[:4] for key, values in snapshot.items()}
        model = by_hand(model, snapshot, day)
        assert told(history) == sorted(model, key=repr)
        assert (counts["before"], counts["new"], counts["gone"]) == (
            len(before), len(after.keys() - before.keys()), len(before.keys() - after.keys()),
        )  # fmt: skip
        changed = {key for key in after.keys() & before.keys() if after[key] != before[key]}
        assert counts["changed"] == len(changed)
        if earlier is not None:
            (by_column,) = duckdb.to_pyarrow(changes_by_column(earlier, seen, TRACKING, day)).to_pylist()
            assert by_column == {
                name: sum(after[key][place] != before[key][place] for key in changed)
                for place, name in enumerate(TRACKING.tracked)
            }
        rows = history.to_pylist()
        assert len({row["version_id"] for row in rows}) == len(rows)
        assert {row["status"] == "current" for row in rows if row["active_to"] == OPEN} <= {True}
        for one in model:  # no overlap, no empty version, one current version of a key
            assert one.begins < one.ends
            assert not [
                other
                for other in model
                if other.key == one.key and other.begins < one.ends and one.begins < other.begins
            ]
