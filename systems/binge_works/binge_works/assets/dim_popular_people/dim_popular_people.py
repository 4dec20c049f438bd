"""The dimension of people."""

import dagster as dg

from binge_works.asset_runs import fill, key_of
from binge_works.constants import DAILY
from binge_works.popular_lists import PEOPLE
from binge_works.resources.PostgreSQLResource import PostgreSQLResource


@dg.asset(
    name="dim_popular_people",
    key_prefix="tmdb_data",
    deps=[key_of(PEOPLE.staging)],
    kinds={"sql", "postgres", "gold"},
    tags={"layer": "prod"},
    freshness_policy=DAILY,
)
def dim_popular_people(context: dg.AssetExecutionContext, postgres: PostgreSQLResource) -> dg.MaterializeResult[None]:
    """What is known now of every person who was ever popular."""
    return fill(context, PEOPLE, "tmdb_data.dim_popular_people", postgres)
