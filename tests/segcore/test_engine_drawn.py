"""Drawn rules over drawn histories: the engine is the reference, after every step."""

from __future__ import annotations

from drawn import attribute_values, events, rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import World

ORDINALS = (1, 2, 3, 5)


def _step(world: World, data: st.DataObject, pending: list[str]) -> None:  # noqa: C901
    free = [ordinal for ordinal in ORDINALS if ordinal not in world.gone]
    kinds = ["event"] * 6 + ["attributes"] * 3 + ["advance"] * 4 + ["ensure", "reload"]
    if len(free) > 1:
        kinds.append("merge")
    if pending:
        kinds += ["build", "activate"]
    kind = data.draw(st.sampled_from(kinds), label="step")
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
        case "merge":
            loser = data.draw(st.sampled_from([other for other in free if other != ordinal]))
            world.merge(ordinal, loser)
        case "build":
            world.build(data.draw(st.integers(1, 3)))
        case "activate":
            world.activate(pending.pop(0))


def _run(data: st.DataObject, step_count: int) -> World:
    """Run a world with three audiences from the start, and two that are proposed on the way."""
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
        _step(world, data, pending)
    for name in pending:
        world.activate(name)
    world.reload()
    world.advance(40, inclusive=True)
    return world


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_the_engine_agrees_with_the_reference_after_every_step(data: st.DataObject) -> None:
    world = _run(data, data.draw(st.integers(3, 14)))
    assert world.engine.next_due_ms() is None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_what_comes_in_comes_out_of_the_history(data: st.DataObject) -> None:
    world = World()
    world.advance(50, inclusive=True)
    for _ in range(data.draw(st.integers(1, 6))):
        world.event(data.draw(st.sampled_from((1, 2))), data.draw(events()))
    for ordinal, person in world.people.items():
        assert world.engine.history(ordinal).events == person.history().events
