"""Exports the assets of popular_people."""

from binge_works.assets.popular_people.popular_people import (
    people_churn,
    people_popularity_snapshot,
    raw_popular_people,
    staging_popular_people,
)

__all__ = ["people_churn", "people_popularity_snapshot", "raw_popular_people", "staging_popular_people"]
