"""A Frictionless Table Schema as the columns form.

Source: the Data Package standard v2, pages Table Schema and fieldsMatch (2024-06-26). What the standard allows and no
rule here checks (foreign keys, other types, string formats) is refused, never ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TYPES = {"string", "integer", "number", "boolean", "date", "datetime"}
SCHEMA_KEYS = {"fields", "fieldsMatch", "missingValues", "primaryKey", "uniqueKeys"}
SCHEMA_WORDS = {"$schema", "profile", "name", "title", "description", "homepage", "version", "created", "keywords"}
FIELD_KEYS = {"name", "type", "format", "constraints", "missingValues", "trueValues", "falseValues"}
FIELD_WORDS = {"title", "description", "example", "rdfType", "categories", "categoriesOrdered"}
"""What only describes."""
CONSTRAINTS = {
    "required": "required",
    "unique": "unique",
    "minimum": "min",
    "maximum": "max",
    "exclusiveMinimum": "exclusive_min",
    "exclusiveMaximum": "exclusive_max",
    "enum": "enum",
    "pattern": "pattern",
    "minLength": "min_length",
    "maxLength": "max_length",
}
MATCHES: dict[str, tuple[bool, bool, bool]] = {
    "exact": (True, True, True),
    "equal": (True, True, False),
    "subset": (True, False, False),
    "superset": (False, True, False),
    "partial": (False, False, False),
}
"""Of each fieldsMatch: whether every column must be there, whether others are refused, whether the order counts."""


def from_table_schema(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns form of a Table Schema; ValueError names what it asks for and nobody here checks."""
    complaints = [f"{key} is not supported" for key in sorted(set(document) - SCHEMA_KEYS - SCHEMA_WORDS - {"dialect"})]
    match = document.get("fieldsMatch", "exact")
    if isinstance(match, list) and len(match) == 1:  # the first drafts of v2 wrote it as a list
        match = match[0]
    if not isinstance(match, str) or match not in MATCHES:
        complaints.append(f"fieldsMatch is {match!r}, expected one of {', '.join(MATCHES)}")
        match = "exact"
    must_be_there, is_strict, is_ordered = MATCHES[match]
    fields = document["fields"]
    columns: list[dict[str, Any]] = []
    if not isinstance(fields, Sequence) or isinstance(fields, str):
        complaints.append("fields is not a list")
        fields = ()
    for number, field in enumerate(fields):
        if not isinstance(field, Mapping):
            complaints.append(f"fields[{number}] is not an object")
            continue
        columns.append({**_column(field, f"fields[{number}]", complaints), "column_required": must_be_there})
    keys = [_names(key) for key in document.get("uniqueKeys") or ()]
    primary = _names(document.get("primaryKey") or ())
    for column in columns:
        if column.get("name") in primary:
            column["required"] = True  # as the standard says of a primary key
    if complaints:
        raise ValueError("; ".join(complaints))
    missing = _names(document.get("missingValues", [""]))
    return {
        "columns": columns,
        "unique_keys": [key for key in [primary, *keys] if key],
        "strict": is_strict,
        "ordered": is_ordered,
        "missing_values": missing,
        **({"dialect": document["dialect"]} if "dialect" in document else {}),
    }


def _column(field: Mapping[str, Any], place: str, complaints: list[str]) -> dict[str, Any]:
    """Return a field as a column; what cannot be is a complaint."""
    complaints += [f"{place}.{key} is not supported" for key in sorted(set(field) - FIELD_KEYS - FIELD_WORDS)]
    value_type = "string" if field.get("type", "string") == "any" else field.get("type", "string")
    if value_type not in TYPES:
        complaints.append(f"{place}.type {value_type!r} is not one of {', '.join(sorted(TYPES))}")
        value_type = "string"
    column: dict[str, Any] = {"type": value_type, **({"name": field["name"]} if "name" in field else {})}
    form = field.get("format", "default")
    if value_type in ("date", "datetime") and form not in ("default", "any"):
        column["format"] = form
    elif form != "default":
        complaints.append(f"{place}.format {form!r} of a {value_type} is not supported; write a pattern")
    column |= _constraints(field.get("constraints") or {}, f"{place}.constraints", complaints)
    if "missingValues" in field:
        column["missing_values"] = _names(field["missingValues"])
    if value_type == "boolean":  # the standard's own, where the field names none
        column["true_values"] = field.get("trueValues", ["true", "True", "TRUE", "1"])
        column["false_values"] = field.get("falseValues", ["false", "False", "FALSE", "0"])
    return column


def _constraints(given: Any, place: str, complaints: list[str]) -> dict[str, Any]:
    """Return a field's constraints as a column's rules."""
    if not isinstance(given, Mapping):
        complaints.append(f"{place} is not an object")
        return {}
    complaints += [f"{place}.{rule} is not supported" for rule in given if rule not in CONSTRAINTS]
    return {CONSTRAINTS[rule]: value for rule, value in given.items() if rule in CONSTRAINTS}


def _names(given: Any) -> list[Any]:
    """Return a name or a list of names or of labelled values as a list."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, Sequence):
        raise TypeError(f"{given!r} is no list of names")
    return [part.get("value") if isinstance(part, Mapping) else part for part in given]
