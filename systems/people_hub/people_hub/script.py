"""How the hub's commands begin and end: flags, settings, log, runs, the last line, the exit code.

A thin script runs one stream or transform, `python -m people_hub` several: one that fails keeps only those back that
read what it writes, and the gravest exit code is the command's.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TextIO

from tabulate import tabulate

from etlkit.command import explain
from etlkit.console import (
    FAILURES,
    Outcome,
    Session,
    add_console_flags,
    positive_count,
    positive_number,
    run_session,
)
from etlkit.errors import EXIT_CLEAN, EXIT_CONFIG, EXIT_FAILED, EXIT_LOCKED, EXIT_REJECTS, ConfigError
from etlkit.logs import configure_logging, redact, write
from etlkit.process import exit_process
from etlkit.settings import Settings, setting_names, unknown_settings
from people_hub import hub_settings
from people_hub.bronze.ingestion import IngestionService
from people_hub.bronze.stream import Stream
from people_hub.hub_settings import ENV_FILE, HubSettings, has_any_setting, load_hub_settings, secrets_of
from people_hub.postgres_adapter import PostgresAdapter
from people_hub.scripts import Script, all_scripts
from people_hub.service import HubService, Options
from people_hub.silver.transform import Transform
from people_hub.silver.transformation import TransformationService

LINE_FORMAT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
LOGGER_NAME = "people_hub"
EXIT_CODES = (
    "exit codes: 0 done or nothing new; 1 failed or refused; 2 usage, or settings that are missing or wrong: what\n"
    "needs them was not touched; 3 done, some records newly rejected; 4 another run holds the stream; 5 done,\n"
    "but standard output did not take the outcome; 129/130/143 stopped by a signal, the open page rolled back"
)
GRAVEST_FIRST = (EXIT_FAILED, EXIT_CONFIG, EXIT_LOCKED, EXIT_REJECTS, EXIT_CLEAN)
FAILURE = "❌ Failed: %s"
_PLAIN = str.maketrans(
    {
        "🔄": "*", "📥": "*", "📚": "*", "📊": "#", "🆕": "+", "📝": "~", "⏭": "-", "✅": "OK", "❌": "ERROR", "⚠": "!",
        "🎉": "*", "🧪": "*", "🚀": "*", "📈": "*", "├": "|", "─": "-", "└": "`", "\ufe0f": "",
    }
)  # fmt: skip


class PlainStream:
    """A console that cannot show everything: emoji become plain characters, what is left of others a question mark."""

    def __init__(self, stream: TextIO) -> None:
        """Keep the console."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text that the console's encoding knows."""
        encoding = self._stream.encoding or "ascii"
        return self._stream.write(text.translate(_PLAIN).encode(encoding, "replace").decode(encoding))

    def __getattr__(self, name: str) -> Any:
        """Be the console in everything else."""
        return getattr(self._stream, name)


@dataclass(kw_only=True)
class HubCommand(Session):
    """A command that is under way: its settings, its log and its console."""

    flags: argparse.Namespace
    hub: HubSettings
    sources: dict[type[Settings], Settings]
    console: Any
    log_file: Path
    prints_results: bool = True
    results: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let the JSON object hold the results, whatever becomes of the command."""
        self.figures["streams"] = self.results

    @property
    def is_quiet(self) -> bool:
        """Only what needs somebody's eye is to be seen."""
        return bool(vars(self.flags).get("quiet"))

    def open_adapter(self) -> PostgresAdapter:
        """Return a pool of the size that the settings say."""
        return PostgresAdapter(
            self.hub.database_url.get_secret_value(), self.hub.db_pool_size, self.hub.db_max_overflow
        )

    def options(self) -> Options:
        """Return how a run goes about its work: flags over settings."""
        given = vars(self.flags)
        percent = given.get("allow_mass_delete")
        return Options(
            dry_run=bool(given.get("dry_run")),
            full_sync=bool(given.get("full_sync")),
            batch_size=self.hub.batch_size,
            max_records=self.hub.max_records,
            max_minutes=given.get("max_minutes"),
            mass_delete_percent=self.hub.mass_delete_percent if percent is None else percent,
            detail_max_age_days=self.hub.detail_max_age_days,
            progress_every=self.hub.progress_every,
            shows_every_record=self.hub.log_level == "DEBUG",
            secrets=tuple(self.secrets),
        )

    def say(self, lines: Iterable[str]) -> None:
        """Print lines without a log's decoration."""
        write(self.console, "".join(f"{redact(line, self.secrets)}\n" for line in lines))


