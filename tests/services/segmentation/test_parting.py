"""People who come apart, as segmentation does it: both halves are as if two from the start."""

from pathlib import Path

import pytest

from coterie.log.v1.facts_pb2 import Fact, FactPack
from coterie.log.v1.inbound_pb2 import InboundPack
from coterie.log.v1.transitions_pb2 import (
    CAUSE_ERASURE,
    CAUSE_UNMERGE,
    CHANGE_ENTERED,
    CHANGE_EXITED,
    TransitionPack,
)
from segcore.rule import (
    Aggregate,
    Attribute,
    Compare,
    Comparison,
    Fold,
    Kind,
    Literal,
    Rows,
    Scope,
    Truth,
)
from segcore.rule_json import to_json
from services.kit.freshness import Freshness
from services.kit.log.port import Record
from services.kit.telemetry import Tracing
from services.segmentation import handover, saved
from services.segmentation.domain import published_attribute
from services.segmentation.stage import Memberships

HOUR = 3_600_000
VISITED = to_json(Aggregate(Rows(Scope.EVENT, ("visit",), last_ms=HOUR), Fold.EXISTS))
GOLD = to_json(Compare(Comparison.EQ, Attribute("tier", Kind.TEXT), Literal("gold", Kind.TEXT)))


class Side:
    """One partition's stage, fed by hand."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.inbound: list[InboundPack] = []
        self.stage = Memberships(0, directory, Freshness(), Tracing(), self._append)
        self.stage.restore()
        self.seq = 0
        for audience_id, rule in (("visited", VISITED), ("gold", GOLD)):
            proposed, live = fact(0), fact(0)
            proposed.audience_proposal.audience_id = audience_id
            proposed.audience_proposal.version = 1
            proposed.audience_proposal.rule_json = rule
            live.audience_activation.audience_id = audience_id
            live.audience_activation.version = 1
            self.take([proposed], [live])

    def _append(self, payload: bytes) -> None:
        self.inbound.append(InboundPack.FromString(payload))

    def take(self, *inputs: list[Fact]) -> list[tuple[str, int, int, int]]:
        """Apply a record; return (audience, person, change, cause) of what it changes."""
        self.seq += 1
        pack = FactPack(inbound_seq=self.seq)
        for index, facts in enumerate(inputs):
            for one in facts:
                one.index = index
            pack.facts.extend(facts)
        record = Record(self.seq, pack.SerializeToString(), self.seq)
        told = TransitionPack.FromString(self.stage.apply([record])[0][0].payload).transitions
        return [(one.audience_id, one.profile_id, one.change, one.cause) for one in told]

    def hash(self) -> str:
        return saved.state_hash(self.stage.partition)


def fact(profile_id: int, came_with: str = "", at_ms: int = 10) -> Fact:
    made = Fact(profile_id=profile_id, log_time_ms=at_ms, received_ms=at_ms, input_id="i1")
    if came_with:
        made.came_with.namespace, _, made.came_with.value = came_with.partition(":")
    return made


def visit(profile_id: int, came_with: str, event_id: str = "e1", at_ms: int = 10) -> list[Fact]:
    made = fact(profile_id, came_with, at_ms)
    made.event.event_id, made.event.type = event_id, "visit"
    return [made]


def tier(profile_id: int, came_with: str, value: str, at_ms: int = 10) -> list[Fact]:
    made = fact(profile_id, came_with, at_ms)
    made.attributes.attributes["tier"].text = value
    return [made]


def division(profile_id: int, into: int, *leaving: str, at_ms: int = 20) -> list[Fact]:
    told = fact(profile_id, at_ms=at_ms)
    told.profile_divided.division_id, told.profile_divided.new_profile_id = "d1", into
    assigned = []
    for one in leaving:
        namespace, _, value = one.partition(":")
        told.profile_divided.identities.add(namespace=namespace, value=value)
        assigned.append(fact(into, at_ms=at_ms))
        assigned[-1].identity_assigned.identity.CopyFrom(told.profile_divided.identities[-1])
    return [told, *assigned]


@pytest.fixture
def side(tmp_path: Path) -> Side:
    return Side(tmp_path)


def test_each_half_enters_and_leaves_by_the_unmerge(side: Side) -> None:
    side.take(visit(1, "ecid:d"), tier(1, "crm:a", "silver", 5), tier(1, "ecid:d", "gold", 6))
    assert set(side.take(division(1, 2, "ecid:d"))) == {
        ("visited", 1, CHANGE_EXITED, CAUSE_UNMERGE),
        ("gold", 1, CHANGE_EXITED, CAUSE_UNMERGE),
        ("visited", 2, CHANGE_ENTERED, CAUSE_UNMERGE),
        ("gold", 2, CHANGE_ENTERED, CAUSE_UNMERGE),
    }
    partition = side.stage.partition
    assert [partition.is_member(each, 1) for each in ("visited", "gold")] == [False, False]
    assert [partition.is_member(each, 2) for each in ("visited", "gold")] == [True, True]
    assert partition.engine.history(1).attribute_changes[0].values == {"tier": "silver"}
    # The window of the half that left ends at its own instant.
    tick = fact(0, at_ms=10 + HOUR)
    tick.tick.SetInParent()
    assert [one[:3] for one in side.take([tick])] == [("visited", 2, CHANGE_EXITED)]


def test_a_membership_goes_on_where_it_still_holds(side: Side) -> None:
    side.take(visit(1, "crm:a", "e1"), visit(1, "ecid:d", "e2"))
    told = side.take(division(1, 2, "ecid:d"))
    assert told == [("visited", 2, CHANGE_ENTERED, CAUSE_UNMERGE)]
    former = side.stage.partition.membership("visited", 1, 1).change
    created = side.stage.partition.membership("visited", 2, 2).change
    assert former is not None
    assert created is not None
    assert (former.enter_ms, former.cause_id) == (10, "e1")
    assert (created.enter_ms, created.cause_id) == (20, "d1")


def test_a_published_membership_goes_with_the_identifier_that_was_published(side: Side) -> None:
    rule = to_json(Truth(Attribute(published_attribute("vip", "p1"), Kind.FLAG)))
    proposed, live, named = fact(0), fact(0), fact(1, "email:a")
    proposed.audience_proposal.audience_id, proposed.audience_proposal.version = "vip", 1
    proposed.audience_proposal.rule_json, proposed.audience_proposal.publication_id = rule, "p1"
    live.audience_activation.audience_id, live.audience_activation.version = "vip", 1
    named.audience_member.audience_id, named.audience_member.member = "vip", True
    side.take([proposed], [live], [named])
    assert sorted(side.take(division(1, 2, "email:a"))) == [
        ("vip", 1, CHANGE_EXITED, CAUSE_UNMERGE),
        ("vip", 2, CHANGE_ENTERED, CAUSE_UNMERGE),
    ]


def test_a_snapshot_between_gives_the_same(side: Side, tmp_path: Path) -> None:
    other = Side(tmp_path / "other")
    for each in (side, other):
        each.take(visit(1, "ecid:d"), tier(1, "ecid:d", "gold"), visit(1, "crm:a", "e2"))
    saved.write(other.directory, saved.capture(other.stage.partition))
    other.stage.restore()
    for each in (side, other):
        each.take(division(1, 2, "ecid:d"), visit(2, "ecid:d", "e3", 30))
    assert side.hash() == other.hash()
    saved.write(other.directory, saved.capture(other.stage.partition))
    other.stage.restore()
    assert side.hash() == other.hash()


def test_who_comes_from_another_partition_can_be_divided_there(side: Side, tmp_path: Path) -> None:
    old = Side(tmp_path / "old")
    old.take(tier(9, "email:a", "gold"), visit(9, "email:a"))
    leaves = fact(9, at_ms=12)
    leaves.departure.merge_id = "m1"
    old.take([leaves])
    (handed,) = old.inbound[0].inputs
    belongings = handover.unpack_belongings(handed.handoff.state)
    assert [change.came_with for _, change in belongings.departed.attribute_changes] == ["email:a"]
    born, arrives = fact(1, at_ms=15), fact(1, at_ms=15)
    born.identity_assigned.identity.namespace = "crm"
    arrives.profiles_merged.merged_profile_id = 1 << 32 | 9
    arrives.profiles_merged.arrival.guest_profile_id = 2
    arrives.profiles_merged.arrival.handoffs.append(handed.handoff)
    side.take([born], [arrives])
    assert side.stage.partition.is_member("gold", 1)
    told = side.take(division(1, 3, "email:a"))
    assert {one[:3] for one in told} == {
        ("visited", 1, CHANGE_EXITED),
        ("gold", 1, CHANGE_EXITED),
        ("visited", 3, CHANGE_ENTERED),
        ("gold", 3, CHANGE_ENTERED),
    }


def erased(profile_id: int, at_ms: int = 20) -> list[Fact]:
    made = fact(profile_id, at_ms=at_ms)
    made.profile_erased.erasure_id = "x1"
    return [made]


def test_who_is_erased_leaves_everything_and_is_nobody(side: Side) -> None:
    side.take(visit(1, "ecid:d"), tier(1, "crm:a", "gold"), visit(2, "crm:b", "e2"))
    assert sorted(side.take(erased(1))) == [
        ("gold", 1, CHANGE_EXITED, CAUSE_ERASURE),
        ("visited", 1, CHANGE_EXITED, CAUSE_ERASURE),
    ]
    partition = side.stage.partition
    assert not partition.is_there(1)
    assert partition.is_there(2)
    assert list(partition.records.of(1)) == []
    assert list(partition.engine.history(1).events) == []
    tick = fact(0, at_ms=10 + HOUR)
    tick.tick.SetInParent()
    assert [one[:3] for one in side.take([tick])] == [("visited", 2, CHANGE_EXITED)]


def test_a_snapshot_after_an_erasure_gives_the_same(side: Side, tmp_path: Path) -> None:
    other = Side(tmp_path / "other")
    for each in (side, other):
        each.take(visit(1, "ecid:d"), tier(1, "ecid:d", "gold"), visit(2, "crm:a", "e2"))
        each.take(erased(1))
    saved.write(other.directory, saved.capture(other.stage.partition))
    other.stage.restore()
    for each in (side, other):
        each.take(visit(2, "ecid:d", "e3", 30))
    assert side.hash() == other.hash()
    assert not other.stage.partition.is_there(1)
