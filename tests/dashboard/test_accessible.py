"""Whether people with disabilities can use the pages: axe-core on WCAG 2.2 AA, and the keyboard reaches everything."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dashboard_case import DESKTOP, PHONE, PROJECT_DIR, Page

from dashboard.__main__ import main

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
GRAVE = {"serious", "critical"}
EXCEPTIONS: dict[str, str] = {}
"""Rules that Streamlit's own elements break, and why nobody is kept out by it."""


@pytest.fixture(scope="session")
def axe() -> str:
    """The text of axe-core."""
    found = sorted(PROJECT_DIR.glob(".local/axe-core-*/node_modules/axe-core/axe.min.js"))
    if not found:
        pytest.skip("axe-core is not here; make test brings it by npm")
    return found[-1].read_text(encoding="utf-8")


def complaints(page: Any, axe: str) -> list[str]:
    """Return what axe finds serious, but for the exceptions."""
    page.evaluate(axe)
    found = page.evaluate("rules => axe.run({runOnly: rules})", RULES)["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:150]} {node['failureSummary'][:250]}"
        for one in found
        if one["impact"] in GRAVE and one["id"] not in EXCEPTIONS
        for node in one["nodes"][:3]
    ]


@pytest.fixture
def lively(sample):
    """A museum with an emergency of now and an older one, a consumer that has died, and rejects."""
    sample.query(
        "insert into incident (exhibition_id, at, incident_type_id, source_id, position) "
        "values (3, %s, 1, (select min(source_id) from event_source), 1000)",
        (datetime.now(UTC),),
    )
    sample.query(
        "insert into meta.ingestion_runs (run_id, source_system, entity_type, started_at, completed_at, status) "
        "values (gen_random_uuid(), 'museum', 'live', now(), now(), 'failed')"
    )
    return sample


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        (DESKTOP, "light"),
        (PHONE, "dark"),
        pytest.param(DESKTOP, "dark", marks=pytest.mark.full),
        pytest.param(PHONE, "light", marks=pytest.mark.full),
    ],
    ids=["desktop, light", "phone, dark", "desktop, dark", "phone, light"],
)
def test_axe_finds_nothing_serious(lively, look, axe, size, scheme):
    page: Page = look(size)
    page.playwright.emulate_media(color_scheme=scheme)
    found = []
    for name, title in (
        ("", "By floor"), ("exhibition", "Requests over time"), ("safety", "Over time"), ("data", "Live partitions"),
    ):  # fmt: skip
        page.open(name, period="All", of="Stones")
        page.card(title).wait_for()
        page.wait_for_text("open rejects:")
        found += [f"{name or 'exhibitions'}: {complaint}" for complaint in complaints(page.playwright, axe)]
    assert found == []


def contrast(colours: list[str]) -> float:
    """Return the contrast of two colours as WCAG 2 reckons it."""
    lights = []
    for colour in colours:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_in_pictures_can_be_read(lively, look, scheme):
    """axe does not look into pictures."""
    page: Page = look()
    page.playwright.emulate_media(color_scheme=scheme)
    page.open("safety", period="All")
    for title in ("By exhibition", "By hour"):
        page.picture(title)
        colours = (
            page.card(title)
            .locator("svg.marks text")
            .evaluate_all(
                "texts => texts.map(text => [getComputedStyle(text).fill, "
                "getComputedStyle(document.querySelector('.stApp')).backgroundColor])"
            )
        )
        assert min(map(contrast, colours)) >= 4.5, colours
    title = "Which floor needs a guard, by hour"
    page.picture(title)
    numbers, cells = (
        page.card(title)
        .locator(f"svg.marks .{mark} {shape}")
        .evaluate_all("found => found.map(one => getComputedStyle(one).fill)")
        for mark, shape in (("mark-text.role-mark", "text"), ("mark-rect.role-mark", "path"))
    )
    assert min(contrast([number, cell]) for number in numbers for cell in cells) >= 4.5


def test_axe_finds_nothing_serious_in_the_report(lively, chromium, axe, tmp_path):
    path: Path = tmp_path / "report.html"
    assert main([*lively.database_flags, "--export", str(path), "--log-file", str(lively.log_file)]) == 0
    page = chromium.new_page()
    page.goto(path.as_uri())
    assert complaints(page, axe) == []
    page.close()


def test_the_keyboard_alone_reaches_everything(lively, look):
    page = look()
    page.open("", period="All")
    page.picture("Average rating")
    page.wait_for_text("open rejects:")
    reached = set()
    for _step in range(120):
        page.playwright.keyboard.press("Tab")
        reached.add(
            page.playwright.evaluate(
                "() => [document.activeElement].map(one => one.getAttribute('aria-label') || one.innerText || '')[0]"
                ".trim().split('\\n').pop()"
            )
        )
    text = "|".join(reached)
    for name in ("Safety", "One exhibition", "Data", "Today", "Departments", "Exhibitions", "Alarm: off",
                 "Figures and files", "This page as a report"):  # fmt: skip
        assert name in text, (name, reached)
    page.playwright.get_by_role("radio", name="Today").focus()
    page.playwright.keyboard.press("ArrowRight")
    page.playwright.locator("[role=radio]:focus").get_by_text("Yesterday").wait_for()
    page.playwright.keyboard.press("Enter")
    page.wait_until(lambda: "period=Yesterday" in page.playwright.url.replace("%20", "+"))


def test_the_keyboard_chooses_an_exhibition_and_takes_its_figures(lively, look):
    page = look()
    page.open("exhibition", period="All")
    box = page.playwright.get_by_role("combobox", name="Exhibition")
    box.focus()
    page.playwright.keyboard.type("Ston")
    page.playwright.keyboard.press("Enter")
    page.wait_for_text("EXH_01, Geology, floor Vault")
    summary = page.card("Busiest hours").locator("summary")
    summary.focus()
    page.playwright.keyboard.press("Enter")
    button = page.card("Busiest hours").get_by_role("button", name="CSV", exact=True)
    button.wait_for()
    with page.playwright.expect_download() as download:
        button.focus()
        page.playwright.keyboard.press("Enter")
    assert "hour_of_day" in Path(download.value.path()).read_text(encoding="utf-8-sig")
