"""The configuration: in come `etl/config.json` and `etl/{dataset}/config.json`, out go typed, frozen objects.

Every complaint of every file is told in one list; an unknown key is one, and names the keys that there are. It only
reads, so reading again is safe.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from etlkit.errors import ConfigError
from warehouse.bucket_url import bucket_and_prefix
from warehouse.cron import problems_of_expression
from warehouse.moments import FormatError, MomentFormat

CONFIG_NAME = "config.json"
META = "meta_"
"""How the columns begin that every row gets; no configured one does."""
META_RELEASE_DATE = "meta_release_date"
META_NAMES = META_RUN_ID, META_SOURCE_FILE, META_NULLED, META_REPAIRED = (
    "meta_run_id", "meta_source_file", "meta_nulled", "meta_repaired",
)  # fmt: skip
SHARED = "shared"
"""The folder of `etl/` that holds the scripts of datasets without their own."""
RESERVED = (SHARED, "core")
"""No dataset's names: that folder, and the stack that all others need."""
DEFAULT_QUOTES = {",": '"', ";": '"'}
SILVER = "silver"
SOURCES = ("source_url", "api_endpoints", "source_prefix", "nlm_release")
_LARGEST_PRECISION = 38
_LONGEST_NAME = 60
_ASCII = "".join(map(chr, range(128)))
_FOREIGN = "éあ가中"
"""Letters that encodings with escapes write in ASCII."""
_CONTROL = re.compile(r"[\r\n\x00]")

KebabName = Annotated[str, StringConstraints(pattern=rf"^[a-z0-9][a-z0-9-]{{0,{_LONGEST_NAME}}}$")]
SnakeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,127}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
Rate = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
ColumnType = Literal[
    "string", "date", "timestamp", "integer", "long", "float", "double", "decimal", "boolean", "ndc_11"
]
OnBadValue = Literal["null", "quarantine", "fail"]
Size = Literal["small", "medium", "large", "xlarge"]


class _Shape(BaseModel):
    """A part of a configuration: every key is known, nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Shape = TypeVar("Shape", bound=_Shape)


class GlueDefaults(_Shape):
    """What every Glue job is created with."""

    version: str = "5.0"
    python_version: str = "3"
    timeout_minutes: Annotated[int, Field(ge=1, le=10_080)] = 30
    max_retries: Annotated[int, Field(ge=0, le=10)] = 0
    default_arguments: Mapping[str, str] = Field(default_factory=dict)


class WorkerConfig(_Shape):
    """How many workers of which type a size stands for."""

    worker_type: str
    number_of_workers: Annotated[int, Field(ge=2, le=299)]
    description: str = ""


class CoreConfig(_Shape):
    """What holds for every dataset: prefixes and Glue's defaults."""

    etl_resource_prefix: KebabName
    database_prefix: SnakeName
    glue_defaults: GlueDefaults = Field(default_factory=GlueDefaults)
    glue_worker_configs: Mapping[Size, WorkerConfig]


class ColumnSpec(_Shape):
    """What becomes of a source column."""

    target_name: SnakeName
    type: ColumnType = "string"
    format: str | None = None
    precision: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,2},[0-9]{1,2}$")] = "10,2"
    aliases: tuple[str, ...] = ()
    """Other names under which the source has sent the column."""
    required: bool = True
    """Whether a file without the column is refused; else it is null."""
    on_bad_value: OnBadValue = "null"

    @model_validator(mode="after")
    def _formats_and_precision_fit(self) -> ColumnSpec:
        """Refuse a format that cannot be read, or one of a type that has none."""
        if self.format is not None and self.type not in ("date", "timestamp"):
            raise ValueError(f"only a date or a timestamp has a format, not {self.type}")
        if self.type in ("date", "timestamp"):
            try:
                _ = self.moment_format  # reading it is the check
            except FormatError as error:
                raise ValueError(str(error)) from None
        digits, scale = self.digits
        if not 1 <= digits <= _LARGEST_PRECISION or scale > digits:
            raise ValueError(f"precision {self.precision} is no number of digits from 1 to 38 and a scale within them")
        return self

    @property
    def digits(self) -> tuple[int, int]:
        """Return a decimal's digits and how many of them stand behind the point."""
        digits, scale = self.precision.split(",")
        return int(digits), int(scale)

    @cached_property
    def moment_format(self) -> MomentFormat:
        """Return the form of a date or a timestamp."""
        default = "yyyyMMdd" if self.type == "date" else "yyyy-MM-dd HH:mm:ss"
        return MomentFormat(self.format or default, has_time=self.type == "timestamp")


