"""Programs of the stack machine against the reference, and what shares a leaf."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from segcore.engine import Engine
from segcore.history import AttributeChange, History
from segcore.micro import INT64_MAX
from segcore.plan import plan_rule
from segcore.reference import evaluate
from segcore.rule import (
    Arithmetic,
    Attribute,
    Compare,
    Comparison,
    Expression,
    Kind,
    Literal,
    Not,
    Operator,
    TestText,
    TextTest,
)

_edges = st.sampled_from((0, 1, -1, 2, 3, 7, 10**6, 15 * 10**5, 10**15, INT64_MAX, -INT64_MAX))
micros = st.one_of(_edges, st.integers(-INT64_MAX, INT64_MAX), st.integers(-20, 20))


@given(micros, st.sampled_from(Operator), micros)
def test_arithmetic_agrees_to_the_last_bit(left: int, operator: Operator, right: int) -> None:
    expression = Arithmetic(operator, Literal(left, Kind.NUMBER), Literal(right, Kind.NUMBER))
    expected = evaluate(expression, History(), 0, lambda _: False)
    kind = None if expected is None else Kind.NUMBER
    engine = Engine()
    engine.ensure_profile(1)
    engine.add_audience("same", 1, Compare(Comparison.EQ, expression, Literal(expected, kind)))
    assert set(engine.activate("same", 1)) == {1}


@given(st.text(max_size=6), st.text(max_size=3), st.sampled_from(TextTest))
def test_texts_are_tested_and_ordered_by_code_points(text: str, other: str, test: TextTest) -> None:
    attribute = Attribute("x", Kind.TEXT)
    literal = Literal(other, Kind.TEXT)
    rules: dict[str, Expression] = {
        "test": TestText(test, attribute, other),
        **{c.name: Compare(c, attribute, literal) for c in Comparison},
    }
    engine = Engine()
    engine.set_attributes(1, {"x": text}, 0)
    history = History((), (AttributeChange({"x": text}, 0),))
    for audience_id, rule in rules.items():
        engine.add_audience(audience_id, 1, rule)
        expected = evaluate(rule, history, 0, lambda _: False)
        assert (1 in engine.activate(audience_id, 1)) is expected


def test_the_stack_is_as_deep_as_the_program_needs() -> None:
    one = Literal(1, Kind.NUMBER)
    sum_to_the_right = Arithmetic(Operator.ADD, one, one)
    for _ in range(28):
        sum_to_the_right = Arithmetic(Operator.ADD, one, sum_to_the_right)
    plan = plan_rule(Not(Compare(Comparison.LT, sum_to_the_right, one)))
    assert plan.program.depth == 30
    assert plan.leaves == ()
