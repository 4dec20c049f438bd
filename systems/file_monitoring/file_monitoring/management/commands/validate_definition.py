"""python manage.py validate_definition NAME|FILE: whether a definition is understood, and as what."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from etlkit.console import Outcome, Session, run_session
from file_monitoring.console import open_session, require_database
from file_monitoring.scoring.definition import Definition
from file_monitoring.services.definitions import definition_by_name, definition_of_file


class Command(BaseCommand):
    """Say whether a definition is understood, and everything that is wrong with it."""

    help = __doc__
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the flags."""
        parser.add_argument("definition", metavar="NAME|FILE", help="a file, or the name of one in the database")
        parser.add_argument("--json", action="store_true", help="print the outcome as one JSON object")

    def handle(self, **flags: Any) -> None:
        """Run the command and end the process with its exit code."""
        raise SystemExit(
            run_session(
                lambda: open_session(as_json=flags["json"]),
                lambda session: _run(session, flags["definition"]),
                as_json=flags["json"],
            )
        )


def _run(session: Session, name: str) -> Outcome:
    """Read the definition and tell its rules."""
    path = Path(name)
    if path.exists():
        definition = definition_of_file(path)
    else:
        require_database()
        definition = definition_by_name(name)
    for line in _told(definition):
        session.logger.info("%s", line)
    return Outcome(
        f"{name} is understood.", {"columns": len(definition.columns), "definition_hash": definition.content_hash}
    )


def _told(definition: Definition) -> list[str]:
    """Return a line a column, and one for each key of several."""
    lines = []
    for column in definition.columns:
        rules: list[str] = [column.type]
        rules += [word for word in ("required", "column_required", "unique") if getattr(column, word)]
        rules += [f"{rule} {bound}" for rule, bound in column.bounds.items()]
        rules += [f"one of {len(column.enum)} values"] if column.enum is not None else []
        rules += [
            f"{rule} {value}"
            for rule in ("pattern", "min_length", "max_length", "format")
            if (value := getattr(column, rule)) is not None
        ]
        lines.append(f"  {column.name}: {', '.join(rules)}")
    lines += [f"  unique together: {', '.join(key)}" for key in definition.keys if len(key) > 1]
    words = [
        word for word in ("strict", "ordered", "case_insensitive", "unique_ignores_nulls") if getattr(definition, word)
    ]
    return lines + ([f"  {', '.join(words)}"] if words else [])
