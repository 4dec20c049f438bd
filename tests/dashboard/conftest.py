"""A browser's window on the page of a test's museum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from dashboard_case import DESKTOP, Page, served
from museum_case import Museum


@pytest.fixture
def look(museum: Museum, chromium, tmp_path, monkeypatch) -> Iterator[Callable[..., Page]]:
    """Return a function that serves the museum's page and opens a browser's window on it."""
    with ExitStack() as stack:

        def open_window(size: tuple[int, int] = DESKTOP, *flags: str, **environment: str) -> Page:
            server = stack.enter_context(served(museum.database, tmp_path, *flags, **environment))
            context = chromium.new_context(
                viewport={"width": size[0], "height": size[1]}, timezone_id="Asia/Tokyo", reduced_motion="reduce"
            )
            stack.callback(context.close)
            page = Page(context.new_page(), server)
            page.playwright.on("request", lambda request: page.note(request.url))
            page.playwright.on("console", lambda message: page.hear(message.text))
            pages.append(page)
            return page

        pages: list[Page] = []
        yield open_window
        assert [page.violations for page in pages if page.violations] == []


@pytest.fixture
def sample(museum: Museum) -> Museum:
    """A museum with three exhibitions: two departments, one on two floors, one without reviews."""
    museum.exhibition(0, EXHIBITION_NAME="Whales *and* <b>men</b>", FLOOR=["1", "2"], DEPARTMENT="Zoology")
    museum.exhibition(1, EXHIBITION_NAME="Stones", FLOOR="Vault", DEPARTMENT="Geology")
    museum.exhibition(2, EXHIBITION_NAME="Unseen", FLOOR="3", DEPARTMENT="Geology")
    museum.kiosk(
        0,
        "2023-07-03 10:00:00,0,4,", "2023-07-03 10:59:59,0,3,", "2023-07-03 11:00:00,0,4,", "2023-07-05 16:00:00,1,1,",
        "2023-07-03 10:30:00,0,-1,0", "2023-07-03 14:30:00,1,-1,1",
        "2023-07-03 14:30:00,9,1,", "2023-07-03 14:30:00,1,7,",
    )  # fmt: skip
    museum.push()
    return museum
