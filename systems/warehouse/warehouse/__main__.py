"""python -m warehouse: what is configured, the bronze run, what was published, and the way back.

In come a command and its flags, out go what it prints and its exit code; every command may be repeated.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin("make setup-warehouse")

import argparse
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from tabulate import tabulate

from etlkit.aws import aws_session
from etlkit.console import Outcome, Session, add_action, add_console_flags, run_session
from etlkit.errors import ConfigError, DataError
from etlkit.logs import configure_logging, redact, write
from etlkit.process import exit_process
from etlkit.settings import AwsSettings, load_settings, secret_values, setting_names, unknown_settings
from warehouse.bronze import BronzeRun, Options, RunDone
from warehouse.catalog import Catalog
from warehouse.configuration import Configuration, DatasetConfig, GoldConfig, read_configuration, table_names
from warehouse.engines.duckdb_engine import HISTORY_MEMORY_LIMIT, MEMORY_LIMIT, DuckDbEngine
from warehouse.engines.engine import Engine
from warehouse.gold import GoldDone, GoldOptions, GoldRun
from warehouse.history import CURRENT
from warehouse.naming import checked_run_id, crawler_names, database_name, new_run_id, raw_prefix
from warehouse.plan import Place, plan, problems
from warehouse.publishing import Publication, publication_of
from warehouse.reading import ask, digests, looked, quarantine, required, versions_of
from warehouse.sources.download import told_url
from warehouse.sources.releases import key_of_secret
from warehouse.targets.bucket import Bucket
from warehouse.targets.opening import open_target
from warehouse.targets.target import Target
from warehouse.warehouse_settings import ENV_FILE, EVERY_SETTING, PREFIXES, WarehouseSettings

LOGGER_NAME = "warehouse"
GLOB = re.compile(r"[\[\]{}*?\\]")
SHOWN_ROWS = 20
SHOWN_TEXT = 60
EXIT_CODES = (
    "exit codes: 0 done or nothing new; 1 failed, or refused by a gate: what was published stays; 2 usage, settings\n"
    "or configuration; 3 published, some rows quarantined; 4 another run holds the dataset; 5 done, but standard\n"
    "output did not take the outcome; 129/130/143 stopped by a signal, nothing published"
)


@dataclass(kw_only=True)
class WarehouseCommand(Session):
    """A command under way: its flags, its settings, the configuration and the target."""

    flags: argparse.Namespace
    settings: WarehouseSettings
    login: AwsSettings

    @cached_property
    def configuration(self) -> Configuration:
        """Return what is configured."""
        return read_configuration(self.settings.warehouse_etl_dir, problems)

    @cached_property
    def target(self) -> Target:
        """Return where the warehouse lies."""
        return self.open_target(self.settings.warehouse_target)

    def open_target(self, url: str) -> Target:
        """Return a folder or a bucket."""
        return open_target(url, self.login, self.settings.warehouse_lock_seconds)

    @property
    def dataset(self) -> DatasetConfig | GoldConfig:
        """Return the dataset that was named."""
        return self.configuration.dataset(self.flags.dataset)

    @property
    def publication(self) -> Publication:
        """Return its published runs."""
        return publication_of(self.target, self.dataset)

    @property
    def catalog(self) -> Catalog | None:
        """Return the tables that Athena reads of the dataset, where the settings say that they follow our runs."""
        if not self.settings.warehouse_register_tables or not isinstance(self.target, Bucket):
            return None
        databases = {layer: database_name(self.configuration.core, layer) for layer in self.dataset.layers}
        return Catalog(self.target.session.client("glue"), self.target, self.dataset, databases)

    def open_engine(self) -> Engine:
        """Return the engine of the settings."""
        if self.settings.warehouse_engine == "duckdb":
            return DuckDbEngine(HISTORY_MEMORY_LIMIT if isinstance(self.dataset, GoldConfig) else MEMORY_LIMIT)
        jars, target = self.settings.warehouse_spark_jars, self.target
        if found := GLOB.search(target.url):
            raise ConfigError(
                f"the engine spark cannot read below {target.url}: Hadoop takes {found[0]} for a pattern."
            )
        if shutil.which("java") is None:
            raise ConfigError("the engine spark needs Java 17, and there is no java in the PATH.")
        if isinstance(target, Bucket) and not any(jars.glob("hadoop-aws-*.jar")):
            raise ConfigError(
                f"the engine spark needs Hadoop's S3A for {target.url}, and {jars} has no hadoop-aws-*.jar.",
                "Run make spark-jars, or set WAREHOUSE_SPARK_JARS.",
            )
        try:
            from warehouse.engines import spark_engine as spark  # noqa: PLC0415 - an extra that one machine need not have
        except ImportError as error:
            raise ConfigError(f"the engine spark needs the extra: {error}.", "Install warehouse[spark].") from error
        settings = spark.s3a_settings(target) if isinstance(target, Bucket) else {}
        return spark.SparkEngine(spark.local_session(jars), settings)

    def read_key(self) -> str | None:
        """Return the key of NLM, which a setting or a secret of AWS holds; None where neither is named."""
        settings = self.settings
        if settings.umls_api_key is None and settings.umls_api_key_secret_id:
            key = key_of_secret(aws_session(self.login), settings.umls_api_key_secret_id)
            self.secrets = [*self.secrets, key]
            return key
        return settings.umls_api_key.get_secret_value() if settings.umls_api_key else None

    def say(self, text: str) -> None:
        """Print a result; beside a JSON object on standard error."""
        stream = sys.stderr if self.flags.json else sys.stdout
        write(stream, redact(text, self.secrets) + "\n", is_result=not self.flags.json)


def list_datasets(command: WarehouseCommand) -> Outcome:
    """Print what is configured, and what is published of it."""
    rows = []
    for dataset in command.configuration.datasets.values():
        try:
            current = publication_of(command.target, dataset).current()
        except DataError as error:
            command.logger.warning("%s", error)
            current = None
        for table, registered in table_names(dataset).items():
            found = current["tables"].get(table, {}).get("rows") if current else None
            rows.append(
                (registered, found, current and current["run_id"], dataset.data_size_category, _source_of(dataset))
            )
    heads = ["table", "rows", "run", "size", "source"]
    command.figures["tables"] = [dict(zip(heads, row, strict=True)) for row in rows]
    command.say(tabulate(rows, heads, tablefmt="simple", intfmt=","))
    return Outcome()


def _source_of(dataset: DatasetConfig | GoldConfig) -> str:
    """Return where a dataset comes from."""
    if isinstance(dataset, GoldConfig):
        return ", ".join(dataset.source_datasets)
    urls = [
        dataset.source_url or (dataset.nlm_release.releases_url if dataset.nlm_release else ""),
        *(dataset.api_endpoints or {}).values(),
    ]
    return dataset.source_prefix or ", ".join(told_url(url) for url in urls if url)


def check(command: WarehouseCommand) -> Outcome:
    """Read every configuration; a wrong one ends with all complaints."""
    datasets = command.configuration.datasets
    tables = sum(len(dataset.tables) for dataset in datasets.values())
    return Outcome(f"{len(datasets)} dataset(s) with {tables} table(s) are configured well.")


def show_plan(command: WarehouseCommand) -> Outcome:
    """Print the resources of AWS that would be deployed."""
    place = Place(command.flags.account, command.flags.region)
    resources = plan(command.configuration, place)
    command.figures["resources"] = [vars(one) for one in resources]
    rows = [(one.stack, one.type.removeprefix("AWS::"), one.name, one.detail) for one in resources]
    command.say(tabulate(rows, ["stack", "resource", "name", ""], tablefmt="simple"))
    stacks = len({one.stack for one in resources})
    return Outcome(f"{len(resources)} resources in {stacks} stacks; `cdk synth` writes their templates.")


def run(command: WarehouseCommand) -> Outcome:
    """Make a dataset's tables anew and publish them: from its source, or from the datasets that it is made of."""
    flags, dataset = command.flags, command.dataset
    run_id = flags.run_id or _free_run_id(command)
    command.figures |= {"dataset": dataset.dataset, "run_id": run_id}
    done: RunDone | GoldDone
    if isinstance(dataset, GoldConfig):
        done = _gold_run(command, dataset, run_id).run()
    else:
        done = _bronze_run(command, dataset, run_id).run()
    command.figures |= {"is_published": done.is_published, "current_run": done.current_run, **done.told}
    for line in done.lines:
        command.logger.info("%s", line)
    for table, verdicts in done.verdicts.items():
        for verdict in verdicts:
            command.logger.debug("gate of %s: %s", table, verdict)
    if done.is_published and isinstance(command.target, Bucket):
        for name in crawler_names(command.configuration.core, dataset).values():
            command.logger.info(
                "to let the crawler look on AWS, if one is wanted: aws glue start-crawler --name %s", name
            )
    exit_told = " [exit 3]" if done.quarantined else ""
    return Outcome(f"{dataset.dataset}: {done.sentence}{exit_told}", has_new_rejects=bool(done.quarantined))


