"""Files of our own making, good and bad, with their definitions: for the demo and the tests."""

from __future__ import annotations

import gzip
import io
import zipfile
from dataclasses import dataclass, field
from typing import Any

AGENCY = "riverton"
BUCKET = "riverton-files"
STAFF: dict[str, Any] = {
    "version": 1,
    "strict": True,
    "missing_values": ["", "NULL"],
    "columns": [
        {"name": "badge", "type": "integer", "required": True, "unique": True, "min": 1},
        {"name": "email", "type": "string", "required": True, "pattern": "[^@ ]+@[^@ ]+", "max_length": 254},
        {"name": "status", "type": "string", "enum": ["active", "left"]},
        {"name": "salary", "type": "number", "min": 0, "max": 1_000_000},
        {"name": "start_date", "type": "date", "min": "1950-01-01"},
    ],
}
SHIFTS: dict[str, Any] = {
    "fields": [
        {"name": "badge", "type": "integer", "constraints": {"required": True}},
        {"name": "day", "type": "date", "constraints": {"required": True}},
        {"name": "hours", "type": "number", "constraints": {"minimum": 0, "maximum": 24}},
    ],
    "primaryKey": ["badge", "day"],
    "fieldsMatch": "subset",
}
"""A Frictionless Table Schema."""
STAFF_HEADER = "badge,email,status,salary,start_date\n"


@dataclass(frozen=True)
class SampleFile:
    """A file that arrives, and what becomes of it."""

    key: str
    content: bytes = field(repr=False)
    score: int
    why: str


def staff_rows(count: int, first: int = 1) -> str:
    """Return good rows of the staff's file."""
    rows = []
    for number in range(first, first + count):
        status = "active" if number % 7 else "left"
        rows.append(
            f"{number},person{number}@{AGENCY}.example,{status},{30_000 + number}.50,20{number % 25:02}-03-15\n"
        )
    return "".join(rows)


def sample_files() -> list[SampleFile]:
    """Return the demo's files: every score that a category costs, alone and together."""
    good = staff_rows(50)
    day = f"{AGENCY}/staff_2026-11-"
    workbook = _workbook(
        [["badge", "day", "hours"], [1, "2026-11-01", 7.5], [2, "2026-11-01", 25], [2, "2026-11-01", 8]]
    )
    return [
        SampleFile(f"{day}01.csv", (STAFF_HEADER + good).encode(), 100, "good"),
        SampleFile(f"{day}02.csv.gz", gzip.compress((STAFF_HEADER + good).encode()), 100, "good, compressed"),
        SampleFile(
            f"{day}03.csv", (STAFF_HEADER + good + "51,,active,1,2020-01-01\n").encode(), 80, "a required value is null"
        ),
        SampleFile(f"{day}04.csv", (STAFF_HEADER + good + staff_rows(1)).encode(), 90, "a badge stands there twice"),
        SampleFile(
            f"{day}05.csv", (STAFF_HEADER + good + "51,x@y,gone,-1,1890-01-01\n").encode(), 85, "values out of bounds"
        ),
        SampleFile(
            f"{day}06.csv",
            (STAFF_HEADER + good + staff_rows(1) + "51,,fired,2000000,2020-02-30\n").encode(),
            55,
            "all three of them",
        ),
        SampleFile(f"{day}07.csv", b"badge,email,status\n1,a@b,active\n", 100, "optional columns are missing"),
        SampleFile(
            f"{day}08.csv",
            b"email,status,salary,start_date\na@b,active,1,2020-01-01\n",
            60,
            "a required column is missing",
        ),
        SampleFile(
            f"{day}09.csv",
            (STAFF_HEADER.strip() + ",note\n1,a@b,active,1,2020-01-01,x\n").encode(),
            60,
            "a column too many, strict",
        ),
        SampleFile(
            f"{day}10.csv", (STAFF_HEADER + '1,"a@b,active,1,2020-01-01\n').encode(), 65, "a quote is never closed"
        ),
        SampleFile(f"{day}11.csv", b"", 65, "empty"),
        SampleFile(f"{AGENCY}/shifts.xlsx", workbook, 75, "a workbook: too many hours, a key twice"),
    ]


def _workbook(rows: list[list[Any]]) -> bytes:
    """Return a workbook of one sheet, as small as one can be."""
    import openpyxl  # noqa: PLC0415 - for samples only

    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)  # type: ignore[union-attr]  # a new workbook has a sheet
    content = io.BytesIO()
    book.save(content)
    with zipfile.ZipFile(content) as archive:  # it is one
        archive.testzip()
    return content.getvalue()
