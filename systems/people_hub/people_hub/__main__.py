"""python -m people_hub: schemas, settings and sources, runs, their health, rejects, history, quality.

In come a command and its flags, out go what it prints and its exit code; every command may be repeated.
"""

from __future__ import annotations

if __name__ == "__main__":
    from people_hub import starting  # noqa: F401 - one line for what is missing

import argparse
import json
import logging
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tabulate import tabulate

from etlkit.console import Outcome, add_action, interval_of, positive_count
from etlkit.errors import EXIT_CLEAN, EXIT_CONFIG, EXIT_FAILED, ConfigError, EtlError
from etlkit.logs import redact
from etlkit.postgres import (
    Connection,
    apply_schema,
    fetch_dicts,
    load_errors,
    require_schema,
    run_file,
    schema_version,
    unit_of_work,
)
from etlkit.process import exit_process
from etlkit.settings import Settings
from etlkit.signals import cancelled_by_signals
from people_hub.bronze.ingestion import IngestionService
from people_hub.bronze.store import SQL
from people_hub.bronze.stream import Stream
from people_hub.hub_settings import ENV_FILE, META_FILE, SCHEMA, SCHEMA_FILE, load_hub_settings
from people_hub.postgres_adapter import PostgresAdapter
from people_hub.script import (
    EXIT_CODES,
    LOGGER_NAME,
    HubCommand,
    add_common_flags,
    gravest,
    run_hub_command,
    run_scripts,
)
from people_hub.scripts import Script, all_scripts, choose_scripts, find_stream, streams, transforms
from people_hub.silver.quality import WORST, WORST_ON_PAGE, explained_lines, export_page, read_quality, winner_of

SHOWN_TEXT = 80
FLAG_COSTS = SQL / "silver" / "list_flag_costs.sql"
RUNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ingest": ("list the sources into bronze", ("ingest",)),
    "enrich": ("fetch the details that are due", ("enrich",)),
    "transform": ("build silver from bronze", ("transform",)),
    "run": ("ingest, enrich, transform; what fails keeps only back what needs it", ("ingest", "enrich", "transform")),
}
"""Which kinds of scripts a command runs."""


def init_schemas(command: HubCommand) -> Outcome:
    """Create what is missing of the schemas meta, bronze and silver."""
    with closing(command.open_adapter()) as adapter, closing(adapter.detached_connection()) as connection:
        found = schema_version(connection, SCHEMA.system)
        if found is not None and found > SCHEMA.version:
            return Outcome(f"✅ The database has the newer schema {found}, which does; nothing was touched.")
        with cancelled_by_signals(connection):
            apply_schema(connection, META_FILE)
            apply_schema(connection, SCHEMA_FILE)
    return Outcome("✅ The schemas meta, bronze and silver are in place.")


def check_everything(flags: argparse.Namespace) -> int:
    """Try every setting and every source, and print all findings in one list."""
    scripts = choose_scripts(("ingest", "enrich"), flags.only) if flags.only else streams()
    sources: dict[type[Settings], list[Script]] = {}
    for script in scripts:
        sources.setdefault(script.job.settings, []).append(script)
    try:
        load_hub_settings((), {"database_url": "embedded" if flags.embedded else None})
    except ConfigError:  # then nothing can be tried: all that is missing, in one message
        return run_hub_command(flags, "check", lambda _command: Outcome(gravest=EXIT_CONFIG), tuple(sources))
    usable, findings = [], []
    for transform in transforms() if not flags.only else ():
        try:
            load_hub_settings((transform.settings,), {"database_url": "embedded"})
        except ConfigError as error:
            findings.append(("NO", transform.name, redact(error.problem.rstrip("."))))
    for settings_class, users in sources.items():
        try:
            load_hub_settings((settings_class,), {"database_url": "embedded"})
            usable.append(settings_class)
        except ConfigError as error:
            findings.append(("NO", _names(users), redact(error.problem.rstrip("."))))

    def body(command: HubCommand) -> Outcome:
        results = [*findings, _check_database(command)]
        results += [_check_source(command, sources[found], command.sources[found]) for found in usable]
        command.say([tabulate(results, headers=["", "what", "found"], tablefmt="simple", maxcolwidths=[2, 30, 90])])
        is_good = all(mark == "ok" for mark, *_ in results)
        exit_code = EXIT_CLEAN if is_good else EXIT_CONFIG if findings else EXIT_FAILED
        command.results.extend({"what": what, "found": found, "is_good": mark == "ok"} for mark, what, found in results)
        if findings:
            command.say([f"What is missing or wrong is set in the environment or in {ENV_FILE}."])
        command.say(["✅ Everything answers." if is_good else f"❌ Not everything is well. [exit {exit_code}]"])
        return Outcome(gravest=exit_code)

    return run_hub_command(flags, "check", body, tuple(usable))


