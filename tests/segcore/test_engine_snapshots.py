"""What the engine writes and reads back, and what its hash depends on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segcore import Engine, Event, PropertyValue
from segcore.rule import Aggregate, Fold, Not, Rows, Scope

ROOT = Path(__file__).resolve().parents[2]


def filled() -> Engine:
    engine = Engine()
    engine.advance(1000, inclusive=False)
    rule = Aggregate(Rows(Scope.EVENT, ("buy",), None, 100), Fold.EXISTS)
    engine.add_audience("a", 1, rule)
    engine.activate("a", 1)
    properties: dict[str, PropertyValue] = {"é": "ü", "b": 1.5, "a": True, "t": 17}
    engine.add_event(2, Event("e1", "buy", 950, 1000, "crm:2", properties))
    engine.set_attributes(1, {"y": None, "x": "gold"}, 500)
    engine.add_event(3, Event("e2", "buy", 990, 1000, "crm:3", {"sku": "s"}))
    engine.merge(1, 3)
    engine.add_audience("b", 1, Not(rule))
    return engine


def test_a_restored_engine_goes_on_as_if_nothing_had_been() -> None:
    engine = filled()
    twin = Engine.load(engine.dump())
    assert twin.state_hash() == engine.state_hash()
    assert twin.activate("b", 1) == engine.activate("b", 1)
    for now_ms in (1040, 1050, 1090, 2000):
        assert twin.next_due_ms() == engine.next_due_ms()
        assert twin.advance(now_ms, inclusive=True) == engine.advance(now_ms, inclusive=True)
    assert twin.history(1) == engine.history(1)
    assert twin.state_hash() == engine.state_hash()


def test_who_left_is_in_no_snapshot_as_a_person() -> None:
    engine = filled()
    engine.forget(1)
    twin = Engine.load(engine.dump())
    assert twin.state_hash() == engine.state_hash()
    assert twin.next_due_ms() == engine.next_due_ms()
    assert twin.activate("b", 1) == engine.activate("b", 1)
    with pytest.raises(ValueError, match="which is no more"):
        twin.ensure_profile(1)


def test_the_hash_depends_on_what_came_and_on_nothing_else() -> None:
    code = "import runpy, sys; print(runpy.run_path(sys.argv[1])['filled']().state_hash())"
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code, __file__],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert hashes == {filled().state_hash()}
    other = filled()
    other.ensure_profile(9)
    assert other.state_hash() not in hashes


def test_slices_of_a_build_take_no_part_in_the_hash() -> None:
    engine, sliced = filled(), filled()
    sliced.build(1)
    assert sliced.state_hash() == engine.state_hash()


def _read() -> list[str]:
    """Return the sections that load has to read; those of inactive audiences are empty."""
    return sorted(name for name, content in filled().dump().items() if content)


@pytest.mark.parametrize("name", _read())
def test_a_dump_without_one_of_its_sections_is_refused(name: str) -> None:
    sections = filled().dump()
    del sections[name]
    with pytest.raises((ValueError, KeyError)):
        Engine.load(sections)


@pytest.mark.parametrize("name", _read())
def test_a_section_that_was_cut_is_refused(name: str) -> None:
    sections = filled().dump()
    sections[name] = sections[name][:-1]
    with pytest.raises((ValueError, KeyError)):
        Engine.load(sections)
