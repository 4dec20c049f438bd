"""The page for people: every expected file, worst first, and one file's history.

HTTP Basic with PAGE_PASSWORD; off while it is unset.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from file_monitoring.models import MonitoringFile, MonitoringFileDataQuality
from file_monitoring.scoring.score import METRICS, PASSING
from file_monitoring.views import not_found

FILES_A_PAGE, RUNS_A_PAGE = 200, 60
TREND_RUNS = 20
TREND_WIDTH, TREND_HEIGHT = 120, 28
CHART_WIDTH, CHART_HEIGHT = 640, 160
SQL = Path(__file__).parent / "sql"

logger = logging.getLogger("file_monitoring")
View = Callable[..., HttpResponse]


def for_people(view: View) -> View:
    """Let nobody see a page without the password; without one set there is no page."""

    @wraps(view)
    def guarded(request: HttpRequest, **values: Any) -> HttpResponse:
        if settings.MONITOR.page_password is None:
            return not_found(request, LookupError())
        if not _has_password(request):
            if "Authorization" in request.headers:
                logger.warning("a wrong password for the page", extra={"address": request.META.get("REMOTE_ADDR")})
            answer = HttpResponse("The password of the page is needed.", status=401, content_type="text/plain")
            answer["WWW-Authenticate"] = 'Basic realm="file monitoring", charset="UTF-8"'
            return answer
        return view(request, **values)

    return require_safe(guarded)


def _has_password(request: HttpRequest) -> bool:
    """Tell whether a request has the page's password; the user's name does not matter."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        _, _, password = base64.b64decode(given.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(password, settings.MONITOR.page_password.get_secret_value().encode())


@dataclass(frozen=True)
class FileRow:
    """One expected file on the page."""

    file: MonitoringFile
    latest: MonitoringFileDataQuality | None
    trend: str
    """The points of a line through its last scores."""
    change: int | None
    """Against the arrival before."""

    @property
    def failures(self) -> list[str]:
        """Return what was wrong with its latest arrival, in words."""
        return told_failures(self.latest) if self.latest else []

    @property
    def badness(self) -> tuple[int, str]:
        """Return what the worst come first by; files that never arrived come last."""
        return (self.latest.score if self.latest else 101, str(self.file))


@for_people
def files(request: HttpRequest) -> HttpResponse:
    """List the active files, worst first."""
    active = list(MonitoringFile.objects.filter(is_active=True).order_by("agency_slug", "file_name"))
    recent = _recent_scores([file.pk for file in active])
    latest = MonitoringFileDataQuality.objects.select_related("monitoring_file_run").in_bulk(
        [scores[0][0] for scores in recent.values()]
    )
    rows = [_file_row(file, recent.get(file.pk, []), latest) for file in active]
    rows.sort(key=lambda row: row.badness)
    page = Paginator(rows, FILES_A_PAGE).get_page(request.GET.get("page"))
    counts = {
        "all": len(rows),
        "failing": sum(1 for row in rows if row.latest and not row.latest.passed),
        "silent": sum(1 for row in rows if row.latest is None),
    }
    return render(request, "file_monitoring/files.html", {"page": page, "counts": counts, **_sizes()})


def _recent_scores(numbers: list[int]) -> dict[int, list[tuple[int, int]]]:
    """Return the last scores of each file, the newest first, each with the id of its row."""
    found: dict[int, list[tuple[int, int]]] = {}
    with connection.cursor() as cursor:
        cursor.execute((SQL / "list_recent_scores.sql").read_text(), {"files": numbers, "scores": TREND_RUNS})
        for number, quality, score in cursor.fetchall():
            found.setdefault(number, []).append((quality, score))
    return found


def _file_row(
    file: MonitoringFile, recent: Sequence[tuple[int, int]], latest: Mapping[int, MonitoringFileDataQuality]
) -> FileRow:
    """Return a file with its latest arrivals, the newest first."""
    scores = [score for _, score in reversed(recent)]
    change = scores[-1] - scores[-2] if len(scores) > 1 else None
    newest = latest.get(recent[0][0]) if recent else None
    return FileRow(file, newest, line_through(scores, TREND_WIDTH, TREND_HEIGHT), change)


