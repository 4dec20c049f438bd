"""The real samples by configuration alone, where they lie beside the project: counts, dirt, codes."""

from __future__ import annotations

import csv
import zipfile

from warehouse.sample_sources.drugs import zipped


def test_the_unfinished_drugs_of_2018_load_with_their_dirt(warehouse, sample_data):
    done = warehouse.run("fda-ndc-unfinished", "--from-file", str(sample_data / "ndc_unfinished.zip"))
    assert done.exit_code == 0, done.text
    products, packages = done.figures["tables"]["products"], done.figures["tables"]["packages"]
    assert (products["rows_in"], products["rows"], packages["rows_in"], packages["rows"]) == (
        10_739,
        10_739,
        17_753,
        17_753,
    )
    assert (products["nulled"], packages["nulled"]) == ({}, {"ndc_11": 2})
    with zipfile.ZipFile(sample_data / "ndc_unfinished.zip") as archive:
        lines = archive.read("unfinished_product.txt").decode("cp1252").splitlines()[1:]
    labelers = [line.split("\t")[8] for line in lines]
    found = warehouse.ask("fda-ndc-unfinished", """
        select labeler_name, count(*) as rows from fda_ndc_unfinished_products
        where regexp_matches(labeler_name, '[^ -~]|<') group by 1 order by 1
    """)  # fmt: skip
    unusual = sorted({name.strip() for name in labelers if not name.isascii() or "<" in name})
    assert [row["labeler_name"] for row in found] == unusual
    assert any("Guang’an Kingday" in name for name in unusual)
    assert any(name.startswith('<text xmlns="urn:hl7-org:v3">') for name in unusual)
    (dates,) = warehouse.ask("fda-ndc-unfinished", """
        select min(start_marketing_date) as first, count(*) - count(start_marketing_date) as empty
        from fda_ndc_unfinished_products
    """)  # fmt: skip
    starts = [line.split("\t")[5] for line in lines]
    assert (dates["first"].replace("-", ""), dates["empty"]) == (min(one for one in starts if one), starts.count(""))
    odd = warehouse.ask("fda-ndc-unfinished", """
        select ndc_package_code, meta_nulled from fda_ndc_unfinished_packages where ndc_11 is null order by 1
    """)  # fmt: skip
    assert [row["ndc_package_code"] for row in odd] == ["02", "47848-026-XX"]
    assert {row["meta_nulled"] for row in odd} == {"ndc_11,"}
    before = warehouse.files()
    assert warehouse.run("fda-ndc-unfinished", "--from-file", str(sample_data / "ndc_unfinished.zip")).exit_code == 0
    assert warehouse.files() == before


def test_the_finished_layout_is_read_though_its_last_line_does_not_end(warehouse, sample_data, tmp_path):
    members = {name: (sample_data / name).read_bytes() for name in ("product.txt", "package.txt")}
    (tmp_path / "small.zip").write_bytes(zipped(members))
    done = warehouse.run("fda-cder", "--from-file", str(tmp_path / "small.zip"))
    assert done.exit_code == 0, done.text
    assert [table["rows"] for table in done.figures["tables"].values()] == [3, 3]


def test_codes_that_a_spreadsheet_spoiled_are_repaired_from_the_item_code(warehouse, sample_data, tmp_path):
    content = (sample_data / "nsde_2025_excel_mangled.csv").read_bytes()
    (tmp_path / "nsde.zip").write_bytes(zipped({"nsde.csv": content}))
    done = warehouse.run("fda-nsde", "--from-file", str(tmp_path / "nsde.zip"))
    assert done.exit_code == 0, done.text
    table = done.figures["tables"]["fda-nsde"]
    assert (table["rows"], table["repaired"], table["nulled"]) == (50, {"ndc_11": 50}, {})
    rows = warehouse.ask("fda-nsde", "select item_code, ndc_11 from fda_nsde")
    for row in rows:
        parts = row["item_code"].split("-")
        assert row["ndc_11"] == "".join(part.zfill(width) for part, width in zip(parts, (5, 4, 2), strict=True))


def test_every_code_of_2015_agrees_with_an_independent_author(warehouse, sample_data, tmp_path):
    with (sample_data / "fda_ndc_rx_packages_2015.csv").open(newline="") as file:
        rows = [*csv.DictReader(file)]
    lines = ["CODE\tELEVEN"]
    for row in rows:
        widths = [int(width) for width in row["FORMAT"].split("-")]
        ends = [sum(widths[: n + 1]) for n in range(3)]
        parts = [row["NDC"][end - width : end] for width, end in zip(widths, ends, strict=True)]
        lines.append("-".join(parts) + "\t" + row["ELEVEN_DIGIT_NDC"])
    (tmp_path / "codes.zip").write_bytes(zipped({"codes.txt": "\n".join(lines).encode()}))
    folder = warehouse.etl / "codes"
    folder.mkdir()
    (folder / "config.json").write_text("""{
        "dataset": "codes", "source_url": "https://example.org/codes.zip", "delimiter": "\\t",
        "file_table_mapping": {"codes.txt": "codes"},
        "column_schema": {"codes": {"CODE": {"target_name": "code"}, "ELEVEN": {"target_name": "eleven"}}},
        "derived_columns": {"codes": {"ndc_11": {"type": "ndc_11", "from": ["CODE"]}}}
    }""")
    done = warehouse.run("codes", "--from-file", str(tmp_path / "codes.zip"))
    assert done.exit_code == 0, done.text
    assert done.figures["tables"]["codes"]["nulled"] == {"ndc_11": 1}
    differing = warehouse.ask("codes", "select code, ndc_11 from codes where ndc_11 is distinct from eleven")
    assert differing == [{"code": "0019-9092-D0", "ndc_11": None}]  # a letter is no digit
    assert len(rows) == done.figures["tables"]["codes"]["rows"] == 7_988


def test_the_codes_of_both_samples_are_joined_and_every_row_is_accounted_for(warehouse, sample_data, tmp_path):
    members = {name: (sample_data / name).read_bytes() for name in ("product.txt", "package.txt")}
    (tmp_path / "cder.zip").write_bytes(zipped(members))
    (tmp_path / "nsde.zip").write_bytes(zipped({"n.csv": (sample_data / "nsde_2025_excel_mangled.csv").read_bytes()}))
    for name in ("cder", "nsde"):
        assert warehouse.run(f"fda-{name}", "--from-file", str(tmp_path / f"{name}.zip")).exit_code == 0
    done = warehouse.run("fda-all-ndcs")
    assert done.exit_code == 3, done.text
    with (sample_data / "nsde_2025_excel_mangled.csv").open(newline="") as file:
        nsde = {row["Item Code"] for row in csv.DictReader(file)}
    packages = [line.split("\t")[2] for line in members["package.txt"].decode("cp1252").splitlines()[1:]]
    assert done.figures["snapshot"]["rows"] == len(nsde | {*packages})
    assert {one["source"]: (one["rows"], one["left_out"]) for one in done.figures["sources"]} == {
        "fda-nsde": (50, {}), "fda-cder, packages": (3, {}),
        "fda-cder, products": (3, {"a product without a package has no NDC-11": 1}),
    }  # fmt: skip
    (row,) = warehouse.ask("fda-all-ndcs", "select * from fda_all_ndcs where ndc_11 = '00002120030'")
    assert (row["source"], row["spl_id"], row["marketing_end_date"]) == (
        "cder", "4bd46cbe-cdc1-4329-a8e7-22816bd7fc33", "2019-02-03"
    )  # fmt: skip
