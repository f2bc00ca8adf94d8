"""How a rule comes apart into atoms, and which of them share what."""

from __future__ import annotations

import pytest

from segcore.plan import AttributeTest, Member, PersonTest, Tally, leaf_key, plan_rule
from segcore.rule import (
    MICRO,
    Aggregate,
    All,
    AnyOf,
    Arithmetic,
    Attribute,
    Bucket,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    InAudience,
    Kind,
    Literal,
    Not,
    OneOf,
    Operator,
    Rows,
    Scope,
    Truth,
)

DAY_MS = 86_400_000
visits = Rows(Scope.EVENT, ("visit",), None, DAY_MS)
visited = Aggregate(visits, Fold.EXISTS)
gold = Compare(Comparison.EQ, Attribute("tier", Kind.TEXT), Literal("gold", Kind.TEXT))
member = InAudience("vip")


def count_is(comparison: Comparison, threshold: float, rows: Rows = visits) -> Expression:
    literal = Literal(round(threshold * MICRO), Kind.NUMBER)
    return Compare(comparison, Aggregate(rows, Fold.COUNT), literal)


def test_every_kind_of_condition_is_an_atom_of_its_kind() -> None:
    sums = Arithmetic(Operator.ADD, Aggregate(visits, Fold.COUNT), Aggregate(visits, Fold.COUNT))
    two = Compare(Comparison.GE, sums, Literal(2 * MICRO, Kind.NUMBER))
    plan = plan_rule(All((visited, gold, member, two)))
    assert [type(atom) for atom in plan.atoms] == [Tally, AttributeTest, Member, PersonTest]


def test_what_is_said_twice_is_one_atom() -> None:
    moved = Compare(
        Comparison.EQ, Attribute("tier", Kind.TEXT, at=7), Literal("gold", Kind.TEXT), at=9
    )
    assert len(plan_rule(AnyOf((gold, Not(moved)))).atoms) == 1


def test_exists_is_a_count_of_one() -> None:
    assert len(plan_rule(All((visited, count_is(Comparison.GE, 1)))).atoms) == 1


def test_the_order_of_types_takes_no_part() -> None:
    one = Aggregate(Rows(Scope.EVENT, ("a", "b")), Fold.COUNT)
    other = Aggregate(Rows(Scope.EVENT, ("b", "a", "b")), Fold.EXISTS)
    assert leaf_key(one) == leaf_key(other)


@pytest.mark.parametrize(
    ("comparison", "threshold", "most"),
    [
        (Comparison.GE, 3, 3),
        (Comparison.GE, 2.5, 3),
        (Comparison.GT, 3, 4),
        (Comparison.LT, 3, 3),
        (Comparison.LE, 3, 4),
        (Comparison.EQ, 3, 4),
        (Comparison.GE, 0, 1),
        (Comparison.GE, 16, 16),
        (Comparison.GE, 17, None),
    ],
)
def test_a_count_is_known_as_far_as_its_comparison_needs(
    comparison: Comparison, threshold: float, most: int | None
) -> None:
    (atom,) = plan_rule(count_is(comparison, threshold)).atoms
    assert isinstance(atom, Tally)
    assert atom.leaf.most == most


def test_without_a_window_every_row_counts() -> None:
    (atom,) = plan_rule(count_is(Comparison.GE, 3, Rows(Scope.EVENT, ("visit",)))).atoms
    assert isinstance(atom, Tally)
    assert atom.leaf.most is None


def test_a_comparison_of_conditions_comes_apart() -> None:
    same = Compare(Comparison.EQ, visited, member)
    assert [type(atom) for atom in plan_rule(same).atoms] == [Tally, Member]
    listed = OneOf(visited, (Literal(value=True, kind=Kind.FLAG), Literal(None, None)))
    assert [type(atom) for atom in plan_rule(listed).atoms] == [Tally]


def test_a_flag_that_may_be_missing_is_compared_as_it_is() -> None:
    flag = Attribute("email", Kind.FLAG)
    plan = plan_rule(Compare(Comparison.NE, flag, Literal(value=False, kind=Kind.FLAG)))
    assert [type(atom) for atom in plan.atoms] == [AttributeTest]


def test_windows_beyond_the_simple_ones_are_for_the_person() -> None:
    older = Aggregate(Rows(Scope.EVENT, ("visit",), older_ms=DAY_MS), Fold.EXISTS)
    half = Compare(Comparison.LT, Bucket("salt"), Literal(MICRO // 2, Kind.NUMBER))
    assert [type(atom) for atom in plan_rule(All((older, half))).atoms] == [PersonTest, PersonTest]


def test_a_bare_flag_is_true_and_nothing_else() -> None:
    (atom,) = plan_rule(Truth(Attribute("email", Kind.FLAG))).atoms
    assert isinstance(atom, AttributeTest)


def test_the_stack_is_as_deep_as_the_program_needs() -> None:
    rule: Expression = visited
    for number in range(9):
        rule = AnyOf((gold, All((rule, count_is(Comparison.GE, number + 1)))))
    assert plan_rule(rule).depth == 11


def test_a_rule_that_is_not_well_formed_has_no_plan() -> None:
    with pytest.raises(ValueError, match="below rows only"):
        plan_rule(Compare(Comparison.EQ, EventField("x", Kind.NUMBER), Literal(0, Kind.NUMBER)))
