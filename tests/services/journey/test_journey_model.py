"""The stage against the model: any inputs, any batches, crashes at any place, give the same."""

from __future__ import annotations

from typing import Any

import pytest
from journey_diary import START, Diary, rows_since
from journey_model import Model
from journey_stage import HOUR, Partition, World, by_rows, event, go_to, publish, send, tick, wait

from segcore.rule import Rows, Scope, Since
from tests.databases import Databases

SEEDS = range(24)
RECORDS = 40


def shown(partition: Partition) -> dict[str, tuple[Any, ...]]:
    return {
        each.instance_id: (
            each.journey_id,
            each.version,
            each.profile_id,
            each.key,
            each.step,
            each.entry_ms,
            each.expire_ms,
            each.due_ms,
            each.message,
            each.trigger and each.trigger.event.event_id,
            each.end_ms and (each.end_ms, str(each.end_reason)),
            [(v.step, v.reach_ms, v.leave_ms, v.outcome, v.message) for v in each.visits],
        )
        for each in partition.instances()
    }


def meant(model: Model) -> dict[str, tuple[Any, ...]]:
    return {
        each.id: (
            each.journey,
            each.version,
            each.person,
            each.key,
            each.visits[-1][0],
            each.entry,
            each.expire,
            each.due,
            each.message,
            each.trigger and each.trigger.event_id,
            each.end,
            [tuple(visit) for visit in each.visits],
        )
        for each in model.walkers.values()
    }


def compare(partition: Partition, model: Model) -> None:
    assert shown(partition) == meant(model)
    assert sorted(partition.wanted()) == sorted(model.intents)


class Crash(RuntimeError):
    pass


@pytest.mark.parametrize("seed", SEEDS)
def test_the_stage_does_what_the_model_says(seed: int) -> None:
    world = World()
    hold_to_the_model(world, seed)
    world.close()


@pytest.mark.parametrize("seed", [1001, 1002])
def test_each_database_does_what_the_model_says(seed: int, databases: Databases) -> None:
    world = World(1, databases.open("journey"))
    hold_to_the_model(world, seed)
    world.close()


def hold_to_the_model(world: World, seed: int) -> None:
    diary, model = Diary(seed), Model()
    partition = world.partitions[0]
    stage = partition.start()
    names = ("one", "two", "three")
    partition.feed(*[publish(START, name, *diary.journey()) for name in names])
    for _ in range(RECORDS):
        inputs = [diary.next(partition) for _ in range(diary.random.randint(1, 4))]
        partition.feed(*inputs)
        match diary.random.choice(["step", "step", "step", "restart", "crash", "later", "later"]):
            case "crash":
                crash(partition, stage)
                stage = partition.start()
            case "restart":
                stage = partition.work()
            case "step":
                stage.step(diary.random.randint(1, 3))
            case _:
                pass
    partition.feed(tick(diary.now_ms + 100 * HOUR))
    partition.work(stage)
    for seq, facts, transitions in partition.fed:
        model.read(seq, facts, transitions)
    compare(partition, model)
    due = [each.next_ms for each in partition.instances() if each.next_ms is not None]
    assert partition.projection.next_due_ms == min(due, default=None)


def crash(partition: Partition, stage: Any) -> None:
    """Let the process die between the transaction and the append, where there is one."""

    def die(*_: object, **__: object) -> None:
        raise Crash

    partition.projection._relay._relay_intents = die  # type: ignore[method-assign]
    try:
        stage.step(32)
    except Crash:
        return


@pytest.mark.parametrize("pack", [1, 3, 50])
def test_how_inputs_are_packed_changes_nothing_but_the_numbers(pack: int) -> None:
    assert told(pack) == told(7)


def told(pack: int) -> list[Any]:
    world = World()
    partition = world.partitions[0]
    exits = rows_since("buy", Since.ENTRY)
    journey = by_rows(0, wait("w", 2 * HOUR), send("m"), wait("x", HOUR), go_to("again", "w"))
    journey.exit_rule = "as compiled"
    inputs = [
        publish(START, "one", journey, {"entry.rows": Rows(Scope.EVENT, ("view",)), "exit": exits})
    ]
    for number in range(60):
        at_ms = START + number * HOUR // 3
        kind = ("view", "view", "back", "buy")[number * 7 % 4]
        inputs += [event(at_ms, 1 + number % 5, kind, f"e{number}"), tick(at_ms + 1)]
    for start in range(0, len(inputs), pack):
        partition.feed(*inputs[start : start + pack])
    partition.work()
    found = [
        (each.profile_id, each.entry_ms, each.end_ms, each.visits, each.trigger)
        for each in partition.instances()
    ]
    world.close()
    return found
