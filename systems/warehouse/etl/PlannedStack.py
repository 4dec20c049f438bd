"""A stack of planned resources, and of files that are brought into the bucket."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aws_cdk import Aws, CfnResource, RemovalPolicy, Stack
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as deployment
from constructs import Construct

from warehouse.configuration import CoreConfig
from warehouse.naming import bucket_name
from warehouse.plan import Resource

_THE_SAME_EACH_TIME = (1980, 1, 1, 0, 0, 0)


class PlannedStack(Stack):
    """A stack whose resources the plan names."""

    def __init__(self, scope: Construct, name: str, resources: Iterable[Resource], core: CoreConfig) -> None:
        """Make the plan's resources of this stack."""
        super().__init__(scope, name, stack_name=name)
        self._bucket_name = bucket_name(core, Aws.ACCOUNT_ID)
        self.planned: dict[str, CfnResource] = {}
        own = [one for one in resources if one.stack == name]
        for one in own:
            made = CfnResource(self, one.id, type=one.type, properties=dict(one.properties))
            if one.is_retained:  # but not by a deployment that fails and would find it in its way the next time
                made.apply_removal_policy(RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)
            self.planned[one.id] = made
        for one in own:
            for needed in one.after:
                self.planned[one.id].add_dependency(self.planned[needed])

    def bring(self, prefix: str, files: Mapping[str, str], *folders: Path) -> deployment.BucketDeployment:
        """Bring texts and what folders hold into the bucket below a prefix; what else lies there stays."""
        sources: list[Any] = [deployment.Source.data(name, text) for name, text in files.items()]
        sources += [deployment.Source.asset(str(folder)) for folder in folders]
        bucket = s3.Bucket.from_bucket_name(self, "Files", self._bucket_name)
        return deployment.BucketDeployment(
            self, "Code", sources=sources, destination_bucket=bucket, destination_key_prefix=prefix, prune=False
        )


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write files into an archive that is the same each time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _THE_SAME_EACH_TIME), content, zipfile.ZIP_DEFLATED)
