"""DATABASE_URL: a database in one setting, as a URL."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import ValidationError

from etlkit.errors import ConfigError
from etlkit.settings import EMBEDDED_HOST, DatabaseSettings


class UrlDatabase(DatabaseSettings):
    """Where the Postgres is, from its one setting."""

    told_name = told_login = told_place = "DATABASE_URL"
    told_authority = "its sslrootcert"


def read_database_url(url: str, embedded_database: str = "") -> DatabaseSettings:
    """Return the database of a URL like postgresql://user:word@host:5432/name?sslmode=verify-full&sslrootcert=FILE.

    `embedded`, or `embedded/NAME`, is a database on the suite's own private server. Raises ConfigError otherwise.
    """
    host, _, name = url.partition("/")
    if host == EMBEDDED_HOST and re.fullmatch(r"[a-z0-9_]*", name):
        name = name or embedded_database
        return UrlDatabase(_env_file=None, db_host=EMBEDDED_HOST, db_name=name, db_secret_id=None)
    example = f"postgresql://user:password@host:5432/{embedded_database or 'name'}"
    scheme, mark, rest = url.partition("://")
    login, _, place = rest.rpartition("@")  # what a password has of / and # is its own
    user, _, password = login.partition(":")
    try:
        parts = urlsplit(f"//{place}")
        query, port = dict(parse_qsl(parts.query, keep_blank_values=True)), parts.port
    except ValueError:
        mark = ""
    if not mark:
        raise ConfigError(f"DATABASE_URL cannot be read; expected {example}. Nothing was touched.")
    engine = scheme.partition("+")[0]
    if engine not in ("postgresql", "postgres"):
        raise ConfigError(f"DATABASE_URL names {engine}; expected {example}. Nothing was touched.")
    values: dict[str, Any] = {
        "db_host": query.pop("host", None) or parts.hostname or "",
        "db_port": port or 5432,
        "db_name": parts.path.removeprefix("/"),
        "db_user": unquote(user),
        "db_password": unquote(password),
        "db_sslmode": query.pop("sslmode", None),
        "db_sslrootcert": query.pop("sslrootcert", None),
        "db_secret_id": None,
    }
    missing = [
        word
        for word, key in (("a host", "db_host"), ("a database", "db_name"), ("a user", "db_user"))
        if not values[key]
    ]
    if missing or query:
        wrong = [f"it lacks {', '.join(missing)}"] if missing else []
        if query:
            wrong += [f"it has {', '.join(sorted(query))}, of which only host, sslmode and sslrootcert are understood"]
        raise ConfigError(f"DATABASE_URL: {'; '.join(wrong)}. Expected {example}. Nothing was touched.")
    try:
        return UrlDatabase(_env_file=None, **values)
    except ValidationError as error:
        what = "; ".join(f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors())
        raise ConfigError(f"DATABASE_URL: {what}. Expected {example}. Nothing was touched.") from None
