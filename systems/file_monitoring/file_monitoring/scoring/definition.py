"""What a file must look like: a JSON definition, read into one form.

In comes the columns form or a Frictionless Table Schema (a document with `fields`), out goes a `Definition`. Nothing
that is not understood passes in silence: an unknown key, a bound that is not of the column's type, a pattern that is
none raises `DefinitionError` with its place.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from etlkit.errors import ConfigError
from file_monitoring.scoring.table_schema import from_table_schema
from file_monitoring.scoring.values import ORDERED_TYPES, CellValue, ValueType, compile_pattern, reader_of

LONGEST_NAME = 500
MOST_COLUMNS = 5_000
MOST_CHOICES = 10_000
TYPE_ALIASES = {"float": "number", "decimal": "number"}

Bound = int | float | str
Choice = bool | int | float | str
Texts = tuple[str, ...]
TypeName = Annotated[
    ValueType, BeforeValidator(lambda name: TYPE_ALIASES.get(name, name) if isinstance(name, str) else name)
]


class DefinitionError(ConfigError):
    """A definition is wrong; no file is scored by it."""


class Strict(BaseModel):
    """A part of a definition; what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=False)


class Column(Strict):
    """A column: whether it must be there, and what its values must be.

    `required` asks for the column and for a value in every row; `column_required` for the column alone.
    """

    name: str = Field(min_length=1, max_length=LONGEST_NAME)
    type: TypeName = "string"
    required: StrictBool = False
    column_required: StrictBool = False
    unique: StrictBool = False
    min: Bound | None = None
    max: Bound | None = None
    exclusive_min: Bound | None = None
    exclusive_max: Bound | None = None
    enum: Annotated[tuple[Choice, ...], Field(min_length=1, max_length=MOST_CHOICES)] | None = None
    pattern: str | None = None
    min_length: Annotated[int, Field(ge=0, strict=True)] | None = None
    max_length: Annotated[int, Field(ge=0, strict=True)] | None = None
    format: str | None = None
    missing_values: Texts | None = None
    true_values: Texts | None = None
    false_values: Texts | None = None
    description: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_aliases(cls, given: Any) -> Any:
        """Read the other names of a key: nullable, allowed_values, primary_key, identity."""
        if not isinstance(given, Mapping):
            return given
        column = dict(given)
        if "nullable" in column:
            nullable = column.pop("nullable")
            if not isinstance(nullable, bool):
                raise ValueError("nullable must be true or false")
            column.setdefault("required", not nullable)
        if "allowed_values" in column:
            if "enum" in column:
                raise ValueError("enum and allowed_values are the same: give one of them")
            column["enum"] = column.pop("allowed_values")
        for alias in ("primary_key", "identity"):
            if alias in column:
                is_key = column.pop(alias)
                if not isinstance(is_key, bool):
                    raise ValueError(f"{alias} must be true or false")
                column["unique"] = is_key or column.get("unique", False)
        return column

    @field_validator("name")
    @classmethod
    def _without_blanks(cls, name: str) -> str:
        """Strip a name, as those of a header are stripped."""
        if not (stripped := name.strip()):
            raise ValueError("a name must not be blank")
        return stripped

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        """Refuse a pattern that is none."""
        if pattern is not None:
            compile_pattern(pattern)
        return pattern

    @model_validator(mode="after")
    def _fits_its_type(self) -> Column:
        """Refuse what the column's type does not have."""
        if self.format is not None and self.type not in ("date", "datetime"):
            raise ValueError(f"format is for date and datetime, not for {self.type}")
        if (self.true_values or self.false_values) and self.type != "boolean":
            raise ValueError(f"true_values and false_values are for boolean, not for {self.type}")
        if self.bounds and self.type not in ORDERED_TYPES:
            raise ValueError(
                f"{', '.join(self.bounds)}: a {self.type} has no order; only {', '.join(ORDERED_TYPES)} have"
            )
        if (self.min_length or 0) > (self.max_length if self.max_length is not None else self.min_length or 0):
            raise ValueError("min_length is greater than max_length")
        low, high = self.bounds.get("min"), self.bounds.get("max")
        if low is not None and high is not None and low > high:
            raise ValueError("min is greater than max")
        reader_of(self.type, self.format, self.true_values, self.false_values)
        _ = self.choices
        return self

    @cached_property
    def bounds(self) -> dict[str, Any]:
        """Return the bounds by rule, as values of the column's type."""
        given = {rule: getattr(self, rule) for rule in ("min", "max", "exclusive_min", "exclusive_max")}
        return {rule: self._value(rule, bound) for rule, bound in given.items() if bound is not None}

    @cached_property
    def choices(self) -> frozenset[CellValue] | None:
        """Return what the enum allows, as values of the column's type."""
        return None if self.enum is None else frozenset(self._value("enum", choice) for choice in self.enum)

    def _value(self, rule: str, given: Choice) -> CellValue:
        """Read a value of the definition as a cell is read."""
        text = str(given).lower() if isinstance(given, bool) else str(given)
        value = reader_of(self.type, self.format, self.true_values, self.false_values)(text)
        if value is None and self.format is not None:  # a definition may write its dates as JSON usually does
            value = reader_of(self.type)(text)
        if value is None:
            raise ValueError(f"{rule}: {text!r} is no {self.type}")
        return value


