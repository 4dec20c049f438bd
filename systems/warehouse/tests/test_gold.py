"""Gold: four days of drugs on either engine, each reason to leave a row out, and whatever may go wrong of a day."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import pairwise

import pytest
from warehouse_case import EVERYWHERE, is_killed_at

from etlkit.testing import full_count
from warehouse.__main__ import main
from warehouse.configuration import read_configuration
from warehouse.publishing import publication_of
from warehouse.sample_sources.drugs import Drugs
from warehouse.silver.rules import RULES
from warehouse.staging import Staging
from warehouse.targets.bucket import Bucket
from warehouse.targets.folder import Folder

NAME = "fda-all-ndcs"
DAYS_ON_SPARK = full_count("days of a history on Spark", 2, 4)
STRIDE = full_count("kills of a history: one before every nth step, n", 5, 1)


def sources(warehouse, drugs):
    """Publish a day's sources."""
    warehouse.serve(drugs)
    for name in ("fda-nsde", "fda-cder"):
        done = warehouse.run(name)
        assert done.exit_code in (0, 3), done.text


def carry(warehouse, number, *flags):
    """Carry the history on as of a day of November."""
    return warehouse.run(NAME, "--as-of", f"2026-11-{number:02}", *flags)


def day(warehouse, number, drugs, *flags):
    """Publish a day's sources and carry the history on; return what the day did."""
    sources(warehouse, drugs)
    done = carry(warehouse, number, *flags)
    assert done.exit_code in (0, 3), done.text
    change = done.figures["change"]
    return [change[kind] for kind in ("new", "changed", "gone", "unchanged")]


def versions(warehouse, key):
    """Return a key's versions: from, until, what changed."""
    found = warehouse.command("history", NAME, key)
    assert found.exit_code == 0, found.text
    return [(row["active_from"][8:], row["active_to"][8:], row["what"]) for row in found.figures["versions"]]


def require_sound(warehouse):
    """Every key: no two current versions, no overlap, no gap that the source does not explain; return the versions."""
    rows = warehouse.ask(NAME, "select * from fda_all_ndcs order by ndc_11, active_from")
    for row, later in pairwise(rows):
        assert row["active_from"] < row["active_to"]
        if row["ndc_11"] == later["ndc_11"]:
            assert row["active_to"] <= later["active_from"]
    current = [row for row in rows if row["status"] == "current"]
    assert {row["active_to"] for row in current} == {"9999-12-31"}
    silver = warehouse.ask(NAME, "select * from fda_all_ndcs_silver")
    assert sorted(row["ndc_11"] for row in current) == sorted(row["ndc_11"] for row in silver)
    by_key = {row["ndc_11"]: row for row in silver}
    for row in current:
        assert {name: row[name] for name in silver[0]} == by_key[row["ndc_11"]]
    assert len({row["version_id"] for row in rows}) == len(rows)
    return rows


FOUR_DAYS = (
    (1, Drugs(products=40), [79, 0, 0, 0]),
    (
        5,
        Drugs(products=42, cells={(3, "Proprietary Name"): "Other", (4, "Billing Unit"): ""}),
        [4, 2, 0, 77],
    ),
    (9, Drugs(products=41, cells={(3, "Proprietary Name"): "Other"}), [0, 1, 2, 80]),
    (12, Drugs(products=42), [2, 1, 0, 80]),
)


def four_days(warehouse, again=lambda _number: None):
    """Carry the history on over four days; do something after each of them."""
    for number, drugs, expected in FOUR_DAYS:
        assert day(warehouse, number, drugs) == expected, number
        rows = require_sound(warehouse)
        again(number)
    assert len(rows) == 79 + 4 + 2 + 1 + 2 + 1


@EVERYWHERE
def test_four_days(anywhere):
    """What is new, changed, gone and back."""
    four_days(anywhere)


@pytest.mark.xdist_group("spark")
@pytest.mark.parametrize("place", ["folder", pytest.param("s3", marks=pytest.mark.full)])
def test_four_days_on_spark(warehouse, request, spark, place):
    """The last days once more, over what DuckDB made of them."""
    if place == "s3":
        warehouse.move_to(request.getfixturevalue("bucket"))

    on_spark = [number for number, *_ in FOUR_DAYS[-DAYS_ON_SPARK:]]

    def again(number):
        if number not in on_spark:
            return
        digests = warehouse.digests(NAME)
        left_out = warehouse.command("quarantine", NAME).figures["rows"]
        done = carry(warehouse, number, "--engine", "spark", "--force")
        assert done.exit_code == 3, done.text
        assert warehouse.digests(NAME) == digests
        assert warehouse.command("quarantine", NAME).figures["rows"] == left_out

    four_days(warehouse, again)


