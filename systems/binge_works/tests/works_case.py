"""Binge Works to test with: a database, a TMDB of our own, the real commands, and what the tables hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from binge_works.__main__ import main
from binge_works.sample_tmdb import server
from binge_works.sample_tmdb.stand_in import StandIn
from etlkit.postgres import connect
from etlkit.settings import DatabaseSettings

TABLES = {
    "staging.shows": "id, name, popularity, genre_ids, rank, as_of",
    "staging.popular_movies": "id, title, popularity, release_date, rank, as_of",
    "staging.popular_people": "id, name, popularity, known_for, rank, as_of",
    "tmdb_data.dim_popular_shows": "id, name, overview, first_air_date, popularity, vote_count, genre_ids, poster_path",
    "tmdb_data.popular_movies": "id, title, release_date, popularity, vote_average",
    "tmdb_data.dim_popular_people": "id, gender, known_for_department, name, popularity, profile_path",
    "tmdb_data.dim_shows_history": "id, name, overview, popularity, genre_ids, effective_date, expiration_date",
    "tmdb_data.dim_people_history": "id, name, popularity, profile_path, effective_date, expiration_date, is_current",
    "tmdb_data.bridge_person_project": "person_id, media_type, project_id, project_title",
    "tmdb_data.popularity_snapshot": "list, as_of, id, rank, popularity, vote_average, vote_count",
    "tmdb_data.people_churn": "as_of, compared, listed, entered, gone",
}
"""What a load leaves in each table, without what differs from run to run."""
BROKEN_HISTORY = """
    select id from {table} group by id having count(*) filter (where is_current) <> 1
    union all
    select id from (select id, expiration_date,
                           lead(effective_date) over (partition by id order by effective_date) as follows
                    from {table}) v
    where follows is distinct from expiration_date
"""


def show(number: int, **changes: Any) -> dict[str, Any]:
    """Return a show as TMDB lists it."""
    return {
        "adult": False, "backdrop_path": f"/b{number}.jpg", "genre_ids": [18, 35], "id": number,
        "origin_country": ["US"], "original_language": "en", "original_name": f"Show {number}", "overview": "A story.",
        "popularity": 100.5, "poster_path": f"/p{number}.jpg", "first_air_date": "2020-01-02", "name": f"Show {number}",
        "vote_average": 7.5, "vote_count": 10,
    } | changes  # fmt: skip


def movie(number: int, **changes: Any) -> dict[str, Any]:
    """Return a movie as TMDB lists it."""
    return {
        "adult": False, "backdrop_path": f"/b{number}.jpg", "genre_ids": [18, 35], "id": number,
        "original_language": "en", "original_title": f"Movie {number}", "overview": "A story.", "popularity": 100.5,
        "poster_path": f"/p{number}.jpg", "release_date": "2020-01-02", "title": f"Movie {number}", "video": False,
        "vote_average": 7.5, "vote_count": 10,
    } | changes  # fmt: skip


def person(number: int, *projects: tuple[str, int], **changes: Any) -> dict[str, Any]:
    """Return a person as TMDB lists them, known for (media type, id) projects."""
    known_for = [
        {"id": project, "media_type": kind, {"tv": "name", "movie": "title"}[kind]: f"{kind} {project}"}
        for kind, project in projects
    ]
    return {
        "adult": False, "gender": 1, "id": number, "known_for_department": "Acting", "name": f"Person {number}",
        "original_name": f"Person {number}", "popularity": 50.25, "profile_path": f"/f{number}.jpg",
        "known_for": known_for,
    } | changes  # fmt: skip


@dataclass
class Result:
    """How a command ended: exit code, its JSON object, and what a person saw."""

    exit_code: int
    figures: dict[str, Any]
    text: str

    def table(self, name: str) -> dict[str, int]:
        """The figures of one table of the only list."""
        (found,) = self.figures["lists"]
        return found["tables"][name]

    @property
    def list(self) -> dict[str, Any]:
        """The figures of the only list."""
        (found,) = self.figures["lists"]
        return found


class Works:
    """A database of a test's own and a TMDB."""

    def __init__(
        self,
        database: DatabaseSettings,
        tmdb: StandIn,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.database, self.tmdb, self.folder = database, tmdb, folder
        self.raw_dir, self.log_file = folder / "raw", folder / "binge_works.log"
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.set(
            **tmdb.environment(),
            TMDB_BACKOFF_SECONDS="0",
            TMDB_CALLS_PER_SECOND="50",
            BINGE_RAW_DIR=str(self.raw_dir),
            BINGE_LOG_FILE=str(self.log_file),
        )
        self.point_at(database)

    def point_at(self, database: DatabaseSettings) -> None:
        """Let the settings name this database."""
        self.set(
            DB_HOST=database.db_host,
            DB_PORT=str(database.db_port),
            DB_NAME=database.db_name,
            DB_USER=database.db_user,
            DB_PASSWORD=database.db_password.get_secret_value(),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        return (server.TOKEN, self.database.db_password.get_secret_value())

    def set(self, **settings: str) -> None:
        """Set variables of the environment."""
        for name, value in settings.items():
            self._monkeypatch.setenv(name, value)

    def unset(self, *names: str) -> None:
        for name in names:
            self._monkeypatch.delenv(name, raising=False)

    def run(self, *arguments: str) -> Result:
        """Run a command of the program in this process."""
        self._capsys.readouterr()
        code = main([*arguments, "--json"])
        out, err = self._capsys.readouterr()
        return Result(code, json.loads(out) if out.strip() else {}, err)

    def load(self, name: str, as_of: str, rows: list[Any] | None = None, *flags: str) -> Result:
        """Load one list as of a day; its rows are what TMDB has from now on."""
        if rows is not None:
            kind = {"shows": "tv", "movies": "movie", "people": "person"}[name]
            self.tmdb.set_lists(**{kind: rows})
        return self.run("run", "--only", name, "--as-of", as_of, *flags)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command as a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "binge_works", *arguments],
            env=dict(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def query(self, text: str, *parameters: object) -> list[tuple[Any, ...]]:
        with closing(connect(self.database, "test")) as connection, connection, connection.cursor() as cursor:
            cursor.execute(text, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def count(self, table: str) -> int:
        return self.query(f"select count(*) from {table}")[0][0]

    def tables(self) -> dict[str, list[str]]:
        """All that is stored, to the last value that is not a time of loading; histories are whole and tile."""
        for table in ("tmdb_data.dim_shows_history", "tmdb_data.dim_people_history"):
            assert self.query(BROKEN_HISTORY.format(table=table)) == []
        return {
            table: sorted(str(row) for row in self.query(f"select {columns} from {table}"))
            for table, columns in TABLES.items()
        }

    def versions(self, number: int, column: str = "name") -> list[tuple[Any, str, str | None]]:
        """The versions of a show: a column, from and to."""
        return self.query(
            f"select {column}, effective_date::text, expiration_date::text from tmdb_data.dim_shows_history "
            "where id = %s order by effective_date",
            number,
        )

    def rejects(self) -> dict[str, list[str]]:
        """The open rejects: their positions and reasons."""
        return dict(
            self.query(
                "select position, reasons from meta.rejected_records where resolved_at is null order by position"
            )
        )
