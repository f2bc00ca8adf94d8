"""Histories in files: cut back after a crash, and refused where they are not what was written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from segcore import Engine, Event, Item, PropertyValue
from segcore.rule import Aggregate, Fold, Rows, Scope
from segcore.snapshot import read_newest, write
from segcore.storage import wipe

ROOT = Path(__file__).resolve().parents[2]
BOUGHT = Aggregate(Rows(Scope.EVENT, ("buy",), None, 10_000), Fold.EXISTS)


def started(directory: Path | None) -> Engine:
    engine = Engine(directory)
    engine.advance(1_000_000, inclusive=False)
    engine.add_audience("bought", 1, BOUGHT)
    engine.activate("bought", 1)
    return engine


def event(number: int) -> Event:
    properties: dict[str, PropertyValue] = {"total": number / 7, "n": f"text {number % 5}"}
    if number % 3 == 0:
        properties |= {"day": date(2020, 2, 29), "tags": ("a", f"b{number}"), "gift": True}
    items = (Item(f"sku-{number % 11}", "shoes", None, 1.5, 2.0),) * (number % 4)
    kind = ("view", "buy", "back")[number % 3]
    return Event(
        f"e{number}", kind, 990_000 + number, 1_000_000, f"crm:{number % 7}", properties, items
    )


def fill(engine: Engine, first: int, until: int) -> None:
    for number in range(first, until):
        engine.add_event(1 + number % 20, event(number))
        if number % 5 == 0:
            values: dict[str, PropertyValue | None] = {
                "tier": f"t{number}",
                "n": None if number % 2 else 1.5,
                "since": date(2020, 1, 1),
            }
            engine.set_attributes(
                1 + number % 20, values, 10**6 - number, came_with=f"crm:{number}"
            )
        if number % 97 == 50:
            engine.merge(1 + number % 20, 100 + number)
    engine.advance(1_000_000 + until, inclusive=True)


def test_the_state_is_the_same_in_memory_in_files_and_after_a_crash(tmp_path: Path) -> None:
    whole = started(None)
    fill(whole, 0, 600)
    engine = started(tmp_path / "history")
    fill(engine, 0, 300)
    sections = engine.dump()
    former = engine.state_hash()
    fill(engine, 300, 600)
    assert engine.state_hash() == whole.state_hash()
    del engine
    restored = Engine.load(sections, tmp_path / "history")
    assert restored.state_hash() == former
    fill(restored, 300, 600)
    assert restored.state_hash() == whole.state_hash()
    assert restored.history(3) == whole.history(3)
    twin = Engine.load(whole.dump())
    assert twin.state_hash() == whole.state_hash()


def test_a_snapshot_of_files_is_small_and_counts_their_memory_apart(tmp_path: Path) -> None:
    engine = started(tmp_path)
    fill(engine, 0, 600)
    assert (
        sum(map(len, engine.dump().values())) < sum(map(len, started_whole().dump().values())) / 3
    )
    assert engine.columns.memory()["texts"] == 0
    assert engine.columns.memory()["files"] == sum(f.stat().st_size for f in tmp_path.iterdir())


def started_whole() -> Engine:
    engine = started(None)
    fill(engine, 0, 600)
    return engine


def test_a_former_snapshot_serves_too(tmp_path: Path) -> None:
    engine = started(tmp_path)
    fill(engine, 0, 200)
    older, older_hash = engine.dump(), engine.state_hash()
    fill(engine, 200, 400)
    newer, newer_hash = engine.dump(), engine.state_hash()
    assert Engine.load(newer, tmp_path).state_hash() == newer_hash
    restored = Engine.load(older, tmp_path)
    assert restored.state_hash() == older_hash
    fill(restored, 200, 400)
    assert restored.state_hash() == newer_hash
    assert Engine.load(newer, tmp_path).state_hash() == newer_hash


def test_a_shorter_file_is_refused_by_name(tmp_path: Path) -> None:
    engine = started(tmp_path)
    fill(engine, 0, 100)
    sections = engine.dump()
    for path in sorted(tmp_path.iterdir()):
        content = path.read_bytes()
        path.write_bytes(content[:3])
        with pytest.raises(ValueError, match=f"{path.name}: expected"):
            Engine.load(sections, tmp_path)
        path.write_bytes(content)
        assert Engine.load(sections, tmp_path).state_hash() == engine.state_hash()


def test_a_file_with_another_byte_is_refused_and_a_torn_tail_is_not(tmp_path: Path) -> None:
    engine = started(tmp_path)
    fill(engine, 0, 100)
    sections, former = engine.dump(), engine.state_hash()
    del engine
    for path in sorted(tmp_path.iterdir()):
        content = path.read_bytes()
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        with pytest.raises(ValueError, match=f"{path.name}: expected .* as they were"):
            Engine.load(sections, tmp_path)
        path.write_bytes(content + b"\xff" * 5001)
    (tmp_path / "type.9999.ordinals").write_bytes(b"torn")
    restored = Engine.load(sections, tmp_path)
    assert restored.state_hash() == former
    assert not (tmp_path / "type.9999.ordinals").exists()
    whole = started(None)
    fill(whole, 0, 100)
    fill(whole, 100, 300)
    fill(restored, 100, 300)
    assert restored.state_hash() == whole.state_hash()


def test_a_missing_file_is_refused_and_a_wiped_directory_is_begun_anew(tmp_path: Path) -> None:
    directory = tmp_path / "history"
    engine = started(directory)
    fill(engine, 0, 100)
    sections = engine.dump()
    wipe(directory)
    with pytest.raises(ValueError, match="found none"):
        Engine.load(sections, directory)
    again = started(directory)
    fill(again, 0, 100)
    assert again.state_hash() == engine.state_hash()


def test_a_refused_call_leaves_nothing_in_the_files(tmp_path: Path) -> None:
    engine = started(tmp_path)
    fill(engine, 0, 20)
    before, sections = engine.state_hash(), engine.dump()
    wrong = Event("e", "new type", 10, 20, "crm:new", {"new": "text", "z": 1e300})
    with pytest.raises(ValueError, match="z: expected a number"):
        engine.add_event(1, wrong)
    assert engine.state_hash() == before
    assert engine.dump() == sections


def _killed(path: Path) -> None:
    """Write a snapshot, go on, and die without a word."""
    engine = started(path / "history")
    fill(engine, 0, 300)
    sections = engine.dump()
    engine.columns.sync()
    write(path / "snapshot", {}, sections)
    fill(engine, 300, 777)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_left_all_that_its_snapshot_needs(tmp_path: Path) -> None:
    code = "import runpy, sys, pathlib; "
    code += "runpy.run_path(sys.argv[1])['_killed'](pathlib.Path(sys.argv[2]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    died = subprocess.run(
        [sys.executable, "-c", code, __file__, str(tmp_path)], env=environment, check=False
    )
    assert died.returncode == -signal.SIGKILL
    found = read_newest(tmp_path / "snapshot")
    assert found is not None
    restored = Engine.load(found[1], tmp_path / "history")
    whole = started(None)
    fill(whole, 0, 300)
    assert restored.state_hash() == whole.state_hash()
    fill(whole, 300, 500)
    fill(restored, 300, 500)
    assert restored.state_hash() == whole.state_hash()
