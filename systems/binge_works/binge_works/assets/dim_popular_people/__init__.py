"""Exports the assets of dim_popular_people."""

from binge_works.assets.dim_popular_people.dim_popular_people import dim_popular_people

__all__ = ["dim_popular_people"]
