"""Intake: checks a batch in one pass, makes its records, and has them appended.

Works on the messages as the wire gave them, since a copy into types of our own would cost more than
all of the checks. From the append on the gateway owns the work: a caller that leaves does not end
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import DecodeError

from coterie.log.v1 import inbound_pb2
from coterie.profile.v1 import columns_pb2
from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.type.v1 import schema_pb2
from services.kit.errors import DomainError, InvalidArgument, invalid_field
from services.kit.rpc.status import malformed
from services.profile import checks, column_packs, limits
from services.profile.arrivals import Arrivals, Messages, RequestForm
from services.profile.backlog import Backlog
from services.profile.checks import DeclaredKinds
from services.profile.columns import check_way, expand
from services.profile.packing import Body, Packer
from services.profile.stamps import Stamps

Append = Callable[[Sequence[bytes]], Awaitable[int]]
"""Appends records in the order of the calls; returns the last one's sequence once it is on disk."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One input that was refused, and why."""

    index: int
    input_id: str
    error: DomainError


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch. `revision` is 0 where nothing was accepted."""

    revision: int
    accepted: int
    refused: tuple[Refusal, ...] = ()


class Gateway:
    """Takes batches in the order of the calls, on one event loop."""

    def __init__(
        self,
        append: Append,
        stamps: Stamps,
        backlog: Backlog,
        declared: Callable[[], DeclaredKinds],
        traceparent: Callable[[], str],
    ) -> None:
        self._append = append
        self._stamps = stamps
        self._backlog = backlog
        self._declared = declared
        self._traceparent = traceparent
        self._form = RequestForm()
        self._underway: set[asyncio.Future[Receipt]] = set()

    def take_request(self, payload: bytes) -> asyncio.Future[Receipt]:
        """Take a batch as it came, which is an IngestRequest or an IngestBatchRequest.

        Raises what `take` and `take_columns` do, and InvalidArgument for malformed bytes.
        """
        arrived = self._form.read(payload, self._declared())
        if arrived is not None:
            return self._take(arrived)
        try:
            request = pb.IngestRequest.FromString(payload)
        except DecodeError:
            raise malformed() from None
        check_way(request)
        if request.HasField("columns"):
            return self.take_columns(request.columns)
        return self.take(request.inputs)

    def take(self, inputs: Sequence[pb.IngestInput]) -> asyncio.Future[Receipt]:
        """Check a batch and begin to append it; the answer goes on when its caller is cancelled.

        Raises InvalidArgument for an empty batch or one over the limit, and Exhausted where the
        backlog is full and the batch holds no consent.
        """
        return self._take(Messages(inputs))

    def _take(self, inputs: Arrivals) -> asyncio.Future[Receipt]:
        _check_size(len(inputs))
        full = self._backlog.refusal()
        if full is not None and not inputs.has_consent():
            raise full
        batch = Batch(self._stamps, self._declared(), Packer(self._traceparent()), full)
        refused = batch.add_all(inputs)
        return self._begin(batch.packer.payloads(), len(inputs) - len(refused), refused)

    def take_columns(self, columns: columns_pb2.EventColumns) -> asyncio.Future[Receipt]:
        """Take a batch of events in columns: what comes of it is what comes of them as rows."""
        full = self._backlog.refusal()
        if full is not None:
            raise full
        self._stamps.begin()
        stamp_ms, declared = self._stamps.last_ms, self._declared()
        written = column_packs.sheet(columns, stamp_ms, declared)
        refused = []
        if not written.sound.all():
            rows = expand(columns)
            for row in np.flatnonzero(~written.sound).tolist():
                refusal = _refusal(row, rows[row], stamp_ms, declared)
                if refusal is None:
                    return self.take(rows)
                refused.append(refusal)
        payload = written.payload(stamp_ms, self._traceparent())
        if columns.received_time_ms or len(payload) > limits.PACK_BYTES:
            return self.take(expand(columns))
        accepted = columns.row_count - len(refused)
        return self._begin([payload] if accepted else [], accepted, refused)

    async def take_one(self, item: pb.IngestInput) -> int:
        """Append one input and return its position; raises what is wrong with it."""
        receipt = await asyncio.shield(self.take([item]))
        for refusal in receipt.refused:
            raise refusal.error
        return receipt.revision

    async def take_schema(self, extension: schema_pb2.Schema) -> int:
        """Append an extension that was checked against the schema; return its position."""
        self._stamps.begin()
        packer = Packer(self._traceparent())
        packer.add_change("schema", extension, "", self._stamps.last_ms)
        return (await asyncio.shield(self._begin(packer.payloads(), 1, ()))).revision

    async def take_erasure(self, profile_id: int, request_id: str) -> int:
        """Append the erasure of a profile; return its position. No backlog refuses it."""
        self._stamps.begin()
        packer = Packer(self._traceparent())
        erasure = inbound_pb2.ProfileErasure(profile_id=profile_id)
        packer.add_change("erasure", erasure, request_id, self._stamps.last_ms)
        return (await asyncio.shield(self._begin(packer.payloads(), 1, ()))).revision

    async def drain(self) -> None:
        """Return once everything that was begun is on disk or has failed."""
        if self._underway:
            await asyncio.wait(self._underway)

    def _begin(
        self, payloads: Sequence[bytes], accepted: int, refused: Sequence[Refusal]
    ) -> asyncio.Future[Receipt]:
        answer = asyncio.ensure_future(self._finish(payloads, accepted, tuple(refused)))
        self._underway.add(answer)
        answer.add_done_callback(self._ended)
        return answer

    def _ended(self, answer: asyncio.Future[Receipt]) -> None:
        self._underway.discard(answer)
        if not answer.cancelled():
            # Its caller may be gone: a failure that nobody asks for is no news.
            answer.exception()

    async def _finish(
        self, payloads: Sequence[bytes], accepted: int, refused: tuple[Refusal, ...]
    ) -> Receipt:
        if not payloads:
            return Receipt(0, 0, refused)
        try:
            revision = await self._append(payloads)
        except BaseException:
            self._stamps.doubt()
            raise
        self._backlog.appended(revision)
        return Receipt(revision, accepted, refused)


class Batch:
    """One batch on its way from the wire into a packer. `full` refuses all but consent."""

    def __init__(
        self, stamps: Stamps, declared: DeclaredKinds, packer: Packer, full: DomainError | None
    ) -> None:
        self.packer = packer
        self._stamps = stamps
        self._declared = declared
        self._full = full
        stamps.begin()

    def add_all(self, inputs: Arrivals) -> list[Refusal]:
        """Add each input that is right; return the others."""
        refused: list[Refusal] = []
        index = 0
        while True:
            if self._full is None:
                index = inputs.pass_events(self.packer, index, self._stamps.last_ms)
            if index == len(inputs):
                return refused
            item = inputs.at(index)
            try:
                self._add(item)
            except DomainError as error:
                refused.append(Refusal(index, checks.input_id(item), error))
            index += 1

    def _add(self, item: pb.IngestInput) -> None:
        kind = item.WhichOneof("input")
        if self._full is not None and kind != "consent":
            raise self._full
        said = item.HasField("received_time")
        stamp_ms = self._stamps.last_ms
        if said:
            stamp_ms = self._stamps.propose(checks.to_ms(item.received_time, "received_time"))
        if kind == "event":
            event = item.event
            checks.check_event(event, stamp_ms, self._declared)
            if said:
                self._tick_before(stamp_ms)
            self.packer.add_event(event, stamp_ms)
            return
        change, change_id = _checked_change(kind, item, stamp_ms, self._declared)
        if said:
            self._tick_before(stamp_ms)
        # The fields of a log input have the names that they have here.
        self.packer.add_change(str(kind), change, change_id, stamp_ms)

    def _tick_before(self, stamp_ms: int) -> None:
        tick_ms = self._stamps.take(stamp_ms)
        if tick_ms is not None:
            self.packer.add_tick(tick_ms)


def _refusal(
    row: int, item: pb.IngestInput, stamp_ms: int, declared: DeclaredKinds
) -> Refusal | None:
    """Return why an event is refused, None where it is not."""
    try:
        checks.check_event(item.event, stamp_ms, declared)
    except DomainError as error:
        return Refusal(row, checks.input_id(item), error)
    return None


def _checked_change(
    kind: str | None, item: pb.IngestInput, stamp_ms: int, declared: DeclaredKinds
) -> tuple[Body, str]:
    found: tuple[Body, str]
    match kind:
        case "attributes":
            checks.check_attributes(item.attributes.change, stamp_ms, declared)
            found = item.attributes.change, item.attributes.change_id
        case "consent":
            checks.check_consent(item.consent.change, stamp_ms)
            found = item.consent.change, item.consent.change_id
        case "catalog_item":
            checks.check_catalog_item(item.catalog_item.item)
            found = item.catalog_item.item, item.catalog_item.change_id
        case _:
            raise invalid_field("input", "none", "an event, attributes, consent or an item")
    checks.check_change_id(found[1])
    return found


def _check_size(count: int) -> None:
    if count > limits.BATCH_INPUTS:
        raise InvalidArgument(
            "TOO_MANY",
            f"inputs: expected at most {limits.BATCH_INPUTS}, found {count}",
            {"limit": str(limits.BATCH_INPUTS), "found": str(count)},
        )
    if not count:
        raise invalid_field("inputs", "none", f"1 to {limits.BATCH_INPUTS} inputs")
