"""Requests as bytes: the records and the refusals are those of plain Python, byte by byte."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_inputs import T0

from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.type.v1 import event_pb2, value_pb2
from segcore.rule import NUMBER_LIMIT, Kind
from services.kit.clock import ManualClock
from services.kit.errors import DomainError
from services.profile import limits
from services.profile.arrivals import RequestForm, WireInputs
from services.profile.backlog import Backlog
from services.profile.checks import DeclaredKinds
from services.profile.intake import Gateway, Receipt
from services.profile.stamps import Stamps

DECLARED = DeclaredKinds(
    {}, {"total": Kind.NUMBER, "sku": Kind.TEXT, "gift": Kind.FLAG, "when": Kind.TIME}
)
DAY_MS = limits.FUTURE_MS


class Desk:
    """A gateway of which the records are kept as they are."""

    def __init__(self, *, virtual: bool = False, full: bool = False) -> None:
        clock = ManualClock(T0)
        self.payloads: list[bytes] = []
        self.gateway = Gateway(
            self._append,
            Stamps(clock, clock if virtual else None),
            Backlog(lambda: 0, 1, 9 if full else 0),
            lambda: DECLARED,
            lambda: "trace",
        )

    async def _append(self, payloads: Sequence[bytes]) -> int:
        self.payloads += payloads
        return len(self.payloads)

    def outcome(self, take: Callable[[], asyncio.Future[Receipt]]) -> object:
        """Return what came of a request: its records and refusals, or its own refusal."""

        async def taken() -> Receipt:
            return await take()

        try:
            receipt = asyncio.run(taken())
        except DomainError as error:
            return type(error), error.reason, error.message
        refused = [(one.index, one.input_id, one.error.message) for one in receipt.refused]
        return self.payloads, receipt.accepted, refused


def outcomes(payload: bytes, *, virtual: bool = False, full: bool = False) -> tuple[object, object]:
    """Return what comes of a request as bytes, and of the same as messages."""
    found = []
    for read in (RequestForm.read, unread):
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(RequestForm, "read", read)
            desk = Desk(virtual=virtual, full=full)
            found.append(desk.outcome(lambda: desk.gateway.take_request(payload)))  # noqa: B023
    return found[0], found[1]


def unread(_form: RequestForm, _payload: bytes, _declared: DeclaredKinds) -> None:
    """Leave every request to protobuf."""


def field(number: int, content: bytes) -> bytes:
    """Return a field of bytes, its length in as many bytes as it takes."""
    length, size = bytearray([number << 3 | 2]), len(content)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*length, size]) + content


class Sender:
    """Draws requests: most of events in form, some at or beyond a limit, few in an odd form."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def request(self) -> bytes:
        chance = self._chance
        content = b"".join(field(1, self._input()) for _ in range(chance.choice((1, 3, 9))))
        if chance.random() < 0.02:
            content += chance.choice((b"\x18\x01", b"\x0a", b"\x12\x00"))
        if chance.random() < 0.03:
            place = chance.randrange(len(content))
            content = content[:place] + bytes([chance.randrange(256)]) + content[place + 1 :]
        return content

    def _input(self) -> bytes:
        chance = self._chance
        item = pb.IngestInput()
        draw = chance.random()
        if draw < 0.04:
            item.attributes.change_id = "change"
            item.attributes.change.identities.add(namespace="crm", value="7")
            item.attributes.change.attributes["total"].number = 5
        elif draw < 0.08:
            item.consent.change_id = "consent"
            item.consent.change.identities.add(namespace="crm", value="7")
            item.consent.change.preferred_channel = 1
        elif draw > 0.02:
            content = field(1, self._odd(self._event()))
            return content + content if chance.random() < 0.03 else content
        if chance.random() < 0.5:
            item.received_time.FromMilliseconds(T0 + 5)
        return item.SerializeToString()

    def _odd(self, event: event_pb2.Event) -> bytes:
        """Return the event's bytes, now and then in a form of which protobuf makes the same."""
        chance = self._chance
        content = event.SerializeToString(deterministic=chance.random() < 0.5)
        if chance.random() < 0.8:
            return content
        return chance.choice(
            (
                content + b"\xa2\x06\x01x",  # a field that nobody knows
                content + field(2, b"view"),  # a type after all else
                content + field(7, field(1, b"sku") + field(2, field(1, b"z"))),
                content + field(7, field(2, b"\x11" + bytes(8)) + field(1, b"total")),
                content + field(7, field(1, b"flag") + field(2, b"\x18\x02")),
                content + field(7, field(1, b"when") + field(2, field(4, b"\x08\x00"))),
                content + field(7, field(1, b"b") + field(2, b"\x0a\x81\x00x")),
                content + field(7, field(1, b"n") + field(2, b"\x18\x01" + field(1, b"x"))),
                content + field(6, field(1, b"sku") + field(5, b"") + b"\x19" + bytes(8)),
                content + field(6, field(1, b"sku") + b"\x11" + b"\xff" * 8),
                field(3, field(2, b"7") + field(1, b"crm")) + content,
                b"\x8a\x00\x00" + content,
                content + field(5, b"\x10\x07\x08\x07"),
                content + field(4, b""),
            )
        )

    def _text(self, most: int) -> str:
        length = self._chance.choice((1, 1, 3, 3, 3, most, most + 1, 0))
        return self._chance.choice("xxxxéЖ\0" if length > 1 else "x") * length

    def _event(self) -> event_pb2.Event:
        chance = self._chance
        usual = chance.random() < 0.6
        event = event_pb2.Event(event_id="e7" if usual else self._text(limits.ID_LENGTH))
        names = ["page_view", "view"] if usual else ["Page view", "", "a" * 64, "a" * 65, "é"]
        event.type = chance.choice(names)
        for _ in range(chance.choice((1, 1, 2, 3) if usual else (0, 1, 16, 17))):
            value = "7" if usual else self._text(limits.IDENTITY_LENGTH)
            event.identities.add(namespace=chance.choice(("crm", "ecid")), value=value)
        if chance.random() < 0.3:
            event.primary_namespace = chance.choice(("crm", "ecid", "zz"))
        if chance.random() < 0.3:
            event.occurred_time.FromMilliseconds(
                T0 + chance.choice((-7, -T0 - 1, DAY_MS, DAY_MS + 1, -T0))
            )
        for _ in range(chance.choice((0, 0, 1, 2))):
            self._add_line(event, usual=usual)
        for _ in range(chance.choice((0, 3, 4) if usual else (0, 1, 64, 65, 70))):
            name = chance.choice(("total", "sku", "gift", "when", "a", "ab", "b", "é", "Ж"))
            name += "" if usual else self._text(limits.NAME_LENGTH - 8)
            self._put(event.properties[name], name)
        return event

    def _add_line(self, event: event_pb2.Event, *, usual: bool) -> None:
        chance = self._chance
        line = event.items.add(sku="shoe" if usual else self._text(limits.ID_LENGTH))
        if chance.random() < 0.5:
            line.quantity = chance.choice((0.0, -0.0, 2.0))
        if chance.random() < 0.5:
            line.price = chance.choice((59.5, NUMBER_LIMIT, -NUMBER_LIMIT - 1.0))
        if chance.random() < 0.5:
            line.category = "boots" if usual else self._text(limits.LABEL_LENGTH)
        if chance.random() < 0.5:
            line.brand = "Acme" if usual else self._text(limits.LABEL_LENGTH)

    def _put(self, value: value_pb2.Value, name: str) -> None:
        chance = self._chance
        kinds = {"total": "number", "sku": "text", "gift": "flag", "when": "time"}
        drawn = chance.choice(("text", "text", "number", "flag", "time", "date", "texts", "none"))
        match kinds.get(name, drawn) if chance.random() < 0.9 else drawn:
            case "text":
                value.text = self._text(limits.TEXT_LENGTH) if chance.random() < 0.3 else "42"
            case "number":
                value.number = chance.choice((0.0, 12.5, NUMBER_LIMIT * 1.0, float("nan"), 1e300))
            case "flag":
                value.flag = chance.random() < 0.5
            case "time":
                value.time.seconds = chance.choice((0, 5, -5, 253_402_300_799, 253_402_300_800))
                value.time.nanos = chance.choice((0, 5, 999_999_999, -1))
            case "date":
                value.date.year, value.date.month, value.date.day = 2024, 2, chance.choice((29, 30))
            case "texts":
                value.texts.values.extend(["a", "b"])


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_request_gives_the_records_that_plain_python_gives(seed: int) -> None:
    chance = random.Random(seed)
    payload = Sender(chance).request()
    virtual, full = chance.random() < 0.5, chance.random() < 0.2
    as_bytes, as_messages = outcomes(payload, virtual=virtual, full=full)
    assert as_bytes == as_messages