def test_the_history_of_a_drug_is_told(warehouse, capsys):
    for number, drugs, _ in FOUR_DAYS:
        day(warehouse, number, drugs)
    both, new = "01000000301", "61000004101"
    assert versions(warehouse, both) == [
        ("01", "05", "first seen"),
        ("05", "12", "proprietary_name: Ärztin’s Choice -> Other"),
        ("12", "31", "proprietary_name: Other -> Ärztin’s Choice"),
    ]
    assert versions(warehouse, new) == [("05", "09", "first seen"), ("12", "31", "back")]
    assert main(["history", NAME, both]) == 0
    assert "2026-11-12  now         current     proprietary_name: Other -> Ärztin’s Choice" in capsys.readouterr().out
    for arguments, words in (
        ([NAME, "00000000000"], "has never had the key 00000000000"), ([NAME, "a", "b"], "has the key ndc_11; 2 given"),
        (["fda-nsde", "a"], "is of the bronze layer, and keeps no history"), ([NAME, "' or 1=1"], "never had the key"),
    ):  # fmt: skip
        refused = warehouse.command("history", *arguments)
        assert (refused.exit_code, words in refused.text) == (2, True), refused.text


def test_a_day_twice_is_that_day_once_and_an_older_one_is_refused(warehouse):
    day(warehouse, 1, Drugs(products=40))
    day(warehouse, 5, Drugs(products=41, cells={(3, "Billing Unit"): "ML"}))
    digests = warehouse.digests(NAME)
    assert carry(warehouse, 5).figures["is_published"] is False
    assert carry(warehouse, 9).figures["is_published"] is False
    assert day(warehouse, 5, Drugs(products=40, cells={(4, "Billing Unit"): "ML"})) == [0, 1, 0, 78]
    assert day(warehouse, 5, Drugs(products=41, cells={(3, "Billing Unit"): "ML"})) == [2, 1, 0, 78]
    rows = require_sound(warehouse)
    assert len(rows) == 79 + 2 + 1
    lineage = ("nsde_run_id", "cder_run_id")
    assert {name: one["rows"] for name, one in warehouse.digests(NAME).items()} == {
        name: one["rows"] for name, one in digests.items()
    }
    assert all(
        row[name] > "20261128_060005" for row in rows if row["status"] == "current" for name in lineage if row[name]
    )
    refused = carry(warehouse, 4)
    assert (refused.exit_code, "--as-of 2026-11-04 is before 2026-11-05" in refused.text) == (2, True), refused.text
    refused = warehouse.run(NAME, "--as-of", "2206-11-05")
    assert (refused.exit_code, "is after the run's own day" in refused.text) == (2, True), refused.text
    refused = warehouse.run(NAME, run_id="99991231_000000")
    assert (refused.exit_code, "is after the run's own day" in refused.text) == (2, True), refused.text
    told = warehouse.command("runs", NAME).figures["runs"]
    assert all(row["source"].startswith("fda-cder 20261128_") for row in told)
    assert warehouse.command("rollback", NAME).exit_code == 0
    require_sound(warehouse)


def test_null_to_a_value_and_back_opens_versions_and_a_new_label_does_not(warehouse):
    code = "01000000301"
    label = f"select spl_id, version_id from fda_all_ndcs where ndc_11 = '{code}' and status = 'current'"
    day(warehouse, 1, Drugs(products=40, cells={(3, "Billing Unit"): ""}))
    day(warehouse, 2, Drugs(products=40))
    assert day(warehouse, 3, Drugs(products=40, cells={(3, "Billing Unit"): ""})) == [0, 1, 0, 78]
    assert [what for _, _, what in versions(warehouse, code)] == [
        "first seen", "billing_unit: None -> EA", "billing_unit: EA -> None",
    ]  # fmt: skip
    (before,) = warehouse.ask(NAME, label)
    relabelled = Drugs(products=40, cells={(3, "Billing Unit"): ""}, label="new")
    assert day(warehouse, 4, relabelled) == [0, 0, 0, 79]
    (after,) = warehouse.ask(NAME, label)
    assert (after["version_id"], after["spl_id"]) == (before["version_id"], "new00000003")
    assert before["spl_id"] == "00000003"


