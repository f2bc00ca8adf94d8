"""The stage, told by hand what happens: what each step, entry and end is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from journey_stage import (
    DAY,
    HOUR,
    World,
    by_audience,
    change,
    event,
    outcome,
    publish,
    send,
    tick,
    wait,
)

from segcore.rule import InAudience
from services.journey.domain.instance import EndReason

START = 1_700_000_000_000


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
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
