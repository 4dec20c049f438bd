"""Popular people: TMDB's pages, staging, their daily popularity, and how the list changes."""

import dagster as dg

from binge_works.asset_runs import ExtractConfig, StagingConfig, extract, fill, key_of, raw_key, stage
from binge_works.constants import DAILY
from binge_works.popular_lists import PEOPLE
from binge_works.resources.PostgreSQLResource import PostgreSQLResource
from binge_works.resources.TMDBResource import TMDBResource


@dg.asset(
    name="popular_people",
    key_prefix="raw",
    kinds={"python", "bronze"},
    tags={"layer": "source"},
    freshness_policy=DAILY,
)
def raw_popular_people(
    context: dg.AssetExecutionContext, config: ExtractConfig, tmdb: TMDBResource
) -> dg.MaterializeResult[None]:
    """The pages of /person/popular as TMDB gave them, a file a day."""
    return extract(context, PEOPLE, config, tmdb)


@dg.asset(
    name="popular_people",
    key_prefix="staging",
    deps=[raw_key(PEOPLE)],
    kinds={"python", "postgres", "silver"},
    tags={"layer": "staging"},
    freshness_policy=DAILY,
)
def staging_popular_people(
    context: dg.AssetExecutionContext, config: StagingConfig, postgres: PostgreSQLResource
) -> dg.MaterializeResult[None]:
    """The last list of people, each id once, of one day and one run; namesakes are different people."""
    return stage(context, PEOPLE, config, postgres)


@dg.asset(
    name="popularity_snapshot_people",
    key_prefix="tmdb_data",
    deps=[key_of(PEOPLE.staging)],
    kinds={"python", "postgres", "gold"},
    tags={"layer": "history"},
    freshness_policy=DAILY,
)
def people_popularity_snapshot(
    context: dg.AssetExecutionContext, postgres: PostgreSQLResource
) -> dg.MaterializeResult[None]:
    """The list of people as it stood each day, with their popularity."""
    return fill(context, PEOPLE, PEOPLE.snapshot, postgres)


@dg.asset(
    name="people_churn",
    key_prefix="tmdb_data",
    deps=[key_of(PEOPLE.snapshot)],
    kinds={"sql", "postgres", "gold"},
    tags={"layer": "history"},
)
def people_churn(context: dg.AssetExecutionContext, postgres: PostgreSQLResource) -> dg.MaterializeResult[None]:
    """How many entered and left the list of people from one day to the next; the sensor starts it, no job of a list."""
    return fill(context, PEOPLE, "tmdb_data.people_churn", postgres)
