"""python -m binge_works: the schema, the daily load, its replay, histories and checks, without Dagster.

In come a command and its flags, out go what it prints and its exit code; every command may be repeated.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin("make setup-binge_works")

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from tabulate import tabulate

from binge_works.binge_settings import (
    ENV_FILE,
    EVERY_SETTING,
    META_FILE,
    PREFIXES,
    SCHEMA,
    SCHEMA_FILE,
    BingeDatabase,
    BingeSettings,
    TmdbSettings,
    load_binge_settings,
)
from binge_works.data_checks import CHECKS
from binge_works.loading import Conditions, Loaded, day_to_load, extract_list, replayed, run_list
from binge_works.popular_lists import LISTS, PopularList, find_list
from binge_works.raw_pages import RawPages
from binge_works.tmdb import Tmdb
from etlkit.command import explain
from etlkit.console import Outcome, Session, add_action, add_console_flags, positive_count, run_session
from etlkit.errors import (
    EXIT_CLEAN,
    EXIT_CONFIG,
    EXIT_FAILED,
    EXIT_LOCKED,
    EXIT_REJECTS,
    ConfigError,
    EtlError,
)
from etlkit.logs import configure_logging, redact, write
from etlkit.postgres import (
    Connection,
    apply_schema,
    connect,
    fetch_dicts,
    load_errors,
    require_schema,
    schema_version,
)
from etlkit.process import exit_process
from etlkit.settings import DatabaseSettings, Settings, secret_values, setting_names, unknown_settings
from etlkit.signals import cancelled_by_signals, stopping_signal

LOGGER_NAME = "binge_works"
GRAVEST_FIRST = (EXIT_FAILED, EXIT_CONFIG, EXIT_LOCKED, EXIT_REJECTS, EXIT_CLEAN)
KINDS = {"show": "shows", "person": "people"}
SHOWN_TEXT = 60
EXIT_CODES = (
    "exit codes: 0 done or nothing new; 1 failed or refused, the tables of that list as before; 2 usage, or settings\n"
    "that are missing or wrong; 3 done, some items newly rejected; 4 another run holds a table; 5 done, but standard\n"
    "output did not take the outcome; 129/130/143 stopped by a signal, the open list rolled back"
)


@dataclass(kw_only=True)
class BingeCommand(Session):
    """A command under way: its flags and its settings, those of TMDB where it asks there."""

    flags: argparse.Namespace
    database: DatabaseSettings
    binge: BingeSettings
    tmdb: TmdbSettings | None

    def connect(self) -> Connection:
        """Return a connection for looking."""
        return connect(self.database, f"binge_works {self.flags.command}")

    def client(self) -> Tmdb:
        """Return the client of a command that asks TMDB."""
        assert self.tmdb is not None  # noqa: S101 - such a command reads its settings
        return Tmdb(self.tmdb)

    def say(self, text: str) -> None:
        """Print a result; beside a JSON object on standard error."""
        stream = sys.stderr if self.flags.json else sys.stdout
        write(stream, redact(text, self.secrets) + "\n", is_result=not self.flags.json)


def init_schemas(command: BingeCommand) -> Outcome:
    """Create what is missing of the schemas meta, staging and tmdb_data."""
    with closing(command.connect()) as connection:
        found = schema_version(connection, SCHEMA.system)
        if found is not None and found > SCHEMA.version:
            return Outcome(f"The database has the newer schema {found}, which does; nothing was touched.")
        with cancelled_by_signals(connection):
            apply_schema(connection, META_FILE)
            apply_schema(connection, SCHEMA_FILE)
    return Outcome("The schemas meta, staging and tmdb_data are in place.")


def run_daily(command: BingeCommand) -> Outcome:
    """Ask TMDB for the lists and load them as of a day."""
    as_of, binge = command.flags.as_of, command.binge
    if as_of != datetime.now(UTC).date():
        command.logger.warning("TMDB has no past: its lists of today are loaded as those of %s", as_of)
    with command.client() as tmdb:

        def reader(popular: PopularList) -> Callable[[Path | None], RawPages]:
            return lambda folder: extract_list(
                tmdb, popular, as_of, folder or binge.binge_raw_dir, binge.binge_raw_days, command.logger
            )

        return _run_lists(command, reader)


def replay_day(command: BingeCommand) -> Outcome:
    """Load the raw pages that were saved for a day."""
    return _run_lists(command, lambda popular: replayed(command.binge.binge_raw_dir, popular, command.flags.as_of))


def show_history(command: BingeCommand) -> Outcome:
    """Print every version of a show or a person, and what each one changed."""
    popular = find_list(KINDS[command.flags.kind])
    with closing(command.connect()) as connection:
        require_schema(connection, SCHEMA)
        with load_errors("reading the history"), connection, connection.cursor() as cursor:
            versions = fetch_dicts(cursor, popular.sql / "list_versions.sql", {"id": command.flags.id})
    if not versions:
        filtered = " Of shows in another language than English no history is kept." if popular.name == "shows" else ""
        raise ConfigError(f"{popular.history} has no {command.flags.kind} {command.flags.id}.{filtered}")
    command.figures["versions"] = versions
    command.say(history_table(versions))
    return Outcome()


def history_table(versions: list[dict[str, Any]]) -> str:
    """Return versions as a table: from and to, and what changed from the version before."""
    rows = []
    for before, version in zip([None, *versions], versions, strict=False):
        rows.append(
            (
                f"{version['effective_date']}",
                f"{version['expiration_date'] or 'now'}",
                f"{version['name']}" if before is None else "\n".join(_changes(before, version)) or "measures only",
            )
        )
    return tabulate(rows, ["from", "until", "what it says, then what changed"], tablefmt="simple")


def check_everything(command: BingeCommand) -> Outcome:
    """Try the settings, the database and TMDB, and hold the tables to their promises."""
    findings = [_tried("TMDB", lambda: _check_tmdb(command))]
    try:
        with closing(command.connect()) as connection:
            require_schema(connection, SCHEMA)
            place = f"{command.database.db_host}:{command.database.db_port}/{command.database.db_name}"
            findings.append(("ok", "database", f"{place} has the schemas"))
            findings += _check_tables(connection, tracks_metrics=command.binge.binge_track_metrics)
    except EtlError as error:
        findings.append(("NO", "database", _without_load(error)))
    command.figures["checks"] = [
        {"is_good": mark == "ok", "is_warning": mark == "!", "what": what, "found": found}
        for mark, what, found in findings
    ]
    command.say(tabulate(findings, ["", "what", "found"], tablefmt="simple", maxcolwidths=[2, 50, 90]))
    is_good = all(mark != "NO" for mark, *_ in findings)
    warnings = sum(mark == "!" for mark, *_ in findings)
    well = f"Nothing is broken; {warnings} warning(s), marked with !." if warnings else "Everything is well."
    return Outcome(
        well if is_good else f"Not everything is well. [exit {EXIT_FAILED}]",
        gravest=EXIT_CLEAN if is_good else EXIT_FAILED,
    )


def _check_tmdb(command: BingeCommand) -> str:
    """Return that TMDB answers."""
    with command.client() as tmdb:
        return tmdb.check()


def _tried(what: str, body: Callable[[], str]) -> tuple[str, str, str]:
    """Return a line on something that answers or says why not."""
    try:
        return "ok", what, body()
    except EtlError as error:
        return "NO", what, _without_load(error).removeprefix(f"{what}: ")


def _without_load(error: EtlError) -> str:
    """Return what an error says to somebody who wanted to load nothing."""
    return str(error).replace(" Nothing was loaded.", "")


def _check_tables(connection: Connection, *, tracks_metrics: bool) -> Iterator[tuple[str, str, str]]:
    """Yield a line for every promise of a table, or that nothing was loaded into it yet."""
    for check in CHECKS:
        with load_errors(f"checking {check.table}"), connection, connection.cursor() as cursor:
            found = check.find(cursor, datetime.now(UTC).date(), tracks_metrics=tracks_metrics)
        if found.is_loaded:
            mark = "ok" if found.passed else "NO" if check.blocks else "!"
            yield mark, f"{check.table}: {check.name}", f"{found.told} ({check.text})"
        elif check.table == check.popular.current and check.blocks:
            yield "!", check.table, "nothing was loaded yet"


def _run_lists(command: BingeCommand, reader: Callable[[PopularList], Callable[[Path | None], RawPages]]) -> Outcome:
    """Load the lists one after the other; one that fails does not keep the others back."""
    wanted = [find_list(name) for name in dict.fromkeys(command.flags.only)] or list(LISTS)
    conditions = Conditions(
        command.database,
        command.logger,
        tuple(command.secrets),
        command.binge.binge_track_metrics,
        command.flags.accept_shrink,
        command.flags.dry_run,
    )
    results: list[dict[str, Any]] = []
    command.figures["lists"] = results
    for popular in wanted:
        loaded = Loaded(command.flags.as_of)
        try:
            run_list(popular, loaded, conditions, reader(popular))
        except Exception as error:  # whatever ends one list does not keep the others back
            if stopping_signal():
                raise
            code, message = explain(error, f"Nothing of {popular.name} was loaded")
            message = redact(message, command.secrets)
            result = {"list": popular.name, "exit_code": code, "error": message}
            results.append(result | ({"run_id": str(loaded.run_id)} if loaded.is_begun else {}))
            if len(wanted) == 1:
                if loaded.is_begun:
                    command.trailer = f"Run {loaded.run_id}. {command.trailer}"
                raise
            command.logger.error("%s: %s [exit %s]", popular.name, message, code)  # noqa: TRY400 - for its user
            command.logger.debug("traceback", exc_info=error)
            continue
        results.append(_told(popular, loaded))
        _say_list(command, popular, loaded)
    return _summed_up(command, results)


def _told(popular: PopularList, loaded: Loaded) -> dict[str, Any]:
    """Return what the JSON object says of a list that was loaded."""
    staging = {name: figure for name, figure in asdict(loaded.staging).items() if name != "unknown_fields"}
    return {
        "list": popular.name,
        "exit_code": EXIT_REJECTS if loaded.staging.new_rejects else EXIT_CLEAN,
        "run_id": str(loaded.run_id),
        "as_of": loaded.as_of,
        **staging,
        "unknown_fields": sorted(loaded.staging.unknown_fields),
        "tables": loaded.tables,
    }


def _say_list(command: BingeCommand, popular: PopularList, loaded: Loaded) -> None:
    """Say where the items of a list went, and what became of its tables."""
    would = " (would be; dry run)" if command.flags.dry_run else ""
    staging, current = loaded.staging, loaded.tables[popular.current]
    kept = current["inserted"] + current["updated"] + current["unchanged"]
    command.logger.info(
        "%s of %s%s: %s in = %s loaded + %s filtered + %s duplicates + %s rejected",
        popular.name,
        loaded.as_of,
        would,
        f"{staging.items_in:,}",
        f"{kept:,}",
        f"{current['filtered']:,}",
        f"{staging.duplicates:,}",
        f"{staging.rejected:,}",
    )
    for table, figures in loaded.tables.items():
        command.logger.info("  %s: %s", table, ", ".join(f"{count:,} {name}" for name, count in figures.items()))


def _summed_up(command: BingeCommand, results: list[dict[str, Any]]) -> Outcome:
    """Return the outcome of all lists."""
    codes = {result["exit_code"] for result in results}
    worst = next(code for code in GRAVEST_FIRST if code in codes)
    done = [result for result in results if "error" not in result]
    failed = [result["list"] for result in results if "error" in result]
    would = "would be loaded (dry run)" if command.flags.dry_run else "loaded"
    names = ", ".join(result["list"] for result in done) or "nothing"
    is_new = any(result["tables"][table][name] for result in done for table, name in _written(result))
    sentence = f"{names} {would} as of {command.flags.as_of}" if is_new or not done else f"nothing new in {names}"
    if failed:
        sentence += f"; failed: {', '.join(failed)}"
    new = sum(result["new_rejects"] for result in done)
    still_open = sum(result["rejected"] for result in done) - new
    if new:
        sentence += f"; {new:,} items newly rejected"
    if still_open:
        sentence += f"; {still_open:,} earlier rejects are still open"
    sentence += f". [exit {worst}]" if worst else "."
    if not command.flags.dry_run and (runs := [result["run_id"] for result in results if "run_id" in result]):
        command.trailer = f"Run {', '.join(runs)}. {command.trailer}"
    return Outcome(sentence, has_new_rejects=bool(new), gravest=worst)


def _written(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield which figures of a list's tables say that something was written."""
    for table, figures in result["tables"].items():
        yield from ((table, name) for name in figures if name not in ("unchanged", "filtered"))


