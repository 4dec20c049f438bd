"""Locks: one holder at a time, whoever comes second is told who it is, and free however the holder ends."""

from __future__ import annotations

from contextlib import closing

import psycopg2
import pytest
from kit_database import connections, emptied, kill, made_database, value
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from etlkit.errors import DataError, LockedError
from etlkit.locks import advisory_lock, lock_key
from etlkit.postgres import connect

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def kit_database(postgres):
    """The database of this module's tests."""
    with made_database(postgres, "kit_locks") as made:
        yield made


@pytest.fixture
def database(kit_database):
    """The module's database, without anything of an earlier test."""
    return emptied(kit_database)


@pytest.fixture
def opened(database):
    """Return a function that opens connections to the test's database, which are closed after the test."""
    with connections(database) as opened:
        yield opened


def assert_free(connection, name="a"):
    with advisory_lock(connection, name):
        pass


def test_the_key_of_a_lock_is_the_same_in_every_version():
    assert lock_key("museum:batch") == -1643164476775265190


@pytest.mark.parametrize("name", ["a", "museum:batch"], ids=["positive key", "negative key"])
def test_who_comes_second_is_told_who_holds_the_lock(opened, name):
    holder, second = opened("first program"), opened("second program")
    with advisory_lock(holder, name), pytest.raises(LockedError) as caught:
        assert_free(second, name)
    assert str(caught.value).startswith(
        f"{name} is locked by first program (server process {holder.info.backend_pid}, "
    )
    assert str(caught.value).endswith("Nothing was touched; try again when it has finished.")
    assert caught.value.exit_code == 4


def test_a_holder_without_a_name_is_named_by_its_process(opened):
    holder, second = opened(""), opened()
    with advisory_lock(holder, "a"), pytest.raises(LockedError, match="an unnamed client") as caught:
        assert_free(second)
    assert f"server process {holder.info.backend_pid}, " in str(caught.value)


def test_a_lock_is_free_after_its_holder(opened):
    holder, second = opened(), opened()
    assert_free(holder)
    assert_free(second)


def test_a_lock_is_free_after_its_holder_failed(opened):
    holder, second = opened(), opened()
    with pytest.raises(DataError, match="shrunk"), advisory_lock(holder, "a"):
        raise DataError("shrunk")
    assert_free(second)


def test_a_lock_is_free_after_its_holders_transaction_failed(opened):
    holder, second = opened(), opened()
    with pytest.raises(psycopg2.Error, match="division"), advisory_lock(holder, "a"), holder.cursor() as cursor:
        cursor.execute("select 1 / 0")
    assert_free(second)
    assert value(holder, "select 1") == 1


def test_a_lock_is_free_when_its_holder_dies(connection, opened):
    holder, second = opened(), opened()
    lock = advisory_lock(holder, "a")
    lock.__enter__()
    kill(connection, holder.info.backend_pid)
    assert_free(second)
    lock.__exit__(None, None, None)


def test_a_connection_that_broke_under_the_lock_does_not_hide_why_the_run_failed(connection, opened):
    holder = opened()

    def fail():
        kill(connection, holder.info.backend_pid)
        raise DataError("shrunk")

    with pytest.raises(DataError, match="shrunk"), advisory_lock(holder, "a"):
        fail()


def test_a_run_whose_connection_broke_after_its_work_ends_well(connection, opened):
    holder = opened()
    with advisory_lock(holder, "a"):
        kill(connection, holder.info.backend_pid)


def test_a_lock_holds_over_commits_and_rollbacks(opened):
    holder, second = opened(), opened()
    with advisory_lock(holder, "a"):
        for end in (holder.commit, holder.rollback):
            value(holder, "select 1")
            end()
            with pytest.raises(LockedError):
                assert_free(second)


def test_what_was_not_committed_under_the_lock_is_not_stored(opened):
    holder = opened()
    with advisory_lock(holder, "a"), holder.cursor() as cursor:
        cursor.execute("create table forgotten (n integer)")
    assert value(holder, "select to_regclass('forgotten') is null")


def test_taking_a_lock_leaves_no_transaction_open(opened):
    holder, second = opened(), opened()
    with advisory_lock(holder, "a"):
        assert holder.info.transaction_status == TRANSACTION_STATUS_IDLE
        with pytest.raises(LockedError):
            assert_free(second)
        assert second.info.transaction_status == TRANSACTION_STATUS_IDLE


def test_different_locks_do_not_meet(opened):
    with advisory_lock(opened(), "a"), advisory_lock(opened(), "b"):
        pass


def test_a_lock_is_of_one_database(opened, empty_database):
    with closing(connect(empty_database, "elsewhere")) as elsewhere, advisory_lock(elsewhere, "a"):
        assert_free(opened())
