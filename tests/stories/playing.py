"""Plays a story through the real services on a virtual clock, and says what can be seen then."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from coterie.identity.v1 import identity_service_pb2 as identity_pb
from coterie.journey.v1 import journey_pb2
from coterie.journey.v1 import journey_service_pb2 as journeys_pb
from coterie.messaging.v1 import message_pb2, template_pb2
from coterie.messaging.v1 import messaging_service_pb2 as messaging_pb
from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from coterie.type.v1 import event_pb2, identity_pb2, schema_pb2, value_pb2
from coterie.type.v1 import message_pb2 as type_pb
from services.host.client import Client
from services.host.embedded import Suite
from services.kit.config import FREE_PORTS, Config
from tests.pipeline.harness import LATEST, at_ms, identity, stamp, value
from tests.scenarios.telling import create_audience
from tests.stories.story import Condition, Input, Journey, Seen, Step, Story

SCHEMA = schema_pb2.Schema(
    attributes=[
        schema_pb2.FieldSchema(name=name, kind=value_pb2.VALUE_KIND_TEXT)
        for name in ("tier", "zone", "email", "phone", "push_token")
    ],
    event_types=[
        schema_pb2.EventTypeSchema(type=name)
        for name in ("visit", "view", "message.opened", "message.clicked")
    ]
    + [
        schema_pb2.EventTypeSchema(
            type="buy",
            properties=[schema_pb2.FieldSchema(name="total", kind=value_pb2.VALUE_KIND_NUMBER)],
        )
    ],
)
CHANNELS = {"email": 1, "sms": 2, "push": 3}


async def played(
    story: Story, directory: Path, partitions: int, providers: dict[str, str] | None = None
) -> list[Seen]:
    """Return what is to be seen when the story is over, in the real services."""
    config = Config(
        data_dir=directory,
        clock="virtual",
        ports=FREE_PORTS,
        partitions=partitions,
        providers=providers or {},
        log_level="error",
    )
    arrivals = [(at, list(group)) for at, group in groupby(story.inputs, lambda i: i.at_ms)]
    parts: list[list[Any]] = [[]]
    for at, group in arrivals:
        parts[-1].append((at, group))
        if at in story.restarts:
            parts.append([])
    for number, part in enumerate(parts):
        suite = Suite(config)
        await suite.start()
        try:
            async with Client(suite.addresses()) as client:
                if number == 0:
                    await client.tick(story.start_ms)
                    await _define(client, story)
                for at, group in part:
                    await client.advance(at - 1)
                    await _send(client, group)
                if number == len(parts) - 1:
                    await client.advance(story.end_ms)
                    return await _look(client, story)
                await client.rest()
        finally:
            await suite.stop()
    raise AssertionError("unreachable")


async def _define(client: Client, story: Story) -> None:
    request = profile_pb.ExtendSchemaRequest(schema=SCHEMA)
    await client.wait_progress((await client.profile.ExtendSchema(request)).revision)
    await _send(client, list(story.catalog))
    template = template_pb2.Template(display_name="Hello", text="Hello")
    wanted = messaging_pb.PublishTemplateRequest(template_id="hello", template=template)
    await client.wait_progress((await client.messaging.PublishTemplate(wanted)).revision)
    for name, rule in story.audiences.items():
        await create_audience(client, name, rule.text())
    for journey in story.journeys.values():
        made = journeys_pb.PublishJourneyRequest(journey_id=journey.id, journey=journey_of(journey))
        await client.wait_progress((await client.journey.PublishJourney(made)).revision)
    await client.settle()


def journey_of(journey: Journey) -> journey_pb2.Journey:
    made = journey_pb2.Journey(display_name=journey.id)
    if journey.rows:
        made.entry.rows = journey.rows.rows_text()
    else:
        made.entry.audience = f"audiences/{journey.audience}"
    keys = {"person": journey_pb2.KEY_UNSPECIFIED, "event": journey_pb2.KEY_EVENT}
    made.entry.key = keys.get(journey.key, journey_pb2.KEY_ITEM)
    made.entry.rule = _text(journey.when)
    if journey.reentry == "never":
        made.entry.reentry = journey_pb2.REENTRY_NEVER
    if journey.reentry == "after":
        made.entry.reentry = journey_pb2.REENTRY_AFTER
        made.entry.reentry_after.FromMilliseconds(journey.reentry_ms)
    made.entry.restart_first_wait = journey.restart
    if journey.lateness_ms is not None:
        made.entry.max_lateness.FromMilliseconds(journey.lateness_ms)
    made.exit_rule = _text(journey.exit)
    if journey.expires_ms is not None:
        made.expires_after.FromMilliseconds(journey.expires_ms)
    for step in journey.steps:
        _fill(journey, step, made.steps.add(id=step.id))
    return made


def _text(rule: Condition | None) -> str:
    return rule.text() if rule else ""


def _fill(journey: Journey, step: Step, made: journey_pb2.Step) -> None:
    if step.action == "wait":
        made.wait.duration.FromMilliseconds(step.length_ms)
    elif step.action == "until":
        made.wait.until_after_entry.FromMilliseconds(step.length_ms)
    elif step.action == "for":
        made.wait_for.rule = _text(step.rule)
        made.wait_for.timeout.FromMilliseconds(step.length_ms)
        made.wait_for.timeout_step = step.target
    elif step.action == "branch":
        made.branch.rule = _text(step.rule)
        made.branch.else_step = step.target
    elif step.action == "go_to":
        made.go_to.step = step.target
    else:
        made.send.campaign = f"{journey.id}_{step.id}"
        made.send.template = "templates/hello"
        for channel in step.channels:
            number = type_pb.SendChannel.Value(f"SEND_CHANNEL_{channel.upper()}")
            made.send.channels.append(number)
        if step.purpose == "transactional":
            made.send.purpose = type_pb.PURPOSE_TRANSACTIONAL
        if step.timing == "optimal":
            made.send.timing = type_pb.TIMING_OPTIMAL


async def _send(client: Client, inputs: list[Input]) -> None:
    batch = profile_pb.IngestBatchRequest(inputs=[_input(each) for each in inputs])
    answer = await client.profile.IngestBatch(batch)
    assert not answer.refused, answer.refused


def _input(given: Input) -> profile_pb.IngestInput:
    made = profile_pb.IngestInput(received_time=stamp(given.at_ms))
    ids = [identity(each) for each in given.ids]
    if given.kind == "catalog":
        _catalog(given, made)
    elif given.kind == "event":
        event = event_pb2.Event(event_id=given.id, type=given.type, identities=ids)
        event.occurred_time.CopyFrom(stamp(given.time_ms))
        for each in given.items:
            event.items.add(sku=each.sku, quantity=each.quantity, price=1)
        if given.total is not None:
            event.properties["total"].CopyFrom(value(float(given.total)))
        made.event.CopyFrom(event)
    elif given.kind == "attributes":
        change = made.attributes.change
        change.identities.extend(ids)
        change.as_of_time.CopyFrom(stamp(given.time_ms))
        for name, text in given.values:
            change.attributes[name].SetInParent()
            if text is not None:
                change.attributes[name].text = text
    else:
        _consent(given, made, ids)
    return made


def _catalog(given: Input, made: profile_pb.IngestInput) -> None:
    item = made.catalog_item.item
    item.sku, item.category, item.name = given.sku, given.category, given.sku
    if given.stock is not None:
        item.stock = given.stock


def _consent(given: Input, made: profile_pb.IngestInput, ids: list[identity_pb2.Identity]) -> None:
    change = made.consent.change
    change.identities.extend(ids)
    change.as_of_time.CopyFrom(stamp(given.time_ms))
    for name, word in given.values:
        if name == "preferred":
            change.preferred_channel = CHANNELS[word or ""]  # type: ignore[assignment]
        else:
            status = 1 if word == "in" else 2
            change.consents.add(channel=CHANNELS[name], status=status)


async def _look(client: Client, story: Story) -> list[Seen]:
    request = identity_pb.ResolveRequest(
        identities=[identity(each) for each in story.identities], consistency=LATEST
    )
    found = (await client.identity.Resolve(request)).profile_ids
    people: dict[int, list[str]] = {}
    for text, profile_id in zip(story.identities, found, strict=True):
        if profile_id:
            people.setdefault(profile_id, []).append(text)
    named = {profile_id: " ".join(sorted(ids)) for profile_id, ids in people.items()}
    seen = [each async for each in _members(client, story, named)]
    instances = await client.journey.ListInstances(
        journeys_pb.ListInstancesRequest(page_size=1000, consistency=LATEST)
    )
    seen += (_instance(each, named) for each in instances.instances)
    messages = await client.messaging.ListMessages(
        messaging_pb.ListMessagesRequest(page_size=1000, consistency=LATEST)
    )
    seen += (_message(each, named) for each in messages.messages)
    return sorted(seen)


async def _members(client: Client, story: Story, named: dict[int, str]) -> Any:
    for profile_id, who in named.items():
        for name in story.audiences:
            request = segmentation_pb.GetMembershipRequest(
                audience=f"audiences/{name}",
                who=identity_pb2.Who(profile_id=profile_id),
                consistency=LATEST,
            )
            found = (await client.segmentation.GetMembership(request)).membership
            since = at_ms(found.enter_time) if found.member else 0
            left = 0 if found.member else at_ms(found.exit_time)
            yield Seen("member", who, name, since, (("left", str(left)),))


def _instance(found: journey_pb2.Instance, named: dict[int, str]) -> Seen:
    reason = journey_pb2.EndReason.Name(found.end_reason).removeprefix("END_REASON_").lower()
    what = {
        "key": found.key,
        "step": found.step,
        "reason": "" if reason == "unspecified" else reason,
        "end": str(at_ms(found.end_time)),
        "due": str(at_ms(found.due_time)),
        "trigger": found.trigger_event_id,
    }
    journey = found.name.split("/")[1]
    who = named.get(found.profile_id, f"? {found.profile_id}")
    return Seen("instance", who, journey, at_ms(found.enter_time), tuple(what.items()))


def _message(found: message_pb2.Message, named: dict[int, str]) -> Seen:
    state = type_pb.MessageState.Name(found.state).removeprefix("MESSAGE_STATE_").lower()
    channels = {number: name for name, number in CHANNELS.items()}
    channel = "assistant" if found.assistant else channels.get(found.channel, "")
    what = {
        "state": state,
        "reason": found.reason,
        "channel": channel if state == "sent" else "",
        "sent": str(at_ms(found.send_time)),
    }
    who = named.get(found.profile_id, f"? {found.profile_id}")
    return Seen("message", who, found.campaign, at_ms(found.intend_time), tuple(what.items()))


def differences(expected: list[Seen], found: list[Seen]) -> Iterator[str]:
    """Say each thing that only one of the two has."""
    for each in sorted({*expected, *found}):
        count = expected.count(each) - found.count(each)
        if count:
            yield f"{'expected' if count > 0 else 'found'} {each}"
