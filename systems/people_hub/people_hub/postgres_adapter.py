"""PostgresAdapter: the hub's database behind a SQLAlchemy engine, for scripts and notebooks.

In come queries and raw entities, out go data frames and versions in bronze. Inserting twice makes two versions, since a
caller of these methods says that there is a new one; it is the ingestion that decides whether there is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine

from etlkit.errors import DataError
from etlkit.locks import advisory_lock
from etlkit.postgres import Connection, connect, load_errors, unit_of_work
from etlkit.rejects import Reject, create_staging, fill_rejected_records, stage_rejects
from etlkit.settings import EMBEDDED_HOST
from people_hub.bronze.canonical import BadRecordError, read_content
from people_hub.bronze.page import reject_of
from people_hub.bronze.store import Version, store_versions
from people_hub.bronze.stream import LOCK_PREFIX, key_text
from people_hub.hub_settings import embedded_url, read_database_url

if TYPE_CHECKING:
    import pandas as pd


logger = logging.getLogger(__name__)


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
        """Make the pool; nothing is connected yet. Raises ConfigError for a URL that names no Postgres.

        `embedded` or `embedded/NAME` is a database on the suite's own server, which the first connection starts.
        """
        self.settings = read_database_url(database_url)
        self.application_name = application_name
        self.engine: Engine = create_engine(
            "postgresql+psycopg2://",
            creator=self._connect,
            pool_size=pool_size,
            max_overflow=max_overflow,
        )

    def _connect(self) -> Connection:
        """Connect; the private server is started for it."""
        if self.settings.db_host == EMBEDDED_HOST:
            self.settings = read_database_url(embedded_url(self.settings.db_name))
        return connect(self.settings, self.application_name)

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
        """Store one new version of a record; return 1, or 0 for one that was rejected. Raises what the bulk does."""
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

        Each entity has entity_type, source_system, external_id, raw_data and ingestion_run_id, and the same run. One
        that cannot be stored is kept in meta.rejected_records with its reason and logged, and costs no other: compare
        the number with how many were given. Raises DataError for a run that is none, LockedError while a run of the
        same stream is at work, LoadError when the database refuses altogether; then nothing was stored.
        """
        if not entities:
            return 0
        versions: list[Version] = []
        rejects: list[Reject] = []
        for entity in entities:
            key, raw = entity["external_id"], entity["raw_data"]
            try:
                content = read_content(dict(raw) if isinstance(raw, Mapping) else raw, frozenset())
                versions.append(Version(entity["source_system"], entity["entity_type"], key_text(key), content))
            except BadRecordError as error:
                name = f"{entity['source_system']}/{entity['entity_type']}"
                rejects.append(reject_of(name, str(key or "").strip(), raw, str(error)))
        run_id = _only_run(entities)
        with (
            closing(self.detached_connection()) as connection,
            ExitStack() as locks,
        ):
            for name in sorted({f"{one.source_system}/{one.entity_type}" for one in versions}):
                locks.enter_context(advisory_lock(connection, f"{LOCK_PREFIX}{name}"))
            stored = self._store(connection, versions, rejects, run_id)
        for reject in rejects:
            logger.error("❌ Failed to store %s: %s; it is kept as a reject", reject.position, reject.reasons[0])
        return stored

    def _store(self, connection: Connection, versions: list[Version], rejects: list[Reject], run_id: UUID) -> int:
        """Store versions and rejects in one transaction; add to the rejects what is refused, and return the others."""
        with load_errors("storing raw entities"), unit_of_work(connection) as cursor:
            refused = store_versions(cursor, versions, run_id)
            rejects += [
                reject_of(f"{one.source_system}/{one.entity_type}", one.external_id, one.content.record, reason)
                for one, reason in refused
            ]
            if rejects:
                create_staging(cursor)
                stage_rejects(cursor, rejects)
                fill_rejected_records(cursor, run_id)
        return len(versions) - len(refused)

    def detached_connection(self) -> Connection:
        """Return a connection of the caller's own, outside the pool: its locks and TEMP tables end with it."""
        pooled = self.engine.raw_connection()
        connection: Connection = pooled.driver_connection  # type: ignore[assignment]  # psycopg2's own, as created
        pooled.detach()
        return connection

    def close(self) -> None:
        """Close every connection of the pool."""
        self.engine.dispose()


def _only_run(entities: Sequence[Mapping[str, Any]]) -> UUID:
    """Return the run of all entities; DataError when it is none, or more than one."""
    names = {str(entity["ingestion_run_id"]) for entity in entities}
    try:
        (run_id,) = (UUID(name) for name in names)
    except ValueError:
        shown = ", ".join(sorted(names)[:3])
        raise DataError(
            f"raw entities are of one run, by the uuid that create_ingestion_run returns, not of {shown}. "
            "Nothing was stored."
        ) from None
    return run_id