def _changes(before: Mapping[str, Any], version: Mapping[str, Any]) -> list[str]:
    """Return what a version says differently, a line each; popularity and votes are no news."""
    quiet = ("id_sk", "effective_date", "expiration_date", "popularity", "vote_average", "vote_count")
    return [
        f"{name}: {_shortened(before[name])} -> {_shortened(value)}"
        for name, value in version.items()
        if name not in quiet and value != before[name]
    ]


def _shortened(value: object) -> str:
    """Return a value for a table's cell."""
    text = "-" if value is None else " ".join(str(value).split())
    return text if len(text) <= SHOWN_TEXT else text[: SHOWN_TEXT - 1] + "…"


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m binge_works",
        description="TMDB's popular shows, movies and people into dimensions with their history.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, text: str, body: Callable[[BingeCommand], Outcome], settings: tuple[type[Settings], ...]
    ) -> argparse.ArgumentParser:
        action = add_action(actions, name, text)
        action.add_argument("--embedded", action="store_true", help="the suite's own private Postgres")
        add_console_flags(action, "BINGE_LOG_FILE")
        action.set_defaults(command=name, body=body, settings=(BingeDatabase, BingeSettings, *settings))
        return action

    add("init", "create what is missing of the schemas meta, staging and tmdb_data", init_schemas, ())
    for name, text, body, settings in (
        ("run", "ask TMDB for the lists and load them, a transaction each", run_daily, (TmdbSettings,)),
        ("replay", "load the raw pages that were saved for a day", replay_day, ()),
    ):
        action = add(name, text, body, settings)
        today = datetime.now(UTC).date()
        action.add_argument(
            "--as-of",
            type=_day,
            default=today if name == "run" else None,
            required=name == "replay",
            metavar="DAY",
            help="the day that the lists stand for" + (" (today, UTC)" if name == "run" else ""),
        )
        action.add_argument(
            "--only", nargs="+", default=[], choices=[each.name for each in LISTS], help="only these lists"
        )
        action.add_argument("--dry-run", action="store_true", help="do everything, then roll back; no run is recorded")
        action.add_argument("--accept-shrink", action="store_true", help="take a list that lost half of its ids")
        action.add_argument(
            "--track-metrics",
            action="store_true",
            help="open a version for popularity and votes too (BINGE_TRACK_METRICS)",
        )
    action = add("history", "every version of a show or a person", show_history, ())
    action.add_argument("kind", choices=sorted(KINDS))
    action.add_argument("id", type=positive_count, help="TMDB's id, e.g. 1396")
    add(
        "check",
        "try settings, database and TMDB, and hold the tables to their promises",
        check_everything,
        (TmdbSettings,),
    )
    return parser


