"""TMDB as a Dagster resource: read when a run begins, so that definitions load without any setting."""

import dagster as dg

from binge_works.binge_settings import TmdbSettings, load_binge_settings
from binge_works.tmdb import Tmdb


class TMDBResource(dg.ConfigurableResource[Tmdb]):
    """How TMDB is asked: what is not given here says the environment (TMDB_API_KEY, TMDB_BASE_URL and so on).

    The key is only taken from there, so that no run's configuration holds it.
    """

    base_url: str | None = None
    max_pages: int | None = None

    def client(self) -> Tmdb:
        """Return the client; ConfigError names every missing and wrong setting."""
        given = {"tmdb_base_url": self.base_url, "tmdb_max_pages": self.max_pages}
        (found,) = load_binge_settings((TmdbSettings,), given)
        return Tmdb(found)