def test_what_the_configuration_calls_in_another_order_is_no_change(warehouse):
    day(warehouse, 1, Drugs(products=40))
    before = warehouse.ask(NAME, "select ndc_11, version_id, content_hash from fda_all_ndcs order by 1")

    def reordered(config):
        config["temporal_config"]["business_columns"].reverse()

    warehouse.configure(NAME, reordered)
    done = carry(warehouse, 2)
    assert done.figures["change"]["unchanged"] == 79, done.text
    assert warehouse.ask(NAME, "select ndc_11, version_id, content_hash from fda_all_ndcs order by 1") == before
    warehouse.configure(NAME, lambda config: config["temporal_config"]["business_columns"].remove("source"))
    done = carry(warehouse, 3)
    assert done.figures["change"]["unchanged"] == 79, done.text
    assert warehouse.ask(NAME, "select ndc_11, version_id from fda_all_ndcs order by 1") == [
        {name: row[name] for name in ("ndc_11", "version_id")} for row in before
    ]
    warehouse.configure(NAME, lambda config: config.update(business_key=["ndc_11", "source"]))
    refused = carry(warehouse, 4)
    assert (refused.exit_code, "but the history is by ndc_11" in refused.text) == (2, True), refused.text


def test_a_mass_change_is_refused_until_somebody_says_that_it_is_right(warehouse):
    day(warehouse, 1, Drugs(products=40))
    before = warehouse.digests(NAME)
    sources(warehouse, Drugs(products=40, cells={(n, "Billing Unit"): "ML" for n in range(17)}))
    refused = carry(warehouse, 2)
    assert refused.exit_code == 1
    for words in (
        "as of 2026-11-02 would have 0 new, 17 changed (billing_unit 17), 0 gone, 62 unchanged",
        "max_change_pct: 21.519, allowed 20", "run again with --accept-mass-change",
    ):  # fmt: skip
        assert words in refused.text, refused.text
    assert warehouse.digests(NAME) == before
    assert not [name for name in warehouse.files() if name.startswith("temp/")]
    assert carry(warehouse, 2, "--accept-mass-change").figures["change"]["changed"] == 17
    for name in ("fda-nsde", "fda-cder"):
        warehouse.configure(name, lambda config: config["data_quality"].update(max_drop_pct=100))
    warehouse.configure(NAME, lambda config: config["data_quality"].update(max_change_pct=100))
    sources(warehouse, Drugs(products=15, cells={(n, "Billing Unit"): "ML" for n in range(15)}))
    refused = carry(warehouse, 3)
    assert (refused.exit_code, "max_source_drop_pct of fda-nsde: 62.5, allowed 50" in refused.text) == (1, True), (
        refused.text
    )
    assert "0 changed, 50 gone" in refused.text


def test_every_row_that_is_left_out_is_kept_with_its_reason(warehouse):
    cells = {
        (2, "NDC11"): "12", (2, "Item Code"): "00-1", (5, "NDC11"): "01000000301", (5, "Proprietary Name"): "Later",
        (5, "Marketing Start Date"): "20260101", (9, "PRODUCTID"): "51000-006_twice",
        (6, "PRODUCTID"): "51000-006_twice", (9, "LISTING_RECORD_CERTIFIED_THROUGH"): "20271231",
    }  # fmt: skip
    for name in ("fda-nsde", "fda-cder"):
        warehouse.configure(name, lambda config: config["data_quality"].update(max_rejected_pct=90))
    warehouse.configure(
        "fda-cder", lambda config: config["data_quality"]["tables"]["products"].update(max_duplicate_pct=5)
    )
    sources(warehouse, Drugs(products=40, cells=cells))
    done = carry(warehouse, 1)
    assert done.exit_code == 3, done.text
    left_out = {one["source"]: (one["rows"], one["left_out"]) for one in done.figures["sources"]}
    assert left_out == {
        "fda-nsde": (40, {"no valid NDC-11": 1, "repeats an NDC-11": 1}),
        "fda-cder, products": (40, {"a product without a package has no NDC-11": 2}),
        "fda-cder, packages": (80, {"no valid NDC-11": 1}),
    }
    rows = warehouse.command("quarantine", NAME).figures["rows"]
    assert sorted((row["source_file"].split(":")[0], row["reason"]) for row in rows) == sorted(
        (source, reason)
        for source, (_, reasons) in left_out.items()
        for reason, count in reasons.items()
        for _ in range(count)
    )
    earlier = json.loads(next(row["raw_line"] for row in rows if row["reason"] == "repeats an NDC-11"))
    assert earlier["item_code"] == "1000-0003-01"
    assert warehouse.ask(NAME, "select proprietary_name from fda_all_ndcs where ndc_11 = '01000000301'") == [
        {"proprietary_name": "Later"}
    ]
    require_sound(warehouse)


