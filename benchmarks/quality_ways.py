"""The same rules on the same file by one of several libraries: python quality_ways.py WAY FILE prints what it found.

A process a way, in the environment that has its library; the rules are those of `file_quality.py` beside this file.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

PATTERN = "[^@ ]+@[^@ ]+"
STATUSES = ["active", "left"]
DEFINITION = {
    "columns": [
        {"name": "id", "type": "integer", "required": True, "unique": True, "min": 1},
        {"name": "email", "type": "string", "required": True, "pattern": PATTERN, "max_length": 254},
        {"name": "status", "type": "string", "enum": STATUSES},
        {"name": "salary", "type": "number", "min": 0, "max": 1_000_000},
        {"name": "start_date", "type": "date", "min": "1950-01-01"},
        {"name": "note", "type": "string", "max_length": 100},
    ],
    "unique_keys": [["email", "start_date"]],
    "dialect": {"delimiter": ","},
}


def with_ours(path: Path, **flags: int) -> dict[str, int]:
    """Score it as the worker does."""
    from file_monitoring.scoring.definition import read_definition
    from file_monitoring.scoring.score import score_file

    metrics = score_file(path, path.name, read_definition(DEFINITION), **flags).metrics
    found = {
        name: sum(one["count"] for one in metrics[name]["failures"])
        for name in ("completeness", "boundsRange", "uniqueness")
    }
    return {"rows": metrics["rowCount"], **found}


def with_the_judge_alone(path: Path) -> dict[str, int]:
    """Score it without the fast path."""
    return with_ours(path, smallest_for_engine=1 << 62)


def with_pandas(path: Path) -> dict[str, int]:
    """Plainly, as the founding document recommends it, but with texts kept as they are."""
    import pandas as pd

    frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False, index_col=False)
    null = {name: frame[name].str.strip() == "" for name in frame}
    value = {name: frame[name][~null[name]] for name in frame}
    whole = value["id"].str.fullmatch("[+-]?[0-9]+")
    numbers = pd.to_numeric(value["salary"], errors="coerce")
    dates = pd.to_datetime(value["start_date"], format="%Y-%m-%d", errors="coerce")
    bounds = [
        (~whole) | (pd.to_numeric(value["id"].where(whole), errors="coerce") < 1),
        ~value["email"].str.fullmatch(PATTERN),
        value["email"].str.len() > 254,
        ~value["status"].isin(STATUSES),
        ~((numbers >= 0) & (numbers <= 1_000_000)),
        ~(dates >= pd.Timestamp("1950-01-01")),
        value["note"].str.len() > 100,
    ]
    return {
        "rows": len(frame),
        "completeness": int(null["id"].sum() + null["email"].sum()),
        "boundsRange": int(sum(broken.sum() for broken in bounds)),
        "uniqueness": int(frame["id"].duplicated().sum() + frame.duplicated(["email", "start_date"]).sum()),
    }


def with_great_expectations(path: Path) -> dict[str, int]:
    """Read it by pandas as its guide does, and expect the rules of the frame."""
    import great_expectations as gx
    import pandas as pd
    from great_expectations import expectations as gxe

    frame = pd.read_csv(path)
    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("files").add_dataframe_asset("file")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(
        name="rules",
        expectations=[
            gxe.ExpectColumnValuesToNotBeNull(column="id"),
            gxe.ExpectColumnValuesToNotBeNull(column="email"),
            gxe.ExpectColumnValuesToBeBetween(column="id", min_value=1),
            gxe.ExpectColumnValuesToMatchRegex(column="email", regex=f"^{PATTERN}$"),
            gxe.ExpectColumnValueLengthsToBeBetween(column="email", max_value=254),
            gxe.ExpectColumnValuesToBeInSet(column="status", value_set=STATUSES),
            gxe.ExpectColumnValuesToBeBetween(column="salary", min_value=0, max_value=1_000_000),
            gxe.ExpectColumnValuesToMatchStrftimeFormat(column="start_date", strftime_format="%Y-%m-%d"),
            gxe.ExpectColumnValueLengthsToBeBetween(column="note", max_value=100),
            gxe.ExpectColumnValuesToBeUnique(column="id"),
            gxe.ExpectCompoundColumnsToBeUnique(column_list=["email", "start_date"]),
        ],
    )
    result = batch.validate(suite, result_format="BASIC")
    found = {"rows": len(frame), "completeness": 0, "boundsRange": 0, "uniqueness": 0}
    for one in result.results:
        kind = one.expectation_config.type
        name = "completeness" if "null" in kind else "uniqueness" if "unique" in kind else "boundsRange"
        found[name] += one.result.get("unexpected_count", 0)
    return found


def with_frictionless(path: Path) -> dict[str, int]:
    """Validate it against a Table Schema, every error counted."""
    from frictionless import Checklist, Resource, Schema, system

    fields = [
        {"name": "id", "type": "integer", "constraints": {"required": True, "unique": True, "minimum": 1}},
        {"name": "email", "type": "string", "constraints": {"required": True, "pattern": PATTERN, "maxLength": 254}},
        {"name": "status", "type": "string", "constraints": {"enum": STATUSES}},
        {"name": "salary", "type": "number", "constraints": {"minimum": 0, "maximum": 1_000_000}},
        {"name": "start_date", "type": "date", "constraints": {"minimum": "1950-01-01"}},
        {"name": "note", "type": "string", "constraints": {"maxLength": 100}},
    ]
    with system.use_context(trusted=True):
        resource = Resource(
            str(path), schema=Schema.from_descriptor({"fields": fields, "primaryKey": ["email", "start_date"]})
        )
        report = resource.validate(Checklist(), limit_errors=1_000_000_000)
    kinds: dict[str, int] = {}
    for (kind,) in report.flatten(["type"]):
        kinds[kind] = kinds.get(kind, 0) + 1
    return {"rows": report.tasks[0].stats["rows"], **kinds}


WAYS: dict[str, Any] = {
    "ours": with_ours,
    "judge": with_the_judge_alone,
    "pandas": with_pandas,
    "great_expectations": with_great_expectations,
    "frictionless": with_frictionless,
}

if __name__ == "__main__":
    started = time.perf_counter()
    found = WAYS[sys.argv[1]](Path(sys.argv[2]))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"seconds": round(seconds, 2), "peak_mb": peak, "found": found}))
