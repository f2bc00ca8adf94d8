"""Conditions with a mistake in them: the drawn histories have to find each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from drawn import events
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from test_person import HORIZON, NOW, put_in_time

from segcore._person import OnePerson
from segcore.condition_plan import ConditionPlan, RowsPlan, plan_condition
from segcore.history import Event
from segcore.reference import evaluate
from segcore.rule import (
    MICRO,
    Aggregate,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    Follow,
    ItemField,
    Kind,
    Literal,
    Rows,
    Scope,
)

SKU = ItemField("sku", Kind.TEXT)
Change = Callable[[RowsPlan], RowsPlan]


def exists(rows: Rows) -> Expression:
    return Aggregate(rows, Fold.EXISTS)


VIEWS = Rows(Scope.EVENT, ("view",))
WINDOW = exists(replace(VIEWS, last_ms=10, older_ms=3))
ABSENCE = exists(replace(VIEWS, follows=(Follow(Rows(Scope.EVENT, ("buy",)), 10, absent=True),)))
SEQUENCE = exists(replace(VIEWS, follows=(Follow(Rows(Scope.EVENT, ("buy",)), 4, absent=False),)))
BY_KEY = exists(
    Rows(
        Scope.ITEM,
        ("view",),
        key=SKU,
        follows=(Follow(Rows(Scope.ITEM, ("buy",), key=SKU), None, absent=True),),
    )
)
NEWEST = Compare(
    Comparison.GT,
    Aggregate(VIEWS, Fold.LATEST, EventField("n", Kind.NUMBER)),
    Literal(MICRO, Kind.NUMBER),
)


def _window(plan: RowsPlan) -> RowsPlan:
    return replace(plan, last_ms=plan.last_ms and plan.last_ms + 1)


def _ripe(plan: RowsPlan) -> RowsPlan:
    return replace(plan, older_ms=plan.older_ms and plan.older_ms + 1)


def _within(plan: RowsPlan) -> RowsPlan:
    longer = [replace(each, within_ms=(each.within_ms or 0) + 1) for each in plan.follows]
    return replace(plan, follows=tuple(longer))


def _without_keys(plan: RowsPlan) -> RowsPlan:
    follows = tuple(replace(each, keyed=False) for each in plan.follows)
    return replace(plan, follows=follows, key=None)


def _itself(plan: RowsPlan) -> RowsPlan:
    return plan


def changed(plan: ConditionPlan, change: Change) -> ConditionPlan:
    steps = tuple(change(each) if isinstance(each, RowsPlan) else each for each in plan.steps)
    return replace(plan, steps=steps, rows=tuple(change(each) for each in plan.rows))


def find(rule: Expression, change: Change, *, looks: bool = True, oldest: bool = False) -> None:
    """Compare a changed condition with the reference until they differ, a few hundred times."""
    plan = changed(plan_condition(rule), change)
    if oldest:
        plan = replace(plan, folds=tuple(replace(f, fold=Fold.EARLIEST) for f in plan.folds))

    @settings(
        max_examples=400,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(events(), min_size=1, max_size=8))
    def run(drawn: list[Event]) -> None:
        history = put_in_time(drawn, [], NOW, [0])
        holds, next_ms = OnePerson(history).condition(plan).holds(1, NOW, NOW)
        next_ms = next_ms if looks else None
        for instant_ms in range(NOW, HORIZON if next_ms is None else next_ms):
            assert evaluate(rule, history, instant_ms, lambda _: False) is holds

    run()


@pytest.mark.parametrize("rule", [WINDOW, ABSENCE, SEQUENCE, BY_KEY, NEWEST])
def test_a_condition_itself_passes(rule: Expression) -> None:
    find(rule, _itself)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (WINDOW, _window),
        (WINDOW, _ripe),
        (ABSENCE, _within),
        (SEQUENCE, _within),
        (BY_KEY, _without_keys),
    ],
)
def test_a_mistake_is_found(rule: Expression, change: Change) -> None:
    with pytest.raises(AssertionError):
        find(rule, change)


@pytest.mark.parametrize("rule", [WINDOW, ABSENCE])
def test_a_forgotten_timer_is_found(rule: Expression) -> None:
    with pytest.raises(AssertionError):
        find(rule, _itself, looks=False)


def test_the_oldest_row_instead_of_the_newest_is_found() -> None:
    with pytest.raises(AssertionError):
        find(NEWEST, _itself, oldest=True)
