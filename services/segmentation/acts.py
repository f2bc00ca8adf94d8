"""What each kind of fact does to a partition.

The facts of one input are one happening: time passes before it, and a person who comes to be by it
is looked at once all of it has happened, so that nobody is for a moment in an audience of those who
have done nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coterie.log.v1 import facts_pb2, transitions_pb2
from services.kit.ids import ordinal_of
from services.segmentation import wire
from services.segmentation.partition import Partition, Transition


def apply_input(
    partition: Partition,
    facts: Sequence[facts_pb2.Fact],
    answer: transitions_pb2.TransitionPack,
) -> None:
    """Apply all facts that come from one input, and add what they change to `answer`."""
    tick, index = facts[0].HasField("tick"), facts[0].index
    due = partition.pass_time(facts[0].log_time_ms, inclusive=tick)
    if due:
        wire.add_transitions(answer, due, partition.number, index, "")
    for fact in facts:
        act = _ACTS.get(fact.WhichOneof("body") or "")
        changed = act(partition, fact) if act else ()
        if changed:
            wire.add_transitions(answer, changed, partition.number, index, fact.traceparent)
    for fact in facts:
        if fact.HasField("identity_assigned"):
            changed = partition.know(ordinal_of(fact.profile_id), fact.input_id)
            wire.add_transitions(answer, changed, partition.number, index, fact.traceparent)


def _event(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    if not fact.profile_id:
        return []  # an event of nobody: kept in the log for totals, in no one's history
    event = wire.event_of(fact, partition.catalog)
    return partition.add_event(ordinal_of(fact.profile_id), event)


def _attributes(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    values, as_of_ms = wire.attributes_of(fact)
    return partition.set_attributes(ordinal_of(fact.profile_id), values, as_of_ms, fact.input_id)


def _merge(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    merged = fact.profiles_merged
    winner, loser = ordinal_of(fact.profile_id), ordinal_of(merged.merged_profile_id)
    return partition.merge(winner, loser, merged.merge_id)


def _catalog(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    sku, known = wire.catalog_of(fact)
    partition.catalog[sku] = known
    return []


def _schema(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    partition.extend_schema(fact.schema.SerializeToString(deterministic=True))
    return []


def _proposal(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    partition.propose(wire.definition_of(fact))
    return []


def _activation(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    live = fact.audience_activation
    return partition.activate(live.audience_id, live.version)


_ACTS: dict[str, Callable[[Partition, facts_pb2.Fact], list[Transition]]] = {
    "event": _event,
    "attributes": _attributes,
    "profiles_merged": _merge,
    "catalog_item": _catalog,
    "schema": _schema,
    "audience_proposal": _proposal,
    "audience_activation": _activation,
}