def add_common_flags(parser: argparse.ArgumentParser, kinds: Collection[str] = ()) -> None:
    """Add the flags that every command of the hub knows, and those of commands that run scripts of some kinds."""
    is_ingest = "ingest" in kinds
    if kinds:
        every = {"ingest": "list everything", "enrich": "fetch every detail", "transform": "build every record"}
        everything = ", ".join(text for kind, text in every.items() if kind in kinds)
        parser.add_argument("--full-sync", action="store_true", help=f"{everything}, whatever was seen before")
        parser.add_argument("--dry-run", action="store_true", help="do everything, then roll back; no run is recorded")
        parser.add_argument("--quiet", action="store_true", help="say nothing when all is well, for cron")
    if is_ingest or "enrich" in kinds:
        no_tombstones = "; no tombstones" if is_ingest else ""
        parser.add_argument(
            "--limit", metavar="N", type=positive_count, help=f"take so many records (MAX_RECORDS){no_tombstones}"
        )
        parser.add_argument(
            "--batch-size", metavar="N", type=positive_count, help="records a transaction (BATCH_SIZE, 1000)"
        )
        parser.add_argument(
            "--max-minutes", metavar="N", type=positive_number, help="stop after that, as after --limit"
        )
    if is_ingest:
        parser.add_argument(
            "--allow-mass-delete", metavar="PERCENT", type=_percent, help="how much may vanish at once (10)"
        )
    parser.add_argument("--embedded", action="store_true", help="the suite's own private Postgres")
    add_console_flags(parser, "logs/<script>.log")
    parser.add_argument("--no-emoji", action="store_true", help="plain characters only")


