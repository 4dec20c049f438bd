"""The time axis of a chart: a place for each step, the empty ones too, but one marked place for a long gap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import altair as alt
import pandas as pd

MOST_EMPTY = 6
"""A longer run of steps without presses takes one place."""

MOST_TICKS = 10
DAY = timedelta(days=1)
LENGTHS = {"hour": timedelta(hours=1), "day": DAY, "week": 7 * DAY}
FULL_FORMATS = {"hour": "%a %-d %b %Y %H:%M", "day": "%a %-d %b %Y", "week": "week of %-d %b %Y", "month": "%b %Y"}


@dataclass(frozen=True)
class TimeAxis:
    """The places of an axis: `steps` by their place, None for a gap; `gaps` says of how long each gap is."""

    grain: str
    steps: list[pd.Timestamp | None]
    gaps: dict[int, str]

    def placed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a frame with a column `period` with the place of each row and its period as people write it."""
        places = {step: place for place, step in enumerate(self.steps) if step is not None}
        when = [step.strftime(FULL_FORMATS[self.grain]) for step in frame["period"]]
        return frame.assign(place=frame["period"].map(places), when=when).drop(columns="period")

    def encoding(self) -> alt.X:
        """Return the axis, as wide as its chart; each place is a band."""
        labels = self._labels()
        shown = [place for place, step in enumerate(self.steps) if step is not None]
        ticks = sorted({*shown[:: -(-len(shown) // MOST_TICKS)], *(place + 1 for place in self.gaps)})
        words = "{" + ", ".join(f"'{place}': '{labels[place]}'" for place in ticks) + "}[datum.value]"
        axis = alt.Axis(values=ticks, labelExpr=words, labelAngle=0, labelOverlap=True, ticks=False, grid=False)
        return alt.X("place:O", title=None, scale=alt.Scale(domain=list(range(len(self.steps)))), axis=axis)

    def gap_marks(self) -> alt.LayerChart | None:
        """Return what marks the gaps, None where there are none."""
        if not self.gaps:
            return None
        base = alt.Chart(pd.DataFrame({"place": list(self.gaps), "gap": list(self.gaps.values())})).encode(
            x=self.encoding(), tooltip=[alt.Tooltip("gap:N", title="without presses")]
        )
        band = base.mark_rect(color="#888888", opacity=0.18)
        return alt.LayerChart(layer=[band, base.mark_text(angle=270, fontSize=10).encode(text="gap:N")])

    def _labels(self) -> list[str]:
        """Return each place's label, as short as it can be told apart."""
        steps = [step for step in self.steps if step is not None]
        is_one_day = len({step.date() for step in steps}) == 1
        is_one_year = len({step.year for step in steps}) == 1
        day = "%-d %b" if is_one_year else "%-d %b %y"
        form = {"hour": "%H:%M" if is_one_day else f"{day} %H:%M", "day": day, "week": day, "month": "%b %Y"}[
            self.grain
        ]
        return ["" if step is None else step.strftime(form) for step in self.steps]


def time_axis(periods: Iterable[Any], grain: str) -> TimeAxis:
    """Return the axis of some periods, the local times at which steps of this grain begin."""
    present = sorted({pd.Timestamp(period) for period in periods})
    steps: list[pd.Timestamp | None] = []
    gaps: dict[int, str] = {}
    for step in present:
        last = steps[-1] if steps else None
        if last is not None:
            empty = _steps_between(last, step, grain) - 1
            if empty > MOST_EMPTY:
                gaps[len(steps)] = _length(step - last, grain, empty)
                steps.append(None)
            else:
                steps += [_later(last, grain, number) for number in range(1, empty + 1)]
        steps.append(step)
    return TimeAxis(grain, steps, gaps)


def _later(step: pd.Timestamp, grain: str, number: int) -> pd.Timestamp:
    """Return the step that is so many later."""
    return step + (pd.DateOffset(months=number) if grain == "month" else number * LENGTHS[grain])


def _steps_between(first: pd.Timestamp, second: pd.Timestamp, grain: str) -> int:
    """Return how many steps it is from one to the next."""
    if grain == "month":
        return int(12 * (second.year - first.year) + second.month - first.month)
    return round((second - first).to_pytimedelta() / LENGTHS[grain])


def _length(distance: timedelta, grain: str, empty: int) -> str:
    """Return how long a gap is, in the largest unit that fits."""
    if grain == "month":
        return f"{empty} months"
    days = distance / DAY
    for size, unit in ((365.25, "years"), (30.4, "months"), (7, "weeks"), (1, "days")):
        if days >= 2 * size:
            return f"{days / size:.0f} {unit}"
    return f"{empty} hours"
