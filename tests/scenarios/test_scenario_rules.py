"""How conditions, journeys and messages of the vocabulary read in the product's own words."""

from __future__ import annotations

import doctest
import importlib
from typing import Any

import pytest

from tests.scenarios.conditions import Place, rule_of
from tests.scenarios.faults import NotYet, ScenarioError
from tests.scenarios.journeys import plan_of

CART = {"of": "cart.added", "cleared_by": ["order.placed", "cart.removed"], "within": "P14D"}
PLACE = Place(
    item_sets={"cart": CART},
    segments=frozenset({"vip", "told"}),
    published=frozenset({"from_outside"}),
    untold={"vip": "`by` in rules"},
    one_line=frozenset({"product.viewed"}),
    key="item",
)


@pytest.mark.parametrize(
    ("condition", "rule"),
    [
        ({"attr": "age", "gte": 18, "lt": 30}, "profile.age >= 18 && profile.age < 30"),
        ({"attr": "tier", "exists": False}, "profile.tier == null"),
        (
            {"event": ["a", "b"], "where": {"channel": "web"}, "within": "PT90M"},
            'events("a", "b").where(event.channel == "web").last(minutes(90)).exists()',
        ),
        (
            {"event": "product.viewed", "where": {"item": {"brand": "X"}}, "count": {"gte": 2}},
            'items("product.viewed").where(item.brand == "X").count() >= 2',
        ),
        (
            {"event": "order.placed", "where": {"item": {"brand": "X"}}, "count": {"eq": 0}},
            'items("order.placed").where(item.brand == "X").distinct(event.id) == 0',
        ),
        (
            {"event": "order.returned", "since": "trigger", "same": "order_id"},
            (
                'events("order.returned").where(event.order_id == trigger.order_id)'
                ".since(trigger).exists()"
            ),
        ),
        (
            {"event": "order.placed", "since": "entry", "same_item": True},
            'items("order.placed").where(item.sku == key).since(entry).exists()',
        ),
        (
            {"sum": "total", "event": "order.placed", "within": "P30D", "net": True, "gte": 9},
            (
                'events("order.placed").last(days(30)).sum(event.total)'
                ' - events("order.returned").last(days(30)).sum(event.total) >= 9'
            ),
        ),
        (
            {"age": {"event": "order.placed", "gte": "P3D"}},
            'events("order.placed").exists() && !events("order.placed").last(days(3)).exists()',
        ),
        ({"not": {"segment": "told"}}, '!audience("told")'),
        ({"segment": "from_outside"}, 'audience("from-outside")'),
        (
            {"not": {"any": [{"attr": "a", "eq": True}, {"segment": "told"}]}},
            '!((profile.a == true) || (audience("told")))',
        ),
        (
            {"items": "cart"},
            (
                'items("cart.added").last(days(14)).by(item.sku)'
                '.notFollowedBy(items("order.placed", "cart.removed").by(item.sku)).exists()'
            ),
        ),
        ({"key_item": {"stock": {"lte": 0}}}, "catalog(key).stock <= 0"),
    ],
)
def test_a_condition_reads_as_a_rule(condition: dict[str, Any], rule: str) -> None:
    assert rule_of(condition, PLACE) == rule


@pytest.mark.parametrize(
    ("condition", "missing"),
    [
        ({"predicted_top": 0.2}, "predicted_top"),
        ({"segment": "vip"}, "`by` in rules"),
        ({"not": {"segment": "elsewhere"}}, "nobody publishes"),
        ({"age": {"event": "a", "gt": "P1D"}}, "`age` with `gt`"),
    ],
)
def test_what_has_no_words_yet_is_named(condition: dict[str, Any], missing: str) -> None:
    with pytest.raises(NotYet, match=missing):
        rule_of(condition, PLACE)


@pytest.mark.parametrize(
    "condition", [{"evnt": "a"}, {"event": "a", "witin": "P1D"}, {"items": "x"}]
)
def test_what_is_no_condition_is_refused(condition: dict[str, Any]) -> None:
    with pytest.raises(ScenarioError):
        rule_of(condition, PLACE)


def test_a_step_that_cannot_be_said_ends_the_journey_and_what_only_it_led_to_is_left_out() -> None:
    send = {"campaign": "c", "channels": ["email"], "content": "Hi {{first_name}}"}
    definition = {
        "entry": {"event": "app.opened"},
        "reentry": {"after": "P1D"},
        "steps": [
            {"id": "w_1", "wait": "P1D"},
            {"id": "ask", "check": {"event": "app.opened", "since": "entry"}, "else": "end_1"},
            {"id": "offer", "send": {**send, "incentive": True}},
            {"id": "more", "wait": "P1D"},
            {"id": "end_1", "send": send},
        ],
    }
    plan = plan_of("a_journey", definition, Place(), "PT1H")
    assert [step.id for step in plan.journey.steps] == ["w-1", "ask", "offer", "end-1"]
    assert plan.cuts == {"offer": "offers in messages"}
    assert plan.journey.steps[2].HasField("end")
    assert plan.journey.entry.max_lateness.seconds == 3600
    assert plan.templates["a-journey-end-1"].text == "Hi {{ profile.first_name }}"


@pytest.mark.parametrize("name", ["times", "cel", "conditions", "templates"])
def test_the_examples_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"tests.scenarios.{name}")).failed == 0
