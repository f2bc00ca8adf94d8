"""The schema as intake knows it: what the projection has, and what this process accepted since."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from coterie.type.v1 import schema_pb2
from services.kit.errors import InvalidArgument
from services.kit.rules import vocabulary
from services.profile.checks import DeclaredKinds


def extended(schema: schema_pb2.Schema, extension: schema_pb2.Schema) -> schema_pb2.Schema:
    """Return the schema with the extension, or as it was where a former one excludes it.

    Gateways check before they append, so that happens only where two extended at the same moment.
    """
    try:
        return vocabulary.check_extension(schema, extension)
    except InvalidArgument:
        return schema


@dataclass(frozen=True, slots=True)
class _Accepted:
    inbound_seq: int
    extension: schema_pb2.Schema


class SchemaView:
    """Written by the stage's thread and the gateway's loop; what it hands out is never changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._projected = schema_pb2.Schema()
        self._projected_seq = 0
        self._accepted: list[_Accepted] = []
        self._current = self._projected
        self._declared = DeclaredKinds()

    @property
    def current(self) -> schema_pb2.Schema:
        """The newest schema that is known here."""
        return self._current

    def declared(self) -> DeclaredKinds:
        """Return the kinds that the newest schema declares."""
        return self._declared

    def project(self, schema: schema_pb2.Schema, inbound_seq: int) -> None:
        """Take the projection's schema, as it is at `inbound_seq`; an older one is no news.

        A partition that is behind another one may tell later what was so before.
        """
        with self._lock:
            if inbound_seq < self._projected_seq:
                return
            self._projected, self._projected_seq = schema, inbound_seq
            self._accepted = [one for one in self._accepted if one.inbound_seq > inbound_seq]
            self._renew()

    def accept(self, extension: schema_pb2.Schema, inbound_seq: int) -> None:
        """Add an extension that is on disk at `inbound_seq` and not projected yet."""
        with self._lock:
            self._accepted.append(_Accepted(inbound_seq, extension))
            self._renew()

    def _renew(self) -> None:
        schema = self._projected
        for accepted in self._accepted:
            schema = extended(schema, accepted.extension)
        known = vocabulary.from_schema(schema, ())
        self._declared = DeclaredKinds(known.attributes, known.properties)
        self._current = schema
