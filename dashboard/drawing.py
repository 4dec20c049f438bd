"""Charts as SVG or PNG, drawn in a process of their own: on what it does not expect, the renderer ends its process.

Run as a program, this file is that process: a form and a chart's specification a line in, its picture or a complaint
a line out.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import IO, Any, Self

SVG, PNG = "svg", "png"
PNG_SCALE = 2
"""Pixels for one of the chart's, so that a slide shows it sharp."""

LONGEST_SECONDS = 60.0
"""After that long a chart is given up, with the process that draws it."""


_LONG_LETTER = re.compile("[\U00010000-\U0010ffff]")
"""What takes two units in JavaScript: Vega cuts a label that is too long between them, and then the renderer fails."""


class DrawingError(Exception):
    """A chart cannot be drawn; the others can."""


class Renderer:
    """Draws one chart after the other; a process that has ended is replaced for the next one."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[str] | None = None
        self._complaints: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the renderer

    def __enter__(self) -> Self:
        """Return the renderer."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End the process."""
        self._end()
        self._complaints.close()

    def draw(self, specification: dict[str, Any], form: str = SVG) -> str:
        """Return a chart as SVG, or as PNG in base64; DrawingError with the renderer's words when there is none."""
        text = json.dumps({"form": form, "chart": specification}, ensure_ascii=False)
        text = _LONG_LETTER.sub(lambda found: f"U+{ord(found[0]):X}", text)
        process = self._process = self._process or self._start()
        timer = threading.Timer(LONGEST_SECONDS, process.kill)
        timer.start()
        said = ""
        with suppress(BrokenPipeError):
            if process.stdin and process.stdout:
                process.stdin.write(f"{text}\n")
                process.stdin.flush()
                said = process.stdout.readline()
        is_late = timer.finished.is_set()
        timer.cancel()
        if not said.endswith("\n"):
            words = self._last_words()
            raise DrawingError(f"it took longer than {LONGEST_SECONDS:.0f} s" if is_late else words)
        answer = json.loads(said)
        if "error" in answer:
            raise DrawingError(answer["error"])
        return str(answer["picture"])

    def _start(self) -> subprocess.Popen[str]:
        """Start the process; it imports nothing from the folder it lies in."""
        return subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            encoding="utf-8",
        )

    def _end(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            with self._process as process:
                process.kill()
        self._process = None

    def _last_words(self) -> str:
        """Return what the process complained of before it ended by itself."""
        code = self._process.wait() if self._process else None
        self._end()
        self._complaints.seek(0)
        lines = [line.strip() for line in self._complaints if line.strip()]
        self._complaints.truncate(0)
        return f"the renderer ended with {code}: {' '.join(lines)[:300]}"


def main() -> None:
    """Draw what comes in until nothing more does."""
    import vl_convert  # noqa: PLC0415 - nobody else needs it

    for line in sys.stdin.buffer:
        try:
            asked = json.loads(line)
            if asked["form"] == SVG:
                answer = {"picture": vl_convert.vegalite_to_svg(asked["chart"])}
            else:
                picture = vl_convert.vegalite_to_png(asked["chart"], scale=PNG_SCALE)
                answer = {"picture": base64.b64encode(picture).decode()}
        except ValueError as error:
            answer = {"error": " ".join(str(error).split())}
        print(json.dumps(answer), flush=True)  # noqa: T201 - the other process reads it


if __name__ == "__main__":
    main()
