"""What the tables promise, as statements that anybody can ask: the command `check` and Dagster's asset checks run them.

In comes a cursor, out goes whether the promise holds and the figures behind it; nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from binge_works.popular_lists import LISTS, SQL, PopularList
from etlkit.postgres import Cursor, fetch_dicts

MOST_CHURN = 0.3
"""The share of known ids with a new version in a day that is believed without a word; real days have 2 % to 9 %."""
OLDEST_DAYS = 2


@dataclass(frozen=True)
class Finding:
    """How a check ended; of a table that nothing was loaded into there is nothing to say."""

    passed: bool
    is_loaded: bool
    figures: Mapping[str, Any]

    @property
    def told(self) -> str:
        """Return the figures in a line."""
        return ", ".join(f"{name} {figure}" for name, figure in self.figures.items())


@dataclass(frozen=True)
class DataCheck:
    """One promise of a table, in `sql/checks/<statement>.sql` or the list's own folder.

    Its one row has `passed`, `is_loaded` and the figures behind them. One that blocks keeps dependents from being
    filled.
    """

    popular: PopularList
    table: str
    name: str
    text: str
    blocks: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def find(self, cursor: Cursor, today: date, *, tracks_metrics: bool = False) -> Finding:
        """Ask the database; `today` is what a day's age is counted from.

        Where popularity opens versions (`tracks_metrics`), nearly everybody has a new one each day.
        """
        own = self.popular.sql / f"{self.name}.sql"
        statement = own if own.exists() else SQL / "checks" / f"{self.name}.sql"
        values = {"table": self.table, "today": today, "share": 1 if tracks_metrics else MOST_CHURN, **self.parameters}
        (row,) = fetch_dicts(cursor, statement, values)
        return Finding(bool(row.pop("passed")), bool(row.pop("is_loaded")), row)


def _checks_of(popular: PopularList) -> list[DataCheck]:
    """Return the promises of a list's tables."""
    found = [
        DataCheck(popular, popular.staging, "equals_extract", "staging holds one load, and all of it"),
        DataCheck(popular, popular.current, "holds_staged", "what is staged is in the current table"),
        DataCheck(
            popular,
            popular.current,
            "is_recent",
            f"the day that is loaded is no older than {OLDEST_DAYS} days",
            blocks=False,
            parameters={"days": OLDEST_DAYS},
        ),
    ]
    if popular.history:
        found += [
            DataCheck(popular, popular.history, "one_current_version", "every id has exactly one current version"),
            DataCheck(popular, popular.history, "no_overlap", "versions follow each other without gap and overlap"),
            DataCheck(
                popular,
                popular.history,
                "little_churn",
                f"no more than {MOST_CHURN:.0%} of the known ids changed in a day",
                blocks=False,
            ),
        ]
    if popular.bridge:
        found.append(DataCheck(popular, popular.bridge, "bridge_holds_staged", "the bridge says what staging says"))
    return found


CHECKS = tuple(check for popular in LISTS for check in _checks_of(popular))