def run_script(job: Stream | Transform, path: str) -> NoReturn:
    """Run one stream or transform as a script of its own; the process ends with its exit code."""
    name = Path(path).stem
    is_stream = isinstance(job, Stream)
    parser = argparse.ArgumentParser(
        prog=f"{name}.py",
        description=f"Bring {job.name} into bronze." if is_stream else f"Build {job.name} from bronze.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    script = Script(name, job)
    add_common_flags(parser, (script.kind,))
    exit_process(run_scripts([script], parser.parse_args(), name))


def run_scripts(
    scripts: Sequence[Script], flags: argparse.Namespace, log_name: str, *, skips_unset: bool = False
) -> int:
    """Run scripts one after the other; return the gravest exit code.

    One that needs what has failed is kept back. With `skips_unset` a source that is not set up keeps the others from
    nothing: one without any setting of its own is not wanted, which is told and no failure; of one that is half set up
    the code is 2.
    """
    unset: dict[str, str] = {}
    unwanted: list[str] = []
    if skips_unset:
        for settings_class in dict.fromkeys(script.job.settings for script in scripts):
            try:
                load_hub_settings((settings_class,), {"database_url": "embedded"})
            except ConfigError as error:
                users = [script.name for script in scripts if script.job.settings is settings_class]
                if has_any_setting(settings_class):
                    unset |= dict.fromkeys(users, error.problem.rstrip("."))
                else:
                    unwanted += users
    usable = [script for script in scripts if script.name not in (*unset, *unwanted)]
    if not usable:  # then all that is missing, in one message
        usable, unset, unwanted = list(scripts), {}, []
    settings = tuple(script.job.settings for script in usable)
    return run_hub_command(flags, log_name, lambda command: _run_all(command, usable, unset, unwanted), settings)


def run_hub_command(
    flags: argparse.Namespace,
    log_name: str,
    body: Callable[[HubCommand], Outcome],
    settings_classes: tuple[type[Settings], ...] = (),
) -> int:
    """Run a command's body between settings and exit code."""
    console = _console(flags)
    return run_session(
        lambda: _read_command(flags, log_name, settings_classes, console),
        body,
        as_json=flags.json,
        failure=FAILURE,
        console=console,
    )


def run_one(command: HubCommand, script: Script, adapter: PostgresAdapter) -> int:
    """Run one stream or transform with its summary; return its exit code. Only signals leave it as exceptions."""
    logger = logging.getLogger(f"{LOGGER_NAME}.{script.name}")
    service = _service(command, script, adapter, logger)
    log_trailer = command.trailer
    command.trailer = f"{'Dry run' if service.dry_run else 'Run'} {service.run_id}, log {command.log_file}"
    logger.info("🚀 %s", script.name)
    try:
        results = service.run_main_process()
    except Exception as error:  # the next one runs all the same
        exit_code, message = explain(error, "What was stored before stays")
        logger.debug("traceback of %s", script.name, exc_info=error)
        message = redact(" ".join(filter(None, [message, service.what_stays()])), command.secrets)
        trailer = command.trailer if service.is_begun else log_trailer
        figures = service.results() if service.is_begun else {}
        logger.error(f"{FAILURE} [exit %s] %s", message, exit_code, trailer)  # noqa: TRY400 - its traceback is in the file
        command.results.append({"stream": script.job.name, "exit_code": exit_code, **figures, "error": message})
        command.trailer = log_trailer
        return exit_code
    finally:
        service.close()
    exit_code = EXIT_REJECTS if results["new_rejects"] else EXIT_CLEAN
    command.results.append({"stream": script.job.name, "exit_code": exit_code, **results})
    if command.prints_results and not command.flags.json and (exit_code or not command.is_quiet):
        command.say(service.results_lines())
    logger.log(logging.WARNING if exit_code else logging.INFO, "%s %s", _outcome(results), command.trailer)
    command.trailer = log_trailer
    return exit_code


def _service(command: HubCommand, script: Script, adapter: PostgresAdapter, logger: logging.Logger) -> HubService:
    """Return the service of a script's stream or transform."""
    settings: Any = command.sources[script.job.settings]
    more: dict[str, Any] = {"options": command.options(), "adapter": adapter, "logger": logger}
    if isinstance(script.job, Stream):
        return IngestionService("", script.job, settings, **more)
    return TransformationService("", script.job, settings, **more)


def _outcome(results: dict[str, Any]) -> str:
    """Return the sentence of a run that came to its end."""
    new, still_open = results["new_rejects"], results["open_rejects"]
    if new and results["malformed_values"]:
        what = "values that are malformed, which their records are without, or records without a key"
        text = f"⚠️ Completed; {new:,} new reject(s): {what}. [exit {EXIT_REJECTS}]"
        return text if results["dry_run"] else f"{text} {still_open:,} are open: python -m people_hub rejects."
    if results["dry_run"] and new:
        return f"⚠️ Completed; {new:,} record(s) would be rejected, for the reasons above. [exit {EXIT_REJECTS}]"
    if new:
        text = f"⚠️ Completed, and {new:,} record(s) were rejected. [exit {EXIT_REJECTS}]"
        return f"{text} {still_open:,} rejected record(s) are open: python -m people_hub rejects."
    if still_open:
        return f"✅ Completed successfully! No new rejects; {still_open:,} known one(s) are open."
    return "✅ Completed successfully!"


def _run_all(command: HubCommand, scripts: Sequence[Script], unset: dict[str, str], unwanted: Sequence[str]) -> Outcome:
    """Run scripts one after the other, and sum up when they were several."""
    command.prints_results = len(scripts) + len(unset) == 1
    if unwanted:
        command.logger.info("⏭️ no setting of these is set, so they are left out: %s", ", ".join(unwanted))
    ended: dict[str, int] = {}
    for name, missing in unset.items():
        command.logger.warning("⚠️ %s is not set up and was left out: %s", name, missing)
        command.results.append({"stream": name, "exit_code": EXIT_CONFIG, "error": f"not set up: {missing}"})
        ended[name] = EXIT_CONFIG
    every = {script.name: script for script in all_scripts()}
    with closing(command.open_adapter()) as adapter:
        for script in scripts:
            failed = [name for name, code in ended.items() if code in FAILURES and script.needs(every[name])]
            ended[script.name] = (
                _keep_back(command, script, failed, ended) if failed else run_one(command, script, adapter)
            )
    worst = gravest(ended.values())
    if command.prints_results:  # the stream has said its last line
        return Outcome(gravest=worst)
    if not command.flags.json and (worst or not command.is_quiet):
        command.say(
            ["", "📊 Results Summary:" + (" [DRY RUN]" if command.flags.dry_run else ""), _table(command.results)]
        )
    failed = [name for name, code in ended.items() if code in FAILURES]
    still_open = sum(result.get("open_rejects", 0) for result in command.results)
    sentence = f"{'❌' if failed else '⚠️' if worst else '🎉'} {len(ended) - len(failed)} of {len(ended)} completed"
    if failed:
        sentence += f"; failed or left out: {', '.join(failed)}"
    if still_open:
        sentence += f"; {still_open:,} rejected record(s) are open: python -m people_hub rejects"
    return Outcome(f"{sentence} [exit {worst}]", gravest=worst)


def _keep_back(command: HubCommand, script: Script, failed: Sequence[str], ended: Mapping[str, int]) -> int:
    """Tell that a script does not run, since what it needs has failed; return the gravest exit code of these."""
    message = f"kept back, since it needs what failed: {', '.join(failed)}"
    command.logger.warning("⏭️ %s is %s", script.name, message)
    exit_code = gravest(ended[name] for name in failed)
    command.results.append({"stream": script.job.name, "exit_code": exit_code, "error": message})
    return exit_code


def gravest(codes: Iterable[int]) -> int:
    """Return the gravest of several exit codes, which is the command's."""
    found = set(codes)
    return next((code for code in GRAVEST_FIRST if code in found), EXIT_CLEAN)


def _table(results: Sequence[dict[str, Any]]) -> str:
    """Return what several streams did, one a line."""
    names = ("processed", "created", "updated", "skipped", "deleted", "failed")
    rows = [
        [
            result["stream"],
            *(f"{result[f'records_{name}']:,}" if f"records_{name}" in result else "-" for name in names),
            f"{(result['completed_at'] - result['started_at']).total_seconds():.2f}"
            if result.get("completed_at")
            else "-",
            result.get("error") or _table_outcome(result),
        ]
        for result in results
    ]
    headers = ["stream", "records", "new", "changed", "there already", "deleted", "rejected", "seconds", "outcome"]
    return tabulate(rows, headers, tablefmt="simple", disable_numparse=True, maxcolwidths=[None] * 8 + [60])


def _table_outcome(result: dict[str, Any]) -> str:
    """Return what a run that came to its end has to say in one cell."""
    if result["exit_code"]:
        return f"{result['new_rejects']:,} newly rejected"
    return f"done, {result['open_rejects']:,} known reject(s)" if result["open_rejects"] else "done"


def _read_command(
    flags: argparse.Namespace, log_name: str, settings_classes: tuple[type[Settings], ...], console: Any
) -> HubCommand:
    """Return the command of parsed flags; ConfigError names every missing and wrong setting."""
    given = vars(flags)
    values = {
        "database_url": "embedded" if given.get("embedded") else None,
        "batch_size": given.get("batch_size"),
        "max_records": given.get("limit"),
        "log_level": given.get("log_level") or ("WARNING" if given.get("quiet") else None),
    }
    classes = tuple(dict.fromkeys(settings_classes))
    hub, *sources = load_hub_settings(classes, values)
    secrets = secrets_of((hub, *sources))
    log_file = (given.get("log_file") or hub.log_dir / f"{log_name}.log").resolve()
    logger = configure_logging(
        LOGGER_NAME, log_file, level=hub.log_level, console=console, secrets=secrets, line_format=LINE_FORMAT
    )
    known = (*hub_settings.EVERY_SETTING, *classes)
    for sentence in unknown_settings(setting_names(known), hub_settings.PREFIXES, hub_settings.ENV_FILE):
        logger.warning("⚠️ %s", sentence)
    return HubCommand(
        logger,
        secrets,
        ENV_FILE,
        f"Log: {log_file}",
        flags=flags,
        hub=hub,
        sources=dict(zip(classes, sources, strict=True)),
        console=console,
        log_file=log_file,
    )


def _console(flags: argparse.Namespace) -> Any:
    """Return the stream for a person, plain where it cannot show an emoji or is not to."""
    stream = sys.stderr if flags.json else sys.stdout
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - as long as the process lives
    try:
        "✅├─".encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return PlainStream(stream)
    return PlainStream(stream) if flags.no_emoji else stream


def _percent(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = -1
    if not 0 <= percent <= 100:  # noqa: PLR2004 - per cent
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 100")
    return percent
