"""Publication under fire: killed anywhere, read meanwhile, several at once, rolled back."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import nullcontext

import pytest
from warehouse_case import COUNT, in_a_process, is_killed_at, watched

from etlkit.testing import full_count
from warehouse.__main__ import main
from warehouse.bronze import BronzeRun
from warehouse.configuration import read_configuration
from warehouse.publishing import KEPT_RUNS, Publication
from warehouse.reading import ask
from warehouse.sample_sources.drugs import Drugs
from warehouse.targets.folder import Folder

STRIDE = full_count("kills in a folder: one before every nth step, n", 3, 1)


def current_rows(warehouse):
    return warehouse.digests("fda-cder")["products"]["rows"]


def published_runs(warehouse):
    """Return the runs that lie where a reader without a manifest looks."""
    return {
        name.split("run_id=")[1][:15] for name in warehouse.files() if name.startswith("bronze/") and "run_id=" in name
    }


@pytest.mark.soak
def test_whoever_is_killed_leaves_the_old_run_or_the_new_one_and_the_next_run_tidies_up(warehouse):
    """Before each step on the target, over existing data; a reader looks at every moment."""
    warehouse.serve(Drugs(products=20))
    assert warehouse.run("fda-cder").exit_code == 0
    dataset = read_configuration(warehouse.etl).dataset("fda-cder")
    step, kills, products = 1, 0, 21
    with watched(warehouse.target, dataset, {20, 21}, 0.01):
        while True:
            warehouse.serve(Drugs(products=products))
            before = current_rows(warehouse)
            run_id = f"20261129_{kills // 60:02}{kills % 60:02}00"
            if not is_killed_at(step, Folder, ["run", "fda-cder", "--run-id", run_id]):
                break
            kills += 1
            assert current_rows(warehouse) in (before, products)
            step += STRIDE
            done = warehouse.run("fda-cder", run_id=f"20261129_{kills // 60:02}{kills % 60:02}30")
            assert done.exit_code == 0, done.text
            assert current_rows(warehouse) == products
            assert len(published_runs(warehouse)) == 1
            assert not [name for name in warehouse.files() if name.startswith("temp/")]
            products = 41 - products
    assert kills >= 8


@pytest.mark.soak
def test_a_rollback_that_is_killed_leaves_one_of_both_and_loses_none(warehouse):
    warehouse.serve(Drugs(products=20))
    warehouse.run("fda-cder")
    warehouse.serve(Drugs(products=21))
    warehouse.run("fda-cder")
    step = 1
    while is_killed_at(step, Folder, ["rollback", "fda-cder"]):
        rows = current_rows(warehouse)
        assert rows in (20, 21)
        states = {run["state"] for run in warehouse.command("runs", "fda-cder").figures["runs"]}
        assert states == {"current", "archived"}
        done = warehouse.command("rollback", "fda-cder")
        assert (done.exit_code, current_rows(warehouse)) == (0, 41 - rows), done.text
        assert len(published_runs(warehouse)) == 1
        if current_rows(warehouse) == 20:
            assert warehouse.command("rollback", "fda-cder").exit_code == 0
        step += 1
    assert step > 6


def test_eight_writers_at_once_are_one_winner_and_seven_who_are_told(warehouse):
    warehouse.serve(Drugs(products=20))
    warehouse.run("fda-nsde")
    warehouse.serve(Drugs(products=21))
    children = []
    for number in range(8):
        command = ["run", "fda-nsde", "--force", "--run-id", f"20261129_0000{number:02}"]
        children.append(in_a_process(lambda command=command: main(command)))
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert codes[0] == 0
    assert set(codes) <= {0, 4}
    assert codes.count(4) >= 5  # one may begin when the first is done
    assert warehouse.digests("fda-nsde")["fda-nsde"]["rows"] == 21


def test_who_holds_the_lock_is_named_and_nothing_is_touched(warehouse):
    warehouse.serve(Drugs(products=5))
    with warehouse.target.lock("fda-cder", "run 20261128_000000"):
        refused = warehouse.run("fda-cder")
        assert refused.exit_code == 4
        assert "held by run 20261128_000000" in refused.text
        assert warehouse.run("fda-nsde").exit_code == 0
        assert warehouse.command("rollback", "fda-cder").exit_code == 4
    assert warehouse.run("fda-cder").exit_code == 0


def test_a_rollback_brings_a_run_back_and_there_again(warehouse):
    nothing = warehouse.command("rollback", "fda-cder")
    assert (nothing.exit_code, "no earlier run" in nothing.text) == (2, True)
    ids = []
    for products in (20, 21, 22):
        warehouse.serve(Drugs(products=products))
        ids.append(warehouse.run("fda-cder").figures["run_id"])
    done = warehouse.command("rollback", "fda-cder")
    assert (done.figures["run_id"], current_rows(warehouse)) == (ids[1], 21)
    assert published_runs(warehouse) == {ids[1]}
    assert warehouse.command("rollback", "fda-cder").figures["run_id"] == ids[2]
    assert warehouse.command("rollback", "fda-cder", "--run-id", ids[0]).exit_code == 0
    assert current_rows(warehouse) == 20
    refused = warehouse.command("rollback", "fda-cder", "--run-id", "20200101_000000")
    assert (refused.exit_code, ids[2] in refused.text) == (2, True)
    assert {run["state"] for run in warehouse.command("runs", "fda-cder").figures["runs"]} == {"current", "archived"}
    assert warehouse.run("fda-cder").figures["is_published"]  # the source is not the one of this run
    assert current_rows(warehouse) == 22


def test_earlier_runs_are_kept_and_the_oldest_go(warehouse):
    ids = []
    for products in range(20, 20 + KEPT_RUNS + 3):
        warehouse.serve(Drugs(products=products, extra_product_lines=(b"bad",)))
        ids.append(warehouse.run("fda-cder").figures["run_id"])
    kept = set(ids[-KEPT_RUNS - 1 :])
    assert {run["run"] for run in warehouse.command("runs", "fda-cder").figures["runs"]} == kept
    for folder in ("raw/", "quarantine/", "archive/"):
        found = {name.split("run_id=")[1][:15] for name in warehouse.files() if name.startswith(folder)}
        assert found == kept - ({ids[-1]} if folder == "archive/" else set()), folder


def test_a_reader_who_is_overtaken_looks_again_and_sees_the_new_run(warehouse, monkeypatch):
    warehouse.serve(Drugs(products=20))
    warehouse.run("fda-cder")
    dataset = read_configuration(warehouse.etl).dataset("fda-cder")
    old = Publication(warehouse.target, "fda-cder").current()
    warehouse.serve(Drugs(products=21))
    warehouse.run("fda-cder")
    fresh = Publication.current
    answers = [lambda _self: old]
    monkeypatch.setattr(Publication, "current", lambda self: answers.pop()(self) if answers else fresh(self))
    _, rows = ask(warehouse.target, dataset, COUNT)
    assert rows == [(21, 1)]


def test_a_pointer_that_is_gone_is_told_and_costs_no_data(warehouse):
    for products in (20, 21):
        warehouse.serve(Drugs(products=products))
        warehouse.run("fda-cder")
    pointer = warehouse.root / "bronze/fda-cder/_manifest/current.json"
    kept = pointer.read_bytes()
    pointer.unlink()
    before = warehouse.files()
    for command in (["run", "fda-cder"], ["rollback", "fda-cder"]):
        refused = warehouse.command(*command)
        assert (refused.exit_code, "current.json is gone" in refused.text) == (1, True), refused.text
    assert warehouse.files() == before
    pointer.write_bytes(b"{}")
    assert "is not understood" in warehouse.command("show", "fda-cder").text
    pointer.write_bytes(kept)
    assert current_rows(warehouse) == 21


def test_a_table_that_is_configured_no_more_can_still_be_asked(warehouse):
    warehouse.serve(Drugs(products=20))
    warehouse.run("fda-cder")

    def without_packages(config):
        config["file_table_mapping"] = {"product.txt": "fda-cder"}
        config["column_schema"] = {"fda-cder": config["column_schema"]["products"]}
        config.pop("derived_columns")
        config["data_quality"].pop("tables")

    warehouse.configure("fda-cder", without_packages)
    shutil.rmtree(warehouse.etl / "fda-all-ndcs")  # which is made of the packages
    assert warehouse.command("show", "fda-cder").exit_code == 0
    assert warehouse.ask("fda-cder", "select count(*) as n from packages") == [{"n": 40}]
    assert warehouse.run("fda-cder").exit_code == 0
    assert warehouse.ask("fda-cder", "select count(*) as n from fda_cder") == [{"n": 20}]


def test_whoever_was_overtaken_while_it_worked_publishes_nothing(warehouse, monkeypatch):
    """As after a lock that expired: another run was published since this one began."""
    warehouse.serve(Drugs(products=20))
    warehouse.run("fda-cder")
    publish = BronzeRun._publish
    others = []

    def overtaken(self, *parameters):
        if not others:
            others.append(None)
            others.append(warehouse.command("run", "fda-cder", "--force", "--run-id", "20261130_000000").exit_code)
        return publish(self, *parameters)

    monkeypatch.setattr(BronzeRun, "_publish", overtaken)
    monkeypatch.setattr(Folder, "lock", lambda *_: nullcontext())
    warehouse.serve(Drugs(products=21))
    late = warehouse.run("fda-cder", run_id="20261130_000001")
    assert (late.exit_code, others, "was swapped by another run" in late.text) == (4, [None, 0], True), late.text
    assert published_runs(warehouse) == {"20261130_000000"}
    assert {run["run"] for run in warehouse.command("runs", "fda-cder").figures["runs"]} == {
        "20261130_000000",
        "20261128_060001",
    }


def test_a_run_id_is_taken_once_and_the_run_before_is_the_one_that_was_before(warehouse):
    for products, run_id in ((20, "20261128_000003"), (21, "20261128_000001"), (22, "20261128_000002")):
        warehouse.serve(Drugs(products=products))
        assert warehouse.run("fda-cder", run_id=run_id).exit_code == 0
    refused = warehouse.run("fda-cder", "--from-raw", "20261128_000003", run_id="20261128_000001")
    assert (refused.exit_code, "has a run 20261128_000001 already" in refused.text) == (2, True)
    assert warehouse.command("rollback", "fda-cder").figures["run_id"] == "20261128_000001"


def test_half_written_files_of_the_dead_go_with_the_next_run(warehouse):
    warehouse.serve(Drugs(products=20))
    warehouse.run("fda-cder")
    (warehouse.root / "bronze/fda-cder/_manifest/.abc.part").write_text("{")
    (warehouse.root / "raw/fda-cder/run_id=20261127_000000").mkdir()
    (warehouse.root / "raw/fda-cder/run_id=20261127_000000/.x.part").write_text("x")
    assert len(warehouse.command("runs", "fda-cder").figures["runs"]) == 1
    warehouse.run("fda-cder")
    assert not [name for name in warehouse.files() if name.endswith(".part")]


def test_a_file_system_without_links_is_copied_on(warehouse, monkeypatch):
    def refuse(*_arguments, **_flags):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    for products in (20, 21):
        warehouse.serve(Drugs(products=products))
        assert warehouse.run("fda-cder").exit_code == 0
    assert warehouse.command("rollback", "fda-cder").exit_code == 0
    assert current_rows(warehouse) == 20


def test_a_run_that_was_taken_for_dead_cannot_publish_what_is_gone(warehouse, monkeypatch):
    """It sleeps before the swap while another one tidies up, and that one publishes nothing."""
    warehouse.serve(Drugs(products=20))
    assert warehouse.run("fda-cder").exit_code == 0
    swap = Folder.swap

    def slept(self, key, content, expected):
        monkeypatch.setattr(Folder, "swap", swap)
        Publication(self, "fda-cder").tidy()  # as whoever takes the lock over does first
        swap(self, key, content, expected)

    monkeypatch.setattr(Folder, "swap", slept)
    warehouse.serve(Drugs(products=21))
    done = warehouse.run("fda-cder")
    assert (done.exit_code, "meanwhile" in done.text) == (4, True), done.text
    assert current_rows(warehouse) == 20
    assert warehouse.run("fda-cder").exit_code == 0
    assert current_rows(warehouse) == 21


def test_a_first_run_that_was_taken_for_dead_is_published_by_whoever_tidies(warehouse, monkeypatch):
    require = Publication._require_all_there

    def slept(self, wanted):
        self.tidy()
        require(self, wanted)

    monkeypatch.setattr(Publication, "_require_all_there", slept)
    warehouse.serve(Drugs(products=20))
    done = warehouse.run("fda-cder")
    monkeypatch.undo()
    assert done.exit_code == 0, done.text
    assert current_rows(warehouse) == 20


@pytest.mark.parametrize("is_judged", [True, False])
def test_a_pointer_lost_while_one_run_was_published_is_made_anew(anywhere, is_judged):
    anywhere.serve(Drugs(products=20))
    first = anywhere.run("fda-cder").figures["run_id"]
    gone = "current" if is_judged else first
    anywhere.target.delete([f"bronze/fda-cder/_manifest/{gone}.json", "bronze/fda-cder/_manifest/current.json"])
    done = anywhere.run("fda-cder")
    assert done.exit_code == 0, done.text
    assert ("is current now" in done.text) == is_judged
    assert ("removed run" in done.text) == (not is_judged)
    assert done.figures["is_published"] == (not is_judged)
    assert current_rows(anywhere) == 20


def test_with_force_a_run_goes_on_where_the_manifest_is_lost(warehouse):
    warehouse.serve(Drugs(products=20))
    first = warehouse.run("fda-cder").figures["run_id"]
    warehouse.target.delete([f"bronze/fda-cder/_manifest/{first}.json"])
    refused = warehouse.run("fda-cder")
    assert (refused.exit_code, "Run again with --force" in refused.text) == (1, True), refused.text
    told = warehouse.command("datasets")
    assert (told.exit_code, "is missing, though the pointer names it" in told.text) == (0, True)
    assert warehouse.run("fda-cder", "--force").exit_code == 0
    assert current_rows(warehouse) == 20


def test_the_run_before_is_kept_whatever_its_age_and_half_a_run_is_never_made_current(warehouse):
    ids = []
    for products in range(20, 24):
        warehouse.serve(Drugs(products=products))
        ids.append(warehouse.run("fda-cder").figures["run_id"])
    assert warehouse.command("rollback", "fda-cder", "--run-id", ids[0]).exit_code == 0
    warehouse.serve(Drugs(products=24))
    assert warehouse.run("fda-cder").exit_code == 0
    assert warehouse.command("rollback", "fda-cder").figures["run_id"] == ids[0]
    assert current_rows(warehouse) == 20
    archived = next(name for name in warehouse.files() if name.startswith("archive/") and ids[3] in name)
    warehouse.target.delete([archived])
    refused = warehouse.command("rollback", "fda-cder", "--run-id", ids[3])
    assert (refused.exit_code, "no whole archived run" in refused.text) == (2, True)
    assert current_rows(warehouse) == 20


def test_what_fails_after_the_swap_is_told_as_published(warehouse, monkeypatch):
    warehouse.serve(Drugs(products=20))
    assert warehouse.run("fda-cder").exit_code == 0
    warehouse.serve(Drugs(products=21))

    def refuse(_self, _keys):
        raise OSError(13, "Permission denied", "archive")

    monkeypatch.setattr(Publication, "_archive_keys", refuse)
    done = warehouse.run("fda-cder")
    assert done.exit_code == 0
    assert "is current, but what comes after is left to the next run" in done.text
    monkeypatch.undo()
    assert current_rows(warehouse) == 21


@pytest.mark.parametrize("moment", ["within the swap", "after it"])
@pytest.mark.parametrize("command", ["run", "rollback"])
def test_a_signal_once_the_pointer_is_swapped_takes_nothing_back(anywhere, monkeypatch, command, moment):
    for products in (20, 21):
        anywhere.serve(Drugs(products=products))
        assert anywhere.run("fda-cder").exit_code == 0
    anywhere.serve(Drugs(products=22))
    swap = Publication._swap

    def stopped(self, *arguments):
        swap(self, *arguments)
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        if moment == "within the swap":
            patch.setattr(Publication, "_swap", stopped)
        else:
            patch.setattr(Publication, "_archive_keys", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        done = anywhere.run("fda-cder") if command == "run" else anywhere.command("rollback", "fda-cder")
    assert done.exit_code == 0, done.text
    assert "left to the next run: Terminated" in done.text
    assert current_rows(anywhere) == (22 if command == "run" else 20)
    assert anywhere.run("fda-cder").exit_code == 0
    assert current_rows(anywhere) == 22


def test_a_gate_that_fails_each_night_fills_no_disk(warehouse):
    warehouse.serve(Drugs(products=20))
    assert warehouse.run("fda-cder").exit_code == 0
    for products in range(5, 12):
        warehouse.serve(Drugs(products=products))
        assert warehouse.run("fda-cder").exit_code == 1
    raw = {name.split("/")[2] for name in warehouse.files() if name.startswith("raw/")}
    assert len(raw) == 1 + KEPT_RUNS + 1  # the published one, three that failed, and the last
    assert warehouse.run("fda-cder", "--from-raw", min(raw).removeprefix("run_id=")).exit_code == 0


@pytest.mark.parametrize("arguments", [["show"], ["quarantine"]])
def test_a_command_that_is_overtaken_looks_again(warehouse, monkeypatch, arguments):
    warehouse.serve(Drugs(products=20, extra_product_lines=(b"bad",)))
    assert warehouse.run("fda-cder").exit_code == 3
    current, looks = Publication.current, []

    def overtaken(self):
        found = current(self)
        looks.append(found)
        if len(looks) == 1:
            for stored in [*self.target.stored("bronze/fda-cder/products/"), *self.target.stored("quarantine/")]:
                self.target.copy(stored.key, f"moved/{stored.key}")
                self.target.delete([stored.key])
        return found

    def put_back(target, *_):
        for stored in [*target.stored("moved/")]:
            target.copy(stored.key, stored.key.removeprefix("moved/"))
        return False

    monkeypatch.setattr(Publication, "current", overtaken)
    monkeypatch.setattr("warehouse.reading._is_current", put_back)
    assert warehouse.command(*arguments, "fda-cder").exit_code == 0
    assert len(looks) == 2
