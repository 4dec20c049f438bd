"""Bronze runs: what is typed, what is quarantined, what a second run does, what a dry run leaves."""

from __future__ import annotations

from datetime import date

import pytest
from warehouse_case import CDER, MODIFIED

from warehouse.sample_sources.drugs import Drugs, zipped

DIRTY = {
    (3, "STARTMARKETINGDATE"): "20180230", (4, "STARTMARKETINGDATE"): "18920301", (5, "ENDMARKETINGDATE"): "not yet",
    (6, "PROPRIETARYNAME"): "  Pad\u00a0ded  ",
}  # fmt: skip


def quarantine_start_dates(config):
    config["column_schema"]["products"]["STARTMARKETINGDATE"]["on_bad_value"] = "quarantine"


def test_a_run_types_what_it_can_and_tells_what_it_cannot(warehouse):
    warehouse.serve(Drugs(products=120, cells=DIRTY))
    done = warehouse.run("fda-cder")
    assert done.exit_code == 0, done.text
    products, packages = done.figures["tables"]["products"], done.figures["tables"]["packages"]
    assert (products["rows_in"], products["rows"], products["quarantined"]) == (120, 120, 0)
    assert (packages["rows_in"], packages["rows"]) == (240, 240)
    assert products["nulled"] == {"start_marketing_date": 1, "end_marketing_date": 1}
    assert packages["nulled"] == {"ndc_11": 1}
    rows = warehouse.ask("fda-cder", "select * from fda_cder_products order by application_number limit 7")
    assert [row["meta_nulled"] for row in rows] == [
        None,
        None,
        None,
        "start_marketing_date,",
        None,
        "end_marketing_date,",
        None,
    ]
    assert (rows[4]["start_marketing_date"], rows[4]["labeler_name"]) == ("1892-03-01", "Müller & Söhne")
    assert rows[2]["proprietary_name"] == "Guang’an Tonic"
    assert rows[6]["proprietary_name"] == "Pad\u00a0ded"
    assert rows[0]["pharm_classes"] is None
    assert {row["meta_source_file"] for row in rows} == {"product.txt"}
    codes = warehouse.ask(
        "fda-cder", "select ndc_package_code, ndc_11 from fda_cder_packages order by product_id limit 4"
    )
    shapes = {row["ndc_package_code"]: row["ndc_11"] for row in codes}
    assert shapes == {
        "1000-0000-01": "01000000001", "1000-0000-02": "01000000002", "1000-0003-01": "01000000301",
        "1000-0003-02": "01000000302",
    }  # fmt: skip


def test_rows_that_no_table_takes_are_quarantined_with_number_reason_and_text(warehouse):
    short, long = b"only\ttwo", b"\t".join([b"x"] * 21)
    warehouse.configure("fda-cder", quarantine_start_dates)
    warehouse.serve(Drugs(products=120, cells=DIRTY, extra_product_lines=(short, b"", b"\t" * 19, b"  ", long)))
    done = warehouse.run("fda-cder")
    assert done.exit_code == 3, done.text
    products = done.figures["tables"]["products"]
    assert (products["rows_in"], products["rows"], products["quarantined"]) == (122, 119, 3)
    assert "3 rows quarantined" in done.text
    rows = warehouse.command("quarantine", "fda-cder").figures["rows"]
    told = [(row["table_name"], row["source_file"], row["row_number"], row["columns"], row["reason"]) for row in rows]
    assert told == [
        ("products", "product.txt", 4, "start_marketing_date", "start_marketing_date is no date of the form yyyyMMdd"),
        ("products", "product.txt", 121, None, "2 fields instead of 20"),
        ("products", "product.txt", 125, None, "21 fields instead of 20"),
    ]
    assert [row["raw_line"] for row in rows][1:] == [short.decode(), long.decode()]
    assert "20180230" in rows[0]["raw_line"]
    exported = warehouse.root.parent / "bad.csv"
    assert warehouse.command("quarantine", "fda-cder", "--export", str(exported)).exit_code == 0
    assert exported.read_text().count("\n") == 4
    again = warehouse.run("fda-cder")
    assert (again.exit_code, again.figures["is_published"]) == (0, False)


def test_an_unchanged_source_leaves_everything_as_it_is(warehouse):
    warehouse.serve(Drugs(products=40))
    first = warehouse.run("fda-cder")
    before = warehouse.files()
    again = warehouse.run("fda-cder")
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert "has not changed" in again.text
    assert warehouse.files() == before
    assert warehouse.sources.requests[-1][1]["If-None-Match"]
    warehouse.configure("fda-cder", lambda config: config.update(description="another", data_size_category="small"))
    assert warehouse.run("fda-cder").figures["is_published"] is False
    forced = warehouse.run("fda-cder", "--force")
    assert forced.figures["is_published"] is True


