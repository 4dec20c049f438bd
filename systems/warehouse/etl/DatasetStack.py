"""One dataset: its job, role, crawlers and schedule; and its configuration and scripts in the bucket.

A dataset that needs more has a class of its own in `{dataset}/{Dataset}Stack.py`, made of this one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from constructs import Construct
from PlannedStack import PlannedStack

from warehouse.configuration import CONFIG_NAME, SHARED, CoreConfig, DatasetConfig, GoldConfig
from warehouse.plan import Resource, script_key


class DatasetStack(PlannedStack):
    """The stack of a dataset."""

    def __init__(
        self, scope: Construct, name: str, resources: Iterable[Resource], core: CoreConfig,
        dataset: DatasetConfig | GoldConfig, etl: Path,
    ) -> None:  # fmt: skip
        """Make the dataset's resources, and bring its configuration and script, or the shared one, into the bucket."""
        super().__init__(scope, name, resources, core)
        home = f"etl/{dataset.dataset}"
        script = script_key(dataset).removeprefix(f"{home}/")
        files = {CONFIG_NAME: (etl / dataset.dataset / CONFIG_NAME).read_text(encoding="utf-8")}
        files |= {
            path.relative_to(etl / dataset.dataset).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted((etl / dataset.dataset / "glue").glob("*.py"))
        }
        if script not in files:
            files[script] = (etl / SHARED / script).read_text(encoding="utf-8")
        self.bring(home, files)
