"""Accepted inputs to records of the inbound log: at most 1,000 inputs and 2 MiB each."""

from __future__ import annotations

from collections.abc import Iterator

from coterie.log.v1 import inbound_pb2
from coterie.type.v1 import change_pb2, event_pb2, schema_pb2
from segcore._intake import InboundWriter, RequestReader
from services.kit.ids import new_id
from services.profile import limits

Body = (
    event_pb2.Event
    | change_pb2.AttributeChange
    | change_pb2.ConsentChange
    | change_pb2.CatalogItem
    | schema_pb2.Schema
    | inbound_pb2.ProfileErasure
)


class Packer:
    """Collects the inputs of one batch, in order. `traceparent` is that of the call.

    Fields that nothing here knows, and so nothing checked, stay out.
    """

    def __init__(self, traceparent: str = "") -> None:
        self._traceparent = traceparent
        self._writer = InboundWriter()

    def add_tick(self, tick_ms: int) -> None:
        """Add a tick."""
        inbound = inbound_pb2.Inbound(received_ms=tick_ms)
        inbound.tick.SetInParent()
        self._add(inbound)

    def add_event(self, event: event_pb2.Event, received_ms: int) -> None:
        """Add an event; its id is the input's."""
        inbound = self._inbound(event.event_id, received_ms)
        inbound.event.CopyFrom(event)
        self._add(inbound)

    def add_change(self, kind: str, change: Body, change_id: str, received_ms: int) -> None:
        """Add what is no event, as the input's field `kind`; without an id it gets one."""
        inbound = self._inbound(change_id or new_id(), received_ms)
        getattr(inbound, kind).CopyFrom(change)
        self._add(inbound)

    def pass_events(self, reader: RequestReader, start: int, received_ms: int) -> int:
        """Add the events from `start` on that are in form; return the first other input."""
        limit_ms = received_ms + limits.FUTURE_MS
        trace = self._traceparent.encode()
        return reader.pass_events(start, received_ms, limit_ms, trace, self._writer)

    def payloads(self) -> list[bytes]:
        """Return the records."""
        count, most = len(self._writer), limits.BATCH_INPUTS
        starts = range(0, count, most)
        return [part for start in starts for part in self._fitting(start, min(start + most, count))]

    def _inbound(self, input_id: str, received_ms: int) -> inbound_pb2.Inbound:
        return inbound_pb2.Inbound(
            input_id=input_id, received_ms=received_ms, traceparent=self._traceparent
        )

    def _add(self, inbound: inbound_pb2.Inbound) -> None:
        # Facts take bodies over as they are: the same event is the same bytes everywhere.
        inbound.DiscardUnknownFields()
        self._writer.add(inbound.SerializeToString(deterministic=True))

    def _fitting(self, start: int, end: int) -> Iterator[bytes]:
        if self._writer.size(start, end) <= limits.PACK_BYTES or end - start == 1:
            yield self._writer.pack(start, end)
            return
        middle = start + (end - start) // 2
        yield from self._fitting(start, middle)
        yield from self._fitting(middle, end)