class DerivedColumn(_Shape):
    """A column that is made of the first of some source columns that has a good value."""

    type: Literal["ndc_11"]
    sources: Annotated[tuple[str, ...], Field(alias="from", min_length=1)]
    on_bad_value: OnBadValue = "null"


class Gates(_Shape):
    """What a run must hold before it is published; what is not said does not bind, but for the shrinking."""

    expected_record_count_min: Annotated[int, Field(ge=0)] | None = None
    max_drop_pct: Percent | None = None
    """How many per cent fewer rows than the run before; 10 where nothing is said."""
    required_columns: tuple[str, ...] | None = None
    critical_null_threshold: Rate | None = None
    """The share of nulls that a required column may have; none where nothing is said."""
    max_null_rate: Mapping[str, Rate] | None = None
    max_parse_failure_rate: Mapping[str, Rate] | None = None
    """The share of rows whose value could not be read, by column; `*` is every other column."""
    unique_key: tuple[str, ...] | None = None
    max_duplicate_pct: Percent | None = None
    """How many per cent of the rows may repeat a key that another row has; none where nothing is said."""
    max_rejected_pct: Percent | None = None
    """How many per cent of the rows may be quarantined; 10 where nothing is said."""


class DataQuality(Gates):
    """The gates of a dataset, with those of a table that differ, and the age of its source."""

    max_source_age_days: Annotated[float, Field(gt=0)] | None = None
    tables: Mapping[str, Gates] = Field(default_factory=dict)

    def of(self, table: str) -> Gates:
        """Return a table's gates: its own, else the dataset's."""
        own = self.tables.get(table, Gates()).model_dump(exclude_none=True)
        shared = self.model_dump(exclude_none=True, exclude={"tables", "max_source_age_days"})
        return Gates.model_validate({**shared, **own})


class Schedule(_Shape):
    """When the dataset's job starts; disabled unless it says otherwise."""

    enabled: bool = False
    expression: str
    description: str = ""

    @model_validator(mode="after")
    def _expression_is_one(self) -> Schedule:
        """Refuse an expression that AWS would refuse when it is deployed."""
        if found := list(problems_of_expression(self.expression)):
            raise ValueError("; ".join(found))
        return self


class AnyDataset(_Shape):
    """What every dataset has."""

    dataset: KebabName
    description: str = ""
    data_size_category: Size = "medium"
    schedule: Schedule | None = None


class NlmRelease(_Shape):
    """A kind of release of the National Library of Medicine, and its two services."""

    release_type: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")]
    releases_url: Url = "https://uts-ws.nlm.nih.gov/releases"
    download_url: Url = "https://uts-ws.nlm.nih.gov/download"
    secret_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_+=.@-]+$")] | None = None
    """The secret of AWS that holds the key, where no setting does."""


