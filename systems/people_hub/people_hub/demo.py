"""make demo-people_hub: stand-in sources, a full sync into bronze and silver, changes, an incremental one.

Everything is kept in `.local/demo` and the database `people_hub_demo`, which begins anew each time.
"""

from __future__ import annotations

if __name__ == "__main__":
    from people_hub import starting  # noqa: F401 - one line for what is missing

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import etlkit
from etlkit.console import run_plainly
from etlkit.embedded import EmbeddedServer, default_home
from etlkit.errors import EXIT_CLEAN, EXIT_REJECTS
from etlkit.process import exit_process
from etlkit.settings import setting_names, stand_alone
from people_hub.hub_settings import EVERY_SETTING, PREFIXES, PROJECT_DIR
from people_hub.sample_sources import directories
from people_hub.sample_sources.directories import SampleDirectory
from people_hub.sample_sources.people import AD_BASE, MCOMMUNITY_BASE, University, uniqname
from people_hub.sample_sources.rest_sources import RestSources
from people_hub.sample_sources.spreadsheet import write_export

DATABASE = "people_hub_demo"
DATA_DIR = PROJECT_DIR / ".local" / "demo"
LDAP_SCRIPTS = ("mcommunity_users", "mcommunity_groups", "ad_users", "ad_groups", "ad_computers")
OTHER_SCRIPTS = (
    "keyconfigure_computers", "tdx_assets", "tdx_departments", "tdx_users", "umapi_departments", "umapi_employees",
)  # fmt: skip
PEOPLE = 400
DETAILS = 60


def main() -> int:
    """Run the demo and return 0 when both syncs did what they should."""
    stand_alone(setting_names(EVERY_SETTING), PREFIXES)
    logging.getLogger().setLevel(logging.ERROR)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # the hub writes to the same pipe in between
    university = University(people=PEOPLE, alumni=12)
    suite = Path(etlkit.__file__).resolve().parent.parent
    server = EmbeddedServer(default_home(suite))
    server.ensure_running()
    server.drop_database(DATABASE)
    server.ensure_database(DATABASE)
    scripts = list(OTHER_SCRIPTS)
    with closing(_Rest(university)) as rest, _directories(university) as ldap:
        environment = {
            "HUB_DATA_FOLDER": str(DATA_DIR / "exports"),
            "HUB_MAIL_DOMAIN": "umich.edu",
            "DATABASE_URL": f"embedded/{DATABASE}",
            **rest.settings,
        }
        write_export(DATA_DIR / "exports" / "keyconfigure_computers_1.xlsx", university.keyconfigure_rows())
        for directory in ldap:
            environment |= directory.environment()
        if ldap:
            scripts += LDAP_SCRIPTS
            print(
                f"OpenLDAP plays two directories of {PEOPLE} people; as MCommunity it gives {directories.CAP} at most."
            )
        else:
            print("slapd is not installed, so the LDAP sources are left out; on Debian: apt-get install slapd")
        print(
            "A REST server plays the API gateway and TeamDynamix, a folder holds an export of computers. On purpose one"
        )
        print(
            "record has no key, and the export has older rows of some cards; a directory's computers are persons too.\n"
        )
        codes = [_hub(environment, "init"), _hub(environment, "check", "--only", *scripts)]
        print("\n--- everything, for the first time")
        codes.append(_hub(environment, "ingest", "--full-sync", "--only", *scripts))
        codes.append(_hub(environment, "enrich", "--limit", str(DETAILS)))
        codes.append(_hub(environment, "transform"))
        print("\n--- some records change at the sources, two people go; then only what is new")
        change_sources(university, rest, ldap)
        codes.append(_hub(environment, "ingest", "--only", *scripts))
        codes.append(_hub(environment, "enrich", "--limit", str(DETAILS)))
        codes.append(_hub(environment, "transform"))
        codes.append(_hub(environment, "status"))
        codes.append(_hub(environment, "rejects"))
        codes.append(_hub(environment, "history", "umich_api/department", university.umapi_departments()[1]["DeptId"]))
        print("\n--- how good is what silver has, and why is somebody's score what it is?")
        codes.append(_hub(environment, "quality", "--export", str(DATA_DIR / "quality.html")))
        codes.append(_hub(environment, "explain", "users", uniqname(20)))
    worst = max(code for code in codes if code != EXIT_REJECTS)
    if worst != EXIT_CLEAN:
        return worst
    print(f"\npsql:  {server.psql_command(DATABASE)}")
    print("The private Postgres keeps running; make stop ends it.")
    return EXIT_CLEAN