def test_events_in_form_are_never_made_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    request = pb.IngestRequest()
    for number in range(5):
        event = request.inputs.add().event
        event.event_id, event.type = f"e{number}", "view"
        event.identities.add(namespace="crm", value="é7")
        event.properties["total"].number = 5
        event.properties["brand"].text = "Ж"
        event.items.add(sku="shoe", price=1.5)
    request.inputs[3].event.type = "Not one"
    parsed: list[int] = []
    at = WireInputs.at

    def noting(inputs: WireInputs, place: int) -> pb.IngestInput:
        parsed.append(place)
        return at(inputs, place)

    monkeypatch.setattr(WireInputs, "at", noting)
    as_bytes, as_messages = outcomes(request.SerializeToString())
    assert as_bytes == as_messages
    assert parsed == [3]


def test_a_batch_too_large_for_a_record_is_cut_as_ever() -> None:
    request = pb.IngestRequest()
    for number in range(300):
        event = request.inputs.add().event
        event.event_id, event.type = f"e{number}", "view"
        event.identities.add(namespace="crm", value="7")
        for name in range(10):
            event.properties[f"p{name}"].text = "x" * 1000
    as_bytes, as_messages = outcomes(request.SerializeToString())
    assert as_bytes == as_messages
    assert isinstance(as_bytes, tuple)
    assert len(as_bytes[0]) == 2
