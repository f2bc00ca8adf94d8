"""Renders what is known into the messages of the API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from coterie.profile.v1 import profile_pb2
from coterie.profile.v1 import profile_service_pb2 as pb
from coterie.type.v1 import change_pb2, event_pb2, identity_pb2, value_pb2
from services.kit.freshness import format_revision
from services.kit.rpc.status import to_error
from services.kit.rpc.times import timestamp
from services.profile import domain
from services.profile.intake import Receipt


def profile(found: domain.Profile) -> profile_pb2.Profile:
    """Return the resource."""
    return profile_pb2.Profile(
        profile_id=found.profile_id,
        identities=[
            identity_pb2.Identity(namespace=identity.namespace, value=identity.value)
            for identity in found.identities
        ],
        attributes={attribute.name: _attribute(attribute) for attribute in found.attributes},
        consents=[_consent(consent) for consent in found.consents],
        preferred_channel=cast("change_pb2.Channel.ValueType", found.preferred_channel),
        event_count=found.event_count,
        create_time=timestamp(found.create_ms),
        merged_profile_ids=found.merged_profile_ids,
    )


def timeline_event(found: domain.TimelineEvent) -> profile_pb2.TimelineEvent:
    """Return one entry of a timeline."""
    return profile_pb2.TimelineEvent(
        event=event_pb2.Event.FromString(found.event),
        occurred_time=timestamp(found.moment.occurred_ms),
        received_time=timestamp(found.moment.received_ms),
    )


def ingest_response(receipt: Receipt) -> pb.IngestResponse:
    """Return the answer to a batch of a stream."""
    return pb.IngestResponse(
        revision=_revision(receipt),
        accepted_count=receipt.accepted,
        refused=_refused(receipt),
    )


def ingest_batch_response(receipt: Receipt) -> pb.IngestBatchResponse:
    """Return the answer to one batch."""
    return pb.IngestBatchResponse(
        revision=_revision(receipt),
        accepted_count=receipt.accepted,
        refused=_refused(receipt),
    )


def _revision(receipt: Receipt) -> str:
    return format_revision(receipt.revision) if receipt.revision else ""


def _refused(receipt: Receipt) -> Iterable[pb.RefusedInput]:
    return [
        pb.RefusedInput(
            index=refusal.index, input_id=refusal.input_id, error=to_error(refusal.error)
        )
        for refusal in receipt.refused
    ]


def _attribute(attribute: domain.Attribute) -> profile_pb2.Attribute:
    return profile_pb2.Attribute(
        value=value_pb2.Value.FromString(attribute.value),
        as_of_time=timestamp(attribute.as_of_ms),
        change_id=attribute.change_id,
    )


def _consent(consent: domain.Consent) -> profile_pb2.ConsentState:
    return profile_pb2.ConsentState(
        channel=cast("change_pb2.Channel.ValueType", consent.channel),
        status=cast("change_pb2.ConsentStatus.ValueType", consent.status),
        as_of_time=timestamp(consent.as_of_ms),
        change_id=consent.change_id,
    )
