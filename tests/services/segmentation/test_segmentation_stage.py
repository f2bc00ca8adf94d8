"""What the stage tells others while it works: the snapshot of a stop, and those who ask how far."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coterie.log.v1.facts_pb2 import FactPack
from coterie.log.v1.transitions_pb2 import TransitionPack
from segcore.rule import Aggregate, Fold, Rows, Scope
from segcore.rule_json import to_json
from services.kit.freshness import Freshness
from services.kit.log.port import Record
from services.kit.telemetry import Tracing
from services.segmentation.app import Audiences
from services.segmentation.domain import Definition, State
from services.segmentation.overview import Overview
from services.segmentation.partition import Partition
from services.segmentation.reading import Reads
from services.segmentation.stage import Memberships

HOUR = 3_600_000
RULE = to_json(Aggregate(Rows(Scope.EVENT, ("visit",), last_ms=HOUR), Fold.EXISTS))


def memberships(directory: Path) -> Memberships:
    made = Memberships(0, directory, Freshness(), Tracing(), lambda _payload: 1)
    made.restore()
    return made


def visited(inbound_seq: int) -> Record:
    """Return an audience of visitors that goes live, and a visit."""
    pack = FactPack(inbound_seq=inbound_seq)
    proposal = pack.facts.add(index=0, log_time_ms=1, received_ms=1).audience_proposal
    proposal.audience_id, proposal.version, proposal.rule_json = "visitors", 1, RULE
    live = pack.facts.add(index=1, log_time_ms=1, received_ms=1).audience_activation
    live.audience_id, live.version = "visitors", 1
    visit = pack.facts.add(index=2, log_time_ms=1, received_ms=1, profile_id=1).event
    visit.event_id, visit.type = "e1", "visit"
    return Record(inbound_seq, pack.SerializeToString(), inbound_seq)


def test_what_falls_due_next_is_known_without_asking_the_engine(tmp_path: Path) -> None:
    made = memberships(tmp_path)
    assert made.partition.next_due_ms is None
    made.apply([visited(1)])
    assert made.partition.next_due_ms == 1 + HOUR


def test_no_snapshot_is_taken_while_a_dead_letter_is_on_its_way(tmp_path: Path) -> None:
    made = memberships(tmp_path)
    made.apply([visited(1)])
    made.save(1)
    assert made._on_disk
    made.dead_letter(Record(2, b"", 2), "an error")
    assert not made._on_disk
    made.save(2)
    assert made._on_disk


class Turns:
    """A lock that counts how often it was taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __enter__(self) -> None:
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        pass


def test_readers_have_their_turn_between_any_two_records(tmp_path: Path) -> None:
    made = memberships(tmp_path)
    turns = made.partition.lock = Turns()
    made.apply([Record(seq, FactPack(inbound_seq=seq).SerializeToString(), seq) for seq in (1, 2)])
    assert turns.taken == 2


def audiences(*partitions: Partition) -> Audiences:
    async def append(_payload: bytes) -> int:
        raise AssertionError("nothing is saved here")

    return Audiences(
        ThreadPoolExecutor(1), Overview(lambda: partitions), Freshness(), append, lambda: 1
    )


def test_an_audience_is_live_once_it_is_so_in_every_partition() -> None:
    fast, slow = Partition(0), Partition(1)
    for each in (fast, slow):
        each.propose(Definition("visitors", 1, "Visitors", "text", RULE, 1, "req-1"))
    fast.activate("visitors", 1)
    reads = audiences(fast, slow)
    assert asyncio.run(reads.get("visitors")).definition.state is State.BACKFILLING
    slow.activate("visitors", 1)
    assert asyncio.run(reads.get("visitors")).definition.state is State.ACTIVE
    bulk = Reads(ThreadPoolExecutor(1), Overview(lambda: (fast, slow)))
    people = asyncio.run(bulk.members("visitors", None))
    assert (people.count, people.revision) == (0, "0:0,1:0")


def test_what_belongs_to_something_is_listed_for_those_who_ask_for_it() -> None:
    partition = Partition(0)
    partition.propose(Definition("visitors", 1, "Visitors", "text", RULE, 1, "req-1"))
    owner = "journeys/welcome/versions/1"
    partition.propose(Definition("a.exit", 1, "Exit", "text", RULE, 1, "req-2", owner=owner))
    reads = audiences(partition)

    def listed(*, owned: bool) -> list[str]:
        found = asyncio.run(reads.list_after("", 10, owned=owned))
        return [each.definition.audience_id for each in found]

    assert listed(owned=False) == ["visitors"]
    assert listed(owned=True) == ["a.exit", "visitors"]
    assert asyncio.run(reads.get("a.exit")).definition.owner == owner


def test_a_transition_says_which_input_it_came_with(tmp_path: Path) -> None:
    made = memberships(tmp_path)
    (entry,) = made.apply([visited(1)])[0]
    told = TransitionPack.FromString(entry.payload)
    assert [(each.index, each.audience_id) for each in told.transitions] == [
        (1, "visitors"),
        (2, "visitors"),
    ]


def visits(inbound_seq: int, *ordinals: int) -> Record:
    """Return visits of people, one after the other."""
    pack = FactPack(inbound_seq=inbound_seq)
    for index, ordinal in enumerate(ordinals):
        fact = pack.facts.add(index=index, log_time_ms=inbound_seq, received_ms=inbound_seq)
        fact.profile_id = ordinal
        fact.event.event_id, fact.event.type = f"e{inbound_seq}-{index}", "visit"
    return Record(inbound_seq, pack.SerializeToString(), inbound_seq)


def united(inbound_seq: int, winner: int, loser: int) -> Record:
    pack = FactPack(inbound_seq=inbound_seq)
    fact = pack.facts.add(log_time_ms=inbound_seq, received_ms=inbound_seq, profile_id=winner)
    fact.profiles_merged.merged_profile_id = loser
    fact.profiles_merged.merge_id = "m"
    return Record(inbound_seq, pack.SerializeToString(), inbound_seq)


def test_nothing_of_a_record_that_fails_half_way_is_seen_or_told(tmp_path: Path) -> None:
    """Person 2 is no more: the run of events ends there, after 7 and 8 have entered."""
    made, twin = memberships(tmp_path / "one"), memberships(tmp_path / "two")
    records = [visited(1), visits(2, 2, 3), united(3, 3, 2)]
    broken, last = visits(4, 7, 8, 2, 9), visits(5, 7, 9)
    for _ in range(2):
        held_by_a_reader = made.partition
        made.apply(records)
        with pytest.raises(ValueError, match="no more"):
            made.apply([broken])
        for each in (held_by_a_reader, made.partition):
            assert (each.engine.profile_count, each.engine.event_count) == (0, 0)
        assert made.restore() == 0
    made.apply(records)
    made.dead_letter(broken, "an error")
    twin.apply(records)
    assert made.apply([last]) == twin.apply([last])
    assert made.partition.engine.state_hash() == twin.partition.engine.state_hash()
    made.save(5)
    assert made.close()
    again = memberships(tmp_path / "one")
    assert again.partition.engine.state_hash() == twin.partition.engine.state_hash()
