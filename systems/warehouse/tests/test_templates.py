"""The templates: CDK renders the plan, and nothing but the plan and what brings files into the bucket."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from warehouse.configuration import read_configuration
from warehouse.plan import RUNTIME_KEY, Place, plan, problems
from warehouse.warehouse_settings import ETL_DIR, SYSTEM_DIR

pytestmark = pytest.mark.xdist_group("templates")  # they are made once
SYNTH_SECONDS = 120


@pytest.fixture(scope="module")
def cdk():
    """The app's module, which needs Node; it stays out of every other test."""
    sys.path.insert(0, str(ETL_DIR))
    import app

    yield app
    sys.path.remove(str(ETL_DIR))


@pytest.fixture(scope="module")
def stacks(cdk, tmp_path_factory):
    folder = tmp_path_factory.mktemp("templates")
    app = cdk.App(outdir=str(folder))
    found = cdk.build(app, read_configuration(ETL_DIR, problems))
    app.synth()
    return found, folder


def test_each_planned_resource_is_in_its_stacks_template(stacks):
    from aws_cdk.assertions import Match, Template

    found, _ = stacks
    made = {}
    for one in plan(read_configuration(ETL_DIR, problems), Place()):
        made.setdefault(one.stack, []).append(one)
    assert made.keys() == found.keys()
    for name, resources in made.items():
        template = Template.from_stack(found[name])
        for kind in {one.type for one in resources}:
            brought = 1 if kind == "AWS::IAM::Role" else 0  # of the function that brings the files
            template.resource_count_is(kind, len([one for one in resources if one.type == kind]) + brought)
    core = Template.from_stack(found["pp-dw-etl-core"])
    core.has_resource("AWS::S3::Bucket", {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"})
    core.has_resource("AWS::S3::BucketPolicy", {"DependsOn": ["Bucket"]})
    core.has_output("BucketName", {"Export": {"Name": "pp-dw-bucket-name"}})
    core.has_output("GlueRoleArn", {"Export": {"Name": "pp-dw-glue-role-arn"}})
    template = Template.from_stack(found["pp-dw-etl-fda-nsde"])
    template.has_resource_properties("AWS::Glue::Job", {
        "Name": "pp-dw-bronze-fda-nsde",
        "DefaultArguments": Match.object_like({"--dataset": "fda-nsde", "--run_id": "now"}),
    })  # fmt: skip
    for stack in found.values():
        Template.from_stack(stack).all_resources_properties("Custom::CDKBucketDeployment", {"Prune": False})


def test_stacks_come_after_those_that_they_need(stacks):
    found, folder = stacks
    artifacts = json.loads((folder / "manifest.json").read_text())["artifacts"]
    needs = {name: {*artifacts[name]["dependencies"]} & found.keys() for name in found}
    assert needs["pp-dw-etl-core"] == set()
    assert needs["pp-dw-etl-fda-nsde"] == {"pp-dw-etl-core"}
    assert needs["pp-dw-etl-fda-all-ndcs"] == {"pp-dw-etl-core", "pp-dw-etl-fda-nsde", "pp-dw-etl-fda-cder"}
    assert type(found["pp-dw-etl-fda-all-ndcs"]).__name__ == "FdaAllNdcsStack"


def test_what_a_job_imports_is_in_the_archive_and_is_enough(stacks):
    _, folder = stacks
    files = {path.name: path for path in folder.rglob("*") if path.is_file() and "asset." in str(path)}
    runtime = files[Path(RUNTIME_KEY).name]
    with zipfile.ZipFile(io.BytesIO(runtime.read_bytes())) as archive:
        names = archive.namelist()
    assert {"warehouse/bronze.py", "warehouse/silver/fda_all_ndcs.py", "etlkit/logs.py"} <= {*names}
    assert not [name for name in names if name.startswith("etlkit/") and name.count("/") > 1]
    for script in ("bronze_job", "gold_job"):
        places = [str(runtime), str(ETL_DIR / "shared" / "glue")]
        code = f"import sys; sys.path[:0] = {places!r}; import {script}, etlkit; print(etlkit.__file__)"
        done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, "warehouse.zip/etlkit" in done.stdout) == (0, True), done.stderr


def test_a_dataset_may_have_a_stack_and_a_script_of_its_own(cdk, warehouse, tmp_path):
    own = warehouse.etl / "fda-nsde"
    (own / "FdaNsdeStack.py").write_text(
        "from aws_cdk import CfnOutput\nfrom DatasetStack import DatasetStack\n\n\n"
        "class FdaNsdeStack(DatasetStack):\n    def __init__(self, *arguments):\n        super().__init__(*arguments)\n"
        "        CfnOutput(self, 'Own', value='x')\n"
    )
    (own / "glue").mkdir()
    (own / "glue" / "bronze_job.py").write_text("print('a script of its own')\n")
    app = cdk.App(outdir=str(tmp_path / "templates"))
    found = cdk.build(app, read_configuration(warehouse.etl, problems), warehouse.etl)
    app.synth()
    template = json.loads((tmp_path / "templates" / "pp-dw-etl-fda-nsde.template.json").read_text())
    assert "Own" in template["Outputs"]
    assert type(found["pp-dw-etl-fda-cder"]).__mro__[1] is cdk.DatasetStack
    texts = [path.read_bytes() for path in (tmp_path / "templates").rglob("*") if path.is_file()]
    assert [text for text in texts if b"a script of its own" in text]


def test_the_app_synthesises_as_a_command_and_again_the_same(tmp_path):
    templates = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        done = subprocess.run(
            [sys.executable, "etl/app.py"], cwd=SYSTEM_DIR,
            env={"CDK_OUTDIR": str(folder), "PATH": "", "HOME": str(tmp_path)},
            capture_output=True, text=True, timeout=SYNTH_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        templates.append({path.name: path.read_text() for path in folder.glob("*.template.json")})
    assert templates[0] == templates[1]
    assert len(templates[0]) == 10
