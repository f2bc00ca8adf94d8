"""The stage: facts in, transitions out, in one partition.

Log-anchored: the state is a function of the facts log, snapshots only shorten the way back to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from coterie.log.v1 import facts_pb2, transitions_pb2
from services.kit.freshness import Freshness
from services.kit.ids import ordinal_of
from services.kit.log.port import Entry, Record
from services.kit.telemetry import Tracing
from services.segmentation import saved, wire
from services.segmentation.partition import Partition, Transition

SNAPSHOT_FACTS = 100_000
"""Facts between two snapshots at least; so many are replayed in a few seconds."""


class Memberships:
    """Turns facts into transitions. `partition` is replaced when the state is read back."""

    def __init__(
        self, number: int, snapshots: Path, freshness: Freshness, tracing: Tracing
    ) -> None:
        self.partition = Partition(number)
        self._number = number
        self._snapshots = snapshots
        self._freshness = freshness
        self._tracing = tracing
        self._unsaved_facts = 0
        self._saved_facts = 0
        self._on_disk = True
        self.on_definition: Callable[[], None] = lambda: None

    def restore(self) -> int:
        """Read the newest good snapshot back; return the facts position that it holds."""
        restored = saved.read(self._snapshots, self._number)
        self.partition = restored or Partition(self._number)
        self._unsaved_facts = 0
        self._on_disk = True
        self._freshness.reached(self.partition.inbound_seq, self._number)
        return self.partition.facts_seq

    def apply(self, records: Sequence[Record]) -> Mapping[int, Sequence[Entry]]:
        """Apply facts records; each gives one transitions record, which may hold nothing."""
        with self.partition.lock:
            self._on_disk = False
            return {0: [Entry(self._apply_one(record), record.seq) for record in records]}

    def save(self, position: int) -> None:
        """The transitions up to `position` are on disk: show them; now and then take a snapshot."""
        with self.partition.lock:
            self._on_disk = self.partition.facts_seq == position
        self._freshness.reached(self.partition.inbound_seq, self._number)
        if self.partition.building:
            self.on_definition()
        if self._unsaved_facts >= max(SNAPSHOT_FACTS, self._saved_facts // 2):
            self.take_snapshot()

    def take_snapshot(self) -> bool:
        """Write the state; return False where it holds what the transitions log does not hold yet.

        Such a snapshot would hide those transitions for ever: a replay begins after it.
        """
        with self.partition.lock:
            if not self._on_disk:
                return False
            if self._unsaved_facts:
                saved.write(self._snapshots, self.partition)
            self._saved_facts += self._unsaved_facts
            self._unsaved_facts = 0
        return True

    def dead_letter(self, record: Record, error: str) -> Mapping[int, Sequence[Entry]]:
        """Say in the output that a record was passed over."""
        del error  # its text may hold personal data; the log of the process has its type
        partition = self.partition
        partition.facts_seq = record.seq
        answer = transitions_pb2.TransitionPack(
            facts_seq=record.seq,
            inbound_seq=partition.inbound_seq,
            log_time_ms=partition.log_time_ms,
        )
        return {0: [Entry(answer.SerializeToString(deterministic=True), record.seq)]}

    def _apply_one(self, record: Record) -> bytes:
        pack = facts_pb2.FactPack.FromString(record.payload)
        answer = transitions_pb2.TransitionPack(facts_seq=record.seq, inbound_seq=pack.inbound_seq)
        partition = self.partition
        with self._span(pack):
            for fact in pack.facts:
                if fact.traceparent and self._tracing.enabled:
                    with self._tracing.span("segmentation.decide", fact.traceparent):
                        _apply_fact(partition, fact, answer)
                else:
                    _apply_fact(partition, fact, answer)
        partition.facts_seq = record.seq
        partition.inbound_seq = pack.inbound_seq
        answer.log_time_ms = partition.log_time_ms
        self._unsaved_facts += len(pack.facts)
        return answer.SerializeToString(deterministic=True)

    def _span(self, pack: facts_pb2.FactPack) -> AbstractContextManager[object]:
        links = [fact.traceparent for fact in pack.facts if fact.traceparent]
        return self._tracing.span("segmentation.apply", links=links)


def _apply_fact(
    partition: Partition, fact: facts_pb2.Fact, answer: transitions_pb2.TransitionPack
) -> None:
    """Apply one fact: first what time changes before it, then what it changes itself."""
    body = fact.WhichOneof("body")
    due = partition.pass_time(fact.log_time_ms, inclusive=body == "tick")
    if due:
        wire.add_transitions(answer, due, partition.number, "")
    act = _ACTS.get(body or "")
    if act is not None:
        changed = act(partition, fact)
        if changed:
            wire.add_transitions(answer, changed, partition.number, fact.traceparent)


def _event(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    if not fact.profile_id:
        return []  # an event of nobody: kept in the log for totals, in no one's history
    event = wire.event_of(fact, partition.catalog)
    return partition.add_event(ordinal_of(fact.profile_id), event)


def _attributes(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    values, as_of_ms = wire.attributes_of(fact)
    return partition.set_attributes(ordinal_of(fact.profile_id), values, as_of_ms, fact.input_id)


def _identity(partition: Partition, fact: facts_pb2.Fact) -> list[Transition]:
    return partition.know(ordinal_of(fact.profile_id), fact.input_id)


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
    "identity_assigned": _identity,
    "profiles_merged": _merge,
    "catalog_item": _catalog,
    "schema": _schema,
    "audience_proposal": _proposal,
    "audience_activation": _activation,
}
