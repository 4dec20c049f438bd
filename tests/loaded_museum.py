"""A museum whose first files are loaded."""

from __future__ import annotations

from museum_case import Museum

DAY = "2023-03-06"


def rows(count: int, start: int = 0, site: int = 1, val: int = 3) -> list[str]:
    return [f"{DAY} 10:{(start + n) // 60 % 60:02}:{(start + n) % 60:02},{site},{val}," for n in range(count)]


def first_load(museum: Museum) -> Museum:
    """Load two exhibitions and three objects."""
    museum.exhibition(0)
    museum.exhibition(1)
    museum.kiosk(0, *rows(10))
    museum.kiosk(1, *rows(10, 100), f"{DAY} 11:00:00,0,-1,1.0")
    museum.kiosk(2, *rows(10, 200))
    result = museum.push()
    assert result.exit_code == 0, result.lines
    return museum
