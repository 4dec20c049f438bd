"""make bench-scale SYSTEM=people_hub: bronze and silver of 0.3, 1 and 3 million records, whole and incremental.

Bronze's records are employments of one source; silver's are of four sources that know the same people, so that a
million records are 250,000 people. The parts are those of bench-hub and bench-hub-silver, a process each.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from contextlib import closing
from pathlib import Path

import hub
import hub_silver
from growth import MEGABYTE, Growth, Line, growth

from etlkit.embedded import EmbeddedServer
from etlkit.postgres import Connection, apply_schema, connect
from people_hub.hub_settings import META_FILE, SCHEMA_FILE, NoSettings
from people_hub.silver.transformation import TransformationService

SIZES = (300_000, 1_000_000, 3_000_000)
QUICK_SIZES = (10_000, 40_000)
SOURCES = 4


def name_of(records: int) -> str:
    """Return a size as the tables say it."""
    return f"{records / 1e6:g} M"


class Place:
    """A new database of the hub."""

    def __init__(self, server: EmbeddedServer, name: str) -> None:
        self.server = server
        self.settings = server.ensure_database(name)
        word = self.settings.db_password.get_secret_value()
        self.url = f"postgresql://{self.settings.db_user}:{word}@{self.settings.db_host}:{self.settings.db_port}/{name}"
        with self.connection() as connection:
            apply_schema(connection, META_FILE)
            apply_schema(connection, SCHEMA_FILE)

    def connection(self) -> closing[Connection]:
        """Return a session that is closed in the end."""
        return closing(connect(self.settings, "bench"))

    def settle(self) -> int:
        """Vacuum and flush; return the database's size in MB."""
        with self.connection() as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("vacuum analyze")
            cursor.execute("checkpoint")
            cursor.execute("select pg_database_size(current_database())")
            return round((cursor.fetchone() or (0,))[0] / MEGABYTE)

    def drop(self) -> None:
        """Give the disk back."""
        self.server.drop_database(self.settings.db_name)


def measure_bronze(lines: Growth, server: EmbeddedServer, records: int) -> None:
    """Bring everybody in, then again, then with one in a hundred changed."""
    place = Place(server, f"bronze_{records}")
    for step, changed in (("first load", 0), ("nothing changed", 0), ("1 in 100 changed", records // 100)):
        found = hub.measure(f"bronze {step}", "ours", place.url, records, changed)
        expected = (records if step == "first load" else 0, changed)
        assert (found.created, found.updated) == expected, found
        lines.note(Line(f"bronze: {step}", name_of(records), records, "record", found.seconds, None, found.peak_mb))
        lines.lines[-1].disk_mb = place.settle()
    place.drop()


def measure_silver(lines: Growth, server: EmbeddedServer, records: int) -> None:
    """Build everybody, then a hundred changed ones."""
    people = records // SOURCES
    place = Place(server, f"silver_{records}")
    with place.connection() as connection:
        hub_silver.fill_bronze(connection, people)
    place.settle()
    with closing(TransformationService(place.url, hub_silver.DEPARTMENTS, NoSettings())) as service:
        service.run_main_process()
    found = hub_silver.measure("silver full build", "ours", place.url, people)
    lines.note(Line("silver: full build", name_of(records), records, "record", found.seconds, None, found.peak_mb))
    lines.lines[-1].disk_mb = place.settle()
    with place.connection() as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute(hub_silver.CHANGE, (hub_silver.CHANGED,))
        found = hub_silver.measure("silver 100 changed", "ours", place.url, people)
        step = f"silver: {hub_silver.CHANGED} changed"
        lines.note(Line(step, name_of(records), records, "record", found.seconds, None, found.peak_mb))
        found = hub_silver.measure_comparison(connection, people, 3)
    step = "silver: bare comparison of heads and source tables"
    lines.note(Line(step, name_of(records), records, "record", found.seconds))
    place.drop()


def main() -> None:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="minutes: 10,000 and 40,000 records")
    parser.add_argument("--up-to", type=int, metavar="RECORDS", help="leave larger sizes out")
    parser.add_argument("--json", type=Path)
    flags = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-scale-hub-"))
    folder.chmod(0o755)
    server = EmbeddedServer(folder / "postgres", settings=hub_silver.SERVER_SETTINGS)
    sizes = [size for size in (QUICK_SIZES if flags.quick else SIZES) if size <= (flags.up_to or size)]
    os.environ.pop("DATABASE_URL", None)
    try:
        server.ensure_running()
        with growth("People hub", name_of(sizes[0]), flags.json) as lines:
            for records in sizes:
                measure_bronze(lines, server, records)
                measure_silver(lines, server, records)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
