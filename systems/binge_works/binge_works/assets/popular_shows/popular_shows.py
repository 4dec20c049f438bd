"""Popular shows: TMDB's pages, staging, the current shows, their history, their daily popularity."""

import dagster as dg

from binge_works.asset_runs import ExtractConfig, StagingConfig, extract, fill, key_of, raw_key, stage
from binge_works.constants import DAILY
from binge_works.popular_lists import SHOWS
from binge_works.resources.PostgreSQLResource import PostgreSQLResource
from binge_works.resources.TMDBResource import TMDBResource


@dg.asset(
    name="popular_shows",
    key_prefix="raw",
    kinds={"python", "bronze"},
    tags={"layer": "source"},
    freshness_policy=DAILY,
)
def raw_popular_shows(
    context: dg.AssetExecutionContext, config: ExtractConfig, tmdb: TMDBResource
) -> dg.MaterializeResult[None]:
    """The pages of /tv/popular as TMDB gave them, a file a day."""
    return extract(context, SHOWS, config, tmdb)


@dg.asset(
    name="shows",
    key_prefix="staging",
    deps=[raw_key(SHOWS)],
    kinds={"python", "postgres", "silver"},
    tags={"layer": "staging"},
    freshness_policy=DAILY,
)
def staging_shows(
    context: dg.AssetExecutionContext, config: StagingConfig, postgres: PostgreSQLResource
) -> dg.MaterializeResult[None]:
    """The last list of shows, each id once, of one day and one run."""
    return stage(context, SHOWS, config, postgres)


@dg.asset(
    name="dim_popular_shows",
    key_prefix="tmdb_data",
    deps=[key_of(SHOWS.staging)],
    kinds={"python", "postgres", "gold"},
    tags={"layer": "prod"},
    freshness_policy=DAILY,
)
def dim_popular_shows(context: dg.AssetExecutionContext, postgres: PostgreSQLResource) -> dg.MaterializeResult[None]:
    """What is known now of every show in English that was ever popular."""
    return fill(context, SHOWS, "tmdb_data.dim_popular_shows", postgres)


@dg.asset(
    name="dim_shows_history",
    key_prefix="tmdb_data",
    deps=[key_of(SHOWS.staging)],
    kinds={"python", "postgres", "gold"},
    tags={"layer": "history"},
    freshness_policy=DAILY,
)
def dim_shows_history(context: dg.AssetExecutionContext, postgres: PostgreSQLResource) -> dg.MaterializeResult[None]:
    """Every version of every show, from its effective date up to its expiration date (SCD type 2)."""
    return fill(context, SHOWS, "tmdb_data.dim_shows_history", postgres)


@dg.asset(
    name="popularity_snapshot_shows",
    key_prefix="tmdb_data",
    deps=[key_of(SHOWS.staging)],
    kinds={"python", "postgres", "gold"},
    tags={"layer": "history"},
    freshness_policy=DAILY,
)
def shows_popularity_snapshot(
    context: dg.AssetExecutionContext, postgres: PostgreSQLResource
) -> dg.MaterializeResult[None]:
    """The list of shows as it stood each day, with popularity and votes."""
    return fill(context, SHOWS, SHOWS.snapshot, postgres)
