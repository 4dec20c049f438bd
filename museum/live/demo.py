"""python -m museum.live.demo: the live demo, which lies beside the batch's in `museum.demo`."""

from __future__ import annotations

if __name__ == "__main__":
    from etlkit.process import begin

    begin()

from etlkit.console import run_plainly
from etlkit.process import exit_process
from museum.demo.live import main

if __name__ == "__main__":
    exit_process(run_plainly(main))