def test_a_changed_configuration_is_reason_enough_and_raw_files_are_typed_again(warehouse):
    warehouse.serve(Drugs(products=120, cells=DIRTY))
    first = warehouse.run("fda-cder")
    before = warehouse.digests("fda-cder")
    warehouse.sources.files.clear()  # nothing is downloaded any more
    again = warehouse.run("fda-cder", "--from-raw", first.figures["run_id"])
    assert again.figures["is_published"], again.text
    assert warehouse.digests("fda-cder") == before
    warehouse.configure("fda-cder", quarantine_start_dates)
    changed = warehouse.run("fda-cder", "--from-raw", first.figures["run_id"])
    assert changed.exit_code == 3
    assert warehouse.digests("fda-cder")["products"]["rows"] == 119
    assert warehouse.digests("fda-cder")["packages"] == before["packages"]
    refused = warehouse.run("fda-cder", "--from-raw", "20200101_000000")
    assert (refused.exit_code, "there are " + first.figures["run_id"] in refused.text) == (2, True)


def test_a_dry_run_says_the_same_and_leaves_no_trace(warehouse):
    warehouse.configure("fda-cder", quarantine_start_dates)
    warehouse.serve(Drugs(products=120, cells=DIRTY))
    dry = warehouse.run("fda-cder", "--dry-run")
    assert warehouse.files() == {}
    wet = warehouse.run("fda-cder")
    assert (dry.exit_code, wet.exit_code) == (3, 3)
    assert dry.figures["tables"] == wet.figures["tables"]
    assert "would be published" in dry.text


def test_both_headers_of_nsde_are_read_and_a_spoiled_code_is_repaired(warehouse):
    warehouse.serve(Drugs(products=30))
    new = warehouse.run("fda-nsde")
    assert new.exit_code == 0, new.text
    assert new.figures["tables"]["fda-nsde"]["repaired"] == {"ndc_11": 1}
    before = warehouse.digests("fda-nsde")
    warehouse.serve(
        Drugs(products=30, renamed={"Application Number or Monograph ID": "Application Number or Citation"})
    )
    assert warehouse.run("fda-nsde").figures["is_published"]
    assert warehouse.digests("fda-nsde") == before
    (row,) = warehouse.ask("fda-nsde", "select * from fda_nsde where item_code = '1000-0000-01'")
    assert (row["ndc11_as_reported"], row["ndc_11"], row["meta_repaired"]) == ("1000000001", "01000000001", "ndc_11,")
    quoted = warehouse.ask(
        "fda-nsde", "select proprietary_name, dosage_form from fda_nsde where proprietary_name like 'Rub%' limit 1"
    )
    assert quoted[0]["proprietary_name"] == 'Rub "Extra"'


def test_a_quoted_cell_may_hold_line_breaks_delimiters_and_a_zero_byte_is_bad(warehouse):
    warehouse.serve(Drugs(products=8, cells={
        (1, "Proprietary Name"): 'two\nlines, "quoted"\r\nend', (2, "Proprietary Name"): "a\0b",
        (3, "Marketing Start Date"): "2018,06",
    }))  # fmt: skip
    done = warehouse.run("fda-nsde", "--force")
    assert done.exit_code == 1, done.text  # nulls are over what the gate allows
    warehouse.configure("fda-nsde", lambda config: config["data_quality"].update(
        critical_null_threshold=0.5, max_parse_failure_rate={"*": 0.5}
    ))  # fmt: skip
    warehouse.configure("fda-nsde", lambda config: config["column_schema"]["fda-nsde"]["Marketing Start Date"].update(
        on_bad_value="quarantine"
    ))  # fmt: skip
    warehouse.configure("fda-nsde", lambda config: config["data_quality"].update(max_rejected_pct=20))
    done = warehouse.run("fda-nsde")
    assert done.exit_code == 3, done.text
    rows = warehouse.ask("fda-nsde", "select item_code, proprietary_name, meta_nulled from fda_nsde order by 1")
    assert rows[0]["item_code"] == "1000-0000-01"
    by_code = {row["item_code"]: row for row in rows}
    assert by_code["51000-001-01"]["proprietary_name"] == 'two\nlines, "quoted"\r\nend'
    assert (by_code["61000-002-01"]["proprietary_name"], by_code["61000-002-01"]["meta_nulled"]) == (
        None,
        "proprietary_name,",
    )
    (bad,) = warehouse.command("quarantine", "fda-nsde").figures["rows"]
    assert (bad["row_number"], bad["columns"]) == (4, "marketing_start_date")
    assert bad["raw_line"].startswith("1000-0003-01,")
    assert '"2018,06"' in bad["raw_line"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"NDC11": "NDC12"}, ["'NDC12' is unknown", "'NDC11' is missing"]),
        ({"NDC11": "Item Code"}, ["'Item Code' stands twice", "'NDC11' is missing"]),
    ],
)
def test_a_header_that_does_not_fit_is_refused_before_anything_is_touched(warehouse, change, words):
    warehouse.serve(Drugs(products=5))
    warehouse.run("fda-nsde")
    before = warehouse.files()
    warehouse.serve(Drugs(products=6, renamed=change))
    done = warehouse.run("fda-nsde")
    assert done.exit_code == 1
    assert all(word in done.text for word in words), done.text
    assert {name: content for name, content in warehouse.files().items() if not name.startswith("raw/")} == {
        name: content for name, content in before.items() if not name.startswith("raw/")
    }


