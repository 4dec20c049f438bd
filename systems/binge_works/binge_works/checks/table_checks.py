"""The promises of the tables as asset checks: those that block keep dependents from being filled, others warn."""

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg

from binge_works.asset_runs import key_of, told_to_dagster
from binge_works.binge_settings import BingeSettings, load_binge_settings
from binge_works.data_checks import CHECKS, DataCheck
from binge_works.resources.PostgreSQLResource import PostgreSQLResource
from etlkit.postgres import load_errors


def asset_check_of(check: DataCheck) -> dg.AssetChecksDefinition:
    """Return a promise as an asset check of its table."""
    decorate: Callable[..., dg.AssetChecksDefinition] = dg.asset_check(
        asset=key_of(check.table), name=check.name, description=check.text, blocking=check.blocks
    )

    def ask(postgres: PostgreSQLResource) -> dg.AssetCheckResult:
        with (
            told_to_dagster(),
            postgres.get_connection() as connection,
            load_errors(f"checking {check.table}", ""),
            connection,
            connection.cursor() as cursor,
        ):
            (binge,) = load_binge_settings((BingeSettings,), {})
            today = datetime.now(UTC).date()
            found = check.find(cursor, today, tracks_metrics=binge.binge_track_metrics)
        severity = dg.AssetCheckSeverity.ERROR if check.blocks else dg.AssetCheckSeverity.WARN
        figures = {name: str(figure) for name, figure in found.figures.items()}
        return dg.AssetCheckResult(
            passed=found.passed or not found.is_loaded, severity=severity, metadata=figures, description=found.told
        )

    return decorate(ask)


table_checks = [asset_check_of(check) for check in CHECKS]
