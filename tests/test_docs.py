"""The commands that the documents show: they parse, their targets exist, and what they promise is there."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess

import pytest
from museum_case import PROJECT_DIR

import archive
import consumer
import extract
import load
import pipeline
import transform
from dashboard.command_line import dashboard_parser
from etlkit.__main__ import command_parser
from museum import login
from museum.batch.kiosk_files import FILE_REASONS
from museum.batch.manifest import MANIFEST_FILE
from museum.exhibitions import EXHIBITION_REASONS
from museum.kiosk import ROW_REASONS
from museum.live.message import MESSAGE_REASONS

DOCUMENTS = [PROJECT_DIR / "README.md", PROJECT_DIR / "CONTRIBUTING.md", *sorted((PROJECT_DIR / "docs").glob("*.md"))]
SCRIPTS = {
    "archive": archive, "consumer": consumer, "extract": extract, "transform": transform, "load": load,
    "pipeline": pipeline,
}  # fmt: skip


def shown_commands() -> list[str]:
    """Return every command of the documents, once."""
    found: list[str] = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for block in re.findall(r"```(?:bash|console|cron|ini)\n(.*?)```", text, re.DOTALL):
            found += [line.removeprefix("$ ").split("#")[0].strip() for line in block.splitlines()]
        found += re.findall(r"`((?:python|make) [^`]+)`", text)
    wanted = re.compile(r"(?:.*\s)?(?:\S*/)?(python3? (?:-m (?:etlkit|dashboard|museum\.login)|\w+\.py)|make)\b(.*)")
    return sorted({f"{match[1]}{match[2]}" for line in found if (match := wanted.fullmatch(line))})


def test_there_are_commands_to_check():
    assert len(shown_commands()) >= 15


@pytest.mark.parametrize("command", shown_commands())
def test_a_shown_command_is_understood(command, monkeypatch, capsys):
    words = shlex.split(re.split(" && | >", command)[0])
    if words[0] == "make":
        words = shlex.split(command.replace("-SYSTEM", "-people_hub").split("&&")[0])
        known = subprocess.run(["make", "-n", *words[1:]], cwd=PROJECT_DIR, capture_output=True, text=True, check=False)
        assert known.returncode == 0, known.stderr
        return
    if words[1] == "-m" and words[2] != "museum.login":
        {"etlkit": command_parser, "dashboard": dashboard_parser}[words[2]]().parse_args(words[3:])
        return
    parsed: list[argparse.Namespace] = []

    def stop_after_parsing(flags: argparse.Namespace, *_: object, **__: object) -> int:
        parsed.append(flags)
        return 0

    script = login if words[1] == "-m" else SCRIPTS[words[1].removesuffix(".py")]
    monkeypatch.setattr(script, "run_stage", stop_after_parsing)
    assert script.main(words[3:] if words[1] == "-m" else words[2:]) == 0
    assert len(parsed) == 1


def test_every_reason_is_explained_to_the_operator():
    text = (PROJECT_DIR / "docs" / "operations.md").read_text(encoding="utf-8")
    for reason in (*ROW_REASONS, *FILE_REASONS, *MESSAGE_REASONS):
        assert f"`{reason}`" in text
    assert "`bad_...`" in text
    told = ("bad_", "not_", "missing_exhibition_", "repeated_field")
    assert all(reason.startswith(told) for reason in EXHIBITION_REASONS)


def test_the_manifest_is_named_as_it_is():
    assert MANIFEST_FILE in (PROJECT_DIR / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_readme_shows_what_the_tool_does_within_one_screen():
    first_screen = (PROJECT_DIR / "README.md").read_text(encoding="utf-8").splitlines()[:40]
    text = "\n".join(first_screen)
    for promised in ("make demo", "make test", "rows in =", "average", "extract.py", "Postgres"):
        assert promised in text


def test_links_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
