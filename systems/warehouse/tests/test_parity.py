"""Any text in any column: both engines make the same of a file that nobody would write, drawn by chance."""

from __future__ import annotations

import pytest
from pyarrow import dataset as arrow
from test_columns import ARROW, VALUES

from etlkit.testing import full_count, seeded_random
from warehouse.columns import BAD, layout_of, typed
from warehouse.configuration import DatasetConfig
from warehouse.engines.duckdb_engine import DuckDbEngine
from warehouse.engines.spark_engine import SparkEngine
from warehouse.work_files import Form, WorkFile, add_file, read_header

LINES = full_count("lines drawn by chance for both engines", 3_000, 200_000)
SALT = [
    *"0123456789.+-eE \t'\"\\_,;|#",
    "\r",
    "\0",
    "\x0b",
    "\x0c",
    "\x1f",
    "\x7f",
    "\xa0",
    "’",
    "é",
    "日",
    "\u0661",
    "\U0001f600",
    "\x85",
    "\u2028",
    "\u2029",
]


def cells_of(kind, chance):
    """Yield texts of a kind, most of them a known one with something taken out, put in or put behind."""
    known = [text for text, _ in VALUES[kind]]
    while True:
        text = chance.choice(known)
        for _ in range(chance.choice((0, 0, 0, 0, 1, 1, 2, 4))):
            place = chance.randint(0, len(text))
            text = text[:place] + chance.choice(SALT) + text[place + chance.randint(0, 1) :]
        yield text.replace("\t", " ").replace("\n", " ")


@pytest.mark.soak
@pytest.mark.xdist_group("spark")
def test_both_engines_make_the_same_of_any_text(spark, tmp_path):
    chance = seeded_random("parity")
    kinds, quarantining = [*ARROW], ("date", "string")
    dataset = DatasetConfig.model_validate({
        "dataset": "any", "source_url": "https://example.org/a.zip", "encoding": "utf-8", "delimiter": "\t",
        "file_table_mapping": {"a.tsv": "any"},
        "column_schema": {"any": {"key": {"target_name": "key", "type": "long"}, **{
            kind: {"target_name": f"v_{kind}", "type": kind, "on_bad_value": "quarantine" if kind in quarantining else "null"}
            for kind in kinds
        }}},
    })  # fmt: skip
    draws = {kind: cells_of(kind, chance) for kind in kinds}
    lines = ["\t".join(["key", *kinds])]
    for number in range(LINES):
        cells = [str(number), *(next(draws[kind]) for kind in kinds)]
        if number % 97 == 0:
            cells = cells[: chance.randint(1, len(cells))] + [""] * chance.choice((0, 1))
        lines.append("\t".join(cells))
    (tmp_path / "a.tsv").write_bytes("\n".join(lines).encode("utf-8", errors="surrogatepass"))
    form = Form("utf-8", "\t", "")
    work = WorkFile(tmp_path / "work", read_header(tmp_path / "a.tsv", "a.tsv", form), "\t")
    add_file(work, tmp_path / "a.tsv", "a.tsv", form)
    found = []
    for engine in (DuckDbEngine(), SparkEngine(spark)):
        table = typed(
            engine.read_texts(work, str(work.path)),
            work,
            layout_of(work.header, "any", dataset, "a.tsv"),
            "any",
            dataset,
        )
        folder = str(tmp_path / engine.name)
        engine.write_parquet(table.rows("20261129_000000"), folder)
        rows = {
            tuple(map(repr, row.values())) for row in arrow.dataset(folder, format="parquet").to_table().to_pylist()
        }
        bad = {(row["line"], row[BAD]) for row in engine.fetch(table.bad_lines())}
        found.append((rows, bad))
        engine.close()
    (rows, bad), (spark_rows, spark_bad) = found
    assert sorted(rows - spark_rows)[:3] == sorted(spark_rows - rows)[:3]
    assert sorted(bad - spark_bad)[:3] == sorted(spark_bad - bad)[:3]
    assert len(rows) + len(bad) > LINES * 0.9
    assert min(len(rows), len(bad)) > LINES * 0.05
