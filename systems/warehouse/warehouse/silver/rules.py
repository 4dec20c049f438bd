"""Which dataset of the gold layer is made by which rule; what a configuration says is held against it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from warehouse.configuration import DatasetConfig, GoldConfig
from warehouse.silver import fda_all_ndcs, rxnorm_ndc_mappings
from warehouse.silver.snapshot import SnapshotRule

RULES: Mapping[str, SnapshotRule] = {
    "fda-all-ndcs": fda_all_ndcs.RULE,
    "rxnorm-ndc-mappings": rxnorm_ndc_mappings.RULE,
}


def problems_of_rules(datasets: Mapping[str, DatasetConfig | GoldConfig], unread: Collection[str]) -> Iterator[str]:
    """Yield what does not fit between the gold datasets, their rules and the datasets that they read."""
    for dataset in datasets.values():
        if not isinstance(dataset, GoldConfig):
            continue
        rule = RULES.get(dataset.dataset)
        if rule is None:
            yield f"{dataset.dataset}: there is no rule for it in warehouse/silver; there are {', '.join(RULES)}"
            continue
        yield from _problems_of_columns(dataset, rule)
        for (source, table), columns in rule.reads.items():
            if source not in unread:
                found = datasets.get(source)
                if not isinstance(found, DatasetConfig) or table not in found.column_schema:
                    yield f"{dataset.dataset}: there is no table {table} of a bronze dataset {source}"
                elif unfit := rule.unfit(columns, found.column_types(table)):
                    yield f"{dataset.dataset}: {source}, {table} has no {', '.join(unfit)}"


def _problems_of_columns(dataset: GoldConfig, rule: SnapshotRule) -> Iterator[str]:
    """Yield what a dataset says otherwise than its rule."""
    for name in sorted({*dataset.business_key, *dataset.temporal_config.business_columns} - {*rule.columns}):
        yield f"{dataset.dataset}: {name} is no column of it; there are {', '.join(rule.columns)}"
    gates = dataset.data_quality
    gated = {*(gates.required_columns or ()), *(gates.unique_key or ()), *(gates.max_null_rate or {})}
    for name in sorted(gated - {*rule.columns}):
        yield f"{dataset.dataset}: data_quality names {name}, which is no column of it"
    wanted = sorted({name for name, _ in rule.reads})
    if wanted != sorted(dataset.source_datasets):
        yield f"{dataset.dataset}: source_datasets must be {', '.join(wanted)}, of which its rule makes it"
