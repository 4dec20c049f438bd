"""One schedule a list, in UTC, ten minutes apart, since each run keeps TMDB's limit of calls by itself.

A tick is skipped while the list's job is at work, unless that began hours ago: then its process died with its machine.
The guard is the tables' locks.
"""

from datetime import timedelta

import dagster as dg

LONGEST_RUN = timedelta(hours=6)
_AT_WORK = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def _daily(name: str, job_name: str, cron_schedule: str) -> dg.ScheduleDefinition:
    """Return a list's schedule."""

    @dg.schedule(name=name, job_name=job_name, cron_schedule=cron_schedule, execution_timezone="UTC")
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        since = context.scheduled_execution_time - LONGEST_RUN
        running = dg.RunsFilter(job_name=job_name, statuses=_AT_WORK, created_after=since)
        at_work = context.instance.get_runs(running, limit=1)
        if at_work:
            return dg.SkipReason(f"{job_name} is at work already: run {at_work[0].run_id}")
        return dg.RunRequest(run_key=f"{context.scheduled_execution_time:%Y-%m-%d %H:%M}")

    return tick


popular_shows_schedule = _daily("popular_shows_schedule", "popular_shows_job", "0 13 * * *")
popular_people_schedule = _daily("popular_people_schedule", "popular_people_job", "10 13 * * *")
popular_movies_schedule = _daily("popular_movies_schedule", "popular_movies_job", "20 13 * * *")