def _bronze_run(command: WarehouseCommand, dataset: DatasetConfig, run_id: str) -> BronzeRun:
    """Return a run that reads a source; ConfigError for flags of the other kind."""
    flags = command.flags
    _refuse(dataset, {"--as-of": flags.as_of, "--accept-mass-change": flags.accept_mass_change})
    if dataset.nlm_release is None:
        _refuse(dataset, {"--release-date": flags.release_date})
    options = Options(
        run_id=run_id,
        from_raw=flags.from_raw,
        from_file=flags.from_file,
        is_forced=flags.force,
        is_dry=flags.dry_run,
        patience=command.settings.patience,
        release_date=flags.release_date,
        read_key=command.read_key,
    )
    return BronzeRun(dataset, command.target, command.open_engine, command.open_target, options, command.catalog)


def _gold_run(command: WarehouseCommand, dataset: GoldConfig, run_id: str) -> GoldRun:
    """Return a run that carries a history on; ConfigError for flags of the other kind."""
    flags = command.flags
    _refuse(
        dataset, {"--from-raw": flags.from_raw, "--from-file": flags.from_file, "--release-date": flags.release_date}
    )
    options = GoldOptions(
        run_id=run_id,
        as_of=flags.as_of,
        accepts_mass_change=flags.accept_mass_change,
        is_forced=flags.force,
        is_dry=flags.dry_run,
    )
    return GoldRun(dataset, command.target, command.open_engine, options, command.catalog)


