"""Whatever the text, a rule compiles or is refused, soon; what compiles is well formed."""

from __future__ import annotations

import random
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from segcore.kinds import check_condition, check_rule
from segcore.reference import nodes_of
from segcore.rule import Expression, Kind
from segcore.rule_json import from_json, to_json
from services.kit.rules.clause import clause_text
from services.kit.rules.compiler import compile_rule
from services.kit.rules.condition import Condition, compile_condition
from services.kit.rules.errors import RuleError
from services.kit.rules.situation import Situation
from services.kit.rules.vocabulary import Vocabulary

EVERYTHING = Situation(has_trigger=True, has_item_key=True, has_key=True)
VOCABULARY = Vocabulary(
    {
        "city": Kind.TEXT,
        "spend": Kind.NUMBER,
        "vip": Kind.FLAG,
        "at": Kind.TIME,
        "a.b": Kind.TEXT,
        "born": Kind.DATE,
        "tags": Kind.TEXTS,
    },
    {
        "buy": {"total": Kind.NUMBER, "gift": Kind.FLAG, "shop": Kind.TEXT, "due": Kind.TIME},
        "visit": {"labels": Kind.TEXTS},
    },
    frozenset(("x", "y")),
)
SEEDS = [
    'profile.city in ["a", "b"] && !profile.vip || profile.spend >= 3.5 * 2',
    'events("buy", "visit").where(event.total > 3 && event.gift).last(days(30)).count() >= 2',
    'items("buy").where(item.brand == "X").sum(item.price * item.quantity) - 1 >= profile.spend',
    'audience("x") && has(profile.a.b) && profile.at < timestamp("2026-03-01T09:30:00Z")',
    'events("buy").last(duration("72h")).last(hours(3)).exists() ? profile.city.contains("é") : 1',
    'age(events("buy").latest()) >= days(60) && "x" in profile.tags || size(profile.tags) > 1',
    'items("buy").olderThan(days(3)).by(item.sku).notFollowedBy(items("visit").by(item.sku)).exists()',
    'events("buy").followedBy(events("visit").calendarDays(7), days(1)).latest(event.shop) == "a"',
    'events("buy").between(profile.at, profile.at - days(3)).avg(event.total) < bucket("a")',
    'anniversary(profile.born) && profile.born < date("2020-02-29")',
    'events("buy").since(events("visit").earliest() + hours(2)).min(event.due) > profile.at',
    'items("visit").distinct(event.labels) > 2 && profile.tags == ["a"]',
    '-days(3) <= age(profile.at) || profile.city.upperAscii().startsWith("A")',
    'events("buy").since(entry).last(days(1)).where(event.shop == trigger.shop).exists()',
    'items("buy").where(item.sku == key).since(entry).exists() || catalog(key).stock <= 0',
    'events("buy").where(event.shop == trigger.shop).since(trigger).count() > 1 && !trigger.gift',
]
CHECKERS_WORDS = re.compile("found no|undeclared reference|undefined field|expression of type")
WORDS = sorted(
    {word for seed in SEEDS for word in seed.replace("(", " ( ").replace(")", " ) ").split()}
    | set("()[]{}.,!-+*/%?:&|=<>'\"`\\\n\t😀")
    | {"&&", "||", "==", "!=", "//", '"""', "r'", "b'"}
    | {"profile", "event", "item", "null", "in", "0x", "1e9", "5u", "\r\n", "\0", "\ud800", "x ->"}
)


def owned_id(number: int) -> str:
    return f"owned-{number}"


def attempt_condition(text: str) -> Condition | RuleError:
    """Return what comes of a text in a journey; anything but these two fails the test."""
    try:
        return compile_condition(text, VOCABULARY, EVERYTHING, owned_id)
    except RuleError as error:
        return error


def attempt(text: str) -> Expression | RuleError:
    """Return what comes of a text; anything but these two fails the test."""
    try:
        return compile_rule(text, VOCABULARY)
    except RuleError as error:
        return error


def check(text: str) -> None:
    """Hold what comes of a text to its promises."""
    outcome = attempt(text)
    condition = attempt_condition(text)
    if isinstance(outcome, RuleError):
        check_error(text, outcome)
    else:
        check_tree(text, outcome)
        assert not isinstance(condition, RuleError)
    if isinstance(condition, RuleError):
        check_error(text, condition)
    else:
        check_apart(condition)


def check_apart(condition: Condition) -> None:
    check_condition(condition.expression)
    for rule in condition.owned.values():
        assert isinstance(attempt(rule), Expression)


def check_error(text: str, outcome: RuleError) -> None:
    lines = text.split("\n")
    assert 1 <= outcome.line <= len(lines)
    assert 1 <= outcome.column <= len(lines[outcome.line - 1]) + 1
    assert outcome.metadata == {"line": str(outcome.line), "column": str(outcome.column)}
    assert len(outcome.message) < 2_000
    outcome.message.encode()
    # The words are ours: what CEL's checker refuses, the translation refuses before it.
    assert not CHECKERS_WORDS.match(outcome.complaint)


def check_tree(text: str, tree: Expression) -> None:
    check_rule(tree)
    assert from_json(to_json(tree)) == tree
    for node in nodes_of(tree):
        clause = clause_text(text, node)
        assert clause is None or (clause and clause in text)


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=2_000)
@example("\ud800")
def test_any_text_compiles_or_is_refused(text: str) -> None:
    check(text)


@given(st.lists(st.sampled_from(WORDS), max_size=40), st.sampled_from(["", " "]))
@settings(max_examples=600, deadline=2_000)
def test_any_heap_of_words_compiles_or_is_refused(words: list[str], between: str) -> None:
    check(between.join(words))


@given(st.sampled_from(SEEDS), st.randoms(use_true_random=False), st.integers(1, 4))
@settings(max_examples=800, deadline=2_000)
def test_a_rule_with_mistakes_compiles_or_is_refused(
    seed: str, random_: random.Random, mistakes: int
) -> None:
    text = seed
    for _ in range(mistakes):
        at, length = random_.randrange(len(text) + 1), random_.choice([0, 0, 1, 3, 9])
        text = text[:at] + random_.choice([*WORDS, ""]) + text[at + length :]
    check(text)


def numbers() -> st.SearchStrategy[str]:
    atoms = st.sampled_from(
        ["profile.spend", "3", "-2.5", 'events("buy").count()', 'items("buy").sum(item.price)']
    )
    return st.recursive(
        atoms,
        lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
        max_leaves=5,
    )


def conditions() -> st.SearchStrategy[str]:
    atoms = st.one_of(
        st.sampled_from(["profile.vip", "true", 'audience("y")', "has(profile.a.b)"]),
        st.builds(
            "({} {} {})".format,
            numbers(),
            st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
            numbers(),
        ),
        st.builds(
            'events("buy").last(days({})).where({}).exists()'.format,
            st.integers(1, 400),
            st.sampled_from(["event.gift", "!event.gift", "event.total > 2", 'event.shop == "a"']),
        ),
    )
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.builds("!({})".format, inner),
            st.builds("({} {} {})".format, inner, st.sampled_from(["&&", "||", "==", "!="]), inner),
        ),
        max_leaves=8,
    )


@given(conditions())
@settings(max_examples=200, deadline=2_000)
def test_what_the_grammar_makes_compiles(text: str) -> None:
    outcome = attempt(text)
    if isinstance(outcome, RuleError):
        # The one refusal that size may bring.
        assert "32 deep" in outcome.complaint
        return
    check_tree(text, outcome)
    assert compile_rule(text + " // so", VOCABULARY) == outcome
