"""Everything that Dagster knows of the project; loads with an empty environment."""

from __future__ import annotations

import dagster as dg

from binge_works.assets import (
    bridge_person_project,
    dim_popular_people,
    dim_popular_people_history,
    popular_movies,
    popular_people,
    popular_shows,
)
from binge_works.checks.table_checks import table_checks
from binge_works.constants import (
    BRIDGE_PERSON_PROJECT,
    DIM_POPULAR_PEOPLE,
    DIM_POPULAR_PEOPLE_HISTORY,
    POPULAR_MOVIES,
    POPULAR_PEOPLE,
    POPULAR_SHOWS,
)
from binge_works.jobs.jobs import people_churn_job, popular_movies_job, popular_people_job, popular_shows_job
from binge_works.resources.PostgreSQLResource import PostgreSQLResource
from binge_works.resources.TMDBResource import TMDBResource
from binge_works.schedules.schedules import popular_movies_schedule, popular_people_schedule, popular_shows_schedule
from binge_works.sensors.people_sensors import people_churn_sensor

asset_defs = [
    *dg.load_assets_from_package_module(popular_shows, group_name=POPULAR_SHOWS),
    *dg.load_assets_from_package_module(popular_people, group_name=POPULAR_PEOPLE),
    *dg.load_assets_from_package_module(popular_movies, group_name=POPULAR_MOVIES),
    *dg.load_assets_from_package_module(dim_popular_people, group_name=DIM_POPULAR_PEOPLE),
    *dg.load_assets_from_package_module(dim_popular_people_history, group_name=DIM_POPULAR_PEOPLE_HISTORY),
    *dg.load_assets_from_package_module(bridge_person_project, group_name=BRIDGE_PERSON_PROJECT),
]

defs = dg.Definitions(
    assets=asset_defs,
    asset_checks=table_checks,
    jobs=[popular_shows_job, popular_people_job, popular_movies_job, people_churn_job],
    schedules=[popular_shows_schedule, popular_people_schedule, popular_movies_schedule],
    sensors=[people_churn_sensor],
    resources={"tmdb": TMDBResource(), "postgres": PostgreSQLResource()},
)
