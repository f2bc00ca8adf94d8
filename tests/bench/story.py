"""How long from an audience entry to the provider call?

    python -m tests.bench.story [--people 1000] [--rate 100]

Starts a suite with the system clock and a provider of text messages in this process. Each person
has registered; then one event puts the person into an audience, a journey without a wait sends a
text message, and the provider takes it. What is timed, for one person at a time and for many in an
open loop: from the instant of the entry, which is the receipt of the event, to the provider call.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import tempfile
import time
from pathlib import Path

from coterie.journey.v1 import journey_pb2, journey_service_pb2
from coterie.messaging.v1 import messaging_service_pb2, template_pb2
from coterie.profile.v1 import profile_service_pb2
from coterie.segmentation.v1 import audience_pb2, segmentation_service_pb2
from coterie.type.v1 import change_pb2, event_pb2, identity_pb2, message_pb2, schema_pb2, value_pb2
from services.host.client import Client
from services.host.demo.phone import Phones
from services.host.embedded import Suite
from services.kit.config import FREE_PORTS, Config
from services.kit.logs import configure_logs

AUDIENCE = "audiences/visitors"


class TimedPhones(Phones):
    """Notes when each number was first called."""

    def __init__(self) -> None:
        super().__init__()
        self.called_ms: dict[str, float] = {}

    def _take(self, text: object) -> None:
        self.called_ms.setdefault(text.to, time.time() * 1000)  # type: ignore[attr-defined]
        super()._take(text)  # type: ignore[arg-type]


def identity(number: int) -> identity_pb2.Identity:
    return identity_pb2.Identity(namespace="crm", value=f"p{number}")


def phone(number: int) -> str:
    return f"+1202{number:07d}"


async def define(client: Client) -> None:
    text = value_pb2.VALUE_KIND_TEXT
    schema = schema_pb2.Schema(
        attributes=[schema_pb2.FieldSchema(name="phone", kind=text)],
        event_types=[schema_pb2.EventTypeSchema(type="visit")],
    )
    await client.profile.ExtendSchema(profile_service_pb2.ExtendSchemaRequest(schema=schema))
    rule = 'events("visit").last(hours(1)).exists()'
    await client.segmentation.CreateAudience(
        segmentation_service_pb2.CreateAudienceRequest(
            audience_id="visitors",
            audience=audience_pb2.Audience(display_name="Visitors", rule=rule),
        )
    )
    get = segmentation_service_pb2.GetAudienceRequest(name=AUDIENCE)
    while True:
        audience = (await client.segmentation.GetAudience(get)).audience
        if audience.state == audience_pb2.AUDIENCE_STATE_ACTIVE:
            break
        await asyncio.sleep(0.02)
    template = template_pb2.Template(display_name="Hello", text="Hello at {{ profile.phone }}")
    await client.messaging.PublishTemplate(
        messaging_service_pb2.PublishTemplateRequest(template_id="hello", template=template)
    )
    send = journey_pb2.Send(
        campaign="hello",
        channels=[message_pb2.SEND_CHANNEL_SMS],
        template="templates/hello",
    )
    journey = journey_pb2.Journey(
        display_name="Hello",
        entry=journey_pb2.Entry(audience=AUDIENCE),
        steps=[journey_pb2.Step(id="hello", send=send)],
    )
    await client.journey.PublishJourney(
        journey_service_pb2.PublishJourneyRequest(journey_id="hello", journey=journey)
    )


async def register(client: Client, numbers: range) -> None:
    inputs = []
    for number in numbers:
        attributes = change_pb2.AttributeChange(
            identities=[identity(number)],
            attributes={"phone": value_pb2.Value(text=phone(number))},
        )
        consent = change_pb2.ConsentChange(
            identities=[identity(number)],
            consents=[
                change_pb2.ChannelConsent(
                    channel=change_pb2.CHANNEL_SMS, status=change_pb2.CONSENT_STATUS_IN
                )
            ],
        )
        inputs += [
            profile_service_pb2.IngestInput(
                attributes=profile_service_pb2.AttributesInput(change=attributes)
            ),
            profile_service_pb2.IngestInput(
                consent=profile_service_pb2.ConsentInput(change=consent)
            ),
        ]
    for start in range(0, len(inputs), 500):
        part = inputs[start : start + 500]
        await client.profile.IngestBatch(profile_service_pb2.IngestBatchRequest(inputs=part))


async def visit(client: Client, number: int) -> None:
    event = event_pb2.Event(event_id=f"v{number}", type="visit", identities=[identity(number)])
    one = profile_service_pb2.IngestInput(event=event)
    await client.profile.IngestBatch(profile_service_pb2.IngestBatchRequest(inputs=[one]))


async def entered_ms(client: Client, number: int) -> int:
    request = segmentation_service_pb2.GetMembershipRequest(
        audience=AUDIENCE, who=identity_pb2.Who(identity=identity(number))
    )
    answer = await client.segmentation.GetMembership(request)
    return answer.membership.enter_time.ToMilliseconds()


async def called(phones: TimedPhones, numbers: range) -> None:
    async with asyncio.timeout(120):
        waiting = [phone(number) for number in reversed(numbers)]
        while True:
            while waiting and waiting[-1] in phones.called_ms:
                waiting.pop()
            if not waiting:
                return
            await asyncio.sleep(0.001)


async def report(title: str, client: Client, phones: TimedPhones, numbers: range) -> None:
    waits = [phones.called_ms[phone(n)] - await entered_ms(client, n) for n in numbers]
    waits.sort()
    median, p99 = waits[len(waits) // 2], waits[int(len(waits) * 0.99)]
    print(f"{title:42} median {median:7.1f} ms   p99 {p99:7.1f} ms   max {waits[-1]:7.1f} ms")


async def measure(client: Client, phones: TimedPhones, count: int, rate: int) -> None:
    await define(client)
    single, many = range(count), range(count, 2 * count)
    await register(client, range(2 * count))
    for number in single:
        await visit(client, number)
        await called(phones, range(number, number + 1))
    await report("one at a time", client, phones, single)
    tasks = []
    start, used = time.perf_counter(), time.process_time()
    for sent, number in enumerate(many):
        await asyncio.sleep(max(0.0, start + sent / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(visit(client, number)))
    await asyncio.gather(*tasks)
    await called(phones, many)
    took = time.perf_counter() - start
    cost_ms = (time.process_time() - used) * 1000 / count
    await report(f"{rate:,} a second (done at {count / took:,.0f})", client, phones, many)
    print(f"processor time of this process: {cost_ms:.1f} ms a message")


async def run(count: int, rate: int) -> None:
    configure_logs("warning")
    with TimedPhones() as phones, tempfile.TemporaryDirectory() as folder:
        config = Config(
            data_dir=Path(folder) / "data", ports=FREE_PORTS, providers={"sms": phones.url}
        )
        suite = Suite(config)
        await suite.start()
        try:
            async with Client(suite.addresses()) as client:
                await measure(client, phones, count, rate)
        finally:
            await suite.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=100)
    arguments = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()};"
        f" {arguments.people:,} people each, audience entry to provider call"
    )
    asyncio.run(run(arguments.people, arguments.rate))


if __name__ == "__main__":
    main()
