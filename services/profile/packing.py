"""Accepted inputs to records of the inbound log: at most 1,000 inputs and 2 MiB each."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

from coterie.log.v1 import inbound_pb2
from coterie.type.v1 import change_pb2, event_pb2, schema_pb2
from services.kit.ids import new_id
from services.profile import limits

Body = (
    event_pb2.Event
    | change_pb2.AttributeChange
    | change_pb2.ConsentChange
    | change_pb2.CatalogItem
    | schema_pb2.Schema
)


class Packer:
    """Collects the inputs of one batch, in order. `traceparent` is that of the call."""

    def __init__(self, traceparent: str = "") -> None:
        self._traceparent = traceparent
        self._pack = inbound_pb2.InboundPack()
        self._packs = [self._pack]
        self._room = limits.BATCH_INPUTS

    def add_tick(self, tick_ms: int) -> None:
        """Add a tick."""
        self._next().add(received_ms=tick_ms).tick.SetInParent()

    def add_event(self, event: event_pb2.Event, received_ms: int) -> None:
        """Add an event; its id is the input's."""
        inbound = self._next().add()
        inbound.input_id = event.event_id
        inbound.received_ms = received_ms
        inbound.traceparent = self._traceparent
        inbound.event.CopyFrom(event)

    def add_change(self, kind: str, change: Body, change_id: str, received_ms: int) -> None:
        """Add what is no event, as the input's field `kind`; without an id it gets one."""
        inbound = self._next().add(
            input_id=change_id or new_id(),
            received_ms=received_ms,
            traceparent=self._traceparent,
        )
        getattr(inbound, kind).CopyFrom(change)

    def payloads(self) -> list[bytes]:
        """Return the records. Fields that nothing here knows, and so nothing checked, stay out."""
        for pack in self._packs:
            pack.DiscardUnknownFields()
        return [part for pack in self._packs if pack.inputs for part in _fitting(pack)]

    def _next(self) -> RepeatedCompositeFieldContainer[inbound_pb2.Inbound]:
        if not self._room:
            self._pack = inbound_pb2.InboundPack()
            self._packs.append(self._pack)
            self._room = limits.BATCH_INPUTS
        self._room -= 1
        return self._pack.inputs


def _fitting(pack: inbound_pb2.InboundPack) -> Iterator[bytes]:
    # Facts take bodies over as they are: the same event is the same bytes everywhere.
    payload = pack.SerializeToString(deterministic=True)
    if len(payload) <= limits.PACK_BYTES or len(pack.inputs) == 1:
        yield payload
        return
    middle = len(pack.inputs) // 2
    for half in (pack.inputs[:middle], pack.inputs[middle:]):
        yield from _fitting(inbound_pb2.InboundPack(inputs=half))
