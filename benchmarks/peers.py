"""make bench-peers: Sling and dlt beside our pipeline, the same files into the same server, in one run.

Both peers copy the rows as they are into one table without constraints, in their fastest documented way; ours also
judges, sorts and normalises them. Each peer has an environment of its own, made by the Makefile.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

from kiosk_bench import PROJECT_DIR, Bench, bench, median_of, run_measured

from etlkit.settings import DatabaseSettings

PEERS_DIR = PROJECT_DIR / ".local" / "peers"
DLT_PROGRAM = Path(__file__).resolve().parent / "dlt_load.py"


def url_of(settings: DatabaseSettings) -> str:
    """Return the server's URL as both peers take it."""
    password = settings.db_password.get_secret_value()
    server = f"{settings.db_host}:{settings.db_port}/{settings.db_name}"
    return f"postgresql://{settings.db_user}:{password}@{server}?sslmode=disable"


def sling(run: Bench) -> tuple[float, int]:
    """Load the folder with Sling, full-refresh."""
    (program,) = (PEERS_DIR / "sling").glob("lib/python*/site-packages/sling_linux_amd64/bin/sling-linux-amd64")
    settings = run.fresh_database(with_schema=False)
    arguments = [
        str(program), "run", "--src-stream", f"file://{run.data_dir / 'bucket_data'}/*.csv", "--tgt-conn", "TARGET",
        "--tgt-object", "public.kiosk", "--mode", "full-refresh",
    ]  # fmt: skip
    environment = {"TARGET": url_of(settings), "HOME": str(run.folder), "SLING_HOME_DIR": str(run.folder / "sling")}
    return checked(run, settings, run_measured(arguments, environment))


def dlt(run: Bench) -> tuple[float, int]:
    """Load the folder with dlt: Arrow tables in, CSV files to the server."""
    settings = run.fresh_database(with_schema=False)
    program = [str(PEERS_DIR / "dlt" / "bin" / "python"), str(DLT_PROGRAM), str(run.data_dir / "bucket_data")]
    environment = {"TARGET": url_of(settings), "HOME": str(run.folder), "RUNTIME__DLTHUB_TELEMETRY": "false"}
    return checked(run, settings, run_measured(program, environment))


def checked(run: Bench, settings: DatabaseSettings, measured: tuple[float, int]) -> tuple[float, int]:
    """Check that all rows are there, and return the measurement."""
    rows = run.count(settings, "kiosk")
    assert rows == run.rows, (rows, run.rows)
    run.drop(settings)
    return measured


def main() -> None:
    """Run the comparison and print its table."""
    parser = argparse.ArgumentParser(description="Sling and dlt beside the museum pipeline, in one run.")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results here too")
    flags = parser.parse_args()
    with bench(flags.rows, flags.json) as run:
        run.script("transform.py", None)  # warms the disk cache and the interpreter's
        run.measure_floor(flags.repeats)
        run.note(
            "museum pipeline: judged, sorted, normalised", *median_of(run.first_load, flags.repeats), run.rows, None
        )
        if platform.machine() == "x86_64":
            run.note("Sling, one plain table", *median_of(lambda: sling(run), flags.repeats), run.rows, None)
        else:
            print(f"  Sling has no wheel for {platform.machine()}; left out")
        run.note("dlt, one plain table", *median_of(lambda: dlt(run), flags.repeats), run.rows, None)


if __name__ == "__main__":
    main()
