"""The plan: names, arguments and policies as data, without Node; and what cannot be deployed is told before it is."""

from __future__ import annotations

import importlib.util
import json
import re

import pytest

from warehouse.configuration import read_configuration
from warehouse.cron import problems_of_expression
from warehouse.plan import GLUE_MODULES, Place, plan, problems
from warehouse.warehouse_settings import ETL_DIR, PROJECT_DIR

PLACE = Place("123456789012", "eu-west-2")
BUCKET = "arn:aws:s3:::pp-dw-123456789012"


@pytest.fixture(scope="module")
def resources():
    return plan(read_configuration(ETL_DIR, problems), PLACE)


def one_of(resources, kind, name):
    (found,) = [one for one in resources if one.type == f"AWS::{kind}" and one.name == name]
    return found.properties


def statements(resources, role):
    policy = one_of(resources, "IAM::Role", role)["Policies"][0]["PolicyDocument"]
    return {one["Sid"]: one for one in policy["Statement"]}


def test_every_name_is_of_one_resource(resources):
    assert len({(one.type, one.name) for one in resources}) == len(resources)
    assert len({(one.stack, one.id) for one in resources}) == len(resources)
    assert {one.stack for one in resources if one.is_retained} == {"pp-dw-etl-core"}


def test_a_job_is_made_by_convention(resources):
    job = one_of(resources, "Glue::Job", "pp-dw-bronze-fda-nsde")
    assert job["Command"] == {
        "Name": "glueetl", "PythonVersion": "3",
        "ScriptLocation": "s3://pp-dw-123456789012/etl/fda-nsde/glue/bronze_job.py",
    }  # fmt: skip
    assert (job["GlueVersion"], job["WorkerType"], job["NumberOfWorkers"]) == ("5.0", "G.1X", 5)
    assert (job["MaxRetries"], job["ExecutionProperty"], job["Timeout"]) == (0, {"MaxConcurrentRuns": 1}, 30)
    assert one_of(resources, "Glue::Job", "pp-dw-bronze-rxnorm")["NumberOfWorkers"] == 10
    gold = one_of(resources, "Glue::Job", "pp-dw-gold-fda-all-ndcs")
    assert gold["Command"]["ScriptLocation"].endswith("etl/fda-all-ndcs/glue/gold_job.py")
    assert all(isinstance(value, str) for value in gold["DefaultArguments"].values())