def show_status(command: HubCommand) -> Outcome:
    """Print the health of every stream and transform."""
    names = [script.job.name for script in all_scripts()]
    with closing(command.open_adapter()) as adapter, closing(adapter.detached_connection()) as connection:
        rows = _query(connection, "stream/list_stream_health", {"streams": names})
    command.results.extend(rows)
    never = sorted(set(names) - {row["stream"] for row in rows})
    shown = [
        {
            "stream": row["stream"],
            "last run": row["status"] or "-",
            "started (UTC)": _minute(row["started_at"]),
            "last success": _minute(row["last_success_at"]),
            "last full listing": _minute(row["last_full_at"]),
            "records": f"{row['records']:,}",
            "deleted": f"{row['deleted']:,}",
            "open rejects": f"{row['open_rejects']:,}",
        }
        for row in rows
    ]
    command.say([tabulate(shown, headers="keys", tablefmt="simple", disable_numparse=True) if shown else "no runs yet"])
    failed = [row for row in rows if row["status"] == "failed"]
    command.say(f"❌ {row['stream']}: {row['error_message']}" for row in failed)
    if never and shown:
        command.say([f"never run: {', '.join(never)}"])
    return Outcome()


def show_rejects(command: HubCommand) -> Outcome:
    """Print open rejected records, or judge them again with --retry."""
    scripts = all_scripts()
    if wanted := command.flags.stream:
        known = {name: script for script in scripts for name in (script.job.name, script.name, script.short_name)}
        if wanted not in known:
            raise ConfigError(f"there is no stream {wanted!r}; there are: {', '.join(s.job.name for s in scripts)}.")
        scripts = [known[wanted]]
    with closing(command.open_adapter()) as adapter:
        if command.flags.retry:
            return _retry_rejects(command, adapter, scripts)
        with closing(adapter.detached_connection()) as connection:
            names = [script.job.name for script in scripts]
            rows = _query(connection, "reject/list_open_rejects", {"sources": names, "limit": command.flags.show})
    command.results.extend({**row, "raw": bytes(row["raw"]).decode("utf-8", "replace")} for row in rows)
    shown = [
        {
            "stream": row["source"],
            "record": _shorten(row["position"], 40),
            "reasons": _shorten(", ".join(row["reasons"]), SHOWN_TEXT),
            "since": _minute(row["first_seen"]),
            "text": _shorten(bytes(row["raw"]).decode("utf-8", "replace"), SHOWN_TEXT),
        }
        for row in rows
    ]
    command.say(
        [tabulate(shown, headers="keys", tablefmt="simple", disable_numparse=True) if shown else "no open rejects"]
    )
    return Outcome()


def _retry_rejects(command: HubCommand, adapter: PostgresAdapter, scripts: list[Script]) -> Outcome:
    """Judge the open rejects of some streams again; one that cannot be judged does not keep the others from it."""
    options = replace(command.options(), is_replay=True)
    codes, resolved = [EXIT_CLEAN], 0
    for script in scripts:
        with closing(adapter.detached_connection()) as connection:
            (found,) = _query(connection, "reject/count_open_rejects", {"source": script.job.name})
        if not found["count"]:
            continue
        if not isinstance(script.job, Stream):
            line = "⏭️ %s open reject(s) of %s are judged by the next transform after their source has mended them"
            command.logger.info(line, f"{found['count']:,}", script.job.name)
            command.results.append({"stream": script.job.name, "exit_code": EXIT_CLEAN, "open_before": found["count"]})
            continue
        logger = logging.getLogger(f"{LOGGER_NAME}.{script.name}")
        service = IngestionService("", script.job, options=options, adapter=adapter, logger=logger)
        try:
            results = service.run_main_process()
        except EtlError as error:
            message = redact(str(error), command.secrets)
            logger.error("❌ Failed: %s [exit %s]", message, error.exit_code)  # noqa: TRY400 - a message for its user
            command.results.append({"stream": script.job.name, "exit_code": error.exit_code, "error": message})
            codes.append(error.exit_code)
            continue
        resolved += results["resolved_rejects"]
        command.results.append(
            {"stream": script.job.name, "exit_code": EXIT_CLEAN, "open_before": found["count"], **results}
        )
    worst = gravest(codes)
    found_open = sum(result.get("open_before", 0) for result in command.results)
    judged = sum(result.get("records_processed", 0) for result in command.results)
    told = f"{'❌' if worst else '✅'} {found_open:,} open rejects{' [DRY RUN]' if command.flags.dry_run else ''}"
    sentence = (
        f"{told}: {judged:,} may be good now and were tried, {resolved:,} resolved, "
        f"{found_open - resolved:,} stay open. [exit {worst}]"
    )
    return Outcome(sentence, gravest=worst)