@pytest.mark.soak
@pytest.mark.parametrize("place", ["folder", pytest.param("s3", marks=pytest.mark.full)])
def test_whoever_is_killed_leaves_the_history_before_or_after(warehouse, request, place):
    if place == "s3":
        warehouse.move_to(request.getfixturevalue("bucket"))
    kind = Bucket if place == "s3" else Folder
    day(warehouse, 1, Drugs(products=40))
    dataset = read_configuration(warehouse.etl).dataset(NAME)
    before = warehouse.digests(NAME)
    sources(warehouse, Drugs(products=41))
    step, kills = 1, 0
    while is_killed_at(
        step, kind, ["run", NAME, "--as-of", "2026-11-02", "--run-id", f"20261130_00{kills // 60:02}{kills % 60:02}"]
    ):
        kills += 1
        step += STRIDE
        found = warehouse.digests(NAME)
        assert found == before or found[NAME]["rows"] == 81
        require_sound(warehouse)
        if place == "s3":
            time.sleep(2.1)  # until the dead one's lock expires, by a clock of whole seconds
    assert kills > 5 // STRIDE
    assert warehouse.digests(NAME)[NAME]["rows"] == 81
    carry(warehouse, 3, "--force")
    runs = {
        name.split("run_id=")[1][:15]
        for name in warehouse.files()
        if name.startswith(("gold/", "silver/")) and "run_id=" in name
    }
    assert len(runs) == 1
    publication = publication_of(warehouse.target, dataset)
    assert publication.current()["as_of"] == "2026-11-03"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"business_key": "nothing"}, "nothing is no column of it"), ({"business_key": []}, "business_key"),
        ({"temporal_config": {"business_columns": ["ndc_11"]}}, "name ndc_11 twice"),
        ({"source_datasets": ["fda-nsde"]}, "source_datasets must be fda-cder, fda-nsde"),
        ({"data_quality": {"max_drop_pct": 1}}, "max_drop_pct means nothing to a snapshot"),
        ({"data_quality": {"max_changes": 1}}, "unknown key data_quality.max_changes; valid keys are"),
        ({"data_quality": {"required_columns": ["x"]}}, "data_quality names x"),
        ({"source_url": "https://x.org"}, "unknown key source_url"), ({"layer": "silver"}, "layer"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_told(warehouse, change, words):
    warehouse.configure(NAME, lambda config: config.update(change))
    refused = warehouse.command("check")
    assert (refused.exit_code, words in refused.text) == (2, True), refused.text


def test_what_a_rule_reads_must_be_there(warehouse):
    warehouse.configure("fda-cder", lambda config: config["column_schema"]["packages"].pop("PACKAGEDESCRIPTION"))
    refused = warehouse.command("check")
    assert (refused.exit_code, "fda-cder, packages has no package_description" in refused.text) == (2, True), (
        refused.text
    )


def test_a_column_that_a_rule_reads_must_be_of_its_type(warehouse):
    sources(warehouse, Drugs(products=40))
    warehouse.configure(
        "fda-nsde", lambda config: config["column_schema"]["fda-nsde"]["Billing Unit"].update(type="integer")
    )
    told = "fda-nsde, fda-nsde has no billing_unit as a string (it is integer)"
    refused = warehouse.run(NAME)
    assert (refused.exit_code, told in refused.text) == (2, True), refused.text
    warehouse.configure(
        "fda-nsde", lambda config: config["column_schema"]["fda-nsde"]["Billing Unit"].update(type="string")
    )
    manifest = publication_of(warehouse.target, read_configuration(warehouse.etl).dataset("fda-nsde")).current()
    place = warehouse.root / f"bronze/fda-nsde/_manifest/{manifest['run_id']}.json"
    place.write_text(place.read_text().replace('"billing_unit",\n     "string"', '"billing_unit",\n     "int32"'))
    refused = warehouse.run(NAME)
    assert (refused.exit_code, "has no billing_unit as a string (it is int32)" in refused.text) == (1, True), (
        refused.text
    )


def test_the_same_day_again_is_judged_by_what_it_published(warehouse):
    day(warehouse, 1, Drugs(products=40))
    for name in ("fda-nsde", "fda-cder"):
        warehouse.configure(name, lambda config: config["data_quality"].update(max_drop_pct=100))
    sources(warehouse, Drugs(products=30))
    refused = carry(warehouse, 1)
    assert (refused.exit_code, "max_change_pct: 25.3165, allowed 20; max_gone_pct" in refused.text) == (1, True), (
        refused.text
    )
    assert carry(warehouse, 1, "--accept-mass-change").figures["change"]["new"] == 59
    require_sound(warehouse)


def test_gates_of_a_snapshot_bind(warehouse):
    sources(warehouse, Drugs(products=40))
    warehouse.configure(
        NAME, lambda config: config["data_quality"].update(max_rejected_pct=0, max_null_rate={"billing_unit": 0})
    )
    refused = carry(warehouse, 1)
    assert refused.exit_code == 1
    for words in ("max_rejected_pct: 0.625, allowed 0", "max_null_rate of billing_unit"):
        assert words in refused.text, refused.text


def test_columns_that_a_rule_gains_or_loses_are_no_change_of_old_versions(warehouse, monkeypatch):
    """Also one that is no text: a flag and a date."""
    rule = RULES[NAME]
    less = [name for name in rule.columns if name not in ("nsde_flag", "marketing_end_date")]

    def shortened(tables):
        made = rule.make(tables)
        return replace(made, rows=made.rows.select(*less))

    def without(config):
        tracked = config["temporal_config"]["business_columns"]
        config["temporal_config"]["business_columns"] = [name for name in tracked if name in less]

    columns = json.loads((warehouse.etl / NAME / "config.json").read_text())["temporal_config"]["business_columns"]
    with monkeypatch.context() as patch:
        patch.setitem(RULES, NAME, replace(rule, columns=tuple(less), make=shortened))
        warehouse.configure(NAME, without)
        assert day(warehouse, 1, Drugs(products=40)) == [79, 0, 0, 0]
    warehouse.configure(NAME, lambda config: config["temporal_config"].update(business_columns=columns))
    refused = carry(warehouse, 2)
    assert (refused.exit_code, "79 changed (nsde_flag 79)" in refused.text) == (1, True), refused.text
    assert carry(warehouse, 2, "--accept-mass-change").figures["versions"] == 158
    with monkeypatch.context() as patch:
        patch.setitem(RULES, NAME, replace(rule, columns=tuple(less), make=shortened))
        warehouse.configure(NAME, without)
        assert carry(warehouse, 3).figures["change"]["unchanged"] == 79


def test_a_source_file_that_is_gone_or_another_one_is_told(warehouse):
    sources(warehouse, Drugs(products=40))
    (path,) = warehouse.root.glob("bronze/fda-nsde/run_id=*/*.parquet")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content.replace(b"EA", b"ML"))
    refused = carry(warehouse, 1)
    assert (refused.exit_code, "is not what was published: its hash differs" in refused.text) == (1, True), refused.text
    path.unlink()
    refused = carry(warehouse, 1)
    assert (refused.exit_code, "nor in the archive, though its manifest names it" in refused.text) == (1, True), (
        refused.text
    )


