"""Java's libraries for tests: what a pom names, copied by Maven into a folder, once until the pom changes."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest

COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies"


def copied_libraries(pom: Path, folder: Path, what: str) -> Path:
    """Return the folder with a pom's jars; skips the test where Java or Maven is missing."""
    for program, package in (("java", "default-jre-headless"), ("mvn", "maven")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing, so there is no {what}; on Debian: apt-get install {package}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers may want them at once
        stamp = folder / "pom.xml"
        if not stamp.exists() or stamp.read_bytes() != pom.read_bytes():
            shutil.rmtree(folder, ignore_errors=True)
            command = ["mvn", "-q", "-B", "-f", str(pom), COPY_GOAL, f"-DoutputDirectory={folder}"]
            done = subprocess.run(
                [*command, "-DincludeScope=runtime"], capture_output=True, text=True, timeout=600, check=False
            )
            if done.returncode:
                raise RuntimeError(f"Maven could not fetch {what}: {(done.stdout + done.stderr)[-2000:]}")
            shutil.copy(pom, stamp)
    return folder
