"""What each kind of fact does to a partition.

The facts of one input are one happening: time passes before it, and a person who comes to be by it
is looked at once all of it has happened, so that nobody is for a moment in an audience of those who
have done nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from google.protobuf.message import DecodeError

from coterie.log.v1 import facts_pb2, handoff_pb2, transitions_pb2
from services.kit.ids import ordinal_of
from services.segmentation import handover, parting, wire
from services.segmentation.domain import Belongings
from services.segmentation.partition import Partition
from services.segmentation.run_wire import RunWriter
from services.segmentation.transitions import Transition

INDEX_BITS = 16
"""Room for the index of an input in its record, in the number of its arrival."""


def apply_input(
    partition: Partition,
    facts: Sequence[facts_pb2.Fact],
    answer: transitions_pb2.TransitionPack,
    writer: RunWriter | None = None,
) -> list[bytes]:
    """Apply all facts that come from one input, and add what they change to `answer`.

    Returns the inbound packs that hand over who left by them.
    """
    tick, index = facts[0].HasField("tick"), facts[0].index
    partition.arrival = answer.inbound_seq << INDEX_BITS | index
    due = partition.pass_time(facts[0].log_time_ms, inclusive=tick)
    if due is not None:
        told = (writer or RunWriter(partition.number)).write(due, answer.facts_seq, None, index)
        answer.MergeFromString(told)
    for fact in facts:
        act = _ACTS.get(fact.WhichOneof("body") or "")
        changed = act(partition, fact) if act else ()
        if changed:
            wire.add_transitions(answer, changed, partition.number, index, fact.traceparent)
    handoffs = [hand_over(partition, fact) for fact in facts if fact.HasField("departure")]
    for fact in facts:
        if fact.HasField("identity_assigned"):
            changed = partition.know(ordinal_of(fact.profile_id), fact.input_id)
            wire.add_transitions(answer, changed, partition.number, index, fact.traceparent)
    return handoffs


def apply_run(
    partition: Partition, answer: transitions_pb2.TransitionPack, writer: RunWriter
) -> None:
    """Apply the events of the partition's run, and add what they change to `answer`."""
    changes = partition.add_run()
    if changes is not None:
        answer.MergeFromString(writer.write(changes, answer.facts_seq, partition.run))


def hand_over(partition: Partition, fact: facts_pb2.Fact) -> bytes:
    """Let the person of a departure go; return the inbound pack with all that there was."""
    departure = fact.departure
    belongings = partition.depart(ordinal_of(fact.profile_id), departure.into_profile_id)
    state = handover.pack_belongings(belongings)
    return handover.handoff(departure.merge_id, state, fact.log_time_ms)


def hand_over_all(partition: Partition, payload: bytes) -> list[bytes]:
    """Let everybody go who leaves by a facts record that cannot be applied.

    The others wait for them: who cannot be read is handed over without a history.
    """
    try:
        facts = facts_pb2.FactPack.FromString(payload).facts
    except DecodeError:
        return []
    handoffs = []
    for fact in facts:
        if fact.HasField("departure"):
            try:
                handoffs.append(hand_over(partition, fact))
            except ValueError:
                empty = handover.handoff(fact.departure.merge_id, b"", fact.log_time_ms)
                handoffs.append(empty)
    return handoffs


def _event(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    if not fact.profile_id:
        return []  # an event of nobody: kept in the log for totals, in no one's history
    event = wire.event_of(fact, partition.catalog)
    return partition.add_event(ordinal_of(fact.profile_id), event)


def _attributes(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    values, as_of_ms = wire.attributes_of(fact)
    return partition.set_attributes(
        ordinal_of(fact.profile_id), values, as_of_ms, fact.input_id, wire.source_of(fact)
    )


def _merge(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    merged = fact.profiles_merged
    winner, loser = ordinal_of(fact.profile_id), ordinal_of(merged.merged_profile_id)
    if merged.HasField("arrival"):
        guest = ordinal_of(merged.arrival.guest_profile_id)
        belongings = _belongings(merged.arrival)
        return partition.arrive(guest, winner, belongings, merged.merge_id)
    return partition.merge(winner, loser, merged.merge_id)


def _divide(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    divided = fact.profile_divided
    return parting.divide(
        partition,
        ordinal_of(fact.profile_id),
        ordinal_of(divided.new_profile_id),
        [wire.identifier_of(each) for each in divided.identities],
        divided.division_id,
    )


def _erase(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    return parting.erase(partition, ordinal_of(fact.profile_id), fact.profile_erased.erasure_id)


def _belongings(arrival: handoff_pb2.Arrival) -> Belongings:
    for each in arrival.handoffs:
        if each.service == handover.SERVICE:
            return handover.unpack_belongings(each.state)
    return handover.unpack_belongings(b"")


def _catalog(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    partition.note_item(*wire.catalog_of(fact))
    return []


def _schema(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    partition.extend_schema(fact.schema.SerializeToString(deterministic=True))
    return []


def _proposal(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    partition.propose(wire.definition_of(fact))
    return []


def _deletion(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    return partition.delete(fact.audience_deletion.audience_id)


def _member(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    said, as_of_ms = fact.audience_member, fact.received_ms
    return partition.publish(
        ordinal_of(fact.profile_id),
        said.audience_id,
        said.publication_id,
        said.member,
        as_of_ms,
        fact.input_id,
        wire.source_of(fact),
    )


def _journey(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    published = fact.journey_publication
    entered_by = published.journey.entry.audience.partition("/")[2]
    partition.versions.library.journeys[published.journey_id] = entered_by
    return []


def _journey_stop(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    stop = fact.journey_stop
    partition.versions.library.journeys.pop(stop.journey_id, None)
    if not stop.end_instances:
        return []  # those who are on their way still need the conditions
    owned = partition.versions.library.owned_by(f"journeys/{stop.journey_id}/")
    return [each for audience_id in owned for each in partition.delete(audience_id)]


def _activation(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    live = fact.audience_activation
    return partition.activate(live.audience_id, live.version)


_ACTS: dict[str, Callable[[Partition, facts_pb2.Fact], list[Transition]]] = {
    "event": _event,
    "attributes": _attributes,
    "profiles_merged": _merge,
    "profile_divided": _divide,
    "profile_erased": _erase,
    "catalog_item": _catalog,
    "schema": _schema,
    "audience_proposal": _proposal,
    "audience_activation": _activation,
    "audience_deletion": _deletion,
    "audience_member": _member,
    "journey_publication": _journey,
    "journey_stop": _journey_stop,
}
