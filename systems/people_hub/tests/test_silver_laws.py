"""The kit's laws for a transform."""

from __future__ import annotations

import pytest
from silver_case import Silver

from etlkit.testing.laws import Ended, Fed, Sum
from etlkit.testing.postgres_laws import PostgresLaws, PostgresSystem
from people_hub.hub_settings import PROJECT_DIR
from people_hub.silver.transform import LOCK_NAME

pytestmark = pytest.mark.database

SCRIPT = "transform_silver_departments"


class Transform(PostgresSystem):
    """One transform of the hub."""

    lock_name = LOCK_NAME
    run_target = ("silver_transformation", "department")
    blocked_table = ("silver", "departments")
    required_settings = ("DATABASE_URL",)
    dry_run_word = "DRY RUN"

    def __init__(self, hub, university):
        self.hub, self.university, self.silver = hub, university, Silver(hub)
        self.database, self.log_file = hub.database, hub.folder / "logs" / f"{SCRIPT}.log"
        self.secrets = (self.database.db_password.get_secret_value(),)

    def feed(self):
        good = self.university.umapi_departments()
        self.silver.put("umich_api/department", *good)
        self.silver.put("tdx/department", *self.university.tdx_accounts())
        bad = {"ID": "first bad", "Code": ""}, {"ID": "second bad", "Code": None}
        self.silver.put("tdx/department", *bad)
        return Fed(len(good) + len(bad), {"first bad": "missing_key", "second bad": "missing_key"})

    def point_at(self, database):
        self.hub.database, before = database, self.hub.database
        self.hub.set(DATABASE_URL=self.hub.url)
        self.hub.database = before

    def forget_settings(self):
        self.hub.unset(*self.required_settings)

    def run(self, *flags):
        result = self.hub.run("transform", "--only", "departments", *flags)
        return Ended(result.exit_code, result.figures, result.text)

    def command(self):
        return [str(PROJECT_DIR / "people_hub" / f"{SCRIPT}.py")]

    def sum(self, figures):
        (stream,) = figures["streams"]
        counts = {name.removeprefix("records_"): count for name, count in stream.items()}
        return Sum(counts["processed"], counts["created"] + counts["updated"], counts["skipped"], counts["failed"])

    def tables(self):
        silver = sorted((table, tuple(rows)) for table, rows in self.silver.tables().items())
        return {"silver": silver, "rejects": self.hub.rejects()}

    def stored(self):
        return self.query("select count(*) from silver.departments")[0][0]


class TestLaws(PostgresLaws):
    @pytest.fixture
    def system(self, hub, university):
        return Transform(hub, university)
