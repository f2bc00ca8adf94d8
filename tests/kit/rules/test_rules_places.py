"""Each node of a typed rule finds its clause in the text again."""

from __future__ import annotations

import doctest
import importlib

import pytest

from segcore.reference import nodes_of
from segcore.rule import Aggregate, Literal
from services.kit.rules.clause import clause_text
from services.kit.rules.compiler import compile_rule
from services.kit.rules.vocabulary import Vocabulary

CLAUSES = {
    'profile.loyalty.tier == "gold"  // the best': [
        'profile.loyalty.tier == "gold"',
        "profile.loyalty.tier",
        '"gold"',
    ],
    "(profile.newsletter || true) && !(has( profile.city ))": [
        "(profile.newsletter || true) && !(has( profile.city ))",
        "profile.newsletter || true",
        "profile.newsletter",
        "profile.newsletter",
        "true",
        "true",
        "!(has( profile.city ))",
        "has( profile.city )",
        "profile.city",
        None,
    ],
    '"😀" != profile . city': ['"😀" != profile . city', '"😀"', "profile . city"],
    '(events( "purchase" ) // c\n .where((event.gift)) .count()) + 1.50 > -2': [
        '(events( "purchase" ) // c\n .where((event.gift)) .count()) + 1.50 > -2',
        '(events( "purchase" ) // c\n .where((event.gift)) .count()) + 1.50',
        'events( "purchase" ) // c\n .where((event.gift)) .count()',
        'events( "purchase" ) // c\n .where((event.gift))',
        "event.gift",
        "event.gift",
        "1.50",
        "-2",
    ],
    'profile.spend in [1, 2] && profile.city.startsWith(r"\\(")': [
        'profile.spend in [1, 2] && profile.city.startsWith(r"\\(")',
        "profile.spend in [1, 2]",
        "profile.spend",
        "1",
        "2",
        'profile.city.startsWith(r"\\(")',
        "profile.city",
    ],
    '-profile.spend < 3 && audience("vip")': [
        '-profile.spend < 3 && audience("vip")',
        "-profile.spend < 3",
        "-profile.spend",
        None,
        "profile.spend",
        "3",
        'audience("vip")',
    ],
    'profile.signup_at < timestamp("2026-03-01T09:30:00Z")': [
        'profile.signup_at < timestamp("2026-03-01T09:30:00Z")',
        "profile.signup_at",
        'timestamp("2026-03-01T09:30:00Z")',
    ],
}


@pytest.mark.parametrize("rule", CLAUSES)
def test_a_node_finds_its_clause(rule: str, vocabulary: Vocabulary) -> None:
    nodes = nodes_of(compile_rule(rule, vocabulary))
    assert [clause_text(rule, node) for node in nodes] == CLAUSES[rule]


def test_wheres_that_were_joined_stand_nowhere_as_one(vocabulary: Vocabulary) -> None:
    rule = 'events("purchase").where(event.gift).where(event.total > 9).exists()'
    tree = compile_rule(rule, vocabulary)
    assert isinstance(tree, Aggregate)
    assert tree.rows.where is not None
    assert clause_text(rule, tree.rows.where) is None
    assert clause_text(rule, tree) == rule


def test_an_operator_stands_at_its_sign_and_a_value_where_it_begins(
    vocabulary: Vocabulary,
) -> None:
    rule = 'true && events("purchase").where(event.gift).count() >= 2'
    signs = {type(n).__name__: rule[n.at :][:6] for n in nodes_of(compile_rule(rule, vocabulary))}
    assert signs["All"] == "&& eve"
    assert signs["Compare"] == ">= 2"
    assert signs["Aggregate"] == signs["Rows"] == "events"


def test_what_is_no_rule_has_no_clauses() -> None:
    assert clause_text("1 +", Literal(1_000_000, None, 0)) is None


@pytest.mark.parametrize("module", ["errors", "fields", "literals", "words"])
def test_examples_in_docstrings_hold(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"services.kit.rules.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
