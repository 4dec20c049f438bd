"""Publication: in come the finished files of a run, out goes the run that every manifest reader sees from then on.

A run is moved in below `bronze/` after it was judged, its manifest is written, and one pointer is swapped; the run
before goes to `archive/`. Whoever is killed at any point leaves readers the old or the new run, whole, and the next
run tidies up under the lock: what the pointer does not name is archived if it was current before, and deleted
otherwise.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etlkit.errors import ConfigError, DataError, EtlError, LoadError
from warehouse.configuration import DatasetConfig, GoldConfig
from warehouse.naming import raw_prefix, run_of, temp_prefix
from warehouse.targets.target import LostRaceError, Tagged, Target

if TYPE_CHECKING:
    from warehouse.catalog import Catalog

logger = logging.getLogger("warehouse")

MANIFEST_VERSION = 1
KEPT_RUNS = 3
"""How many earlier runs stay in the archive, with their raw files and quarantine."""
SOURCE_FILE = "_source.json"
"""Written last into a run's raw files: without it they are not whole."""


@dataclass(frozen=True)
class Pointer:
    """Which run is current, which was before it, and how often the pointer was swapped."""

    run_id: str
    previous_run_id: str | None
    sequence: int
    tagged: Tagged


@dataclass(frozen=True)
class Publication:
    """The published runs of one dataset in a target; its tables lie in one layer or in several."""

    target: Target
    dataset: str
    layers: tuple[str, ...] = ("bronze",)

    @property
    def _home(self) -> str:
        return f"{self.layers[0]}/{self.dataset}/"

    @property
    def _homes(self) -> list[str]:
        return [f"{layer}/{self.dataset}/" for layer in self.layers]

    @property
    def _archives(self) -> list[str]:
        return [f"archive/{home}" for home in self._homes]

    @property
    def _pointer_key(self) -> str:
        return f"{self._home}_manifest/current.json"

    def _manifest_key(self, run_id: str) -> str:
        return f"{self._home}_manifest/{run_id}.json"

    def pointer(self) -> Pointer | None:
        """Return the pointer; None before the first run. DataError for one that is not understood."""
        tagged = self.target.read(self._pointer_key)
        if tagged is None:
            return None
        try:
            told = json.loads(tagged.content)
            return Pointer(told["run_id"], told["previous_run_id"], int(told["sequence"]), tagged)
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.target.location(self._pointer_key)} is not understood: {error}.") from error

    def manifest(self, run_id: str) -> dict[str, Any] | None:
        """Return a run's manifest; None where there is none."""
        tagged = self.target.read(self._manifest_key(run_id))
        if tagged is None:
            return None
        found: dict[str, Any] = json.loads(tagged.content)
        return found

    def current(self) -> dict[str, Any] | None:
        """Return the manifest of the current run; None before the first one."""
        pointer = self.pointer()
        if pointer is None:
            return None
        manifest = self.manifest(pointer.run_id)
        if manifest is None:
            raise DataError(
                f"{self.target.location(self._manifest_key(pointer.run_id))} is missing, though the pointer names it.",
                "Run again with --force; a history, which no source holds, wants it back, or a rollback.",
            )
        return manifest

    def runs(self) -> list[dict[str, Any]]:
        """Return the manifests of the current run and of those in the archive, the newest first."""
        found = (self.manifest(run_id) for run_id in sorted(self._manifests(), reverse=True))
        return [manifest for manifest in found if manifest is not None]

    def tidy(self, catalog: Catalog | None = None) -> None:
        """Remove what killed runs left, and finish an archiving that was cut short; log what was done.

        Whoever calls it holds the lock. DataError where the pointer is gone though something was published.
        """
        self._point_at_a_whole_run()
        self._show_current(catalog)  # before anything goes that a table may show
        pointer = self.pointer()
        kept = {pointer.run_id} if pointer else set()
        self._tidy_home(pointer)
        archived = self._runs_in(*self._archives)
        for run_id in archived.keys() - {*self._manifests()}:
            self.target.delete(archived.pop(run_id))  # its removal was cut short
        for run_id in kept & archived.keys():
            self.target.delete(archived.pop(run_id))  # a rollback brought it back
        kept |= archived.keys()
        self.target.delete([self._manifest_key(run_id) for run_id in sorted({*self._manifests()} - kept)])
        half_written = [stored.key for stored in self.target.stored(f"{self._home}_manifest/") if "/." in stored.key]
        self.target.delete(half_written)
        for prefix in (f"temp/{self.dataset}/", f"quarantine/{self.dataset}/"):
            for run_id, keys in self._runs_in(prefix).items():
                if prefix.startswith("temp") or run_id not in kept:
                    self.target.delete(keys)
        self._tidy_raw()

    def _show_current(self, catalog: Catalog | None) -> None:
        """Let a catalog's tables show the run that the pointer names."""
        pointer = self.pointer() if catalog else None
        manifest = self.manifest(pointer.run_id) if pointer else None
        if catalog and manifest:
            catalog.move(manifest["run_id"], schemas_of(manifest))

    def _tidy_raw(self) -> None:
        """Remove raw files that are not whole, and the older ones that no published run was made of."""
        raw = self._runs_in(f"raw/{self.dataset}/")
        for run_id, keys in sorted(raw.items()):
            if raw_prefix(self.dataset, run_id) + SOURCE_FILE not in keys:
                self.target.delete(raw.pop(run_id))
                self._say(f"removed the half-written raw files of run {run_id}")
        for run_id in sorted(raw.keys() - self._named_raw())[:-KEPT_RUNS]:  # a gate that fails each night fills no disk
            self.target.delete(raw[run_id])
            self._say(f"removed the raw files of run {run_id}, which was never published")

    def _say(self, sentence: str) -> None:
        """Log what somebody may wonder about later."""
        logger.warning("%s: %s", self.dataset, sentence)

    def _named_raw(self) -> set[str]:
        """Return the runs whose raw files a published run was made of."""
        return {manifest["raw_run_id"] for manifest in self.runs() if "raw_run_id" in manifest}

    def _point_at_a_whole_run(self) -> None:
        """Where no pointer is, make one for the only run that was judged: it was killed there, or the pointer is lost.

        DataError where more than one was published, of which nobody can say which was current.
        """
        if self.pointer():
            return
        if self._runs_in(*self._archives):
            raise DataError(
                f"{self.target.location(self._pointer_key)} is gone, but {self._archives[0]} has runs.",
                "Put it back (run_id, previous_run_id, sequence); nothing was touched.",
            )
        home = self._runs_in(*self._homes)
        for run_id in sorted(home, reverse=True):
            manifest = self.manifest(run_id)
            if manifest and {*_files(manifest)} <= {*home[run_id]}:
                self._swap(run_id, None, None)
                self._say(f"run {run_id} was whole and judged, but no pointer named it; it is current now")
                return

    def _tidy_home(self, pointer: Pointer | None) -> None:
        """Let only the current run lie where readers without a manifest look."""
        is_fenced = False
        for run_id, keys in self._runs_in(*self._homes).items():
            if pointer and run_id == pointer.previous_run_id:
                self._archive_keys(keys)
                self._say(f"archived run {run_id}")
            elif not pointer or run_id != pointer.run_id:
                if pointer and not is_fenced:
                    self._swap(pointer.run_id, pointer, pointer.previous_run_id)
                    is_fenced = True  # a run that sleeps finds another pointer, and cannot publish what is removed
                self.target.delete(keys)
                self._say(f"removed run {run_id}, which was never published")

    def publish(
        self,
        run_id: str,
        manifest: Mapping[str, Any],
        moved: Mapping[str, str],
        pointer: Pointer | None,
        catalog: Catalog | None = None,
    ) -> None:
        """Move files in, write the manifest, move the catalog's tables, swap the pointer, archive the run before.

        `moved` has a key of the run's final place for each key below `temp/`, `pointer` is what the run found when it
        began. Raises LostRaceError where another run was published since, and what the catalog raises; then everything
        is taken away again. What fails or is stopped once the pointer is swapped undoes nothing; it is logged.
        """
        for key, to in moved.items():
            self.target.copy(key, to)
        content = {"manifest_version": MANIFEST_VERSION, "run_id": run_id, **manifest}
        self.target.write(self._manifest_key(run_id), _json(content))
        before = pointer.run_id if pointer else None

        def clear_away() -> None:
            self.target.delete_below(temp_prefix(self.dataset, run_id))
            if before:
                self._archive_keys(self._runs_in(*self._homes).get(before, []))
            self._retain(before)

        is_refused = False
        try:
            self._require_all_there(moved.values())
            if catalog:
                is_refused = True
                catalog.move(run_id, schemas_of(content))
                is_refused = False
            self._swap_then(run_id, pointer, before, clear_away)
        except (LostRaceError, DataError, LoadError) as error:
            if is_refused or isinstance(error, LostRaceError):
                self._show_current(None if is_refused else catalog)
                self.target.delete([*moved.values(), self._manifest_key(run_id), *moved])
            raise

    def _require_all_there(self, keys: Iterable[str]) -> None:
        """Raise LostRaceError where a run's files are gone: another one took this one for dead and tidied up."""
        places = (*self._homes, f"quarantine/{self.dataset}/")
        home = {stored.key for place in places for stored in self.target.stored(place)}
        if gone := [key for key in keys if key not in home]:
            raise LostRaceError(f"{self.target.location(gone[0])} was removed by another run meanwhile.", "Run again.")

    def rollback(self, run_id: str | None, catalog: Catalog | None = None) -> tuple[str, str]:
        """Make an earlier run current again; return which one, and the one that was current.

        Whoever calls it holds the lock. ConfigError where there is no such run.
        """
        pointer = self.pointer()
        archived = self._runs_in(*self._archives)
        if pointer is None or not archived:
            raise ConfigError(f"{self.dataset} has no earlier run to go back to.")
        wanted = run_id or pointer.previous_run_id
        manifest = self.manifest(wanted) if wanted in archived else None
        files = _files(manifest) if manifest else []
        if wanted is None or manifest is None or {f"archive/{key}" for key in files} - {*archived[wanted]}:
            there = ", ".join(sorted(archived))
            raise ConfigError(f"{self.dataset} has no whole archived run {wanted}; there are {there}: give a --run-id.")
        for key in archived[wanted]:
            self.target.copy(key, key.removeprefix("archive/"))
        if catalog:
            catalog.move(wanted, schemas_of(manifest))
        before = pointer.run_id

        def clear_away() -> None:
            self._archive_keys(self._runs_in(*self._homes).get(before, []))
            self.target.delete(archived[wanted])

        self._swap_then(wanted, pointer, before, clear_away)
        return wanted, before

    def _swap_then(
        self, run_id: str, pointer: Pointer | None, previous_run_id: str | None, clear_away: Callable[[], None]
    ) -> None:
        """Swap the pointer and clear away; what ends it once the pointer is swapped is logged, and undoes nothing."""
        is_swapped = False
        try:
            self._swap(run_id, pointer, previous_run_id)
            is_swapped = True
            clear_away()
        except BaseException as error:  # a signal, too: its sender shall not read that everything was rolled back
            if not is_swapped and not self._is_published(run_id):
                raise
            said = str(error) if isinstance(error, EtlError) else f"{type(error).__name__} {error}".strip()
            self._say(f"run {run_id} is current, but what comes after is left to the next run: {said}")

    def _is_published(self, run_id: str) -> bool:
        """Tell whether the pointer names a run, whoever swapped it; no where it cannot be read."""
        try:
            pointer = self.pointer()
        except (EtlError, OSError):
            return False
        return pointer is not None and run_id in (pointer.run_id, pointer.previous_run_id)

    def _swap(self, run_id: str, pointer: Pointer | None, previous_run_id: str | None) -> None:
        """Let the pointer name a run; its content differs each time, so that an old one never fits again."""
        content = {
            "run_id": run_id,
            "previous_run_id": previous_run_id,
            "sequence": pointer.sequence + 1 if pointer else 1,
        }
        self.target.swap(self._pointer_key, _json(content), pointer.tagged if pointer else None)

    def _archive_keys(self, keys: Sequence[str]) -> None:
        """Move a run's files to the archive: all are there before the first one goes."""
        for key in keys:
            self.target.copy(key, f"archive/{key}")
        self.target.delete(keys)

    def _retain(self, previous_run_id: str | None) -> None:
        """Delete the oldest runs of the archive, and the raw files and quarantine that no run stands for any more."""
        archived = self._runs_in(*self._archives)
        newest_first = sorted(archived, key=lambda run_id: (run_id == previous_run_id, run_id), reverse=True)
        for run_id in newest_first[KEPT_RUNS:]:
            self.target.delete([self._manifest_key(run_id)])  # first: half a run without one is none
            self.target.delete(archived[run_id])
        named = {*self._manifests()} | self._named_raw()
        for prefix in (f"quarantine/{self.dataset}/", f"raw/{self.dataset}/"):
            for run_id, keys in self._runs_in(prefix).items():
                if run_id not in named:
                    self.target.delete(keys)

    def _manifests(self) -> Iterator[str]:
        """Yield the runs that have a manifest."""
        for stored in self.target.stored(f"{self._home}_manifest/"):
            name = stored.key.rsplit("/", 1)[-1]
            if name != "current.json" and not name.startswith("."):
                yield name.removesuffix(".json")

    def _runs_in(self, *prefixes: str) -> dict[str, list[str]]:
        """Return the keys of each run below some prefixes."""
        found: dict[str, list[str]] = {}
        for prefix in prefixes:
            for stored in self.target.stored(prefix):
                if run_id := run_of(stored.key):
                    found.setdefault(run_id, []).append(stored.key)
        return found


def publication_of(target: Target, dataset: DatasetConfig | GoldConfig) -> Publication:
    """Return a dataset's published runs."""
    return Publication(target, dataset.dataset, dataset.layers)


def schemas_of(manifest: Mapping[str, Any]) -> dict[str, list[list[str]]]:
    """Return the columns of a run's tables."""
    return {table: told["schema"] for table, told in manifest["tables"].items()}


def _files(manifest: Mapping[str, Any]) -> list[str]:
    """Return the keys of a run's tables."""
    return [file["key"] for told in manifest["tables"].values() for file in told["files"]]


def _json(content: Mapping[str, Any]) -> bytes:
    """Return a small object's bytes, in an order of their own."""
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n").encode()
