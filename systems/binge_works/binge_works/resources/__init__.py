"""TMDB and Postgres as Dagster reaches them."""
