"""python -m etlkit rejects: listed and exported, with no byte of them doing harm."""

from __future__ import annotations

import csv
import io

import pytest
from cli_case import RUN, Said, add_reject, assert_one_line, command, name_database
from kit_database import emptied, made_database

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@pytest.fixture(scope="module")
def kit_database(postgres):
    """The database of this module's tests."""
    with made_database(postgres, "kit_cli_rejects") as made:
        yield made


@pytest.fixture
def database(kit_database):
    """The module's database, without anything of an earlier test."""
    return emptied(kit_database)


@pytest.fixture
def cli(monkeypatch, tmp_path, capsys, database):
    """Return a function that runs the command in this process, with the test's database in the environment."""
    with command(monkeypatch, tmp_path, capsys) as run:
        name_database(monkeypatch, database)
        yield run


def records(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


# rejects list


def test_without_rejects_the_list_says_so(cli):
    assert cli("rejects", "list") == Said(0, "no rejected records\n", "")


def test_a_reject_is_listed_with_its_place_reasons_and_text(cli, connection):
    add_reject(connection, "7", b"2023-03-06,99", reasons=("bad_at", "unknown_site"))
    assert cli("rejects", "list").table == [["s3://b/k", "7", "bad_at, unknown_site", "2023-03-06,99"]]


def test_resolved_rejects_are_listed_on_request(cli, connection):
    add_reject(connection, "1")
    add_reject(connection, "2", resolved="2024-02-29 12:00+00")
    assert [row[1] for row in cli("rejects", "list").table] == ["1"]
    assert sorted((row[1], row[-1]) for row in cli("rejects", "list", "--all").table)[1] == ("2", "2024-02-29")
    assert len(cli("rejects", "list", "--all").table) == 2


def test_rejects_are_listed_by_reason_and_by_source(cli, connection):
    add_reject(connection, "1", reasons=("bad_at",))
    add_reject(connection, "2", reasons=("bad_val", "bad_type"))
    add_reject(connection, "3", source="s3://b/other")
    assert [row[1] for row in cli("rejects", "list", "--reason", "bad_type").table] == ["2"]
    assert [row[1] for row in cli("rejects", "list", "--source", "s3://b/other").table] == ["3"]
    assert cli("rejects", "list", "--reason", "bad_type", "--source", "s3://b/other").out == "no rejected records\n"


def test_rows_of_a_file_are_listed_in_their_order(cli, connection):
    with connection.cursor() as cursor:
        cursor.execute("begin")
    for position in ("10", "9", "100", "1"):
        add_reject(connection, position)
    with connection.cursor() as cursor:
        cursor.execute("commit")
    assert [row[1] for row in cli("rejects", "list").table] == ["1", "9", "10", "100"]


def test_the_list_of_rejects_is_limited_and_the_export_is_not(cli, connection):
    for position in range(60):
        add_reject(connection, str(position))
    listed = cli("rejects", "list")
    assert len(listed.table) == 50
    assert "more than these 50" in listed.err
    assert len(cli("rejects", "list", "--limit", "2").table) == 2
    assert len(records(cli("rejects", "export").out)) == 60


@pytest.mark.parametrize("action", ["list", "export"])
def test_hostile_bytes_are_printed_as_harmless_text(cli, connection, action):
    add_reject(connection, raw=b"\x1b[2J\x07\x00\x9b\xff\r\n\t" + "\u202e\u2028é".encode())
    said = cli("rejects", action)
    assert r"\x1b[2J\x07\x00\x9b\xff\r\n\t\u202e\u2028é" in said.out
    assert not {"\x1b", "\x07", "\x00", "\x9b", "\u202e", "\u2028"} & set(said.out)


def test_a_long_text_is_shortened_in_the_list_and_whole_in_the_export(cli, connection):
    add_reject(connection, raw=b"x" * 500)
    assert cli("rejects", "list").table[0][3] == "x" * 77 + "..."
    assert records(cli("rejects", "export").out)[0]["text"] == "x" * 500


def test_numbers_are_shown_as_they_were_sent(cli, connection):
    add_reject(connection, "0010", b"1e5")
    assert cli("rejects", "list").table == [["s3://b/k", "0010", "bad_at", "1e5"]]


# rejects export


def test_the_export_is_csv_with_all_columns(cli, connection):
    add_reject(connection, "7", b'2023-03-06,"99"', reasons=("bad_at", "bad_val"))
    [record] = records(cli("rejects", "export").out)
    assert list(record) == ["source", "position", "reasons", "text", "run_id", "first_seen", "last_seen", "resolved_at"]
    assert (record["source"], record["position"], record["run_id"]) == ("s3://b/k", "7", RUN)
    assert (record["reasons"], record["text"], record["resolved_at"]) == ("bad_at bad_val", '2023-03-06,"99"', "")


def test_an_export_of_nothing_has_its_header(cli):
    said = cli("rejects", "export")
    assert said.out.startswith("source,position,reasons,text,")
    assert records(said.out) == []


@pytest.mark.parametrize("start", ["=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "=1,2"])
def test_no_cell_of_the_export_is_a_formula(cli, connection, start):
    add_reject(connection, start, start.encode(), source=start, reasons=(start,))
    [record] = records(cli("rejects", "export").out)
    assert [cell for cell in record.values() if cell.startswith(FORMULA_STARTS)] == []
    assert record["source"] in (f"'{start}", start.replace("\t", "\\t").replace("\r", "\\r"))


def test_harmless_cells_of_the_export_are_not_changed(cli, connection):
    add_reject(connection, "7", b"2023-03-06 15:09:21,4,-1,0.0")
    assert records(cli("rejects", "export").out)[0]["text"] == "2023-03-06 15:09:21,4,-1,0.0"


def test_the_export_takes_the_filters_of_the_list(cli, connection):
    add_reject(connection, "1")
    add_reject(connection, "2", reasons=("bad_val",))
    add_reject(connection, "3", resolved="2024-02-29 12:00+00")
    for filters, expected in (
        ((), {"1", "2"}),
        (("--all",), {"1", "2", "3"}),
        (("--reason", "bad_val"), {"2"}),
        (("--source", "s3://b/none"), set()),
    ):
        assert {record["position"] for record in records(cli("rejects", "export", *filters).out)} == expected


def test_the_export_goes_to_a_file_on_request(cli, connection, tmp_path):
    add_reject(connection, raw="é\n".encode())
    path = tmp_path / "rejects.csv"
    said = cli("rejects", "export", "--output", path)
    assert said.out == f"wrote 1 rejected records to {path}\n"
    text = path.read_bytes().decode("utf-8")
    assert records(text)[0]["text"] == "é\\n"
    assert text.replace("\r\n", "").count("\r") == 0


def test_a_file_that_cannot_be_written_is_named(cli, tmp_path):
    said = cli("rejects", "export", "--output", tmp_path / "absent" / "rejects.csv")
    assert_one_line(said, 2, str(tmp_path / "absent" / "rejects.csv"), "No such file or directory", "--output")


def test_a_reason_that_was_never_given_is_a_slip_and_the_known_ones_are_named(cli, connection):
    assert cli("rejects", "list", "--reason", "bad_vall").out == "no rejected records\n", "nothing is known yet"
    add_reject(connection, "1", reasons=("bad_val", "too_old"))
    for action in ("list", "export"):
        said = cli("rejects", action, "--reason", "bad_vall")
        assert_one_line(said, 2, "--reason bad_vall is not known here", "Known are: bad_val, too_old.")


def test_a_reason_whose_records_are_all_good_by_now_has_none(cli, connection):
    add_reject(connection, "1", reasons=("bad_val",), resolved="2024-02-29 12:00+00")
    assert cli("rejects", "list", "--reason", "bad_val").out == "no rejected records\n"


def test_a_source_that_never_had_a_reject_is_named(cli, connection):
    add_reject(connection, "1", source="s3://b/one")
    assert_one_line(cli("rejects", "list", "--source", "s3://b/on"), 2, "no record of the source 's3://b/on' was ever")


# rejects prune


def add_aged_reject(connection, age, **fields):
    """Add a reject that was resolved, or is open and was last met, so long ago."""
    add_reject(connection, **fields)
    with connection.cursor() as cursor:
        cursor.execute(
            "update meta.rejected_records set last_seen = now() - %(age)s::interval, "
            "resolved_at = resolved_at - %(age)s::interval where position = %(position)s",
            {"age": age, "position": fields["position"]},
        )


@pytest.mark.database
def test_old_resolved_rejects_are_pruned_and_open_messages_only_on_request(cli, connection):
    message = "kafka://cluster/topic/0"
    add_aged_reject(connection, "91 days", position="1", resolved="now")
    add_aged_reject(connection, "89 days", position="2", resolved="now")
    add_aged_reject(connection, "91 days", position="3", source=message)
    add_aged_reject(connection, "89 days", position="4", source=message)
    add_aged_reject(connection, "91 days", position="5")

    def positions():
        with connection.cursor() as cursor:
            cursor.execute("select string_agg(position, '' order by position) from meta.rejected_records")
            return cursor.fetchone()[0]

    assert cli("rejects", "prune", "--older-than", "90d").out == "pruned 1 resolved rejected records older than 90d\n"
    assert positions() == "2345"
    said = cli("rejects", "prune", "--older-than", "90d", "--open-messages")
    assert said.out == "pruned 0 resolved rejected records and 1 open messages older than 90d\n"
    assert positions() == "245", "a load counts the open records of a file among its rows"
    assert cli("rejects", "prune", "--older-than=x", "--open-messages").code == 2
    assert positions() == "245"
