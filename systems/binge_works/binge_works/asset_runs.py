"""Between Dagster and the plain functions: what an asset runs, and what it tells Dagster of it.

An asset is one table in one transaction. What is passed on stands in the metadata of the upstream asset: of raw pages
the file, of a staging table the load that it holds, so that no step reads another load than it was made for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import dagster as dg
from psycopg2 import sql

from binge_works.binge_settings import BingeSettings, load_binge_settings
from binge_works.loading import Conditions, Loaded, day_to_load, extract_list, run_staging, run_table
from binge_works.popular_lists import SQL, PopularList
from binge_works.raw_pages import RawPages, find_pages, open_pages
from binge_works.resources.PostgreSQLResource import PostgreSQLResource
from binge_works.resources.TMDBResource import TMDBResource
from binge_works.staging import Staged
from etlkit.command import explain
from etlkit.errors import DataError, EtlError
from etlkit.logs import redact
from etlkit.postgres import connect, fetch_dicts, load_errors, only_value
from etlkit.settings import secret_values


class ExtractConfig(dg.Config):
    """Which day an extraction stands for: today (UTC) where it is left out; or the pages that were saved for a day."""

    as_of: str = ""
    replay: bool = False


class StagingConfig(dg.Config):
    """Whether a list that lost half of its ids is taken."""

    accept_shrink: bool = False


def raw_key(popular: PopularList) -> dg.AssetKey:
    """Return the asset of a list's raw pages."""
    return dg.AssetKey(["raw", f"popular_{popular.name}"])


def key_of(table: str) -> dg.AssetKey:
    """Return the asset of a table: `tmdb_data.dim_popular_shows` is tmdb_data/dim_popular_shows."""
    schema, name = table.split(".")
    return dg.AssetKey([schema, name.replace("/", "_")])


def extract(
    context: dg.AssetExecutionContext, popular: PopularList, config: ExtractConfig, tmdb: TMDBResource
) -> dg.MaterializeResult[None]:
    """Save the pages of a list, or find those that were saved for the day."""
    started = time.monotonic()
    with told_to_dagster():
        today = datetime.now(UTC).date()
        as_of = day_to_load(config.as_of, today) if config.as_of else today
        (binge,) = load_binge_settings((BingeSettings,), {})
        if config.replay:
            raw = open_pages(binge.binge_raw_dir, popular, as_of)
        else:
            with tmdb.client() as client:
                raw = extract_list(client, popular, as_of, binge.binge_raw_dir, binge.binge_raw_days, context.log)
    return dg.MaterializeResult(
        metadata={
            "record_count": raw.results,
            "execution_time": _seconds_since(started),
            "dagster/row_count": raw.results,
            "as_of": as_of.isoformat(),
            "pages_processed": raw.pages,
            "path": dg.MetadataValue.path(raw.path),
            "extraction_id": str(raw.extraction_id),
        }
    )


def stage(
    context: dg.AssetExecutionContext, popular: PopularList, config: StagingConfig, postgres: PostgreSQLResource
) -> dg.MaterializeResult[None]:
    """Load the raw pages of the upstream asset into staging."""
    started = time.monotonic()
    with told_to_dagster():
        raw = _raw_pages(context, popular)
        conditions = _conditions(context, postgres, accepts_shrink=config.accept_shrink)
        loaded = run_staging(popular, raw, conditions)
        counts = {
            "records_inserted": loaded.staging.staged,
            "duplicates": loaded.staging.duplicates,
            "rejected": loaded.staging.rejected,
            "total_count": loaded.staging.items_in,
        }
        return _result(context, popular.staging, loaded, conditions, {"rows": loaded.staging.staged, **counts}, started)


def fill(
    context: dg.AssetExecutionContext, popular: PopularList, table: str, postgres: PostgreSQLResource
) -> dg.MaterializeResult[None]:
    """Fill a table from the load that the staging asset made."""
    started = time.monotonic()
    with told_to_dagster():
        staged = _staged(context, popular)
        conditions = _conditions(context, postgres)
        loaded = run_table(popular, table, staged, conditions)
        return _result(context, table, loaded, conditions, {"rows": staged.items, **loaded.tables[table]}, started)


