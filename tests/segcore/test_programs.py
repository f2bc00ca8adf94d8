"""The forms of values as postfix code, each beside the reference."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segcore._person import OnePerson
from segcore.condition_plan import plan_condition
from segcore.history import AttributeChange, History, PropertyValue
from segcore.micro import INT64_MAX
from segcore.programs import compile_condition, compile_value
from segcore.reference import evaluate
from segcore.rule import (
    Age,
    Arithmetic,
    Attribute,
    Bucket,
    Compare,
    Comparison,
    Expression,
    FormText,
    Has,
    InAudience,
    KeyText,
    Kind,
    Literal,
    Operator,
    Shift,
    Size,
    TextForm,
)

TEXT = Attribute("text", Kind.TEXT)
TEXTS = Attribute("texts", Kind.TEXTS)
TIME = Attribute("time", Kind.TIME)
words = st.text(alphabet=st.sampled_from("aAzZ@[`{é\U0001f600 "), max_size=5)
lists = st.lists(words, max_size=3).map(tuple)
spans = st.sampled_from((0, 1, -1, INT64_MAX, -INT64_MAX, 86_400_000))


def agree(expression: Expression, kind: Kind, values: dict[str, PropertyValue | None]) -> None:
    """Hold what an expression comes to for a person to the reference."""
    history = History((), (AttributeChange(values, 0),))
    expected = evaluate(expression, history, 0, lambda _: False)
    assert expected is None or isinstance(expected, int | str | bool | tuple)
    literal = Literal(expected, None if expected is None else kind)
    rule = Compare(Comparison.EQ, expression, literal)
    condition = OnePerson(history).condition(plan_condition(rule))
    assert condition.holds(1, 0, 0) == (True, None)


@given(st.none() | words, st.sampled_from(TextForm))
def test_only_the_letters_a_to_z_have_two_forms(text: str | None, form: TextForm) -> None:
    agree(FormText(form, TEXT), Kind.TEXT, {"text": text})


@given(st.none() | words)
def test_a_text_is_as_long_as_its_code_points(text: str | None) -> None:
    agree(Size(TEXT), Kind.NUMBER, {"text": text})
    agree(Size(FormText(TextForm.UPPER, TEXT)), Kind.NUMBER, {"text": text})


@given(st.none() | lists)
def test_texts_are_as_many_as_they_are(texts: tuple[str, ...] | None) -> None:
    agree(Size(TEXTS), Kind.NUMBER, {"texts": texts})


@given(st.none() | words, st.none() | lists)
def test_a_text_is_among_texts_as_a_whole(text: str | None, texts: tuple[str, ...] | None) -> None:
    agree(Has(TEXT, TEXTS), Kind.FLAG, {"text": text, "texts": texts})


@given(st.none() | lists, lists, st.sampled_from((Comparison.EQ, Comparison.NE)))
def test_texts_are_compared_as_a_whole(
    texts: tuple[str, ...] | None, others: tuple[str, ...], comparison: Comparison
) -> None:
    rule = Compare(comparison, TEXTS, Literal(others, Kind.TEXTS))
    agree(rule, Kind.FLAG, {"texts": texts})


@given(st.none() | st.sampled_from((0, 5, INT64_MAX, -INT64_MAX)), spans)
def test_a_time_beyond_64_bits_is_missing(time_ms: int | None, span_ms: int) -> None:
    agree(Shift(TIME, span_ms), Kind.TIME, {"time": time_ms})


@settings(max_examples=50)
@given(st.text(max_size=5), st.integers(0, 3))
def test_a_bucket_is_that_of_the_profile(salt: str, partition: int) -> None:
    profile_id = partition << 32 | 1
    found = evaluate(Bucket(salt), History(), 0, lambda _: False, profile_id=profile_id)
    assert isinstance(found, int)
    rule = Compare(Comparison.EQ, Bucket(salt), Literal(found, Kind.NUMBER))
    person = OnePerson(History(), partition=partition)
    assert person.condition(plan_condition(rule)).holds(1, 0, 0) == (True, None)


def test_the_order_of_texts_is_that_of_code_points_also_of_forms() -> None:
    for other in ("a", "B", "é", ""):
        form = FormText(TextForm.LOWER, TEXT)
        for comparison in Comparison:
            rule = Compare(comparison, form, Literal(other, Kind.TEXT))
            agree(rule, Kind.FLAG, {"text": "B\u00c9"})


def test_the_stack_is_as_deep_as_the_code_needs() -> None:
    one = Literal(1, Kind.NUMBER)
    total: Expression = Arithmetic(Operator.ADD, one, one)
    for _ in range(30):
        total = Arithmetic(Operator.ADD, one, total)
    assert compile_condition(Compare(Comparison.LT, total, one)).depth == 32
    assert compile_value(one).depth == 1


@pytest.mark.parametrize("node", [KeyText(), InAudience("a"), Bucket("s"), Age(TIME)])
def test_what_is_no_code_is_refused(node: Expression) -> None:
    with pytest.raises(ValueError, match="expected"):
        compile_value(node)
