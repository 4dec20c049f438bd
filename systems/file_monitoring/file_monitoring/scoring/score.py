"""A file's score: five deductions from 100, each at most once, as founded (DATA_QUALITY_METRICS.md has the rules).

In come a path, the name under which the file came and its definition, out goes a `Score`: a pure function of the three,
without database, network or clock, so that scoring again gives the same. An OSError or an engine's failure is no score,
it goes up.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from file_monitoring.scoring.definition import Definition
from file_monitoring.scoring.findings import Check, FailedRows, Findings
from file_monitoring.scoring.judge import Judge
from file_monitoring.scoring.layout import Layout
from file_monitoring.scoring.limits import MIB, Limits
from file_monitoring.scoring.plain_csv import PlainCsv, Unreadable, plain_csv

SMALLEST_FOR_ENGINE = 4 * MIB
"""Bytes of a plain file; below them the judge is done before the fast path has begun."""
BASE = 100
PASSING = 80
ROW_CHECKS: tuple[Check, ...] = ("completeness", "bounds", "uniqueness")
DEDUCTIONS = {"schema": 40, "format": 35, "completeness": 20, "bounds": 15, "uniqueness": 10}
"""Points by category; source: the founding document."""
METRICS = {
    "schema": "schemaValidation",
    "format": "formatParsing",
    "completeness": "completeness",
    "bounds": "boundsRange",
    "uniqueness": "uniqueness",
}
NO_DEFINITION = "no schema definition"
MOST_NAMES = 100
SHOWN_NAMES = 5
LONGEST_TOLD_NAME = 100


@dataclass
class Score:
    """What became of a file."""

    metrics: dict[str, Any] = field(default_factory=dict)
    deductions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DEDUCTIONS, 0))
    warnings: list[str] = field(default_factory=list)

    @property
    def score(self) -> int:
        """Return the points that are left, 0 at least."""
        return max(0, BASE - sum(self.deductions.values()))

    @property
    def passed(self) -> bool:
        """Tell whether the file is good enough."""
        return self.score >= PASSING

    def details(self, category: str) -> str:
        """Return a category's verdict in words."""
        return str(self.metrics[METRICS[category]]["details"])

    def keep(self, category: str, details: str, **more: Any) -> None:
        """Note that a category holds."""
        self.metrics[METRICS[category]] = {"passed": True, "details": details, **more}

    def deduct(self, category: str, details: str, **more: Any) -> None:
        """Take a category's points."""
        self.deductions[category] = DEDUCTIONS[category]
        self.metrics[METRICS[category]] = {"passed": False, "details": details, **more}

    def refuse(self, reason: str) -> None:
        """Note that the file cannot be read, whatever was found before."""
        for name in METRICS.values():
            self.metrics.pop(name, None)
        self.deductions = dict.fromkeys(DEDUCTIONS, 0)
        self.deduct("format", reason)
        self.skip_the_rest("the file cannot be read")

    def skip_the_rest(self, why: str) -> None:
        """Note that the categories without a verdict were not looked at."""
        for name in METRICS.values():
            self.metrics.setdefault(name, {"passed": None, "details": f"skipped: {why}", "skipped": why})


def score_file(
    path: Path,
    name: str,
    definition: Definition | None,
    limits: Limits | None = None,
    *,
    report: FailedRows | None = None,
    scratch: Path | None = None,
    smallest_for_engine: int = SMALLEST_FOR_ENGINE,
) -> Score:
    """Return the score of a file; scratch files lie below `scratch` and are gone afterwards."""
    started = time.perf_counter()
    limits = limits or Limits()
    score = Score(metrics=origin(definition))
    folder = Path(tempfile.mkdtemp(prefix="scoring-", dir=scratch))
    try:
        plain = plain_csv(path, name, definition, limits, folder)
        is_large = plain.path.stat().st_size >= smallest_for_engine
        layout = Layout(definition, plain.header) if definition else None
        can_go_on = layout is not None and _judge_header(score, layout)
        findings = _judge_rows(plain, layout if can_go_on else None, limits, folder, report, is_large=is_large)
        _judge_findings(score, plain, layout, findings, can_go_on=can_go_on)
    except Unreadable as error:
        score.refuse(str(error))
        if report:
            report.restart()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    score.metrics["warnings"] = score.warnings
    score.metrics["durationMs"] = round((time.perf_counter() - started) * 1000)
    return score


def score_of_too_many_bytes(size: int, definition: Definition | None, limits: Limits) -> Score:
    """Return the score of a file that is larger than allowed, which is not even read."""
    score = Score(metrics=origin(definition))
    score.refuse(f"the file has {size:,} bytes, the limit is {limits.file_bytes:,}")
    score.metrics["warnings"] = []
    return score


def origin(definition: Definition | None) -> dict[str, Any]:
    """Return by what a file is scored."""
    return {
        "definitionHash": definition.content_hash if definition else None,
        "engineVersion": version("file-monitoring"),
    }


def _judge_findings(
    score: Score, plain: PlainCsv, layout: Layout | None, findings: Findings, *, can_go_on: bool
) -> None:
    """Write down what was found, in the founded order: format, schema, then the rows."""
    _keep_format(score, plain, findings)
    if layout is None:
        score.skip_the_rest(NO_DEFINITION)
        return
    if not can_go_on:
        score.skip_the_rest("columns are missing or ambiguous")
        return
    if findings.rows < layout.definition.min_rows:
        details = f"{findings.rows:,} rows, at least {layout.definition.min_rows:,} are wanted"
        if score.deductions["schema"]:
            details = f"{score.details('schema')}; {details}"
        score.deduct("schema", details, **_columns_told(layout))
    for category in ROW_CHECKS:
        _judge_category(score, category, findings)