class Dialect(Strict):
    """How a file is written; what is not said is looked for in the file."""

    delimiter: str | None = None
    quote_char: str | None = '"'
    double_quote: StrictBool = True
    escape_char: str | None = None
    skip_initial_space: StrictBool = False
    encoding: str | None = None
    fallback_encoding: str | None = None
    """How to read what is not UTF-8, where nothing says how it is written."""
    sheet: Annotated[int, Field(ge=1, strict=True)] | str | None = None
    """A sheet's name, or its number from 1 on; without it the first visible one."""
    skip_rows: Annotated[int, Field(ge=0, le=1_000, strict=True)] = 0

    @field_validator("delimiter", "quote_char", "escape_char")
    @classmethod
    def _is_one_character(cls, text: str | None, info: ValidationInfo) -> str | None:
        """Refuse what a CSV reader cannot work with."""
        if text is not None and (len(text) != 1 or text in "\r\n\0"):
            raise ValueError(f"{info.field_name} must be one character, and no line end")
        return text

    @field_validator("encoding", "fallback_encoding")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        """Refuse an encoding that nobody can read."""
        if name is None:
            return None
        try:
            codec = codecs.lookup(name)
            "a".encode(name)  # nothing at all would be accepted by what is no text's
        except (LookupError, ValueError) as error:
            raise ValueError(f"there is no encoding {name!r}") from error
        return codec.name

    @model_validator(mode="after")
    def _characters_differ(self) -> Dialect:
        """Refuse one character with two meanings."""
        given = [text for text in (self.delimiter, self.quote_char, self.escape_char) if text]
        if len(set(given)) < len(given):
            raise ValueError("delimiter, quote_char and escape_char must differ")
        return self


class Definition(Strict):
    """What a file's columns and rows must be."""

    version: Literal[1] = 1
    name: str | None = None
    description: str | None = None
    columns: Annotated[tuple[Column, ...], Field(min_length=1, max_length=MOST_COLUMNS)]
    unique_keys: tuple[Annotated[Texts, Field(min_length=1)], ...] = ()
    unique_ignores_nulls: StrictBool = False
    strict: StrictBool = False
    ordered: StrictBool = False
    """Whether the columns must come in this order."""
    case_insensitive: StrictBool = False
    missing_values: Texts = ("",)
    min_rows: Annotated[int, Field(ge=0, strict=True)] = 0
    dialect: Dialect = Dialect()
    content_hash: str = ""
    """The SHA-256 of the document that this was read from."""

    @model_validator(mode="after")
    def _names_are_columns(self) -> Definition:
        """Refuse a column that is described twice, and a key of columns that are not described."""
        folded = [self.fold(column.name) for column in self.columns]
        if twice := [name for name, count in Counter(folded).items() if count > 1]:
            raise ValueError(f"columns described twice: {', '.join(sorted(twice))}")
        for key in self.unique_keys:
            if unknown := [name for name in key if self.fold(name) not in folded]:
                raise ValueError(f"unique_keys: no column is called {', '.join(unknown)}")
            if len({self.fold(name) for name in key}) < len(key):
                raise ValueError(f"unique_keys: a column stands twice in {list(key)}")
        return self

    def fold(self, name: str) -> str:
        """Return the form in which names are compared."""
        return name.strip().casefold() if self.case_insensitive else name.strip()

    @cached_property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """Return what must be unique, a column or several together, each once."""
        single = [(column.name,) for column in self.columns if column.unique]
        names = {self.fold(column.name): column.name for column in self.columns}
        several = [tuple(names[self.fold(name)] for name in key) for key in self.unique_keys]
        return tuple(dict.fromkeys([*single, *several]))


def read_definition(document: Any) -> Definition:
    """Return the definition that a JSON document holds; DefinitionError names everything that is wrong in it."""
    if not isinstance(document, Mapping):
        raise DefinitionError(f"a definition is a JSON object, this is {type(document).__name__}.")
    if "content_hash" in document:
        raise DefinitionError("the definition is not understood: content_hash is not a key of it.")
    try:
        columns_form = from_table_schema(document) if "fields" in document else dict(document)
    except (TypeError, AttributeError, ValueError) as error:  # a list for a name, a number for a list
        raise DefinitionError(f"the Table Schema is not understood: {error}.") from error
    written = json.dumps(document, sort_keys=True, ensure_ascii=True, default=str)
    try:
        return Definition(**{**columns_form, "content_hash": hashlib.sha256(written.encode()).hexdigest()})
    except ValidationError as error:
        raise DefinitionError(
            f"the definition is not understood: {'; '.join(map(_complaint, error.errors()))}."
        ) from error
    except TypeError as error:  # a key that is no name
        raise DefinitionError(f"the definition is not understood: {error}.") from error


def _complaint(problem: Mapping[str, Any]) -> str:
    """Return one clause for what is wrong, with its place."""
    place = _place(problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{place} is not a key of a definition"
    if problem["type"] == "missing":
        return f"{place} is missing"
    words = str(problem["msg"]).removeprefix("Value error, ")
    return f"{place}: {words}" if place else words


def _place(steps: Sequence[int | str]) -> str:
    """Return where something stands, such as columns[0].min."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")
