"""What all datasets share: bucket, databases, roles, alarms; and the code that their jobs import."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from aws_cdk import CfnOutput
from constructs import Construct
from PlannedStack import PlannedStack, write_zip

import etlkit
import warehouse
from warehouse.configuration import CONFIG_NAME, CoreConfig
from warehouse.plan import RUNTIME_KEY, Place, Resource, shared_role_name

KIT_FILES = ("__init__.py", "errors.py", "logs.py", "process.py")
"""What a job may take of the kit: `errors` and `logs`, which needs `process` itself."""


class EtlCoreStack(PlannedStack):
    """The stack that all others need."""

    def __init__(self, scope: Construct, name: str, resources: Iterable[Resource], core: CoreConfig, etl: Path) -> None:
        """Make the shared resources, and bring configuration, shared scripts and code into the bucket."""
        super().__init__(scope, name, resources, core)
        place = Place(self.account, self.region, self.partition)
        prefix = core.etl_resource_prefix
        role_arn = place.arn("iam", f"role/{shared_role_name(core)}", is_global=True)
        CfnOutput(self, "BucketName", value=self._bucket_name, export_name=f"{prefix}-bucket-name")
        CfnOutput(self, "GlueRoleArn", value=role_arn, export_name=f"{prefix}-glue-role-arn")
        texts = {CONFIG_NAME: (etl / CONFIG_NAME).read_text(encoding="utf-8")}
        with tempfile.TemporaryDirectory() as folder:
            runtime = Path(folder) / Path(RUNTIME_KEY).relative_to("etl")
            runtime.parent.mkdir(parents=True)
            write_zip(runtime, runtime_files())
            self.bring("etl", texts, Path(folder)).node.add_dependency(self.planned["Bucket"])


def runtime_files() -> dict[str, bytes]:
    """Return the code that a job imports, by its place in the archive."""
    ours, kit = Path(warehouse.__path__[0]), Path(etlkit.__path__[0])
    files = {f"warehouse/{path.relative_to(ours).as_posix()}": path.read_bytes() for path in ours.rglob("*.py")}
    return files | {f"etlkit/{name}": (kit / name).read_bytes() for name in KIT_FILES}
