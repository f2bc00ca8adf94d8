"""What each input of one inbound record does: to the graph, to the facts, or nothing yet.

An input about somebody who is on the way to another partition waits. At the end of a record the
merges that are complete are made, and what waits for nothing any more is applied as if it came now.
"""

from __future__ import annotations

from collections.abc import Sequence

from coterie.log.v1.handoff_pb2 import Handoff
from coterie.log.v1.heads_pb2 import EventHead, InboundHead
from services.identity.domain.changes import Assigned, Change, JournalEntry, Merged
from services.identity.domain.namespaces import Identifier
from services.identity.domain.transit import Crossing, Parked, Place, Transit
from services.identity.packs import (
    ERASURE,
    MEMBER,
    OUTCOME,
    PERSONAL,
    FactWriter,
    Input,
    came_with,
    derived_identifiers,
    number_in,
    parked_input,
    said_by,
)
from services.identity.state import Rules, State
from services.kit.ids import derive_id
from services.kit.log.port import APPEND_LIMIT_BYTES

RELEASE_BYTES = APPEND_LIMIT_BYTES // 2
"""What one record's facts may hold of inputs and of what it releases: half is for identifiers."""

RELEASE_INPUTS = 1_000
"""Inputs that one record releases at most: as many as a pack holds."""


