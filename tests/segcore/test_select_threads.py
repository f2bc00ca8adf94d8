"""Ad hoc selection on several threads: the same members as on one, whatever the number."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from segcore._batch import Batch
from segcore._selection import Selection
from segcore.engine import Engine
from segcore.event_columns import EventColumns, ItemColumns, PropertyColumn, TextColumn
from segcore.history import Event
from segcore.lanes import MOST, side_by_side
from segcore.rule import (
    MICRO,
    NUMBER_LIMIT,
    Aggregate,
    All,
    AnyOf,
    Attribute,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    Follow,
    FormText,
    ItemField,
    Kind,
    Literal,
    Not,
    Rows,
    Scope,
    TestText,
    TextForm,
    TextTest,
)
from segcore.select import Question, select_bits

PEOPLE = 40_000
EVENTS = 200_000
NOW_MS = 1_000_000


def _columns() -> EventColumns:
    """Return events of four types in several zones each; few people have most of them."""
    chance = np.random.default_rng(11)
    happened = np.sort(chance.integers(0, NOW_MS, EVENTS))
    people = (1 + (PEOPLE - 1) * chance.random(EVENTS) ** 3).astype(np.uint32)
    codes = chance.integers(0, 2, EVENTS).astype(np.uint32)
    great = np.where(people < 40, NUMBER_LIMIT * MICRO, 7 * MICRO)
    lines = chance.integers(0, 3, EVENTS)
    skus = chance.integers(0, 9, int(lines.sum())).astype(np.uint32)
    return EventColumns(
        ordinals=people,
        types=TextColumn(codes, ("buy", "view")),
        came_with=TextColumn(np.zeros(EVENTS, np.uint32), ("crm:1",)),
        occurred_ms=happened,
        received_ms=happened,
        log_ms=happened,
        ids=b"x" * EVENTS,
        id_ends=np.arange(1, EVENTS + 1),
        properties=(
            PropertyColumn("great", Kind.NUMBER, great),
            PropertyColumn("shop", Kind.TEXT, people.astype(np.int64) % 7, None, tuple("abcdefg")),
        ),
        items=ItemColumns(
            ends=np.cumsum(lines),
            skus=TextColumn(skus, tuple("stuvwxyz_")),
            categories=TextColumn(skus % 4, tuple("stuv")),
            brands=TextColumn(skus % 2, tuple("st")),
            prices=chance.integers(-5, 50, len(skus)) * MICRO,
            quantities=np.full(len(skus), MICRO),
        ),
    )


@pytest.fixture(scope="module")
def engine() -> Engine:
    found = Engine()
    for ordinal in range(1, PEOPLE + 1):
        found.set_attributes(ordinal, {"tier": "gold" if ordinal % 3 else "New"}, 0)
    found.apply(Batch.from_columns(found.texts, _columns()))
    found.advance(NOW_MS, inclusive=True)
    return found


SHOP = Compare(Comparison.EQ, EventField("shop", Kind.TEXT), Literal("c", Kind.TEXT))
BUYS = Rows(Scope.EVENT, ("buy",))
BOTH = Rows(Scope.EVENT, ("buy", "view"), where=SHOP, last_ms=NOW_MS // 2)
LINES = Rows(Scope.ITEM, ("view", "buy"))
UPPER = FormText(TextForm.UPPER, EventField("shop", Kind.TEXT))


def _is(
    comparison: Comparison, rows: Rows, fold: Fold, number: int, of: Expression | None = None
) -> Compare:
    return Compare(comparison, Aggregate(rows, fold, of), Literal(number * MICRO, Kind.NUMBER))


def _followed(*, absent: bool, key: Expression | None = None) -> Expression:
    scope = Scope.EVENT if key is None else Scope.ITEM
    then = Rows(scope, ("view",), key=key)
    rows = Rows(scope, ("buy",), key=key, follows=(Follow(then, 5_000, absent),))
    return Aggregate(rows, Fold.EXISTS)


GREAT = EventField("great", Kind.NUMBER)
GOLD = Compare(Comparison.EQ, Attribute("tier", Kind.TEXT), Literal("gold", Kind.TEXT))
RULES: dict[str, Expression] = {
    "whether": Aggregate(BOTH, Fold.EXISTS),
    "few": _is(Comparison.GE, BUYS, Fold.COUNT, 3),
    "many": _is(Comparison.GE, BUYS, Fold.COUNT, 256),
    "lines": _is(Comparison.LT, LINES, Fold.COUNT, 2),
    "sums": _is(Comparison.GE, LINES, Fold.SUM, 90, ItemField("price", Kind.NUMBER)),
    "sums beyond 64 bits": _is(Comparison.LE, BUYS, Fold.SUM, 70, GREAT),
    "texts on the way": Aggregate(
        Rows(Scope.EVENT, ("buy",), where=TestText(TextTest.CONTAINS, UPPER, "C")), Fold.EXISTS
    ),
    "followed": _followed(absent=False),
    "not followed": _followed(absent=True),
    "not followed, by item": _followed(absent=True, key=ItemField("sku", Kind.TEXT)),
    "attributes": Not(GOLD),
    "several": AnyOf((All((GOLD, Aggregate(BOTH, Fold.EXISTS))), _followed(absent=True))),
}


def at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Let all begin before one of them takes the last row."""
    begun = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        begun.wait(30)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def last_first(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Let the last take all rows that are shared, and the first what it finds."""
    return [work() for work in reversed(works)][::-1]


@pytest.fixture(params=[(2, side_by_side), (2, at_once), (3, last_first), (5, at_once)])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many there are, which share the work in one way or another."""
    count, way = request.param
    monkeypatch.setattr("segcore._selection.side_by_side", way)
    return int(count)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("at_ms", [None, NOW_MS * 2 // 3])
def test_members_are_the_same_on_any_number_of_threads(
    engine: Engine, name: str, threads: int, at_ms: int | None
) -> None:
    expected = list(select_bits(engine, RULES[name], at_ms, threads=1).ids())
    before = len(engine.texts)
    with Selection(engine, at_ms, threads=threads, share=1) as selection:
        assert list(Question(engine, selection, None).answer(RULES[name]).ids()) == expected
    assert len(engine.texts) == before
    assert 0 < len(expected) < PEOPLE


def test_a_mistake_of_one_work_ends_all_of_them() -> None:
    done = threading.Event()
    for works in ([list, {}.popitem], [{}.popitem, done.set]):
        with pytest.raises(KeyError):
            side_by_side(works)


def test_work_that_no_thread_has_begun_is_done_by_who_asks() -> None:
    busy, let_go = threading.Semaphore(0), threading.Event()

    def hold() -> None:
        busy.release()
        assert let_go.wait(30)

    def ask() -> list[threading.Thread]:
        for _ in range(MOST - 1):
            assert busy.acquire(timeout=30)
        found = side_by_side([threading.current_thread, threading.current_thread])
        let_go.set()
        return found

    others, mine = side_by_side([ask, *[hold] * (MOST - 1)])[0]
    assert others is mine


def test_the_memory_of_a_question_says_nothing_to_the_next_one() -> None:
    many = 200_000  # from here on sums take memory that is kept
    engine = Engine()
    for ordinal, name in ((many, "buy"), (many - 1, "view")):
        event = Event(f"e{ordinal}", name, 1, 1, "crm:1", {"great": 7.0})
        engine.advance(1, inclusive=True)
        engine.add_event(ordinal, event)
    for _ in range(3):
        for ordinal, name in ((many, "buy"), (many - 1, "view")):
            rows = Rows(Scope.EVENT, (name,))
            rule = _is(Comparison.EQ, rows, Fold.SUM, 7, GREAT)
            assert list(select_bits(engine, rule).ids()) == [ordinal]
