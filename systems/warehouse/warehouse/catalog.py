"""Glue's catalog: in comes a judged run, out go the tables that Athena reads, at its files.

A table is made from the known schema, never by a crawler, and moved to the next run on the condition that nobody
changed it meanwhile. It moves just before the pointer does: whoever is stopped between the two leaves Athena on a whole
run, and the next run moves the table back to the pointer's run before anything is removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from etlkit.errors import DataError, LoadError
from warehouse.configuration import DatasetConfig, GoldConfig, table_names
from warehouse.naming import layer_of, run_prefix

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

    from warehouse.targets.target import Target

Schemas = Mapping[str, Sequence[Sequence[str]]]
"""Columns and their types, by table."""
_STALE = {"ConcurrentModificationException", "VersionMismatchException", "AlreadyExistsException"}
_MISSING = "EntityNotFoundException"
_KEPT = ("Name", "Description", "Owner", "Retention", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters")
_HIVE = {
    "string": "string", "date": "date", "boolean": "boolean", "int32": "int", "int64": "bigint", "float32": "float",
    "float64": "double",
}  # fmt: skip
_DECIMAL = re.compile(r"decimal\(([0-9]+), ?([0-9]+)\)")
_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
# a crawler compares compressionType too: to it, none and nothing said differ
_PARAMETERS = {"EXTERNAL": "TRUE", "classification": "parquet", "compressionType": "none"}


@dataclass(frozen=True)
class Catalog:
    """The registered tables of one dataset."""

    client: GlueClient
    target: Target
    dataset: DatasetConfig | GoldConfig
    databases: Mapping[str, str]
    """The database of each layer."""

    def move(self, run_id: str, schemas: Schemas) -> None:
        """Let every table show a run; what is so already is left alone.

        Raises DataError where somebody changed a table meanwhile, LoadError in Glue's words for another refusal; the
        tables that were moved before are moved back.
        """
        done: list[tuple[str, str, dict[str, Any] | None]] = []
        try:
            for table, columns in schemas.items():
                if table not in self.dataset.tables:
                    continue  # of an older configuration
                database = self.databases[layer_of(self.dataset, table)]
                wanted = self._wanted(table, columns, run_id)
                found = self._found(database, wanted["Name"])
                if found is None or _said(found, wanted) != wanted:
                    self._write(database, wanted, found)
                    done.append((database, wanted["Name"], found))
        except BaseException:
            for database, name, before in reversed(done):
                self._put_back(database, name, before)
            raise

    def _wanted(self, table: str, columns: Sequence[Sequence[str]], run_id: str) -> dict[str, Any]:
        """Return what a table shall say."""
        registered = table_names(self.dataset)[
            table if isinstance(self.dataset, DatasetConfig) else self.dataset.dataset
        ]
        told = [{"Name": name, "Type": hive_type(kind)} for name, kind in columns]
        location = self.target.location(run_prefix(self.dataset, table, run_id))
        return {
            "Name": registered,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {**_PARAMETERS},
            "StorageDescriptor": {"Columns": told, "Location": location, **_PARQUET},
        }

    def _found(self, database: str, name: str) -> dict[str, Any] | None:
        """Return what a table says; None where there is none."""
        try:
            found: Any = self.client.get_table(DatabaseName=database, Name=name)["Table"]
        except ClientError as error:
            if error.response["Error"]["Code"] == _MISSING:
                return None
            raise _refused(f"{database}.{name}", error) from error
        except BotoCoreError as error:
            raise LoadError(
                f"the table {database}.{name} cannot be read: {error}.", "What was published stays."
            ) from error
        return dict(found)

    def _write(self, database: str, wanted: Mapping[str, Any], found: Mapping[str, Any] | None) -> None:
        """Make a table, or change the version that was found."""
        given: Any = {"DatabaseName": database, "TableInput": wanted}
        try:
            if found is None:
                self.client.create_table(**given)
            elif version := found.get("VersionId"):
                self.client.update_table(**given, VersionId=version, SkipArchive=True)
            else:
                self.client.update_table(**given, SkipArchive=True)
        except (ClientError, BotoCoreError) as error:
            raise _refused(f"{database}.{wanted['Name']}", error) from error

    def _put_back(self, database: str, name: str, before: Mapping[str, Any] | None) -> None:
        """Undo a change, as far as that goes: the next run does what is left."""
        given: Any = {"DatabaseName": database}
        try:
            if before is None:
                self.client.delete_table(**given, Name=name)
            else:
                kept: Any = {key: value for key, value in before.items() if key in _KEPT}
                self.client.update_table(**given, TableInput=kept, SkipArchive=True)
        except (ClientError, BotoCoreError):
            return


def hive_type(kind: str) -> str:
    """Return the type that Athena knows for one of Ibis; DataError for one that no configuration makes."""
    plain = kind.removeprefix("!")
    if plain.startswith("timestamp"):
        return "timestamp"
    if found := _DECIMAL.fullmatch(plain):
        return f"decimal({found[1]},{found[2]})"
    if plain not in _HIVE:
        raise DataError(f"{kind} is a type that Athena's tables have no word for.", "What was published stays.")
    return _HIVE[plain]


def _said(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a table what is wanted of one, without what Glue adds."""
    told = {key: found.get(key) for key in wanted}
    parameters, described = found.get("Parameters") or {}, found.get("StorageDescriptor") or {}
    told["Parameters"] = {key: parameters.get(key) for key in wanted["Parameters"]}
    told["StorageDescriptor"] = {key: described.get(key) for key in wanted["StorageDescriptor"]}
    return told


def _refused(table: str, error: ClientError | BotoCoreError) -> DataError | LoadError:
    """Return the error for what Glue refused."""
    if not isinstance(error, ClientError):
        return LoadError(f"the table {table}: {error}.", "What was published stays.")
    said = error.response["Error"]
    words = " ".join(str(said.get("Message", "")).split()).rstrip(".")
    if said["Code"] in _STALE:
        return DataError(
            f"the table {table} was changed by somebody else meanwhile: {said['Code']}: {words}.",
            "What was published stays; run again.",
        )
    return LoadError(f"the table {table}: Glue answers {said['Code']}: {words}.", "What was published stays.")
