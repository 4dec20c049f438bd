"""The history of people."""

import dagster as dg

from binge_works.asset_runs import fill, key_of
from binge_works.constants import DAILY
from binge_works.popular_lists import PEOPLE
from binge_works.resources.PostgreSQLResource import PostgreSQLResource


@dg.asset(
    name="dim_people_history",
    key_prefix="tmdb_data",
    deps=[key_of(PEOPLE.staging)],
    kinds={"sql", "postgres", "gold"},
    tags={"layer": "history"},
    freshness_policy=DAILY,
)
def dim_people_history(context: dg.AssetExecutionContext, postgres: PostgreSQLResource) -> dg.MaterializeResult[None]:
    """Every version of every person, from its effective date up to its expiration date (SCD type 2)."""
    return fill(context, PEOPLE, "tmdb_data.dim_people_history", postgres)
