"""The error tree, which decides what a caller does next and how the process ends."""

from __future__ import annotations

import re

import pytest

from etlkit import errors
from etlkit.errors import ConfigError, DataError, EtlError, LoadError, LockedError, RetryableError, SourceError

TREE = [
    (EtlError, Exception, 1),
    (ConfigError, EtlError, 2),
    (SourceError, EtlError, 1),
    (RetryableError, SourceError, 1),
    (DataError, EtlError, 1),
    (LoadError, EtlError, 1),
    (LockedError, EtlError, 4),
]


@pytest.mark.parametrize(("error", "parent", "exit_code"), TREE)
def test_an_error_has_its_place_and_its_exit_code(error, parent, exit_code):
    assert error.__bases__ == (parent,)
    assert error.exit_code == exit_code


def test_there_is_no_error_beside_the_tree():
    found = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, BaseException)}
    assert found == {error for error, _parent, _exit_code in TREE}


def test_the_drawing_shows_every_error_with_its_exit_code():
    drawn = dict(re.findall(r"── (\w+Error) .* exit (\d)$", errors.__doc__, re.MULTILINE))
    assert drawn == {error.__name__: str(exit_code) for error, _parent, exit_code in TREE if error is not EtlError}


def test_exit_codes_are_those_that_cron_jobs_rely_on():
    codes = {name: value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert codes == {
        "EXIT_CLEAN": 0, "EXIT_FAILED": 1, "EXIT_CONFIG": 2, "EXIT_REJECTS": 3, "EXIT_LOCKED": 4, "EXIT_UNTOLD": 5,
    }  # fmt: skip


def test_only_a_retryable_error_is_worth_trying_again():
    assert [error for error, _parent, _exit_code in TREE if issubclass(error, RetryableError)] == [RetryableError]


def test_an_error_keeps_its_message():
    assert str(LoadError("nothing was loaded")) == "nothing was loaded"