def show_history(command: HubCommand) -> Outcome:
    """Print every version of one record, the newest first, and which fields each one changed."""
    stream = find_stream(command.flags.stream)
    with closing(command.open_adapter()) as adapter, closing(adapter.detached_connection()) as connection:
        rows = _query(connection, "version/list_versions", {**_identity(stream), "external_id": command.flags.id})
    if not rows:
        raise ConfigError(f"{stream.name} has no record {command.flags.id!r}.")
    command.results.extend(rows)
    for number, row in enumerate(rows):
        earlier = [other["raw_data"] for other in rows[number + 1 :] if not other["is_tombstone"]]
        is_back = number + 1 < len(rows) and rows[number + 1]["is_tombstone"]
        mark = "🆕 first" if row["is_first"] else "🆕 oldest that is kept"
        if row["is_tombstone"]:
            mark = "⏭️ deleted"
        elif earlier:
            mark = "🆕 came back" if is_back else "📝 changed"
        when = f"{row['ingested_at']:%Y-%m-%d %H:%M:%S} UTC"
        command.say([f"{when} {mark} (version {row['raw_id']}, run {row['ingestion_run_id']})"])
        if not row["is_tombstone"]:
            command.say(f"    {line}" for line in _differences(earlier[0] if earlier else {}, row["raw_data"]))
    return Outcome()


def show_quality(command: HubCommand) -> Outcome:
    """Print how good silver's records are, the worst first; with --export as a page too."""
    exported = command.flags.export
    with closing(command.open_adapter()) as adapter, closing(adapter.detached_connection()) as connection:
        require_schema(connection, SCHEMA)
        with load_errors("reading the quality of silver"), connection, connection.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read, read only")
            quality = read_quality(cursor, WORST_ON_PAGE if exported else WORST)
    if exported:
        size = export_page(quality, exported, datetime.now(UTC))
    shown = replace(quality, worst=quality.worst[:WORST])
    command.results.append(shown.as_dict())
    command.say(shown.lines())
    return Outcome(f"✅ {exported} was written, {size:,} bytes." if exported else "")


def explain_record(command: HubCommand) -> Outcome:
    """Print what each source says of every field of a record, which one won, and what its flags cost."""
    tables = {name: one for one in transforms() for name in (one.table, one.entity_type)}
    if command.flags.table not in tables:
        names = ", ".join(one.table for one in transforms())
        raise ConfigError(f"there is no table {command.flags.table!r} in silver; there are: {names}.")
    transform = tables[command.flags.table]
    key = command.flags.id.strip()
    with closing(command.open_adapter()) as adapter, closing(adapter.detached_connection()) as connection:
        require_schema(connection, SCHEMA)
        with load_errors("explaining a record"), connection, connection.cursor() as cursor:
            rows = fetch_dicts(cursor, transform.path("explain"), {"key": key})
            flags = rows[0]["quality_flags"] if rows else []
            costs = {row["flag"]: row["cost"] for row in fetch_dicts(cursor, FLAG_COSTS, {"flags": flags})}
    if not rows:
        raise ConfigError(
            f"silver.{transform.table} has no record {key!r}. If a source has it, "
            "python -m people_hub transform builds it."
        )
    fields = [
        {"field": row["field"], "silver": row["value"], "from": winner_of(row), "said": row["said"]} for row in rows
    ]
    command.results.append(
        {"table": transform.table, "key": key, "score": rows[0]["data_quality_score"], "flags": costs, "fields": fields}
    )
    command.say(explained_lines(rows, costs))
    return Outcome()


