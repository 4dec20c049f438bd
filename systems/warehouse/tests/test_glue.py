"""The deployed bronze job: a process with Glue's arguments and Glue's own reader of them, on S3 through S3A."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from conftest import BUCKET, spark_jars
from warehouse_case import COUNT

import etlkit
import warehouse as package
from warehouse.sample_sources.drugs import Drugs
from warehouse.targets.bucket import Bucket
from warehouse.warehouse_settings import ETL_DIR

pytestmark = pytest.mark.xdist_group("spark")
KIT_FILES = ("__init__.py", "errors.py", "logs.py", "process.py")
"""What a job may take of the kit: `errors` and `logs`, which needs `process` itself."""


@pytest.fixture
def job(warehouse, bucket, endpoint, tmp_path):
    """Start the job as Glue does, beside nothing but the code that is deployed; its target is the bucket's root."""
    jars = spark_jars()
    runtime, conf = tmp_path / "runtime", tmp_path / "conf"
    shutil.copytree(package.__path__[0], runtime / "warehouse")
    (runtime / "etlkit").mkdir()
    for name in KIT_FILES:
        shutil.copy(f"{etlkit.__path__[0]}/{name}", runtime / "etlkit")
    conf.mkdir()
    settings = {
        "spark.master": "local[2]", "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
        "spark.driver.extraClassPath": f"{jars}/*", "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.endpoint": endpoint, "spark.hadoop.fs.s3a.path.style.access": "true",
    }  # fmt: skip
    (conf / "spark-defaults.conf").write_text("\n".join(f"{name} {value}" for name, value in settings.items()))
    root = Bucket(bucket.session, BUCKET)
    warehouse.move_to(root)

    def deploy():
        for path in warehouse.etl.rglob("config.json"):
            root.upload(path, f"etl/{path.relative_to(warehouse.etl).as_posix()}")

    deploy()

    def start(**arguments):
        command = [
            sys.executable,
            str(ETL_DIR / "shared" / "glue" / "bronze_job.py"),
            "--JOB_NAME",
            "pp-dw-bronze-fda-cder",
        ]
        environment = {
            **os.environ,
            "PYTHONPATH": str(runtime),
            "SPARK_CONF_DIR": str(conf),
            "PYSPARK_PYTHON": sys.executable,
        }
        for name, value in arguments.items():
            command += [f"--{name}", value]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )

    return start


def arguments(**changed):
    """Return the job's arguments."""
    return {
        "dataset": "fda-cder",
        "run_id": "20261129_060000",
        "bucket": BUCKET,
        "bronze_database": "pp_dw_bronze",
        **changed,
    }


def test_the_deployed_job_publishes_what_the_command_would(job, warehouse):
    warehouse.serve(Drugs(products=40, extra_product_lines=(b"only\ttwo",)))
    done = job(**arguments())
    assert done.returncode == 0, done.stderr[-3000:]
    for words in (
        "products: 41 rows in = 40 typed + 1 quarantined", "packages: 80 rows in",
        "to let a crawler fill pp_dw_bronze: aws glue start-crawler --name pp-dw-bronze-fda-cder-products-crawler",
        "published as run 20261129_060000; 1 rows quarantined",
    ):  # fmt: skip
        assert words in done.stdout
    assert warehouse.ask("fda-cder", COUNT) == [{"rows": 40, "runs": 1}]
    assert warehouse.command("quarantine", "fda-cder").figures["rows"][0]["raw_line"] == "only\ttwo"
    by_job = warehouse.digests("fda-cder")
    assert warehouse.run("fda-cder", "--from-raw", "20261129_060000").exit_code == 3
    assert warehouse.digests("fda-cder") == by_job
    again = job(**arguments(run_id="now"))
    assert (again.returncode, "the source has not changed" in again.stdout) == (0, True), again.stdout + again.stderr
    assert not [name for name in warehouse.files() if name.startswith("temp/")]


def test_a_job_that_fails_ends_so_and_leaves_what_was_published(job, warehouse):
    warehouse.serve(Drugs(products=40))
    assert warehouse.run("fda-cder").exit_code == 0
    before = warehouse.files()
    warehouse.serve(Drugs(products=10))
    cases = [
        (arguments(), 1, "max_drop_pct: 75, allowed 10"),
        (arguments(dataset="no-such"), 2, "etl/no-such/config.json is not there"),
        (arguments(dataset="../fda-cder"), 2, "is no dataset's name"),
        (arguments(bucket="no-such-bucket-at-all"), 2, "s3://no-such-bucket-at-all/etl/config.json is not there"),
        (arguments(run_id="yesterday"), 2, "is no run id"),
        ({"dataset": "fda-cder", "bucket": BUCKET}, 2,
         "the following arguments are required: --run_id, --bronze_database"),
    ]  # fmt: skip
    for given, code, words in cases:
        done = job(**given)
        assert (done.returncode, words in done.stdout) == (code, True), (given, done.stdout, done.stderr[-2000:])
        assert "Traceback" not in done.stdout + done.stderr
    raw = "raw/fda-cder/run_id=20261129_060000/"
    assert {name: text for name, text in warehouse.files().items() if not name.startswith(raw)} == before


def test_no_argument_is_the_beginning_of_another_one():
    sys.path.insert(0, str(ETL_DIR / "shared" / "glue"))
    try:
        from bronze_job import ARGUMENTS
    finally:
        sys.path.pop(0)
    own = [*ARGUMENTS, "JOB_NAME", "TempDir"]
    assert not [(one, other) for one in own for other in own if one != other and other.startswith(one)]
