"""make demo-binge_works: a TMDB of our own, three daily runs through Dagster, and what became of one show.

Everything is kept in `.local/demo` and the database `binge_works_demo`, which begins anew each time.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin("make setup-binge_works")

import os
import shutil
import sys
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import dagster as dg
from tabulate import tabulate

import etlkit
from binge_works import __main__ as command_line
from binge_works.asset_runs import key_of, raw_key
from binge_works.binge_settings import EVERY_SETTING, META_FILE, PREFIXES, PROJECT_DIR, SCHEMA_FILE
from binge_works.definitions import defs
from binge_works.popular_lists import LISTS, PopularList
from binge_works.sample_tmdb.sample_lists import STARRED, sample_day
from binge_works.sample_tmdb.stand_in import StandIn
from etlkit.console import run_plainly
from etlkit.embedded import EmbeddedServer, default_home
from etlkit.errors import EXIT_CLEAN, EXIT_FAILED
from etlkit.postgres import apply_schema, connect
from etlkit.process import exit_process
from etlkit.settings import setting_names, stand_alone

DATABASE = "binge_works_demo"
DATA_DIR = PROJECT_DIR / ".local" / "demo"
DAYS = 3


def main() -> int:
    """Run the demo and return 0 when every day was loaded and every promise holds."""
    stand_alone(setting_names(EVERY_SETTING), (*PREFIXES, "DAGSTER_"))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    server = EmbeddedServer(default_home(Path(etlkit.__file__).resolve().parents[1]))
    server.ensure_running()
    server.drop_database(DATABASE)
    database = server.ensure_database(DATABASE)
    with closing(connect(database, "binge_works demo")) as connection:
        apply_schema(connection, META_FILE)
        apply_schema(connection, SCHEMA_FILE)
    with closing(StandIn()) as tmdb:
        os.environ |= {
            **tmdb.environment(),
            "DB_HOST": "embedded",
            "DB_NAME": DATABASE,
            "BINGE_RAW_DIR": str(DATA_DIR / "raw_pages"),
            "BINGE_LOG_FILE": str(DATA_DIR / "binge_works.log"),
            "DAGSTER_HOME": str(DATA_DIR / "dagster"),
        }
        make_home()
        print(f"A process plays TMDB at {tmdb.url}; its lists change from day to day.\n")
        today = datetime.now(UTC).date()
        with dg.DagsterInstance.get() as instance:
            days = [run_day(tmdb, instance, today - timedelta(DAYS - 1 - number)) for number in range(DAYS)]
        print(f"\n$ python -m binge_works history show {STARRED}")
        codes = [command_line.main(["history", "show", str(STARRED)])]
        print("\n$ python -m binge_works check")
        codes.append(command_line.main(["check"]))
    if any(codes) or not all(days):
        return EXIT_FAILED
    print(f"\npsql:     {server.psql_command(DATABASE)}")
    place = DATA_DIR.relative_to(PROJECT_DIR)
    command = "DAGSTER_HOME=$PWD/dagster ../../.venv/bin/dagster dev -m binge_works.definitions"
    print(f"browser:  cd systems/binge_works/{place} && {command}    # the graph, and the runs of above")
    print("The private Postgres keeps running; make stop ends it.")
    return EXIT_CLEAN


def make_home() -> None:
    """Begin the demo's folder anew, with an instance of Dagster as the project ships it."""
    shutil.rmtree(DATA_DIR, ignore_errors=True)
    (DATA_DIR / "dagster").mkdir(parents=True)
    shutil.copy(PROJECT_DIR / "dagster.yaml", DATA_DIR / "dagster")


def run_day(tmdb: StandIn, instance: dg.DagsterInstance, as_of: date) -> bool:
    """Run the three jobs for a day and print what became of the tables; return whether all succeeded."""
    tmdb.set_lists(**sample_day(as_of))
    rows = []
    is_good = True
    for popular in LISTS:
        raw = raw_key(popular).to_python_identifier()
        result = defs.resolve_job_def(f"popular_{popular.name}_job").execute_in_process(
            instance=instance,
            run_config={
                "ops": {raw: {"config": {"as_of": as_of.isoformat()}}},
                "loggers": {"console": {"config": {"log_level": "ERROR"}}},
            },
            raise_on_error=False,
        )
        is_good &= result.success
        checks = result.get_asset_check_evaluations()
        passed = sum(check.passed for check in checks)
        rows.append((popular.name, *counted(popular, instance), f"{passed} of {len(checks)}"))
    print(f"--- as of {as_of}, through Dagster")
    headers = ["list", "items", "new", "changed", "unchanged", "versions closed", "opened", "checks passed"]
    print(tabulate(rows, headers, tablefmt="simple"))
    return is_good


def counted(popular: PopularList, instance: dg.DagsterInstance) -> list[Any]:
    """Return what Dagster was told of a list's last run."""
    found: list[Any] = []
    wanted = (
        (popular.staging, ("total_count",)),
        (popular.current, ("inserted", "updated", "unchanged")),
        (popular.history, ("closed", "opened")),
    )
    for table, names in wanted:
        event = instance.get_latest_materialization_event(key_of(table)) if table else None
        told = event.asset_materialization.metadata if event and event.asset_materialization else {}
        found += [told[name].value if name in told else "-" for name in names]
    return found


if __name__ == "__main__":
    exit_process(run_plainly(main))
