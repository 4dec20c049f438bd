"""The kit's laws for an ingest."""

from __future__ import annotations

import pytest

from etlkit.testing.laws import Ended, Fed, Sum
from etlkit.testing.postgres_laws import PostgresLaws, PostgresSystem
from people_hub import ingest_umapi_departments
from people_hub.hub_settings import PROJECT_DIR
from people_hub.sample_sources import rest_server

pytestmark = pytest.mark.database

SCRIPT = "ingest_umapi_departments"


class Ingest(PostgresSystem):
    """One stream of the hub."""

    lock_name = ingest_umapi_departments.STREAM.lock_name
    run_target = ("umich_api", "department")
    blocked_table = ("bronze", "raw_entities")
    required_settings = ("DATABASE_URL", "UM_BASE_URL", "UM_OAUTH_URL", "UM_CLIENT_KEY", "UM_CLIENT_SECRET")
    dry_run_word = "DRY RUN"

    def __init__(self, hub, rest, university):
        self.hub, self.rest, self.university = hub, rest, university
        self.database, self.log_file = hub.database, hub.folder / "logs" / f"{SCRIPT}.log"
        self.secrets = (rest_server.CLIENT_SECRET, self.database.db_password.get_secret_value())

    def feed(self):
        good = self.university.umapi_departments()
        self.rest.set_data(departments=[*good, {"DeptId": None, "Name": "keyless"}, {"DeptId": "x" * 600}])
        return Fed(len(good) + 2, {"keyless": "missing_key", "x" * 600: "key_too_long"})

    def point_at(self, database):
        self.hub.database, before = database, self.hub.database
        self.hub.set(DATABASE_URL=self.hub.url)
        self.hub.database = before

    def forget_settings(self):
        self.hub.unset(*self.required_settings)

    def run(self, *flags):
        result = self.hub.ingest("umapi_departments", *flags)
        return Ended(result.exit_code, result.figures, result.text)

    def command(self):
        return [str(PROJECT_DIR / "people_hub" / f"{SCRIPT}.py")]

    def sum(self, figures):
        (stream,) = figures["streams"]
        counts = {name.removeprefix("records_"): count for name, count in stream.items()}
        return Sum(counts["processed"], counts["created"] + counts["updated"], counts["skipped"], counts["failed"])

    def tables(self):
        return {"bronze": self.hub.bronze(), "rejects": self.hub.rejects()}

    def stored(self):
        return self.query("select count(*) from bronze.raw_entities")[0][0]


class TestLaws(PostgresLaws):
    @pytest.fixture
    def system(self, hub, rest, university):
        return Ingest(hub, rest, university)
