"""The first thing that a script of the hub imports: from here on one line tells what ends it before its work begins.

A script is run by its path, so outside the hub's environment it finds nothing but what lies beside it: this file.
"""

from __future__ import annotations

import sys

SETUP = "make setup-people_hub"

try:
    from etlkit.process import begin
except ImportError as error:
    sys.stderr.write(
        f"error: {error} ({sys.executable}). Run {SETUP}, then .venv/bin/python instead. Nothing was touched.\n"
    )
    sys.exit(2)

begin(SETUP)
