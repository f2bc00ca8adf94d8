"""Two people turn out to be one, in one partition and across two."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from journey_stage import (
    DAY,
    HOUR,
    Input,
    Partition,
    World,
    by_audience,
    by_rows,
    change,
    departure,
    event,
    merge,
    outcome,
    publish,
    send,
    stop,
    tick,
    wait,
)

from segcore.rule import Aggregate, All, Fold, InAudience, Rows, Scope, Since
from services.journey.domain.instance import EndReason
from services.kit.ids import derive_id, profile_id
from tests.databases import Databases

START = 1_700_000_000_000
LOSER = profile_id(0, 7)
WINNER = profile_id(1, 3)
GUEST = profile_id(1, 4)


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(2, databases.open("journey"))
    yield made
    made.close()


def publish_nudge() -> Input:
    journey = by_audience("left", wait("wait", DAY), send("nudge"))
    journey.exit_rule = "as compiled"
    return publish(START, "nudge", journey, {"exit": InAudience("bought")})


def enter(partition: Partition, at_ms: int, person: int) -> None:
    name = f"e{person}-{at_ms}"
    partition.feed(event(at_ms, person, "exit", name, transitions=[change("left", person, at_ms)]))


def test_of_two_instances_of_one_journey_the_later_one_ends(world: World) -> None:
    here = world.partitions[0]
    here.feed(publish_nudge())
    enter(here, START + 1, 8)
    enter(here, START + 2, 7)
    here.feed(merge(START + HOUR, 7, 8))
    here.work()
    first, second = here.instances()
    assert (first.profile_id, first.live) == (7, True)
    assert (second.profile_id, second.end_reason) == (7, EndReason.MERGED)


def test_the_message_of_the_one_that_ends_is_withdrawn(world: World) -> None:
    here = world.partitions[0]
    here.feed(publish(START, "hello", by_audience("left", send("hello"))))
    enter(here, START + 1, 8)
    enter(here, START + 2, 7)
    here.feed(merge(START + HOUR, 7, 8))
    here.work()
    _, asked, withdrawn = here.wanted()
    assert withdrawn == (4, 0, 7, "cancel", asked[4], START + HOUR, "merged")


def test_entries_of_both_count_for_reentry(world: World) -> None:
    here = world.partitions[0]
    journey = by_audience("left", wait("wait", HOUR))
    journey.entry.reentry = 1
    here.feed(publish(START, "once", journey))
    enter(here, START + 1, 8)
    here.feed(tick(START + 2 * HOUR))
    here.feed(merge(START + 3 * HOUR, 7, 8))
    enter(here, START + 4 * HOUR, 7)
    here.work()
    assert len(here.instances()) == 1


def test_a_membership_of_the_loser_is_the_winners_and_no_new_entry(world: World) -> None:
    here = world.partitions[0]
    here.feed(publish_nudge())
    here.feed(tick(START + 1, change("bought", 8, START + 1, cause="CLOCK")))
    here.feed(merge(START + 2, 7, 8))
    enter(here, START + 3, 7)
    here.work()
    assert here.instances() == []


def test_a_merge_that_newly_qualifies_is_an_entry(world: World) -> None:
    here = world.partitions[0]
    here.feed(publish_nudge())
    here.feed(merge(START + 2, 7, 8, [change("left", 7, START + 2, cause="MERGE")]))
    here.work()
    assert [each.profile_id for each in here.instances()] == [7]


def test_who_departs_is_touched_no_more_and_goes_on_where_they_arrive(world: World) -> None:
    old, new = world.partitions
    for partition in (old, new):
        partition.feed(publish_nudge())
    enter(old, START + 1, LOSER)
    old.feed(departure(START + HOUR, LOSER, WINNER))
    old.feed(tick(START + 2 * DAY))
    old_stage = old.work()
    (handed,) = world.handoffs()
    assert handed.input_id == derive_id("handoff", f"merge-{WINNER}-{LOSER}", "journey")
    assert handed.handoff.service == "journey"
    assert old.wanted() == []
    assert old.projection.next_due_ms is None
    new.feed(merge(START + 2 * HOUR, WINNER, LOSER, guest=GUEST))
    new_stage = new.work()
    (instance,) = new.instances()
    assert (instance.profile_id, instance.step) == (WINNER, "wait")
    assert new.projection.next_due_ms == START + 1 + DAY
    new.feed(tick(START + 2 * DAY))
    new.work(new_stage)
    (wanted,) = new.wanted()
    assert (wanted[2], wanted[5]) == (WINNER, START + 1 + DAY)
    new.feed(outcome(START + 2 * DAY, WINNER, wanted[4], 3))
    new.work(new_stage)
    assert new.instances()[0].end_reason is EndReason.COMPLETED
    old.feed(tick(START + 3 * DAY))
    old.work(old_stage)
    assert len(world.handoffs()) == 1


def test_memberships_and_events_come_along(world: World) -> None:
    old, new = world.partitions
    journey = by_rows(0, wait("wait", DAY))
    journey.exit_rule = "as compiled"
    bought = Aggregate(Rows(Scope.EVENT, ("buy",), since=Since.TRIGGER), Fold.EXISTS)
    conditions = {
        "entry.rows": Rows(Scope.EVENT, ("view",)),
        "exit": All((InAudience("vip"), bought)),
    }
    for partition in (old, new):
        partition.feed(publish(START, "watch", journey, conditions))
    vip = [change("vip", LOSER, START + 5)]
    old.feed(event(START + 5, LOSER, "buy", "e0", transitions=vip))
    old.feed(departure(START + HOUR, LOSER, WINNER))
    old.work()
    new.feed(merge(START + 2 * HOUR, WINNER, LOSER, guest=GUEST))
    new.feed(event(START + 3 * HOUR, WINNER, "view", "late", occurred_ms=START + 4))
    new.feed(event(START + 3 * HOUR, WINNER, "view", "later", occurred_ms=START + 6))
    new.work()
    (only,) = new.instances()
    assert only.trigger is not None
    assert only.trigger.event.event_id == "later"


def test_a_handoff_that_may_be_missing_is_said_again(world: World) -> None:
    old = world.partitions[0]
    old.feed(departure(START, LOSER, WINNER))
    stage = old.start()

    def die(*_: object, **__: object) -> None:
        raise RuntimeError

    old.projection._relay._relay_handoffs = die  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        stage.step(32)
    assert world.handoffs() == []
    stage = old.start()
    stage.recover()
    assert len(world.handoffs()) == 1
    old.feed(tick(START + 1))
    old.work(stage)
    old.work(old.start())
    assert len(world.handoffs()) == 1


def test_a_journey_that_is_stopped_while_its_person_moves_is_over_on_arrival(world: World) -> None:
    old, new = world.partitions
    for partition in (old, new):
        partition.feed(publish_nudge())
    enter(old, START + 1, LOSER)
    old.feed(departure(START + HOUR, LOSER, WINNER))
    for partition in (old, new):
        partition.feed(stop(START + HOUR + 1, "nudge", end_instances=True))
    old.work()
    new.work()
    new.feed(merge(START + 2 * HOUR, WINNER, LOSER, guest=GUEST))
    new.work()
    (only,) = new.instances()
    assert (only.end_ms, only.end_reason) == (START + 2 * HOUR, EndReason.STOPPED)
