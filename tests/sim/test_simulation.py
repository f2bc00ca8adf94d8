"""The promise of the logs: whatever fails, what is on disk is what the inbound log says, once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.kit.log_stage import LogStage
from services.kit.sql import Database
from tests.sim.disagreement import stories
from tests.sim.faults import Fate
from tests.sim.mutants import MUTANTS, SEEDS, Anchorless, Mutant
from tests.sim.world import World, live, prepared

WORLDS = 1000
"""Some ten seconds; `python -m tests.sim.worlds --seeds 100000` is for the night."""

CRASHED_SEEDS = (1, 2)
"""Worlds without other faults, in which every call of a port is the place of a crash once."""


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    made = prepared()
    yield made
    made.close()


@pytest.mark.parametrize("quarter", range(4))
def test_no_fault_loses_repeats_or_reorders_anything(database: Database, quarter: int) -> None:
    seeds = range(quarter * WORLDS // 4, (quarter + 1) * WORLDS // 4)
    assert live(seeds, database) is None


@pytest.mark.parametrize("seed", CRASHED_SEEDS)
@pytest.mark.parametrize(
    "fate", [Fate.CRASH_BEFORE, Fate.CRASH_AFTER, Fate.ANSWER_LOST, Fate.PAUSE_BEFORE]
)
def test_every_call_may_be_the_one_that_fails(database: Database, seed: int, fate: Fate) -> None:
    calm = World(seed, database, plan={})
    assert calm.run() == []
    for call in range(1, calm.faults.calls + 1):
        assert World(seed, database, plan={call: fate}).run() == [], f"call {call}"


def test_the_same_seed_gives_the_same_faults(database: Database) -> None:
    def life() -> tuple[list[str], int]:
        world = World(3, database)
        return world.run(), world.faults.calls

    assert life() == life()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_safeguard_is_missed_when_it_is_gone(database: Database, mutant: Mutant) -> None:
    assert live(range(SEEDS), database, mutant.parts) is not None


def test_owners_that_disagree_leave_one_story_because_of_the_anchor() -> None:
    assert len(stories(LogStage, anchored=True)) == 1
    assert len(stories(Anchorless, anchored=False)) == 2
