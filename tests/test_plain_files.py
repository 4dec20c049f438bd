"""A plain file beside the pipeline, --kiosk-csv: judged wholly by the load, and the same by whatever path."""

from __future__ import annotations

from pathlib import Path

import pytest
from loaded_museum import DAY, first_load, rows
from museum_case import HEADER

pytestmark = pytest.mark.database


@pytest.fixture
def loaded(museum):
    """Two exhibitions and three objects, loaded."""
    return first_load(museum)


def test_a_plain_four_column_file_is_judged_wholly_by_the_load(loaded, tmp_path):
    plain = tmp_path / "visits.csv"
    plain.write_text(f"at,site,val,type\n{DAY} 10:00:00,1,3,\n06/03/2023 10:01,1,4,\n{DAY} 10:00:00,9,3,\nx,1,,\n")
    result = loaded.run("load", "--kiosk-csv", str(plain), *loaded.database_flags)
    assert result.exit_code == 3
    assert result.load["rows_stored"] == 2
    assert loaded.query("select bucket, key from event_source where key like '%visits.csv'") == [("file:", str(plain))]
    assert {place: reasons for place, (_, reasons) in loaded.rejects().items()} == {
        ("visits.csv", "3"): ["unknown_site"],
        ("visits.csv", "4"): ["bad_at", "missing_val"],
    }
    again = loaded.run("load", "--kiosk-csv", str(plain), *loaded.database_flags)
    assert (again.exit_code, again.load["rows_stored"]) == (0, 0)


def test_a_plain_file_that_is_not_there_is_one_clear_line(loaded):
    result = loaded.run("load", "--kiosk-csv", "/nowhere/visits.csv", *loaded.database_flags)
    assert result.exit_code == 1
    assert "/nowhere/visits.csv" in result.figures["error"]


def test_a_plain_file_is_the_same_by_whatever_path(loaded, tmp_path):
    (tmp_path / "sub").mkdir()
    plain = tmp_path / "visits.csv"
    plain.write_text(HEADER + rows(1)[0] + "\n")
    (tmp_path / "link.csv").symlink_to(plain)
    before = loaded.count("review")
    for path in (plain, tmp_path / "sub" / ".." / "visits.csv", tmp_path / "link.csv"):
        assert loaded.run("load", "--kiosk-csv", str(path), *loaded.database_flags).exit_code == 0
    assert loaded.count("review") == before + 1


def test_the_rejects_of_a_refused_plain_file_stay_readable(loaded, tmp_path):
    plain = tmp_path / "visits.csv"
    plain.write_text(HEADER + "x,1,3,\ny,1,3,\n")
    result = loaded.run("load", "--kiosk-csv", str(plain), "--max-rejects", "1", *loaded.database_flags)
    assert result.exit_code == 1
    rejects_file = Path(result.figures["error"].rsplit(" in ", 1)[1].removesuffix("."))
    assert len(rejects_file.read_text().splitlines()) == 2