def test_a_gate_that_fails_leaves_the_old_version_and_names_what_was_observed(warehouse):
    warehouse.serve(Drugs(products=100))
    warehouse.run("fda-cder")
    before = warehouse.digests("fda-cder")
    warehouse.serve(Drugs(products=80))
    shrunk = warehouse.run("fda-cder")
    assert (shrunk.exit_code, warehouse.digests("fda-cder")) == (1, before)
    assert "products max_drop_pct: 20, allowed 10" in shrunk.text
    assert "packages max_drop_pct: 20, allowed 10" in shrunk.text
    warehouse.serve(
        Drugs(products=100, cells={(1, "PRODUCTID"): "", (2, "PRODUCTID"): "same", (3, "PRODUCTID"): "same"})
    )
    spoiled = warehouse.run("fda-cder")
    assert "critical_null_threshold of product_id: 0.01, allowed 0" in spoiled.text
    assert "max_duplicate_pct of product_id: 1, allowed 0" in spoiled.text
    assert warehouse.digests("fda-cder") == before
    assert not [name for name in warehouse.files() if name.startswith(("temp/", "quarantine/"))]


def test_a_source_that_is_older_than_allowed_is_refused(warehouse):
    warehouse.configure("fda-cder", lambda config: config["data_quality"].update(max_source_age_days=9))
    warehouse.serve(Drugs(products=5))
    refused = warehouse.run("fda-cder")
    assert (refused.exit_code, "max_source_age_days: 9.7" in refused.text) == (1, True), refused.text
    warehouse.sources.files[CDER].modified = MODIFIED + 5 * 86_400
    assert warehouse.run("fda-cder").exit_code == 0
    warehouse.sources.put(CDER, zipped({"product.txt": b"", "package.txt": b"x"}), MODIFIED + 5 * 86_400)
    empty = warehouse.run("fda-cder")
    assert (empty.exit_code, "product.txt is empty" in empty.text) == (1, True)


def test_a_cron_minute_may_repeat_and_a_run_id_is_taken_once(warehouse):
    warehouse.serve(Drugs(products=5))
    assert warehouse.run("fda-cder", run_id="20261128_060000").exit_code == 0
    refused = warehouse.run("fda-cder", "--force", run_id="20261128_060000")
    assert (refused.exit_code, "has a run 20261128_060000 already" in refused.text) == (2, True)
    assert warehouse.command("run", "fda-cder", "--run-id", "20261128_060001").exit_code == 0
    with pytest.raises(SystemExit) as usage:
        warehouse.command("run", "fda-cder", "--run-id", "../../etc")
    assert usage.value.code == 2


def test_sql_sees_the_tables_and_nothing_else_of_the_machine(warehouse, tmp_path):
    warehouse.serve(Drugs(products=5))
    warehouse.run("fda-nsde")
    (tmp_path / "secret.csv").write_text("a\n1\n")
    for statement in (
        f"select * from read_csv('{tmp_path}/secret.csv')", f"copy fda_nsde to '{tmp_path}/out.csv'",
        "set enable_external_access = true", "install httpfs", "attach 'x.db'", "select nonsense from fda_nsde",
    ):  # fmt: skip
        refused = warehouse.command("show", "fda-nsde", "--sql", statement)
        assert refused.exit_code == 2, (statement, refused.text)
    assert not (tmp_path / "out.csv").exists()
    (row,) = warehouse.ask("fda-nsde", "select max(marketing_start_date) as day from fda_nsde")
    assert date.fromisoformat(row["day"]) > date(1892, 1, 1)


def test_runs_of_one_second_have_run_ids_of_their_own(warehouse):
    ids = []
    for products in (20, 21, 22):
        warehouse.serve(Drugs(products=products))
        ids.append(warehouse.command("run", "fda-nsde").figures["run_id"])
    assert len({*ids}) == 3
    assert sorted(ids) == ids


def test_a_target_that_hadoop_takes_for_a_pattern_is_refused(warehouse):
    warehouse.serve(Drugs(products=20))
    refused = warehouse.command("run", "fda-nsde", "--engine", "spark", "--target", str(warehouse.root / "a[1]"))
    assert (refused.exit_code, "Hadoop takes [ for a pattern" in refused.text) == (2, True), refused.text
