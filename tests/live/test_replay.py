"""A replay of the rejects: what is good now is stored, and the rest stays."""

from __future__ import annotations

import pytest
from live_case import call, ended, press


def test_replaying_rejects_stores_what_is_good_now(live):
    live.produce([press(0, site="6"), call(1, 5), press(2, val=9), b"hello", None], partition=0)
    live.consume()
    nothing = live.consume("--replay-rejects")
    assert (nothing.exit_code, nothing.figures["replay"]["stored"], nothing.figures["replay"]["judged"]) == (0, 0, 5)
    live.know_exhibitions(7)
    live.query("insert into incident_type values (5, 'lost child')")
    only = live.consume("--replay-rejects", "--reason", "bad_type", "--dry-run")
    assert (only.figures["replay"]["judged"], only.figures["replay"]["stored"]) == (1, 1)
    assert live.stored() == 0
    only = live.consume("--replay-rejects", "--reason", "bad_type")
    assert (only.figures["replay"]["judged"], only.figures["replay"]["stored"]) == (1, 1)
    result = live.consume("--replay-rejects")
    assert (result.figures["replay"]["stored"], result.figures["replay"]["open_rejects"]) == (1, 3)
    assert [position for _, _, position, *_ in live.presses()] == [0, 1]
    assert [reasons for *_, reasons in live.rejects()] == [["bad_val"], ["not_json"], ["no_value"]]
    before = live.state()
    assert live.consume("--from-beginning").figures["live"]["already_there"] == 2
    assert live.state() == before


def test_a_replay_stores_the_rest_when_the_database_refuses_one(live):
    live.produce([press(number, site="9") for number in range(20)], partition=0)
    live.consume()
    live.query("insert into exhibition (exhibition_id, exhibition_code, exhibition_name) values (10, 'EXH_09', 'New')")
    live.query("alter table review add constraint odd check (position not in (3, 17))")
    result = live.consume("--replay-rejects")
    assert (result.exit_code, result.figures["replay"]["stored"], result.figures["replay"]["judged"]) == (0, 18, 20)
    assert [(position, reasons) for _, position, _, reasons in live.rejects()] == [
        ("3", ["refused"]),
        ("17", ["refused"]),
    ]


@pytest.mark.database
def test_a_replay_of_many_goes_batch_by_batch(live, monkeypatch):
    monkeypatch.setattr("museum.live.replay.BATCH_ROWS", 7)
    live.produce([press(number, site="9") for number in range(50)])
    live.consume()
    live.query("insert into exhibition (exhibition_id, exhibition_code, exhibition_name) values (10, 'EXH_09', 'New')")
    assert live.consume("--replay-rejects", "--dry-run").figures["replay"]["stored"] == 50
    assert live.stored() == 0
    assert live.consume("--replay-rejects").figures["replay"]["stored"] == 50
    assert live.rejects() == []


@pytest.mark.parametrize("flags", [["--from-beginning"], ["--idle-exit", "1"], ["--reason", "nonsense"]])
def test_a_replay_takes_no_flags_of_the_stream(live, flags):
    code, output = ended(live.start("--replay-rejects", *flags))
    assert (code, "error" in output) == (2, True)
