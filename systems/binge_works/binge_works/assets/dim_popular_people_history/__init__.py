"""Exports the assets of dim_popular_people_history."""

from binge_works.assets.dim_popular_people_history.dim_popular_people_history import dim_people_history

__all__ = ["dim_people_history"]
