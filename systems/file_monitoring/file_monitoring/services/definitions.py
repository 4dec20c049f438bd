"""Where definitions come from: a file, or the table by name."""

from __future__ import annotations

import json
from pathlib import Path

from etlkit.errors import ConfigError
from file_monitoring.models import MonitoringFileSchemaDefinition
from file_monitoring.scoring.definition import Definition, DefinitionError, read_definition

LARGEST_FILE = 10_000_000


def definition_of_file(path: Path) -> Definition:
    """Return the definition that a file holds; ConfigError where it holds none."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DefinitionError(f"{path} has more than {LARGEST_FILE:,} bytes.")
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", "Nothing was touched.") from error
    except (ValueError, RecursionError) as error:
        raise DefinitionError(f"{path} is no JSON: {error}.") from error
    return read_definition(document)


def definition_by_name(name: str) -> Definition:
    """Return the definition of a name in the table; ConfigError where there is none."""
    found = MonitoringFileSchemaDefinition.objects.filter(name=name).first()
    if found is None:
        known = ", ".join(MonitoringFileSchemaDefinition.objects.order_by("name").values_list("name", flat=True)[:20])
        raise ConfigError(f"there is neither a file nor a definition {name!r}.", f"Known are: {known or 'none'}.")
    return read_definition(found.definition)
