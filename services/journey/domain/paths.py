"""The ways through a journey: which steps can be reached, and which loops may take no time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from services.journey.domain.definition import (
    Branch,
    End,
    GoTo,
    Journey,
    Send,
    Step,
    Wait,
    WaitFor,
)


def unreachable(journey: Journey) -> set[int]:
    """Return the places of the steps to which no way leads."""
    reached: set[int] = set()
    pending = [0]
    while pending:
        place = pending.pop()
        if place not in reached:
            reached.add(place)
            pending += [*_at_once(journey, place), *_in_time(journey, place)]
    return set(range(len(journey.steps))) - reached


def timeless_loops(journey: Journey) -> list[list[int]]:
    """Return loops, as places, that an instance could take for ever at one instant.

    A rule may hold at once, a message be discarded at once, the time after the entry have passed:
    only a wait of some duration takes time for certain.
    """
    loops = []
    left: set[int] = set()
    for start in range(len(journey.steps)):
        loop = _loop_from(journey, start, left)
        if loop is not None:
            loops.append(loop)
    return loops


def _loop_from(journey: Journey, start: int, left: set[int]) -> list[int] | None:
    """Search depth first; `left` are the places from which all ways are known."""
    way: list[int] = []
    following: list[Iterator[int]] = []
    if start in left:
        return None
    way.append(start)
    following.append(iter(_at_once(journey, start)))
    while way:
        place = next(following[-1], None)
        if place is None:
            left.add(way.pop())
            following.pop()
        elif place in way:
            left.update(way)
            return way[way.index(place) :]
        elif place not in left:
            way.append(place)
            following.append(iter(_at_once(journey, place)))
    return None


def _at_once(journey: Journey, place: int) -> list[int]:
    """Return the places that may follow without time passing."""
    step: Step = journey.steps[place]
    following = journey.after(step.step)
    match step:
        case Wait():
            targets = [following] if step.after_entry else []
        case WaitFor() | Send():
            targets = [following]
        case Branch():
            targets = [following, step.else_step]
        case GoTo():
            targets = [step.target]
        case End():
            targets = []
        case _:
            assert_never(step)
    return [journey.places[target] for target in targets if target]


def _in_time(journey: Journey, place: int) -> list[int]:
    """Return the places that may follow after some time."""
    step = journey.steps[place]
    following = journey.after(step.step)
    targets: list[str] = []
    if isinstance(step, Wait):
        targets = [following]
    elif isinstance(step, WaitFor):
        targets = [step.timeout_step or following]
    return [journey.places[target] for target in targets if target]
