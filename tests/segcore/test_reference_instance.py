"""What conditions of journeys mean, case by case, and that audiences have none of their words."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest

from segcore.describe import describe
from segcore.engine import Engine
from segcore.explain import explain
from segcore.history import Event, History, Item
from segcore.instance import CatalogItem, Instance, is_instance_word
from segcore.kinds import check_condition, check_rule
from segcore.plan import plan_rule
from segcore.reference import Value, evaluate, next_change_ms, rows_of
from segcore.rule import (
    MICRO,
    Aggregate,
    All,
    Attribute,
    CatalogField,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    InAudience,
    ItemField,
    KeyText,
    Kind,
    Literal,
    Not,
    Rows,
    Scope,
    Since,
    TriggerField,
    Truth,
)
from segcore.rule_json import from_json, to_json

NOW = 1_000
ENTRY = 500
trigger = Event("t", "buy", 400, 450, "crm:1", {"order": "o1", "total": 30.0, "gift": True})
instance = Instance(ENTRY, trigger, None, "s1", {"s1": CatalogItem(stock=0.0, brand="X")}.get)
null = Literal(None, None)
order = TriggerField("order", Kind.TEXT)
key = KeyText()
stock = CatalogField("stock", Kind.NUMBER)


def value_of(
    expression: Expression, *events: Event, of: Instance = instance, now_ms: int = NOW
) -> Value:
    return evaluate(expression, History(events), now_ms, lambda _: False, instance=of)


def happened(occurred_ms: int, event_id: str = "e", type_: str = "buy", order: str = "") -> Event:
    return Event(event_id, type_, occurred_ms, NOW, "crm:1", {"order": order})


def count(since: Since, where: Expression | None = None) -> Aggregate:
    return Aggregate(Rows(Scope.EVENT, ("buy", "back"), where, since=since), Fold.COUNT)


@pytest.mark.parametrize(
    ("since", "first_ms"), [(Since.TRIGGER, trigger.occurred_ms), (Since.ENTRY, ENTRY)]
)
def test_rows_count_from_the_very_instant_on(since: Since, first_ms: int) -> None:
    assert value_of(count(since), happened(first_ms - 1)) == 0
    assert value_of(count(since), happened(first_ms)) == MICRO
    assert value_of(count(since), happened(first_ms - 1), happened(NOW)) == MICRO


@pytest.mark.parametrize("since", list(Since))
def test_the_trigger_itself_is_left_out_and_another_type_of_it_is_not(since: Since) -> None:
    at_entry = replace(instance, entry_ms=trigger.occurred_ms)
    other = replace(trigger, type="back")
    assert value_of(count(since), trigger, of=at_entry) == 0
    assert value_of(count(since), trigger, other, of=at_entry) == MICRO
    as_other = replace(at_entry, trigger_type="back")
    assert value_of(count(since), trigger, other, of=as_other) == MICRO
    assert value_of(count(since), other, of=as_other) == 0


def test_without_a_trigger_rows_count_since_the_entry_alone() -> None:
    none = Instance(ENTRY)
    assert value_of(count(Since.TRIGGER), happened(NOW), of=none) == 0
    assert value_of(count(Since.ENTRY), happened(NOW), of=none) == MICRO


def test_rows_are_compared_with_the_trigger_and_the_key() -> None:
    same = count(Since.TRIGGER, Compare(Comparison.EQ, EventField("order", Kind.TEXT), order))
    assert value_of(same, happened(600, order="o1"), happened(600, order="o2")) == MICRO
    bought = Aggregate(
        Rows(
            Scope.ITEM,
            ("buy",),
            Compare(Comparison.EQ, ItemField("sku", Kind.TEXT), key),
            since=Since.ENTRY,
        ),
        Fold.EXISTS,
    )
    event = replace(happened(600), items=(Item("s2"), Item("s1")))
    assert value_of(bought, event) is True
    assert value_of(bought, replace(event, items=(Item("s2"),))) is False


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("order", Kind.TEXT, "o1"),
        ("total", Kind.NUMBER, 30 * MICRO),
        ("gift", Kind.FLAG, True),
        ("id", Kind.TEXT, "t"),
        ("type", Kind.TEXT, "buy"),
        ("occurred_at", Kind.TIME, 400),
        ("received_at", Kind.TIME, 450),
        ("nothing", Kind.TEXT, None),
        ("total", Kind.TEXT, None),
    ],
)
def test_a_property_of_the_trigger_is_read_as_that_of_an_event(
    name: str, kind: Kind, expected: Value
) -> None:
    assert value_of(TriggerField(name, kind)) == expected
    assert value_of(TriggerField(name, kind), of=Instance(ENTRY)) is None


def test_the_type_of_the_trigger_is_the_one_it_counted_as() -> None:
    read = TriggerField("type", Kind.TEXT)
    assert value_of(read, of=replace(instance, trigger_type="back")) == "back"


def test_what_the_catalog_does_not_say_is_missing() -> None:
    sold_out = Compare(Comparison.LE, stock, Literal(0, Kind.NUMBER))
    assert value_of(sold_out) is True
    assert value_of(CatalogField("brand", Kind.TEXT)) == "X"
    assert value_of(CatalogField("name", Kind.TEXT)) is None
    for unknown in (replace(instance, key="s2"), replace(instance, key=None), Instance(ENTRY)):
        assert value_of(stock, of=unknown) is None
        assert value_of(sold_out, of=unknown) is False
        assert value_of(Not(sold_out), of=unknown) is True


def test_the_key_is_a_text_or_missing() -> None:
    assert value_of(key) == "s1"
    assert value_of(key, of=Instance(ENTRY)) is None


def test_memberships_and_the_instance_are_asked_together() -> None:
    both = All((InAudience("a"), Truth(TriggerField("gift", Kind.FLAG))))
    assert evaluate(both, History(), NOW, {"a"}.__contains__, instance=instance) is True
    assert evaluate(both, History(), NOW, {"b"}.__contains__, instance=instance) is False


def test_time_alone_changes_nothing_of_an_instance() -> None:
    rule = Compare(Comparison.GT, count(Since.ENTRY), Literal(0, Kind.NUMBER))
    history = History((happened(600),))
    assert next_change_ms(rule, history, NOW, lambda _: False, instance=instance) is None
    clause = explain(rule, history, NOW, lambda _: False, instance=instance)
    assert (clause.value, clause.children[0].row_count) == (True, 1)


instance_words: list[Expression] = [
    Compare(Comparison.EQ, order, null),
    Compare(Comparison.EQ, key, null),
    Compare(Comparison.EQ, stock, null),
    Aggregate(Rows(Scope.EVENT, ("buy",), since=Since.ENTRY), Fold.EXISTS),
    Aggregate(Rows(Scope.EVENT, ("buy",), Truth(TriggerField("gift", Kind.FLAG))), Fold.EXISTS),
]


@pytest.mark.parametrize("rule", instance_words, ids=describe)
def test_no_audience_speaks_of_an_instance(rule: Expression) -> None:
    check_condition(rule)
    engine = Engine()
    for refuse in (check_rule, plan_rule, partial(engine.add_audience, "a", 1)):
        with pytest.raises(ValueError, match="of a person alone, not of a journey's instance"):
            refuse(rule)
    with pytest.raises(ValueError, match="expected an instance of a journey"):
        evaluate(rule, History((trigger,)), NOW, lambda _: False)


@pytest.mark.parametrize("rule", instance_words, ids=describe)
def test_the_words_of_an_instance_survive_json(rule: Expression) -> None:
    assert from_json(to_json(rule)) == rule


def test_rules_that_were_stored_before_are_read_and_written_as_they_were() -> None:
    rule = Aggregate(Rows(Scope.EVENT, ("buy",)), Fold.EXISTS)
    document = json.loads(to_json(rule))
    assert "since" not in document["rows"]
    document["rows"]["since"] = "trigger"
    assert from_json(json.dumps(document)) == replace(
        rule, rows=replace(rule.rows, since=Since.TRIGGER)
    )
    document["rows"]["since"] = "then"
    with pytest.raises(ValueError, match=r"rows\.since: expected a Since"):
        from_json(json.dumps(document))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            Aggregate(
                Rows(Scope.EVENT, ("buy",), Compare(Comparison.EQ, stock, null)), Fold.EXISTS
            ),
            "no catalog below rows",
        ),
        (
            Compare(Comparison.EQ, CatalogField("tags", Kind.TEXT), null),
            "with its kind",
        ),
        (
            Compare(Comparison.EQ, CatalogField("stock", Kind.TEXT), null),
            "with its kind",
        ),
        (Compare(Comparison.EQ, TriggerField("id", Kind.NUMBER), null), "id as text"),
    ],
)
def test_what_is_no_condition_is_refused(rule: Expression, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_condition(rule)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (order, "trigger.order"),
        (Compare(Comparison.NE, key, Literal("s", Kind.TEXT)), 'key != "s"'),
        (stock, "catalog(key).stock"),
        (count(Since.TRIGGER), 'events("buy", "back").since(trigger).count()'),
    ],
)
def test_a_condition_is_described(expression: Expression, text: str) -> None:
    assert describe(expression) == text


def test_only_the_words_themselves_speak_of_an_instance() -> None:
    assert is_instance_word(key)
    assert is_instance_word(count(Since.ENTRY).rows)
    assert not is_instance_word(count(Since.ENTRY))
    assert not is_instance_word(Attribute("x", Kind.TEXT))


def test_an_entry_is_a_row_of_one_of_the_types_that_passes_where() -> None:
    event = replace(trigger, items=(Item("s1", brand="X"), Item("s2"), Item("s3", brand="X")))
    of_x = Compare(Comparison.EQ, ItemField("brand", Kind.TEXT), Literal("X", Kind.TEXT))
    found = rows_of(Rows(Scope.ITEM, ("view", "buy"), of_x), event)
    assert [(row.line, row.item and row.item.sku) for row in found] == [(0, "s1"), (2, "s3")]
    assert rows_of(Rows(Scope.ITEM, ("view",), of_x), event) == []
    gift = Truth(EventField("gift", Kind.FLAG))
    assert len(rows_of(Rows(Scope.EVENT, ("buy",), gift), event)) == 1
    assert rows_of(Rows(Scope.EVENT, ("buy",), Not(gift)), event) == []


def test_an_entry_has_no_instance_yet() -> None:
    with pytest.raises(ValueError, match="expected an instance of a journey"):
        rows_of(Rows(Scope.EVENT, ("buy",), Compare(Comparison.EQ, key, null)), trigger)
