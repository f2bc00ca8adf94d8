"""Unsaved rules are answered as of one instant, and what comes in meanwhile does not wait long."""

from __future__ import annotations

import threading

import pytest

from segcore import Engine, Event
from segcore.rule import (
    MICRO,
    Aggregate,
    All,
    Compare,
    Comparison,
    Fold,
    Kind,
    Literal,
    Not,
    Rows,
    Scope,
)
from segcore.rule_json import to_json
from services.segmentation.domain import Definition
from services.segmentation.partition import Partition
from services.segmentation.selection import select
from services.segmentation.turns import Turns

T0 = 1_767_268_800_000
PEOPLE = 5_000
VISIT = Rows(Scope.EVENT, ("visit",))


def at_least(count: int, rows: Rows = VISIT) -> Compare:
    literal = Literal(count * MICRO, Kind.NUMBER)
    return Compare(Comparison.GE, Aggregate(rows, Fold.COUNT), literal)


RULE = All((at_least(1), Not(at_least(2)), Not(at_least(1, Rows(Scope.EVENT, ("buy",))))))


def visit(ordinal: int, event_id: str) -> tuple[int, Event]:
    return ordinal, Event(event_id, "visit", T0, T0, "crm:x", {}, ())


def visited() -> Partition:
    """Return a partition in which each visited once, and all of them are in an audience."""
    made = Partition(0)
    made.pass_time(T0, inclusive=False)
    rule = Aggregate(VISIT, Fold.EXISTS)
    made.propose(Definition("visited", 1, "Visited", "text", to_json(rule), T0, "req-1"))
    made.activate("visited", 1)
    for ordinal in range(1, PEOPLE + 1):
        made.add_event(*visit(ordinal, f"e{ordinal}"))
    return made


class Meanwhile:
    """An input that comes on another thread as soon as a part of the work is done."""

    def __init__(self, partition: Partition, ordinal: int) -> None:
        self._partition = partition
        self._ordinal = ordinal
        self._thread = threading.Thread(target=self._add)
        self.told: list[str] = []

    def progress(self, share: float) -> None:
        self.told.append(f"{share:.2f}")
        if len(self.told) == 1:
            self._thread.start()
            while not self._partition.lock.waiting:
                threading.Event().wait(0.001)

    def _add(self) -> None:
        with self._partition.lock:
            self._partition.add_event(*visit(self._ordinal, "late"))
            self._partition.add_event(*visit(PEOPLE + 1, "new"))
            self.told.append("taken in")

    def end(self) -> None:
        self._thread.join()


def test_an_event_is_taken_in_while_a_question_is_asked_and_both_are_exact() -> None:
    partition = visited()
    partition.facts_seq = 7
    meanwhile = Meanwhile(partition, 17)
    answer = select(partition, RULE, None, audience_ids=["visited"], progress=meanwhile.progress)
    meanwhile.end()
    assert meanwhile.told[1] == "taken in", "it waited for one slice"
    assert set(answer.members) == set(range(1, PEOPLE + 1))
    assert (answer.people_count, answer.facts_seq) == (PEOPLE, 7)
    assert len(answer.audiences[0]) == PEOPLE
    after = select(partition, RULE, None)
    assert set(after.members) == set(range(1, PEOPLE + 2)) - {17}
    assert after.people_count == PEOPLE + 1
    assert not partition.engine.open


def test_a_state_that_is_read_back_meanwhile_is_asked_anew() -> None:
    partition = visited()
    former, other = partition.engine, visited()
    other.add_event(*visit(3, "again"))
    asked: list[Engine] = []

    def progress(share: float) -> None:
        asked.append(partition.engine)
        partition.engine = other.engine

    answer = select(partition, RULE, None, progress=progress)
    assert set(answer.members) == set(range(1, PEOPLE + 1)) - {3}
    assert asked[0] is former
    assert not former.open
    assert not other.engine.open


def test_where_too_many_come_the_question_holds_the_lock_at_last() -> None:
    partition = visited()
    grown = 0

    def progress(share: float) -> None:
        nonlocal grown
        grown += 1
        if grown <= 6:
            partition.know(PEOPLE + grown * 2_000_000, "c")

    answer = select(partition, RULE, None, progress=progress)
    assert set(answer.members) == set(range(1, PEOPLE + 1))


def test_a_rule_that_cannot_be_asked_leaves_nothing_open() -> None:
    partition = visited()
    flag = Aggregate(VISIT, Fold.EXISTS)
    wrong = Compare(Comparison.GE, Aggregate(VISIT, Fold.COUNT), flag)
    with pytest.raises(ValueError, match=r"."):
        select(partition, wrong, None)
    assert not partition.engine.open
    with partition.lock:
        pass


def test_the_lock_is_had_in_the_order_in_which_it_was_asked_for() -> None:
    lock = Turns()
    order: list[str] = []
    threads = []
    with lock:
        for name in ("first", "second", "third"):
            thread = threading.Thread(target=_take, args=(lock, name, order))
            thread.start()
            threads.append(thread)
            while lock.waiting < len(threads):
                threading.Event().wait(0.001)
        with lock:
            order.append("again")
    with lock:
        order.append("last")
    for thread in threads:
        thread.join()
    assert order == ["again", "first", "second", "third", "last"]


def _take(lock: Turns, name: str, order: list[str]) -> None:
    with lock:
        order.append(name)


def test_only_the_holder_gives_a_lock_back() -> None:
    lock = Turns()
    with pytest.raises(RuntimeError, match="expected the holder"):
        lock.release()
    with lock:
        thread = threading.Thread(target=_give_back, args=(lock,))
        thread.start()
        thread.join()


def _give_back(lock: Turns) -> None:
    with pytest.raises(RuntimeError, match="expected the holder"):
        lock.release()
