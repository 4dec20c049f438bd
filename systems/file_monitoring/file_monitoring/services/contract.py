"""Whether the founding tables are there, with the columns that are read and written here."""

from __future__ import annotations

from contextlib import closing

from django.apps import apps
from django.conf import settings

from etlkit.errors import ConfigError
from etlkit.postgres import connect, load_errors
from file_monitoring.models import Agency


def missing_columns() -> list[str]:
    """Return what the database lacks of the models, table by table; ConfigError or LoadError for one that is away."""
    with (
        closing(connect(settings.DATABASE, "file_monitoring")) as connection,
        load_errors("looking for the tables", "Nothing was touched."),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "select table_name, column_name from information_schema.columns where table_schema = 'reporting'"
        )
        found: dict[str, set[str]] = {}
        for table, column in cursor.fetchall():
            found.setdefault(table, set()).add(column)
    lacking = []
    for model in apps.get_app_config("file_monitoring").get_models():
        if model is Agency:  # a stub that is never read
            continue
        table = model._meta.db_table.replace('"', "").removeprefix("reporting.")  # noqa: SLF001 - Django's public name for it
        wanted = {str(field.column) for field in model._meta.concrete_fields}  # noqa: SLF001
        if table not in found:
            lacking.append(f"the table reporting.{table}")
        elif absent := sorted(wanted - found[table]):
            lacking.append(f"reporting.{table}.{', '.join(absent)}")
    return lacking


def require_tables() -> None:
    """Raise ConfigError that names everything that the database lacks."""
    if lacking := missing_columns():
        advice = "Its tables are those of bms-admin, or the role may not see them."
        if any("schema_definition_id" in one for one in lacking):
            advice += " Where schema_definition_id is not there yet, HAS_SCHEMA_DEFINITION=false checks formats alone."
        raise ConfigError(f"the database lacks {'; '.join(lacking)}.", f"{advice} Nothing was touched.")
