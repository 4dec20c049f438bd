"""Makes a command under test wait at one place, where a test wants to stop, kill or overtake it."""

import os
import time
from pathlib import Path

PLACE = os.environ.get("SLOW_PLACE_OF_THE_TEST", "validation")
SECONDS = float(os.environ.get("SLOW_SECONDS_OF_THE_TEST", "0"))


def wait() -> None:
    folder = Path(os.environ["SCRATCH_DIR"])
    folder.mkdir(exist_ok=True)
    (folder / "reached").touch()
    time.sleep(SECONDS)


def slowed(module, name, *, after: bool = False) -> None:
    original = getattr(module, name)

    def slow(*arguments, **flags):
        if not after:
            wait()
        result = original(*arguments, **flags)
        if after:
            wait()
        return result

    setattr(module, name, slow)


def install() -> None:
    from file_monitoring.services import ingestion, queue

    queue.FIRST_WAIT = int(os.environ.get("FIRST_WAIT_OF_THE_TEST", queue.FIRST_WAIT))
    if PLACE == "download":
        slowed(ingestion, "fetch")
    elif PLACE == "validation":
        slowed(ingestion, "score_file")
    elif PLACE == "before commit":
        slowed(ingestion, "_keep_latest_score", after=True)
    else:
        slowed(queue.Queue, "delete")


if SECONDS:
    from django.apps import config

    original_ready = config.AppConfig.ready

    def ready(self) -> None:
        original_ready(self)
        if self.name == "file_monitoring":
            install()

    config.AppConfig.ready = ready
