"""From the kiosk to the archive's Parquet: at every moment each review is counted once, on one side of the border."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from archive_case import BEFORE_APRIL, FIRST_ROWS, Archive
from live_case import press
from museum_case import PROJECT_DIR

from etlkit.testing.maven import copied_libraries

WAREHOUSE = PROJECT_DIR / "systems" / "warehouse"
PYTHON = WAREHOUSE / ".venv" / "bin" / "python"
RATINGS = (
    "select exhibition_id, rating_id, count(*) as reviews from lmnh_reviews where at_utc < '{border}' group by 1, 2"
)
LIVE_RATINGS = "select exhibition_id, rating_id, count(*) from review where at >= archive_border() group by 1, 2"
COUNTED = (
    "select exhibition_id, rating_id, sum(reviews)::bigint from review_tally group by 1, 2 having sum(reviews) > 0"
)

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("kafka"),
    pytest.mark.skipif(not PYTHON.exists(), reason="the warehouse has no environment yet: make setup-warehouse"),
]


@dataclass
class Warehouse:
    """The warehouse as a program of its own, with its target in a bucket."""

    folder: Path
    target: str

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        command = [str(PYTHON), "-m", "warehouse", *arguments, "--target", self.target, "--json"]
        environment = {
            **os.environ,
            "WAREHOUSE_ETL_DIR": str(self.folder / "etl"),
            "WAREHOUSE_LOG_FILE": str(self.folder / "log"),
        }
        done = subprocess.run(
            command, cwd=WAREHOUSE, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def publish(self, engine: str) -> bool:
        code, figures = self.run("run", "lmnh-reviews", "--engine", engine)
        assert code == 0, figures
        return bool(figures["is_published"])

    def ratings(self, border: str) -> dict[tuple[int, int], int]:
        """Return what the archive's side has, as a reader asks it."""
        _code, figures = self.run("show", "lmnh-reviews", "--sql", RATINGS.format(border=border[:19]))
        return {(row["exhibition_id"], row["rating_id"]): row["reviews"] for row in figures["rows"]}


@pytest.fixture
def warehouse(tmp_path: Path, archive: Archive, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    jars = copied_libraries(WAREHOUSE / "spark_jars" / "pom.xml", PROJECT_DIR / ".local" / "spark_jars", "Spark on S3")
    for name, value in (
        ("AWS_ENDPOINT_URL", s3_endpoint), ("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "a-secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true"), ("WAREHOUSE_SPARK_JARS", str(jars)),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    shutil.copytree(WAREHOUSE / "etl", tmp_path / "etl")
    path = tmp_path / "etl" / "lmnh-reviews" / "config.json"
    config = json.loads(path.read_text())
    config["data_quality"]["max_drop_pct"] = 50  # few reviews, of which a correction takes many
    path.write_text(json.dumps({**config, "source_prefix": f"s3://{archive.bucket.name}/reviews/"}))
    return Warehouse(tmp_path, f"s3://{archive.bucket.name}/warehouse")


def counted_once(archive: Archive, warehouse: Warehouse) -> dict[tuple[int, int], int]:
    """Return the reviews by exhibition and rating, having seen that both sides together have just those."""
    border = archive.border()
    found = warehouse.ratings(border) if border != "-infinity" else {}
    for exhibition, rating, reviews in archive.museum.query(LIVE_RATINGS):
        found[exhibition, rating] = found.get((exhibition, rating), 0) + reviews
    assert found == {(exhibition, rating): reviews for exhibition, rating, reviews in archive.museum.query(COUNTED)}
    return found


def test_a_review_is_counted_once_on_its_way(archive, warehouse, live):
    live.know_exhibitions(6)
    live.produce([press(n, at=f"2024-03-{n:02}T10:00:00.{n:06}+00:00") for n in range(1, 29)])
    assert live.consume().figures["live"]["stored"] == 28
    whole = counted_once(archive, warehouse)
    assert sum(whole.values()) == 8 + 28

    archive.run("export", "2024-04")
    assert counted_once(archive, warehouse) == whole
    assert warehouse.publish("spark")
    assert counted_once(archive, warehouse) == whole
    assert sum(warehouse.ratings("9999-01-01").values()) == BEFORE_APRIL + 28, (
        "the archive has a copy, not yet asked for"
    )
    archive.run("remove", "2024-04")
    assert archive.museum.count("review") == 2
    assert counted_once(archive, warehouse) == whole

    archive.run("restore", "2024-03")
    assert counted_once(archive, warehouse) == whole
    assert warehouse.publish("spark") is False
    archive.run("export", "2024-05")
    assert warehouse.publish("duckdb")
    archive.run("remove", "2024-05")
    assert counted_once(archive, warehouse) == whole
    moments = warehouse.run(
        "show", "lmnh-reviews", "--sql",
        "select at_utc, microsecond from lmnh_reviews where source like 'kafka://%' order by 1, 2 limit 1",
    )[1]["rows"]  # fmt: skip
    assert moments == [{"at_utc": "2024-03-01 10:00:00", "microsecond": 1}]

    archive.run("restore", "2024-01")
    archive.museum.kiosk(1, *FIRST_ROWS[3:])
    assert archive.museum.push("--accept-shrink").exit_code == 0
    assert archive.run("export", "2024-02", "--replace").figures["archive"]["months"] == {"2024-01": 0}
    assert warehouse.publish("duckdb")
    archive.run("remove", "2024-05")
    assert sum(counted_once(archive, warehouse).values()) == 5 + 28
