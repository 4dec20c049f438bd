"""The demo, as a user runs it."""

from __future__ import annotations

import re
import subprocess
import sys

from file_monitoring.sample_files import sample_files


def test_the_demo_does_what_it_says_amid_a_user_s_settings(monkeypatch):
    for name, value in {"DB_HOST": "nowhere", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "SQS_QUEUE_URL": "x"}.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run(
        [sys.executable, "-m", "file_monitoring.demo"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stdout + done.stderr
    scores = dict(re.findall(r"^(\S+) .*? (\d+)  (?:passed|failed)", done.stdout, re.MULTILINE))
    assert scores == {file.key: str(file.score) for file in sample_files()}
    assert "52,uniqueness,badge,unique" in done.stdout
