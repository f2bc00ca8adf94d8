"""Requests to values: what callers ask for, checked field by field."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from services.kit.errors import InvalidArgument, invalid_field
from services.kit.ids import parse_request_id
from services.kit.names import check_id, parse_audience_name
from services.segmentation import wire
from services.segmentation.changing import AudienceChange
from services.segmentation.domain import PublishMode
from services.segmentation.previewing import PreviewWanted
from services.segmentation.publishing import Head
from services.segmentation.sets import (
    DEPTH_LIMIT,
    NODE_LIMIT,
    Every,
    Members,
    Others,
    SetTree,
    Some,
)
from services.segmentation.wire import PublishedMember

CHECKED_PROFILES = 1_000
CHECKED_AUDIENCES = 100
OVERLAPS = 20
SAMPLE = 20
SAMPLE_LIMIT = 1_000
PUBLISHED = 10_000
"""Members a message of a publication: some 400 kB, well below what a message may have."""
LATEST_SECOND = 253_402_300_799
"""The end of the year 9999, which is what a Timestamp may hold."""

_MODES = {pb.PublishMode.Value(f"PUBLISH_MODE_{mode.name}"): mode for mode in PublishMode}
_CHANGEABLE = ("display_name", "rule")


def request_id(text: str) -> str:
    """Return the id of a request."""
    return parse_request_id(text, "request_id")


def change(request: pb.UpdateAudienceRequest) -> AudienceChange:
    """Return what a caller wants to be different."""
    wanted, paths = request.audience, list(request.update_mask.paths)
    for path in paths:
        if path not in _CHANGEABLE:
            raise invalid_field("update_mask", "another path", " or ".join(_CHANGEABLE))
    name = wanted.display_name if "display_name" in paths or not paths else None
    rule = wanted.rule if "rule" in paths or not paths else None
    if not paths:
        name, rule = name or None, rule or None
    return AudienceChange(
        parse_audience_name(wanted.name, "audience.name"),
        name,
        rule,
        wanted.etag,
        request.activate_when_built,
        request_id(request.request_id),
    )


def publication(first: pb.PublishAudienceRequest) -> Head:
    """Return what the first message says."""
    if not first.HasField("head"):
        raise invalid_field("head", "nothing", "what is published, in the first message")
    head = first.head
    if head.mode not in _MODES:
        raise invalid_field("head.mode", "no known mode", "REPLACE, ADD or REMOVE")
    return Head(
        check_id(head.audience_id, "head.audience_id"),
        head.display_name,
        _MODES[head.mode],
        request_id(head.request_id),
    )


async def published(
    first: pb.PublishAudienceRequest, rest: AsyncIterator[pb.PublishAudienceRequest]
) -> AsyncIterator[list[PublishedMember]]:
    """Yield the members of each message."""
    yield _members(first)
    async for request in rest:
        if request.HasField("head"):
            raise invalid_field("head", "one in a later message", "one in the first message alone")
        yield _members(request)


def _members(request: pb.PublishAudienceRequest) -> list[PublishedMember]:
    _check_count(len(request.members), 0, PUBLISHED, "members")
    return [
        wire.parse_member(who, f"members[{place}]") for place, who in enumerate(request.members)
    ]


def preview(request: pb.PreviewAudienceRequest) -> PreviewWanted:
    """Return what is to be computed."""
    if not request.rule.strip():
        raise invalid_field("rule", "nothing", "a rule")
    _check_count(len(request.overlap_audiences), 0, OVERLAPS, "overlap_audiences")
    if not 0 <= request.sample_size <= SAMPLE_LIMIT:
        raise invalid_field("sample_size", str(request.sample_size), f"0 to {SAMPLE_LIMIT}")
    return PreviewWanted(
        request.rule,
        tuple(parse_audience_name(each, "overlap_audiences") for each in request.overlap_audiences),
        request.sample_size or SAMPLE,
        instant(request, "time"),
    )


def instant(request: pb.PreviewAudienceRequest | pb.ListMembersRequest, field: str) -> int | None:
    """Return the instant that a read asks for, in milliseconds; None for now."""
    if not request.HasField("time"):
        return None
    if not 0 <= request.time.seconds <= LATEST_SECOND:
        raise InvalidArgument(
            "INVALID_FIELD", f"{field}: expected a time from 1970 to 9999", {"field": field}
        )
    return request.time.ToMilliseconds()


def people(profile_ids: Sequence[int]) -> list[int]:
    """Return whose memberships are asked for."""
    _check_count(len(profile_ids), 1, CHECKED_PROFILES, "profile_ids")
    return list(profile_ids)


def audiences(names: Sequence[str]) -> list[str]:
    """Return the ids of the audiences that are asked for."""
    _check_count(len(names), 1, CHECKED_AUDIENCES, "audiences")
    return [parse_audience_name(each, "audiences") for each in names]


def is_roaring(form: audience_pb2.MemberFormat.ValueType) -> bool:
    """Tell whether profile ids are asked for as bitmaps."""
    if form not in audience_pb2.MemberFormat.values():
        raise invalid_field("format", "no known format", "IDS or ROARING")
    return form == audience_pb2.MEMBER_FORMAT_ROARING


def set_tree(expression: audience_pb2.SetExpression) -> SetTree:
    """Return a set that is put together of audiences."""
    counted = _Counted()
    return counted.tree(expression, "expression", 1)


class _Counted:
    """Reads a tree, and counts its nodes."""

    def __init__(self) -> None:
        self._nodes = 0

    def tree(self, found: audience_pb2.SetExpression, field: str, depth: int) -> SetTree:
        self._nodes += 1
        if self._nodes > NODE_LIMIT:
            raise invalid_field("expression", "more", f"at most {NODE_LIMIT} sets")
        if depth > DEPTH_LIMIT:
            raise invalid_field(field, "more", f"at most {DEPTH_LIMIT} levels")
        match found.WhichOneof("set"):
            case "audience":
                return Members(parse_audience_name(found.audience, f"{field}.audience"))
            case "all_of":
                return Every(self._list(found.all_of, f"{field}.all_of", depth))
            case "any_of":
                return Some(self._list(found.any_of, f"{field}.any_of", depth))
            case "not_in":
                return Others(self.tree(found.not_in, f"{field}.not_in", depth + 1))
            case _:
                raise invalid_field(field, "nothing", "an audience, all_of, any_of or not_in")

    def _list(self, found: audience_pb2.SetList, field: str, depth: int) -> tuple[SetTree, ...]:
        if not found.sets:
            raise invalid_field(f"{field}.sets", "nothing", "at least one set")
        return tuple(
            self.tree(each, f"{field}.sets[{place}]", depth + 1)
            for place, each in enumerate(found.sets)
        )


def _check_count(count: int, least: int, most: int, field: str) -> None:
    if not least <= count <= most:
        raise invalid_field(field, f"{count:,}", f"{least} to {most:,}")
