"""make demo-warehouse: a server of our own with drug files, two days of them, the way back; the history of four days.

Everything is kept in `.local/demo/warehouse`, which begins anew each time.
"""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin("make setup-warehouse")

import json
import os
import shutil
import sys
from io import TextIOWrapper

from etlkit.console import run_plainly
from etlkit.errors import EXIT_CLEAN, EXIT_FAILED, EXIT_REJECTS
from etlkit.process import exit_process
from etlkit.settings import setting_names, stand_alone
from warehouse import __main__ as command_line
from warehouse.sample_sources.drugs import Drugs
from warehouse.sample_sources.server import SampleSources
from warehouse.warehouse_settings import ETL_DIR, EVERY_SETTING, PREFIXES, PROJECT_DIR

DATA_DIR = PROJECT_DIR / ".local" / "demo" / "warehouse"
PRODUCTS = 2_000
PATHS = {"fda-cder": "/cder/ndctext.zip", "fda-nsde": "/nsde.zip"}
OLD_HEADER = {"Application Number or Monograph ID": "Application Number or Citation"}


def main() -> int:
    """Run the demo and return 0 when every command ended as it should."""
    stand_alone(setting_names(EVERY_SETTING), PREFIXES)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    shutil.rmtree(DATA_DIR, ignore_errors=True)
    with SampleSources() as sources:
        configure(sources.url)
        os.environ |= {
            "WAREHOUSE_TARGET": str(DATA_DIR / "target"),
            "WAREHOUSE_ETL_DIR": str(DATA_DIR / "etl"),
            "WAREHOUSE_LOG_FILE": str(DATA_DIR / "warehouse.log"),
        }
        print(f"A server plays FDA at {sources.url}; what it sends is invented.\n")
        ended = [serve(sources, Drugs(PRODUCTS)), command("check"), command("run fda-cder"), command("run fda-nsde")]
        print("\nThe next day: bad rows in one file, an older header in the other.\n")
        cells = {(n, "PRODUCTID"): "" for n in range(3)} | {(7, "STARTMARKETINGDATE"): "31/12/2018"}
        lines = (b"a line\tof three\tfields", b"\t".join([b"x"] * 21))
        serve(sources, Drugs(PRODUCTS + 10, cells=cells, extra_product_lines=lines, renamed={}))
        ended += [command("run fda-cder", EXIT_FAILED)]
        print("\nThe gate kept the old version. The source is mended; two lines stay bad:\n")
        serve(sources, Drugs(PRODUCTS + 10, extra_product_lines=lines))
        ended += [command("run fda-cder", EXIT_REJECTS), command("quarantine fda-cder")]
        sources.put(PATHS["fda-nsde"], Drugs(PRODUCTS + 10, renamed=OLD_HEADER).nsde())
        ended += [command("run fda-nsde"), command("run fda-nsde"), command("runs fda-cder"), command("datasets")]
        statement = (
            "select dosage_form, count(*) as drugs, min(marketing_start_date) from fda_nsde group by 1 order by 2"
        )
        ended += [command("show fda-nsde --sql", EXIT_CLEAN, statement), command("rollback fda-cder")]
        ended += four_days(sources)
    if not all(ended):
        return EXIT_FAILED
    place = DATA_DIR.relative_to(PROJECT_DIR)
    print(f"\nfiles:   find {place}/target -type f")
    return EXIT_CLEAN


def four_days(sources: SampleSources) -> list[bool]:
    """Carry the history of all drug codes on over four days; tell which commands ended as expected."""
    renamed = {(3, "Proprietary Name"): "Solvarin Forte"}
    more = Drugs(PRODUCTS + 10, cells=renamed, label="a")
    days = (
        ("2026-11-02", "The history of all drug codes begins", Drugs(PRODUCTS)),
        ("2026-11-09", "A drug is renamed, ten are new, every label has another id", more),
        ("2026-11-16", "The new ones are gone again", Drugs(PRODUCTS, cells=renamed, label="b")),
        ("2026-11-23", "They are back, and the drug has its old name", Drugs(PRODUCTS + 10, label="c")),
    )
    ended = []
    for day, told, drugs in days:
        print(f"\n{told}:\n")
        serve(sources, drugs)
        ended += [
            command("run fda-nsde"),
            command("run fda-cder"),
            command(f"run fda-all-ndcs --as-of {day}", EXIT_REJECTS),
        ]
    ended += [command("history fda-all-ndcs 01000000301"), command("history fda-all-ndcs 61002000001")]
    print("One day would change half of all drugs. Nobody may do that unasked:\n")
    cells = {(n, "Billing Unit"): "ML" for n in range(PRODUCTS)}
    serve(sources, Drugs(PRODUCTS + 10, cells=cells, label="c"))
    return [*ended, command("run fda-nsde"), command("run fda-all-ndcs --as-of 2026-11-28", EXIT_FAILED)]


def configure(url: str) -> None:
    """Copy the configuration, and let its sources be ours."""
    shutil.copytree(ETL_DIR, DATA_DIR / "etl")
    for name, path in PATHS.items():
        file = DATA_DIR / "etl" / name / "config.json"
        config = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps({**config, "source_url": url + path}, indent=1), encoding="utf-8")


def serve(sources: SampleSources, drugs: Drugs) -> bool:
    """Let the server have a day's files."""
    sources.put(PATHS["fda-cder"], drugs.cder())
    sources.put(PATHS["fda-nsde"], drugs.nsde())
    return True


def command(line: str, expected: int = EXIT_CLEAN, *more: str) -> bool:
    """Run a command as its user would; tell whether it ended as expected."""
    print(f"$ python -m warehouse {line}" + "".join(f' "{one}"' for one in more))
    code = command_line.main([*line.split(), *more])
    print()
    if code != expected:
        print(f"That ended with {code}, expected {expected}.")
    return code == expected


if __name__ == "__main__":
    exit_process(run_plainly(main))
