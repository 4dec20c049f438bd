"""One job a list, with everything that its day fills; a job runs in one process, which takes a third of the time."""

from __future__ import annotations

import dagster as dg

from binge_works.asset_runs import key_of
from binge_works.constants import (
    BRIDGE_PERSON_PROJECT,
    DIM_POPULAR_PEOPLE,
    DIM_POPULAR_PEOPLE_HISTORY,
    LIST_TAG,
    POPULAR_MOVIES,
    POPULAR_PEOPLE,
    POPULAR_SHOWS,
)
from binge_works.popular_lists import PEOPLE

_CHURN = dg.AssetSelection.assets(key_of(str(PEOPLE.churn)))

popular_shows_job = dg.define_asset_job(
    "popular_shows_job",
    dg.AssetSelection.groups(POPULAR_SHOWS),
    executor_def=dg.in_process_executor,
    run_tags={LIST_TAG: "shows"},
    description="The day's shows, from TMDB to their history.",
)
popular_movies_job = dg.define_asset_job(
    "popular_movies_job",
    dg.AssetSelection.groups(POPULAR_MOVIES),
    executor_def=dg.in_process_executor,
    run_tags={LIST_TAG: "movies"},
    description="The day's movies, from TMDB to the current table.",
)
popular_people_job = dg.define_asset_job(
    "popular_people_job",
    dg.AssetSelection.groups(POPULAR_PEOPLE, DIM_POPULAR_PEOPLE, DIM_POPULAR_PEOPLE_HISTORY, BRIDGE_PERSON_PROJECT)
    - _CHURN,
    executor_def=dg.in_process_executor,
    run_tags={LIST_TAG: "people"},
    description="The day's people, from TMDB to dimension, history and bridge.",
)
people_churn_job = dg.define_asset_job(
    "people_churn_job",
    _CHURN,
    executor_def=dg.in_process_executor,
    description="How the list of people changed; the sensor starts it.",
)
