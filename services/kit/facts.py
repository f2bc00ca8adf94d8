"""A record of a facts log, read no further than its reader needs it.

Most packs hold events alone, of types for which a reader has no use; what is in a pack stands
beside its facts, so that such a reader is done with it without a look at any of them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from coterie.log.v1.facts_pb2 import Fact, FactPack
from coterie.log.v1.heads_pb2 import FactPackSummary


def body_numbers(names: Iterable[str]) -> frozenset[int]:
    """Return the numbers under which a pack says that it holds facts of these kinds."""
    return frozenset(Fact.DESCRIPTOR.fields_by_name[name].number for name in names)


class FactRecord:
    """One pack. Raises DecodeError, where it is made or where its facts are first read."""

    __slots__ = ("_facts", "_payload", "_summary")

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._summary = FactPackSummary.FromString(payload)
        self._facts: Sequence[Fact] | None = None

    @property
    def facts(self) -> Sequence[Fact]:
        """The facts, in order; parsed once they are asked for."""
        if self._facts is None:
            self._facts = FactPack.FromString(self._payload).facts
        return self._facts

    @property
    def inbound_seq(self) -> int:
        """The inbound record that it comes from."""
        return self._summary.inbound_seq

    @property
    def settled_seq(self) -> int:
        """The inbound record up to which every input has had its effect."""
        waiting_seq = self._summary.waiting_seq
        return waiting_seq - 1 if waiting_seq else self._summary.inbound_seq

    @property
    def log_time_ms(self) -> int:
        """The log's time at its last fact, 0 where it has none."""
        if self._summary.HasField("contents"):
            return self._summary.contents.log_time_ms
        return self.facts[-1].log_time_ms if self.facts else 0

    def may_hold(self, bodies: frozenset[int], event_types: Container[str]) -> bool:
        """Return whether there may be a fact of these kinds, or an event of one of these types.

        `bodies` are numbers as `body_numbers` gives them, without that of events.
        """
        if not self._summary.HasField("contents"):
            return True
        contents = self._summary.contents
        return not bodies.isdisjoint(contents.bodies) or any(
            each in event_types for each in contents.event_types
        )
