"""The plan: in comes the configuration, out go the resources of AWS that would be deployed, as plain data.

CDK only renders it, so that names, arguments and policies are tested without Node, and every name is computed in one
place for the code that runs and for what it runs on. Nothing is touched.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from warehouse.bucket_url import bucket_and_prefix
from warehouse.configuration import Configuration, CoreConfig, DatasetConfig, GoldConfig, table_names
from warehouse.naming import bucket_name, crawler_names, database_name, job_name, table_prefix
from warehouse.silver.rules import problems_of_rules

LAYERS = ("bronze", "silver", "gold")
RUNTIME_KEY = "etl/shared/runtime/warehouse.zip"
LOG_DAYS = 90
TEMP_DAYS = 7
OLD_VERSION_DAYS = 30
LONGEST_GLUE_NAME = 255
LONGEST_ROLE_NAME = 64
"""Of a role, and of a schedule."""
CRAWLED = "crawled_"
"""How the tables begin that a crawler makes: it always makes some, and they must not stand in the way of ours."""
NOW = "now"
GLUE_MODULES = (
    "ibis-framework==12.0.0", "sqlglot==30.30.0", "toolz==1.2.0", "parsy==2.2", "atpublic==9.0.0", "packaging==26.3",
    "rich==15.0.0", "pyarrow-hotfix==0.7", "pydantic==2.14.3", "tenacity==9.2.1", "boto3==1.44.5",
)  # fmt: skip
"""What Glue 5.0 lacks, or has too old: its boto3 knows no conditional writes. Without `ibis-framework[pyspark]`, which
would bring a second Spark."""
_FULL_ACCESS = (
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)


@dataclass(frozen=True)
class Place:
    """Where something is deployed; CDK puts its own words for what is known only then."""

    account: str = "000000000000"
    region: str = "us-east-1"
    partition: str = "aws"

    def arn(self, service: str, resource: str, *, is_global: bool = False) -> str:
        """Return a resource's name for policies."""
        region, account = ("", "") if service == "s3" else ("" if is_global else self.region, self.account)
        return f"arn:{self.partition}:{service}:{region}:{account}:{resource}"


@dataclass(frozen=True)
class Resource:
    """One resource, as CloudFormation has it."""

    stack: str
    id: str
    """What it is called in its stack's template."""
    type: str
    name: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""
    """What a person wants to know of it."""
    is_retained: bool = False
    """Whether it stays when its stack goes."""
    after: tuple[str, ...] = ()
    """What of its stack must be there before it: names in texts tell CloudFormation nothing."""


def core_stack(core: CoreConfig) -> str:
    """Return the name of the stack that all others need."""
    return f"{core.etl_resource_prefix}-etl-core"


def dataset_stack(core: CoreConfig, dataset: str) -> str:
    """Return the name of a dataset's stack."""
    return f"{core.etl_resource_prefix}-etl-{dataset}"


def script_key(dataset: DatasetConfig | GoldConfig) -> str:
    """Return where a dataset's job script lies in the bucket."""
    return f"etl/{dataset.dataset}/glue/{dataset.layer}_job.py"


def plan(configuration: Configuration, place: Place) -> list[Resource]:
    """Return every resource, stack by stack."""
    made = [*_Core(configuration.core, place).resources()]
    for dataset in configuration.datasets.values():
        made += _Dataset(configuration.core, dataset, place).resources()
    return made


def problems(
    core: CoreConfig | None, datasets: Mapping[str, DatasetConfig | GoldConfig], unread: Collection[str]
) -> Iterator[str]:
    """Yield what cannot be deployed or run, though each file is right by itself."""
    yield from problems_of_rules(datasets, unread)
    if core is None:
        return
    for dataset in datasets.values():
        for name, longest in _names_with_limits(core, dataset):
            if len(name) > longest:
                yield f"{dataset.dataset}: the name {name} has {len(name)} characters, of which AWS takes {longest}"


def _names_with_limits(core: CoreConfig, dataset: DatasetConfig | GoldConfig) -> Iterator[tuple[str, int]]:
    """Yield the names of a dataset's resources, with how long each may be."""
    job = job_name(core, dataset.layer, dataset.dataset)
    yield job, LONGEST_ROLE_NAME  # its schedule is called so, too
    yield f"{job}-role", LONGEST_ROLE_NAME
    for name in (*crawler_names(core, dataset).values(), *table_names(dataset).values()):
        yield name, LONGEST_GLUE_NAME


