"""The stage, told by hand what happens: what each step, entry and end is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from journey_stage import (
    DAY,
    HOUR,
    World,
    by_audience,
    by_rows,
    change,
    event,
    go_to,
    going_live,
    outcome,
    publish,
    send,
    stock,
    tick,
    wait,
    wait_for,
)

from segcore.rule import (
    Aggregate,
    CatalogField,
    Compare,
    Comparison,
    EventField,
    Fold,
    InAudience,
    ItemField,
    KeyText,
    Kind,
    Literal,
    Rows,
    Scope,
    Since,
    TriggerField,
)
from services.journey.domain.instance import EndReason
from tests.databases import Databases

START = 1_700_000_000_000


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(1, databases.open("journey"))
    yield made
    made.close()


def test_a_message_is_asked_for_when_the_wait_is_over_and_not_before(world: World) -> None:
    partition = world.partitions[0]
    journey = by_audience("left", wait("wait", 3 * DAY), send("nudge"))
    partition.feed(publish(START, "nudge", journey))
    partition.feed(event(START + 1, 7, "exit", "e1", transitions=[change("left", 7, START + 1)]))
    stage = partition.work()
    (instance,) = partition.instances()
    assert (instance.step, instance.due_ms) == ("wait", START + 1 + 3 * DAY)
    assert partition.projection.next_due_ms == START + 1 + 3 * DAY
    partition.feed(tick(START + 3 * DAY))
    partition.work(stage)
    assert partition.wanted() == []
    partition.feed(tick(START + 4 * DAY))
    partition.work(stage)
    (wanted,) = partition.wanted()
    assert wanted[2:4] == (7, "send")
    assert wanted[5:] == (START + 1 + 3 * DAY, "nudge")
    assert partition.projection.next_due_ms is None
    partition.feed(outcome(START + 4 * DAY + HOUR, 7, wanted[4], 3))
    partition.work(stage)
    (instance,) = partition.instances()
    assert instance.end_reason is EndReason.COMPLETED
    assert [visit.outcome for visit in instance.visits] == ["waited", "sent"]


def test_an_exit_withdraws_the_message_that_waits(world: World) -> None:
    partition = world.partitions[0]
    journey = by_audience("left", send("nudge"))
    journey.exit_rule = "as compiled"
    partition.feed(publish(START, "nudge", journey, {"exit": InAudience("bought")}))
    partition.feed(event(START + 1, 7, "exit", "e1", transitions=[change("left", 7, START + 1)]))
    partition.feed(event(START + 2, 7, "buy", "e2", transitions=[change("bought", 7, START + 2)]))
    partition.work()
    asked, withdrawn = partition.wanted()
    assert withdrawn == (3, 0, 7, "cancel", asked[4], START + 2, "exit_rule")


VIEWS = Rows(Scope.EVENT, ("view",))
LINES = Rows(Scope.ITEM, ("view",))
SOLD_OUT = Compare(Comparison.LE, CatalogField("stock", Kind.NUMBER), Literal(0, Kind.NUMBER))


def test_a_key_of_items_has_an_instance_for_each_sku_and_its_own_exit(world: World) -> None:
    here = world.partitions[0]
    journey = by_rows(2, wait("wait", DAY), send("s"))
    journey.exit_rule = "as compiled"
    same_item = Compare(Comparison.EQ, ItemField("sku", Kind.TEXT), KeyText())
    bought = Aggregate(Rows(Scope.ITEM, ("buy",), where=same_item, since=Since.ENTRY), Fold.EXISTS)
    here.feed(publish(START, "item", journey, {"entry.rows": LINES, "exit": bought}))
    viewed = event(START + 1, 7, "view", "e1")
    for sku in ("shoe", "hat", "shoe"):
        viewed.facts[0].event.items.add(sku=sku)
    here.feed(viewed, event(START + 2, 7, "buy", "e2", sku="hat"))
    here.feed(tick(START + 2 * DAY))
    here.work()
    found = {each.key: each for each in here.instances()}
    assert sorted(found) == ["hat", "shoe"]
    assert found["hat"].end_reason is EndReason.EXIT_RULE
    assert found["shoe"].step == "s"


def test_an_item_that_sells_out_ends_the_journeys_of_that_item_alone(world: World) -> None:
    here = world.partitions[0]
    journey = by_rows(2, wait("wait", DAY))
    journey.exit_rule = "as compiled"
    here.feed(publish(START, "item", journey, {"entry.rows": LINES, "exit": SOLD_OUT}))
    here.feed(stock(START, "shoe", 5), stock(START, "hat", 5))
    here.feed(
        event(START + 1, 7, "view", "e1", sku="shoe"),
        event(START + 1, 8, "view", "e2", sku="hat"),
        event(START + 1, 9, "view", "e3", sku="shoe"),
        stock(START + 2, "shoe", 0),
        event(START + 3, 7, "view", "e4", sku="shoe"),
    )
    here.work()
    assert {(each.profile_id, each.live, each.end_ms) for each in here.instances()} == {
        (7, False, START + 2),
        (8, True, None),
        (9, False, START + 2),
    }


def test_an_order_that_comes_back_ends_the_journey_of_that_order(world: World) -> None:
    here = world.partitions[0]
    journey = by_rows(1, wait("wait", DAY))
    journey.exit_rule = "as compiled"
    same = Compare(Comparison.EQ, EventField("order", Kind.TEXT), TriggerField("order", Kind.TEXT))
    returned = Aggregate(
        Rows(Scope.EVENT, ("return",), where=same, since=Since.TRIGGER), Fold.EXISTS
    )
    here.feed(publish(START, "order", journey, {"entry.rows": VIEWS, "exit": returned}))
    here.feed(
        event(START + 1, 7, "view", "e1", order="1"),
        event(START + 2, 7, "view", "e2", order="2"),
        event(START + 3, 7, "return", "e3", order="1"),
    )
    here.work()
    assert [(each.key, each.live) for each in here.instances()] == [("e1", False), ("e2", True)]


def test_who_is_a_member_before_the_journey_does_not_enter_and_who_becomes_one_does(
    world: World,
) -> None:
    here = world.partitions[0]
    here.feed(going_live("early", [1, 2], START))
    here.feed(publish(START + 1, "early", by_audience("early", wait("wait", DAY))))
    here.feed(publish(START + 1, "late", by_audience("late", wait("wait", DAY))))
    here.feed(going_live("late", [2, 70_000], START + 2))
    here.work()
    assert sorted((each.journey_id, each.profile_id) for each in here.instances()) == [
        ("late", 2),
        ("late", 70_000),
    ]


def test_a_jump_of_time_does_everything_in_between_at_its_own_instant(world: World) -> None:
    here = world.partitions[0]
    steps = [
        wait("first", HOUR),
        wait_for("look", 2 * HOUR),
        wait("last", HOUR),
        go_to("again", "first"),
    ]
    journey = by_audience("left", *steps)
    journey.expires_after.FromMilliseconds(9 * HOUR)
    here.feed(publish(START, "loop", journey, {"steps/look": InAudience("vip")}))
    here.feed(tick(START, change("left", 7, START, cause="CLOCK")))
    here.feed(tick(START + DAY, change("vip", 7, START + 2 * HOUR, cause="CLOCK")))
    here.work()
    (only,) = here.instances()
    assert [
        (visit.step, (visit.reach_ms - START) // HOUR, visit.outcome) for visit in only.visits
    ] == [
        ("first", 0, "waited"),
        ("look", 1, "held"),
        ("last", 2, "waited"),
        ("again", 3, "went_on"),
        ("first", 3, "waited"),
        ("look", 4, "held"),
        ("last", 4, "waited"),
        ("again", 5, "went_on"),
        ("first", 5, "waited"),
        ("look", 6, "held"),
        ("last", 6, "waited"),
        ("again", 7, "went_on"),
        ("first", 7, "waited"),
        ("look", 8, "held"),
        ("last", 8, "expired"),
    ]
    assert (only.end_ms, only.end_reason) == (START + 9 * HOUR, EndReason.EXPIRED)


def test_an_input_at_the_instant_at_which_a_wait_ends_comes_first(world: World) -> None:
    here = world.partitions[0]
    journey = by_audience("left", wait("wait", HOUR), send("nudge"))
    journey.exit_rule = "as compiled"
    here.feed(publish(START, "nudge", journey, {"exit": InAudience("bought")}))
    here.feed(event(START, 7, "exit", "e1", transitions=[change("left", 7, START)]))
    at_ms = START + HOUR
    here.feed(event(at_ms, 7, "buy", "e2", transitions=[change("bought", 7, at_ms)]), tick(at_ms))
    here.work()
    assert here.wanted() == []
    assert here.instances()[0].end_ms == at_ms


def test_at_the_instant_of_its_expiry_an_instance_is_over_for_who_enters(world: World) -> None:
    here = world.partitions[0]
    journey = by_rows(0, wait("wait", DAY))
    journey.expires_after.FromMilliseconds(HOUR)
    here.feed(publish(START, "short", journey, {"entry.rows": VIEWS}))
    here.feed(
        event(START, 7, "view", "e1"),
        event(START + HOUR - 1, 7, "view", "e2"),
        event(START + HOUR, 7, "view", "e3"),
    )
    here.work()
    first, second = here.instances()
    assert (first.end_ms, first.end_reason) == (START + HOUR, EndReason.EXPIRED)
    assert second.entry_ms == START + HOUR


def test_a_newer_row_begins_the_first_wait_again_and_an_older_one_does_not(world: World) -> None:
    here = world.partitions[0]
    journey = by_rows(0, wait("wait", HOUR), send("s"))
    journey.entry.restart_first_wait = True
    here.feed(publish(START, "again", journey, {"entry.rows": VIEWS}))
    here.feed(
        event(START + 10, 7, "view", "e1"),
        event(START + 20, 7, "view", "e2"),
        event(START + 30, 7, "view", "e3", occurred_ms=START + 19),
        event(START + 40, 7, "view", "e4", occurred_ms=START + 20),
    )
    here.work()
    (only,) = here.instances()
    assert only.trigger is not None
    assert (only.trigger.event.event_id, only.due_ms) == ("e4", START + 40 + HOUR)
    assert [visit.outcome for visit in only.visits] == ["restarted", "restarted", ""]


def test_an_event_that_comes_too_late_starts_nothing(world: World) -> None:
    here = world.partitions[0]
    journey = by_rows(1, wait("wait", HOUR))
    journey.entry.max_lateness.FromMilliseconds(HOUR)
    here.feed(publish(START, "order", journey, {"entry.rows": VIEWS}))
    here.feed(
        event(START + DAY, 7, "view", "just", occurred_ms=START + DAY - HOUR),
        event(START + DAY, 7, "view", "late", occurred_ms=START + DAY - HOUR - 1),
    )
    here.work()
    assert [each.key for each in here.instances()] == ["just"]


def test_live_instances_stay_on_their_version_and_new_ones_enter_the_newest(world: World) -> None:
    here = world.partitions[0]
    here.feed(publish(START, "v", by_audience("left", wait("old", DAY)), version=1))
    here.feed(event(START + 1, 7, "exit", "e1", transitions=[change("left", 7, START + 1)]))
    here.feed(publish(START + 2, "v", by_audience("left", wait("new", DAY)), version=2))
    here.feed(
        event(
            START + 3,
            8,
            "exit",
            "e2",
            transitions=[change("left", 8, START + 3), change("left", 7, START + 3)],
        )
    )
    here.work()
    assert [(each.profile_id, each.version, each.step) for each in here.instances()] == [
        (7, 1, "old"),
        (8, 2, "new"),
    ]


def test_a_record_that_cannot_be_read_is_set_aside_and_the_next_one_applied(world: World) -> None:
    here = world.partitions[0]
    bad = publish(START, "bad", by_audience("left", wait("w", DAY)))
    bad.facts[0].journey_publication.conditions_json["exit"] = "no rule"
    here.feed(bad)
    here.feed(publish(START + 1, "good", by_audience("left", wait("w", DAY))))
    here.feed(event(START + 2, 7, "exit", "e1", transitions=[change("left", 7, START + 2)]))
    stage = here.start()
    for _ in range(12):
        try:
            stage.step(32)
        except ValueError:
            continue
    assert stage.dead_letters == 1
    assert [each.journey_id for each in here.instances()] == ["good"]
