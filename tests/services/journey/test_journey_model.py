"""The stage against the model: any inputs, any batches, crashes at any place, give the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journey_model import Model
from journey_stage import (
    HOUR,
    Input,
    Partition,
    World,
    branch,
    by_audience,
    by_rows,
    change,
    event,
    go_to,
    going_live,
    merge,
    outcome,
    publish,
    send,
    stock,
    stop,
    tick,
    wait,
    wait_for,
)

from coterie.journey.v1 import journey_pb2
from segcore.rule import (
    Aggregate,
    All,
    AnyOf,
    CatalogField,
    Compare,
    Comparison,
    EventField,
    Expression,
    Fold,
    InAudience,
    KeyText,
    Kind,
    Literal,
    Not,
    Rows,
    Scope,
    Since,
    TriggerField,
)

START = 1_700_000_000_000
PEOPLE = (1, 2, 70_000)
AUDIENCES = ("a", "b", "c")
TYPES = ("view", "buy", "back")
SKUS = ("shoe", "hat")


def rows_since(kind: str, since: Since, where: Expression | None = None) -> Expression:
    rows = Rows(Scope.EVENT, (kind,), where=where, since=since)
    return Aggregate(rows, Fold.EXISTS)


SAME_ORDER = Compare(
    Comparison.EQ, EventField("order", Kind.TEXT), TriggerField("order", Kind.TEXT)
)
SOLD_OUT = Compare(Comparison.LE, CatalogField("stock", Kind.NUMBER), Literal(0, Kind.NUMBER))
SAME_ITEM = Aggregate(
    Rows(
        Scope.ITEM,
        ("buy",),
        where=Compare(Comparison.EQ, EventField("sku", Kind.TEXT), KeyText()),
        since=Since.ENTRY,
    ),
    Fold.EXISTS,
)


def rules(*, by_event: bool, by_item: bool) -> st.SearchStrategy[Expression]:
    leaves: list[Expression] = [InAudience(a) for a in AUDIENCES]
    leaves += [rows_since(kind, Since.ENTRY) for kind in TYPES]
    if by_event:
        leaves += [rows_since(kind, Since.TRIGGER, SAME_ORDER) for kind in TYPES]
    if by_item:
        leaves += [SOLD_OUT, SAME_ITEM]
    single = st.sampled_from(leaves)
    pairs = st.tuples(single, single)
    return st.one_of(
        single, single.map(Not), pairs.map(All), pairs.map(AnyOf).map(Not), pairs.map(AnyOf)
    )


lengths = st.sampled_from([1, HOUR, 2 * HOUR, 5 * HOUR])


def drawn_step(
    draw: st.DrawFn, name: str, later: list[str], conditions: st.SearchStrategy[Expression]
) -> tuple[journey_pb2.Step, dict[str, Any]]:
    target = st.sampled_from(["", *later])
    match draw(st.sampled_from(["wait", "wait", "until", "for", "branch", "send", "send"])):
        case "wait":
            return wait(name, draw(lengths)), {}
        case "until":
            return wait(name, draw(lengths), after_entry=True), {}
        case "for":
            rule = {f"steps/{name}": draw(conditions)}
            return wait_for(name, draw(lengths), draw(target)), rule
        case "branch":
            return branch(name, draw(target)), {f"steps/{name}": draw(conditions)}
        case _:
            return send(name), {}


def drawn_entry(draw: st.DrawFn, key: int | None) -> tuple[journey_pb2.Journey, dict[str, Any]]:
    if key is None:
        return by_audience(draw(st.sampled_from(AUDIENCES))), {}
    made = by_rows(key)
    types = draw(st.sampled_from([("view",), ("view", "buy")]))
    made.entry.restart_first_wait = key != 1 and draw(st.booleans())
    if draw(st.booleans()):
        made.entry.max_lateness.FromMilliseconds(HOUR)
    return made, {"entry.rows": Rows(Scope.ITEM if key == 2 else Scope.EVENT, types)}


@st.composite
def journeys(draw: st.DrawFn) -> tuple[journey_pb2.Journey, dict[str, Any]]:
    """A journey in which every loop has a wait, with its conditions."""
    key = draw(st.sampled_from([None, None, 0, 0, 1, 2]))
    conditions = rules(by_event=key is not None, by_item=key == 2)
    made, found = drawn_entry(draw, key)
    names = [f"s{number}" for number in range(draw(st.integers(1, 5)))]
    for place, name in enumerate(names):
        step, rule = drawn_step(draw, name, names[place + 1 :], conditions)
        made.steps.append(step)
        found |= rule
    if draw(st.booleans()):
        made.steps.extend([wait("again", 3 * HOUR), go_to("back", draw(st.sampled_from(names)))])
    if draw(st.booleans()):
        made.exit_rule = "as compiled"
        found["exit"] = draw(conditions)
    if draw(st.booleans()):
        made.entry.rule = "as compiled"
        found["entry.rule"] = draw(conditions)
    if draw(st.booleans()):
        made.expires_after.FromMilliseconds(draw(st.sampled_from([HOUR, 4 * HOUR])))
    made.entry.reentry = draw(st.sampled_from([0, 0, 1, 2]))
    if made.entry.reentry == 2:
        made.entry.reentry_after.FromMilliseconds(2 * HOUR)
    return made, found


@dataclass
class Diary:
    """Draws what happens, and knows what a real segmentation would keep right."""

    draw: st.DrawFn
    now_ms: int = START
    number: int = 0
    gone: tuple[int, ...] = ()

    def next(self, partition: Partition) -> Input:
        self.number += 1
        kind = self.draw(
            st.sampled_from(
                ["event"] * 6
                + ["tick"] * 4
                + ["sent"] * 3
                + ["clock", "live", "merge", "stock", "stop", "publish"]
            )
        )
        self.now_ms += self.draw(st.sampled_from([0, 0, 1, HOUR, HOUR, 2 * HOUR, 7 * HOUR]))
        if kind == "tick":
            return tick(self.now_ms)
        return getattr(self, f"_{kind}")(partition)  # type: ignore[no-any-return]

    def _person(self) -> int:
        return self.draw(st.sampled_from([p for p in PEOPLE if p not in self.gone]))

    def _changes(self, person: int, at_ms: int, cause: str) -> list[Any]:
        drawn = self.draw(
            st.lists(st.tuples(st.sampled_from(AUDIENCES), st.booleans()), max_size=2)
        )
        return [change(a, person, at_ms, entered=e, cause=cause) for a, e in drawn]

    def _event(self, _: Partition) -> Input:
        person = self._person()
        late = self.draw(st.sampled_from([None, None, 0, HOUR, HOUR + 1, 3 * HOUR]))
        return event(
            self.now_ms,
            person,
            self.draw(st.sampled_from(TYPES)),
            f"e{self.number}",
            None if late is None else self.now_ms - late,
            self._changes(person, self.now_ms, "EVENT"),
            order=self.draw(st.sampled_from(["1", "2"])),
            sku=self.draw(st.sampled_from(SKUS)),
        )

    def _clock(self, _: Partition) -> Input:
        before = self.now_ms
        self.now_ms += 3 * HOUR
        instants = self.draw(st.lists(st.sampled_from([1, HOUR, 2 * HOUR, 3 * HOUR]), max_size=3))
        found = [
            one
            for at in sorted(instants)
            for one in self._changes(self._person(), before + at, "CLOCK")
        ]
        return tick(self.now_ms, *found)

    def _live(self, _: Partition) -> Input:
        people = [p for p in PEOPLE if p not in self.gone]
        found = self.draw(st.lists(st.sampled_from(people), unique=True))
        return going_live(self.draw(st.sampled_from(AUDIENCES)), found, self.now_ms)

    def _merge(self, partition: Partition) -> Input:
        if len(self.gone) == len(PEOPLE) - 1:
            return self._event(partition)
        loser = self._person()
        self.gone += (loser,)
        winner = self._person()
        return merge(self.now_ms, winner, loser, self._changes(winner, self.now_ms, "MERGE"))

    def _sent(self, partition: Partition) -> Input:
        waiting = [each for each in partition.instances() if each.message]
        if not waiting:
            return tick(self.now_ms)
        one = self.draw(st.sampled_from(waiting))
        state, reason = self.draw(st.sampled_from([(3, ""), (4, "no_consent"), (6, "")]))
        return outcome(self.now_ms, one.profile_id, one.message, state, reason)

    def _stock(self, _: Partition) -> Input:
        units = self.draw(st.sampled_from([0.0, 5.0]))
        return stock(self.now_ms, self.draw(st.sampled_from(SKUS)), units)

    def _stop(self, _: Partition) -> Input:
        journey = self.draw(st.sampled_from(["one", "two"]))
        return stop(self.now_ms, journey, end_instances=self.draw(st.booleans()))

    def _publish(self, _: Partition) -> Input:
        journey, found = self.draw(journeys())
        name = self.draw(st.sampled_from(["one", "two"]))
        return publish(self.now_ms, name, journey, found, self.number + 10)


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


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_stage_does_what_the_model_says(data: st.DataObject) -> None:
    world = World()
    partition, model, diary = world.partitions[0], Model(), Diary(data.draw)
    stage = partition.start()
    try:
        first = [publish(START, name, *data.draw(journeys())) for name in ("one", "two")]
        partition.feed(*first)
        for _ in range(data.draw(st.integers(1, 6))):
            for _ in range(data.draw(st.integers(1, 3))):
                inputs = [diary.next(partition) for _ in range(data.draw(st.integers(1, 4)))]
                partition.feed(*inputs)
            match data.draw(st.sampled_from(["step", "step", "restart", "crash", "later"])):
                case "crash":
                    crash(partition, stage)
                    stage = partition.start()
                case "restart":
                    stage = partition.work()
                case "step":
                    stage.step(data.draw(st.integers(1, 3)))
                case _:
                    pass
        partition.feed(tick(diary.now_ms + 100 * HOUR))
        partition.work(stage)
        for seq, facts, transitions in partition.fed:
            model.read(seq, facts, transitions)
        compare(partition, model)
        due = [each.next_ms for each in partition.instances() if each.next_ms is not None]
        assert partition.projection.next_due_ms == min(due, default=None)
    finally:
        world.close()


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
