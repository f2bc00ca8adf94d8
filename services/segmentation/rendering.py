"""Values to messages: audiences, versions, memberships, transitions, people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pyroaring import BitMap

from coterie.log.v1 import transitions_pb2
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as pb
from services.kit.ids import profile_id
from services.kit.names import audience_name
from services.kit.rpc.times import timestamp
from services.segmentation import domain
from services.segmentation.domain import Cause, Definition
from services.segmentation.memory import Memory
from services.segmentation.previewing import Preview
from services.segmentation.reading import People

MEMBERS_A_MESSAGE = 5_000
ROARING_MEMBERS = 1_000_000
"""Members of one bitmap: at most two megabytes where they lie scattered."""

_CAUSES = {cause: audience_pb2.Cause.Value(f"CAUSE_{cause.name}") for cause in Cause}
_STATES = {
    domain.State.BACKFILLING: audience_pb2.AUDIENCE_STATE_BACKFILLING,
    domain.State.ACTIVE: audience_pb2.AUDIENCE_STATE_ACTIVE,
}
_VERSION_STATES = {
    state: audience_pb2.AudienceVersionState.Value(f"AUDIENCE_VERSION_STATE_{state.name}")
    for state in domain.State
}


def transition(one: transitions_pb2.Transition, person: int) -> audience_pb2.Transition:
    """Return a transition of the log as the API shows it, for one person."""
    return audience_pb2.Transition(
        audience=audience_name(one.audience_id),
        version=one.version,
        profile_id=person,
        entered=one.change == transitions_pb2.CHANGE_ENTERED,
        time=timestamp(one.at_ms),
        cause=audience_pb2.Cause.ValueType(one.cause),
        cause_id=one.cause_id,
        sequence=one.sequence,
        witnesses=[
            audience_pb2.Witness(
                event_id=row.event_id,
                type=row.type,
                occurred_time=timestamp(row.occurred_ms),
                sku=row.sku,
            )
            for row in one.witnesses
        ],
    )


def audience(audience: domain.Audience) -> audience_pb2.Audience:
    """Return an audience as the API shows it."""
    definition = audience.definition
    rendered = audience_pb2.Audience(
        name=audience_name(definition.audience_id),
        display_name=definition.display_name,
        rule=definition.rule_text,
        version=definition.version,
        state=_STATES[definition.state],
        build_progress=audience.build_progress,
        member_count=audience.member_count,
        create_time=timestamp(definition.create_ms),
        owner=definition.owner,
        publication=_publication(definition),
        etag=audience.etag,
    )
    if definition.state is domain.State.ACTIVE:
        rendered.activate_time.CopyFrom(timestamp(definition.activate_ms))
    if audience.next_version is not None:
        rendered.next_version.CopyFrom(version(audience.next_version))
    return rendered


def version(version: domain.Version) -> audience_pb2.AudienceVersion:
    """Return a version as the API shows it."""
    definition, difference = version.definition, version.difference
    ready = difference is not None
    rendered = audience_pb2.AudienceVersion(
        name=f"{audience_name(definition.audience_id)}/versions/{definition.version}",
        version=definition.version,
        display_name=definition.display_name,
        rule=definition.rule_text,
        state=(
            audience_pb2.AUDIENCE_VERSION_STATE_READY
            if ready
            else _VERSION_STATES[definition.state]
        ),
        build_progress=version.build_progress,
        create_time=timestamp(definition.create_ms),
        restored_version=definition.restored_version,
        activate_when_built=definition.automatic,
        publication=_publication(definition),
    )
    if definition.activate_ms:
        rendered.activate_time.CopyFrom(timestamp(definition.activate_ms))
    if difference is not None:
        shown = audience_pb2.VersionDifference(
            enter_count=difference.enter_count,
            exit_count=difference.exit_count,
            enter_sample=difference.enter_sample,
            exit_sample=difference.exit_sample,
        )
        rendered.difference.CopyFrom(shown)
    return rendered


def _publication(definition: Definition) -> audience_pb2.Publication | None:
    if not definition.publication_id:
        return None
    return audience_pb2.Publication(
        publish_time=timestamp(definition.create_ms), published_count=definition.published_count
    )


def membership(membership: domain.Membership) -> audience_pb2.Membership:
    """Return a membership as the API shows it."""
    rendered = audience_pb2.Membership(
        audience=audience_name(membership.audience_id),
        profile_id=membership.profile_id,
        member=membership.member,
    )
    change = membership.change
    if change is not None:
        rendered.cause = _CAUSES[change.cause]
        rendered.cause_id = change.cause_id
        rendered.version = change.version
        if change.enter_ms:
            rendered.enter_time.CopyFrom(timestamp(change.enter_ms))
        if change.exit_ms:
            rendered.exit_time.CopyFrom(timestamp(change.exit_ms))
    return rendered


def preview(found: Preview, names: Sequence[str]) -> pb.PreviewAudienceResponse:
    """Return the last message of a preview; `names` are the audiences asked for."""
    overlaps = [
        pb.AudienceOverlap(audience=name, member_count=size, shared_count=shared)
        for name, (size, shared) in zip(names, found.overlaps, strict=True)
    ]
    return pb.PreviewAudienceResponse(
        progress=1.0,
        preview=pb.AudiencePreview(
            member_count=found.member_count,
            profile_count=found.profile_count,
            sample=found.sample,
            overlaps=overlaps,
            time=timestamp(found.time_ms),
            revision=found.revision,
        ),
    )


def memory(found: Memory) -> pb.GetMemoryResponse:
    """Return what the state takes of memory."""
    return pb.GetMemoryResponse(
        uses=[
            pb.MemoryUse(
                kind=each.kind,
                resident_bytes=each.resident_bytes,
                mapped_bytes=each.mapped_bytes,
            )
            for each in found.uses
        ],
        audiences=[
            pb.AudienceMemory(audience=audience_name(audience_id), own_bytes=size)
            for audience_id, size in found.audiences
        ],
        profile_count=found.profile_count,
        event_count=found.event_count,
    )


Part = tuple[list[int], audience_pb2.RoaringPart | None]


def parts(people: People, *, roaring: bool) -> Iterator[Part]:
    """Yield people in parts for one message each: as ids, or as bitmaps."""
    for number, ordinals in people.parts:
        for start in range(0, len(ordinals), ROARING_MEMBERS):
            part = ordinals[start : start + ROARING_MEMBERS]
            if roaring:
                content = BitMap(part).serialize()
                yield [], audience_pb2.RoaringPart(partition=number, ordinals=content)
                continue
            ids = [profile_id(number, each) for each in part]
            for first in range(0, len(ids), MEMBERS_A_MESSAGE):
                yield ids[first : first + MEMBERS_A_MESSAGE], None
