"""The hub's scripts: which there are, which come first, and how they are called."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

import people_hub
from etlkit.errors import ConfigError
from people_hub.bronze.stream import Stream
from people_hub.silver.transform import Transform

SCRIPT_KINDS = ("ingest", "enrich", "transform")


@dataclass(frozen=True)
class Script:
    """A script of the hub: its file's name, and the stream or transform that it declares."""

    name: str
    job: Stream | Transform

    @property
    def kind(self) -> str:
        """Return `ingest`, `enrich` or `transform`."""
        return self.name.split("_")[0]

    @property
    def short_name(self) -> str:
        """Return the name as `--only` takes it: without its kind, of a transform the table alone."""
        return self.job.table if isinstance(self.job, Transform) else self.name.split("_", 1)[1]

    def needs(self, other: Script) -> bool:
        """Tell whether this one reads what another writes."""
        if isinstance(self.job, Stream):
            listed = (self.job.source_system, self.job.detail_of)
            return isinstance(other.job, Stream) and (other.job.source_system, other.job.entity_type) == listed
        if isinstance(other.job, Transform):
            return other.job.table in self.job.needs
        return other.job.name in self.job.reads


def all_scripts() -> list[Script]:
    """Return every script of the package, in the order of a whole run: who is needed by others comes first.

    Raises ConfigError for a script that cannot be imported, for two that declare the same stream or table, and for
    some that need each other.
    """
    names = [found.name for found in pkgutil.iter_modules(people_hub.__path__)]
    found = [_import_script(name) for name in names if name.split("_")[0] in SCRIPT_KINDS]
    by_job: dict[str, str] = {}
    for script in found:
        other = by_job.setdefault(script.job.name, script.name)
        if other != script.name:
            raise ConfigError(
                f"{other}.py and {script.name}.py both declare {script.job.name}, and each would bury the other's "
                "records. Give one of them another source_system or entity_type. Nothing was touched."
            )
    return _in_order(sorted(found, key=lambda script: (SCRIPT_KINDS.index(script.kind), script.name)))


def streams() -> list[Script]:
    """Return the scripts that bring a stream into bronze."""
    return [script for script in all_scripts() if isinstance(script.job, Stream)]


def transforms() -> list[Transform]:
    """Return the transforms, in their order."""
    return [script.job for script in all_scripts() if isinstance(script.job, Transform)]


def _in_order(scripts: list[Script]) -> list[Script]:
    """Return scripts so that who is needed comes first, and otherwise as they stand."""
    places = {script.name: place for place, script in enumerate(scripts)}
    sorter = TopologicalSorter(
        {script.name: [other.name for other in scripts if script.needs(other)] for script in scripts}
    )
    ordered: list[Script] = []
    try:
        sorter.prepare()
    except CycleError as error:
        raise ConfigError(f"these scripts need each other: {', '.join(error.args[1])}. Nothing was touched.") from None
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=places.__getitem__)
        name = ready.pop(0)
        ordered.append(scripts[places[name]])
        sorter.done(name)
    return ordered


def _import_script(name: str) -> Script:
    """Return a script of the package; ConfigError that names its file when it cannot be imported."""
    try:
        module = importlib.import_module(f"people_hub.{name}")
        return Script(name, module.TRANSFORM if name.startswith("transform_") else module.STREAM)
    except Exception as error:
        raise ConfigError(
            f"people_hub/{name}.py cannot be used: {type(error).__name__} {error}. Correct or remove it. "
            "Nothing was touched."
        ) from error


def choose_scripts(kinds: tuple[str, ...], only: list[str]) -> list[Script]:
    """Return the scripts of some kinds, or those of the given names; ConfigError for a name that is none."""
    known = [script for script in all_scripts() if script.kind in kinds]
    names = {name.strip() for text in only for name in text.split(",") if name.strip()}
    chosen = [script for script in known if not names or names & _names(script)]
    if unknown := sorted(names - {name for script in known for name in _names(script)}):
        raise ConfigError(
            f"no {' or '.join(kinds)} script is called {', '.join(unknown)}; there are: "
            f"{', '.join(script.short_name if len(kinds) == 1 else script.name for script in known)}. "
            "Nothing was touched."
        )
    return chosen


def _names(script: Script) -> set[str]:
    """Return by which names a script may be chosen."""
    return {script.name, script.short_name, script.name.split("_", 1)[1]}


def find_stream(name: str) -> Stream:
    """Return a stream by its own name or its script's; ConfigError when there is none."""
    scripts = streams()
    for script in scripts:
        if isinstance(script.job, Stream) and name in (script.job.name, script.name, script.short_name):
            return script.job
    raise ConfigError(f"there is no stream {name!r}; there are: {', '.join(script.job.name for script in scripts)}.")
