"""Invented lists of shows, movies and people, and how they change by the day; the same seed gives the same days."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

STARRED = 1396
"""A show that changes every day, so that its history has something to tell."""
_ADJECTIVES = ("Quiet", "Crimson", "Hollow", "Northern", "Second", "Paper", "Gilded", "Late", "Electric", "Borrowed")
_NOUNS = ("Harbour", "Orchard", "Signal", "Winter", "Archive", "Lantern", "Meridian", "Parade", "Static", "Garden")
_FIRST = ("Ada", "Bruno", "Chidi", "Dana", "Elif", "Farah", "Goran", "Hana", "Ines", "Jonah")
_LAST = ("Abara", "Berg", "Castro", "Dahl", "Evans", "Farkas", "Gupta", "Haas", "Ito", "Jansen")
_LANGUAGES = ("en", "en", "en", "en", "ko", "ja", "es", "fr")
_GENRES = (18, 35, 80, 9648, 10759, 10765)


def sample_day(day: date, *, items: int = 60, seed: int = 4) -> dict[str, list[dict[str, Any]]]:
    """Return the three lists of a day by the kind that TMDB's addresses name: `tv`, `movie`, `person`.

    Popularity differs every day; about one item in thirty says something new, a few enter and leave, and one item of
    each list stands twice, as it does where the list moves while it is read.
    """
    return {kind: sample_list(kind, day, items=items, seed=seed) for kind in ("tv", "movie", "person")}


def sample_list(kind: str, day: date, *, items: int = 60, seed: int = 4) -> list[dict[str, Any]]:
    """Return one of a day's lists, the most popular items first."""
    if kind == "tv":
        rows = [_show(number, day, seed) for number in [STARRED, *_listed(day, items, seed)][:items]]
    elif kind == "movie":
        rows = [_movie(number, day, seed) for number in _listed(day, items, seed + 1)]
    else:
        rows = [_person(number, day, seed) for number in _listed(day, items, seed + 2)]
    rows.sort(key=lambda row: -row["popularity"])
    if len(rows) > 30:
        rows.insert(30, dict(rows[5]))  # it fell while the pages were read
        rows.pop()
    return rows


def _listed(day: date, items: int, seed: int) -> list[int]:
    """Return who is in a list: a window that moves by one number in two days."""
    first = 2000 + 97 * seed + day.toordinal() // 2 % 500
    return list(range(first, first + items))


def _drawn(number: int, seed: int, day: date | None = None) -> random.Random:
    """Return a generator of one item's own, the same each time."""
    return random.Random(f"{seed} {number} {day}")


def _age(number: int, day: date, seed: int) -> int:
    """Return how often an item has said something new by a day."""
    drawn = _drawn(number, seed)
    return (day.toordinal() + drawn.randrange(30)) // 30


def _pictured(number: int, day: date, seed: int) -> dict[str, Any]:
    """Return what shows and movies have alike."""
    drawn, today = _drawn(number, seed), _drawn(number, seed, day)
    return {
        "adult": False,
        "backdrop_path": None if drawn.random() < 0.05 else f"/{drawn.getrandbits(64):016x}.jpg",
        "genre_ids": drawn.sample(_GENRES, drawn.randrange(1, 4)),
        "id": number,
        "original_language": drawn.choice(_LANGUAGES),
        "overview": f"Story {number}, told for the {_age(number, day, seed)}th time.",
        "popularity": round(drawn.uniform(5, 600) * today.uniform(0.9, 1.1), 4),
        "poster_path": f"/{drawn.getrandbits(64):016x}.jpg",
        "vote_average": round(drawn.uniform(4, 9), 3),
        "vote_count": drawn.randrange(10, 5000) + day.toordinal() % 1000,
    }


def _title(number: int, seed: int) -> str:
    drawn = _drawn(number, seed)
    return f"The {drawn.choice(_ADJECTIVES)} {drawn.choice(_NOUNS)} {number % 100}"


def _show(number: int, day: date, seed: int) -> dict[str, Any]:
    """Return a show as /tv/popular has it."""
    name = _title(number, seed)
    drawn = _drawn(number, seed)
    row = {
        **_pictured(number, day, seed),
        "origin_country": [drawn.choice(("US", "GB", "KR"))],
        "original_name": name,
        "first_air_date": (date(2000, 1, 1) + timedelta(drawn.randrange(9000))).isoformat(),
        "name": name,
    }
    if number == STARRED:
        row |= {
            "original_language": "en",
            "name": "Breaking Sad",
            "original_name": "Breaking Sad",
            "overview": f"A chemistry teacher takes up the trombone. Day {day.toordinal() % 100}.",
        }
    return row


def _movie(number: int, day: date, seed: int) -> dict[str, Any]:
    """Return a movie as /movie/popular has it."""
    title = _title(number, seed + 1)
    drawn = _drawn(number, seed + 1)
    released = date(1990, 1, 1) + timedelta(drawn.randrange(13_000))
    return {
        **_pictured(number, day, seed + 1),
        "original_title": title,
        "release_date": "" if drawn.random() < 0.03 else released.isoformat(),
        "title": title,
        "video": False,
    }


def _person(number: int, day: date, seed: int) -> dict[str, Any]:
    """Return a person as /person/popular has them; the order of known_for is none."""
    drawn, today = _drawn(number, seed + 2), _drawn(number, seed + 2, day)
    name = f"{drawn.choice(_FIRST)} {drawn.choice(_LAST)}"
    shows = [drawn.randrange(1300, 1500) for _ in range(drawn.randrange(3))]
    known_for: list[dict[str, Any]] = [{"id": one, "media_type": "tv", "name": _title(one, seed)} for one in shows]
    known_for += [{"id": one, "media_type": "movie", "title": _title(one, seed + 1)} for one in shows[:1]]
    today.shuffle(known_for)
    return {
        "adult": False,
        "gender": drawn.randrange(4),
        "id": number,
        "known_for_department": drawn.choice(("Acting", "Directing")),
        "name": name,
        "original_name": name,
        "popularity": round(drawn.uniform(5, 300) * today.uniform(0.9, 1.1), 4),
        "profile_path": f"/{_age(number, day, seed):04}{drawn.getrandbits(32):08x}.jpg",
        "known_for": known_for,
    }
