"""The stage from inbound to facts: whose each input is, told once for each input id.

Its tables are its snapshot. They may lag behind the facts: what they lack is replayed, and comes
out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from segcore._inbound import InboundReader
from services.identity.applying import RecordApplier
from services.identity.packs import KINDS, FactWriter, InboundRecord, Input, parse_pack
from services.identity.state import KnownIds, Rules, State
from services.identity.store import IdentityStore
from services.kit.errors import Unavailable
from services.kit.freshness import Freshness
from services.kit.log.port import Entry, Record
from services.kit.telemetry import Tracing

Known = Mapping[str, AbstractSet[str]]
"""Ids of inputs that came before, by kind."""

SAVE_INPUTS = 20_000
"""New inputs after which the tables are written: ids lie anywhere in theirs, so that many at once
cost less each; more would be long for one step."""

SAVE_RECORDS = 64
"""Inbound records after which they are written anyway: a restart replays a minute of ticks."""


class IdentityDerivation:
    """Inbound records to fact packs, one a record and partition that it concerns."""

    def __init__(
        self, store: IdentityStore, rules: Rules, freshness: Freshness, tracing: Tracing
    ) -> None:
        self._store = store
        self._rules = rules
        self._freshness = freshness
        self._tracing = tracing
        self._state: State | None = None
        self._saved = 0
        self._position = 0
        self.on_stirred: Callable[[], None] = lambda: None
        self.duplicates = 0
        self.ownerless = 0

    @property
    def state(self) -> State:
        """What holds now; raises Unavailable before the tables were read."""
        if self._state is None:
            raise Unavailable("UNAVAILABLE", "the service is starting: call again")
        return self._state

    @property
    def log_time_ms(self) -> int:
        """The log's time, 0 before the tables were read."""
        return self._state.time.now_ms if self._state is not None else 0

    @property
    def in_flight(self) -> int:
        """How many merges across partitions are on their way, and inputs wait for them."""
        return self._state.waiting.count if self._state is not None else 0

    @property
    def position(self) -> int:
        """The inbound position whose facts are on disk."""
        return self._position

    def restore(self) -> int:
        """Drop memory and read the tables back."""
        state, position = self._store.load()
        self._state, self._saved, self._position = state, position, position
        self._tell_reached(position)
        return position

    def apply(self, records: Sequence[Record]) -> Mapping[int, Sequence[Entry]]:
        """Return the fact packs of these records, by partition."""
        outputs: dict[int, list[Entry]] = {}
        for record in records:
            pack = InboundRecord(record.payload)
            with self._tracing.span("identity.pack", links=_traceparents(self._tracing, record)):
                entries = self._apply(record.seq, pack, self._known_inputs(pack))
            for partition, entry in entries.items():
                outputs.setdefault(partition, []).append(entry)
        return outputs

    def save(self, position: int) -> None:
        """Write the tables now and then; tell readers how far the facts are."""
        behind = position - self._saved
        state = self.state
        if state.unsaved_count >= SAVE_INPUTS or behind >= SAVE_RECORDS:
            self._store.save(state, position)
            state.clear_unsaved()
            self._saved = position
        self._position = position
        self._tell_reached(position)
        if state.waiting.is_stirred:
            self.on_stirred()

    def dead_letter(self, record: Record, error: str) -> Mapping[int, Sequence[Entry]]:  # noqa: ARG002
        """Return an empty pack for every partition: who waits for this record goes on."""
        entries = FactWriter(record.seq, self._rules.partitions).entries()
        return {partition: [entry] for partition, entry in entries.items()}

    def _tell_reached(self, position: int) -> None:
        """Let readers go on that wait for what has had its effect: not for what waits itself."""
        waiting_seq = self.state.waiting.oldest_seq
        self._freshness.reached(waiting_seq - 1 if waiting_seq else position)

    def _known_inputs(self, pack: InboundRecord) -> Known:
        """Return which input ids of the pack the tables hold, by kind."""
        return {
            kind: self._store.known_inputs(KINDS[kind], input_ids)
            for kind, input_ids in pack.input_ids().items()
        }

    def _apply(self, seq: int, pack: InboundRecord, known: Known) -> Mapping[int, Entry]:
        state = self.state
        waiting_seq = state.waiting.oldest_seq
        applier = RecordApplier(state, self._rules, seq)
        index = 0
        while True:
            if pack.reader is not None:
                index = self._pass_events(pack.reader, index, known["event"], applier.writer)
            if index == len(pack):
                break
            self._apply_input(index, pack.at(index), known, applier)
            index += 1
        applier.release(len(pack))
        self.ownerless += applier.ownerless
        # Readers in every partition wait for what waits: let them go on at once, not at a tick.
        now_waiting = state.waiting.oldest_seq
        released = bool(waiting_seq) and waiting_seq != now_waiting
        return applier.writer.entries(now_waiting, to_all=released)

    def _pass_events(
        self, reader: InboundReader, start: int, known: AbstractSet[str], writer: FactWriter
    ) -> int:
        """Let events of people who are known go on; return the place of the first other input."""
        before = reader.duplicates
        ids = KnownIds(KINDS["event"], known)
        place = self.state.pass_events(reader, start, ids, writer.parts)
        self.duplicates += reader.duplicates - before
        return place

    def _apply_input(self, index: int, source: Input, known: Known, applier: RecordApplier) -> None:
        state = self.state
        message, kind, input_id = source
        take = state.time.tick if kind == "tick" else state.time.stamp
        stamp_ms = take(message.received_ms)
        if kind is None:
            return
        if input_id:
            noted = state.unsaved_inputs[KINDS[kind]]
            if input_id in noted or input_id in known[kind]:
                self.duplicates += 1
                return
            noted.add(input_id)
        applier.apply(index, source, stamp_ms)


def _traceparents(tracing: Tracing, record: Record) -> list[str]:
    if not tracing.enabled:
        return []
    inputs = parse_pack(record.payload)
    return [message.traceparent for message, _, _ in inputs if message.traceparent]
