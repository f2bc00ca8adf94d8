"""The stage: facts in, transitions out, in one partition.

Log-anchored: the state is a function of the facts log, snapshots only shorten the way back to it.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from coterie.log.v1 import facts_pb2, transitions_pb2
from segcore._decode import PackReader
from services.kit.freshness import Freshness
from services.kit.log.port import Entry, Record
from services.kit.telemetry import Tracing
from services.segmentation import acts
from services.segmentation.partition import Partition
from services.segmentation.run_wire import RunWriter
from services.segmentation.snapshots import Snapshots

_input_of = operator.attrgetter("index")


class Memberships:
    """Turns facts into transitions. `partition` is replaced when the state is read back."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        number: int,
        snapshots: Path,
        freshness: Freshness,
        tracing: Tracing,
        append_inbound: Callable[[bytes], object],
        zone: str = "UTC",
    ) -> None:
        self.partition = Partition(number)
        self._number = number
        self._snapshots = Snapshots(snapshots, number, zone)
        self._freshness = freshness
        self._tracing = tracing
        self._append_inbound = append_inbound
        self._run_writer = RunWriter(number)
        self._on_disk = True
        self._read_back = False
        self.on_definition: Callable[[], None] = lambda: None

    def restore(self) -> int:
        """Read the newest good snapshot back; return the facts position that it holds."""
        if not self._read_back:
            self._read_state_back()
        self._read_back = False
        self._freshness.reached(self.partition.settled_seq, self._number)
        return self.partition.facts_seq

    def _read_state_back(self) -> None:
        """Take the state of the newest good snapshot; nobody reads files that are cut meanwhile."""
        with self.partition.lock:
            restored = self._snapshots.restore()
            restored.note_next_due()
            self._replace(restored)
            self._on_disk = self._read_back = True

    def _replace(self, restored: Partition) -> None:
        """Go on with what was read back: who still holds the former partition reads this one's.

        Both stand on the same files, of which only the new one knows what is in them.
        """
        former = self.partition
        restored.lock = former.lock
        former.engine, former.witnessing = restored.engine, restored.witnessing
        former.records = restored.records
        self.partition = restored

    def apply(self, records: Sequence[Record]) -> Mapping[int, Sequence[Entry]]:
        """Apply facts records; each gives one transitions record, which may hold nothing.

        Who left for another partition is handed over to it before anything says that the record is
        done: a replay that does so again is not listened to.
        """
        return {0: [Entry(self._apply_one(record), record.seq) for record in records]}

    def save(self, position: int) -> None:
        """The transitions up to `position` are on disk: show them; now and then take a snapshot."""
        with self.partition.lock:
            self._on_disk = self.partition.facts_seq == position
            if self._on_disk:
                self._snapshots.take_if_due(self.partition)
        self._freshness.reached(self.partition.settled_seq, self._number)
        if self.partition.building:
            self.on_definition()

    def close(self) -> bool:
        """Write the last snapshot; return False where the state is ahead of the transitions log.

        Such a snapshot would hide those transitions for ever: a replay begins after it.
        """
        with self.partition.lock:
            if not self._on_disk:
                return False
            self._snapshots.take(self.partition)
        self._snapshots.close()
        return True

    def dead_letter(self, record: Record, error: str) -> Mapping[int, Sequence[Entry]]:
        """Say in the output that a record was passed over; who leaves by it leaves all the same."""
        del error  # its text may hold personal data; the log of the process has its type
        partition = self.partition
        with partition.lock:
            self._on_disk = self._read_back = False
            handoffs = acts.hand_over_all(partition, record.payload)
            partition.facts_seq = record.seq
        self._hand_over(handoffs)
        answer = transitions_pb2.TransitionPack(
            facts_seq=record.seq,
            inbound_seq=partition.inbound_seq,
            log_time_ms=partition.log_time_ms,
        )
        return {0: [Entry(answer.SerializeToString(deterministic=True), record.seq)]}

    def _apply_one(self, record: Record) -> bytes:
        pack = PackReader(record.payload)
        answer = transitions_pb2.TransitionPack(facts_seq=record.seq, inbound_seq=pack.inbound_seq)
        partition = self.partition
        # Taken for one record at a time: a call that reads waits for that, and not for a backlog.
        with partition.lock:
            self._on_disk = self._read_back = False
            try:
                handoffs = self._apply(pack, answer)
            except Exception:
                # What a part of the record did is told to nobody: nobody may read it either.
                self._read_state_back()
                raise
            partition.note_next_due()
            partition.facts_seq = record.seq
            partition.inbound_seq = pack.inbound_seq
            partition.settled_seq = pack.waiting_seq - 1 if pack.waiting_seq else pack.inbound_seq
            answer.log_time_ms = partition.log_time_ms
            self._snapshots.count(len(pack))
        self._hand_over(handoffs)
        return answer.SerializeToString(deterministic=True)

    def _hand_over(self, handoffs: Sequence[bytes]) -> None:
        for each in handoffs:
            self._append_inbound(each)

    def _apply(self, pack: PackReader, answer: transitions_pb2.TransitionPack) -> list[bytes]:
        if self._tracing.enabled:
            return self._trace(pack, answer)
        return self._read(pack, answer)

    def _read(self, pack: PackReader, answer: transitions_pb2.TransitionPack) -> list[bytes]:
        """Apply a pack: runs of events by their bytes, all else fact by fact."""
        partition = self.partition
        handoffs: list[bytes] = []
        while not pack.done:
            if pack.read_events(partition.run, partition.columns_of_catalog):
                acts.apply_run(partition, answer, self._run_writer)
            for places in pack.others():
                facts = [facts_pb2.Fact.FromString(pack.payload[at:end]) for at, end in places]
                handoffs += acts.apply_input(partition, facts, answer, self._run_writer)
        return handoffs

    def _trace(self, pack: PackReader, answer: transitions_pb2.TransitionPack) -> list[bytes]:
        """Apply a pack fact by fact, so that each input that is sampled has a span of its own."""
        facts = facts_pb2.FactPack.FromString(pack.payload).facts
        handoffs: list[bytes] = []
        links = [fact.traceparent for fact in facts if fact.traceparent]
        with self._tracing.span("segmentation.apply", links=links):
            for _, each in itertools.groupby(facts, _input_of):
                handoffs += self._decide(list(each), answer)
        return handoffs

    def _decide(
        self, facts: Sequence[facts_pb2.Fact], answer: transitions_pb2.TransitionPack
    ) -> list[bytes]:
        """Apply the facts of one input; a sampled one is shown in its own trace."""
        if facts[0].traceparent:
            with self._tracing.span("segmentation.decide", facts[0].traceparent):
                return acts.apply_input(self.partition, facts, answer, self._run_writer)
        return acts.apply_input(self.partition, facts, answer, self._run_writer)