def _statement(sid: str, actions: Sequence[str], resources: Sequence[str], **conditions: Any) -> dict[str, Any]:
    """Return one permission."""
    allowed = {"Sid": sid, "Effect": "Allow", "Action": [*actions], "Resource": [*resources]}
    return {**allowed, **({"Condition": conditions} if conditions else {})}


def _role(
    stack: str, id_: str, name: str, service: str, statements: Sequence[Mapping[str, Any]], place: Place
) -> Resource:
    """Return a role that a service of this account may take, with nothing but its own permissions."""
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": place.account}},
    }
    properties = {
        "RoleName": name,
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
        "Policies": [{"PolicyName": "own", "PolicyDocument": {"Version": "2012-10-17", "Statement": [*statements]}}],
    }
    return Resource(stack, id_, "AWS::IAM::Role", name, properties, f"{len(statements)} permissions")


class _Core:
    """What all datasets share."""

    def __init__(self, core: CoreConfig, place: Place) -> None:
        self._core, self._place = core, place
        self._stack = core_stack(core)
        self._prefix = core.etl_resource_prefix
        self._bucket = bucket_name(core, place.account)

    def resources(self) -> Iterator[Resource]:
        """Yield them."""
        yield from self._buckets()
        for layer in LAYERS:
            name = database_name(self._core, layer)
            given = {"CatalogId": self._place.account, "DatabaseInput": {"Name": name}}
            yield self._one(f"{layer.title()}Database", "AWS::Glue::Database", name, given)
        yield self._shared_role()
        group = log_group(self._core)
        kept = {"LogGroupName": group, "RetentionInDays": LOG_DAYS}
        yield self._one("JobLogs", "AWS::Logs::LogGroup", group, kept, f"kept {LOG_DAYS} days")
        yield from self._schedule_parts()
        yield from self._alarms()

    def _one(
        self, id_: str, type_: str, name: str, properties: Mapping[str, Any], detail: str = "", after: str = ""
    ) -> Resource:
        return Resource(self._stack, id_, type_, name, properties, detail, after=(after,) if after else ())

    def _buckets(self) -> Iterator[Resource]:
        """Yield the bucket, and that nobody reads it in clear."""
        rules = [
            {"Id": "temp", "Status": "Enabled", "Prefix": "temp/", "ExpirationInDays": TEMP_DAYS},
            {
                "Id": "old-versions", "Status": "Enabled",
                "NoncurrentVersionExpiration": {"NoncurrentDays": OLD_VERSION_DAYS},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": TEMP_DAYS},
            },
        ]  # fmt: skip
        properties = {
            "BucketName": self._bucket,
            "BucketEncryption": {
                "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
            "PublicAccessBlockConfiguration": dict.fromkeys(
                ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
            ),
            "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            "VersioningConfiguration": {"Status": "Enabled"},
            "LifecycleConfiguration": {"Rules": rules},
        }
        told = f"temp/ expires after {TEMP_DAYS} days; stays when the stack goes"
        yield Resource(self._stack, "Bucket", "AWS::S3::Bucket", self._bucket, properties, told, is_retained=True)
        arn = self._place.arn("s3", self._bucket)
        deny = {
            "Sid": "EncryptedConnectionsOnly", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*",
            "Resource": [arn, f"{arn}/*"], "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }  # fmt: skip
        policy = {"Bucket": self._bucket, "PolicyDocument": {"Version": "2012-10-17", "Statement": [deny]}}
        yield self._one(
            "BucketPolicy", "AWS::S3::BucketPolicy", self._bucket, policy, "connections over TLS only", "Bucket"
        )

    def _shared_role(self) -> Resource:
        """Return the role of all crawlers: it reads tables, and writes none but those that are called after it."""
        place, arn = self._place, self._place.arn("s3", self._bucket)
        databases = [database_name(self._core, layer) for layer in LAYERS]
        tables = [place.arn("glue", f"table/{name}/{CRAWLED}*") for name in databases]
        statements = [
            _statement("ListTables", ["s3:ListBucket", "s3:GetBucketLocation"], [arn]),
            _statement("ReadTables", ["s3:GetObject"], [f"{arn}/{layer}/*" for layer in LAYERS]),
            _statement(
                "OwnTables",
                ["glue:GetDatabase", "glue:GetTable", "glue:GetTables", "glue:CreateTable", "glue:UpdateTable",
                 "glue:GetPartition", "glue:GetPartitions", "glue:BatchGetPartition", "glue:BatchUpdatePartition",
                 "glue:CreatePartition", "glue:BatchCreatePartition", "glue:UpdatePartition"],
                [place.arn("glue", "catalog"), *(place.arn("glue", f"database/{name}") for name in databases), *tables],
            ),
            _logs_statement(place, ["/aws-glue/crawlers"]),
        ]  # fmt: skip
        return _role(self._stack, "SharedRole", shared_role_name(self._core), "glue", statements, place)

    def _schedule_parts(self) -> Iterator[Resource]:
        """Yield what every schedule needs: where a start goes that did not work, and who may start jobs."""
        place, queue = self._place, f"{self._prefix}-schedule-dlq"
        yield self._one(
            "ScheduleDeadLetters", "AWS::SQS::Queue", queue,
            {"QueueName": queue, "SqsManagedSseEnabled": True, "MessageRetentionPeriod": 1_209_600},
            "starts that did not work, kept 14 days",
        )  # fmt: skip
        statements = [
            _statement("StartJobs", ["glue:StartJobRun"], [place.arn("glue", f"job/{self._prefix}-*")]),
            _statement("DeadLetters", ["sqs:SendMessage"], [place.arn("sqs", queue)]),
        ]
        yield _role(self._stack, "ScheduleRole", schedule_role_name(self._core), "scheduler", statements, place)

    def _alarms(self) -> Iterator[Resource]:
        """Yield who is told of a failed job, of one that ran too long, and of a start that did not work."""
        place, topic = self._place, f"{self._prefix}-alarms"
        topic_arn = place.arn("sns", topic)
        yield self._one("AlarmTopic", "AWS::SNS::Topic", topic, {"TopicName": topic}, "subscribe to it to be told")
        allowed = {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic_arn}
        # a condition here would have EventBridge's events dropped in silence
        events = {**allowed, "Sid": "Events", "Principal": {"Service": "events.amazonaws.com"}}
        alarms = {
            **allowed, "Sid": "Alarms", "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Condition": {"StringEquals": {"aws:SourceAccount": place.account}},
        }  # fmt: skip
        policy = {"Topics": [topic_arn], "PolicyDocument": {"Version": "2012-10-17", "Statement": [events, alarms]}}
        yield self._one("AlarmTopicPolicy", "AWS::SNS::TopicPolicy", topic, policy, after="AlarmTopic")
        rule = f"{self._prefix}-failed-jobs"
        pattern = {
            "source": ["aws.glue"],
            "detail-type": ["Glue Job State Change"],
            "detail": {"jobName": [{"prefix": f"{self._prefix}-"}], "state": ["FAILED", "TIMEOUT", "ERROR", "STOPPED"]},
        }
        target = [{"Id": "alarms", "Arn": topic_arn}]
        given = {"Name": rule, "EventPattern": pattern, "State": "ENABLED", "Targets": target}
        yield self._one(
            "FailedJobs", "AWS::Events::Rule", rule, given, "jobs that failed or ran too long", "AlarmTopicPolicy"
        )
        alarm = f"{self._prefix}-schedules-that-failed"
        queue = {"Name": "QueueName", "Value": f"{self._prefix}-schedule-dlq"}
        metric = {
            "AlarmName": alarm, "Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible",
            "Dimensions": [queue], "Statistic": "Maximum", "Period": 300, "EvaluationPeriods": 1, "Threshold": 0,
            "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
            "AlarmActions": [topic_arn],
        }  # fmt: skip
        yield self._one(
            "FailedSchedules", "AWS::CloudWatch::Alarm", alarm, metric, "a start that did not work", "AlarmTopicPolicy"
        )


class _Dataset:
    """What one dataset has for itself."""

    def __init__(self, core: CoreConfig, dataset: DatasetConfig | GoldConfig, place: Place) -> None:
        self._core, self._dataset, self._place = core, dataset, place
        self._stack = dataset_stack(core, dataset.dataset)
        self._job = job_name(core, dataset.layer, dataset.dataset)
        self._bucket = bucket_name(core, place.account)
        self._bucket_arn = place.arn("s3", self._bucket)

    def resources(self) -> Iterator[Resource]:
        """Yield them."""
        yield _role(self._stack, "JobRole", f"{self._job}-role", "glue", [*self._permissions()], self._place)
        yield self._glue_job()
        for number, (table, name) in enumerate(crawler_names(self._core, self._dataset).items()):
            yield self._crawler(f"Crawler{number}", table, name)
        if self._dataset.schedule:
            yield self._schedule(self._dataset.schedule.expression, is_enabled=self._dataset.schedule.enabled)

    def _own_keys(self) -> list[str]:
        """Return the prefixes that a job writes, which are its own."""
        name, layers = self._dataset.dataset, self._dataset.layers
        raw = [f"raw/{name}/"] if isinstance(self._dataset, DatasetConfig) else []
        return [
            *raw, *(f"{layer}/{name}/" for layer in layers), *(f"archive/{layer}/{name}/" for layer in layers),
            f"quarantine/{name}/", f"temp/{name}/", f"spark-logs/{name}/",
        ]  # fmt: skip

    def _read_keys(self) -> list[str]:
        """Return the prefixes that a job only reads: its code and configuration, and the tables that it is made of."""
        sources = self._dataset.source_datasets if isinstance(self._dataset, GoldConfig) else ()
        read = [f"{start}bronze/{name}/" for name in sources for start in ("", "archive/")]
        return [f"etl/{self._dataset.dataset}/", "etl/shared/", *read]

    def _permissions(self) -> Iterator[dict[str, Any]]:
        """Yield what the job may do."""
        place, arn, name = self._place, self._bucket_arn, self._dataset.dataset
        own, read = self._own_keys(), self._read_keys()
        # of the whole bucket: else a key that is not there, as a free lock, would be refused in place of missing
        yield _statement("List", ["s3:ListBucket"], [arn])
        yield _statement(
            "WriteOwn", _FULL_ACCESS, [*(f"{arn}/{prefix}*" for prefix in own), f"{arn}/locks/{name}.json"]
        )
        marks = [f"{arn}/*_$folder$"]  # empty objects by which Hadoop remembers folders, beside a prefix
        yield _statement("FolderMarks", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], marks)
        yield _statement("Read", ["s3:GetObject"], [f"{arn}/etl/config.json", *(f"{arn}/{prefix}*" for prefix in read)])
        yield from self._source_permissions()
        databases = sorted({database_name(self._core, layer) for layer in self._dataset.layers})
        tables = [
            place.arn("glue", f"table/{database}/{table}")
            for database, table in registered_tables(self._core, self._dataset)
        ]
        yield _statement(
            "OwnTables",
            ["glue:GetTable", "glue:CreateTable", "glue:UpdateTable", "glue:DeleteTable"],
            [place.arn("glue", "catalog"), *(place.arn("glue", f"database/{one}") for one in databases), *tables],
        )
        yield _logs_statement(place, [log_group(self._core), "/aws-glue/jobs"])
        yield _statement("Metrics", ["cloudwatch:PutMetricData"], ["*"], StringEquals={"cloudwatch:namespace": "Glue"})
        release = self._dataset.nlm_release if isinstance(self._dataset, DatasetConfig) else None
        if release and release.secret_id:
            secret = place.arn("secretsmanager", f"secret:{release.secret_id}-??????")
            yield _statement("Key", ["secretsmanager:GetSecretValue"], [secret])

    def _source_permissions(self) -> Iterator[dict[str, Any]]:
        """Yield what reading a source in another bucket needs."""
        source = self._dataset.source_prefix if isinstance(self._dataset, DatasetConfig) else None
        if source and "://" in source:
            bucket, prefix = bucket_and_prefix(source)
            arn = self._place.arn("s3", bucket)
            condition = {"StringLike": {"s3:prefix": [f"{prefix}*"]}}
            yield _statement("ListSource", ["s3:ListBucket"], [arn], **condition)
            yield _statement("ReadSource", ["s3:GetObject"], [f"{arn}/{prefix}*"])

    def _glue_job(self) -> Resource:
        """Return the job."""
        defaults, size = self._core.glue_defaults, self._core.glue_worker_configs[self._dataset.data_size_category]
        name = self._dataset.dataset
        arguments = {
            **defaults.default_arguments,
            **{f"--{key}": value for key, value in own_arguments(self._core, self._dataset, self._bucket).items()},
            "--extra-py-files": f"s3://{self._bucket}/{RUNTIME_KEY}",
            "--additional-python-modules": ",".join(GLUE_MODULES),
            "--job-bookmark-option": "job-bookmark-disable",
            "--TempDir": f"s3://{self._bucket}/temp/{name}/",
            "--spark-event-logs-path": f"s3://{self._bucket}/spark-logs/{name}/",
        }
        properties = {
            "Name": self._job,
            "Description": self._dataset.description,
            "Role": self._place.arn("iam", f"role/{self._job}-role", is_global=True),
            "Command": {
                "Name": "glueetl",
                "PythonVersion": defaults.python_version,
                "ScriptLocation": f"s3://{self._bucket}/{script_key(self._dataset)}",
            },
            "GlueVersion": defaults.version,
            "WorkerType": size.worker_type,
            "NumberOfWorkers": size.number_of_workers,
            "Timeout": defaults.timeout_minutes,
            "MaxRetries": defaults.max_retries,
            "ExecutionProperty": {"MaxConcurrentRuns": 1},
            "DefaultArguments": arguments,
        }
        told = f"{size.worker_type} x {size.number_of_workers}, {defaults.timeout_minutes} minutes"
        return Resource(self._stack, "Job", "AWS::Glue::Job", self._job, properties, told, after=("JobRole",))

    def _crawler(self, id_: str, table: str, name: str) -> Resource:
        """Return a crawler that nobody starts: what it makes is called otherwise than what the job registers."""
        layer = (
            self._dataset.layers[self._dataset.tables.index(table)]
            if isinstance(self._dataset, GoldConfig)
            else "bronze"
        )
        path = f"s3://{self._bucket}/{table_prefix(self._dataset, table)}"
        properties = {
            "Name": name,
            "Role": self._place.arn("iam", f"role/{shared_role_name(self._core)}", is_global=True),
            "DatabaseName": database_name(self._core, layer),
            "TablePrefix": CRAWLED,
            "Targets": {"S3Targets": [{"Path": path, "Exclusions": ["**/_manifest/**", "_manifest/**"]}]},
            "Configuration": json.dumps(
                {
                    "Version": 1.0,
                    "Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"},
                    "CrawlerOutput": {
                        "Partitions": {"AddOrUpdateBehavior": "InheritFromTable"},
                        "Tables": {"AddOrUpdateBehavior": "MergeNewColumns"},
                    },
                },
                sort_keys=True,
            ),
            "SchemaChangePolicy": {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DEPRECATE_IN_DATABASE"},
        }
        return Resource(self._stack, id_, "AWS::Glue::Crawler", name, properties, "started by hand only")

    def _schedule(self, expression: str, *, is_enabled: bool) -> Resource:
        """Return when the job starts."""
        state = "ENABLED" if is_enabled else "DISABLED"
        queue = self._place.arn("sqs", f"{self._core.etl_resource_prefix}-schedule-dlq")
        properties = {
            "Name": self._job,
            "ScheduleExpression": expression,
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "State": state,
            "Target": {
                "Arn": f"arn:{self._place.partition}:scheduler:::aws-sdk:glue:startJobRun",
                "RoleArn": self._place.arn("iam", f"role/{schedule_role_name(self._core)}", is_global=True),
                "Input": json.dumps({"JobName": self._job}),
                "DeadLetterConfig": {"Arn": queue},
                "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600},
            },
        }
        return Resource(
            self._stack, "Schedule", "AWS::Scheduler::Schedule", self._job, properties, f"{expression}, {state}"
        )


def own_arguments(core: CoreConfig, dataset: DatasetConfig | GoldConfig, bucket: str) -> dict[str, str]:
    """Return the arguments that a job's script reads, by name."""
    databases = {f"{layer}_database": database_name(core, layer) for layer in dataset.layers}
    return {"dataset": dataset.dataset, "run_id": NOW, "bucket": bucket, **databases}


def registered_tables(core: CoreConfig, dataset: DatasetConfig | GoldConfig) -> list[tuple[str, str]]:
    """Return the database and the name of each table that the job registers."""
    names = table_names(dataset)
    if isinstance(dataset, GoldConfig):
        return [(database_name(core, layer), names[dataset.dataset]) for layer in dataset.layers]
    return [(database_name(core, dataset.layer), names[table]) for table in dataset.tables]


def shared_role_name(core: CoreConfig) -> str:
    """Return the name of the role that all crawlers take."""
    return f"{core.etl_resource_prefix}-glue-role"


def schedule_role_name(core: CoreConfig) -> str:
    """Return the name of the role that all schedules take."""
    return f"{core.etl_resource_prefix}-schedule-role"


def log_group(core: CoreConfig) -> str:
    """Return where the jobs' logs go."""
    return core.glue_defaults.default_arguments.get("--continuous-log-logGroup", f"/{core.etl_resource_prefix}/jobs")


def _logs_statement(place: Place, groups: Sequence[str]) -> dict[str, Any]:
    """Return that a job may write its logs."""
    arns = [place.arn("logs", f"log-group:{group}*") for group in groups]
    return _statement("Logs", ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"], arns)
