"""Witnesses found by kernels beside those of the reference, on drawn rules and at edges."""

from __future__ import annotations

from drawn import attribute_values, events, rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_person import NOW, Attributes, put_in_time, sequences

from segcore.changes import Witness
from segcore.engine import Engine
from segcore.evaluation import Moment, value_at
from segcore.history import Event, History, Item
from segcore.live_witnesses import LiveWitnesses
from segcore.rule import (
    MICRO,
    Age,
    Aggregate,
    AnyOf,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    Follow,
    ItemField,
    Kind,
    Literal,
    Not,
    Rows,
    Scope,
)
from segcore.witnesses import witness_rows

ME = 3
SKU = ItemField("sku", Kind.TEXT)
NUMBER = EventField("n", Kind.NUMBER)
VIEW = Rows(Scope.EVENT, ("view",))
BUY = Rows(Scope.EVENT, ("buy",))
ONE = Literal(MICRO, Kind.NUMBER)
quick = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def engine_of(history: History, rule: Expression) -> Engine:
    """Return an engine that has a person and the rule."""
    engine = Engine()
    engine.advance(max([NOW, *(each.occurred_ms for each in history.events)]), False)  # noqa: FBT003
    for place, event in enumerate(history.events):
        engine.add_event(ME, event)
        engine.add_event(ME + 1 + place % 2, event)
    for change in history.attribute_changes:
        engine.set_attributes(ME, change.values, change.as_of_ms)
    engine.add_audience("a", 1, Aggregate(Rows(Scope.EVENT, ("view",)), Fold.EXISTS))
    engine.add_audience("rule", 1, rule)
    return engine


def check(rule: Expression, history: History, limit: int, *, settled: bool = True) -> None:
    """Hold what kernels find, as of the first events, to what the reference finds in these."""
    known = History(history.events[:limit], history.attribute_changes)
    moment = Moment(known, NOW, "a".__eq__, settled, profile_id=ME)
    engine = engine_of(history, rule)
    before = engine.state_hash()
    live = LiveWitnesses(engine, rule)
    if value_at(rule, moment) is True:
        found = live.find(
            ME,
            horizon_ms=moment.horizon_ms,
            event_limit=2 * limit,
            in_audience="a".__eq__,
        )
        assert found == [
            Witness(
                row.event.event_id,
                row.event.type,
                row.event.occurred_ms,
                "" if row.item is None else row.item.sku,
            )
            for row in witness_rows(rule, moment)[:50]
        ]
    assert engine.state_hash() == before, "neither clauses nor what they derive leave texts behind"


@quick
@given(
    rules(("a",)),
    st.lists(events(), max_size=8),
    st.lists(attribute_values, max_size=2),
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    st.integers(0, 8),
    st.booleans(),
)
def test_kernels_find_the_witnesses_that_the_reference_finds(  # noqa: PLR0913, PLR0917
    rule: Expression,
    drawn: list[Event],
    attributes: list[Attributes],
    places: list[int],
    limit: int,
    settled: bool,  # noqa: FBT001
) -> None:
    check(rule, put_in_time(drawn, attributes, NOW, places), limit, settled=settled)


@quick
@given(
    st.lists(sequences(), min_size=1, max_size=2),
    st.lists(events(), min_size=4, max_size=14),
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    st.integers(4, 14),
)
def test_rows_that_others_follow_are_found_too(
    clauses: list[Expression], drawn: list[Event], places: list[int], limit: int
) -> None:
    rule = clauses[0] if len(clauses) == 1 else AnyOf(tuple(clauses))
    check(rule, put_in_time(drawn, [], NOW, places), limit)


def event(kind: str, at_ms: int, *skus: str, number: float | None = None) -> Event:
    values = {} if number is None else {"n": number}
    items = tuple(Item(sku) for sku in skus)
    return Event(f"{kind}{at_ms:06}", kind, at_ms, 100, "crm:1", values, items)


def found(rule: Expression, *history: Event) -> list[tuple[str, str]]:
    """Return the id and the SKU of each row by which a rule holds after all."""
    engine = engine_of(History(history, ()), rule)
    rows = LiveWitnesses(engine, rule).find(
        ME, horizon_ms=engine.now_ms, event_limit=engine.event_count, in_audience="a".__eq__
    )
    return [(row.event_id, row.sku) for row in rows]


def exists(rows: Rows, *follows: Follow) -> Aggregate:
    return Aggregate(Rows(rows.scope, rows.types, key=rows.key, follows=follows), Fold.EXISTS)


def test_witnesses_are_the_rows_kept_newest_first() -> None:
    views = Rows(Scope.ITEM, ("view",), key=SKU)
    buys = Rows(Scope.ITEM, ("buy",), key=SKU)
    rule = exists(views, Follow(buys, None, absent=True))
    history = (event("view", 5, "x", "y"), event("view", 3, "z"), event("buy", 6, "y"))
    assert found(rule, *history) == [("view000005", "x"), ("view000003", "z")]


def test_witnesses_are_at_most_50_each_once() -> None:
    views = [event("view", place) for place in range(80)]
    either = AnyOf((exists(VIEW), Compare(Comparison.GE, Aggregate(VIEW, Fold.COUNT), ONE)))
    assert found(either, *views) == [(f"view{place:06}", "") for place in range(79, 29, -1)]


def test_only_what_speaks_for_a_condition_is_a_witness() -> None:
    history = (event("view", 5), event("view", 7), event("buy", 6))
    few = Compare(Comparison.LE, Aggregate(BUY, Fold.COUNT), ONE)
    assert found(few, *history) == []
    assert found(Not(Not(exists(BUY))), *history) == [("buy000006", "")]
    aged = Compare(Comparison.GE, Age(Aggregate(VIEW, Fold.LATEST)), Literal(1, Kind.SPAN))
    assert found(aged, *history) == [("view000007", "")]


def test_the_one_row_that_gives_a_value_is_the_witness() -> None:
    history = [event("view", 5), event("view", 6, number=1.0), event("view", 7, number=3.0)]
    history += [event("view", 8, number=1.0), event("view", 9)]
    for fold, wanted in (
        (Fold.MIN, "view000008"),
        (Fold.MAX, "view000007"),
        (Fold.LATEST, "view000008"),
        (Fold.EARLIEST, "view000006"),
    ):
        rule = Compare(Comparison.GE, Aggregate(VIEW, fold, NUMBER), ONE)
        assert found(rule, *history) == [(wanted, "")]


def test_where_no_row_gives_a_value_there_is_no_witness() -> None:
    for fold in (Fold.MIN, Fold.LATEST, Fold.EARLIEST):
        missing = Compare(Comparison.EQ, Aggregate(VIEW, fold, NUMBER), Literal(None, None))
        assert found(missing, event("view", 5), event("view", 6)) == []