def _refuse(dataset: DatasetConfig | GoldConfig, flags: Mapping[str, object]) -> None:
    """Raise ConfigError for a flag that means nothing to a dataset's layer."""
    if given := [name for name, value in flags.items() if value]:
        raise ConfigError(f"{given[0]} means nothing to {dataset.dataset}.", "See `run --help`.")


def _free_run_id(command: WarehouseCommand) -> str:
    """Return the run id of now, or of the first second after it that no run has taken."""
    now = datetime.now(UTC)
    while next(command.target.stored(raw_prefix(command.dataset.dataset, new_run_id(now))), None) or (
        command.publication.manifest(new_run_id(now))
    ):
        now += timedelta(seconds=1)
    return new_run_id(now)


def show(command: WarehouseCommand) -> Outcome:
    """Print what the current run holds, or what a statement finds in it."""
    dataset, flags = command.dataset, command.flags
    if flags.sql:
        heads, rows = ask(command.target, dataset, flags.sql)
        command.figures["rows"] = [dict(zip(heads, row, strict=True)) for row in rows]
        command.say(tabulate([[_short(value) for value in row] for row in rows], heads, tablefmt="simple"))
        return Outcome()
    manifest, found = looked(command.target, dataset, lambda told: (told, digests(command.target, dataset, told)))
    command.figures |= {
        "run_id": manifest["run_id"],
        "engine": manifest["engine"],
        "tables": manifest["tables"],
        "digests": found,
    }
    for table, told in manifest["tables"].items():
        size = sum(file["bytes"] for file in told["files"])
        command.say(
            f"{table}, run {manifest['run_id']} by {manifest['engine']}: {told['rows']:,} rows, "
            f"{told['quarantined']:,} quarantined, {size:,} bytes, digest {found[table]['digest']}"
        )
        nulls = {**told["nulls"]}
        rows = [
            (name, kind, nulls.get(name, 0), told["nulled"].get(name, 0))
            for name, kind in told["schema"]
            if not name.startswith("meta_")
        ]
        command.say(tabulate(rows, ["column", "type", "nulls", "bad values"], tablefmt="simple", intfmt=","))
        gates = [
            (gate["gate"], gate["observed"], gate["limit"], "passed" if gate["passed"] else "FAILED")
            for gate in told["gates"]
        ]
        command.say(tabulate(gates, ["gate", "observed", "limit", ""], tablefmt="simple", intfmt=",") + "\n")
    return Outcome()