def prune_versions(command: HubCommand) -> Outcome:
    """Delete the versions that were replaced longer ago than an age."""
    age = interval_of(command.flags.older_than)
    with closing(command.open_adapter()) as adapter, closing(adapter.detached_connection()) as connection:
        require_schema(connection, SCHEMA)
        with (
            cancelled_by_signals(connection),
            load_errors("pruning versions"),
            unit_of_work(connection, dry_run=bool(command.flags.dry_run)) as cursor,
        ):
            cursor.execute("select set_config('people_hub.is_pruning', 'on', true)")
            count = run_file(cursor, SQL / "version" / "delete_old_versions.sql", {"older_than": age})
    command.results.append({"removed": count, "dry_run": bool(command.flags.dry_run)})
    would = "would remove" if command.flags.dry_run else "removed"
    return Outcome(
        f"✅ {would} {count:,} versions replaced longer ago than {command.flags.older_than}; every newest one stays."
    )


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m people_hub",
        description="People, departments, groups and computers: bronze has their history, silver one record of each.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, text: str, kinds: tuple[str, ...] = ()) -> argparse.ArgumentParser:
        action = add_action(actions, name, text)
        add_common_flags(action, kinds)
        action.set_defaults(command=name)
        return action

    add("init", "create what is missing of the schemas meta, bronze and silver").set_defaults(body=init_schemas)
    action = add("check", "try every setting and every source, in one list")
    action.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these, e.g. tdx_users")
    for name, (text, kinds) in RUNS.items():
        action = add(name, text, kinds)
        example = "users" if "transform" in kinds else "tdx_users"
        action.add_argument("--only", nargs="+", default=[], metavar="NAME", help=f"only these, e.g. {example}")
    add("status", "the health of every stream and transform").set_defaults(body=show_status)
    action = add("rejects", "open rejected records")
    action.add_argument("--retry", action="store_true", help="judge them again and store what is good now")
    action.add_argument("--dry-run", action="store_true", help="with --retry: say what would happen")
    action.add_argument("--stream", metavar="STREAM", help="only this stream's, e.g. tdx/user")
    action.add_argument("--show", metavar="N", type=positive_count, default=50, help="how many to show (50)")
    action.set_defaults(body=show_rejects)
    action = add("history", "every version of one record")
    action.add_argument("stream", metavar="STREAM", help="e.g. tdx/user or ingest_tdx_users")
    action.add_argument("id", metavar="ID", help="the record's key")
    action.set_defaults(body=show_history)
    action = add("quality", "scores, flags and conflicts of silver by entity and source, the worst first")
    action.add_argument("--export", metavar="FILE", type=Path, help="write it as one HTML page, e.g. quality.html")
    action.set_defaults(body=show_quality)
    action = add("explain", "every field of a record: what each source says, which won, what its flags cost")
    action.add_argument("table", metavar="TABLE", help="departments, users, groups or computers")
    action.add_argument("id", metavar="KEY", help="the record's key, e.g. a uniqname")
    action.set_defaults(body=explain_record)
    action = add("prune", "remove versions that were replaced long ago; what every record says or last said stays")
    action.add_argument("--older-than", required=True, metavar="AGE", help="a number of h, d or w, e.g. 400d")
    action.add_argument("--dry-run", action="store_true", help="say how many, and remove none")
    action.set_defaults(body=prune_versions)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    flags = command_parser().parse_args(arguments)
    try:
        if flags.command == "check":
            return check_everything(flags)
        if flags.command in RUNS:
            scripts = choose_scripts(RUNS[flags.command][1], flags.only)
            return run_scripts(scripts, flags, flags.command, skips_unset=not flags.only)
    except ConfigError as error:
        refusal = error

        def refuse(_command: HubCommand) -> Outcome:
            raise refusal

        return run_hub_command(flags, flags.command, refuse)
    return run_hub_command(flags, flags.command, flags.body)


def _check_database(command: HubCommand) -> tuple[str, str, str]:
    """Return whether the database answers and has the schemas."""
    try:
        with closing(command.open_adapter()) as adapter, closing(adapter.detached_connection()) as connection:
            require_schema(connection, SCHEMA)
            where = adapter.settings
    except EtlError as error:
        return "NO", "database", redact(str(error), command.secrets)
    return "ok", "database", f"{where.db_host}:{where.db_port}/{where.db_name} has the schemas"


def _check_source(command: HubCommand, users: list[Script], settings: Settings) -> tuple[str, str, str]:
    """Return whether a source answers."""
    try:
        job = users[0].job
        assert isinstance(job, Stream)  # noqa: S101 - a transform has no source
        return "ok", _names(users), job.check(settings)
    except EtlError as error:
        logging.getLogger(f"people_hub.{users[0].name}").debug("check failed", exc_info=error)
        return "NO", _names(users), redact(str(error), command.secrets)


def _names(users: list[Script]) -> str:
    return ", ".join(script.name for script in users)


def _identity(stream: Stream) -> dict[str, str]:
    return {"source_system": stream.source_system, "entity_type": stream.entity_type}


def _query(connection: Connection, name: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a SQL file's rows as dictionaries."""
    require_schema(connection, SCHEMA)
    with load_errors(f"running {name}"), connection, connection.cursor() as cursor:
        return fetch_dicts(cursor, SQL / f"{name}.sql", parameters)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return a line for every field that differs."""
    return [
        f"{name}: {_shorten(json.dumps(before.get(name), ensure_ascii=False), 50)} -> "
        f"{_shorten(json.dumps(after.get(name), ensure_ascii=False), 50)}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _minute(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "-"


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


if __name__ == "__main__":
    exit_process(main())
