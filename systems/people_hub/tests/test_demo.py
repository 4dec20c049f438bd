"""The demo, as a user runs it."""

from __future__ import annotations

import re
import subprocess
import sys

ROW = re.compile(r"^(\w+/\w+) +" + r"([\d,]+) +" * 6, re.MULTILINE)


def test_the_demo_does_what_it_says():
    done = subprocess.run(
        [sys.executable, "-m", "people_hub.demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stderr == ""
    assert "Traceback" not in done.stdout
    assert "✅ Everything answers." in done.stdout
    first, second = done.stdout.split("--- some records change")
    streams = re.findall(
        r"^(\w+/\w+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+) +([\d,]+) ", first, re.MULTILINE
    )
    assert len(streams) == 18
    for name, records, new, changed, unchanged, deleted, rejected in streams:
        assert (changed, deleted) == ("0", "0"), name
        assert int(records) == int(new) + int(unchanged) + int(rejected), name
    changes = {
        name: (int(changed), int(deleted))
        for name, _records, _new, changed, _unchanged, deleted, _rejected in ROW.findall(second)
    }
    assert changes["umich_api/department"] == (1, 0)
    assert changes["mcommunity_ldap/user"] == (1, 1)
    assert changes["tdx/user"] == (2, 1)
    assert changes["key_client/computer"] == (1, 0)
    assert changes["active_directory/user"] == (1, 0)
    assert changes["silver/department"][0] == 2
    assert changes["silver/computer"] == (1, 0)
    assert "Department of Renamed Things" in second
    assert "📊 Flags, those that cost most first" in second
    assert "score: 1.00 - 0.05 = 0.95" in second
