"""What every engine of the log must keep; `engine` is the fixture that says which one is asked."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import pytest

from services.kit.log.port import APPEND_LIMIT_BYTES, Corrupt, Entry, Fenced, Held, Log, Record


class Engine(Protocol):
    """An engine under test, with the means to close it and to damage what it has stored."""

    def open(self, name: str) -> Log:
        """Return a log, as a newly started process would open it."""

    def reopen(self) -> None:
        """Let go of everything in memory."""

    def damage(self, name: str, seq: int, field: str) -> None:
        """Change `payload`, `source` or `dead_letter` of a stored record; `seq`: delete it."""


def filled(log: Log, count: int) -> Log:
    log.append([Entry(f"record {number}".encode(), number) for number in range(1, count + 1)])
    return log


def sequences(records: Sequence[Record]) -> list[int]:
    return [record.seq for record in records]


def test_an_empty_log_has_no_last_record_and_begins_at_one(engine: Engine) -> None:
    log = engine.open("inbound")
    assert (log.name, log.last(), log.last_seq(), log.first_seq()) == ("inbound", None, 0, 1)
    assert log.read(0) == []


def test_sequences_are_dense_from_one(engine: Engine) -> None:
    log = engine.open("inbound")
    assert log.append([Entry(b"a")]) == 1
    assert log.append([Entry(b"b"), Entry(b"c")]) == 3
    assert sequences(log.read(0)) == [1, 2, 3]


def test_a_record_comes_back_as_it_was_given(engine: Engine) -> None:
    log = engine.open("facts-0")
    given = [Entry(b"\x00\xff" * 500, 7), Entry(b"", 8, dead_letter=True)]
    log.append(given)
    assert log.read(0) == [
        Record(1, given[0].payload, 7),
        Record(2, b"", 8, dead_letter=True),
    ]
    assert log.last() == log.read(1)[0]


def test_read_goes_on_after_a_record_and_keeps_its_limit(engine: Engine) -> None:
    log = filled(engine.open("inbound"), 5)
    assert sequences(log.read(2)) == [3, 4, 5]
    assert sequences(log.read(2, limit=2)) == [3, 4]
    assert log.read(5) == []


def test_logs_of_other_names_are_not_concerned(engine: Engine) -> None:
    one, other = engine.open("facts-0"), engine.open("facts-1")
    filled(one, 3)
    assert other.append([Entry(b"x")]) == 1
    assert (one.last_seq(), other.last_seq()) == (3, 1)


def test_two_objects_of_one_name_are_one_log(engine: Engine) -> None:
    one, other = engine.open("inbound"), engine.open("inbound")
    filled(one, 2)
    assert other.append([Entry(b"x")], expected_last=2) == 3
    assert sequences(one.read(2)) == [3]


def test_what_an_append_returned_for_is_there_after_a_restart(engine: Engine) -> None:
    records = filled(engine.open("inbound"), 3).read(0)
    engine.reopen()
    log = engine.open("inbound")
    assert log.read(0) == records
    assert log.append([Entry(b"next")], expected_last=3) == 4


def test_the_fence_lets_pass_only_who_knows_the_end(engine: Engine) -> None:
    log = engine.open("facts-0")
    assert log.append([Entry(b"a")], expected_last=0) == 1
    for wrong in (0, 2):
        with pytest.raises(Fenced, match="facts-0"):
            log.append([Entry(b"b")], expected_last=wrong)
    assert sequences(log.read(0)) == [1]


def test_an_append_without_entries_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="inbound"):
        engine.open("inbound").append([])


def test_an_append_may_be_as_large_as_the_limit_and_no_larger(engine: Engine) -> None:
    log = engine.open("inbound")
    half = b"x" * (APPEND_LIMIT_BYTES // 2)
    assert log.append([Entry(half), Entry(half)]) == 2
    with pytest.raises(ValueError, match="inbound"):
        log.append([Entry(half), Entry(half), Entry(b"x")])
    assert log.last_seq() == 2


def test_a_backlog_larger_than_one_answer_is_read_in_several(engine: Engine) -> None:
    log = engine.open("inbound")
    for _ in range(6):
        log.append([Entry(b"x" * APPEND_LIMIT_BYTES)])
    found: list[int] = []
    while records := log.read(len(found)):
        found += sequences(records)
    assert found == [1, 2, 3, 4, 5, 6]


def test_concurrent_writers_never_share_or_skip_a_sequence(engine: Engine) -> None:
    def write(writer: int) -> list[int]:
        log = engine.open("inbound")
        return [log.append([Entry(f"{writer} {number}".encode())]) for number in range(20)]

    with ThreadPoolExecutor(4) as pool:
        answers = [seq for written in pool.map(write, range(4)) for seq in written]
    assert sorted(answers) == list(range(1, 81))
    payloads = {record.payload for record in engine.open("inbound").read(0)}
    assert len(payloads) == 80


def test_of_concurrent_writers_with_one_fence_one_passes(engine: Engine) -> None:
    start = threading.Barrier(4)

    def write(writer: int) -> bool:
        log = engine.open("facts-0")
        start.wait()
        try:
            log.append([Entry(f"{writer}".encode())], expected_last=0)
        except Fenced:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(write, range(4))) == [False, False, False, True]


def test_wait_returns_at_once_where_there_is_a_record(engine: Engine) -> None:
    log = filled(engine.open("inbound"), 2)
    assert log.wait(1, timeout_s=60)


def test_wait_ends_after_its_timeout(engine: Engine) -> None:
    assert not engine.open("inbound").wait(0, timeout_s=0.02)


def test_wait_wakes_when_a_record_comes(engine: Engine) -> None:
    reader, writer = engine.open("inbound"), engine.open("inbound")
    with ThreadPoolExecutor(1) as pool:
        woken = pool.submit(reader.wait, 0, 60)
        writer.append([Entry(b"news")])
        assert woken.result(timeout=30)


def test_trim_drops_what_is_old_and_keeps_counting(engine: Engine) -> None:
    log = filled(engine.open("inbound"), 5)
    assert log.trim(4) == 3
    assert log.first_seq() == 4
    assert sequences(log.read(3)) == [4, 5]
    assert log.trim(4) == 0
    assert log.trim(2) == 0
    assert log.append([Entry(b"next")]) == 6


def test_the_last_record_survives_a_trim_of_everything(engine: Engine) -> None:
    log = filled(engine.open("inbound"), 3)
    last = log.last()
    assert log.trim(99) == 3
    engine.reopen()
    log = engine.open("inbound")
    assert (log.last(), log.first_seq(), log.read(3)) == (last, 4, [])
    assert log.append([Entry(b"next")], expected_last=3) == 4
    assert sequences(log.read(3)) == [4]
    with pytest.raises(Corrupt):
        log.read(2)


def test_trim_stops_at_the_slowest_reader(engine: Engine) -> None:
    log = filled(engine.open("inbound"), 5)
    log.hold("fast", 5)
    log.hold("slow", 1)
    with pytest.raises(Held):
        log.trim(3)
    assert log.first_seq() == 1
    assert log.trim(2) == 1
    log.hold("slow", 4)
    engine.reopen()
    log = engine.open("inbound")
    assert log.trim(5) == 3
    with pytest.raises(Held):
        log.trim(6)


def test_what_was_trimmed_is_not_served(engine: Engine) -> None:
    log = filled(engine.open("inbound"), 5)
    log.trim(3)
    with pytest.raises(Corrupt, match="inbound"):
        log.read(1)


def test_a_reader_beyond_the_end_is_told_that_records_are_lost(engine: Engine) -> None:
    log = filled(engine.open("inbound"), 2)
    with pytest.raises(Corrupt, match="inbound"):
        log.read(3)


@pytest.mark.parametrize("field", ["payload", "source", "dead_letter", "seq"])
def test_a_damaged_record_is_found_and_never_served(engine: Engine, field: str) -> None:
    filled(engine.open("inbound"), 5)
    engine.damage("inbound", 3, field)
    log = engine.open("inbound")
    assert sequences(log.read(0, limit=2)) == [1, 2]
    for after, limit in ((0, 100), (2, 1), (2, 100)):
        with pytest.raises(Corrupt, match="inbound"):
            log.read(after, limit)
    assert sequences(log.read(3)) == [4, 5]


@pytest.mark.parametrize("field", ["payload", "seq"])
def test_a_damaged_end_is_found(engine: Engine, field: str) -> None:
    filled(engine.open("inbound"), 3)
    engine.damage("inbound", 3, field)
    log = engine.open("inbound")
    with pytest.raises(Corrupt):
        log.last()
    with pytest.raises(Corrupt):
        log.read(0)
