#!/usr/bin/env python
"""The monitor's commands: python manage.py run_worker, process_file, validate_definition, check_config."""

from __future__ import annotations

from etlkit.process import begin, exit_process

begin("make setup-file_monitoring")

import os
import sys

from etlkit.console import say_settings_error
from etlkit.errors import ConfigError


def main() -> int:
    """Run the command that is named and return its exit code."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "file_monitoring.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - after the settings are named

    try:
        execute_from_command_line(sys.argv)
    except ConfigError as error:
        return say_settings_error(error, as_json="--json" in sys.argv)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


if __name__ == "__main__":
    exit_process(main())
