"""Exports the assets of popular_shows."""

from binge_works.assets.popular_shows.popular_shows import (
    dim_popular_shows,
    dim_shows_history,
    raw_popular_shows,
    shows_popularity_snapshot,
    staging_shows,
)

__all__ = ["dim_popular_shows", "dim_shows_history", "raw_popular_shows", "shows_popularity_snapshot", "staging_shows"]
