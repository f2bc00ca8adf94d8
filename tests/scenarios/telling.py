"""Tells a running suite what a scenario defines, and finds what the product cannot say yet."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from coterie.journey.v1 import journey_service_pb2 as journey_pb
from coterie.messaging.v1 import messaging_service_pb2 as messaging_pb
from coterie.profile.v1 import profile_service_pb2 as profile_pb
from coterie.segmentation.v1 import audience_pb2
from coterie.segmentation.v1 import segmentation_service_pb2 as segmentation_pb
from coterie.type.v1 import identity_pb2
from services.host.client import Client
from tests.scenarios.cel import resource_id
from tests.scenarios.conditions import Place, rule_of
from tests.scenarios.declared import one_line_types, schema_of
from tests.scenarios.faults import NotYet, ScenarioError
from tests.scenarios.inputs import Intake, stamp
from tests.scenarios.journeys import Plan, plan_of
from tests.scenarios.people import LATEST
from tests.scenarios.scenario import Scenario

BUILD_S = 30.0
LOOK_S = 0.005
_LACKS = re.compile(r"(\S+) is not supported yet")
_STEP = re.compile(r"steps\[(\d+)\]")


@dataclass
class Told:
    """What the suite knows of a scenario's definitions; for the rest, why it does not."""

    plans: dict[str, Plan] = field(default_factory=dict)
    missing_segments: dict[str, str] = field(default_factory=dict)
    missing_journeys: dict[str, str] = field(default_factory=dict)


async def tell(client: Client, scenario: Scenario, intake: Intake, start_ms: int) -> Told:
    """Declare schema, catalog, segments and journeys; return once all of them are live.

    Raises ScenarioError where the product refuses a definition for another reason than that it
    lacks a word for it.
    """
    request = profile_pb.ExtendSchemaRequest(schema=schema_of(scenario))
    await client.wait_progress((await client.profile.ExtendSchema(request)).revision)
    await _stock(client, scenario, intake, start_ms)
    told = Told()
    for name in sorted(scenario.published):
        await publish_audience(client, resource_id(name), [])
    for name in _ordered(scenario):
        await _segment(client, scenario, told, name)
    place = _place(scenario, told)
    for name, definition in scenario.journeys.items():
        try:
            plan = plan_of(name, definition, place, scenario.policy.get("lateness"))
            told.plans[name] = await _publish(client, plan)
        except NotYet as missing:
            told.missing_journeys[name] = str(missing)
        except ScenarioError as error:
            raise ScenarioError(f"journeys.{name}: {error}") from None
    return told


async def create_audience(client: Client, audience_id: str, rule: str) -> None:
    """Save an audience and wait until it is live."""
    wanted = audience_pb2.Audience(display_name=audience_id, rule=rule)
    request = segmentation_pb.CreateAudienceRequest(audience_id=audience_id, audience=wanted)
    await client.segmentation.CreateAudience(request)
    await _live(client, audience_id)


async def publish_audience(client: Client, audience_id: str, members: Sequence[int]) -> None:
    """Let profiles, and no others, be the members of an audience; wait until they are."""
    head = segmentation_pb.PublishAudienceHead(
        audience_id=audience_id, mode=segmentation_pb.PUBLISH_MODE_REPLACE
    )
    people = [identity_pb2.Who(profile_id=each) for each in members]
    request = segmentation_pb.PublishAudienceRequest(head=head, members=people)
    await client.segmentation.PublishAudience(iter([request]))
    await _live(client, audience_id)


async def _live(client: Client, audience_id: str) -> None:
    """Wait until the newest version of an audience is the one in use."""
    get = segmentation_pb.GetAudienceRequest(name=f"audiences/{audience_id}", consistency=LATEST)
    async with asyncio.timeout(BUILD_S):
        while True:
            found = (await client.segmentation.GetAudience(get)).audience
            active = found.state == audience_pb2.AUDIENCE_STATE_ACTIVE
            if active and not found.HasField("next_version"):
                return
            await asyncio.sleep(LOOK_S)


