"""One database: one writer at a time, readers that see a commit or nothing."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select, update

from services.kit.sql import Database
from tests.databases import KINDS, Databases, made

metadata = MetaData()
counters = Table(
    "counters", metadata, Column("id", Integer, primary_key=True), Column("n", Integer)
)


@pytest.fixture(params=["memory", *KINDS])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    memory = request.param == "memory"
    opened = Database("sqlite://") if memory else made(request, tmp_path).open()
    opened.create(metadata)
    with opened.write() as connection:
        connection.execute(insert(counters).values(id=1, n=0))
    yield opened
    opened.close()


def count(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.sum(counters.c.n))).scalar_one())


def test_a_write_is_seen_after_its_block_and_not_after_an_error(database: Database) -> None:
    with database.write() as connection:
        connection.execute(update(counters).values(n=1))
    assert count(database) == 1

    def fail() -> None:
        with database.write() as connection:
            connection.execute(update(counters).values(n=2))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert count(database) == 1


def test_tables_may_be_created_again(database: Database) -> None:
    database.create(metadata)
    assert count(database) == 0


def test_concurrent_writers_lose_no_update(database: Database) -> None:
    def add(_: int) -> None:
        with database.write() as connection:
            n = connection.execute(select(counters.c.n)).scalar_one()
            connection.execute(update(counters).values(n=n + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(80)))
    assert count(database) == 80


def test_a_second_transaction_in_one_thread_is_refused_and_not_waited_for(
    database: Database,
) -> None:
    with (
        database.write(),
        pytest.raises(RuntimeError, match="open already"),
        database.write(),
    ):
        pass
    assert count(database) == 0


def test_a_reader_keeps_its_state_while_a_writer_goes_on(databases: Databases) -> None:
    database = databases.open()
    database.create(metadata)
    with database.write() as connection:
        connection.execute(insert(counters).values(id=1, n=0))
    wrote = threading.Event()

    def write() -> None:
        with database.write() as connection:
            connection.execute(update(counters).values(n=7))
        wrote.set()

    with database.read() as reader, ThreadPoolExecutor(1) as pool:
        before = reader.execute(select(counters.c.n)).scalar_one()
        pool.submit(write)
        assert wrote.wait(30)
        after = reader.execute(select(counters.c.n)).scalar_one()
    assert (before, after, count(database)) == (0, 0, 7)


def test_a_file_is_kept_so_that_a_commit_survives_a_power_cut(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'rows.db'}")
    with database.read() as connection:
        settings = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert settings == ["wal", 2, 1, 30_000]
    database.close()


def test_a_new_file_is_waited_for_while_another_process_prepares_it(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "rows.db", check_same_thread=False)) as other:
        other.isolation_level = None
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as pool:
            opened = pool.submit(_first_read, tmp_path / "rows.db")
            done, _ = wait([opened], timeout=0.2)
            other.execute("ROLLBACK")
            assert not done
            assert opened.result(timeout=30) == "wal"


def _first_read(path: Path) -> object:
    database = Database(f"sqlite:///{path}")
    try:
        with database.read() as connection:
            return connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    finally:
        database.close()


def test_a_database_in_memory_is_closed_once_nobody_is_at_it() -> None:
    database = Database("sqlite://")
    with ThreadPoolExecutor(1) as pool:
        with database.read() as connection:
            closed = pool.submit(database.close)
            done, _ = wait([closed], timeout=0.2)
            assert not done
            assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
        closed.result(timeout=30)


def test_a_signal_wakes_who_waits_for_less_and_never_goes_back(database: Database) -> None:
    signal = database.signal("log inbound")
    assert signal is database.signal("log inbound")
    with ThreadPoolExecutor(1) as pool:
        woken = pool.submit(signal.wait_beyond, 3, 60)
        signal.tell(4)
        assert woken.result(timeout=30)
    signal.tell(2)
    assert signal.latest == 4
    assert not signal.wait_beyond(4, 0)
