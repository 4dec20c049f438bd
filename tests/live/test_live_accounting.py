"""The consumer's sum: a message that is neither stored nor rejected rolls its batch back."""

from __future__ import annotations

import pytest
from live_case import call, press

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
