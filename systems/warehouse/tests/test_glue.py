"""The deployed bronze job: a process with Glue's arguments and Glue's own reader of them, on S3 through S3A."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from conftest import BUCKET, spark_jars, write_spark_defaults
from warehouse_case import COUNT

import etlkit
import warehouse as package
from warehouse.sample_sources.drugs import Drugs
from warehouse.targets.bucket import Bucket
from warehouse.warehouse_settings import ETL_DIR

pytestmark = pytest.mark.xdist_group("glue")  # a process each; beside the tests of one session
KIT_FILES = ("__init__.py", "errors.py", "logs.py", "process.py")
"""What a job may take of the kit: `errors` and `logs`, which needs `process` itself."""


@pytest.fixture
def job(warehouse, bucket, endpoint, tmp_path):
    """Start the job as Glue does, beside nothing but the code that is deployed; its target is the bucket's root."""
    jars = spark_jars()
    runtime = tmp_path / "runtime"
    shutil.copytree(package.__path__[0], runtime / "warehouse")
    (runtime / "etlkit").mkdir()
    for name in KIT_FILES:
        shutil.copy(f"{etlkit.__path__[0]}/{name}", runtime / "etlkit")
    settings = {
        "spark.master": "local[2]", "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
        "spark.driver.extraClassPath": f"{jars}/*", "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.endpoint": endpoint, "spark.hadoop.fs.s3a.path.style.access": "true",
    }  # fmt: skip
    conf = write_spark_defaults(tmp_path / "conf", **settings)
    root = Bucket(bucket.session, BUCKET)
    warehouse.move_to(root)

    def deploy():
        for path in warehouse.etl.rglob("config.json"):
            root.upload(path, f"etl/{path.relative_to(warehouse.etl).as_posix()}")

    deploy()

    glue = bucket.session.client("glue")
    for layer in ("bronze", "silver", "gold"):
        glue.create_database(DatabaseInput={"Name": f"pp_dw_{layer}"})

    def start(script="bronze_job", **arguments):
        command = [sys.executable, str(ETL_DIR / "shared" / "glue" / f"{script}.py"), "--JOB_NAME", "pp-dw-job"]
        environment = {
            **os.environ,
            "PYTHONPATH": str(runtime),
            "SPARK_CONF_DIR": conf,
            "PYSPARK_PYTHON": sys.executable,
        }
        for name, value in arguments.items():
            command += [f"--{name}", value]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )

    yield start
    for layer in ("bronze", "silver", "gold"):
        glue.delete_database(Name=f"pp_dw_{layer}")


@pytest.fixture
def registered(bucket):
    """What Athena's tables say: columns and run, by database and table."""

    def read(database, table):
        found = bucket.session.client("glue").get_table(DatabaseName=f"pp_dw_{database}", Name=table)["Table"]
        described = found["StorageDescriptor"]
        assert (found["TableType"], found["Parameters"]["compressionType"]) == ("EXTERNAL_TABLE", "none")
        columns = {one["Name"]: one["Type"] for one in described["Columns"]}
        return columns, described["Location"]

    return read


def arguments(**changed):
    """Return the job's arguments."""
    return {
        "dataset": "fda-cder",
        "run_id": "20261129_060000",
        "bucket": BUCKET,
        "bronze_database": "pp_dw_bronze",
        **changed,
    }


def test_the_deployed_job_publishes_what_the_command_would(job, warehouse, registered):
    warehouse.serve(Drugs(products=40, extra_product_lines=(b"only\ttwo",)))
    done = job(**arguments())
    assert done.returncode == 0, done.stderr[-3000:]
    for words in (
        "products: 41 rows in = 40 typed + 1 quarantined", "packages: 80 rows in",
        "aws glue start-crawler --name pp-dw-bronze-fda-cder-products-crawler",
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
    columns, location = registered("bronze", "fda_cder_products")
    assert (columns["product_id"], columns["start_marketing_date"]) == ("string", "date")
    run_id = warehouse.command("show", "fda-cder").figures["run_id"]
    assert (
        location == f"s3://{BUCKET}/bronze/fda-cder/products/run_id={run_id}/"
    )  # moved on by the job that changed nothing
    assert registered("bronze", "fda_cder_packages")[1].endswith(f"packages/run_id={run_id}/")


def test_the_gold_job_carries_the_history_on(job, warehouse, registered):
    warehouse.serve(Drugs(products=40))
    for name in ("fda-nsde", "fda-cder"):
        assert warehouse.run(name).exit_code == 0
    given = {
        "dataset": "fda-all-ndcs", "bucket": BUCKET, "silver_database": "pp_dw_silver", "gold_database": "pp_dw_gold",
    }  # fmt: skip
    done = job("gold_job", **given, run_id="20261129_060000")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    for words in ("as of 2026-11-29: 79 new, 0 changed, 0 gone", "79 versions of 79 current keys published"):
        assert words in done.stdout
    columns, location = registered("gold", "fda_all_ndcs")
    assert (columns["active_from"], columns["nsde_flag"], columns["hash_version"]) == ("date", "boolean", "int")
    assert location == f"s3://{BUCKET}/gold/fda-all-ndcs/run_id=20261129_060000/"
    assert registered("silver", "fda_all_ndcs")[1] == f"s3://{BUCKET}/silver/fda-all-ndcs/run_id=20261129_060000/"
    by_job = warehouse.digests("fda-all-ndcs")
    assert warehouse.run("fda-all-ndcs", "--force", run_id="20261129_070000").exit_code == 3
    assert warehouse.digests("fda-all-ndcs") == by_job
    refused = job("gold_job", **given, run_id="20261101_060000")
    assert (refused.returncode, "--as-of 2026-11-01 is before 2026-11-29" in refused.stdout) == (2, True), (
        refused.stdout
    )


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