def _judge_rows(
    plain: PlainCsv, layout: Layout | None, limits: Limits, folder: Path, report: FailedRows | None, *, is_large: bool
) -> Findings:
    """Return what is in the rows: by the fast path where it is worth it and sure, else by the judge alone."""
    take = report.take if report else None
    if layout is not None and is_large:
        from file_monitoring.scoring.fast_path import Deferred, sieve  # noqa: PLC0415 - DuckDB, for large files only

        try:
            return sieve(plain, layout, Judge(layout, len(plain.header), take), limits, folder)
        except Deferred:
            if report:
                report.restart()
    return Judge(layout, len(plain.header), take).read(plain, folder, limits)


def _keep_format(score: Score, plain: PlainCsv, findings: Findings) -> None:
    """Note how the file was written, and what is odd about its rows without costing points."""
    told = {
        "kind": plain.kind,
        "encoding": plain.encoding,
        "delimiter": plain.dialect.delimiter,
        "compressed": plain.is_compressed,
        "encodingGuessed": plain.is_encoding_guessed,
        "sheet": plain.sheet,
        "blankLines": findings.blank_lines,
        "shortRows": findings.short_rows,
        "formulaWithoutValue": plain.formulas_without_value,
    }
    score.keep("format", f"{plain.kind}, {findings.rows:,} rows of {len(plain.header):,} columns", **told)
    score.metrics["rowCount"] = findings.rows
    score.metrics["columns"] = len(plain.header)
    if findings.rows == 0:
        score.warnings.append("the file has a header and no rows")
    if findings.blank_lines:
        score.warnings.append(f"{findings.blank_lines:,} blank lines")
    if findings.short_rows:
        score.warnings.append(f"{findings.short_rows:,} rows are shorter than the header; what they lack is null")
    if plain.is_encoding_guessed:
        score.warnings.append(f"the encoding was guessed: {plain.encoding}")
    if plain.formulas_without_value:
        score.warnings.append(f"{plain.formulas_without_value:,} formulas have no computed value and are null")


def _judge_header(score: Score, layout: Layout) -> bool:
    """Hold the header against the definition; tell whether the rows can be judged."""
    told = _columns_told(layout)
    wrong = []
    if layout.repeated:
        wrong.append(f"column names that stand there more than once: {_listed(told['repeatedColumns'])}")
    if layout.missing_required:
        wrong.append(f"missing columns: {_listed(layout.missing_required)}")
    if not layout.positions and not wrong:
        wrong.append("none of the definition's columns is there")
    stops = bool(wrong)
    if layout.definition.strict and layout.extra:
        wrong.append(f"columns that the definition does not have: {_listed(told['extraColumns'])}")
    if layout.definition.ordered and not layout.is_in_order:
        wrong.append("the columns do not stand in the definition's order")
    if wrong:
        score.deduct("schema", "; ".join(wrong), **told)
    else:
        score.keep("schema", f"{len(layout.positions):,} columns of the definition are there", **told)
        if layout.missing_optional:
            score.warnings.append(f"optional columns that are not there: {_listed(layout.missing_optional)}")
        if layout.extra:
            score.warnings.append(f"columns that the definition does not have: {_listed(told['extraColumns'])}")
    return not stops


def _columns_told(layout: Layout) -> dict[str, list[str]]:
    """Return the columns that differ, by name.

    A row in which no column is known may be data without a header, so its texts are told by their position alone.
    """
    is_header = bool(layout.positions)
    places = {name: f"column {place + 1}" for place, name in reversed(list(enumerate(layout.header)))}
    fold = layout.definition.fold
    first = {fold(name): name for name in reversed(layout.header)}

    def told(names: Sequence[str]) -> list[str]:
        shown = [(_printable(name) or places[name]) if is_header else places[name] for name in names[:MOST_NAMES]]
        return shown + ([f"and {len(names) - MOST_NAMES:,} more"] if len(names) > MOST_NAMES else [])

    return {
        "missingColumns": layout.missing_required[:MOST_NAMES],
        "missingOptionalColumns": layout.missing_optional[:MOST_NAMES],
        "extraColumns": told(layout.extra),
        "repeatedColumns": told([first[name] for name in layout.repeated]),
    }


def _printable(name: str) -> str:
    """Return a foreign column name in a form that is safe to store and to print."""
    text = "".join(character if character.isprintable() else "?" for character in name)
    return text if len(text) <= LONGEST_TOLD_NAME else f"{text[:LONGEST_TOLD_NAME]}..."


def _listed(names: Sequence[str]) -> str:
    """Return some names in one clause."""
    shown = ", ".join(names[:SHOWN_NAMES])
    return f"{shown} and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else shown


def _judge_category(score: Score, category: Check, findings: Findings) -> None:
    """Write down what was found of one category; one row is as bad as all."""
    tallies = findings.of(category)
    failures = [
        {
            "column": column,
            "rule": rule,
            "count": tally.count,
            "ratio": round(tally.count / findings.rows, 6),
            "rows": tally.rows,
        }
        for (column, rule), tally in tallies.items()
    ]
    if not failures:
        score.keep(category, _KEPT[category], failures=[])
        return
    told = _listed([f"{one['column']} {one['rule']} ({one['count']:,})" for one in failures])
    score.deduct(category, f"{_BROKEN[category]}: {told}", failures=failures)


_KEPT = {
    "completeness": "every required value is there",
    "bounds": "every value is within its bounds",
    "uniqueness": "every key is unique",
}
_BROKEN = {
    "completeness": "required values are null",
    "bounds": "values are out of bounds",
    "uniqueness": "keys stand there more than once",
}
