"""Exported spreadsheets: the newest file, one record a card, no change by what moves at every export."""

from __future__ import annotations

import os
import shutil

import pytest

from people_hub.sample_sources.people import mac
from people_hub.sample_sources.spreadsheet import write_export

DAY = 86_400
NOW = 1_767_600_000.0


@pytest.fixture
def export(hub, university):
    """Writes an export of some rows, each a day after the one before."""
    number = iter(range(1, 100))

    def write(rows=None, name="keyconfigure_computers_{}.xlsx", **given):
        n = next(number)
        path = hub.folder / "exports" / name.format(n)
        return write_export(path, rows or university.keyconfigure_rows(), written=given.get("written", NOW + n * DAY))

    return write


def test_one_record_a_card_the_latest_session_wins(hub, export, university):
    export()
    result = hub.ingest("keyconfigure_computers")
    assert result.counts == (university.computers, 0, university.computers // 10, 0, 0)
    ((record,),) = hub.query("select raw_data from bronze.raw_entities where external_id = %s", mac(0).replace(":", ""))
    assert record["Owner"] != "somebody before"
    assert (record["RAM"], record["Disk"], record["OS SN"]) == (32768, 953.9, None)
    assert "OS Install Date" in record  # its header has a line break in the file


def test_the_order_of_the_rows_makes_no_difference(hub, export, university):
    export()
    hub.ingest("keyconfigure_computers")
    export(list(reversed(university.keyconfigure_rows())))
    assert hub.ingest("keyconfigure_computers").counts[:2] == (0, 0)


@pytest.mark.parametrize(
    "field", ["Free", "% Used", "Last Addr", "Last User", "Login", "Last Session", "Last Startup", "Last Audit"]
)
def test_what_moves_at_every_export_is_no_change(hub, export, university, field):
    export()
    hub.ingest("keyconfigure_computers")
    rows = [
        {**row, field: "2026-02-02 10:00"}
        for row in university.keyconfigure_rows()
        if row["Owner"] != "somebody before"
    ]
    export(rows)
    assert hub.ingest("keyconfigure_computers").counts[:2] == (0, 0)


def test_every_other_field_is_a_change(hub, export, university):
    rows = [row for row in university.keyconfigure_rows() if row["Owner"] != "somebody before"]
    export(rows)
    hub.ingest("keyconfigure_computers")
    volatile = {
        "Free",
        "% Used",
        "Last Addr",
        "Last User",
        "Login",
        "Last Session",
        "Last Startup",
        "Last Audit",
        "MAC",
    }
    fields = [name for name in rows[0] if name not in volatile]
    for n, field in enumerate(fields):
        rows[n][field] = "changed"
    export(rows)
    assert hub.ingest("keyconfigure_computers").counts[:2] == (0, len(fields))


@pytest.mark.parametrize(
    ("older", "newer"),
    [("9/1/2025 10:00", "10/1/2025 10:00"), ("2026-01-05T08:00:00", "2026-01-05 23:00"), ("never", "1/2/2019")],
)
def test_the_latest_session_is_a_moment_and_no_text(hub, export, university, older, newer):
    row = university.keyconfigure_rows()[1]
    rows = [{**row, "Last Session": newer, "Owner": "right"}, {**row, "Last Session": older, "Owner": "wrong"}]
    export(rows)
    hub.ingest("keyconfigure_computers")
    assert hub.query("select raw_data ->> 'Owner' from bronze.raw_entities") == [("right",)]


def test_a_hidden_sheet_is_not_read(hub, export, university):
    from openpyxl import load_workbook

    path = export()
    book = load_workbook(path)
    hidden = book.create_sheet("old", 0)
    hidden.sheet_state = "hidden"
    hidden.append(list(university.keyconfigure_rows()[0]))
    book.active = 1
    book.save(path)
    assert hub.ingest("keyconfigure_computers").counts[0] == university.computers


def test_only_the_newest_file_is_read_and_no_lock_file(hub, export, university):
    export(university.keyconfigure_rows()[:5])
    export()
    (hub.folder / "exports" / "~$keyconfigure_computers_9.xlsx").write_text("a lock")
    (hub.folder / "exports" / "something_else.xlsx").write_text("no export")
    assert hub.ingest("keyconfigure_computers").counts[0] == university.computers


def test_time_is_not_turned_back(hub, export, university):
    export(university.keyconfigure_rows()[:20])
    newest = export()
    hub.ingest("keyconfigure_computers")
    newest.unlink()
    result = hub.ingest("keyconfigure_computers")
    assert result.exit_code == 1
    assert "would turn time back" in result.stream["error"]
    assert hub.tombstones() == 0
    assert hub.ingest("keyconfigure_computers", "--full-sync", "--allow-mass-delete", "100").exit_code == 0


def test_cards_without_an_address_are_kept_as_rejects(hub, export, university):
    rows = university.keyconfigure_rows()
    rows[3]["MAC"], rows[4]["MAC"], rows[5]["MAC"] = "", "no mac", "00-11-22-33-44"
    export(rows)
    result = hub.ingest("keyconfigure_computers")
    assert (result.exit_code, result.stream["records_failed"]) == (3, 3)
    assert {tuple(reasons) for _source, _position, reasons in hub.rejects()} == {("missing_key",)}


@pytest.mark.parametrize("form", ["half", "text", "empty", "no header", "lacks a column", "a column twice"])
def test_a_file_that_cannot_be_read_fails_the_run_and_buries_nobody(hub, export, university, form):
    export()
    hub.ingest("keyconfigure_computers")
    rows = university.keyconfigure_rows()
    if form == "lacks a column":
        for row in rows:
            del row["MAC"]
    path = export(rows)
    if form == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif form == "text":
        path.write_text("a,b\n1,2\n")
    elif form == "empty":
        path.write_bytes(b"")
    elif form == "no header":
        write_export(path, [{"": ""}])
    elif form == "a column twice":
        write_export(path, [{**row, " MAC": "x"} for row in rows])
    os.utime(path, (NOW + 50 * DAY, NOW + 50 * DAY))
    result = hub.ingest("keyconfigure_computers")
    assert (result.exit_code, hub.tombstones()) == (1, 0)
    assert str(path) in result.stream["error"]


def test_an_export_with_a_header_only_is_not_believed(hub, export, university):
    export()
    hub.ingest("keyconfigure_computers")
    names = university.keyconfigure_rows()[0]
    export([dict.fromkeys(names, "")])
    result = hub.ingest("keyconfigure_computers")
    assert (result.exit_code, hub.tombstones()) == (1, 0)


def test_a_missing_folder_or_file_is_told(hub):
    assert "is no folder" in hub.ingest("keyconfigure_computers").stream["error"]
    (hub.folder / "exports").mkdir()
    assert "holds no file keyconfigure_computers*.xlsx" in hub.ingest("keyconfigure_computers").stream["error"]


def test_real_dates_and_times_are_iso_text(hub, export, university):
    from datetime import datetime

    rows = university.keyconfigure_rows()[:2]
    rows[1]["OS Install Date"] = datetime(2026, 1, 5, 9, 12)
    export(rows)
    hub.ingest("keyconfigure_computers")
    found = hub.query("select raw_data ->> 'OS Install Date' from bronze.raw_entities where raw_data ->> 'Owner' <> ''")
    assert ("2026-01-05T09:12:00",) in found


def test_a_file_that_disappears_while_it_is_chosen_is_told(hub, export):
    export()
    shutil.rmtree(hub.folder / "exports")
    assert hub.ingest("keyconfigure_computers").exit_code == 1
