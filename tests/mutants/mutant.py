"""A mutant: a file of the project in which one thing is changed."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """A file's text with one change; the file and the change are its name."""

    file: str
    change: str
    text: str


def named_mutants(file: str, text: str, changed_texts: Iterable[str]) -> Iterator[Mutant]:
    """Yield a mutant for each changed text; of equal changes in a file the later ones are numbered."""
    times: Counter[str] = Counter()
    for changed in changed_texts:
        change = describe_change(text, changed)
        times[change] += 1
        number = f" #{times[change]}" if times[change] > 1 else ""
        yield Mutant(file, change + number, changed)


def describe_change(before: str, after: str) -> str:
    """Return the lines that differ as `before -> after`."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    old, new = (" ".join(line[2:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return f"{old.strip()} -> {new.strip()}"
