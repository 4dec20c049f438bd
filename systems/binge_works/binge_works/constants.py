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

LIST_TAG = "binge_works/list"
"""Of a job: the list that it loads. dagster.yaml lets the queue start one run a list at a time."""
DAILY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))