def show_history(command: WarehouseCommand) -> Outcome:
    """Print every version of one key: from when, until when, and what it changed."""
    dataset = command.configuration.gold(command.flags.dataset)
    rows = versions_of(command.target, dataset, command.flags.key)
    command.figures["versions"] = rows
    table = [
        (row["active_from"], "now" if row["status"] == CURRENT else row["active_to"], row["status"], row["what"])
        for row in rows
    ]
    command.say(
        tabulate(table, ["from", "until", "", "what changed"], tablefmt="simple", maxcolwidths=[None, None, None, 90])
    )
    return Outcome()


def list_runs(command: WarehouseCommand) -> Outcome:
    """Print the current run and those in the archive."""
    current = required(command.publication)["run_id"]
    rows = []
    for manifest in command.publication.runs():
        tables = manifest["tables"].values()
        rows.append(
            (
                manifest["run_id"],
                "current" if manifest["run_id"] == current else "archived",
                sum(told["rows"] for told in tables),
                sum(told["quarantined"] for told in tables),
                manifest["engine"],
                _made_of(manifest),
            )
        )
    heads = ["run", "state", "rows", "quarantined", "engine", "source"]
    command.figures["runs"] = [dict(zip(heads, row, strict=True)) for row in rows]
    command.say(tabulate(rows, heads, tablefmt="simple", intfmt=","))
    return Outcome()


def _made_of(manifest: Mapping[str, Any]) -> str:
    """Return what a run was made of: the hash of a source, or the runs of other datasets."""
    if "source" in manifest:
        return str(manifest["source"]["sha256"][:12])
    return ", ".join(f"{name} {told['run_id']}" for name, told in manifest["sources"].items())


def rollback(command: WarehouseCommand) -> Outcome:
    """Make the run before the current one again, or another one of the archive."""
    publication = command.publication
    with command.target.lock(publication.dataset, f"rollback to {command.flags.run_id or 'the run before'}"):
        publication.tidy(command.catalog)
        now, before = publication.rollback(command.flags.run_id, command.catalog)
    command.figures |= {"run_id": now, "rolled_back_run_id": before}
    return Outcome(
        f"{publication.dataset}: run {now} is current again; run {before} is in the archive. "
        "A next run makes the tables anew unless the source is that of this run."
    )


def show_quarantine(command: WarehouseCommand) -> Outcome:
    """Print the quarantined rows of the current run, or write them all into a file."""
    manifest, rows = looked(command.target, command.dataset, lambda told: (told, quarantine(command.target, told)))
    count = 0 if rows is None else len(rows)
    command.figures |= {"run_id": manifest["run_id"], "quarantined": count}
    if rows is None:
        return Outcome(f"{command.dataset.dataset}: run {manifest['run_id']} has no quarantined rows.")
    if command.flags.export:
        from pyarrow import csv as arrow_csv  # noqa: PLC0415 - only here

        try:
            arrow_csv.write_csv(rows, str(command.flags.export))
        except OSError as error:
            raise ConfigError(f"--export: {error}.") from error
        return Outcome(f"{count:,} quarantined rows of run {manifest['run_id']} written to {command.flags.export}.")
    shown = rows.slice(0, SHOWN_ROWS).to_pylist()
    command.figures["rows"] = shown
    table = [[_short(value) for value in row.values()] for row in shown]
    command.say(tabulate(table, rows.column_names, tablefmt="simple"))
    more = f"; the first {SHOWN_ROWS} are shown, --export FILE writes all" if count > SHOWN_ROWS else ""
    return Outcome(f"{count:,} quarantined rows of run {manifest['run_id']}{more}.")


def _short(value: object) -> object:
    """Return a value for a table's cell."""
    if not isinstance(value, str):
        return value
    text = " ".join(value.split())
    return text if len(text) <= SHOWN_TEXT else text[: SHOWN_TEXT - 1] + "…"