async def _stock(client: Client, scenario: Scenario, intake: Intake, start_ms: int) -> None:
    items = [intake.item(item["sku"], item) for item in scenario.catalog]
    for item in items:
        item.received_time.CopyFrom(stamp(start_ms))
    if items:
        answer = await client.profile.IngestBatch(profile_pb.IngestBatchRequest(inputs=items))
        if answer.refused:
            raise ScenarioError(f"catalog: refused: {answer.refused[0].error.message}")
        await client.wait_progress(answer.revision)


async def _segment(client: Client, scenario: Scenario, told: Told, name: str) -> None:
    try:
        rule = rule_of(scenario.segments[name]["where"], _place(scenario, told))
        await create_audience(client, resource_id(name), rule)
    except NotYet as missing:
        told.missing_segments[name] = str(missing)
    except ScenarioError as error:
        raise ScenarioError(f"segments.{name}: {error}") from None
    except grpc.aio.AioRpcError as error:
        lacking = _lacking(error.details() or "")
        if lacking is None:
            raise ScenarioError(f"segments.{name}: refused: {error.details()}") from None
        told.missing_segments[name] = lacking


async def _publish(client: Client, plan: Plan) -> Plan:
    """Publish the plan, cut where the product refuses a step for want of a word; return it."""
    for template_id, template in plan.templates.items():
        request = messaging_pb.PublishTemplateRequest(template_id=template_id, template=template)
        published = await _accepted(client.messaging.PublishTemplate(request))
        await client.wait_progress(published.revision)
    for _ in range(len(plan.journey.steps) + 1):
        wanted = journey_pb.PublishJourneyRequest(journey_id=plan.journey_id, journey=plan.journey)
        try:
            answer = await client.journey.PublishJourney(wanted)
        except grpc.aio.AioRpcError as error:
            plan = _cut(plan, error)
        else:
            await client.wait_progress(answer.revision)
            return plan
    raise ScenarioError("refused again and again")


def _cut(plan: Plan, error: grpc.aio.AioRpcError) -> Plan:
    """Return the plan without the steps that lack a word; raises NotYet where it is elsewhere."""
    for place, text in _mistakes(error):
        lacking = _lacking(text)
        if lacking is None:
            raise ScenarioError(f"refused: {place}: {text}")
        step = _STEP.search(place)
        if step is None:
            raise NotYet(lacking)
        plan = plan.cut(int(step[1]), lacking)
    return plan


def _mistakes(error: grpc.aio.AioRpcError) -> list[tuple[str, str]]:
    """Return each mistake that the product names, with its place in the request."""
    found: list[tuple[str, str]] = []
    status: Any = rpc_status.from_call(error)  # type: ignore[arg-type]
    for detail in status.details if status else ():
        fields = error_details_pb2.BadRequest()
        if detail.Is(fields.DESCRIPTOR):
            detail.Unpack(fields)
            found += [(each.field, each.description) for each in fields.field_violations]
    return found or [("", error.details() or "")]


async def _accepted(call: Any) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise ScenarioError(f"refused: {error.details()}") from None


def _lacking(text: str) -> str | None:
    found = _LACKS.search(text)
    return f"{found[1]} in rules" if found else None


def _place(scenario: Scenario, told: Told) -> Place:
    return Place(
        item_sets=scenario.item_sets,
        segments=frozenset(scenario.segments),
        published=scenario.published,
        untold=told.missing_segments,
        one_line=one_line_types(scenario),
    )


def _ordered(scenario: Scenario) -> list[str]:
    """Return the segments, each after those that it is built on."""
    ordered: list[str] = []

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ScenarioError(f"segments.{name}: built on itself")
        for inner in _named(scenario.segments[name]["where"]):
            if inner in scenario.segments:
                add(inner, (*above, name))
        if name not in ordered:
            ordered.append(name)

    for name in scenario.segments:
        add(name, ())
    return ordered


def _named(condition: Any) -> Iterator[str]:
    if isinstance(condition, Mapping):
        if isinstance(condition.get("segment"), str):
            yield condition["segment"]
        for inner in condition.values():
            yield from _named(inner)
    elif isinstance(condition, list):
        for inner in condition:
            yield from _named(inner)
