"""Exports the assets of popular_movies."""

from binge_works.assets.popular_movies.popular_movies import (
    movies_popularity_snapshot,
    popular_movies,
    raw_popular_movies,
    staging_popular_movies,
)

__all__ = ["movies_popularity_snapshot", "popular_movies", "raw_popular_movies", "staging_popular_movies"]