class RecordApplier:
    """Applies the inputs of the inbound record `seq`, in order, and then `release`."""

    def __init__(self, state: State, rules: Rules, seq: int) -> None:
        self._state = state
        self._rules = rules
        self._seq = seq
        self._next_index = 0
        self._spent = 0
        self.writer = FactWriter(seq, rules.partitions)
        self.ownerless = 0

    def apply(self, index: int, source: Input, stamp_ms: int) -> None:
        """Apply one input of a known kind, which is no repetition."""
        message, kind, _ = source
        self._next_index = index + 1
        if kind == "handoff":
            handed = Handoff.FromString(message.handoff)
            self._state.waiting.hand_over(handed.merge_id, handed.service, handed.state)
            return
        if self._state.waiting.count:
            self._spent += message.ByteSize()
        self.writer.begin(index, source, stamp_ms, self._state.time.now_ms)
        if kind in {OUTCOME, ERASURE} or (kind == MEMBER and number_in(message, kind)):
            self._apply_numbered((self._seq, index), message, kind or "", stamp_ms)
        elif kind in PERSONAL:
            self._apply_personal((self._seq, index), message, kind, stamp_ms)
        elif kind is not None:
            self.writer.write_to_all(message, kind)

    def release(self, input_count: int) -> None:
        """Make the merges that are complete, then apply what waits for nothing any more.

        Their facts have indexes from `input_count` on: each is an input of its own.
        """
        waiting = self._state.waiting
        if not waiting.is_stirred:
            return
        self._next_index = input_count
        waiting.is_stirred = False
        for transit in list(waiting.transits.values()):
            if transit.is_complete:
                if not self._has_room(transit.size):
                    waiting.is_stirred = True
                    return
                self._finish(transit)
        self._release_parked()

    def _release_parked(self) -> None:
        state, waiting = self._state, self._state.waiting
        waiting.recount()
        limit = self._next_index + RELEASE_INPUTS
        for parked in list(waiting.parked.values()):
            if waiting.concerns(state.graph, parked.named, parked.profile_id):
                waiting.block(state.graph, parked)
            elif self._next_index < limit and self._has_room(len(parked.content)):
                self._apply_parked(parked)
            else:
                waiting.is_stirred = True
                waiting.block(state.graph, parked)

    def _apply_parked(self, parked: Parked) -> None:
        """Apply an input as if it came now; it waits on where that begins another merge."""
        message = InboundHead.FromString(parked.content)
        kind = message.WhichOneof("body") or ""
        source = Input(message, kind, message.input_id)
        self.writer.begin(self._next_index, source, parked.stamp_ms, self._state.time.now_ms)
        if number_in(message, kind):
            waits = self._apply_numbered(parked.place, message, kind, parked.stamp_ms)
        else:
            waits = self._apply_personal(parked.place, message, kind, parked.stamp_ms)
        if not waits:
            self._state.waiting.release(parked.place)
        self._next_index += 1

    def _has_room(self, size: int) -> bool:
        """Count what is to be written; whatever comes first is, of whatever size."""
        if self._spent and self._spent + size > RELEASE_BYTES:
            return False
        self._spent += size
        return True

    def _apply_numbered(self, place: Place, message: InboundHead, kind: str, stamp_ms: int) -> bool:
        """Write what names a profile by number to whoever that is now; True if that waits."""
        # It is the number as its sender knew it; a merge may have led on since.
        profile_id = number_in(message, kind)
        person = self._state.graph.live(profile_id)
        if person is None:
            return False
        if self._state.waiting.concerns(self._state.graph, (), profile_id):
            return self._park(place, message, stamp_ms)
        if kind == ERASURE:
            self._state.erase(person)
            self.writer.write_erasure(person)
        else:
            self.writer.write_input(message, kind, person)
        return False

    def _apply_personal(self, place: Place, message: InboundHead, kind: str, stamp_ms: int) -> bool:
        """Write whose an input is; True if it waits.

        One that names nobody is kept if an event, else dropped.
        """
        namespaces = self._rules.namespaces
        said = said_by(message, kind)
        body, _, given = said
        event_type = body.type if isinstance(body, EventHead) else None
        if not given:
            self.ownerless += 1
            if event_type is not None:
                self.writer.write_input(message, kind, 0, event_type=event_type)
            return False
        derived = derived_identifiers(body, namespaces) if kind == "attributes" else []
        named = (*given, *derived) if derived else given
        if self._state.waiting.concerns(self._state.graph, named):
            return self._park(place, message, stamp_ms)
        if kind == "unlink":
            self._unlink(message.input_id, given)
            return False
        owner, changes, crossing = self._state.link(given, derived, rejoins=kind == "link")
        self._tell(message.input_id, changes)
        if crossing is not None:
            self._begin(message, crossing)
            return self._park(place, message, stamp_ms)
        if kind != "link":
            self.writer.write_input(message, kind, owner, came_with(said, namespaces), event_type)
        return False

    def _unlink(self, input_id: str, identifiers: Sequence[Identifier]) -> None:
        """Divide a profile; what cannot be divided by now stays as it is."""
        divided = self._state.unlink(identifiers)
        if divided is None:
            return
        created, former = divided.created, divided.profile_id
        assigned = [Assigned(created, one, former) for one in divided.identifiers]
        self._note(input_id, [divided, *assigned])
        self.writer.write_change(divided)

    def _park(self, place: Place, message: InboundHead, stamp_ms: int) -> bool:
        """Let an input wait; it does."""
        content = message.SerializeToString(deterministic=True)
        parked = parked_input(place, stamp_ms, content, self._rules.namespaces)
        self._state.waiting.park(self._state.graph, parked)
        return True

    def _begin(self, message: InboundHead, crossing: Crossing) -> None:
        """Tell the partition that is left; from here on nothing happens to either of the two."""
        begun = (self._seq, self.writer.index)
        cause = (*begun, crossing.winner, crossing.loser)
        merge_id = derive_id("merge", *map(str, cause))
        transit = Transit(merge_id, begun, crossing, message.input_id, message.traceparent)
        self._state.waiting.begin(transit)
        self.writer.write_departure(transit)

    def _finish(self, transit: Transit) -> None:
        """Make a merge of two partitions, now that all is there that the person brings."""
        state, crossing = self._state, transit.crossing
        guest = state.unite(crossing)
        cause = InboundHead(input_id=transit.input_id, traceparent=transit.traceparent)
        now_ms = state.time.now_ms
        self.writer.begin(self._next_index, Input(cause, None, transit.input_id), now_ms, now_ms)
        self._note(transit.input_id, [Merged(crossing.winner, crossing.loser)])
        self.writer.write_arrival(transit, guest)
        state.waiting.end(transit.merge_id)
        self._next_index += 1

    def _tell(self, input_id: str, changes: Sequence[Change]) -> None:
        if changes:
            self._note(input_id, changes)
            for change in changes:
                self.writer.write_change(change)

    def _note(self, input_id: str, changes: Sequence[Change]) -> None:
        now_ms = self._state.time.now_ms
        self._state.unsaved_journal.extend(
            JournalEntry(self._seq, self.writer.index, number, input_id, now_ms, change)
            for number, change in enumerate(changes)
        )
