"""The run of every transform script: bronze's newest versions into one consolidated table of silver.

In come the heads that the source tables were not made from, found by comparing versions and no clock; out go the source
tables' rows, the consolidated records with their quality, and malformed values as rejects. All of it is one transaction
on one snapshot, so that a reader never waits and a kill leaves nothing; a re-run is safe: what is equal is not written.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from psycopg2 import sql

from etlkit.errors import DataError
from etlkit.postgres import Connection, Cursor, fetch_dicts, run_file, unit_of_work
from etlkit.rejects import create_staging, fill_rejected_records
from etlkit.settings import Settings
from people_hub.accounting import SHOWN_ERRORS
from people_hub.hub_settings import load_source_settings
from people_hub.postgres_adapter import PostgresAdapter
from people_hub.service import SHOWN_RECORDS, HubService, Options, Target
from people_hub.silver.transform import ENTITY_TYPES, LOCK_NAME, SOURCE_SYSTEM, SQL, Transform

MANY_ROWS = 1000
"""So many rows written at once let the server look at a table again before it plans the next statement."""
SESSION_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "jit": "off",
    "work_mem": "128MB",
    "default_statistics_target": "10",
}
"""Rows are hashed by their text, which must not depend on the session; a long statement needs room, and no JIT."""


class TransformationService(HubService):
    """Builds one consolidated table of silver."""

    what_stays_of_a_failure = "The transaction was rolled back, silver is as it was. Run again."

    def __init__(
        self,
        database_url: str,
        transform: Transform,
        settings: Settings | None = None,
        *,
        dry_run: bool = False,
        options: Options | None = None,
        adapter: PostgresAdapter | None = None,
        logger: logging.Logger | None = None,
    ) -> None:
        """Keep what a run needs; nothing is connected yet. Settings are read where none are given."""
        others = [other for other in ENTITY_TYPES.values() if other != transform.entity_type]
        target = Target(transform.name, SOURCE_SYSTEM, transform.entity_type, LOCK_NAME, "transform", others)
        super().__init__(database_url, target, dry_run=dry_run, options=options, adapter=adapter, logger=logger)
        self.transform = transform
        self._settings = settings

    def _described(self) -> Mapping[str, Any]:
        """Return what the run's history tells of how it was called."""
        return {"full_sync": self.options.full_sync, "rule_version": self.transform.rule_version}

    def _work(self, connection: Connection, complete: Callable[[Cursor], None]) -> None:
        """Build the table in one transaction."""
        self._settings = self._settings or load_source_settings(self.transform.settings)
        with connection, connection.cursor() as cursor:
            cursor.execute("set temp_buffers = '64MB'")
            create_staging(cursor)
        with (
            self._statistics.undone_on_error(),
            unit_of_work(connection, dry_run=self.dry_run) as cursor,
        ):
            cursor.execute("set transaction isolation level repeatable read")
            for name, value in SESSION_SETTINGS.items():
                cursor.execute("select set_config(%s, %s, true)", (name, value))
            parameters = self._parameters(cursor)
            run_file(cursor, SQL / "silver" / "create_dirty_key.sql")
            first, *steps = self.transform.steps
            stale = self._run_step(cursor, first, parameters)
            if stale or parameters["is_due"]:
                for step in steps:
                    self._run_step(cursor, step, parameters)
                self._keep_rejects(cursor, parameters)
                self._measure_quality(cursor)
            else:
                self._statistics.quality_count = 0
                self.logger.info("Found 0 entities needing transformation")
            found = self._statistics
            has_changed = bool(stale or found.created or found.updated or found.deleted)
            run_file(cursor, SQL / "silver" / "fill_transform_state.sql", {**parameters, "has_changed": has_changed})
            run_file(cursor, SQL / "reject" / "count_open_rejects.sql", parameters)
            (found.open_rejects,) = cursor.fetchone() or (0,)
            found.require_sum()
            found.is_complete = True
            complete(cursor)
        self._statistics.completed_at = datetime.now(UTC)

    def _parameters(self, cursor: Cursor) -> dict[str, Any]:
        """Return what the statements are given; tell what kind of run this is."""
        transform, options = self.transform, self.options
        entity = {"entity_type": transform.entity_type}
        needs = [ENTITY_TYPES[table] for table in transform.needs]
        (state,) = fetch_dicts(cursor, SQL / "silver" / "read_transform_state.sql", {**entity, "needs": needs})
        built_by = state["rule_version"]
        assert self._settings is not None  # noqa: S101 - read before the transaction
        upon = {**state["changes"], "settings": self._settings.model_dump(mode="json")}
        run_file(cursor, SQL / "silver" / "read_last_success.sql", entity)
        (last,) = cursor.fetchone() or (None,)
        is_whole = options.full_sync or built_by != transform.rule_version
        kind = "full sync" if options.full_sync else "incremental sync"
        if not options.full_sync and built_by not in (None, transform.rule_version):
            kind = "full sync, since the rules have changed,"
        self._statistics.is_full = is_whole
        self.logger.info("🔄 Starting %s of %s%s", kind, transform.name, " [DRY RUN]" if self.dry_run else "")
        if last:
            self.logger.info("Last successful transformation: %s", last)
        else:
            self.logger.info("No previous transformation found - processing all records")
        return {
            **entity,
            "source": transform.name,
            "run_id": str(self.run_id),
            "is_whole": is_whole,
            "is_due": is_whole or not transform.is_matched_whole or state["built_upon"] != upon,
            "rule_version": transform.rule_version,
            "built_upon": json.dumps(upon),
            **self._settings.model_dump(),
        }

    def _run_step(self, cursor: Cursor, step: str, parameters: Mapping[str, Any]) -> int:
        """Run a statement; what is built is counted before it is stored, and after many rows the server looks again."""
        if step == f"fill_{self.transform.table}":
            self._count(cursor)
        kind, _, noun = step.partition("_")
        rows = run_file(cursor, self.transform.path(step), parameters)
        while kind == "match" and run_file(cursor, self.transform.path(step), parameters):
            pass  # until nothing more matches
        statistics = self._statistics
        if step == f"fill_{self.transform.table}" and rows != statistics.created + statistics.updated:
            raise DataError(
                f"{rows:,} records were written where {statistics.created:,} are new and {statistics.updated:,} "
                "changed. This is a defect of the hub; the run failed."
            )
        if step == f"delete_{self.transform.table}":
            statistics.deleted = rows
        if kind == "stage":
            _analyze(cursor, sql.Identifier(f"staging_{noun}"))
        elif kind == "fill" and rows >= MANY_ROWS and not self.dry_run:  # the counts would stay after a rollback
            _analyze(cursor, sql.Identifier("silver", noun))
        return rows

    def _count(self, cursor: Cursor) -> None:
        """Count what is about to be written, and show the first of it."""
        statistics = self._statistics
        (found,) = fetch_dicts(cursor, SQL / "silver" / "count_states.sql")
        statistics.created, statistics.updated = found["new"], found["changed"]
        statistics.unchanged = found["unchanged"]
        statistics.processed += found["new"] + found["changed"] + found["unchanged"]
        statistics.quality_count = found["flagged"]
        statistics.average_score = found["average_score"]
        self.logger.info("Found %s entities needing transformation", f"{found['keys']:,}")
        shown = {True: 0, False: 0}
        limit = None if self.options.shows_every_record else SHOWN_RECORDS
        with cursor.connection.cursor("written") as written:  # at DEBUG every record, some at a time
            run_file(written, SQL / "silver" / "list_written.sql", {"limit": limit})
            for key, is_new in written:
                shown[is_new] += 1
                line = "🆕 New record: %s" if is_new else "📝 Record changed: %s"
                if self.dry_run:
                    line = "[DRY RUN] Would upsert: %s"
                is_early = shown[is_new] <= SHOWN_RECORDS
                self.logger.log(logging.INFO if is_early else logging.DEBUG, line, key)

    def _keep_rejects(self, cursor: Cursor, parameters: Mapping[str, Any]) -> None:
        """Keep records without a key and malformed values; resolve what this run found mended."""
        statistics = self._statistics
        cursor.execute("select position, reasons from staging_reject order by position")
        keyless = cursor.fetchall()
        statistics.processed += len(keyless)
        for position, reasons in keyless:
            statistics.reject(position, reasons[0])
        statistics.malformed = run_file(cursor, SQL / "silver" / "stage_malformed.sql", parameters)
        statistics.resolved = run_file(cursor, SQL / "silver" / "resolve_judged_rejects.sql", parameters)
        statistics.new_rejects = fill_rejected_records(cursor, self.run_id).new

    def _measure_quality(self, cursor: Cursor) -> None:
        """Tell what the built records lack: averages and counts for the history, the worst ones by name."""
        statistics = self._statistics
        run_file(cursor, SQL / "silver" / "count_flags.sql")
        statistics.flags = dict(cursor.fetchall())
        for step in self.transform.counts:
            run_file(cursor, self.transform.path(step))
            statistics.tallies.update(dict(cursor.fetchall()))
        issues = fetch_dicts(cursor, SQL / "silver" / "list_quality_issues.sql", {"limit": SHOWN_ERRORS})
        for place, row in enumerate(issues):
            statistics.quality_issues.append(
                {"entity_id": row["record_key"], "score": row["data_quality_score"], "flags": row["quality_flags"]}
            )
            self.logger.log(
                logging.INFO if place < SHOWN_RECORDS else logging.DEBUG,
                "⚠️ Quality issue detected: %s: %s %s",
                row["record_key"],
                row["data_quality_score"],
                ", ".join(row["quality_flags"]),
            )


def _analyze(cursor: Cursor, table: sql.Identifier) -> None:
    """Let the server count a table's rows, so that it plans the next statement for what is there."""
    statement = sql.SQL("analyze {}").format(table)
    cursor.execute(statement)