def command_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="python -m warehouse",
        description="Files of drugs and others into typed, gated, atomically published Parquet.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, text: str, body: Callable[[WarehouseCommand], Outcome], *, of_one: bool
    ) -> argparse.ArgumentParser:
        action = add_action(actions, name, text)
        if of_one:
            action.add_argument("dataset", metavar="DATASET", help="a name that `datasets` shows")
        action.add_argument("--target", metavar="DIR", help="a folder or s3://BUCKET/PREFIX (WAREHOUSE_TARGET)")
        action.add_argument("--etl-dir", type=Path, metavar="DIR", help="the configuration (WAREHOUSE_ETL_DIR)")
        add_console_flags(action, "WAREHOUSE_LOG_FILE")
        action.set_defaults(command=name, body=body)
        return action

    add("datasets", "what is configured, and what is published of it", list_datasets, of_one=False)
    add("check", "read every configuration and tell all complaints in one list", check, of_one=False)
    action = add("plan", "the resources of AWS that would be deployed, stack by stack", show_plan, of_one=False)
    action.add_argument("--account", default=Place().account, help="twelve digits, for the names (zeros)")
    action.add_argument("--region", default=Place().region, help="for the names (us-east-1)")
    action = add(
        "run", "make a dataset's tables from its source, or from other datasets, and publish them", run, of_one=True
    )
    action.add_argument(
        "--engine", choices=("duckdb", "spark"), help="what types and writes (WAREHOUSE_ENGINE, duckdb)"
    )
    source = action.add_mutually_exclusive_group()
    source.add_argument(
        "--from-raw", type=_run_id, metavar="RUN_ID", help="type the raw files of a run again, no download"
    )
    source.add_argument(
        "--from-file",
        type=Path,
        metavar="PATH",
        help="read this archive, or this folder where the dataset is one, no download",
    )
    action.add_argument("--run-id", type=_run_id, help="when the run began, as YYYYMMDD_HHMMSS (now, UTC)")
    action.add_argument(
        "--release-date", type=_day, metavar="DAY", help="of a source with releases: which one (the current one)"
    )
    action.add_argument("--as-of", type=_day, metavar="DAY", help="gold: the day of the snapshot (that of the run id)")
    action.add_argument(
        "--accept-mass-change", action="store_true", help="gold: publish a day that changes more than it may"
    )
    action.add_argument("--force", action="store_true", help="publish a run though the source has not changed")
    action.add_argument("--dry-run", action="store_true", help="do everything but keep and publish")
    action = add("show", "the current run's tables, or what a statement finds in them", show, of_one=True)
    action.add_argument(
        "--sql", metavar="STATEMENT", help="a statement of DuckDB; the tables have the names of `datasets`"
    )
    action = add("history", "every version of one key, with what it changed", show_history, of_one=True)
    action.add_argument(
        "key", nargs="+", type=_text, metavar="KEY", help="the key's parts in the order of business_key"
    )
    add("runs", "the current run and those in the archive", list_runs, of_one=True)
    action = add("rollback", "make the run before current again", rollback, of_one=True)
    action.add_argument("--run-id", type=_run_id, help="another run of the archive")
    action = add("quarantine", "the rows that no table took, with their reasons", show_quarantine, of_one=True)
    action.add_argument("--export", type=Path, metavar="FILE", help="all of them as CSV")
    return parser


def _run_id(text: str) -> str:
    """Read a run id."""
    try:
        return checked_run_id(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(error.problem) from None


def _text(text: str) -> str:
    """Read a text, which must be one in UTF-8."""
    if not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is no text of a table")
    return text


def _day(text: str) -> date:
    """Read a day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day, such as 2026-11-28") from None


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    flags = command_parser().parse_args(arguments)
    console = sys.stderr if flags.json else sys.stdout

    def open_session() -> WarehouseCommand:
        values = {
            "warehouse_target": flags.target,
            "warehouse_etl_dir": flags.etl_dir,
            "warehouse_engine": getattr(flags, "engine", None),
            "warehouse_log_file": flags.log_file,
        }
        settings, login = load_settings((WarehouseSettings, AwsSettings), values, ENV_FILE)
        log_file = settings.warehouse_log_file.resolve()
        secrets = secret_values((settings, login))
        logger = configure_logging(
            LOGGER_NAME, log_file, level=flags.log_level or "INFO", console=console, secrets=secrets
        )
        for sentence in unknown_settings(setting_names(EVERY_SETTING), PREFIXES, ENV_FILE):
            logger.warning("%s", sentence)
        return WarehouseCommand(
            logger=logger,
            secrets=secrets,
            env_file=ENV_FILE,
            trailer=f"Log: {log_file}",
            flags=flags,
            settings=settings,
            login=login,
        )

    return run_session(open_session, lambda command: command.flags.body(command), as_json=flags.json)


if __name__ == "__main__":
    exit_process(main())
