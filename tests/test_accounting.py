"""The load's sum: counts from three sides that must meet, or nothing is loaded."""

from __future__ import annotations

import json

import pytest

DAY = "2024-03-05"


@pytest.fixture
def stocked(museum):
    """A museum whose transform has run: one exhibition, one kiosk file of three rows."""
    museum.exhibition(1)
    museum.kiosk(1, f"{DAY} 10:00:00,1,3,", f"{DAY} 10:00:01,1,-1,0", f"{DAY} 10:00:02,1,77,")
    assert museum.run("transform").exit_code == 3
    return museum


@pytest.mark.parametrize("difference", [1, -1])
def test_a_transform_that_counted_otherwise_loads_nothing(stocked, difference):
    path = stocked.combined_dir / "manifest.json"
    manifest = json.loads(path.read_text())
    (kiosk,) = manifest["kiosk_objects"]
    kiosk["rows"] += difference
    path.write_text(json.dumps(manifest))
    result = stocked.run("load", *stocked.database_flags)
    assert result.exit_code == 1
    assert "the rows do not add up" in result.last_line
    assert "Nothing was loaded" in result.last_line
    assert (stocked.count("review"), stocked.count("incident"), stocked.count("event_source")) == (0, 0, 0)
    assert stocked.rejects() == {}


def test_a_file_without_rows_is_known_again(museum):
    museum.exhibition(1)
    museum.kiosk(1)
    museum.kiosk(2, f"{DAY} 10:00:00,1,3,")
    first = museum.push().load
    assert (len(first["objects_new"]), first["rows_in"]) == (2, 1)
    again = museum.push()
    assert again.exit_code == 0
    assert (again.load["objects_new"], again.load["objects_unchanged"]) == ([], 2)
