"""gunicorn's settings: one process, which scores a file at a time, and threads, so that the probes answer meanwhile."""

from __future__ import annotations

bind = "0.0.0.0:8000"
workers = 1
threads = 8
worker_class = "gthread"
worker_tmp_dir = "/dev/shm"  # noqa: S108 - a heartbeat in memory
timeout = 60
graceful_timeout = 25
accesslog = None
errorlog = "-"
loglevel = "warning"
limit_request_fields = 50
