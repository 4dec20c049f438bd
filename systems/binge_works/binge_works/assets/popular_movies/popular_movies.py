"""Popular movies: TMDB's pages, staging, the current movies, their daily popularity."""

import dagster as dg

from binge_works.asset_runs import ExtractConfig, StagingConfig, extract, fill, key_of, raw_key, stage
from binge_works.constants import DAILY
from binge_works.popular_lists import MOVIES
from binge_works.resources.PostgreSQLResource import PostgreSQLResource
from binge_works.resources.TMDBResource import TMDBResource


@dg.asset(
    name="popular_movies",
    key_prefix="raw",
    kinds={"python", "bronze"},
    tags={"layer": "source"},
    freshness_policy=DAILY,
)
def raw_popular_movies(
    context: dg.AssetExecutionContext, config: ExtractConfig, tmdb: TMDBResource
) -> dg.MaterializeResult[None]:
    """The pages of /movie/popular as TMDB gave them, a file a day."""
    return extract(context, MOVIES, config, tmdb)


@dg.asset(
    name="popular_movies",
    key_prefix="staging",
    deps=[raw_key(MOVIES)],
    kinds={"python", "postgres", "silver"},
    tags={"layer": "staging"},
    freshness_policy=DAILY,
)
def staging_popular_movies(
    context: dg.AssetExecutionContext, config: StagingConfig, postgres: PostgreSQLResource
) -> dg.MaterializeResult[None]:
    """The last list of movies, each id once, of one day and one run."""
    return stage(context, MOVIES, config, postgres)


@dg.asset(
    name="popular_movies",
    key_prefix="tmdb_data",
    deps=[key_of(MOVIES.staging)],
    kinds={"python", "postgres", "gold"},
    tags={"layer": "prod"},
    freshness_policy=DAILY,
)
def popular_movies(context: dg.AssetExecutionContext, postgres: PostgreSQLResource) -> dg.MaterializeResult[None]:
    """What is known now of every movie in English that was ever popular; the view dim_popular_movies is the same."""
    return fill(context, MOVIES, "tmdb_data.popular_movies", postgres)


@dg.asset(
    name="popularity_snapshot_movies",
    key_prefix="tmdb_data",
    deps=[key_of(MOVIES.staging)],
    kinds={"python", "postgres", "gold"},
    tags={"layer": "history"},
    freshness_policy=DAILY,
)
def movies_popularity_snapshot(
    context: dg.AssetExecutionContext, postgres: PostgreSQLResource
) -> dg.MaterializeResult[None]:
    """The list of movies as it stood each day, with popularity and votes."""
    return fill(context, MOVIES, MOVIES.snapshot, postgres)
