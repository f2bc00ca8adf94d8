"""Several processes on one database: nothing is lost, shared or late."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kit.log.port import Corrupt, Entry, LogError
from tests.databases import Databases, Place
from tests.logs.engines import SqlEngine

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine(databases: Databases) -> Iterator[SqlEngine]:
    made = SqlEngine(databases.place("log"))
    yield made
    made.close()


def started(place: Place, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.logs.writer", place.url, place.schema or ""]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, name, str(count)], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )


def test_writers_of_several_processes_share_no_sequence(engine: SqlEngine) -> None:
    writers = [started(engine.place, "inbound", 30) for _ in range(3)]
    here = [engine.open("inbound").append([Entry(b"here")]) for _ in range(30)]
    outputs = [writer.communicate(timeout=60)[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    answers = [int(line) for output in outputs for line in output]
    assert sorted(answers + here) == list(range(1, 121))
    assert len(engine.open("inbound").read(0, 200)) == 120


def test_processes_may_create_the_same_tables_at_once(databases: Databases) -> None:
    writers = [started(databases.place("new"), "facts-0", 5) for _ in range(4)]
    outputs = [writer.communicate(timeout=60)[0].split() for writer in writers]
    assert sorted(int(line) for output in outputs for line in output) == list(range(1, 21))


def test_what_a_killed_process_was_told_is_there(engine: SqlEngine) -> None:
    writer = started(engine.place, "inbound", 0)
    assert writer.stdout is not None
    told = [int(writer.stdout.readline()) for _ in range(20)]
    writer.kill()
    told += [int(line) for line in writer.stdout.read().splitlines()]
    writer.stdout.close()
    writer.wait(timeout=60)
    log = engine.open("inbound")
    last = log.last_seq()
    assert told == list(range(1, len(told) + 1))
    # The record of an answer that nobody read any more may be there; no more than that one.
    assert len(told) <= last <= len(told) + 1
    payloads = [record.payload for record in log.read(0, last)]
    assert payloads == [f"inbound {index}".encode() for index in range(last)]


def test_a_reader_hears_of_another_processes_record(engine: SqlEngine) -> None:
    log = engine.open("inbound")
    writer = started(engine.place, "inbound", 1)
    assert log.wait(0, timeout_s=60)
    writer.communicate(timeout=60)
    assert [record.seq for record in log.read(0)] == [1]


def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    engine = SqlEngine(Place(f"sqlite:///{path}"))
    log = engine.open("inbound")
    log.append([Entry(b"x" * 100_000)])
    engine.reopen()
    path.write_bytes(b"\x00" * path.stat().st_size)
    with pytest.raises(Corrupt):
        engine.open("inbound")
    engine.close()


def test_a_log_whose_tables_are_missing_is_an_error_of_the_log(engine: SqlEngine) -> None:
    log = engine.open("inbound")
    with engine.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE log_records")
    with pytest.raises(LogError, match="inbound"):
        log.append([Entry(b"x")])
