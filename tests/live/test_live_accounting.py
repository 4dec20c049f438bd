"""The consumer's sum: a message that is neither stored nor rejected rolls its batch back, whoever lost it."""

from __future__ import annotations

import shutil

import pytest
from live_case import call, press
from museum_case import PROJECT_DIR

SWALLOW = """
    create function swallow() returns trigger language plpgsql as
    'begin return case when new.position = 1 then null else new end; end';
    create trigger swallow before insert on {table} for each row execute function swallow()
"""
REFUSE = """
    create function refuse() returns trigger language plpgsql as
    'begin if new.position = 7 then raise exception ''no sevens'' using errcode = ''{code}''; end if; return new; end';
    create trigger refuse before insert on review for each row execute function refuse()
"""
FORGETFUL_FILLS = [
    ("press/fill_review.sql", "where s.val <> -1", "where s.val <> -1 and s.row <> 3"),
    ("press/fill_incident.sql", "where s.val = -1", "where s.val = -1 and s.row <> 4"),
]
GREEDY_REMOVALS = [
    ("message/remove_stored.sql", "and r.position = s.row)", ")"),
    ("message/remove_stored.sql", "and r.position = s.position::bigint", ""),
]
MESSAGES = [press(0), press(1), call(2, 1), press(3), call(4, 0)]
DOES_NOT_ADD_UP = "the messages do not add up"


@pytest.fixture
def spoil(tmp_path, monkeypatch):
    """A function that lets the live stream run one statement with another text."""

    def spoil(name: str, clause: str, instead: str) -> None:
        tree = tmp_path / "sql"
        shutil.copytree(PROJECT_DIR / "sql", tree)
        text = (tree / name).read_text()
        assert text.count(clause) == 1
        (tree / name).write_text(text.replace(clause, instead))
        for module in ("batch", "replay"):
            monkeypatch.setattr(f"museum.live.{module}.SQL", tree)

    return spoil


@pytest.mark.parametrize("fill", FORGETFUL_FILLS)
@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_a_press_that_a_fill_forgets_is_not_already_there(live, spoil, fill, flags):
    live.produce(MESSAGES, partition=0)
    spoil(*fill)
    result = live.consume(*flags)
    assert (result.exit_code, DOES_NOT_ADD_UP in result.last_line) == (1, True), result.last_line
    assert live.stored() == 0
    assert all(offset == 0 for *_, offset, _ in live.ledger())


@pytest.mark.parametrize("fill", FORGETFUL_FILLS)
def test_a_reject_whose_press_a_fill_forgets_stays_open(live, spoil, fill):
    live.produce([{**message, "site": "6"} for message in MESSAGES], partition=0)
    live.consume()
    live.know_exhibitions(7)
    before = live.state()
    spoil(*fill)
    result = live.consume("--replay-rejects")
    assert (result.exit_code, DOES_NOT_ADD_UP in result.last_line) == (1, True), result.last_line
    assert live.state() == before


@pytest.mark.parametrize("removal", GREEDY_REMOVALS)
def test_what_is_read_again_is_already_there_only_if_it_is(live, spoil, removal):
    """Presses 0 to 4, of which 2 and 4 are calls; 1 is deleted and 5 was never good, so both have to come (back)."""
    live.produce([*MESSAGES, press(5, val=9)], partition=0)
    live.consume()
    live.query("delete from review where position = 1")
    live.query("delete from meta.rejected_records")
    if "bigint" in removal[1]:  # stored, and bad by today's rules
        live.setenv("MUSEUM_OPENING_TIME", "17:00")
    spoil(*removal)
    result = live.consume("--from-beginning")
    assert (result.exit_code, DOES_NOT_ADD_UP in result.last_line) == (1, True), result.last_line
    assert (live.stored(), live.rejects()) == (4, [])


def test_a_press_that_the_database_swallows_is_not_passed_over(live):
    live.produce([press(0), press(1), call(2, 1)], partition=0)
    live.query(SWALLOW.format(table="review"))
    result = live.consume()
    assert result.exit_code == 1
    assert "the messages do not add up" in result.last_line
    assert live.stored() == 0
    assert all(offset == 0 for *_, offset, _ in live.ledger())
    live.query("drop function swallow cascade")
    assert live.consume().exit_code == 0
    assert live.stored() == 3


@pytest.mark.parametrize("code", ["22000", "23514", "54000"])
def test_what_only_the_database_refuses_is_isolated_whatever_its_class(live, code):
    live.produce([press(number) for number in range(20)], partition=0)
    live.query(REFUSE.format(code=code))
    result = live.consume()
    assert (result.exit_code, result.figures["live"]["rejected_by_reason"]) == (3, {"refused": 1})
    assert live.stored() == 19