def test_flags_and_sources_that_are_not_there_are_told(warehouse):
    refused = warehouse.run(NAME)
    assert (refused.exit_code, "fda-nsde, of which fda-all-ndcs is made, was never published" in refused.text) == (
        2,
        True,
    )
    refused = warehouse.run(NAME, "--from-raw", "20261128_060000")
    assert (refused.exit_code, "--from-raw means nothing to fda-all-ndcs" in refused.text) == (2, True)
    refused = warehouse.run("fda-nsde", "--as-of", "2026-11-01")
    assert (refused.exit_code, "--as-of means nothing to fda-nsde" in refused.text) == (2, True)
    sources(warehouse, Drugs(products=40))
    before = warehouse.files()
    assert carry(warehouse, 1, "--dry-run").figures["change"]["new"] == 79
    assert warehouse.files() == before


def test_an_archived_source_is_read_where_it_is(anywhere, monkeypatch):
    """Somebody publishes a source anew between the look at its manifest and the reading of its files."""
    sources(anywhere, Drugs(products=40))
    brought = Staging.brought

    def overtaken(self, keys, name):
        with monkeypatch.context() as patch:
            patch.setattr(Staging, "brought", brought)
            if name == "source-0":
                sources(anywhere, Drugs(products=41))
        return brought(self, keys, name)

    monkeypatch.setattr(Staging, "brought", overtaken)
    done = carry(anywhere, 1)
    assert (done.exit_code, done.figures["change"]["new"]) == (3, 79), done.text


def test_a_lost_manifest_never_begins_a_history_anew(warehouse):
    day(warehouse, 1, Drugs(products=40))
    day(warehouse, 2, Drugs(products=41))
    current = warehouse.command("show", NAME).figures["run_id"]
    warehouse.target.delete([f"gold/{NAME}/_manifest/{current}.json"])
    refused = carry(warehouse, 3, "--force")
    assert (refused.exit_code, "wants it back, or a rollback" in refused.text) == (1, True), refused.text
    assert warehouse.command("rollback", NAME).exit_code == 0
    assert len(require_sound(warehouse)) == 79
