"""A definition is understood as a whole, or refused with everything that is wrong and its place."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from file_monitoring.scoring.definition import DefinitionError, read_definition

A = {"name": "a"}
WRONG = {
    "no object": ([], "a definition is a JSON object, this is list"),
    "nothing": ({}, "columns is missing"),
    "no columns": ({"columns": []}, "columns: Tuple should have at least 1 item"),
    "a slip": ({"columns": [{**A, "requird": True}]}, "columns[0].requird is not a key of a definition"),
    "a slip at the top": ({"columns": [A], "strickt": True}, "strickt is not a key of a definition"),
    "a slip in the dialect": ({"columns": [A], "dialect": {"delimeter": ","}}, "dialect.delimeter is not a key"),
    "another version": ({"columns": [A], "version": 2}, "version: "),
    "a type that is none": ({"columns": [{**A, "type": "money"}]}, "columns[0].type: "),
    "a type of another kind": ({"columns": [{**A, "type": 5}]}, "columns[0].type: "),
    "no name": ({"columns": [{"type": "string"}]}, "columns[0].name is missing"),
    "a blank name": ({"columns": [{"name": " "}]}, "a name must not be blank"),
    "yes for true": ({"columns": [{**A, "required": "yes"}]}, "columns[0].required: "),
    "a bound of a text": ({"columns": [{**A, "min": 1}]}, "a string has no order"),
    "a bound that is no number": ({"columns": [{**A, "type": "integer", "min": "x"}]}, "min: 'x' is no integer"),
    "a bound that is no whole number": (
        {"columns": [{**A, "type": "integer", "max": 1.5}]},
        "max: '1.5' is no integer",
    ),
    "a bound that is no date": (
        {"columns": [{**A, "type": "date", "max": "2026-02-30"}]},
        "max: '2026-02-30' is no date",
    ),
    "bounds the wrong way round": (
        {"columns": [{**A, "type": "integer", "min": 2, "max": 1}]},
        "min is greater than max",
    ),
    "lengths the wrong way round": ({"columns": [{**A, "min_length": 2, "max_length": 1}]}, "min_length is greater"),
    "a negative length": ({"columns": [{**A, "max_length": -1}]}, "columns[0].max_length: "),
    "a list of nothing": ({"columns": [{**A, "enum": []}]}, "columns[0].enum: "),
    "a list of another type": ({"columns": [{**A, "type": "integer", "enum": ["x"]}]}, "enum: 'x' is no integer"),
    "a list under two names": ({"columns": [{**A, "enum": ["x"], "allowed_values": ["x"]}]}, "enum and allowed_values"),
    "a pattern that is none": ({"columns": [{**A, "pattern": "["}]}, "no pattern of RE2"),
    "a look-around": ({"columns": [{**A, "pattern": "(?=a)"}]}, "it has no look-around and no back-references"),
    "a back-reference": ({"columns": [{**A, "pattern": r"(a)\1"}]}, "no pattern of RE2"),
    "a pattern without end": ({"columns": [{**A, "pattern": "a" * 5001}]}, "5,000 characters at most"),
    "a pattern of a gigabyte": ({"columns": [{**A, "pattern": "((((a{99}){99}){99}){99}){99}"}]}, "no pattern of RE2"),
    "a form of no date": ({"columns": [{**A, "format": "%Y"}]}, "format is for date and datetime"),
    "a form that strptime does not know": ({"columns": [{**A, "type": "date", "format": "%Q"}]}, "not one of strptime"),
    "described twice": ({"columns": [A, A]}, "columns described twice: a"),
    "described twice in other case": (
        {"columns": [A, {"name": "A"}], "case_insensitive": True},
        "columns described twice: a",
    ),
    "a key of unknown columns": ({"columns": [A], "unique_keys": [["a", "b"]]}, "no column is called b"),
    "a key of nothing": ({"columns": [A], "unique_keys": [[]]}, "unique_keys[0]: "),
    "a key of a column twice": ({"columns": [A], "unique_keys": [["a", "a"]]}, "stands twice"),
    "a delimiter of two": ({"columns": [A], "dialect": {"delimiter": "||"}}, "delimiter must be one character"),
    "a line end as delimiter": ({"columns": [A], "dialect": {"delimiter": "\n"}}, "delimiter must be one character"),
    "one character twice": ({"columns": [A], "dialect": {"delimiter": "'", "quote_char": "'"}}, "must differ"),
    "an encoding that is none": ({"columns": [A], "dialect": {"encoding": "utf-9"}}, "there is no encoding 'utf-9'"),
    "an encoding of no text": ({"columns": [A], "dialect": {"encoding": "hex"}}, "there is no encoding 'hex'"),
    "a sheet before the first": ({"columns": [A], "dialect": {"sheet": 0}}, "dialect.sheet"),
    "a hash of its own": ({"columns": [A], "content_hash": "x"}, "content_hash is not a key"),
    # --- Table Schema
    "an unknown property": ({"fields": [A], "foreignKeys": []}, "foreignKeys is not supported"),
    "an unknown type": ({"fields": [{**A, "type": "geopoint"}]}, "fields[0].type 'geopoint' is not one of"),
    "an unknown constraint": (
        {"fields": [{**A, "constraints": {"jsonSchema": {}}}]},
        "fields[0].constraints.jsonSchema",
    ),
    "a format of a string": ({"fields": [{**A, "format": "email"}]}, "format 'email' of a string is not supported"),
    "a match that is none": ({"fields": [A], "fieldsMatch": "some"}, "fieldsMatch is 'some'"),
    "fields that are none": ({"fields": "a"}, "fields is not a list"),
    "a key of no field": ({"fields": [A], "primaryKey": ["b"]}, "no column is called b"),
    "a type that is an object": ({"fields": [{"name": "a", "type": {}}]}, "the Table Schema is not understood"),
    "keys that are a number": ({"fields": [A], "uniqueKeys": 5}, "the Table Schema is not understood"),
    "names that are no list": ({"fields": [A], "missingValues": 5}, "is no list of names"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_place(name):
    document, words = WRONG[name]
    with pytest.raises(DefinitionError) as refused:
        read_definition(document)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_everything_that_is_wrong_is_told_at_once():
    with pytest.raises(DefinitionError) as refused:
        read_definition({"columns": [{**A, "requird": True}, {"name": "b", "pattern": "["}], "strickt": 1})
    for words in ("columns[0].requird", "columns[1].pattern", "strickt"):
        assert words in str(refused.value)


def test_the_other_names_of_a_rule_are_read():
    read = read_definition(
        {
            "columns": [
                {"name": "a", "nullable": False, "primary_key": True, "type": "float"},
                {"name": "b", "nullable": True, "allowed_values": ["x"]},
                {"name": "c", "nullable": True, "required": True, "identity": True, "type": "decimal"},
            ]
        }
    )
    a, b, c = read.columns
    assert (a.required, a.unique, a.type) == (True, True, "number")
    assert (b.required, b.choices) == (False, {"x"})
    assert (c.required, c.unique, c.type) == (True, True, "number")
    assert read.keys == (("a",), ("c",))


@pytest.mark.parametrize(
    ("match", "is_there", "is_strict", "is_ordered"),
    [
        (None, True, True, True),
        ("exact", True, True, True),
        ("equal", True, True, False),
        ("subset", True, False, False),
        ("superset", False, True, False),
        ("partial", False, False, False),
        (["subset"], True, False, False),
    ],
)
def test_a_table_schema_is_the_same_as_columns(match, is_there, is_strict, is_ordered):
    document = {
        "fields": [
            {"name": "id", "type": "integer", "title": "number", "constraints": {"minimum": 1, "exclusiveMaximum": 9}},
            {
                "name": "kind",
                "constraints": {"required": True, "enum": ["x"], "pattern": "x+", "minLength": 1, "maxLength": 3},
            },
            {"name": "day", "type": "date", "format": "%d.%m.%Y", "missingValues": ["-"]},
            {"name": "flag", "type": "boolean"},
        ],
        "primaryKey": "id",
        "uniqueKeys": [["kind", "day"]],
        "missingValues": ["", {"value": "NULL", "label": "nothing"}],
        **({"fieldsMatch": match} if match else {}),
    }
    read = read_definition(document)
    number, kind, day, flag = read.columns
    assert (read.strict, read.ordered, read.missing_values) == (is_strict, is_ordered, ("", "NULL"))
    assert {column.column_required for column in read.columns} == {is_there}
    assert (number.required, kind.required, day.required) == (True, True, False)  # a primary key has no nulls
    assert number.bounds == {"min": 1, "exclusive_max": 9}
    assert (kind.choices, kind.pattern, kind.min_length, kind.max_length) == ({"x"}, "x+", 1, 3)
    assert (day.format, day.missing_values) == ("%d.%m.%Y", ("-",))
    assert flag.true_values == ("true", "True", "TRUE", "1")
    assert read.keys == (("id",), ("kind", "day"))


def test_the_hash_is_of_the_document():
    first = read_definition({"columns": [A], "strict": True})
    assert first.content_hash == read_definition({"strict": True, "columns": [A]}).content_hash
    assert first.content_hash != read_definition({"columns": [A]}).content_hash


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "columns",
                    "fields",
                    "name",
                    "type",
                    "min",
                    "enum",
                    "dialect",
                    "unique_keys",
                    "format",
                    "pattern",
                    "constraints",
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_document_raises_anything_else(document):
    with contextlib.suppress(DefinitionError):
        read_definition(json.loads(json.dumps(document)))