@contextmanager
def told_to_dagster() -> Iterator[None]:
    """Turn what ends a step into a failure with its one line; what caused it may hold what Dagster is not to keep."""
    try:
        yield
    except (EtlError, OSError) as error:
        code, message = explain(error)
        raise dg.Failure(redact(message), metadata={"exit_code": code}, allow_retries=False) from None


def _conditions(
    context: dg.AssetExecutionContext, postgres: PostgreSQLResource, *, accepts_shrink: bool = False
) -> Conditions:
    """Return under what conditions an asset loads."""
    database = postgres.settings()
    (binge,) = load_binge_settings((BingeSettings,), {})
    return Conditions(
        database,
        context.log,
        tuple(secret_values([database])),
        binge.binge_track_metrics,
        accepts_shrink=accepts_shrink,
    )


def _raw_pages(context: dg.AssetExecutionContext, popular: PopularList) -> RawPages:
    """Return the raw pages that the upstream asset saved; DataError where others lie there by now."""
    told = _upstream(context, raw_key(popular))
    raw = find_pages(Path(told["path"]), popular)
    if str(raw.extraction_id) != told["extraction_id"]:
        raise DataError(
            f"{raw.path} holds another extraction than this run's.", "Nothing was loaded; materialise both anew."
        )
    return raw


def _staged(context: dg.AssetExecutionContext, popular: PopularList) -> Staged:
    """Return the load that the staging asset made."""
    told = _upstream(context, key_of(popular.staging))
    return Staged(date.fromisoformat(told["as_of"]), UUID(told["run_id"]), int(told["record_count"]))


def _upstream(context: dg.AssetExecutionContext, key: dg.AssetKey) -> Mapping[str, Any]:
    """Return the metadata of an upstream asset's materialisation in this run, or else of its last one."""
    records = context.instance.get_records_for_run(
        context.run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records
    own = [record.event_log_entry for record in records if record.asset_key == key]
    event = own[-1] if own else context.instance.get_latest_materialization_event(key)
    if event is None or event.asset_materialization is None:
        raise DataError(
            f"{key.to_user_string()} was never materialised in this instance of Dagster.",
            "Materialise it first, or set DAGSTER_HOME to the instance that did.",
        )
    return {name: entry.value for name, entry in event.asset_materialization.metadata.items()}


def _result(
    context: dg.AssetExecutionContext,
    table: str,
    loaded: Loaded,
    conditions: Conditions,
    figures: Mapping[str, int],
    started: float,
) -> dg.MaterializeResult[None]:
    """Return what Dagster keeps of a load."""
    context.log.info("%s as of %s: %s", table, loaded.as_of, figures)
    return dg.MaterializeResult(
        metadata={
            **{label: count for label, count in figures.items() if label != "rows"},
            "record_count": figures["rows"],
            "execution_time": _seconds_since(started),
            "as_of": loaded.as_of.isoformat(),
            "run_id": str(loaded.run_id),
            **_looks(context, conditions, table),
        }
    )


def _looks(context: dg.AssetExecutionContext, conditions: Conditions, table: str) -> dict[str, Any]:
    """Return what Dagster shows of a table: name, columns, rows; the name alone where nobody can look any more."""
    schema, name = table.split("/", maxsplit=1)[0].split(".")
    shown: dict[str, Any] = {"dagster/table_name": f"{conditions.database.db_name}.{schema}.{name}"}
    try:
        with (
            closing(connect(conditions.database, "binge_works dagster")) as connection,
            load_errors(f"looking at {name}", "It is loaded."),
            connection,
            connection.cursor() as cursor,
        ):
            columns = fetch_dicts(cursor, SQL / "days" / "list_columns.sql", {"schema": schema, "table": name})
            cursor.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(schema, name)))
            rows = only_value(cursor)
    except EtlError as error:
        context.log.warning("%s is loaded; its columns could not be read: %s", table, redact(error.problem))
        return shown
    schema_of_table = dg.TableSchema([dg.TableColumn(column["column_name"], column["type"]) for column in columns])
    return {**shown, "dagster/column_schema": schema_of_table, "dagster/row_count": rows}


def _seconds_since(started: float) -> dg.MetadataValue[Any]:
    """Return how long a step took."""
    return dg.MetadataValue.float(round(time.monotonic() - started, 3))
