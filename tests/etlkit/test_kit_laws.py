"""The suite of laws: the smallest system keeps them, and each defect fails its law."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import smallest_system

from etlkit.testing.laws import Ended, Fed, Sum
from etlkit.testing.plugin import META_SCHEMA
from etlkit.testing.postgres_laws import PostgresLaws, PostgresSystem

DEFECTS = {
    "lost": ("test_law_1_every_record_is_stored_rejected_or_there_already", "Sum"),
    "twice": ("test_law_2_a_second_run_changes_nothing", "{'number':"),
    "no reason": ("test_law_1_every_record_is_stored_rejected_or_there_already", "not_a_number"),
    "lock given back": ("test_law_6_a_signal_in_the_middle_rolls_back", "the run holds its lock"),
    "lock": ("test_law_5_the_target_of_another_is_not_touched", "3 == 4"),
    "last line": ("test_law_6_the_last_line_and_the_exit_code_are_the_outcome", "in = 4 stored"),
    "row by row": ("test_law_6_a_signal_in_the_middle_rolls_back", "{'number':"),
    "secret": ("test_law_9_no_secret_is_shown", 'database "***" does not exist'),
    "lent right": ("test_law_9_no_right_is_lent_and_public_has_none", "anybody_may()"),
    "dry run": ("test_law_10_a_dry_run_leaves_no_trace_and_says_the_same", "public.number"),
    "dry run history": ("test_law_10_a_dry_run_leaves_no_trace_and_says_the_same", "meta.ingestion_runs"),
    "traceback": ("test_law_11_what_is_away_is_one_clear_line", "Traceback"),
    "unknown database": ("test_law_11_an_unknown_database_is_named", "does not exist"),
    "half the settings": ("test_law_11_missing_settings_are_named_in_one_message", "DB_HOST"),
}
PROJECT_DIR = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def schema_files():
    return (META_SCHEMA, smallest_system.SCHEMA_FILE)


class Numbers(PostgresSystem):
    """The smallest system over a file."""

    lock_name = smallest_system.LOCK_NAME
    run_target = ("smallest", "numbers")
    blocked_table = ("meta", "rejected_records")
    required_settings = ("NUMBERS_FILE", "LOG_FILE", "DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD")

    def __init__(self, database, folder, monkeypatch, capsys):
        self.database, self.log_file = database, folder / "smallest.log"
        self._file, self._monkeypatch, self._capsys = folder / "numbers.txt", monkeypatch, capsys
        self.secrets = (database.db_password.get_secret_value(),)
        monkeypatch.setenv("NUMBERS_FILE", str(self._file))
        monkeypatch.setenv("LOG_FILE", str(self.log_file))
        monkeypatch.setenv("PYTHONPATH", str(PROJECT_DIR))
        self.point_at(database)

    def feed(self):
        self._file.write_text("1\n2\n2\nthree\n\n5\nfour?\n")
        return Fed(7, dict.fromkeys(("three", "", "four?"), "not_a_number"))

    def point_at(self, database):
        for name in ("host", "port", "name", "user"):
            self._monkeypatch.setenv(f"DB_{name.upper()}", str(getattr(database, f"db_{name}")))
        self._monkeypatch.setenv("DB_PASSWORD", database.db_password.get_secret_value())

    def forget_settings(self):
        for name in self.required_settings:
            self._monkeypatch.delenv(name)

    def run(self, *flags):
        self._capsys.readouterr()
        code = smallest_system.main([*flags, "--json"])
        out, err = self._capsys.readouterr()
        return Ended(code, json.loads(out), err)

    def command(self):
        return [str(Path(smallest_system.__file__))]

    def sum(self, figures):
        return Sum(figures["in"], figures["stored"], figures["there"], figures["rejected"])

    def tables(self):
        return {"number": self.query("select * from number order by 1")}

    def stored(self):
        return self.query("select count(*) from number")[0][0]


@pytest.fixture
def system(database, tmp_path, monkeypatch, capsys):
    return Numbers(database, tmp_path, monkeypatch, capsys)


class TestLaws(PostgresLaws):
    """The smallest system keeps them all."""


def test_every_law_has_a_defect_that_breaks_it():
    laws = {name for name in dir(PostgresLaws) if name.startswith("test_law_")}
    assert laws == {law for law, _ in DEFECTS.values()}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_fails_its_law(system, monkeypatch, defect):
    law, words = DEFECTS[defect]
    monkeypatch.setenv("DEFECT", defect)
    with pytest.raises(AssertionError, match=re.escape(words)):
        getattr(PostgresLaws(), law)(system)
