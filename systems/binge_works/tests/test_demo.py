"""The demo, as a user runs it."""

from __future__ import annotations

import re
import subprocess
import sys


def test_the_demo_does_what_it_says():
    done = subprocess.run(
        [sys.executable, "-m", "binge_works.demo"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stdout + done.stderr
    days = re.findall(r"--- as of (\S+), through Dagster\n(.*?)\n\n?(?=---|\n|\$)", done.stdout, re.DOTALL)
    assert len(days) == 3
    assert len(re.findall(r"^(?:shows|people|movies) +60 ", done.stdout, re.MULTILINE)) == 9
    passed = re.findall(r"(\d+) of (\d+)$", done.stdout, re.MULTILINE)
    assert [some == all_of_them for some, all_of_them in passed] == [True] * 9
    assert done.stdout.count("takes up the trombone") == 4
    assert "Everything is well." in done.stdout
    assert "!" not in done.stdout.split("binge_works check")[1].split("psql")[0]
