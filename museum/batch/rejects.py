"""Rejected rows: the transform's file of them, and their way into the database, which judges them again.

The transform's rejects are judged again from their text so that every reason is there; open rejects of earlier runs
whose reason may have passed (an exhibition arrived, a button was added, the future came) are judged again too.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from etlkit.copying import copy_blocks, copy_rows
from etlkit.errors import DataError
from etlkit.postgres import Connection, Cursor, run_file
from etlkit.rejects import Reject, create_rejudged_staging, stage_rejudged, update_rejudged
from museum.batch.kiosk_files import inspect_file, iterate_rows
from museum.batch.manifest import LOCAL_FILES, REJECTS_FILE, CombinedManifest
from museum.binary_copy import StagedPress, press_blocks, pressed_at
from museum.kiosk import KIOSK_COLUMNS, REJUDGED_REASONS, Reference, Rules, judge_line
from museum.settings import SQL

BATCH_ROWS = 10_000


class RejectedRow(NamedTuple):
    """A line of the rejects file; row 0 is a whole file.

    `provisional` marks a row that is well formed and stands in the combined file too: only the stand-in reference is
    against it, and the load asks the database.
    """

    kind: str
    object: str
    row: int
    reasons: tuple[str, ...]
    raw: bytes
    provisional: bool = False

    def to_json(self) -> str:
        """Return the line: the text where it is UTF-8, else its bytes in base64."""
        fields: dict[str, Any] = {"kind": self.kind, "object": self.object, "row": self.row, "reasons": self.reasons}
        if self.provisional:
            fields["provisional"] = True
        try:
            fields["text"] = self.raw.decode("utf-8")
        except UnicodeDecodeError:
            fields["base64"] = base64.b64encode(self.raw).decode("ascii")
        return json.dumps(fields) + "\n"


def read_rejected_rows(folder: Path) -> Iterator[RejectedRow]:
    """Yield the rejects file's rows in its order."""
    with (folder / REJECTS_FILE).open(encoding="utf-8") as file:
        for line in file:
            fields = json.loads(line)
            raw = base64.b64decode(fields["base64"]) if "base64" in fields else fields["text"].encode("utf-8")
            reasons, provisional = tuple(fields["reasons"]), fields.get("provisional", False)
            yield RejectedRow(fields["kind"], fields["object"], fields["row"], reasons, raw, provisional)


def source_name(bucket: str, key: str) -> str:
    """Return an object's name in the rejects."""
    return f"{LOCAL_FILES}{key}" if bucket == LOCAL_FILES else f"s3://{bucket}/{key}"


def transform_rejects(
    folder: Path, manifest: CombinedManifest, judged_objects: Container[str], rules: Rules, reference: Reference
) -> Iterator[Reject]:
    """Yield the transform's definite rejects of new and changed objects, of whole files and of exhibitions."""
    columns = {item.key: tuple(item.columns) for item in manifest.kiosk_objects}
    for row in read_rejected_rows(folder):
        source = source_name(manifest.bucket, row.object)
        if row.row == 0 or row.kind == "exhibition":
            yield Reject(source, f"record {row.row}" if row.row else "file", row.raw, row.reasons)
        elif row.object in judged_objects and not row.provisional:
            verdict = judge_line(row.raw, columns[row.object], rules, reference)
            yield Reject(source, str(row.row), row.raw, verdict.reasons or row.reasons)


def provisional_texts(folder: Path, source_ids: Mapping[str, int]) -> Iterator[tuple[int, int, bytes]]:
    """Yield (source id, row, original bytes) of the rows that the stand-in reference was against."""
    for row in read_rejected_rows(folder):
        if row.provisional and row.object in source_ids:
            yield source_ids[row.object], row.row, row.raw


def rejudge_open_rejects(connection: Connection, cursor: Cursor, rules: Rules, reference: Reference) -> Counter[str]:
    """Stage rejects that are good now, resolve them, note changed reasons; return how many are good, by source."""
    recovered: Counter[str] = Counter()
    create_rejudged_staging(cursor)
    statement = (SQL / "reject" / "list_rejudgeable.sql").read_text(encoding="utf-8")
    with connection.cursor(name="rejudgeable") as rows:
        rows.execute(statement, {"rejudged_reasons": list(REJUDGED_REASONS)})
        while batch := rows.fetchmany(BATCH_ROWS):  # so memory does not grow with the rejects
            good: list[StagedPress] = []
            judged: list[tuple[str, str, tuple[str, ...]]] = []
            for source, position, raw, reasons, columns, source_id in batch:
                verdict = judge_line(bytes(raw), tuple(columns or KIOSK_COLUMNS), rules, reference)
                if verdict.is_good and (event := verdict.event):
                    good.append((pressed_at(event.at), event.site, event.val, event.type, source_id, int(position)))
                    recovered[source] += 1
                if list(verdict.reasons) != reasons:
                    judged.append((source, position, verdict.reasons))
            copy_blocks(cursor, SQL / "press" / "copy_staging_kiosk.sql", press_blocks(good))
            stage_rejudged(cursor, judged)
    update_rejudged(cursor)
    return recovered


def find_lost_texts(connection: Connection, cursor: Cursor, manifest: CombinedManifest, bucket_dir: Path) -> None:
    """Give staged rejects without a text the original one of their file; DataError if that is gone or has changed."""
    statement = (SQL / "reject" / "list_textless_rejects.sql").read_text(encoding="utf-8")
    hashes = {item.key: item.content_hash for item in manifest.kiosk_objects}
    key = ""
    lines: Iterator[tuple[int, bytes]] = iter(())
    with connection.cursor(name="textless") as rows:
        rows.execute(statement)
        while batch := rows.fetchmany(BATCH_ROWS):  # so memory does not grow with the rejects
            for place, wanted in groupby(batch, key=itemgetter(0, 1)):
                if place[0] != key:
                    key = place[0]
                    lines = _original_rows(bucket_dir / key, key, hashes[key])
                copy_rows(cursor, SQL / "reject" / "copy_staging_text.sql", _texts_of(lines, wanted))
    if key:
        run_file(cursor, SQL / "reject" / "update_reject_text.sql")


def _original_rows(path: Path, key: str, content_hash: str) -> Iterator[tuple[int, bytes]]:
    """Return the rows of an object's file; DataError when it is not the file that was transformed."""
    if not path.is_file() or not content_hash.startswith(f"sha256:{inspect_file(path).sha256}"):
        raise DataError(
            f"{key}: the database rejects rows of it, and their text cannot be kept because {path} is not the file "
            "that was transformed. Run the transform again. Nothing was loaded."
        )
    return iterate_rows(path)


def _texts_of(
    lines: Iterator[tuple[int, bytes]], wanted: Iterable[tuple[str, int, int]]
) -> Iterator[tuple[int, int, bytes]]:
    """Yield (source id, row, original bytes) of wanted rows, in their order, from where the reader stands."""
    for _key, source_id, number in wanted:
        yield source_id, number, next(raw for row, raw in lines if row == number)
