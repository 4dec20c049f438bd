"""How the data got here, and whether more of it comes: the strip's signs, the data page, the footer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import pandas as pd

from dashboard import charts
from dashboard.sections import Section, Tile, age, drawn_if, moment
from dashboard.state import DataFigures, Pulse

WELL, SLOW, BAD, NONE = "well", "slow", "bad", "none"
FAR_BEHIND = 1000
"""So many messages a consumer stores in a second or two; more than that behind is told."""


@dataclass(frozen=True)
class Sign:
    """A word of the strip: what it is of, what it says, the moment behind it, and whether that is well."""

    name: str
    says: str
    kind: str = NONE
    at: str = ""


def consumer_sign(pulse: Pulse, now: datetime, timezone: str) -> Sign:
    """Say whether live consumers run and how far they are behind, or since when none does."""
    name = "Live data"
    heard = moment(pulse.heard_at, timezone)
    if pulse.consumers:
        many = f"{pulse.consumers} running" if pulse.consumers > 1 else "running"
        lag = "lag unknown" if pulse.lag is None else f"{pulse.lag:,} behind"
        kind = SLOW if pulse.lag is None or pulse.lag > FAR_BEHIND else WELL
        return Sign(name, f"consumer {many}, {lag}", kind, f"heard {heard}")
    if pulse.status is None:
        return Sign(name, "no consumer has run", NONE)
    word = {"running": "silent", "failed": "failed", "completed": "ended"}.get(pulse.status, pulse.status)
    return Sign(name, f"consumer {word} since {_since(pulse.heard_at, now, timezone)}", BAD, heard)


def press_sign(pulse: Pulse, now: datetime, timezone: str) -> Sign:
    """Say when the latest press was."""
    return Sign("Last press", age(pulse.latest_press, now), NONE, moment(pulse.latest_press, timezone))


def footer(pulse: Pulse, runs: pd.DataFrame, timezone: str) -> str:
    """Say until when there is data, what the latest run did, and how many records are rejected."""
    parts = [f"Data until {moment(pulse.latest_press, timezone)}" if pulse.latest_press else "No presses yet"]
    if len(runs):
        run = runs.iloc[0]
        parts.append(
            f"latest run {run['run']} ({run['kind']}, {run['status']}) from "
            f"{moment(None if pd.isna(run['started_at']) else run['started_at'], timezone)}, "
            f"{run['stored']:,} stored, {run['rejected']:,} rejected"
        )
    parts.append(f"open rejects: {pulse.open_rejects:,}")
    return "; ".join(parts) + "."


def data_tiles(figures: DataFigures, now: datetime, timezone: str) -> list[Tile]:
    """Return how much there is and how fresh it is, by moments that stay true."""
    pulse = figures.pulse
    consumer = consumer_sign(pulse, now, timezone)
    return [
        Tile("Presses stored", f"{figures.reviews + figures.incidents:,}", f"{figures.files:,} files"),
        Tile("Open rejects", f"{pulse.open_rejects:,}"),
        Tile("Latest press", *_day_and_time(pulse.latest_press, timezone)),
        Tile("Latest file loaded", *_day_and_time(figures.latest_file, timezone)),
        Tile(
            "Messages behind",
            f"{pulse.lag:,}" if pulse.consumers and pulse.lag is not None else "-",
            consumer.says,
        ),
    ]


def data_sections(figures: DataFigures, timezone: str) -> list[Section]:
    """Return how the data got here."""
    runs = figures.runs
    shown = pd.DataFrame(
        {
            "run": runs["run"],
            "kind": runs["kind"],
            "started": _local(runs["started_at"], timezone),
            "status": runs["status"],
            "processed": runs["processed"],
            "stored": runs["stored"],
            "rejected": runs["rejected"],
            "error": runs["error"].fillna(""),
        }
    )
    rejects = figures.rejects.assign(last_seen=_local(figures.rejects["last_seen"], timezone))
    partitions = figures.partitions.assign(last_stored=_local(figures.partitions["last_stored"], timezone))
    return [
        Section("Last runs", shown, is_wide=True, note="the newest first"),
        Section(
            "Rejected records by reason",
            rejects,
            drawn_if(len(rejects) > 0, lambda: charts.reject_bars(figures.rejects)),
            "open ones; a record with two reasons counts under both",
        ),
        Section("Live partitions", partitions, note="by the ledger, those that grew last first"),
    ]


def _since(at: datetime | None, now: datetime, timezone: str) -> str:
    """Return a moment of today by its time, another one by its day too."""
    if at is None:
        return "an unknown time"
    zone = ZoneInfo(timezone)
    local = at.astimezone(zone)
    return f"{local:%H:%M}" if local.date() == now.astimezone(zone).date() else f"{local:%-d %b %Y %H:%M}"


def _day_and_time(at: datetime | None, timezone: str) -> tuple[str, str]:
    """Return a moment's day, and its time."""
    if at is None:
        return "-", ""
    local = at.astimezone(ZoneInfo(timezone))
    return f"{local:%-d %b %Y}", f"{local:%H:%M:%S}"


def _local(moments: pd.Series, timezone: str) -> list[str]:
    """Return moments as local time to the second."""
    zone = ZoneInfo(timezone)
    return ["" if pd.isna(at) else f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}" for at in moments]
