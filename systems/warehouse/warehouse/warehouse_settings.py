"""The settings: where the warehouse lies, where its configuration is, how long sources are waited for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from etlkit.settings import AwsSettings, Settings
from warehouse.sources.download import Patience

SYSTEM_DIR = Path(__file__).resolve().parent.parent
PROJECT_DIR = SYSTEM_DIR.parent.parent
ENV_FILE = SYSTEM_DIR / ".env"
ETL_DIR = SYSTEM_DIR / "etl"
PREFIXES = ("WAREHOUSE_", "UMLS_")


class WarehouseSettings(Settings):
    """Everything that a command may need; a flag of the same name wins."""

    warehouse_target: str = str(SYSTEM_DIR / "warehouse_data")
    warehouse_etl_dir: Path = ETL_DIR
    warehouse_engine: Literal["duckdb", "spark"] = Field(default="duckdb", description="duckdb or spark")
    warehouse_spark_jars: Path = PROJECT_DIR / ".local" / "spark_jars"
    warehouse_attempts: int = Field(default=4, ge=1, le=20, description="a number from 1 to 20")
    warehouse_backoff_seconds: float = Field(default=1.0, ge=0, le=600, description="seconds from 0 to 600")
    warehouse_read_seconds: float = Field(default=60.0, gt=0, le=3600, description="seconds above 0")
    warehouse_download_seconds: float = Field(default=1800.0, gt=0, le=86400, description="seconds above 0")
    warehouse_lock_seconds: float = Field(default=120.0, ge=1, le=3600, description="seconds from 1 to 3600")
    warehouse_register_tables: bool = Field(default=False, description="yes or no")
    umls_api_key: SecretStr | None = None
    umls_api_key_secret_id: str | None = None
    warehouse_log_file: Path = SYSTEM_DIR / "warehouse.log"

    @property
    def patience(self) -> Patience:
        """Return how often and how long a source is asked."""
        return Patience(
            attempts=self.warehouse_attempts,
            backoff_seconds=self.warehouse_backoff_seconds,
            read_seconds=self.warehouse_read_seconds,
            whole_seconds=self.warehouse_download_seconds,
        )


EVERY_SETTING = (WarehouseSettings, AwsSettings)
