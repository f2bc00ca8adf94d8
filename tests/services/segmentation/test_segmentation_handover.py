"""A person who leaves a partition for another, as segmentation does it on either side."""

from datetime import date
from pathlib import Path

import pytest

from coterie.log.v1.facts_pb2 import Fact, FactPack
from coterie.log.v1.inbound_pb2 import InboundPack
from coterie.log.v1.transitions_pb2 import CHANGE_ENTERED, TransitionPack
from segcore import AttributeChange, Departed, Event, Item
from segcore.rule import Aggregate, Attribute, Compare, Comparison, Fold, Kind, Literal, Rows, Scope
from segcore.rule_json import to_json
from services.kit.freshness import Freshness
from services.kit.ids import derive_id
from services.kit.log.port import Record
from services.kit.telemetry import Tracing
from services.segmentation import handover, saved
from services.segmentation.domain import Belongings, Cause, Change
from services.segmentation.partition import Partition
from services.segmentation.stage import Memberships

HOUR = 3_600_000
VISITED = to_json(Aggregate(Rows(Scope.EVENT, ("visit",), last_ms=HOUR), Fold.EXISTS))
GOLD = to_json(Compare(Comparison.EQ, Attribute("tier", Kind.TEXT), Literal("gold", Kind.TEXT)))
WINNER = 1 << 32 | 1
GUEST = 1 << 32 | 2


class Side:
    """The stage of one partition, with what it said so far."""

    def __init__(self, number: int, directory: Path) -> None:
        self.inbound: list[InboundPack] = []
        self.directory = directory
        self.stage = Memberships(number, directory, Freshness(2), Tracing(), self._append)
        self.stage.restore()
        self.seq = 0

    def _append(self, payload: bytes) -> None:
        self.inbound.append(InboundPack.FromString(payload))

    @property
    def partition(self) -> Partition:
        return self.stage.partition

    def take(self, *facts: Fact, inbound_seq: int) -> TransitionPack:
        self.seq += 1
        for index, fact in enumerate(facts):
            fact.index = index
        pack = FactPack(inbound_seq=inbound_seq, facts=facts)
        record = Record(self.seq, pack.SerializeToString(), inbound_seq)
        return TransitionPack.FromString(self.stage.apply([record])[0][0].payload)

    def define(self) -> None:
        for audience_id, rule in (("visited", VISITED), ("gold", GOLD)):
            proposed, live = fact(0), fact(0)
            proposed.audience_proposal.audience_id = audience_id
            proposed.audience_proposal.version = 1
            proposed.audience_proposal.rule_json = rule
            live.audience_activation.audience_id = audience_id
            live.audience_activation.version = 1
            self.take(proposed, live, inbound_seq=1)


def fact(profile_id: int, at_ms: int = 10) -> Fact:
    return Fact(profile_id=profile_id, log_time_ms=at_ms, received_ms=at_ms, input_id="i1")


def assigned(profile_id: int) -> Fact:
    made = fact(profile_id)
    made.identity_assigned.identity.namespace = "crm"
    return made


def visit(profile_id: int, event_id: str, at_ms: int = 10) -> Fact:
    made = fact(profile_id, at_ms)
    made.event.event_id, made.event.type = event_id, "visit"
    return made


def tier(profile_id: int, value: str, at_ms: int = 10) -> Fact:
    made = fact(profile_id, at_ms)
    made.attributes.attributes["tier"].text = value
    return made


def departure(profile_id: int, at_ms: int = 20) -> Fact:
    made = fact(profile_id, at_ms)
    made.departure.merge_id, made.departure.into_profile_id = "m1", WINNER
    return made


def arrival(pack: InboundPack, at_ms: int = 30) -> Fact:
    made = fact(WINNER, at_ms)
    made.profiles_merged.merge_id, made.profiles_merged.merged_profile_id = "m1", 1
    made.profiles_merged.arrival.guest_profile_id = GUEST
    made.profiles_merged.arrival.handoffs.append(pack.inputs[0].handoff)
    return made


@pytest.fixture
def old(tmp_path: Path) -> Side:
    made = Side(0, tmp_path / "old")
    made.define()
    made.take(assigned(1), visit(1, "e1"), tier(1, "gold"), inbound_seq=2)
    return made


@pytest.fixture
def new(tmp_path: Path) -> Side:
    made = Side(1, tmp_path / "new")
    made.define()
    made.take(assigned(WINNER), inbound_seq=3)
    return made


def test_who_leaves_is_handed_over_once_and_no_exit_is_told(old: Side) -> None:
    assert not old.take(departure(1), inbound_seq=4).transitions
    (pack,) = old.inbound
    (handed,) = pack.inputs
    assert handed.input_id == derive_id("handoff", "m1", "segmentation")
    assert (handed.handoff.merge_id, handed.handoff.service) == ("m1", "segmentation")
    assert handed.received_ms == 20
    assert not old.take(fact(0, 2 * HOUR), inbound_seq=5).transitions
    assert list(old.partition.engine.members("gold")) == []
    assert old.partition.departures == {1: WINNER}


