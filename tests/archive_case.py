"""A museum with reviews of some months, and a bucket to archive them in."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from museum_case import PROJECT_DIR, Bucket, Museum, Result

FIRST_ROWS = (
    "2024-01-31 23:59:59,0,3,",
    "2024-01-31 12:00:00.000007,1,4,",
    "2024-01-31 12:00:00.000007,1,4,",  # two visitors in one moment
    "2024-02-01 00:00:00,0,0,",
    "2024-02-10 10:00:00,0,-1,1",
    "2024-03-31 00:30:00,1,2,",  # the day on which the clocks change
    "2024-03-31 23:30:00,0,1,",  # 22:30 UTC, and March
    "2024-04-01 00:30:00,0,1,",  # 23:30 UTC of March, and April
    "2024-05-01 09:00:00,1,3,",
)
BEFORE_APRIL = 6
KEPT = """
    select review_id, exhibition_id, at, rating_id, source_id, position from review order by 1
"""
TALLY = "select exhibition_id, hour, rating_id, sum(reviews) from review_tally group by 1, 2, 3 order by 1, 2, 3"


def said(result: Result) -> str:
    """Return the outcome's sentences without the run that follows."""
    return re.split(" (?:Run|Dry run) ", result.last_line)[0]


@dataclass
class Archive:
    """A museum with reviews of five months, and a bucket to archive them in."""

    museum: Museum
    bucket: Bucket

    def run(self, *arguments: str) -> Result:
        return self.museum.run("archive", *arguments, *self.museum.database_flags)

    def move(self, month: str) -> Result:
        assert self.run("export", month).exit_code == 0
        return self.run("remove", month)

    def start(self, script: str, *arguments: str, driver: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Start a script in a process of its own, as it is or through the program that kills it."""
        folder = ["--data-dir", str(self.museum.data_dir)] if script != "archive" else []
        flags = [*arguments, *folder, *self.museum.database_flags, "--log-file", str(self.museum.log_file)]
        command = [sys.executable, *(driver or [str(PROJECT_DIR / f"{script}.py")]), *flags]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def rows(self, month: str) -> list[dict[str, str]]:
        body = self.bucket.client.get_object(Bucket=self.bucket.name, Key=self.key(month))["Body"].read()
        return list(csv.DictReader(io.StringIO(body.decode())))

    def names(self) -> list[str]:
        listed = self.bucket.client.list_objects_v2(Bucket=self.bucket.name, Prefix="reviews/")
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def months(self) -> list[str]:
        return [key[-11:-4] for key in self.names()]

    def key(self, month: str) -> str:
        return f"reviews/lmnh_reviews_{month}.csv"

    def kept(self) -> list[tuple[Any, ...]]:
        return self.museum.query(KEPT)

    def tally(self) -> list[tuple[Any, ...]]:
        return self.museum.query(TALLY)

    def border(self) -> str:
        return str(self.museum.query("select archive_border()::text")[0][0])
