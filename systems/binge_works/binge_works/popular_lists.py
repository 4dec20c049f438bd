"""The three lists of TMDB: where each is asked for, what its items hold, and which tables it fills.

The folder `sql/<name>` of a list has its statements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from binge_works import rows

SQL = Path(__file__).parent / "sql"
_IN_PICTURES: dict[str, Callable[[Any], Any]] = {
    "overview": rows.text,
    "popularity": rows.number,
    "vote_average": rows.number,
    "vote_count": rows.count,
    "poster_path": rows.text,
    "backdrop_path": rows.text,
    "original_language": rows.text,
    "genre_ids": rows.counts,
    "adult": rows.flag,
}


@dataclass(frozen=True)
class PopularList:
    """One list: its name here, TMDB's address of it, the fields of its items, and its tables."""

    name: str
    endpoint: str
    fields: Mapping[str, Callable[[Any], Any]]
    ignored: frozenset[str]
    """Fields of TMDB that no table takes; any other one is told."""
    staging: str
    current: str
    history: str | None = None
    bridge: str | None = None
    churn: str | None = None

    @property
    def snapshot(self) -> str:
        """Return this list's part of the daily popularity, the only table that the lists share."""
        return f"tmdb_data.popularity_snapshot/{self.name}"

    @property
    def tables(self) -> tuple[str, ...]:
        """Return all tables of the list, staging first, in the order in which they are filled."""
        found = (self.staging, self.current, self.history, self.bridge, self.snapshot, self.churn)
        return tuple(table for table in found if table)

    @property
    def sql(self) -> Path:
        """Return the folder of the list's statements."""
        return SQL / self.name


SHOWS = PopularList(
    name="shows",
    endpoint="/tv/popular",
    fields={
        "id": rows.identifier,
        "name": rows.text,
        "original_name": rows.text,
        "first_air_date": rows.day,
        "origin_country": rows.texts,
        **_IN_PICTURES,
    },
    ignored=frozenset(),
    staging="staging.shows",
    current="tmdb_data.dim_popular_shows",
    history="tmdb_data.dim_shows_history",
)
MOVIES = PopularList(
    name="movies",
    endpoint="/movie/popular",
    fields={
        "id": rows.identifier,
        "title": rows.text,
        "original_title": rows.text,
        "release_date": rows.day,
        "video": rows.flag,
        **_IN_PICTURES,
    },
    ignored=frozenset(),
    staging="staging.popular_movies",
    current="tmdb_data.popular_movies",
)
PEOPLE = PopularList(
    name="people",
    endpoint="/person/popular",
    fields={
        "id": rows.identifier,
        "name": rows.text,
        "adult": rows.flag,
        "gender": rows.count,
        "known_for_department": rows.text,
        "popularity": rows.number,
        "profile_path": rows.text,
        "known_for": rows.projects,
    },
    ignored=frozenset({"original_name"}),
    staging="staging.popular_people",
    current="tmdb_data.dim_popular_people",
    history="tmdb_data.dim_people_history",
    bridge="tmdb_data.bridge_person_project",
    churn="tmdb_data.people_churn",
)
LISTS = (SHOWS, PEOPLE, MOVIES)


def find_list(name: str) -> PopularList:
    """Return a list by its name."""
    return next(each for each in LISTS if each.name == name)