@for_people
def history(request: HttpRequest, number: int) -> HttpResponse:
    """Show one file's arrivals, the newest first."""
    file = MonitoringFile.objects.filter(pk=number).first()
    if file is None:
        return not_found(request, LookupError())
    qualities = (
        MonitoringFileDataQuality.objects.filter(monitoring_file_run__monitoring_file=file)
        .select_related("monitoring_file_run")
        .order_by("-monitoring_file_run__run_date", "-monitoring_file_run__run_hour")
    )
    page = Paginator(qualities, RUNS_A_PAGE).get_page(request.GET.get("page"))
    runs = [
        {
            "quality": quality,
            "run": quality.monitoring_file_run,
            "failures": told_failures(quality),
            "told": _told(quality),
        }
        for quality in page
    ]
    scores = [run["quality"].score for run in reversed(runs)]
    chart = {
        "line": line_through(scores, CHART_WIDTH, CHART_HEIGHT),
        "dots": dots_of(scores, CHART_WIDTH, CHART_HEIGHT),
    }
    values = {
        "file": file,
        "page": page,
        "runs": runs,
        "chart": chart,
        "zone": settings.MONITOR.run_timezone,
        **_sizes(),
    }
    return render(request, "file_monitoring/history.html", values)


def told_failures(quality: MonitoringFileDataQuality) -> list[str]:
    """Return a sentence for every category that cost points; of rows that somebody else wrote, the category alone."""
    deductions = quality.deductions if isinstance(quality.deductions, dict) else {}
    metrics = quality.metrics if isinstance(quality.metrics, dict) else {}
    told = []
    for category, name in METRICS.items():
        if points := deductions.get(category):
            metric = metrics.get(name)
            details = metric.get("details", "") if isinstance(metric, dict) else ""
            told.append(f"{category} -{points}: {details}".rstrip(": "))
    return told


def _told(quality: MonitoringFileDataQuality) -> dict[str, Any]:
    """Return what a run's metrics say beside the failures: rows, warnings, the object."""
    metrics = quality.metrics if isinstance(quality.metrics, dict) else {}
    rules: list[dict[str, Any]] = []
    for category in ("completeness", "bounds", "uniqueness"):
        metric = metrics.get(METRICS[category])
        failures = metric.get("failures") if isinstance(metric, dict) else None
        rules += [failure for failure in _list(failures) if isinstance(failure, dict)]
    return {
        "rows": metrics.get("rowCount"),
        "warnings": _list(metrics.get("warnings")),
        "source": metrics.get("source") if isinstance(metrics.get("source"), dict) else {},
        "rules": rules,
    }


def _list(given: Any) -> list[Any]:
    """Return a list of what somebody else may have written, an empty one for anything else."""
    return given if isinstance(given, list) else []


def line_through(scores: Sequence[int], width: int, height: int) -> str:
    """Return the points of a line through scores, the oldest on the left."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in dots_of(scores, width, height)) if len(scores) > 1 else ""


def dots_of(scores: Sequence[int], width: int, height: int) -> list[tuple[float, float, int]]:
    """Return where each score lies in a picture, and the score."""
    step = (width - 8) / max(len(scores) - 1, 1)
    return [(4 + place * step, 4 + (height - 8) * (100 - score) / 100, score) for place, score in enumerate(scores)]


def _sizes() -> dict[str, Any]:
    """Return the sizes of the pictures, and where passing begins in them."""
    return {
        "trend_width": TREND_WIDTH,
        "trend_height": TREND_HEIGHT,
        "chart_width": CHART_WIDTH,
        "chart_height": CHART_HEIGHT,
        "passing": PASSING,
        "trend_passing": 4 + (TREND_HEIGHT - 8) * (100 - PASSING) / 100,
        "chart_passing": 4 + (CHART_HEIGHT - 8) * (100 - PASSING) / 100,
    }
