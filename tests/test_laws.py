"""The kit's laws for the pipeline."""

from __future__ import annotations

import pytest
from museum_case import PROJECT_DIR, point_at

from etlkit.testing.laws import Ended, Fed, Sum
from etlkit.testing.postgres_laws import PostgresLaws, PostgresSystem

pytestmark = pytest.mark.database

DAY = "2024-03-05"


class Batch(PostgresSystem):
    """The pipeline over local files."""

    lock_name = "museum:batch"
    run_target = ("museum", "batch")
    blocked_table = ("review",)
    required_settings = ("DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD")

    def __init__(self, museum, monkeypatch):
        self.museum, self.database, self.log_file = museum, museum.database, museum.log_file
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("MUSEUM_DATA_DIR", str(museum.data_dir))
        monkeypatch.setenv("MUSEUM_LOG_FILE", str(museum.log_file))
        monkeypatch.setenv("AWS_ACCESS_KEY", "AKIALAWSLAWSLAWS")
        monkeypatch.setenv("AWS_SECRET_KEY", "secret-key-of-the-laws")
        self.secrets = ("secret-key-of-the-laws", self.database.db_password.get_secret_value())
        self.point_at(self.database)

    def feed(self):
        for site in range(3):
            self.museum.exhibition(site)
        self.museum.kiosk(1, f"{DAY} 10:00:00,0,3,", f"{DAY} 10:00:00,0,3,", f"{DAY} 11:00:00,1,-1,1")
        self.museum.kiosk(2, f"{DAY} 12:00:00,2,4,", f"{DAY} 12:00:01,2,77,", f"{DAY} 12:00:02,9,1,", "yesterday,1,1,")
        return Fed(7, {",2,77,": "bad_val", ",9,1,": "unknown_site", "yesterday": "bad_at"})

    def point_at(self, database):
        point_at(database, self._monkeypatch)

    def forget_settings(self):
        for name in self.required_settings:
            self._monkeypatch.delenv(name)

    def run(self, *flags):
        result = self.museum.run("pipeline", "--skip-extract", "--push", *flags)
        return Ended(result.exit_code, result.figures, "\n".join(result.lines))

    def command(self):
        return [str(PROJECT_DIR / "pipeline.py"), "--skip-extract", "--push"]

    def sum(self, figures):
        load = figures["load"]
        there = load["rows_already_there"]
        return Sum(load["rows_in"], load["rows_stored"], there, load["rows_rejected"])

    def tables(self):
        return self.museum.tables()

    def stored(self):
        return self.museum.count("review") + self.museum.count("incident")


class TestLaws(PostgresLaws):
    @pytest.fixture
    def system(self, museum, monkeypatch):
        return Batch(museum, monkeypatch)