@pytest.mark.parametrize("layer", ["bronze", "gold"])
def test_a_script_reads_the_arguments_that_its_job_gives(resources, layer):
    spec = importlib.util.spec_from_file_location("script", ETL_DIR / "shared" / "glue" / f"{layer}_job.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    jobs = [one for one in resources if one.type == "AWS::Glue::Job" and one.name.startswith(f"pp-dw-{layer}-")]
    assert jobs
    for job in jobs:
        given = {name for name in job.properties["DefaultArguments"] if re.fullmatch("--[a-z_]+", name)}
        assert given == {f"--{name}" for name in script.ARGUMENTS}
        every = [*(name.removeprefix("--") for name in job.properties["DefaultArguments"]), "JOB_NAME"]
        assert not [(one, two) for one in every for two in every if one != two and two.startswith(one)]


def test_a_job_may_write_its_own_prefixes_and_nothing_else(resources):
    for role in [one for one in resources if one.type == "AWS::IAM::Role" and one.name.endswith("-role")]:
        for sid, one in statements(resources, role.name).items():
            assert not [action for action in one["Action"] if action.endswith(":*") or action == "*"], (role.name, sid)
            assert one["Resource"] != ["*"] or sid == "Metrics"
    own = statements(resources, "pp-dw-bronze-fda-nsde-role")["WriteOwn"]["Resource"]
    assert own == [
        f"{BUCKET}/{prefix}" for prefix in (
            "raw/fda-nsde/*", "bronze/fda-nsde/*", "archive/bronze/fda-nsde/*", "quarantine/fda-nsde/*",
            "temp/fda-nsde/*", "spark-logs/fda-nsde/*", "locks/fda-nsde.json",
        )
    ]  # fmt: skip
    written = [
        (job, prefix)
        for job in (
            "bronze-fda-nsde",
            "bronze-fda-cder",
            "bronze-rxnorm",
            "gold-fda-all-ndcs",
            "gold-rxnorm-ndc-mappings",
        )
        for prefix in statements(resources, f"pp-dw-{job}-role")["WriteOwn"]["Resource"]
    ]
    assert len({prefix for _, prefix in written}) == len(written)
    read = statements(resources, "pp-dw-gold-fda-all-ndcs-role")["Read"]["Resource"]
    assert {f"{BUCKET}/bronze/fda-nsde/*", f"{BUCKET}/archive/bronze/fda-cder/*", f"{BUCKET}/etl/config.json"} <= {
        *read
    }
    tables = statements(resources, "pp-dw-bronze-fda-cder-role")["OwnTables"]["Resource"]
    assert [name for name in tables if "table/" in name] == [
        f"arn:aws:glue:eu-west-2:123456789012:table/pp_dw_bronze/{name}"
        for name in ("fda_cder_products", "fda_cder_packages")
    ]
    with_key = [
        one.name for one in resources if one.type == "AWS::IAM::Role" and "Key" in statements(resources, one.name)
    ]
    assert with_key == ["pp-dw-bronze-rxnorm-role"]
    assert statements(resources, with_key[0])["Key"]["Resource"] == [
        "arn:aws:secretsmanager:eu-west-2:123456789012:secret:umls-api-key-??????"
    ]


def test_a_key_that_is_not_there_is_missing_and_not_refused(resources):
    """S3 refuses to say so to whoever may not list, and a free lock is such a key."""
    for role in [one.name for one in resources if one.type == "AWS::IAM::Role" and one.name.startswith("pp-dw-bronze")]:
        listed = statements(resources, role)["List"]
        assert (listed["Resource"], "Condition" in listed) == ([BUCKET], False)


def test_what_names_another_resource_comes_after_it(resources):
    after = {one.id: one.after for one in resources if one.after}
    assert after == {
        "BucketPolicy": ("Bucket",), "AlarmTopicPolicy": ("AlarmTopic",), "FailedJobs": ("AlarmTopicPolicy",),
        "FailedSchedules": ("AlarmTopicPolicy",), "Job": ("JobRole",),
    }  # fmt: skip
    (policy,) = [one.properties for one in resources if one.id == "AlarmTopicPolicy"]
    conditions = {one["Sid"]: "Condition" in one for one in policy["PolicyDocument"]["Statement"]}
    assert conditions == {"Events": False, "Alarms": True}


def test_a_crawler_cannot_stand_in_the_way_of_a_registered_table(resources):
    crawlers = [one for one in resources if one.type == "AWS::Glue::Crawler"]
    for one in crawlers:
        (target,) = one.properties["Targets"]["S3Targets"]
        assert "**/_manifest/**" in target["Exclusions"]
        assert one.properties["TablePrefix"] == "crawled_"
        assert json.loads(one.properties["Configuration"])["Grouping"] == {
            "TableGroupingPolicy": "CombineCompatibleSchemas"
        }
        assert "Schedule" not in one.properties
    paths = [one.properties["Targets"]["S3Targets"][0]["Path"] for one in crawlers]
    assert "s3://pp-dw-123456789012/bronze/fda-cder/products/" in paths
    assert {"s3://pp-dw-123456789012/gold/fda-all-ndcs/", "s3://pp-dw-123456789012/silver/fda-all-ndcs/"} <= {*paths}
    assert not [one for one in resources if one.type == "AWS::Glue::Table"]


def test_a_schedule_is_disabled_unless_the_dataset_enables_it(resources, warehouse):
    schedules = [one for one in resources if one.type == "AWS::Scheduler::Schedule"]
    assert {one.properties["State"] for one in schedules} == {"DISABLED"}
    target = one_of(resources, "Scheduler::Schedule", "pp-dw-bronze-fda-nsde")["Target"]
    assert target["Arn"] == "arn:aws:scheduler:::aws-sdk:glue:startJobRun"
    assert json.loads(target["Input"]) == {"JobName": "pp-dw-bronze-fda-nsde"}
    assert target["DeadLetterConfig"] == {"Arn": "arn:aws:sqs:eu-west-2:123456789012:pp-dw-schedule-dlq"}
    warehouse.configure("fda-nsde", lambda config: config["schedule"].update(enabled=True))
    told = warehouse.command("plan", "--account", "123456789012")
    states = {
        one["name"]: one["properties"]["State"] for one in told.figures["resources"] if "Schedule:" in one["type"]
    }
    states = {one["name"]: one["properties"]["State"] for one in told.figures["resources"] if one["id"] == "Schedule"}
    assert states.pop("pp-dw-bronze-fda-nsde") == "ENABLED"
    assert {*states.values()} == {"DISABLED"}


def test_what_cannot_be_deployed_is_told_in_one_list(warehouse):
    long = "a" * 50
    warehouse.configure("fda-nsde", lambda config: config["schedule"].update(expression="cron(0 6 * * *)"))
    warehouse.configure("fda-cder", lambda config: config["schedule"].update(expression="cron(0 6 1 * 2 *)"))
    warehouse.configure("rxclass", lambda config: config.update(data_size_category="huge"))
    small = {
        "source_url": "https://x.org/a.zip", "file_table_mapping": {"a.csv": long},
        "column_schema": {long: {"A": {"target_name": "a"}}},
    }  # fmt: skip
    (warehouse.etl / long).mkdir()
    (warehouse.etl / long / "config.json").write_text(json.dumps({"dataset": long, **small}))
    tables = {"file_table_mapping": {"a.csv": "ndcs", "b.csv": "x"}, "column_schema": {
        name: {"A": {"target_name": "a"}} for name in ("ndcs", "x")
    }}  # fmt: skip
    (warehouse.etl / "fda-all").mkdir()
    (warehouse.etl / "fda-all" / "config.json").write_text(json.dumps({"dataset": "fda-all", **small, **tables}))
    for command in ("check", "plan"):
        refused = warehouse.command(command)
        assert refused.exit_code == 2
        for words in (
            "'cron(0 6 * * *)' has 5 fields", "exactly one of day of month and day of week must be ?",
            "data_size_category is 'huge'",
            f"the name pp-dw-bronze-{long}-role has 68 characters, of which AWS takes 64",
            "fda-all and fda-all-ndcs would both have the table fda_all_ndcs",
        ):  # fmt: skip
            assert words in refused.text, refused.text


@pytest.mark.parametrize("text", [
    "cron(0 6 * * ? *)", "cron(0/15 8-18 ? * MON-FRI *)", "cron(0 10 L * ? *)", "cron(0 10 ? * 6L *)",
    "cron(0 10 ? * 2#1 2026-2030)", "cron(15 10 3W * ? *)", "cron(5,10 6 1,15 jan,JUL ? *)", "rate(1 day)",
    "rate(5 minutes)", "cron(*/5 * * * ? *)",
])  # fmt: skip
def test_an_expression_that_aws_takes(text):
    assert [*problems_of_expression(text)] == []


@pytest.mark.parametrize("text", [
    "", "0 6 * * ? *", "cron(0 6 * * *)", "cron(0 6 * * * *)", "cron(0 6 ? * ? *)", "cron(60 6 * * ? *)",
    "cron(0 24 * * ? *)", "cron(0 6 32 * ? *)", "cron(0 6 * 13 ? *)", "cron(0 6 ? * 8 *)", "cron(0 6 * * ? 1969)",
    "cron(0 6 5-1 * ? *)",
    "cron(0 6 1-2-3 * ? *)", "cron(? 6 * * ? *)", "cron(0 6 * FOO ? *)", "cron(0/0 6 * * ? *)", "cron(0 6 -1 * ? *)",
    "cron(0, 6 * * ? *)",
    "cron(0 6 ? * 2#6 *)", "rate(1 days)", "rate(2 day)", "rate(0 days)", "rate(1 week)", "cron(0 6 * * ? *) ",
    "cron(٠ 6 * * ? *)",
])  # fmt: skip
def test_an_expression_that_aws_refuses(text):
    assert [*problems_of_expression(text)]


def test_what_glue_gets_is_what_is_tested_here():
    pinned = (PROJECT_DIR / "constraints.txt").read_text().splitlines()
    assert {*GLUE_MODULES} <= {*pinned}
