"""The examples of the manual are true: what it shows compiles, and errors read as it shows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from segcore.limits import AGGREGATE_LIMIT, DEPTH_LIMIT, FOLLOW_LIMIT
from segcore.rule import Kind
from services.kit.rules import compiler, fields, literals, words
from services.kit.rules.compiler import compile_entry, compile_rule
from services.kit.rules.condition import compile_condition
from services.kit.rules.errors import RuleError
from services.kit.rules.situation import Situation
from services.kit.rules.vocabulary import Vocabulary

MANUAL = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
VOCABULARY = Vocabulary(
    {
        "appointment_at": Kind.TIME,
        "birth_date": Kind.DATE,
        "city": Kind.TEXT,
        "email": Kind.TEXT,
        "loyalty.member": Kind.FLAG,
        "loyalty.tier": Kind.TEXT,
        "newsletter": Kind.FLAG,
        "rank.purchase": Kind.NUMBER,
        "signup_at": Kind.TIME,
        "spend": Kind.NUMBER,
        "tags": Kind.TEXTS,
    },
    {
        "add_to_cart": {},
        "delivery": {"eta": Kind.TIME, "labels": Kind.TEXTS},
        "product_view": {},
        "purchase": {
            "channel": Kind.TEXT,
            "gift": Kind.FLAG,
            "order_id": Kind.TEXT,
            "total": Kind.NUMBER,
        },
        "remove_from_cart": {},
        "return": {"order_id": Kind.TEXT, "reason": Kind.TEXT, "total": Kind.NUMBER},
        "search": {},
        "store_entry": {},
        "wishlist_add": {},
    },
    frozenset(("winter-browsers",)),
)
EVERYTHING = Situation(has_trigger=True, has_item_key=True, has_key=True)


def examples(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)\n```", MANUAL, re.DOTALL)


def refused(kind: str) -> list[tuple[str, str]]:
    block = rf"```{kind} refused\n(.*?)\n```\n\n```text\n(.*?)\n?```"
    return re.findall(block, MANUAL, re.DOTALL)


def test_the_manual_has_examples() -> None:
    assert len(examples("cel")) >= 8
    assert len(refused("cel")) >= 6
    assert len(examples("cel journey")) >= 3
    assert len(refused("cel journey")) >= 2


@pytest.mark.parametrize("rule", examples("cel"))
def test_an_example_compiles(rule: str) -> None:
    assert compile_rule(rule, VOCABULARY)


@pytest.mark.parametrize("rule", examples("cel entry"))
def test_an_example_of_an_entry_compiles(rule: str) -> None:
    assert compile_entry(rule, VOCABULARY)


@pytest.mark.parametrize("rule", examples("cel journey"))
def test_an_example_of_a_journey_compiles(rule: str) -> None:
    assert compile_condition(rule, VOCABULARY, EVERYTHING, "own-{}".format)


@pytest.mark.parametrize(("rule", "message"), refused("cel journey"))
def test_an_error_of_a_journey_reads_as_the_manual_shows_it(rule: str, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        compile_condition(rule, VOCABULARY, EVERYTHING, "own-{}".format)
    assert caught.value.message == message


@pytest.mark.parametrize(("rule", "message"), refused("cel"))
def test_an_error_reads_as_the_manual_shows_it(rule: str, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        compile_rule(rule, VOCABULARY)
    assert caught.value.message == message


def test_the_manual_names_every_word_and_limit() -> None:
    known = words.FUNCTIONS | words.METHODS | words.INSTANCE
    assert [w for w in sorted(known) if not re.search(rf"\b{w}\b", MANUAL)] == []
    window_days = literals.WINDOW_MAX_MS // 86_400_000
    span_days = literals.SPAN_MAX_MS // 86_400_000
    sizes = (compiler.TEXT_MAX, compiler.NODES_MAX, fields.FIELDS_MAX)
    for limit in (*sizes, window_days, span_days, AGGREGATE_LIMIT, FOLLOW_LIMIT, DEPTH_LIMIT):
        assert f"{limit:,}" in MANUAL
