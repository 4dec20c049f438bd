"""PostgresAdapter: the hub's database behind a SQLAlchemy engine, for scripts and notebooks.

In come queries and raw entities, out go data frames and versions in bronze. Inserting twice makes two versions, since a
caller of these methods says that there is a new one; it is the ingestion that decides whether there is.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from etlkit.errors import DataError, EtlError
from etlkit.postgres import Connection, connect, load_errors
from people_hub.bronze.canonical import BadRecordError, read_content
from people_hub.bronze.store import Version, store_versions
from people_hub.hub_settings import read_database_url

if TYPE_CHECKING:
    import pandas as pd


_ADVICE = re.compile(r"Check DB_[^.]*\.( Nothing was \w+\.)?")


class PostgresAdapter:
    """A pool of connections to the hub's database."""

    def __init__(
        self,
        database_url: str,
        pool_size: int = 5,
        max_overflow: int = 10,
        *,
        application_name: str = "people hub",
    ) -> None:
        """Make the pool; nothing is connected yet. Raises ConfigError for a URL that names no Postgres."""
        self.settings = read_database_url(database_url)
        self.application_name = application_name
        self.engine: Engine = create_engine(
            "postgresql+psycopg2://",
            creator=self._connect,
            pool_size=pool_size,
            max_overflow=max_overflow,
        )

    def _connect(self) -> Connection:
        """Connect; what is wrong is told in terms of the hub's one setting."""
        try:
            return connect(self.settings, self.application_name)
        except EtlError as error:
            raise type(error)(_ADVICE.sub("Check DATABASE_URL and that the server is up.", str(error))) from error

    def query_to_dataframe(self, query: str, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return a query's rows as a pandas frame; `:name` in the query takes params["name"].

        Needs pandas, which the hub itself does not: pip install pandas.
        """
        import pandas as pd  # noqa: PLC0415 - 40 MB that no script of the hub needs

        with self.engine.connect() as connection:
            return pd.read_sql_query(text(query), connection, params=dict(params or {}))

    def insert_raw_entity(
        self,
        entity_type: str,
        source_system: str,
        external_id: str,
        raw_data: Mapping[str, Any],
        ingestion_run_id: str,
    ) -> int:
        """Store one new version of a record; return 1. Raises what `bulk_insert_raw_entities` raises."""
        return self.bulk_insert_raw_entities(
            [
                {
                    "entity_type": entity_type,
                    "source_system": source_system,
                    "external_id": external_id,
                    "raw_data": raw_data,
                    "ingestion_run_id": ingestion_run_id,
                }
            ]
        )

    def bulk_insert_raw_entities(self, entities: Sequence[Mapping[str, Any]]) -> int:
        """Store new versions by COPY in one transaction; return how many.

        Each entity has entity_type, source_system, external_id, raw_data and ingestion_run_id, and the same run.
        Raises DataError that names every entity that cannot be stored (the others are not stored either), LoadError
        when the database refuses for another reason.
        """
        if not entities:
            return 0
        versions, problems = [], []
        for entity in entities:
            try:
                content = read_content(dict(entity["raw_data"]), frozenset())
            except BadRecordError as error:
                problems.append(f"{entity['external_id']}: {error}")
                continue
            versions.append(
                Version(entity["source_system"], entity["entity_type"], str(entity["external_id"]), content)
            )
        run_ids = {str(entity["ingestion_run_id"]) for entity in entities}
        if len(run_ids) > 1:
            problems.append("they are of more than one run")
        with (
            closing(self.detached_connection()) as connection,
            load_errors("storing raw entities"),
            connection,
            connection.cursor() as cursor,
        ):
            refused = store_versions(cursor, versions, uuid.UUID(run_ids.pop()))
            problems.extend(f"{version.external_id}: {reason}" for version, reason in refused)
            if problems:
                raise DataError(f"raw entities cannot be stored: {'; '.join(problems)}. Nothing was stored.")
        return len(versions)

    def detached_connection(self) -> Connection:
        """Return a connection of the caller's own, outside the pool: its locks and TEMP tables end with it."""
        pooled = self.engine.raw_connection()
        connection: Connection = pooled.driver_connection  # type: ignore[assignment]  # psycopg2's own, as created
        pooled.detach()
        return connection

    def close(self) -> None:
        """Close every connection of the pool."""
        self.engine.dispose()
