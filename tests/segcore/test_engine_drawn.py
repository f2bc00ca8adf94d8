"""Drawn rules over drawn histories: the engine is the reference, after every step."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from drawn import events, tallies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plays import Play
from world import World

slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
quick = settings(max_examples=250, deadline=None, suppress_health_check=slow)
few = settings(max_examples=60, deadline=None, suppress_health_check=slow)


def _play(play: Play, step_count: int) -> None:
    play.begin()
    for _ in range(step_count):
        play.step()
    play.end()


@quick
@given(st.data(), st.integers(3, 16))
def test_the_engine_agrees_with_the_reference_after_every_step(
    data: st.DataObject, step_count: int
) -> None:
    """Three audiences are there from the start; others come, change and go on the way."""
    _play(Play(World(partition=3), data.draw), step_count)


@few
@given(st.data(), st.integers(3, 12), st.sampled_from(("UTC", "Europe/Paris")))
def test_local_days_come_and_go_at_their_edges(
    data: st.DataObject, step_count: int, zone: str
) -> None:
    _play(Play(World(zone=zone), data.draw, of_days=True), step_count)


@few
@given(st.data(), st.integers(3, 12))
def test_histories_in_files_are_those_in_memory(data: st.DataObject, step_count: int) -> None:
    with TemporaryDirectory() as directory:
        _play(Play(World(Path(directory)), data.draw), step_count)


@quick
@given(st.data(), st.integers(4, 12))
def test_rows_come_and_go_one_by_one_also_late_and_through_merges(
    data: st.DataObject, step_count: int
) -> None:
    """Rules see each single row; one is live, another is built in slices beside it."""
    world = World()
    kinds = ("event",) * 4 + ("advance",) * 2 + ("merge", "travel", "divide", "batch", "build")
    play = Play(world, data.draw, kinds=kinds)
    world.advance(50, inclusive=True)
    world.add("live", data.draw(tallies(), label="live"))
    world.activate("live")
    for step in range(step_count):
        if step == step_count // 2:
            world.add("late", data.draw(tallies(), label="late"))
            play.pending.append("late")
            world.build(data.draw(st.integers(1, 3)))
        play.step()
    play.end()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_what_comes_in_comes_out_of_the_history(data: st.DataObject) -> None:
    world = World()
    world.advance(50, inclusive=True)
    for _ in range(data.draw(st.integers(1, 6))):
        world.event(data.draw(st.sampled_from((1, 2))), data.draw(events()))
    for ordinal, person in world.people.items():
        assert world.engine.history(ordinal).events == person.history().events
