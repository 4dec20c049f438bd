"""The tables of bms-admin, mirrored; nothing here creates, changes or drops one.

The four models and their fields are those of the founding document, quoted `db_table` included. `agency` is a number to
us: the stub's table is never read.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models


class NoMigrations:
    """A router that lets no migration touch the database."""

    def allow_migrate(self, *_arguments: Any, **_hints: Any) -> bool:
        """Refuse every migration."""
        return False


class Agency(models.Model):
    """Whose file it is: a stub."""

    id = models.AutoField(primary_key=True)

    class Meta:
        """Managed by bms-admin."""

        managed = False
        db_table = '"reporting"."agency"'

    def __str__(self) -> str:
        """Return its number."""
        return str(self.pk)


class MonitoringFileSchemaDefinition(models.Model):
    """What a file must look like, as JSON."""

    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=255, blank=False, unique=True)
    description = models.TextField(blank=True, null=True)
    definition = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        """Managed by bms-admin."""

        managed = False
        db_table = '"reporting"."monitoring_file_schema_definition"'

    def __str__(self) -> str:
        """Return its name."""
        return self.name


class MonitoringFile(models.Model):
    """A file that is expected to arrive again and again."""

    id = models.AutoField(primary_key=True)
    s3_url = models.CharField(max_length=250, blank=True)
    file_name = models.CharField(max_length=250, blank=False)
    range = models.CharField(max_length=20, blank=False)
    is_active = models.BooleanField(default=False, blank=True)
    agency = models.ForeignKey(Agency, models.PROTECT, null=True, db_constraint=False)
    agency_slug = models.CharField(max_length=255, null=False)
    notify_slack = models.BooleanField(default=False)
    is_missing = models.BooleanField(default=False)
    latest_data_quality_score = models.IntegerField(null=True, blank=True)
    if settings.MONITOR.has_schema_definition:  # the column may be absent: HAS_SCHEMA_DEFINITION=false
        schema_definition = models.ForeignKey(MonitoringFileSchemaDefinition, on_delete=models.SET_NULL, null=True)

    class Meta:
        """Managed by bms-admin."""

        managed = False
        db_table = '"reporting"."monitoring_file"'

    def __str__(self) -> str:
        """Return whose file it is and its name."""
        return f"{self.agency_slug}/{self.file_name}"


class MonitoringFileRun(models.Model):
    """One arrival of a file: its date and hour."""

    id = models.AutoField(primary_key=True)
    monitoring_file = models.ForeignKey(
        MonitoringFile, on_delete=models.CASCADE, related_name="monitoring_file_runs", db_column="monitoring_file_id"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    file_size = models.BigIntegerField(blank=True)
    run_date = models.DateField(blank=True)
    run_hour = models.IntegerField(blank=False)

    class Meta:
        """Managed by bms-admin."""

        managed = False
        db_table = '"reporting"."monitoring_file_run"'

    def __str__(self) -> str:
        """Return its hour."""
        return f"{self.run_date} {self.run_hour:02}"


class MonitoringFileDataQuality(models.Model):
    """What an arrival was worth."""

    id = models.AutoField(primary_key=True)
    monitoring_file_run = models.OneToOneField(
        MonitoringFileRun, on_delete=models.CASCADE, related_name="data_quality", db_column="monitoring_file_run_id"
    )
    score = models.IntegerField()
    passed = models.BooleanField(default=False)
    metrics = models.JSONField(default=dict)
    deductions = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Managed by bms-admin."""

        managed = False
        db_table = '"reporting"."monitoring_file_data_quality"'

    def __str__(self) -> str:
        """Return its score."""
        return str(self.score)
