"""Snapshots shorten the way back: one of another Coterie, and one that is still being written."""

import os
import random
import threading
from pathlib import Path

import pytest

from segcore import Event, Item, PropertyValue, snapshot
from segcore.rule import Kind, Literal
from segcore.rule_json import to_json
from services.segmentation import saved
from services.segmentation.domain import Definition
from services.segmentation.partition import Partition
from services.segmentation.snapshots import Snapshots


def test_a_snapshot_that_this_engine_cannot_load_is_passed_over(tmp_path: Path) -> None:
    partition = Partition(0)
    saved.write(tmp_path, saved.capture(partition))
    partition.facts_seq = 2
    saved.write(tmp_path, saved.capture(partition))
    newest = saved.read(tmp_path, 0)
    assert newest is not None
    assert newest.facts_seq == 2
    (file,) = tmp_path.glob("*.snapshot")
    found = snapshot.read_newest(file)
    assert found is not None
    header, sections = found
    engine = sections["engine/engine"].replace(b'"format": 2', b'"format": 9')
    snapshot.write(tmp_path / "other", header, {**sections, "engine/engine": engine})
    (tmp_path / "other").replace(file)
    former = saved.read(tmp_path, 0)
    assert former is not None
    assert former.facts_seq == 0
    snapshot.write(file, header, {"engine/engine": sections["engine/engine"]})
    file.with_name(file.name + ".prev").unlink(missing_ok=True)
    assert saved.read(tmp_path, 0) is None


def filled(directory: Path) -> tuple[Partition, str]:
    """Return a partition with two snapshots, and the hash of the former one's state."""
    partition = saved.begin(directory, 0)
    partition.pass_time(1_000, inclusive=False)
    rule = to_json(Literal(value=True, kind=Kind.FLAG))
    partition.propose(Definition("all", 1, "All", "true", rule, 1, "r1"))
    partition.activate("all", 1)
    former = ""
    for number in range(60):
        properties: dict[str, PropertyValue] = {"n": number / 2, "t": f"t{number % 3}"}
        items = (Item(f"s{number % 5}"),) * (number % 3)
        kind = ("view", "buy")[number % 2]
        ordinal = 1 + number % 9
        partition.add_event(
            ordinal, Event(f"e{number}", kind, 900, 950, f"crm:{number}", properties, items)
        )
        partition.set_attributes(ordinal, {"tier": f"{number}"}, number, "i")
        partition.facts_seq = number
        if number in (29, 59):
            saved.write(directory, saved.capture(partition))
            former = former or saved.state_hash(partition)
    return partition, former


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Return a snapshot's bytes with something done to them."""
    place, length = draw.randrange(len(content)), draw.randrange(1, 200)
    match draw.randrange(6):
        case 0:
            flipped = content[place] ^ 1 << draw.randrange(8)
            return content[:place] + bytes([flipped]) + content[place + 1 :]
        case 1:
            return content[:place]
        case 2:
            return content[:place] + draw.randbytes(length) + content[place + length :]
        case 3:
            return content[:place] + content[place + length :]
        case 4:
            return content[:place] + draw.randbytes(length) + content[place:]
        case _:
            return swapped(content, draw)


def swapped(content: bytes, draw: random.Random) -> bytes:
    """Return the bytes with two stretches of one length in each other's place."""
    length = draw.randrange(1, 60)
    first = draw.randrange(len(content) - 2 * length)
    second = draw.randrange(first + length, len(content) - length)
    left, right = content[first : first + length], content[second : second + length]
    between = content[first + length : second]
    return content[:first] + right + between + left + content[second + length :]


def test_a_tampered_snapshot_is_refused_and_the_former_one_is_used(tmp_path: Path) -> None:
    """Drawn mutations of the newest file; COTERIE_MUTATIONS says how many in the long run."""
    partition, former = filled(tmp_path)
    newest = saved.state_hash(partition)
    (file,) = tmp_path.glob("*.snapshot")
    content, draw = file.read_bytes(), random.Random(4)
    before = saved.read(tmp_path, 0)
    assert before is not None
    assert saved.state_hash(before) == newest
    for _ in range(int(os.environ.get("COTERIE_MUTATIONS", "200"))):
        other = mutated(content, draw)
        if other == content:
            continue
        file.write_bytes(other)
        restored = saved.read(tmp_path, 0)
        assert restored is not None
        assert (restored.facts_seq, saved.state_hash(restored)) == (29, former)
        for bad in tmp_path.glob("*.bad"):
            bad.unlink()


def test_histories_that_are_not_those_of_the_newest_snapshot_leave_the_former_one(
    tmp_path: Path,
) -> None:
    partition, former = filled(tmp_path)
    occurred = partition.engine.columns.columns["events.rows"].path
    assert occurred is not None
    content = Path(occurred).read_bytes()
    Path(occurred).write_bytes(content[: 40 * 4])
    restored = saved.read(tmp_path, 0)
    assert restored is not None
    assert saved.state_hash(restored) == former
    Path(occurred).write_bytes(b"")
    assert saved.read(tmp_path, 0) is None
    assert saved.begin(tmp_path, 0).facts_seq == 0


def test_changes_after_a_snapshot_are_cut_back_and_others_than_its_own_refused(
    tmp_path: Path,
) -> None:
    partition, _ = filled(tmp_path)
    newest = saved.state_hash(partition)
    partition.add_event(20, Event("late", "view", 1_000, 1_000, "crm:20", {}, ()))
    assert saved.state_hash(partition) != newest
    restored = saved.read(tmp_path, 0)
    assert restored is not None
    assert saved.state_hash(restored) == newest
    rows = Path(restored.records.journal.store.columns["rows"].path or "")
    content = rows.read_bytes()
    rows.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert saved.read(tmp_path, 0) is None
    assert len(saved.begin(tmp_path, 0).records.journal) == 0


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
