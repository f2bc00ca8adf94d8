"""Requests to values of the domain, and back. No message of an error repeats an identifier."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from coterie.identity.v1 import identity_service_pb2 as pb
from coterie.rpc.v1 import clock_service_pb2
from coterie.type.v1.identity_pb2 import Identity, Who
from services.identity.domain.changes import Assigned, Divided, JournalEntry, Merged, Refused
from services.identity.domain.namespaces import Identifier
from services.kit.errors import InvalidArgument, invalid_field
from services.kit.freshness import format_revision
from services.kit.ids import parse_request_id
from services.kit.rpc.times import timestamp

RESOLVE_LIMIT = 1_000
"""Identifiers in one Resolve: an answer within milliseconds."""

LINK_LIMIT = 16
"""Identifiers in one Link, as in any other input."""

VALUE_LIMIT = 256
"""Characters of an identifier's value."""

NANOS = 1_000_000_000
LAST_SECOND = 253_402_300_799
"""The end of the year 9999, as far as a Timestamp goes."""

_NAMESPACE = re.compile(r"[a-z0-9_.-]{1,64}")
_NAMESPACE_FORM = "1 to 64 characters of a-z, 0-9, `_`, `-` and `.`"


def parse_resolve(request: pb.ResolveRequest) -> list[Identifier]:
    """Return whom the request asks for; raises InvalidArgument."""
    return _identifiers(request.identities, 1, RESOLVE_LIMIT)


def parse_link(request: pb.LinkRequest) -> tuple[list[Identifier], str]:
    """Return what to link and the request id, empty for none; raises InvalidArgument."""
    request_id = parse_request_id(request.request_id, "request_id")
    return _identifiers(request.identities, 2, LINK_LIMIT), request_id


def parse_unlink(request: pb.UnlinkRequest) -> tuple[list[Identifier], str]:
    """Return what is to leave, each once, and the request id; raises InvalidArgument."""
    request_id = parse_request_id(request.request_id, "request_id")
    found = _identifiers(request.identities, 1, LINK_LIMIT)
    return list(dict.fromkeys(found)), request_id


def parse_who(who: Who) -> Identifier | int:
    """Return an identifier or a profile id; raises InvalidArgument."""
    match who.WhichOneof("person"):
        case "identity":
            return _identifier(who.identity, "who.identity")
        case "profile_id" if who.profile_id:
            return who.profile_id
        case _:
            raise invalid_field("who", "nothing", "an identity or a profile id")


def parse_tick(request: clock_service_pb2.TickRequest) -> int:
    """Return the tick's time in milliseconds; raises InvalidArgument."""
    if not request.HasField("time"):
        raise invalid_field("time", "nothing", "an instant")
    seconds, nanos = request.time.seconds, request.time.nanos
    if not 0 <= seconds <= LAST_SECOND or not 0 <= nanos < NANOS:
        raise invalid_field("time", "an instant out of range", "one from 1970 to 9999")
    return seconds * 1_000 + nanos // 1_000_000


def render_identity(identifier: Identifier) -> Identity:
    """Return the message of an identifier."""
    return Identity(namespace=identifier[0], value=identifier[1])


def render_graph(
    profile_id: int, identifiers: Iterable[Identifier], journal: Iterable[JournalEntry]
) -> pb.GetGraphResponse:
    """Return the answer that shows one profile."""
    return pb.GetGraphResponse(
        profile_id=profile_id,
        identities=map(render_identity, identifiers),
        journal=map(_render_entry, journal),
    )


def _render_entry(entry: JournalEntry) -> pb.GraphEntry:
    rendered = pb.GraphEntry(revision=format_revision(entry.seq), input_id=entry.input_id)
    rendered.time.CopyFrom(timestamp(entry.log_time_ms))
    match entry.change:
        case Assigned(_, identifier, former):
            rendered.assigned.identity.CopyFrom(render_identity(identifier))
            rendered.assigned.former_profile_id = former
        case Merged(_, loser):
            rendered.merged.merged_profile_id = loser
        case Refused(_, other, reason):
            rendered.refused.other_profile_id = other
            rendered.refused.reason = reason
        case Divided(_, created):
            rendered.split.new_profile_id = created
    return rendered


def _identifiers(identities: Sequence[Identity], least: int, most: int) -> list[Identifier]:
    if len(identities) > most:
        raise InvalidArgument(
            "TOO_MANY",
            f"identities: expected at most {most}, found {len(identities)}",
            {"limit": str(most), "found": str(len(identities))},
        )
    if len(identities) < least:
        raise invalid_field("identities", str(len(identities)), f"{least} to {most}")
    return [
        _identifier(identity, f"identities[{index}]") for index, identity in enumerate(identities)
    ]


def _identifier(identity: Identity, field: str) -> Identifier:
    if _NAMESPACE.fullmatch(identity.namespace) is None:
        raise invalid_field(f"{field}.namespace", "another text", _NAMESPACE_FORM)
    if not 1 <= len(identity.value) <= VALUE_LIMIT:
        found = f"{len(identity.value)} characters"
        raise invalid_field(f"{field}.value", found, f"1 to {VALUE_LIMIT}")
    if "\0" in identity.value:
        raise invalid_field(f"{field}.value", "a NUL character", "a text without it")
    return identity.namespace, identity.value
