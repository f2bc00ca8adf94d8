"""Between messages and what messaging works with: intents in, outcomes and resources out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Row

from coterie.log.v1 import handoff_pb2, inbound_pb2, intents_pb2, outcome_pb2
from coterie.messaging.v1 import message_pb2, template_pb2
from coterie.type.v1 import change_pb2
from coterie.type.v1 import message_pb2 as type_pb2
from services.kit.ids import derive_id
from services.kit.rpc.times import timestamp
from services.messaging.domain.addresses import comparable
from services.messaging.domain.attempts import Ended, State
from services.messaging.domain.lanes import Lane

SERVICE = "messaging"


def is_marketing(send: intents_pb2.SendIntent) -> bool:
    """Return whether the message needs consent."""
    return send.purpose != type_pb2.PURPOSE_TRANSACTIONAL


def is_optimal(send: intents_pb2.SendIntent) -> bool:
    """Return whether the message waits for the person's best hour."""
    return send.timing == type_pb2.TIMING_OPTIMAL


def digest(lane: Lane, address: str) -> str:
    """Return by what a blocked address is kept."""
    text = f"{int(lane)}:{comparable(lane, address)}"
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=32).hexdigest()


def channel_of(lane: int) -> change_pb2.Channel.ValueType:
    """Return the channel of a lane, none for no lane and for the staff."""
    channel = lane if lane in (Lane.EMAIL, Lane.SMS, Lane.PUSH) else 0
    return cast("change_pb2.Channel.ValueType", channel)


def outcome_input(
    intent: intents_pb2.Intent, profile_id: int, ended: Ended, lane: int, at_ms: int
) -> bytes:
    """Return the inbound record that says what became of a message; `intent` has its trace.

    Its input id is a function of the message: saying it twice is saying it once.
    """
    send = intent.send
    inbound = inbound_pb2.Inbound(
        input_id=derive_id("outcome", intent.intent_id),
        received_ms=at_ms,
        traceparent=intent.traceparent,
        message_outcome=outcome_pb2.MessageOutcome(
            message_id=intent.intent_id,
            profile_id=profile_id,
            state=cast("type_pb2.MessageState.ValueType", int(ended.state)),
            reason=ended.reason,
            channel=channel_of(lane),
            campaign=send.campaign,
            purpose=send.purpose,
            journey_id=send.journey_id,
            instance_id=send.instance_id,
            step=send.step,
        ),
    )
    return inbound_pb2.InboundPack(inputs=[inbound]).SerializeToString()


def handoff_input(merge_id: str, at_ms: int) -> bytes:
    """Return the inbound record by which messaging hands a person over."""
    handoff = handoff_pb2.Handoff(merge_id=merge_id, service=SERVICE)
    inbound = inbound_pb2.Inbound(
        input_id=derive_id("handoff", merge_id, SERVICE), received_ms=at_ms, handoff=handoff
    )
    return inbound_pb2.InboundPack(inputs=[inbound]).SerializeToString()


def message(
    row: Row[Any], checks: Sequence[Row[Any]], attempts: Sequence[Row[Any]]
) -> message_pb2.Message:
    """Return the resource."""
    intent = intents_pb2.Intent.FromString(row.intent)
    send = intent.send
    waiting = row.state == State.PENDING
    return message_pb2.Message(
        name=f"messages/{row.message_id}",
        profile_id=row.profile_id,
        campaign=send.campaign,
        purpose=send.purpose,
        state=cast("type_pb2.MessageState.ValueType", row.state),
        reason=row.reason,
        channel=channel_of(row.lane),
        assistant=row.lane == Lane.ASSISTANT,
        address=row.address,
        content=template_pb2.Content.FromString(row.content) if row.content is not None else None,
        template=f"templates/{send.template_id}",
        template_version=row.template_version,
        journey=f"journeys/{send.journey_id}/versions/{send.version}",
        instance=f"journeys/{send.journey_id}/instances/{send.instance_id}",
        step=send.step,
        intend_time=timestamp(row.at_ms),
        decide_time=timestamp(row.decide_ms) if row.decide_ms is not None else None,
        send_time=timestamp(row.send_ms) if row.send_ms is not None else None,
        due_time=timestamp(row.wake_ms) if waiting else None,
        checks=[_check(each) for each in checks],
        attempts=[_attempt(each) for each in attempts],
    )


def _check(row: Row[Any]) -> message_pb2.ChannelCheck:
    return message_pb2.ChannelCheck(
        asked=cast("type_pb2.SendChannel.ValueType", row.asked),
        channel=channel_of(row.lane),
        chosen=row.verdict == "chosen",
        verdict=row.verdict,
        consent=cast("change_pb2.ConsentStatus.ValueType", row.consent),
    )


def _attempt(row: Row[Any]) -> message_pb2.Attempt:
    return message_pb2.Attempt(
        number=row.number,
        start_time=timestamp(row.start_ms),
        outcome=row.outcome,
        detail=row.detail,
    )
