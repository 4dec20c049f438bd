"""From staging into the tables that people ask: current state, history, bridge, daily popularity, churn.

In comes one staged list, out go the rows of one table and its day in `tmdb_data.loaded_day`, in the caller's
transaction. Every statement compares before it writes, so the same list again changes nothing; an older day than the
table holds is refused, since a history cannot be spliced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from binge_works.popular_lists import SQL, PopularList
from binge_works.staging import Staged, read_staged
from etlkit.errors import DataError
from etlkit.postgres import Cursor, fetch_dicts, run_file

Figures = dict[str, int]


def require_no_later_day(cursor: Cursor, tables: Sequence[str], as_of: date) -> None:
    """Raise DataError when one of the tables holds a later day than the one to be loaded."""
    run_file(cursor, SQL / "days" / "find_later_days.sql", {"tables": list(tables), "as_of": as_of})
    later = cursor.fetchall()
    if later:
        others = f" (and {len(later) - 1} more tables)" if len(later) > 1 else ""
        raise DataError(
            f"{as_of} is an older day than what is loaded: {later[0][0]} holds {later[0][1]}{others}.",
            "A history cannot be spliced; nothing was loaded. A new database can replay the kept days in order.",
        )


def fill_table(
    cursor: Cursor, popular: PopularList, table: str, staged: Staged, *, track_metrics: bool = False
) -> Figures:
    """Bring what is staged into one table of its list; return what changed, counted by the statements that did it.

    A change of popularity or votes opens a new version of history with `track_metrics` only. Raises DataError when
    staging holds another load than `staged`, and when the table holds a later day.
    """
    found = read_staged(cursor, popular)
    if found != staged:
        held = f"the list of {found.as_of} of run {found.run_id}" if found else "nothing"
        raise DataError(
            f"{popular.staging} holds {held}, and {table} was to be filled from that of {staged.as_of} "
            f"of run {staged.run_id}.",
            "Another load came in between; nothing was loaded. Run the list anew.",
        )
    require_no_later_day(cursor, [table], staged.as_of)
    part = next(part for part in _FILLERS if getattr(popular, part) == table)
    values = {"as_of": staged.as_of, "run_id": str(staged.run_id), "track_metrics": track_metrics}
    figures = _FILLERS[part](cursor, popular, values)
    if part == "current" and staged.items != sum(figures.values()):
        raise DataError(
            f"the figures do not add up: {staged.items:,} items of {popular.name} staged, {figures} to {table}. "
            "This is a defect; nothing was loaded."
        )
    note_day(cursor, table, staged)
    return figures


def read_day(cursor: Cursor, table: str) -> tuple[date, str] | None:
    """Return the day that a table holds and the run that staged it, None where nothing was loaded."""
    run_file(cursor, SQL / "days" / "read_loaded_day.sql", {"table": table})
    found: tuple[date, str] | None = cursor.fetchone()
    return found


def note_day(cursor: Cursor, table: str, staged: Staged) -> None:
    """Note which day a table holds now."""
    values = {"table": table, "as_of": staged.as_of, "run_id": str(staged.run_id)}
    run_file(cursor, SQL / "days" / "fill_loaded_day.sql", values)


def _fill_current(cursor: Cursor, popular: PopularList, _values: Mapping[str, Any]) -> Figures:
    """Upsert the current state; what is staged is then inserted, updated, unchanged or filtered."""
    (figures,) = fetch_dicts(cursor, popular.sql / "upsert_current.sql")
    return figures


def _fill_history(cursor: Cursor, popular: PopularList, values: Mapping[str, Any]) -> Figures:
    """Close what changed since an earlier day, open what has no current version, refresh what stays current."""
    closed = run_file(cursor, popular.sql / "close_versions.sql", values)
    opened = run_file(cursor, popular.sql / "open_versions.sql")
    refreshed = run_file(cursor, popular.sql / "refresh_versions.sql")
    return {"closed": closed, "opened": opened, "refreshed": refreshed}


def _fill_bridge(cursor: Cursor, popular: PopularList, _values: Mapping[str, Any]) -> Figures:
    """Let the bridge say what the listed people are known for now."""
    deleted = run_file(cursor, popular.sql / "trim_bridge.sql")
    (figures,) = fetch_dicts(cursor, popular.sql / "upsert_bridge.sql")
    return {"deleted": deleted, **figures}


def _fill_snapshot(cursor: Cursor, popular: PopularList, values: Mapping[str, Any]) -> Figures:
    """Keep the list as it stands on its day."""
    deleted = run_file(cursor, popular.sql / "trim_snapshot.sql", values)
    return {"deleted": deleted, "written": run_file(cursor, popular.sql / "fill_snapshot.sql")}


def _fill_churn(cursor: Cursor, popular: PopularList, values: Mapping[str, Any]) -> Figures:
    """Say how the list differs from the one before, as the snapshots have them."""
    loaded = read_day(cursor, popular.snapshot)
    if loaded != (values["as_of"], values["run_id"]):
        raise DataError(
            f"{popular.snapshot} holds {loaded[0] if loaded else 'nothing'}, staging the list of {values['as_of']}.",
            "Fill the snapshot first; nothing was loaded.",
        )
    return {"written": run_file(cursor, popular.sql / "fill_churn.sql", values)}


_FILLERS: Mapping[str, Callable[[Cursor, PopularList, Mapping[str, Any]], Figures]] = {
    "current": _fill_current,
    "history": _fill_history,
    "bridge": _fill_bridge,
    "snapshot": _fill_snapshot,
    "churn": _fill_churn,
}
"""What fills which part of a list."""
