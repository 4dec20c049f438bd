"""Run a root script and kill it (-9) at a boundary: right before a statement, a COPY, a commit or a file's move.

    python tests/killed_pipeline.py BOUNDARIES_FILE KILL_AT BULK_ROWS pipeline.py FLAGS...

The names of the boundaries are written to the file as they come; the first of the name KILL_AT is the last one. The
interpreter's own profile hook sees every call into C, so the product's code knows nothing of this.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Any

PROJECT_DIR = Path(__file__).resolve().parent.parent
STATEMENTS = {"execute", "copy_expert", "commit", "rollback"}
FILE_MOVES = {"replace", "rename", "unlink", "rmdir", "mkdir", "fsync"}
OUR_FOLDERS = tuple(
    str(PROJECT_DIR / name) for name in ("etlkit", "museum", "extract", "transform", "load", "pipeline", "archive")
)


def boundary(frame: FrameType, called: Any) -> str | None:
    """Return the name of what is about to happen, None when it is none of our business."""
    name = called.__name__
    is_temporary = frame.f_code.co_filename == tempfile.__file__  # of another name each time
    is_file_move = name in FILE_MOVES and called.__module__ == "posix" and not is_temporary
    if not is_file_move and not (name in STATEMENTS and frame.f_code.co_filename.startswith(OUR_FOLDERS)):
        return None
    values = frame.f_locals
    what = next(
        (values[key] for key in ("path", "name", "self", "target") if isinstance(values.get(key), (str, Path))), ""
    )
    return f"{name} {Path(what).name} in {frame.f_code.co_name}"


def main() -> None:
    boundaries_path, kill_at, bulk_rows, script, *flags = sys.argv[1:]
    sys.path.insert(0, str(PROJECT_DIR))
    program = importlib.import_module(Path(script).stem)
    importlib.import_module("museum.batch.judged_rows").BULK_ROWS = int(bulk_rows)
    guard = threading.Lock()

    def hook(frame: FrameType, event: str, called: Any) -> None:
        if event != "c_call" or (name := boundary(frame, called)) is None:
            return
        with guard:
            boundaries.write(f"{name}\n")
            boundaries.flush()
            if name == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    with Path(boundaries_path).open("w", encoding="utf-8") as boundaries:
        threading.setprofile(hook)
        sys.setprofile(hook)
        code = program.main(flags)
        sys.setprofile(None)
    os._exit(code)


main()