def test_a_profile_may_be_made_and_leave_by_one_input(old: Side) -> None:
    old.take(departure(9), inbound_seq=4)
    born, leaves = assigned(8), departure(8)
    seq = FactPack(inbound_seq=5, facts=[born, leaves])
    old.stage.apply([Record(9, seq.SerializeToString(), 5)])
    assert old.partition.departures == {9: WINNER, 8: WINNER}


def test_who_arrives_goes_on_where_the_person_was(old: Side, new: Side) -> None:
    new.take(tier(WINNER, "silver", 5), inbound_seq=3)
    old.take(departure(1), inbound_seq=4)
    assert not new.take(arrival(old.inbound[0]), inbound_seq=5).transitions
    membership = new.partition.membership("visited", 1, WINNER)
    assert membership.member
    assert membership.change == Change(10, 0, Cause.EVENT, "e1", 1)
    assert new.partition.membership("gold", 1, WINNER).change == Change(
        10, 0, Cause.ATTRIBUTE, "i1", 1
    )
    assert [event.event_id for event in new.partition.engine.history(1).events] == ["e1"]
    assert new.partition.current(2) == 1
    (left,) = new.take(
        fact(0, 10 + HOUR), visit(WINNER, "e2", 11 + HOUR), inbound_seq=6
    ).transitions[:1]
    assert (left.audience_id, left.change == CHANGE_ENTERED) == ("visited", False)


def test_what_went_live_on_the_way_is_entered_on_arrival(old: Side, new: Side) -> None:
    old.take(departure(1), inbound_seq=4)
    late, live = fact(0), fact(0)
    late.audience_proposal.audience_id, late.audience_proposal.version = "late", 1
    late.audience_proposal.rule_json = VISITED
    live.audience_activation.audience_id, live.audience_activation.version = "late", 1
    new.take(late, live, inbound_seq=5)
    (entered,) = new.take(arrival(old.inbound[0]), inbound_seq=6).transitions
    assert (entered.audience_id, entered.cause_id, entered.at_ms) == ("late", "m1", 30)


def test_of_two_values_of_one_instant_the_one_that_came_later_counts(old: Side, new: Side) -> None:
    new.take(tier(WINNER, "silver", 10), inbound_seq=1)
    old.take(departure(1), inbound_seq=4)
    new.take(arrival(old.inbound[0]), inbound_seq=5)
    (change,) = new.partition.engine.history(1).attribute_changes
    assert change.values == {"tier": "gold"}


def test_who_left_is_no_part_of_a_snapshot_and_still_found(old: Side) -> None:
    old.take(departure(1), inbound_seq=4)
    saved.write(old.directory, saved.capture(old.partition))
    restored = saved.read(old.directory, 0)
    assert restored is not None
    assert restored.departures == {1: WINNER}
    assert saved.state_hash(restored) == saved.state_hash(old.partition)


def test_who_leaves_by_a_record_that_cannot_be_applied_leaves_all_the_same(old: Side) -> None:
    pack = FactPack(inbound_seq=4, facts=[departure(1), departure(0)])
    old.stage.dead_letter(Record(9, pack.SerializeToString(), 4), "an error")
    assert [bool(one.inputs[0].handoff.state) for one in old.inbound] == [True, False]
    old.stage.dead_letter(Record(10, b"\xff", 5), "an error")
    assert handover.unpack_belongings(b"") == Belongings(Departed((), (), ()), {})


def test_everything_comes_out_as_it_went_in() -> None:
    event = Event(
        "e1",
        "buy",
        5,
        7,
        "crm:1",
        {"n": 1.5, "f": True, "t": 17, "s": "ü", "d": date(1992, 2, 29), "l": ("a", ""), "e": ()},
        (Item("s1", None, "b", 2.5, 0.0), Item("s2", "c", None, None, -1.0)),
    )
    changes = ((3, AttributeChange({"a": None, "b": "x"}, 2)),)
    given = Belongings(
        Departed((event,), changes, ("in",)),
        {"in": Change(1, 0, Cause.DEFINITION, "", 1), "out": Change(1, 2, Cause.CLOCK, "", 1)},
    )
    assert handover.unpack_belongings(handover.pack_belongings(given)) == given


def test_a_history_without_end_is_cut_at_its_old_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "STATE_LIMIT_BYTES", 2_000)
    events = tuple(Event(derive_id(str(n)), "visit", n, n, "crm:1", {}) for n in range(200))
    state = handover.pack_belongings(Belongings(Departed(events, (), ()), {}))
    kept = handover.unpack_belongings(state).departed.events
    assert len(state) <= 2_000
    assert kept
    assert kept == events[-len(kept) :]


def test_a_revision_is_reached_once_nothing_before_it_waits(old: Side) -> None:
    pack = FactPack(inbound_seq=9, waiting_seq=4)
    old.stage.apply([Record(9, pack.SerializeToString(), 9)])
    assert (old.partition.inbound_seq, old.partition.settled_seq) == (9, 3)
    pack = FactPack(inbound_seq=10)
    old.stage.apply([Record(10, pack.SerializeToString(), 10)])
    assert old.partition.settled_seq == 10
