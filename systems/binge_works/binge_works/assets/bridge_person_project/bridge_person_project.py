"""The bridge between people and what they are known for."""

import dagster as dg

from binge_works.asset_runs import fill, key_of
from binge_works.constants import DAILY
from binge_works.popular_lists import PEOPLE
from binge_works.resources.PostgreSQLResource import PostgreSQLResource


@dg.asset(
    name="bridge_person_project",
    key_prefix="tmdb_data",
    deps=[key_of(PEOPLE.staging)],
    kinds={"sql", "postgres", "gold"},
    tags={"layer": "prod"},
    freshness_policy=DAILY,
)
def bridge_person_project(
    context: dg.AssetExecutionContext, postgres: PostgreSQLResource
) -> dg.MaterializeResult[None]:
    """The movies and shows that each person is known for; many people, many projects."""
    return fill(context, PEOPLE, "tmdb_data.bridge_person_project", postgres)
