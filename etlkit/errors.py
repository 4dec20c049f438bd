"""The error tree, sorted by what the caller does next; each class carries its exit code.

    EtlError
    ├── ConfigError          fix the command or .env; nothing was touched               exit 2
    ├── SourceError          the source could not be read                               exit 1
    │   └── RetryableError   worth trying again                                         exit 1
    ├── DataError            the batch as a whole is unusable or was refused            exit 1
    ├── LoadError            the database refused; the transaction was rolled back      exit 1
    └── LockedError          another process holds the target; try again later          exit 4

Bad rows are not exceptions: they are counted and kept as rejects.
"""

from __future__ import annotations

EXIT_CLEAN = 0
EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_REJECTS = 3
EXIT_LOCKED = 4
EXIT_UNTOLD = 5
"""Done as with 0 or 3, but standard output did not take the outcome; standard error and the log have it."""


class EtlError(Exception):
    """Root of the tree; its message is one line: the problem (what, where, why), then the advice (what to do next)."""

    exit_code = EXIT_FAILED

    def __init__(self, problem: str, advice: str = "") -> None:
        """Keep both apart, for who lists several problems or has better advice."""
        super().__init__(f"{problem} {advice}" if advice else problem)
        self.problem = problem
        self.advice = advice


class ConfigError(EtlError):
    """The command line or the settings are wrong; nothing was touched."""

    exit_code = EXIT_CONFIG


class SourceError(EtlError):
    """The source could not be read."""


class RetryableError(SourceError):
    """The source could not be read this time; trying again may help."""


class DataError(EtlError):
    """The batch as a whole is unusable or was refused; nothing was loaded."""


class LoadError(EtlError):
    """The database refused; the transaction was rolled back."""


class LockedError(EtlError):
    """Another process holds the target."""

    exit_code = EXIT_LOCKED
