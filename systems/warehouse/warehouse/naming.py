"""Names and paths, computed from the core configuration and a dataset's name and never configured."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from etlkit.errors import ConfigError
from warehouse.configuration import CoreConfig, DatasetConfig, GoldConfig

RUN = "run_id="
_RUN_ID = re.compile(r"[0-9]{8}_[0-9]{6}")
_RUN_FORM = "%Y%m%d_%H%M%S"


def new_run_id(now: datetime) -> str:
    """Return the run id of a moment: to the second, in UTC."""
    return now.astimezone(UTC).strftime(_RUN_FORM)


def checked_run_id(text: str) -> str:
    """Return a run id; ConfigError for a text that is none."""
    run_moment(text)
    return text


def run_moment(run_id: str) -> datetime:
    """Return when a run began; ConfigError for what is no run id."""
    form = _RUN_FORM if _RUN_ID.fullmatch(run_id) else "no run id"
    try:
        return datetime.strptime(run_id, form).replace(tzinfo=UTC)
    except ValueError:
        raise ConfigError(f"{run_id!r} is no run id, such as 20261128_063000.") from None


def job_name(core: CoreConfig, layer: str, dataset: str) -> str:
    """Return the name of a dataset's Glue job, such as pp-dw-bronze-fda-nsde."""
    return f"{core.etl_resource_prefix}-{layer}-{dataset}"


def crawler_names(core: CoreConfig, dataset: DatasetConfig | GoldConfig) -> dict[str, str]:
    """Return the crawler of each table, such as pp-dw-bronze-fda-cder-products-crawler."""
    if isinstance(dataset, GoldConfig):
        pairs = zip(dataset.tables, dataset.layers, strict=True)
        return {table: f"{job_name(core, layer, dataset.dataset)}-crawler" for table, layer in pairs}
    job = job_name(core, dataset.layer, dataset.dataset)
    return {
        table: f"{job}-crawler" if len(dataset.tables) == 1 else f"{job}-{table}-crawler" for table in dataset.tables
    }


def bucket_name(core: CoreConfig, account: str) -> str:
    """Return the name of the bucket, such as pp-dw-123456789012."""
    return f"{core.etl_resource_prefix}-{account}"


def database_name(core: CoreConfig, layer: str) -> str:
    """Return the name of a layer's database, such as pp_dw_bronze."""
    return f"{core.database_prefix}_{layer}"


def table_prefix(dataset: DatasetConfig | GoldConfig, table: str) -> str:
    """Return where a table's runs lie: below the dataset, and of several tables of one layer below the table."""
    of_table = f"{table}/" if isinstance(dataset, DatasetConfig) and len(dataset.tables) > 1 else ""
    return f"{layer_of(dataset, table)}/{dataset.dataset}/{of_table}"


def layer_of(dataset: DatasetConfig | GoldConfig, table: str) -> str:
    """Return the layer in which a table lies."""
    return dataset.layers[dataset.tables.index(table)] if isinstance(dataset, GoldConfig) else dataset.layer


def run_prefix(dataset: DatasetConfig | GoldConfig, table: str, run_id: str) -> str:
    """Return where one run of a table lies."""
    return f"{table_prefix(dataset, table)}{RUN}{run_id}/"


def raw_prefix(dataset: str, run_id: str) -> str:
    """Return where the source's files of a run are kept."""
    return f"raw/{dataset}/{RUN}{run_id}/"


def temp_prefix(dataset: str, run_id: str) -> str:
    """Return where a run works, hidden from every reader."""
    return f"temp/{dataset}/{RUN}{run_id}/"


def run_of(key: str) -> str | None:
    """Return the run that a key belongs to."""
    found = re.search(rf"(?:^|/){RUN}({_RUN_ID.pattern})/", key)
    return found[1] if found else None
