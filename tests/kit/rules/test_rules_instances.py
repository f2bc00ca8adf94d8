"""Windows, sequences and times in the conditions of a journey: what is left to it, and what not."""

from __future__ import annotations

import pytest

from segcore.describe import describe
from segcore.nodes import nodes_of
from segcore.rule import InAudience
from services.kit.rules import Condition, RuleError, Situation, Vocabulary, compile_condition
from services.kit.rules.compiler import compile_rule

BY_ITEM = Situation(has_trigger=True, has_item_key=True, has_key=True)
RETURNED = 'events("return").since(trigger).exists()'


def compiled(text: str, vocabulary: Vocabulary, *, lasting: bool = False) -> Condition:
    return compile_condition(text, vocabulary, BY_ITEM, "j.{}".format, lasting=lasting)


STAYING = [
    '"sale" in catalog(key).tags && !(key in catalog(key).tags) || size(catalog(key).tags) == 0',
    'events("return").since(entry).latest(event.reason) == trigger.channel',
    'events("return").since(entry).avg(event.total) > trigger.total',
    'events("return").where(event.order_id.lowerAscii() == key).since(trigger).exists()',
    'trigger.channel.upperAscii() == "WEB" && size(trigger.labels) > 1 && "x" in trigger.labels',
    'trigger.due < date("2026-03-01") && trigger.ship.at + days(1) < trigger.received_at',
    'events("return").since(entry).since(timestamp("2026-03-01T00:00:00Z")).exists()',
    'events("return").since(trigger).between(trigger.ship.at, trigger.ship.at + days(3)).exists()',
    (
        'items("add_to_cart").since(entry).by(item.sku)'
        '.notFollowedBy(items("purchase").since(entry).by(item.sku)).exists()'
    ),
    'events("return").since(events("purchase").since(entry).latest()).since(entry).exists()',
    (
        'events("add_to_cart").since(entry)'
        '.followedBy(events("purchase").since(entry), hours(1)).exists()'
    ),
]


@pytest.mark.parametrize("text", STAYING)
def test_what_only_happenings_change_is_left_to_the_journey(
    text: str, vocabulary: Vocabulary
) -> None:
    found = compiled(text, vocabulary, lasting=True)
    assert found.owned == {}
    again = compiled(describe(found.expression), vocabulary)
    assert describe(again.expression) == describe(found.expression)


BOUGHT = 'items("purchase").since(entry)'
MOVING = [
    ('events("return").since(entry).last(days(1)).exists()', 1, "with `last`"),
    ('events("return").since(entry).olderThan(days(1)).exists()', 1, "with `olderThan`"),
    ("trigger.gift && age(trigger.occurred_at) > days(2)", 17, "with `age`"),
    (
        f'items("return").since(entry).notFollowedBy({BOUGHT}, days(1)).exists()',
        30,
        "with `notFollowedBy`",
    ),
]


@pytest.mark.parametrize(("text", "column", "words"), MOVING)
def test_what_time_alone_changes_is_asked_once_and_not_waited_for(
    text: str, column: int, words: str, vocabulary: Vocabulary
) -> None:
    assert compiled(text, vocabulary).owned == {}
    with pytest.raises(RuleError) as caught:
        compiled(text, vocabulary, lasting=True)
    assert words in caught.value.complaint
    assert caught.value.column == column


OF_THE_PERSON = [
    "age(profile.signup_at) >= days(10)",
    "anniversary(profile.birth_date)",
    'bucket("holdout") < 0.5',
    '"vip" in profile.tags',
    'events("purchase").since(events("return").latest()).exists()',
    (
        'items("add_to_cart").olderThan(days(3)).by(item.sku)'
        '.notFollowedBy(items("purchase").by(item.sku)).exists()'
    ),
    'events("purchase").calendarDays(7).latest(event.gift)',
]


@pytest.mark.parametrize("rule", OF_THE_PERSON)
def test_what_is_of_the_person_becomes_an_audience_and_may_be_waited_for(
    rule: str, vocabulary: Vocabulary
) -> None:
    found = compiled(f"{rule} && {RETURNED}", vocabulary, lasting=True)
    assert found.owned == {"j.0": rule}
    assert [n for n in nodes_of(found.expression) if isinstance(n, InAudience)]
    assert compile_rule(rule, vocabulary)


REFUSALS = [
    ("anniversary(trigger.due)", 1, "`anniversary` needs the zone of the person"),
    ('events("return").calendarDays(1).since(entry).exists()', 1, "`calendarDays` needs the zone"),
    ('events("return").since(entry).since(profile.signup_at).exists()', 37, "do not depend on the"),
    ('events("return").since(trigger.ship.at).exists()', 1, "need `.since(trigger)`"),
    (
        'events("return").since(entry).since(events("purchase").latest()).exists()',
        1,
        "those that stand with them",
    ),
    (
        'events("return").since(entry).followedBy(events("purchase")).exists()',
        1,
        "those that stand with them",
    ),
    ('events("return").since(entry).latest() > profile.signup_at', 42, "not their values"),
    ("trigger.channel in profile.tags", 20, "not their values"),
    ("age(entry) > days(3)", 5, "`entry` is no value"),
]


@pytest.mark.parametrize(("text", "column", "words"), REFUSALS)
def test_what_a_journey_cannot_tell_is_refused(
    text: str, column: int, words: str, vocabulary: Vocabulary
) -> None:
    with pytest.raises(RuleError) as caught:
        compiled(text, vocabulary)
    assert words in caught.value.complaint
    assert caught.value.column == column
