"""Both engines: the same tables and the same quarantine of every dataset, in a folder and in a bucket."""

from __future__ import annotations

import json

import pytest
from warehouse_case import EVERYWHERE

from warehouse.sample_sources.drugs import Drugs

pytestmark = pytest.mark.xdist_group("spark")

LINES = (b"only\ttwo", b"", b"\t" * 19, "é’\t".encode("cp1252") * 25)
CELLS = {
    (3, "STARTMARKETINGDATE"): "20180230", (4, "PROPRIETARYNAME"): " é’ ", (5, "ENDMARKETINGDATE"): "never",
    (6, "LABELERNAME"): "\u20ac" * 100_000, (7, "Marketing Start Date"): "2018-02-30", (8, "NDC11"): "12",
    (9, "Item Code"): "no code", (10, "Proprietary Name"): 'a "quoted", \n name\r\n', (11, "Dosage Form"): "\t",
}  # fmt: skip
PRESSES = (
    'at,site,val,type\n2026-01-01 10:00:00,1,3,\n"2026-01-01 10:00:01", 2 ,-1,0.0\nERR,1,3,\n2026-01-01 10:00:00,1\n',
    "val,at,site,type\n4,2026-01-01 10:00:02,5,\n4,2026-01-01 10:00:02,5,,\nx,2026-01-01 10:00:02,5,\n,,,",
)


def quarantining(warehouse, dataset, table, column):
    """Let a column's bad values quarantine their rows."""
    warehouse.configure(
        dataset, lambda config: config["column_schema"][table][column].update(on_bad_value="quarantine")
    )


@pytest.fixture
def every_source(anywhere):
    """A warehouse whose sources all have something, and some dirt in it."""
    warehouse = anywhere
    quarantining(warehouse, "fda-cder", "products", "STARTMARKETINGDATE")
    quarantining(warehouse, "fda-ndc-unfinished", "products", "STARTMARKETINGDATE")
    quarantining(warehouse, "fda-nsde", "fda-nsde", "Marketing Start Date")
    warehouse.serve(Drugs(products=300, cells=CELLS, extra_product_lines=LINES))
    folder = warehouse.root.parent / "objects"
    folder.mkdir()
    for number, text in enumerate(PRESSES):
        (folder / f"lmnh_hist_data_{number}.csv").write_text(text)
    warehouse.configure("lmnh-kiosk", lambda config: config.update(source_prefix=str(folder)))
    warehouse.configure("lmnh-kiosk", lambda config: config["data_quality"].update(max_rejected_pct=90))
    url = warehouse.sources.url
    warehouse.configure("rxclass", lambda config: config.update(api_endpoints={"all_classes": f"{url}/all.json"}))
    concepts = [
        {"classId": f"C{n}" if n % 200 else " ", "className": f"Class, {n}\nof\tall\0 ’", "classType": None}
        for n in range(1200)
    ]
    answer = {"rxclassMinConceptList": {"rxclassMinConcept": concepts}}
    warehouse.sources.put("/all.json", json.dumps(answer).encode())
    return warehouse


@EVERYWHERE
@pytest.mark.parametrize(
    ("dataset", "quarantined"),
    [("fda-cder", 3), ("fda-nsde", 1), ("fda-ndc-unfinished", 1), ("rxclass", 0), ("lmnh-kiosk", 4)],
)
def test_both_engines_make_the_same_of_every_dataset(spark, every_source, dataset, quarantined):
    assert spark
    done = every_source.run(dataset, "--engine", "duckdb")
    found = [outcome(every_source, dataset, done, quarantined)]
    done = every_source.run(dataset, "--engine", "spark", "--from-raw", done.figures["run_id"])
    found.append(outcome(every_source, dataset, done, quarantined))
    assert found[0] == found[1]
    assert [every_source.command("show", dataset).figures["engine"]] == ["spark"]


def outcome(warehouse, dataset, done, quarantined):
    """Return what a run published and quarantined; nothing else is left of it."""
    assert done.exit_code == (3 if quarantined else 0), done.text
    told = warehouse.command("quarantine", dataset)
    assert told.figures["quarantined"] == quarantined
    names = [*warehouse.files()]
    assert not [name for name in names if name.endswith((".crc", "_SUCCESS", "/")) or name.startswith("temp/")]
    tables = done.figures["tables"]
    for table in tables.values():
        assert table["rows"]
        del table["gates"]  # of the second run one more has something to compare with
    return warehouse.digests(dataset), told.figures.get("rows"), tables
