"""Names of the asset groups, and what all assets of a kind have alike."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

POPULAR_SHOWS = "popular_shows"
POPULAR_PEOPLE = "popular_people"
POPULAR_MOVIES = "popular_movies"
DIM_POPULAR_PEOPLE = "dim_popular_people"
DIM_POPULAR_PEOPLE_HISTORY = "dim_popular_people_history"
BRIDGE_PERSON_PROJECT = "bridge_person_project"

LOAD_POOL = "tmdb_load"
"""Of the loads into Postgres; it limits nothing until the instance says how many may run, as dagster.yaml does."""
DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))