def _day(text: str) -> date:
    """Read a day that may be loaded."""
    try:
        return day_to_load(text, datetime.now(UTC).date())
    except ConfigError as error:
        raise argparse.ArgumentTypeError(error.problem) from None


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    flags = command_parser().parse_args(arguments)
    console = sys.stderr if flags.json else sys.stdout

    def open_session() -> BingeCommand:
        given = vars(flags)
        values = {
            "db_host": "embedded" if flags.embedded else None,
            "binge_log_file": flags.log_file,
            "binge_track_metrics": given.get("track_metrics") or None,
        }
        groups = load_binge_settings(flags.settings, values)
        log_file = groups[1].binge_log_file.resolve()
        secrets = secret_values(groups)
        logger = configure_logging(
            LOGGER_NAME, log_file, level=flags.log_level or "INFO", console=console, secrets=secrets
        )
        for sentence in unknown_settings(setting_names(EVERY_SETTING), PREFIXES, ENV_FILE):
            logger.warning("%s", sentence)
        return BingeCommand(
            logger,
            secrets,
            ENV_FILE,
            f"Log: {log_file}",
            flags=flags,
            database=groups[0],
            binge=groups[1],
            tmdb=groups[2] if len(groups) > 2 else None,  # noqa: PLR2004 - the third group
        )

    return run_session(open_session, flags.body, as_json=flags.json)


if __name__ == "__main__":
    exit_process(main())
