"""The inputs of one request, as a kernel or as protobuf reads them.

An event in form is never made a message; all else is, before anything comes of the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from google.protobuf.message import DecodeError

from coterie.profile.v1 import profile_service_pb2 as pb
from segcore._event_form import EventRules
from segcore._intake import RequestReader
from segcore.rule import NUMBER_LIMIT
from services.kit.rpc.status import malformed
from services.profile import limits
from services.profile.checks import DeclaredKinds
from services.profile.packing import Packer


class Arrivals(Protocol):
    """Inputs, in order."""

    def __len__(self) -> int:
        """Return how many there are."""

    def at(self, place: int) -> pb.IngestInput:
        """Return one as a message."""

    def has_consent(self) -> bool:
        """Return whether one is a change of consent."""

    def pass_events(self, packer: Packer, start: int, received_ms: int) -> int:
        """Pack the events from `start` on that need no more checks; return the first other."""


class Messages:
    """Inputs that are messages: each is checked as one."""

    def __init__(self, inputs: Sequence[pb.IngestInput]) -> None:
        self._inputs = inputs

    def __len__(self) -> int:
        return len(self._inputs)

    def at(self, place: int) -> pb.IngestInput:
        """Return one as a message."""
        return self._inputs[place]

    def has_consent(self) -> bool:
        """Return whether one is a change of consent."""
        return any(item.HasField("consent") for item in self._inputs)

    def pass_events(self, _packer: Packer, start: int, _received_ms: int) -> int:
        """Return `start`."""
        return start


class WireInputs:
    """Inputs as they came: of events in form the bytes."""

    def __init__(self, reader: RequestReader) -> None:
        self._reader = reader
        self._messages = {place: self._parse(place) for place in reader.others()}

    def __len__(self) -> int:
        return len(self._reader)

    def at(self, place: int) -> pb.IngestInput:
        """Return one as a message."""
        return self._messages[place] if place in self._messages else self._parse(place)

    def has_consent(self) -> bool:
        """Return whether one is a change of consent."""
        return any(item.HasField("consent") for item in self._messages.values())

    def pass_events(self, packer: Packer, start: int, received_ms: int) -> int:
        """Pack the events from `start` on that are in form; return the first other."""
        return packer.pass_events(self._reader, start, received_ms)

    def _parse(self, place: int) -> pb.IngestInput:
        try:
            return pb.IngestInput.FromString(self._reader.input(place))
        except DecodeError:
            raise malformed() from None


class RequestForm:
    """Reads requests by the kinds that are declared; knows the last of them."""

    def __init__(self) -> None:
        self._declared = DeclaredKinds()
        self._rules = _rules(self._declared)

    def read(self, payload: bytes, declared: DeclaredKinds) -> WireInputs | None:
        """Return the inputs of a request, None for one that is not inputs alone.

        Raises InvalidArgument for malformed bytes.
        """
        if declared is not self._declared:
            self._declared, self._rules = declared, _rules(declared)
        reader = RequestReader(payload, self._rules)
        return WireInputs(reader) if reader.is_sound else None


def _rules(declared: DeclaredKinds) -> EventRules:
    return EventRules(
        declared.properties,
        id_length=limits.ID_LENGTH,
        token_length=limits.TOKEN_LENGTH,
        identities=limits.IDENTITIES,
        identity_length=limits.IDENTITY_LENGTH,
        items=limits.ITEMS,
        label_length=limits.LABEL_LENGTH,
        properties=limits.PROPERTIES,
        name_length=limits.NAME_LENGTH,
        text_length=limits.TEXT_LENGTH,
        number_limit=NUMBER_LIMIT,
    )
