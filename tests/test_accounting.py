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


SWALLOW = """
    create function swallow() returns trigger language plpgsql as
    'begin return case when new.position = 2 then null else new end; end';
    create trigger swallow before insert on {table} for each row execute function swallow()
"""


@pytest.mark.parametrize("bulk_rows", [1, 1_000], ids=["in bulk", "row by row"])
@pytest.mark.parametrize("table", ["review", "incident"])
def test_a_press_of_a_new_object_that_no_table_holds_loads_nothing(museum, monkeypatch, table, bulk_rows):
    """Nothing of a new object can be there already, so a press less is a press lost."""
    monkeypatch.setattr("museum.batch.judged_rows.BULK_ROWS", bulk_rows)
    museum.exhibition(1)
    second = "1,-1,1" if table == "incident" else "1,4,"
    museum.kiosk(1, f"{DAY} 10:00:00,1,3,", f"{DAY} 10:00:01,{second}", f"{DAY} 10:00:02,1,-1,0")
    museum.query(SWALLOW.format(table=table))
    result = museum.push()
    assert result.exit_code == 1
    assert "the rows do not add up" in result.last_line
    assert "lmnh_hist_data_1.csv: 3 good rows, 2 held" in result.last_line
    assert (museum.count("review"), museum.count("incident"), museum.count("event_source")) == (0, 0, 0)


def test_a_press_of_a_changed_object_that_no_table_holds_loads_nothing(museum):
    museum.exhibition(1)
    museum.kiosk(1, *(f"{DAY} 10:00:0{n},1,3," for n in range(6)))
    museum.push()
    before = museum.tables_with_ids()
    museum.query(SWALLOW.format(table="review"))
    museum.kiosk(1, *(f"{DAY} 10:00:0{n},1,{2 if n == 1 else 3}," for n in range(6)))
    result = museum.push()
    assert (result.exit_code, "6 good rows, 5 held" in result.last_line) == (1, True)
    assert museum.tables_with_ids() == before


def test_an_earlier_reject_that_is_good_now_and_stored_nowhere_loads_nothing(stocked):
    stocked.run("load", *stocked.database_flags)
    stocked.query("insert into rating_desc values (77, 'new')")
    stocked.query(SWALLOW.format(table="review").replace("position = 2", "position = 3"))
    result = stocked.push()
    assert (result.exit_code, "the rows do not add up" in result.last_line) == (1, True)
    stocked.query("drop function swallow cascade")
    assert stocked.push().load["rows_recovered"] == 1
    assert stocked.query("select rows, stored from event_source") == [(3, 3)]
    assert stocked.push().load["rows_already_there"] == 3


def test_each_term_of_the_sum_is_counted_by_itself(museum):
    """New, changed, unchanged and recovered rows, rejected now and earlier, in one run."""
    museum.exhibition(1)
    museum.kiosk(1, *(f"{DAY} 10:00:0{n},1,3," for n in range(6)), "bad,1,3,")
    museum.kiosk(2, f"{DAY} 11:00:00,1,-1,1", f"{DAY} 11:00:01,1,9,")
    museum.kiosk(3, f"{DAY} 12:00:00,1,3,", f"{DAY} 12:00:01,1,77,", f"{DAY} 12:00:02,1,88,")
    museum.push()
    museum.query("insert into rating_desc values (77, 'new')")
    museum.kiosk(1, *(f"{DAY} 10:00:0{n},1,{1 if n == 5 else 3}," for n in range(6)), "bad,1,3,", "worse,1,3,")
    museum.kiosk(4, f"{DAY} 13:00:00,1,0,", f"{DAY} 13:00:01,1,-1,0")
    load = museum.push().load
    assert load["rows_in"] == 8 + 2 + 3 + 2
    assert load["rows_stored"] == 1 + 0 + 1 + 2
    assert load["rows_already_there"] == 5 + 1 + 1
    assert (load["rows_rejected"], load["rows_already_rejected"]) == (1, 1 + 1 + 1)
    assert (load["rows_removed"], load["rows_recovered"]) == (1, 1)
    assert museum.query("select key, rows, stored from event_source order by 1") == [
        ("lmnh_hist_data_1.csv", 8, 6), ("lmnh_hist_data_2.csv", 2, 1), ("lmnh_hist_data_3.csv", 3, 2),
        ("lmnh_hist_data_4.csv", 2, 2),
    ]  # fmt: skip
