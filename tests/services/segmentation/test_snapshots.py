"""Snapshots shorten the way back: one of another Coterie, and one that is still being written."""

import threading
from pathlib import Path

import pytest

from segcore import snapshot
from segcore.rule import Kind, Literal
from segcore.rule_json import to_json
from services.segmentation import saved
from services.segmentation.domain import Definition
from services.segmentation.partition import Partition
from services.segmentation.snapshots import Snapshots


def test_a_snapshot_that_this_engine_cannot_load_is_passed_over(tmp_path: Path) -> None:
    partition = Partition(0)
    saved.write(tmp_path, saved.capture(partition))
    assert saved.read(tmp_path, 0) is not None
    (file,) = tmp_path.iterdir()
    found = snapshot.read_newest(file)
    assert found is not None
    header, sections = found
    engine = sections["engine/engine"].replace(b'"format": 2', b'"format": 9')
    snapshot.write(file, header, {**sections, "engine/engine": engine})
    assert saved.read(tmp_path, 0) is None
    snapshot.write(file, header, {"engine/engine": sections["engine/engine"]})
    assert saved.read(tmp_path, 0) is None


def test_a_snapshot_keeps_what_an_audience_belongs_to(tmp_path: Path) -> None:
    partition = Partition(0)
    rule = to_json(Literal(value=True, kind=Kind.FLAG))
    owned = Definition("w.exit", 1, "Exit", "true", rule, 1, "r1", owner="journeys/w/versions/1")
    partition.propose(owned)
    saved.write(tmp_path, saved.capture(partition))
    restored = saved.read(tmp_path, 0)
    assert restored is not None
    assert restored.definitions == {"w.exit": owned}


def test_the_last_snapshot_is_written_though_a_former_one_is_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    write = saved.write

    def slowly(directory: Path, captured: saved.Captured) -> None:
        assert gate.wait(10)
        write(directory, captured)

    monkeypatch.setattr(saved, "write", slowly)
    snapshots, partition = Snapshots(tmp_path, 0), Partition(0)
    for position in (1, 2):
        partition.facts_seq = position
        snapshots.count(1)
        snapshots.take(partition)
    gate.set()
    snapshots.close()
    assert Snapshots(tmp_path, 0).restore().facts_seq == 2
