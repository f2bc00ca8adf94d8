"""Drawn rules over drawn histories: the engine is the reference, after every step."""

from __future__ import annotations

from drawn import attribute_values, events, rules, tallies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import World

ORDINALS = (1, 2, 3, 5)
STEPS = (
    ("event",) * 6
    + ("attributes",) * 3
    + ("advance",) * 4
    + ("ensure", "reload", "merge", "travel")
)
quick = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def _step(world: World, data: st.DataObject, kinds: tuple[str, ...], pending: list[str]) -> None:
    free = [ordinal for ordinal in ORDINALS if ordinal not in world.gone]
    possible = kinds + ("build", "activate") * bool(pending)
    kind = data.draw(st.sampled_from(possible), label="step")
    ordinal = data.draw(st.sampled_from(free), label="ordinal")
    match kind:
        case "event":
            world.event(ordinal, data.draw(events()))
        case "attributes":
            as_of_ms = world.now_ms - data.draw(st.sampled_from((-1, 0, 0, 5)))
            world.attributes(ordinal, data.draw(attribute_values), as_of_ms)
        case "advance":
            step_ms = data.draw(st.sampled_from((0, 1, 3, 4, 6, 10, 27)))
            world.advance(step_ms, inclusive=data.draw(st.booleans()))
        case "ensure":
            world.ensure(ordinal)
        case "reload":
            world.reload()
        case "build":
            world.build(data.draw(st.integers(1, 3)))
        case "activate":
            world.activate(pending.pop(0))
        case "merge" | "travel" if len(free) > 1:
            loser = data.draw(st.sampled_from([other for other in free if other != ordinal]))
            world.merge(ordinal, world.travel(loser) if kind == "travel" else loser)


def _finish(world: World, pending: list[str]) -> None:
    for name in pending:
        world.activate(name)
    world.reload()
    world.advance(40, inclusive=True)


@quick
@given(st.data(), st.integers(3, 14))
def test_the_engine_agrees_with_the_reference_after_every_step(
    data: st.DataObject, step_count: int
) -> None:
    """Three audiences are there from the start, two are proposed on the way."""
    world = World()
    world.advance(50, inclusive=False)
    known: tuple[str, ...] = ()
    for name in ("one", "two", "three"):
        world.add(name, data.draw(rules(known), label=name))
        world.activate(name)
        known += (name,)
    pending: list[str] = []
    for step in range(step_count):
        if step in (4, 7):
            name = f"late-{step}"
            world.add(name, data.draw(rules(known), label=name))
            known += (name,)
            pending.append(name)
        _step(world, data, STEPS, pending)
    _finish(world, pending)


@quick
@given(st.data(), st.integers(4, 12))
def test_rows_come_and_go_one_by_one_also_late_and_through_merges(
    data: st.DataObject, step_count: int
) -> None:
    """Rules see each single row; one is live, another is built in slices beside it."""
    world = World()
    world.advance(50, inclusive=True)
    world.add("live", data.draw(tallies(), label="live"))
    world.activate("live")
    pending: list[str] = []
    for step in range(step_count):
        if step == step_count // 2:
            world.add("late", data.draw(tallies(), label="late"))
            pending.append("late")
            world.build(data.draw(st.integers(1, 3)))
        _step(world, data, ("event",) * 4 + ("advance",) * 2 + ("merge", "travel"), pending)
    _finish(world, pending)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_what_comes_in_comes_out_of_the_history(data: st.DataObject) -> None:
    world = World()
    world.advance(50, inclusive=True)
    for _ in range(data.draw(st.integers(1, 6))):
        world.event(data.draw(st.sampled_from((1, 2))), data.draw(events()))
    for ordinal, person in world.people.items():
        assert world.engine.history(ordinal).events == person.history().events
