"""What follows the list of people and stands in no job of a list: how it changed from the day before."""

from collections.abc import Iterator

import dagster as dg

from binge_works.asset_runs import key_of
from binge_works.jobs.jobs import people_churn_job
from binge_works.popular_lists import PEOPLE


@dg.asset_sensor(asset_key=key_of(PEOPLE.snapshot), job=people_churn_job, name="people_churn_sensor")
def people_churn_sensor(_context: dg.SensorEvaluationContext, asset_event: dg.EventLogEntry) -> Iterator[dg.RunRequest]:
    """Ask for one run a materialisation of the people's snapshot."""
    yield dg.RunRequest(run_key=f"{asset_event.run_id} {asset_event.timestamp}")
