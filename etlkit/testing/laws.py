"""The laws that every system keeps, as one suite of tests: a system's tests inherit `Laws` and bring a `System`.

    class TestLaws(Laws):
        @pytest.fixture
        def system(self, ...): return MySystem(...)

The numbers are those of the design's section on laws. A new system begins by passing them; one that keeps its tables in
Postgres inherits those of `postgres_laws`, which say how a lock, a history or a wait looks there.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etlkit.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_LOCKED, EXIT_REJECTS
from etlkit.process import SIGNAL_EXIT_BASE

PROCESS_SECONDS = 60
HOLDER = "the law's holder"


@dataclass(frozen=True)
class Fed:
    """What a system's standard input holds: how many records, and of each bad one a text and its reason."""

    records: int
    bad: Mapping[str, str]


@dataclass(frozen=True)
class Sum:
    """Where a run's records went."""

    records_in: int
    stored: int
    already_there: int
    rejected: int


@dataclass(frozen=True)
class Ended:
    """How a run ended: exit code, its one JSON object, and what a person saw."""

    exit_code: int
    figures: Mapping[str, Any]
    text: str


@dataclass(frozen=True)
class Reject:
    """A bad record as it is kept."""

    place: str
    raw: bytes
    reasons: tuple[str, ...]


class System(ABC):
    """One system under the laws: how to run it, with what input, and how to read what it keeps.

    Its settings stand in the environment.
    """

    log_file: Path
    secrets: Sequence[str]
    """The values that nobody may see."""
    required_settings: Sequence[str]
    """What a message names where they are missing, or wrong."""
    run_id = "[0-9a-f]{8}-[0-9a-f-]{27}"
    """A pattern of what the last line calls a run."""
    dry_run_word = "would"
    exit_when_locked = EXIT_LOCKED
    exit_on_sigterm = SIGNAL_EXIT_BASE + signal.SIGTERM
    status_on_sigterm: str | None = "failed"
    """What the history says of a run that was stopped; None where it says nothing."""
    advice_when_away = ""
    again: Sequence[str] = ()
    """Flags that make a second run see the same input again, where it would not by itself."""

    @abstractmethod
    def feed(self) -> Fed:
        """Put the standard input in place: good records and some bad ones."""

    @abstractmethod
    def forget_settings(self) -> None:
        """Take the required settings away, or make them wrong."""

    @abstractmethod
    def run(self, *flags: str) -> Ended:
        """Run the main command in this process with --json."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the main command's script (or -m and module) and its flags, for a process of its own."""

    @abstractmethod
    def sum(self, figures: Mapping[str, Any]) -> Sum:
        """Read the sum from a run's JSON object."""

    @abstractmethod
    def tables(self) -> Mapping[str, Any]:
        """Return what is stored, without what differs from run to run."""

    @abstractmethod
    def stored(self) -> int:
        """Count the stored records."""

    @abstractmethod
    def rejects(self) -> list[Reject]:
        """Return the bad records that are kept and open."""

    @abstractmethod
    def history(self) -> list[tuple[str, str | None]]:
        """Return the status and the error of each run that is written down."""

    @abstractmethod
    def traces(self) -> Mapping[str, Any]:
        """Return everything that a run could leave, to the last bit."""

    @abstractmethod
    def held(self) -> AbstractContextManager[None]:
        """Let somebody else, called HOLDER, hold the target."""

    @abstractmethod
    def is_held(self) -> bool:
        """Tell whether somebody holds the target."""

    @abstractmethod
    def blocked(self) -> AbstractContextManager[Callable[[subprocess.Popen[str]], None]]:
        """Let a run wait in the middle of its work; gives what returns once the run of a process waits."""

    @abstractmethod
    def away(self) -> AbstractContextManager[str]:
        """Let something that a run needs not be there; gives the place that is told."""

    def refusals(self) -> list[str]:
        """Have the command refused in each way that could show a secret; return what was shown."""
        return []

    @contextmanager
    def started(self, *flags: str) -> Iterator[subprocess.Popen[str]]:
        """Run the main command as a process of its own, which does not outlive its law."""
        command = [sys.executable, *self.command(), *flags]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=dict(os.environ), stdout=pipe, stderr=pipe, text=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def finish(self, *flags: str) -> tuple[int, str, str]:
        """Run the main command as a process of its own; return its exit code, output and errors."""
        with self.started(*flags) as process:
            return finished(process)


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a process; return its exit code, output and errors."""
    out, err = process.communicate(timeout=PROCESS_SECONDS)
    return process.returncode, out, err


class Laws:
    """The suite; a subclass brings the fixture `system`."""

    def test_law_1_every_record_is_stored_rejected_or_there_already(self, system: System) -> None:
        """The sum is what lies in the tables, and a bad record is kept with its text and its own reason."""
        fed = system.feed()
        done = system.run()
        told = system.sum(done.figures)
        rejects = system.rejects()
        assert told == Sum(fed.records, system.stored(), 0, len(rejects)), done.text
        assert told.records_in == told.stored + told.rejected
        assert len(rejects) == len(fed.bad) > 0
        for text, reason in fed.bad.items():
            kept = [one.reasons for one in rejects if (text.encode() in one.raw if text else not one.raw)]
            assert any(reason in told for reasons in kept for told in reasons), (text, reason, kept)

    def test_law_2_a_second_run_changes_nothing(self, system: System) -> None:
        """Identity is provenance, so the same input again adds and takes nothing."""
        fed = system.feed()
        first = system.run()
        before, rejects = system.tables(), system.rejects()
        again = system.run(*system.again)
        assert (first.exit_code, again.exit_code) == (EXIT_REJECTS, 0), again.text
        assert system.tables() == before
        assert system.rejects() == rejects
        told = system.sum(again.figures)
        assert told.stored == 0
        assert told.records_in in (fed.records, 0)
        assert told.already_there == told.records_in - (len(rejects) if told.records_in else 0)

    def test_law_5_the_target_of_another_is_not_touched(self, system: System) -> None:
        """Who finds the lock taken says by whom and leaves everything as it is."""
        system.feed()
        traces = system.traces if system.exit_when_locked == EXIT_LOCKED else system.tables
        with system.held():
            before = traces()
            refused = system.run()
            assert refused.exit_code == system.exit_when_locked, refused.text
            assert HOLDER in refused.text
            assert traces() == before
        assert system.run().exit_code == EXIT_REJECTS

    def test_law_6_the_last_line_and_the_exit_code_are_the_outcome(self, system: System) -> None:
        """A person and a program are told the same."""
        system.feed()
        exit_code, out, err = system.finish()
        assert exit_code == EXIT_REJECTS, out + err
        lines = (out + err).strip().splitlines()
        assert re.search(rf"[Rr]un {system.run_id}", lines[-1]), lines[-1]
        assert str(system.log_file) in lines[-1]
        assert lines.count(lines[-1]) == 1
        assert [status for status, _ in system.history()] == ["completed"]
        exit_code, out, err = system.finish("--json", *system.again)
        document = json.loads(out)
        assert (exit_code, document["exit_code"], document["outcome"]) == (0, 0, "done")
        assert "are still open" in err or "known one(s) are open" in err, err
        exit_code, out, err = system.finish("--no-such-flag")
        assert (exit_code, out) == (EXIT_CONFIG, "")
        assert "--no-such-flag" in err

    def test_law_6_a_signal_in_the_middle_rolls_back(self, system: System) -> None:
        """SIGTERM while a run waits: the exit code says so, and the tables are as before."""
        system.feed()
        before = system.tables()
        with system.blocked() as wait_until_it_waits, system.started() as process:
            wait_until_it_waits(process)
            assert system.is_held(), "the run holds its lock while it works"
            process.send_signal(signal.SIGTERM)
            exit_code, out, err = finished(process)
        assert exit_code == system.exit_on_sigterm, out + err
        assert "Traceback" not in out + err
        assert system.tables() == before
        assert [status for status, _ in system.history()] == (
            [system.status_on_sigterm] if system.status_on_sigterm else []
        )
        for status, message in system.history():
            assert status == "completed" or message == "stopped by SIGTERM"
        assert system.run().exit_code == EXIT_REJECTS
        assert system.stored() > 0

    def test_law_9_no_secret_is_shown(self, system: System) -> None:
        """Neither console nor log nor what is stored holds a secret, whatever happens."""
        system.feed()
        exit_code, *shown = system.finish("--log-level", "DEBUG")
        assert exit_code == EXIT_REJECTS
        shown += system.refusals()
        shown.append(system.log_file.read_text(encoding="utf-8"))
        shown += [str(kept) for kept in system.traces().values()]
        assert system.secrets
        for secret in system.secrets:
            forms = (secret, secret.encode().hex())  # a bytea is shown in hexadecimal
            assert not [text for text in shown if any(form in text for form in forms)], f"{secret[:3]}... is shown"

    def test_law_10_a_dry_run_leaves_no_trace_and_says_the_same(self, system: System) -> None:
        """The work is done, told with the same figures, and rolled back."""
        system.feed()
        before = system.traces()
        dry = system.run("--dry-run")
        assert system.traces() == before
        assert system.dry_run_word in dry.text
        wet = system.run()
        assert dry.exit_code == wet.exit_code == EXIT_REJECTS
        assert system.sum(dry.figures) == system.sum(wet.figures)
        assert system.stored() == system.sum(wet.figures).stored > 0

    def test_law_11_what_is_away_is_one_clear_line(self, system: System) -> None:
        """Where, why in the system's words, what next; the traceback is in the log file."""
        system.feed()
        with system.away() as place:
            exit_code, out, err = system.finish()
        last = (out + err).strip().splitlines()[-1]
        assert exit_code == EXIT_FAILED, out + err
        for words in (place, "onnection refused", system.advice_when_away, f"[exit {EXIT_FAILED}]"):
            assert words in last
        assert "Traceback" not in out + err
        assert "Traceback" in system.log_file.read_text(encoding="utf-8")

    def test_law_11_missing_settings_are_named_in_one_message(self, system: System) -> None:
        """Everything that is missing or wrong, at once, before anything is touched."""
        system.feed()
        before = system.traces()
        system.forget_settings()
        refused = system.run()
        assert refused.exit_code == EXIT_CONFIG
        assert (refused.figures["outcome"], refused.figures["exit_code"]) == ("failed", EXIT_CONFIG)
        told = [line for line in refused.text.splitlines() if system.required_settings[0] in line]
        assert len(told) == 1, refused.text
        assert [name for name in system.required_settings if not re.search(rf"\b{name}\b", told[0])] == []
        assert system.traces() == before
