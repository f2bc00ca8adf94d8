"""Journeys and instances as the API shows them."""

from __future__ import annotations

from coterie.journey.v1 import journey_pb2
from services.journey.domain.instance import EndReason, Instance, Visit
from services.journey.names import instance_name, version_name
from services.journey.store import StoredVersion
from services.kit.rpc.times import timestamp

_REASONS = {
    reason: journey_pb2.EndReason.Value(f"END_REASON_{reason.name}") for reason in EndReason
}


def render_version(stored: StoredVersion) -> journey_pb2.Journey:
    """Return a version as it is live, or was."""
    publication = stored.publication
    journey = journey_pb2.Journey()
    journey.CopyFrom(publication.journey)
    journey.name = version_name(publication.journey_id, publication.version)
    journey.version = publication.version
    journey.open = stored.open
    journey.publish_time.CopyFrom(timestamp(stored.publish_ms))
    return journey


def render_instance(instance: Instance) -> journey_pb2.Instance:
    """Return an instance with what has happened in it."""
    live = instance.live
    rendered = journey_pb2.Instance(
        name=instance_name(instance.journey_id, instance.instance_id),
        version=instance.version,
        profile_id=instance.profile_id,
        key=instance.key,
        state=(journey_pb2.INSTANCE_STATE_WAITING if live else journey_pb2.INSTANCE_STATE_ENDED),
        step=instance.step,
        enter_time=timestamp(instance.entry_ms),
        visits=[_visit(visit) for visit in instance.visits],
    )
    if instance.end_reason is not None:
        rendered.end_reason = _REASONS[instance.end_reason]
    if instance.trigger is not None:
        rendered.trigger_event_id = instance.trigger.event.event_id
    if live and instance.due_ms is not None:
        rendered.due_time.CopyFrom(timestamp(instance.due_ms))
    if instance.end_ms is not None:
        rendered.end_time.CopyFrom(timestamp(instance.end_ms))
    return rendered


def _visit(visit: Visit) -> journey_pb2.Visit:
    return journey_pb2.Visit(
        step=visit.step,
        reach_time=timestamp(visit.reach_ms),
        leave_time=None if visit.leave_ms is None else timestamp(visit.leave_ms),
        outcome=visit.outcome,
        message=f"messages/{visit.message}" if visit.message else "",
    )
