"""Reading: in come a published run's manifest and a question, out go the rows of the files that it names.

DuckDB reads, whatever wrote. A reader whose run was moved to the archive meanwhile looks at the pointer again, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
from pyarrow import dataset as arrow
from pyarrow import fs

from etlkit.errors import ConfigError, DataError
from warehouse.configuration import DatasetConfig, GoldConfig, table_names
from warehouse.publishing import Publication, publication_of
from warehouse.targets.bucket import Bucket
from warehouse.targets.target import Target

SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}
Answer = TypeVar("Answer")
DIGEST = """
    select count(*) as rows,
           printf('%x%016x', coalesce(sum(md5_number_upper(columns_of_row)), 0) % 1152921504606846976,
                  coalesce(sum(md5_number_lower(columns_of_row)), 0) % 1152921504606846976) as digest
    from (select {row}::varchar as columns_of_row from {table}) t
"""


def ask(target: Target, dataset: DatasetConfig | GoldConfig, statement: str) -> tuple[list[str], list[Any]]:
    """Return the columns and rows of a statement on a dataset's current tables.

    It sees the tables and nothing else of this machine. Raises ConfigError in DuckDB's words for a wrong one.
    """

    def answer(manifest: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
        with _connection(target, dataset, manifest) as connection:
            connection.execute("set enable_external_access = false")
            connection.execute("set lock_configuration = true")
            found = connection.execute(statement)
            return [name for name, *_ in found.description or ()], found.fetchall()

    try:
        return looked(target, dataset, answer)
    except duckdb.Error as error:
        raise ConfigError(f"--sql: {' '.join(str(error).split())}.") from error


def looked(target: Target, dataset: DatasetConfig | GoldConfig, body: Callable[[dict[str, Any]], Answer]) -> Answer:
    """Return what somebody finds by the current manifest; once more where its run was archived under his eyes."""
    for is_last in (False, True):
        manifest = required(publication_of(target, dataset))
        try:
            return body(manifest)
        except (duckdb.Error, OSError) as error:
            if not is_last and not _is_current(target, dataset, manifest):
                continue
            if isinstance(error, OSError):
                raise DataError(f"{dataset.dataset}: {' '.join(str(error).split())}.", "Run it again.") from error
            raise
    raise AssertionError("the second look returns or raises")


def versions_of(target: Target, dataset: GoldConfig, key: Sequence[str]) -> list[dict[str, Any]]:
    """Return every version of one key, the oldest first, each with `what`: what it changed, by column, or how it began.

    Raises ConfigError for a key of another number of parts, or one that the history has never had.
    """
    names = dataset.business_key
    if len(key) != len(names):
        raise ConfigError(f"{dataset.dataset} has the key {', '.join(names)}; {len(key)} given.")
    (table,) = (name for one, name in table_names(dataset).items() if one == dataset.dataset)

    def answer(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
        with _connection(target, dataset, manifest) as connection:
            found = connection.table(table)
            for name, value in zip(names, key, strict=True):
                is_it = duckdb.ColumnExpression(name).cast("VARCHAR") == duckdb.ConstantExpression(value)
                found = found.filter(is_it)
            return [dict(zip(found.columns, row, strict=True)) for row in found.order("active_from").fetchall()]

    rows = looked(target, dataset, answer)
    if not rows:
        raise ConfigError(f"{dataset.dataset} has never had the key {', '.join(key)}.")
    before: dict[str, Any] | None = None
    for row in rows:
        row["what"] = _what_changed(before, row, dataset.temporal_config.business_columns)
        before = row
    return rows


def _what_changed(before: Mapping[str, Any] | None, row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """Return what a version changed of the one before it."""
    if before is None:
        return "first seen"
    told = [f"{name}: {before[name]!s} -> {row[name]!s}" for name in columns if before[name] != row[name]]
    return "; ".join((["back"] if before["active_to"] < row["active_from"] else []) + told)


def digests(
    target: Target, dataset: DatasetConfig | GoldConfig, manifest: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the rows and a digest of each table of a run, the same whatever engine wrote it and in which order."""
    found = {}
    with _connection(target, dataset, manifest) as connection:
        for table, name in _names(dataset, manifest).items():
            columns = sorted(column for column, _ in manifest["tables"][table]["schema"] if column != "meta_run_id")
            row = "[" + ", ".join(f"coalesce('V' || {_quoted(column)}::varchar, 'N')" for column in columns) + "]"
            rows, digest = connection.execute(DIGEST.format(row=row, table=_quoted(name))).fetchone() or (0, "0")
            found[table] = {"rows": rows, "digest": digest}
    return found


def quarantine(target: Target, manifest: Mapping[str, Any]) -> pa.Table | None:
    """Return the bad rows of a run with their table; None where there are none."""
    tables = []
    for table, told in manifest["tables"].items():
        if key := told.get("quarantine"):
            rows = _arrow(target, [key]).to_table()
            tables.append(rows.add_column(0, "table_name", pa.array([table] * len(rows), pa.string())))
    return pa.concat_tables(tables) if tables else None


def required(publication: Publication) -> dict[str, Any]:
    """Return the current manifest; ConfigError where nothing was published yet."""
    manifest = publication.current()
    if manifest is None:
        raise ConfigError(f"{publication.dataset}: nothing was published yet in {publication.target.url}.")
    return manifest


@contextmanager
def _connection(
    target: Target, dataset: DatasetConfig | GoldConfig, manifest: Mapping[str, Any]
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database that shows a run's tables under their names."""
    with duckdb.connect(config=SETTINGS) as connection:
        for table, name in _names(dataset, manifest).items():
            keys = [file["key"] for file in manifest["tables"][table]["files"]]
            connection.register(name, _arrow(target, keys))
        yield connection


def _names(dataset: DatasetConfig | GoldConfig, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of a run's tables, also of those that are configured no more."""
    known = table_names(dataset)
    return {table: known.get(table, table.replace("-", "_")) for table in manifest["tables"]}


def _arrow(target: Target, keys: Sequence[str]) -> arrow.Dataset:
    """Return Parquet files of a target as a table that is read when it is asked."""
    if isinstance(target, Bucket):
        found: arrow.Dataset = arrow.dataset(
            [target.location(key).removeprefix("s3://") for key in keys],
            filesystem=arrow_files(target),
            format="parquet",
        )
        return found
    for key in keys:
        if not Path(target.location(key)).exists():
            raise FileNotFoundError(f"{target.location(key)} is not there")
    return arrow.dataset([target.location(key) for key in keys], format="parquet")


def arrow_files(target: Bucket) -> fs.S3FileSystem:
    """Return a bucket as Arrow reads it, with the login and the endpoint of the client that writes."""
    client = target.client
    endpoint = client.meta.endpoint_url
    login = target.session.get_credentials()
    frozen = login.get_frozen_credentials() if login else None
    is_aws = endpoint.endswith("amazonaws.com")
    return fs.S3FileSystem(
        access_key=frozen and frozen.access_key,
        secret_key=frozen and frozen.secret_key,
        session_token=frozen and frozen.token,
        region=client.meta.region_name,
        scheme=endpoint.partition("://")[0],
        endpoint_override=None if is_aws else endpoint.partition("://")[2],
    )


def _is_current(target: Target, dataset: DatasetConfig | GoldConfig, manifest: Mapping[str, Any]) -> bool:
    """Tell whether the pointer still names a run."""
    pointer = publication_of(target, dataset).pointer()
    return pointer is not None and pointer.run_id == manifest["run_id"]


def _quoted(name: str) -> str:
    """Return a name as an identifier of DuckDB."""
    return '"' + name.replace('"', '""') + '"'