class DatasetConfig(AnyDataset):
    """A dataset of the bronze layer: its source, its tables and columns, its gates."""

    layer: Literal["bronze"] = "bronze"
    layers: ClassVar[tuple[str, ...]] = ("bronze",)
    source_url: Url | None = None
    api_endpoints: Mapping[SnakeName, Url] | None = None
    record_paths: Mapping[SnakeName, str] = Field(default_factory=dict)
    """Where in an endpoint's answer its records lie: names with dots between them."""
    nlm_release: NlmRelease | None = None
    source_prefix: str | None = None
    """A folder, or s3://bucket/prefix/, whose objects are read."""
    encoding: str = "utf-8"
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    quote: Annotated[str, StringConstraints(max_length=1)] | None = None
    file_table_mapping: Annotated[Mapping[str, KebabName], Field(min_length=1)]
    """Which file, by the last part of its name whatever its case, or which endpoint, fills which table."""
    archive_folder: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = None
    """The folder of the archive whose files are meant, where others have files of the same names."""
    rrf_columns: Mapping[KebabName, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """The columns of tables whose files have no header, and a delimiter at the end of each line."""
    column_schema: Mapping[KebabName, Annotated[Mapping[str, ColumnSpec], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    derived_columns: Mapping[KebabName, Mapping[SnakeName, DerivedColumn]] = Field(default_factory=dict)
    unmapped_columns: Literal["fail", "drop", "keep"] = "fail"
    data_quality: DataQuality = Field(default_factory=DataQuality)

    @property
    def tables(self) -> tuple[str, ...]:
        """Return the tables in the order of the files that fill them."""
        return tuple(dict.fromkeys(self.file_table_mapping.values()))

    @property
    def quote_mark(self) -> str:
        """Return the quote of the files, or nothing where a quote is a letter like others."""
        return DEFAULT_QUOTES.get(self.delimiter, "") if self.quote is None else self.quote

    def table_of(self, file_name: str) -> str | None:
        """Return the table that a file fills, by the last part of its name; None for one that is not wanted."""
        name = file_name.replace("\\", "/").rsplit("/", 1)[-1].lower()
        name = name.removesuffix(".json") if self.api_endpoints else name
        found = (table for pattern, table in self.file_table_mapping.items() if fnmatchcase(name, pattern.lower()))
        return next(found, None)

    @property
    def meta_names(self) -> tuple[str, ...]:
        """Return the columns that every row gets."""
        return (*META_NAMES, META_RELEASE_DATE) if self.nlm_release else META_NAMES

    @model_validator(mode="before")
    @classmethod
    def _columns_without_a_word_are_texts(cls, content: Any) -> Any:
        """Let the columns of rrf_columns that column_schema does not name be texts under their own names."""
        named = content.get("rrf_columns") if isinstance(content, dict) else None
        schema = content.get("column_schema", {}) if isinstance(content, dict) else None
        if not isinstance(named, dict) or not isinstance(schema, dict):
            return content
        whole = dict(schema)
        for table, columns in named.items():
            said = schema.get(table, {})
            if isinstance(said, dict) and isinstance(columns, list) and all(isinstance(name, str) for name in columns):
                whole[table] = {**{name: {"target_name": name.lower()} for name in columns}, **said}
        return {**content, "column_schema": whole}

    def column_types(self, table: str) -> dict[str, str]:
        """Return the type of each column that a table's rows have, those that every row gets too."""
        types = dict.fromkeys(self.meta_names, "string") | dict.fromkeys(self.derived_columns.get(table, {}), "string")
        types |= {spec.target_name: spec.type for spec in self.column_schema[table].values()}
        return {name: {"ndc_11": "string"}.get(kind, kind) for name, kind in types.items()} | (
            {META_RELEASE_DATE: "date"} if self.nlm_release else {}
        )

    def target_names(self, table: str) -> list[str]:
        """Return the names of a table's configured columns in their order."""
        return [
            *(spec.target_name for spec in self.column_schema[table].values()),
            *self.derived_columns.get(table, {}),
        ]

    def bad_value_rules(self, table: str) -> dict[str, OnBadValue]:
        """Return what becomes of a bad value, by target name."""
        rules = {spec.target_name: spec.on_bad_value for spec in self.column_schema[table].values()}
        return rules | {name: column.on_bad_value for name, column in self.derived_columns.get(table, {}).items()}

    @model_validator(mode="after")
    def _parts_fit_each_other(self) -> DatasetConfig:
        """Raise one error with everything that does not fit."""
        if problems := list(self._problems()):
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        """Yield what does not fit."""
        yield from self._problems_of_form()
        yield from self._problems_of_source()
        yield from self._problems_of_rrf()
        if len(self.tables) == 1 and self.tables[0] != self.dataset:
            yield f"the only table is called {self.tables[0]}, expected the dataset's name, {self.dataset}"
        for word, named in (("column_schema", self.column_schema), ("derived_columns", self.derived_columns),
                            ("rrf_columns", self.rrf_columns),
                            ("data_quality.tables", self.data_quality.tables)):  # fmt: skip
            for table in sorted(named.keys() - {*self.tables}):
                yield f"{word} names {table}, which no file fills; the tables are {', '.join(self.tables)}"
        for table in self.tables:
            if table not in self.column_schema:
                yield f"column_schema lacks the table {table}"
            else:
                yield from self._problems_of_columns(table)
                yield from self._problems_of_gates(table)

    def _problems_of_form(self) -> Iterator[str]:
        """Yield what no file can be written in."""
        try:
            codecs.getincrementaldecoder(self.encoding)
            is_plain = _ASCII.encode(self.encoding).removeprefix(codecs.BOM_UTF8) == _ASCII.encode()
            foreign = [letter.encode(self.encoding, errors="ignore") for letter in _FOREIGN]
            if not is_plain or any(letter and letter.isascii() for letter in foreign):
                yield f"encoding {self.encoding!r} does not write ASCII as ASCII; recode the file first"
        except (LookupError, UnicodeError):
            yield f"encoding {self.encoding!r} is unknown, or does not write ASCII as ASCII; recode the file first"
        for name, mark in (("delimiter", self.delimiter), ("quote", self.quote_mark)):
            if _CONTROL.search(mark) or not mark.isascii():
                yield f"{name} {mark!r} cannot be one"
        if self.quote_mark == self.delimiter:
            yield f"delimiter and quote are both {self.delimiter!r}"

    def _problems_of_source(self) -> Iterator[str]:
        """Yield what does not fit in where the files come from."""
        sources = [name for name in SOURCES if getattr(self, name) is not None]
        if len(sources) != 1:
            yield f"exactly one of {', '.join(SOURCES)} is wanted, found {', '.join(sources) or 'none'}"
        yield from self._problems_of_endpoints()
        is_of_several = self.source_prefix is not None or len(self.tables) < len(self.file_table_mapping)
        if is_of_several and self.unmapped_columns == "keep":
            yield "unmapped_columns cannot be keep where many files, each with a header of its own, make one table"
        if self.source_prefix and "://" in self.source_prefix:
            try:
                bucket_and_prefix(self.source_prefix)
            except ConfigError as error:
                yield f"source_prefix: {error.problem.rstrip('.')}"

    def _problems_of_endpoints(self) -> Iterator[str]:
        """Yield what does not fit between endpoints, tables and places in answers."""
        if self.api_endpoints is None:
            if self.record_paths:
                yield "record_paths is for api_endpoints"
            return
        mapped = self.file_table_mapping.keys()
        for name in sorted((mapped | self.record_paths.keys()) - self.api_endpoints.keys()):
            yield f"{name} is no endpoint; api_endpoints has {', '.join(self.api_endpoints)}"
        for name in sorted(mapped - self.record_paths.keys()):
            yield f"record_paths lacks {name}: where in its answer the records lie"

    def _problems_of_rrf(self) -> Iterator[str]:
        """Yield what does not fit of files without a header."""
        if self.rrf_columns and self.api_endpoints is not None:
            yield "rrf_columns is for files, not for the answers of api_endpoints"
        if self.rrf_columns and self.quote_mark:
            yield f"rrf_columns is for files without quotes, and quote is {self.quote_mark!r}"
        for table, columns in self.rrf_columns.items():
            lower = [name.lower() for name in columns]
            if twice := sorted({name for name in lower if lower.count(name) > 1}):
                yield f"{table}: rrf_columns has {', '.join(twice)} twice"
            if unknown := sorted({*self.column_schema.get(table, {})} - {*columns}):
                yield f"{table}: rrf_columns lacks {', '.join(unknown)}, which column_schema names"

    def _problems_of_columns(self, table: str) -> Iterator[str]:
        """Yield what does not fit among a table's columns."""
        schema, derived = self.column_schema[table], self.derived_columns.get(table, {})
        names = self.target_names(table)
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield f"{table}: two columns become {name}"
        for name in names:
            if name.startswith(META):
                yield f"{table}: {name} begins like the columns that every row gets, {META}"
        sources = [name.lower() for column, spec in schema.items() for name in (column, *spec.aliases)]
        for name in sorted({name for name in sources if sources.count(name) > 1}):
            yield f"{table}: two columns are read from {name}"
        for target, made in derived.items():
            for source in made.sources:
                if source not in schema:
                    yield f"{table}: {target} is made of {source}, which column_schema has not"

    def _problems_of_gates(self, table: str) -> Iterator[str]:
        """Yield the columns that gates name and a table has not."""
        names = self.target_names(table)
        gates = self.data_quality.of(table)
        gated = {
            "required_columns": gates.required_columns or (),
            "unique_key": gates.unique_key or (),
            "max_null_rate": gates.max_null_rate or {},
            "max_parse_failure_rate": {*(gates.max_parse_failure_rate or {})} - {"*"},
        }
        is_own = table in self.data_quality.tables or len(self.tables) == 1
        for gate, columns in gated.items():
            for column in sorted({*columns} - {*names}):
                if is_own or not any(column in self.target_names(other) for other in self.column_schema):
                    yield f"{table}: {gate} names {column}, which is no column of it"


def _listed(value: object) -> object:
    """Return a single name as a list of one."""
    return [value] if isinstance(value, str) else value


class TemporalConfig(_Shape):
    """Which columns open a version when they change; all others are refreshed in place."""

    business_columns: tuple[SnakeName, ...]
    notes: str = ""


class SnapshotGates(Gates):
    """The gates of a snapshot of keys: those of its rows, and how much of the history one day may change."""

    max_change_pct: Percent = 20.0
    """How many per cent of the current keys may have changed or gone."""
    max_gone_pct: Percent = 20.0
    """How many per cent of the current keys may have gone."""
    max_source_drop_pct: Percent = 50.0
    """How many per cent of its rows a source table may have lost since the run before."""

    @model_validator(mode="after")
    def _every_gate_means_something(self) -> SnapshotGates:
        """Refuse gates of files: a snapshot's keys are never repeated, and what it may lose is said otherwise."""
        of_files = ("max_drop_pct", "max_parse_failure_rate", "unique_key", "max_duplicate_pct")
        if given := [name for name in of_files if getattr(self, name) is not None]:
            raise ValueError(f"{', '.join(given)} means nothing to a snapshot; see max_change_pct and max_gone_pct")
        return self


class GoldConfig(AnyDataset):
    """A dataset of the gold layer: which datasets it is made of, its key, and what tells its versions apart."""

    layer: Literal["gold"]
    layers: ClassVar[tuple[str, ...]] = ("gold", SILVER)
    """Where the tables lie, in their order."""
    source_datasets: Annotated[tuple[KebabName, ...], Field(min_length=1)]
    business_key: Annotated[tuple[SnakeName, ...], BeforeValidator(_listed), Field(min_length=1)]
    temporal_config: TemporalConfig
    data_quality: SnapshotGates = Field(default_factory=SnapshotGates)

    @property
    def tables(self) -> tuple[str, ...]:
        """Return the history, and the snapshot that it was carried on with."""
        return self.dataset, f"{self.dataset}-{SILVER}"

    @model_validator(mode="after")
    def _key_and_columns_are_apart(self) -> GoldConfig:
        """Refuse columns that are named twice."""
        named = [*self.business_key, *self.temporal_config.business_columns]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"business_key and business_columns name {', '.join(twice)} twice")
        return self


class Configuration(_Shape):
    """All of `etl/`: the core and every dataset by its name."""

    folder: Path
    core: CoreConfig
    datasets: Mapping[str, DatasetConfig | GoldConfig]

    def dataset(self, name: str) -> DatasetConfig | GoldConfig:
        """Return one dataset; ConfigError names those that there are."""
        if name not in self.datasets:
            raise ConfigError(f"there is no dataset {name}; there are {', '.join(self.datasets)}.")
        return self.datasets[name]

    def bronze(self, name: str) -> DatasetConfig:
        """Return a dataset of the bronze layer; ConfigError for another one."""
        found = self.dataset(name)
        if not isinstance(found, DatasetConfig):
            raise ConfigError(f"{name} is of the {found.layer} layer, and has no source of its own.")
        return found

    def gold(self, name: str) -> GoldConfig:
        """Return a dataset of the gold layer; ConfigError for another one."""
        found = self.dataset(name)
        if not isinstance(found, GoldConfig):
            raise ConfigError(f"{name} is of the {found.layer} layer, and keeps no history.")
        return found


def read_configuration(
    folder: Path,
    check: Callable[[CoreConfig | None, Mapping[str, DatasetConfig | GoldConfig], Collection[str]], Iterable[str]]
    | None = None,
) -> Configuration:
    """Return the configuration below a folder; ConfigError with every complaint of every file in one list.

    `check` adds complaints about the datasets that could be read; it is told the names of those that could not.
    """
    complaints: list[str] = []
    core_file = folder / CONFIG_NAME
    core = _read(core_file, CoreConfig, complaints)
    datasets: dict[str, DatasetConfig | GoldConfig] = {}
    for path in sorted(folder.glob(f"*/{CONFIG_NAME}")):
        found = _read(path, GoldConfig, complaints) if _is_gold(path) else _read(path, DatasetConfig, complaints)
        if found is None:
            continue
        if found.dataset != path.parent.name:
            complaints.append(f"{_short(path)}: dataset is {found.dataset!r}, expected its folder's name")
        if found.dataset in RESERVED:
            complaints.append(f"{_short(path)}: {found.dataset} is no name for a dataset; it has a meaning of its own")
        datasets[found.dataset] = found
    complaints += [*_unknown_sizes(core, datasets), *_colliding_names(datasets)]
    if check is not None:
        unread = {path.parent.name for path in folder.glob(f"*/{CONFIG_NAME}")} - datasets.keys()
        complaints += check(core, datasets, unread)
    if not datasets and not complaints:
        complaints.append(f"{folder} has no */{CONFIG_NAME}")
    if complaints or core is None:
        raise ConfigError(f"{len(complaints)} complaint(s) about {folder}: " + "; ".join(complaints) + ".")
    return Configuration(folder=folder, core=core, datasets=datasets)


def config_hash(dataset: AnyDataset) -> str:
    """Return a hash of all that decides what a dataset's tables hold; the order of keys says nothing."""
    content = dataset.model_dump(mode="json", exclude={"description", "schedule", "data_size_category", "data_quality"})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _is_gold(path: Path) -> bool:
    """Tell whether a dataset's file says that it is of the gold layer; what else it says is read afterwards."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("layer") == "gold"


def table_names(dataset: DatasetConfig | GoldConfig) -> dict[str, str]:
    """Return the name under which each table is asked: of several of a source it has the dataset's before it."""
    if isinstance(dataset, GoldConfig):
        return {table: table.replace("-", "_") for table in dataset.tables}
    return {
        table: (dataset.dataset if len(dataset.tables) == 1 else f"{dataset.dataset}-{table}").replace("-", "_")
        for table in dataset.tables
    }


def _unknown_sizes(core: CoreConfig | None, datasets: Mapping[str, DatasetConfig | GoldConfig]) -> Iterator[str]:
    """Yield the datasets of a size that the core does not know."""
    for name, dataset in datasets.items() if core else ():
        if core and dataset.data_size_category not in core.glue_worker_configs:
            known = ", ".join(core.glue_worker_configs)
            yield f"{name}: data_size_category is {dataset.data_size_category}, there are {known}"


def _colliding_names(datasets: Mapping[str, DatasetConfig | GoldConfig]) -> Iterator[str]:
    """Yield the names that two tables would have."""
    owners: dict[str, str] = {}
    for name, dataset in datasets.items():
        for registered in table_names(dataset).values():
            if registered in owners:
                yield f"{owners[registered]} and {name} would both have the table {registered}"
            owners.setdefault(registered, name)


def _read(path: Path, shape: type[Shape], complaints: list[str]) -> Shape | None:
    """Return one file's content; None with the complaints about it added."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
        return shape.model_validate(content)
    except (OSError, UnicodeDecodeError) as error:
        complaints.append(f"{_short(path)} cannot be read: {error}")
    except ValidationError as error:
        complaints += [f"{_short(path)}: {_explained(problem, shape)}" for problem in error.errors()]
    except ValueError as error:
        complaints.append(f"{_short(path)} is no JSON of this kind: {error}")
    return None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; ValueError for a key that stands in it twice, of which one would be lost."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return found


def _explained(problem: Mapping[str, Any], shape: type[BaseModel]) -> str:
    """Return one complaint: where, what is there, what was expected."""
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        keys = ", ".join(_keys_at(shape, problem["loc"][:-1]))
        return f"unknown key {where}" + (f"; valid keys are {keys}" if keys else "")
    if problem["type"] == "missing":
        return f"{where} is missing"
    said = str(problem["msg"]).removeprefix("Value error, ")
    value = problem.get("input")
    shown = f" is {value!r}" if isinstance(value, (str, int, float, bool)) else ""
    return f"{where}{shown}: {said}" if where else said


def _keys_at(shape: type[BaseModel], place: tuple[Any, ...]) -> list[str]:
    """Return the keys that a part of a configuration may have."""
    schema = shape.model_json_schema(by_alias=True)
    part: dict[str, Any] = schema
    for step in place:
        part = _resolved(part, schema)
        by_pattern: dict[str, Any] = next(iter(part.get("patternProperties", {}).values()), {})
        part = part.get("properties", {}).get(step) or part.get("additionalProperties") or by_pattern
    return sorted(_resolved(part, schema).get("properties", {}))


def _resolved(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return what a part of a JSON schema refers to."""
    for choice in part.get("anyOf", ()):
        if "$ref" in choice or choice.get("type") in ("object", "array"):
            part = choice
    while "$ref" in part:
        part = schema["$defs"][part["$ref"].rsplit("/", 1)[-1]]
    return part


def _short(path: Path) -> str:
    """Return the last two parts of a path."""
    return "/".join(path.parts[-2:])
