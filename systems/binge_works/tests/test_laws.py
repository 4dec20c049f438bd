"""The kit's laws for the command line."""

from __future__ import annotations

import pytest
from works_case import show

from binge_works.loading import lock_of
from etlkit.testing.laws import Ended, Fed, Sum
from etlkit.testing.postgres_laws import PostgresLaws, PostgresSystem

pytestmark = pytest.mark.database

RUN = ("run", "--only", "shows", "--as-of", "2026-01-24")


class DailyRun(PostgresSystem):
    """The daily run of one list."""

    lock_name = lock_of("staging.shows")
    run_target = ("tmdb", "shows")
    blocked_table = ("tmdb_data", "dim_popular_shows")
    required_settings = ("TMDB_API_KEY", "DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD")

    def __init__(self, works):
        self.works = works
        self.database, self.log_file, self.secrets = works.database, works.log_file, works.secrets

    def feed(self):
        rows = [show(number) for number in range(1, 41)]
        self.works.tmdb.set_lists(tv=[*rows, show(50, name=["not a name"]), show(51, first_air_date="2020-13-01")])
        return Fed(42, {"not a name": "bad_name", "2020-13-01": "bad_first_air_date"})

    def point_at(self, database):
        self.works.point_at(database)

    def forget_settings(self):
        self.works.unset(*self.required_settings)

    def run(self, *flags):
        result = self.works.run(*RUN, *flags)
        return Ended(result.exit_code, result.figures, result.text)

    def command(self):
        return ["-m", "binge_works", *RUN]

    def sum(self, figures):
        (found,) = figures["lists"]
        current = found["tables"]["tmdb_data.dim_popular_shows"]
        there = current["unchanged"] + current["filtered"] + found["duplicates"]
        return Sum(found["items_in"], current["inserted"] + current["updated"], there, found["rejected"])

    def tables(self):
        return self.works.tables()

    def stored(self):
        return self.works.count("tmdb_data.dim_popular_shows")


class TestLaws(PostgresLaws):
    @pytest.fixture
    def system(self, works):
        return DailyRun(works)
