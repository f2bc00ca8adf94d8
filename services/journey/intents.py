"""What journeys want of messaging, as it goes into the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coterie.log.v1 import intents_pb2
from coterie.type.v1 import event_pb2
from services.journey.domain.definition import Journey, Key
from services.journey.domain.instance import Instance
from services.journey.domain.walk import Effect, SendWanted

PACK_BYTES = 1024 * 1024
"""How large a record becomes before the next one begins: a fraction of what one append may hold."""


def intent_of(
    effect: Effect, instance: Instance, journey: Journey, index: int, traceparent: str
) -> intents_pb2.Intent:
    """Return what one move wants; `index` is that of the input by which it came to be."""
    intent = intents_pb2.Intent(
        intent_id=effect.intent_id,
        profile_id=instance.profile_id,
        index=index,
        at_ms=effect.at_ms,
        traceparent=traceparent,
    )
    if isinstance(effect, SendWanted):
        intent.came_with = instance.came_with
        _fill_send(intent.send, effect, instance, journey)
    else:
        intent.cancel.reason = effect.reason.value
    return intent


def _fill_send(
    send: intents_pb2.SendIntent, wanted: SendWanted, instance: Instance, journey: Journey
) -> None:
    step = wanted.step
    send.campaign = step.campaign
    send.purpose = step.purpose  # type: ignore[assignment]  # checked when it was published
    send.channels.extend(step.channels)  # type: ignore[arg-type]  # the same
    send.template_id = step.template_id
    send.timing = step.timing  # type: ignore[assignment]  # the same
    send.journey_id = instance.journey_id
    send.version = instance.version
    send.instance_id = instance.instance_id
    send.step = step.step
    if instance.trigger is not None:
        send.trigger.CopyFrom(event_pb2.Event.FromString(instance.trigger.original))
    if journey.entry.key is Key.ITEM:
        send.item_sku = instance.key
    send.expire_ms = instance.expire_ms or 0


def packs_of(facts_seq: int, intents: Sequence[intents_pb2.Intent]) -> Iterator[bytes]:
    """Return the records of one facts record's intents: one, save where that is very large."""
    pack = intents_pb2.IntentPack(facts_seq=facts_seq)
    size = 0
    for intent in intents:
        if size > PACK_BYTES:
            yield pack.SerializeToString(deterministic=True)
            pack = intents_pb2.IntentPack(facts_seq=facts_seq)
            size = 0
        pack.intents.append(intent)
        size += intent.ByteSize()
    yield pack.SerializeToString(deterministic=True)
