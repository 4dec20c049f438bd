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
                yield from _problems_of_source(dataset.dataset, datasets.get(source), (source, table), columns)


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


def _problems_of_source(
    name: str, source: DatasetConfig | GoldConfig | None, read: tuple[str, str], columns: tuple[str, ...]
) -> Iterator[str]:
    """Yield what a rule reads and a source has not."""
    if not isinstance(source, DatasetConfig) or read[1] not in source.column_schema:
        yield f"{name}: there is no table {read[1]} of a bronze dataset {read[0]}"
    elif missing := sorted({*columns} - {*source.target_names(read[1]), *source.meta_names}):
        yield f"{name}: {read[0]}, {read[1]} has no {', '.join(missing)}"