class _Rest(RestSources):
    """The stand-in with a university's data, one of its records broken."""

    def __init__(self, university: University) -> None:
        """Start and fill it."""
        super().__init__()
        self.fill(university)
        broken = {**university.umapi_employees()[0], "EmplId": None}
        self.set_data(employees=[*university.umapi_employees(), broken])

    @property
    def settings(self) -> dict[str, str]:
        """Return how the hub reaches it."""
        return self.environment()

    def close(self) -> None:
        """End the process."""
        self.stop()


@contextmanager
def _directories(university: University) -> Iterator[list[SampleDirectory]]:
    """Start both directories, none where slapd is not installed."""
    if directories.SLAPD is None:
        yield []
        return
    home = Path(tempfile.mkdtemp(prefix="people-hub-demo-"))
    started = [
        SampleDirectory(home / "mcommunity", MCOMMUNITY_BASE, is_capped=True),
        SampleDirectory(home / "ad", AD_BASE, is_capped=False),
    ]
    try:
        started[0].load(university.mcommunity_entries())
        started[1].load(university.ad_entries())
        for directory in started:
            directory.start()
        yield started
    finally:
        for directory in started:
            directory.stop()
        shutil.rmtree(home)


def change_sources(university: University, rest: RestSources, ldap: list[SampleDirectory]) -> None:
    """Change a few records everywhere, and let one of them go."""
    departments = university.umapi_departments()
    departments[1]["DeptDescription"] = "Department of Renamed Things"
    accounts = university.tdx_accounts()
    accounts[2] |= {"Name": "Renamed", "ModifiedDate": "2026-03-01T12:00:00Z"}
    people = university.tdx_people()
    people[3]["Title"] = "Director"
    people[30] |= {"AlternateID": "renamed30", "UserName": "renamed30@umich.edu"}
    rest.set_data(departments=departments, accounts=accounts, people=people[:-1])
    rows = university.keyconfigure_rows()
    for row in rows:
        row["Free"] = 1.5  # no change at all
    rows[5]["Owner"] = "a new owner"
    write_export(DATA_DIR / "exports" / "keyconfigure_computers_2.xlsx", rows, written=time.time() + 1)
    for directory in ldap:
        if directory.suffix == MCOMMUNITY_BASE:
            directory.change(f"uid={uniqname(4)},ou=People,{MCOMMUNITY_BASE}", umichTitle=["Dean"])
            directory.remove(f"uid={uniqname(7)},ou=People,{MCOMMUNITY_BASE}")
        else:
            directory.change(f"CN={uniqname(4)},OU=Accounts,{AD_BASE}", mail=["dean@umich.edu"], uSNChanged=["9000"])


def _hub(environment: dict[str, str], *arguments: str) -> int:
    """Run a command of the hub as a user would; return its exit code."""
    shown = [*arguments[:3], "..."] if len(arguments) > 4 else list(arguments)  # noqa: PLR2004 - a readable line
    print(f"$ python -m people_hub {' '.join(shown)}")
    program = [sys.executable, "-m", "people_hub", *arguments]
    if arguments[0] in ("ingest", "enrich", "transform"):
        program += ["--log-level", "WARNING"]
    values: dict[str, Any] = {**os.environ, **environment, "LOG_DIR": str(DATA_DIR / "logs")}
    return subprocess.run(program, env=values, check=False).returncode


if __name__ == "__main__":
    exit_process(run_plainly(main))
