"""The examples of the manual are true: what it shows compiles, and errors read as it shows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from segcore.rule import Kind
from services.kit.rules import compiler, fields, literals, words
from services.kit.rules.compiler import compile_rule
from services.kit.rules.errors import RuleError
from services.kit.rules.vocabulary import Vocabulary

MANUAL = (Path(__file__).parents[3] / "docs" / "rules.md").read_text(encoding="utf-8")
VOCABULARY = Vocabulary(
    {
        "city": Kind.TEXT,
        "loyalty.member": Kind.FLAG,
        "loyalty.tier": Kind.TEXT,
        "newsletter": Kind.FLAG,
        "signup_at": Kind.TIME,
        "spend": Kind.NUMBER,
    },
    {
        "add_to_cart": {},
        "product_view": {},
        "purchase": {"channel": Kind.TEXT, "gift": Kind.FLAG, "total": Kind.NUMBER},
        "return": {"reason": Kind.TEXT, "total": Kind.NUMBER},
        "store_entry": {},
        "wishlist_add": {},
    },
    frozenset(("winter-browsers",)),
)
EXAMPLES = re.findall(r"```cel\n(.*?)\n```", MANUAL, re.DOTALL)
REFUSED = re.findall(r"```cel refused\n(.*?)\n```\n\n```text\n(.*?)\n?```", MANUAL, re.DOTALL)


def test_the_manual_has_examples() -> None:
    assert len(EXAMPLES) >= 8
    assert len(REFUSED) >= 6


@pytest.mark.parametrize("rule", EXAMPLES)
def test_an_example_compiles(rule: str) -> None:
    assert compile_rule(rule, VOCABULARY)


@pytest.mark.parametrize(("rule", "message"), REFUSED)
def test_an_error_reads_as_the_manual_shows_it(rule: str, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        compile_rule(rule, VOCABULARY)
    assert caught.value.message == message


def test_the_manual_names_every_word_and_limit() -> None:
    known = words.FUNCTIONS | words.METHODS | words.LATER
    assert [w for w in sorted(known) if not re.search(rf"\b{w}\b", MANUAL)] == []
    window_days = literals.WINDOW_MAX_MS // 86_400_000
    for limit in (compiler.TEXT_MAX, compiler.NODES_MAX, fields.FIELDS_MAX, window_days):
        assert f"{limit:,}" in MANUAL
